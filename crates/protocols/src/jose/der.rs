//! The few steps of DER (X.690) that the crypto provider does not offer: finding the public key inside a
//! certificate, and the numbers inside a public key. Definite lengths in their shortest form only.

/// A cursor over DER bytes.
#[derive(Clone, Copy)]
pub(crate) struct Der<'a>(&'a [u8]);

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xA0;

impl<'a> Der<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    fn peek(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Takes the next element, whatever its tag: (tag, content, whole encoding).
    fn next(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, header) = if first < 0x80 {
            (usize::from(first), 2)
        } else {
            let count = usize::from(first & 0x7F);
            let octets =
                rest.get(..count).filter(|octets| (1..=3).contains(&octets.len()) && octets[0] != 0)?;
            let length = octets.iter().fold(0usize, |sum, octet| (sum << 8) | usize::from(*octet));
            if length < 0x80 {
                return None;
            }
            (length, 2 + count)
        };
        let whole = self.0.get(..header + length)?;
        self.0 = &self.0[header + length..];
        Some((tag, &whole[header..], whole))
    }

    /// Takes the next element, which must have `tag`; returns its content.
    pub(crate) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|element| element.0 == tag).map(|element| element.1)
    }

    /// Takes a positive INTEGER as big-endian bytes without a leading zero.
    pub(crate) fn positive(&mut self) -> Option<&'a [u8]> {
        match self.take(INTEGER)? {
            [0, rest @ ..] if rest.first().is_some_and(|next| *next >= 0x80) => Some(rest),
            content @ [0x01..=0x7F, ..] => Some(content),
            _ => None,
        }
    }
}

/// `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }` (RFC 8017 A.1.1).
pub(crate) fn rsa_public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Der::new(der);
    let mut inner = Der::new(outer.take(SEQUENCE)?);
    let numbers = (inner.positive()?, inner.positive()?);
    (outer.is_empty() && inner.is_empty()).then_some(numbers)
}

/// The bytes of the key inside a `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
pub(crate) fn spki_key_bits(der: &[u8]) -> Option<&[u8]> {
    let mut outer = Der::new(der);
    let mut inner = Der::new(outer.take(SEQUENCE)?);
    inner.take(SEQUENCE)?;
    let bits = inner.take(BIT_STRING)?;
    let (&unused, key) = bits.split_first()?;
    (outer.is_empty() && inner.is_empty() && unused == 0).then_some(key)
}

/// The `SubjectPublicKeyInfo` inside a certificate (RFC 5280 §4.1). Nothing else of the certificate is
/// judged: whoever configures a certificate as a key vouches for it.
pub(crate) fn certificate_spki(der: &[u8]) -> Option<&[u8]> {
    let mut outer = Der::new(der);
    let mut certificate = Der::new(outer.take(SEQUENCE)?);
    let mut tbs = Der::new(certificate.take(SEQUENCE)?);
    if tbs.peek() == Some(EXPLICIT_0) {
        tbs.next()?;
    }
    tbs.take(INTEGER)?; // serial number
    tbs.take(SEQUENCE)?; // signature algorithm
    tbs.take(SEQUENCE)?; // issuer
    tbs.take(SEQUENCE)?; // validity
    tbs.take(SEQUENCE)?; // subject
    let (tag, _, spki) = tbs.next()?;
    (outer.is_empty() && tag == SEQUENCE).then_some(spki)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shortest_definite_lengths_are_read() {
        for (name, bytes) in [
            ("indefinite length", &[0x30, 0x80, 0, 0][..]),
            ("long form of a short length", &[0x30, 0x81, 0x00]),
            ("leading zero in length", &[0x30, 0x82, 0x00, 0x80]),
            ("length past the end", &[0x30, 0x05, 0x02]),
            ("length of eight octets", &[0x30, 0x88, 1, 1, 1, 1, 1, 1, 1, 1]),
            ("nothing", &[]),
        ] {
            assert!(Der::new(bytes).take(SEQUENCE).is_none(), "{name}");
        }
    }

    #[test]
    fn integers_must_be_positive_and_minimal() {
        assert_eq!(Der::new(&[2, 1, 3]).positive(), Some(&[3][..]));
        assert_eq!(Der::new(&[2, 2, 0, 0x80]).positive(), Some(&[0x80][..]));
        for (name, bytes) in [
            ("zero", &[2, 1, 0][..]),
            ("negative", &[2, 1, 0x80]),
            ("padded", &[2, 2, 0, 3]),
            ("empty", &[2, 0]),
        ] {
            assert_eq!(Der::new(bytes).positive(), None, "{name}");
        }
    }
}
