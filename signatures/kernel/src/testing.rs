//! Helpers of the unit tests: repeatable random numbers, conversions to num-bigint, DER encoding.

use num_bigint::BigUint;

use crate::modular::Words;

/// Generates the same random-looking words in every run (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub fn words<const N: usize>(&mut self) -> Words<N> {
        std::array::from_fn(|_| self.word())
    }

    /// Returns a number from 1 to limit − 1.
    pub fn below<const N: usize>(&mut self, limit: &Words<N>) -> Words<N> {
        words(&(big(&self.words::<N>()) % (big(limit) - 1u32) + 1u32))
    }
}

pub fn big<const N: usize>(words: &Words<N>) -> BigUint {
    BigUint::from_bytes_le(&words.map(u64::to_le_bytes).concat())
}

/// Returns a number as N words. Panics if it is larger.
pub fn words<const N: usize>(number: &BigUint) -> Words<N> {
    let mut bytes = number.to_bytes_le();
    assert!(bytes.len() <= 8 * N, "{number} is more than {N} words hold");
    bytes.resize(8 * N, 0);
    std::array::from_fn(|i| u64::from_le_bytes(bytes[8 * i..][..8].try_into().unwrap()))
}

/// Parses hexadecimal digits of any number.
pub fn hexadecimal(digits: &str) -> BigUint {
    BigUint::parse_bytes(digits.as_bytes(), 16).unwrap()
}

/// Parses the hexadecimal digits of a string of bytes.
pub fn bytes(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

/// Encodes one value in DER, its contents given in parts.
pub fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let mut encoded = vec![tag];
    match contents.len() {
        length @ ..=0x7f => encoded.push(length as u8),
        length @ ..=0xff => encoded.extend([0x81, length as u8]),
        length => encoded.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    encoded.extend(contents);
    encoded
}
