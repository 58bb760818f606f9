//! Rows that came out of a database.

use doorward_core::ports::StoreError;

/// Rows of one query, in two allocations however many rows there are.
#[derive(Debug, Default)]
pub struct Rows {
    columns: usize,
    cells: Vec<Cell>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Cell {
    Null,
    BigInt(i64),
    Double(f64),
    Text { start: usize, end: usize },
    Bytes { start: usize, end: usize },
}

impl Rows {
    /// No rows yet, of this many columns.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self { columns, cells: Vec::with_capacity(columns), bytes: Vec::with_capacity(columns * 24) }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len().checked_div(self.columns).unwrap_or(0)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// How many bytes of text and binary the rows hold.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.cells.chunks_exact(self.columns.max(1)).map(|cells| Row { cells, bytes: &self.bytes })
    }

    /// The first row.
    #[must_use]
    pub fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }

    /// Appends an empty cell; a backend calls the `push` functions column by column, row by row.
    pub fn push_null(&mut self) {
        self.cells.push(Cell::Null);
    }

    /// Appends a number.
    pub fn push_i64(&mut self, number: i64) {
        self.cells.push(Cell::BigInt(number));
    }

    /// Appends a fraction.
    pub fn push_f64(&mut self, number: f64) {
        self.cells.push(Cell::Double(number));
    }

    /// Appends a text; it is checked to be UTF-8 when read.
    pub fn push_text(&mut self, text: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.cells.push(Cell::Text { start, end: self.bytes.len() });
    }

    /// Appends bytes.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.cells.push(Cell::Bytes { start, end: self.bytes.len() });
    }
}

/// One row; columns are counted from 0.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    cells: &'r [Cell],
    bytes: &'r [u8],
}

impl<'r> Row<'r> {
    fn wrong(column: usize, wanted: &str) -> StoreError {
        StoreError::Corrupt(format!("column {column} of a row is not {wanted}"))
    }

    /// A text.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the cell holds something else or is not UTF-8.
    pub fn text(&self, column: usize) -> Result<&'r str, StoreError> {
        self.maybe_text(column)?.ok_or_else(|| Self::wrong(column, "a text"))
    }

    /// A text or nothing.
    ///
    /// # Errors
    /// As [`Row::text`].
    pub fn maybe_text(&self, column: usize) -> Result<Option<&'r str>, StoreError> {
        match self.cells.get(column) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Text { start, end }) => std::str::from_utf8(&self.bytes[*start..*end])
                .map(Some)
                .map_err(|_| Self::wrong(column, "UTF-8")),
            _ => Err(Self::wrong(column, "a text")),
        }
    }

    /// A text of one's own, or nothing.
    ///
    /// # Errors
    /// As [`Row::text`].
    pub fn maybe_string(&self, column: usize) -> Result<Option<String>, StoreError> {
        Ok(self.maybe_text(column)?.map(str::to_owned))
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the cell holds something else.
    pub fn i64(&self, column: usize) -> Result<i64, StoreError> {
        self.maybe_i64(column)?.ok_or_else(|| Self::wrong(column, "a number"))
    }

    /// A whole number or nothing.
    ///
    /// # Errors
    /// As [`Row::i64`].
    pub fn maybe_i64(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.cells.get(column) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::BigInt(number)) => Ok(Some(*number)),
            _ => Err(Self::wrong(column, "a number")),
        }
    }

    /// A fraction.
    ///
    /// # Errors
    /// As [`Row::i64`].
    pub fn f64(&self, column: usize) -> Result<f64, StoreError> {
        match self.cells.get(column) {
            Some(Cell::Double(number)) => Ok(*number),
            _ => Err(Self::wrong(column, "a fraction")),
        }
    }

    /// Bytes.
    ///
    /// # Errors
    /// As [`Row::i64`].
    pub fn bytes(&self, column: usize) -> Result<&'r [u8], StoreError> {
        match self.cells.get(column) {
            Some(Cell::Bytes { start, end }) => Ok(&self.bytes[*start..*end]),
            _ => Err(Self::wrong(column, "binary")),
        }
    }

    /// JSON kept as text.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the cell is no text or the text is not of this shape.
    pub fn json<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<T, StoreError> {
        serde_json::from_str(self.text(column)?).map_err(|_| Self::wrong(column, "JSON of its shape"))
    }

    /// JSON of one shape, or nothing.
    ///
    /// # Errors
    /// As [`Row::json`].
    pub fn maybe_json<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<Option<T>, StoreError> {
        match self.maybe_text(column)? {
            None => Ok(None),
            Some(_) => self.json(column).map(Some),
        }
    }
}
