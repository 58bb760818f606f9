//! Which bytes a grammar takes, as tables: each byte of a head is asked about.

/// Letters, digits and these.
pub(crate) const fn alphanumeric_or(others: &[u8]) -> [bool; 256] {
    let (mut table, mut at) = ([false; 256], 0);
    while at < 256 {
        table[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}
