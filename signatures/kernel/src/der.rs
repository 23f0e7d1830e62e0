//! Reads DER (X.690) as far as keys, certificates and signatures need it.

pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OBJECT_IDENTIFIER: u8 = 0x06;
pub const SEQUENCE: u8 = 0x30;

/// A reader: the bytes that are still to be read.
#[derive(Clone, Copy)]
pub struct Der<'a>(pub &'a [u8]);

impl<'a> Der<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the tag of the next value without reading it; at the end 0, a tag that DER lacks.
    pub fn next_tag(&self) -> u8 {
        self.0.first().copied().unwrap_or(0)
    }

    /// Reads the tag, of one byte, and the contents of the next value. None if it is truncated, its
    /// tag is longer, or its length is not in the shortest form.
    pub fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            ..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit));
                // The shortest form: no leading zero, and the long form only from 128 on.
                (digits[0] != 0 && length >= 0x80).then_some((length, rest))?
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (tag & 0x1f != 0x1f).then_some((tag, contents))
    }

    /// Reads the contents of the next value. None if it has another tag.
    pub fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any().and_then(|(found, contents)| (found == tag).then_some(contents))
    }

    /// Reads the contents of an object identifier. None if an arc is incomplete, has leading zeros
    /// or has more than 64 bits.
    pub fn object_identifier(&mut self) -> Option<&'a [u8]> {
        let contents = self.take(OBJECT_IDENTIFIER)?;
        let (mut arc, mut begins) = (0u64, true);
        for &byte in contents {
            if begins && byte == 0x80 || arc >> 57 != 0 {
                return None;
            }
            begins = byte < 0x80;
            arc = if begins { 0 } else { arc << 7 | u64::from(byte & 0x7f) };
        }
        (begins && !contents.is_empty()).then_some(contents)
    }

    /// Reads a positive INTEGER as big-endian bytes without leading zeros. None for zero, negative
    /// numbers, and encodings that are not the shortest.
    pub fn positive(&mut self) -> Option<&'a [u8]> {
        match self.take(INTEGER)? {
            [0] | [] => None,
            [0, digits @ ..] => (digits[0] >= 0x80).then_some(digits),
            digits => (digits[0] < 0x80).then_some(digits),
        }
    }

    /// Returns the contents of a value that is all of `bytes`. None if anything follows it.
    pub fn only(bytes: &'a [u8], tag: u8) -> Option<&'a [u8]> {
        let mut der = Self(bytes);
        let contents = der.take(tag)?;
        der.is_empty().then_some(contents)
    }
}
