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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::der;

    fn any(encoded: &[u8]) -> Option<(u8, &[u8])> {
        Der(encoded).any()
    }

    #[test]
    fn values_are_taken_one_after_the_other() {
        let mut rest = Der(&[INTEGER, 1, 7, OCTET_STRING, 2, 8, 9]);
        assert_eq!(rest.next_tag(), INTEGER);
        assert_eq!(rest.any(), Some((INTEGER, &[7][..])));
        assert_eq!(rest.take(OCTET_STRING), Some(&[8, 9][..]));
        assert!(rest.is_empty());
        assert_eq!((rest.next_tag(), rest.any()), (0, None));
    }

    #[test]
    fn a_value_of_another_tag_is_refused() {
        assert_eq!(Der(&[INTEGER, 1, 7]).take(OCTET_STRING), None);
    }

    #[test]
    fn lengths_of_up_to_four_bytes_are_read() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let contents = vec![5; length];
            let encoded = der(OCTET_STRING, &[&contents]);
            assert_eq!(any(&encoded), Some((OCTET_STRING, &contents[..])), "{length}");
        }
        for (digits, length) in [(3, 0x1_0000), (4, 0x100_0000)] {
            let mut encoded = vec![OCTET_STRING, 0x80 | digits as u8];
            encoded.extend(&u32::to_be_bytes(length)[4 - digits..]);
            encoded.resize(encoded.len() + length as usize, 5);
            assert_eq!(any(&encoded).unwrap().1.len(), length as usize);
        }
    }

    #[test]
    fn lengths_that_are_not_in_shortest_form_are_refused() {
        let contents = [5; 0x80];
        // Long form below 128, a leading zero, BER's indefinite form, more than four bytes.
        let wrong: [&[u8]; 5] =
            [&[0x81, 0x7f], &[0x82, 0, 0x80], &[0x80], &[0x85, 0, 0, 0, 0, 1], &[0xff]];
        for length in wrong {
            let encoded = [&[OCTET_STRING], length, &contents].concat();
            assert_eq!(any(&encoded), None, "{length:x?}");
        }
    }

    #[test]
    fn truncated_values_are_refused() {
        let encoded = der(OCTET_STRING, &[&[5; 0x90]]);
        for end in 0..encoded.len() {
            assert_eq!(any(&encoded[..end]), None, "{end}");
        }
    }

    #[test]
    fn tags_of_several_bytes_are_refused() {
        assert_eq!(any(&[0x1f, 0x01, 0x00]), None);
        assert_eq!(any(&[0xbf, 0x01, 0x00]), None);
    }

    #[test]
    fn object_identifiers_have_complete_arcs_of_at_most_64_bits_without_leading_zeros() {
        let read = |contents: &[u8]| {
            let encoded = der(OBJECT_IDENTIFIER, &[contents]);
            Der(&encoded).object_identifier().map(<[u8]>::to_vec)
        };
        let largest = [[0x81].as_slice(), &[0xff; 8], &[0x7f]].concat();
        for right in [&[0x2b, 0x65, 0x70][..], &[0x2a, 0x86, 0x48], &largest] {
            assert_eq!(read(right).as_deref(), Some(right));
        }
        let too_large = [[0x82].as_slice(), &[0x80; 8], &[0x00]].concat();
        for wrong in [&[][..], &[0x80, 0x01], &[0x2a, 0x80, 0x01], &[0x2a, 0x86], &too_large] {
            assert_eq!(read(wrong), None, "{wrong:x?}");
        }
    }

    #[test]
    fn positive_integers_come_without_their_leading_zero() {
        let read = |contents: &[u8]| Der(&der(INTEGER, &[contents])).positive().map(<[u8]>::to_vec);
        assert_eq!(read(&[1]), Some(vec![1]));
        assert_eq!(read(&[0x7f, 0]), Some(vec![0x7f, 0]));
        assert_eq!(read(&[0, 0x80]), Some(vec![0x80]));
        // No contents, zero, negative numbers, zeros that are not needed.
        for wrong in [&[][..], &[0], &[0x80], &[0xff, 1], &[0, 1], &[0, 0], &[0, 0, 0x80]] {
            assert_eq!(read(wrong), None, "{wrong:x?}");
        }
    }

    #[test]
    fn the_only_value_has_nothing_after_it() {
        assert_eq!(Der::only(&[INTEGER, 1, 7], INTEGER), Some(&[7][..]));
        assert_eq!(Der::only(&[INTEGER, 1, 7, 0], INTEGER), None);
        assert_eq!(Der::only(&[INTEGER, 1, 7], SEQUENCE), None);
        assert_eq!(Der::only(&[], INTEGER), None);
    }
}
