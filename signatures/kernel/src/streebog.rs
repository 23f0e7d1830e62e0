//! Streebog (GOST R 34.11-2012, RFC 6986), by the machine's best instructions.

use streebog::{Digest, Streebog256, Streebog512};

#[cfg(target_arch = "x86_64")]
use crate::entries;

/// Returns the digest of 32 bytes, in the order of files and certificates.
pub fn digest256(message: &[u8]) -> [u8; 32] {
    #[cfg(target_arch = "x86_64")]
    if let Some(digest) = entries::streebog(message, [0x0101_0101_0101_0101; 8]) {
        return std::array::from_fn(|i| digest[32 + i]);
    }
    Streebog256::digest(message).into()
}

/// Returns the digest of 64 bytes, in the same order.
pub fn digest512(message: &[u8]) -> [u8; 64] {
    #[cfg(target_arch = "x86_64")]
    if let Some(digest) = entries::streebog(message, [0; 8]) {
        return digest;
    }
    Streebog512::digest(message).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, bytes};

    fn message(random: &mut Random, length: usize) -> Vec<u8> {
        (0..length).map(|_| random.word() as u8).collect()
    }

    #[track_caller]
    fn assert_is_the_crate_s(message: &[u8]) {
        assert_eq!(digest256(message)[..], Streebog256::digest(message)[..], "{}", message.len());
        assert_eq!(digest512(message)[..], Streebog512::digest(message)[..], "{}", message.len());
    }

    /// RFC 6986, section 10: the messages M1 and M2 and their digests, the first byte first here.
    #[test]
    fn digests_are_those_of_the_rfc() {
        let first = b"012345678901234567890123456789012345678901234567890123456789012";
        let mut digest = bytes(concat!(
            "486f64c1917879417fef082b3381a4e211c324f074654c38823a7b76f830ad00",
            "fa1fbae42b1285c0352f227524bc9ab16254288dd6863dccd5b9f54a1ad0541b",
        ));
        digest.reverse();
        assert_eq!(digest512(first)[..], digest);
        let mut digest = bytes("00557be5e584fd52a449b16b0251d05d27f94ab76cbaa6da890b59d8ef1e159d");
        digest.reverse();
        assert_eq!(digest256(first)[..], digest);
        let second = bytes(concat!(
            "d1e520e2e5f2f0e82c20d1f2f0e8e1eee6e820e2edf3f6e82c20e2e5fef2fa20f120eceef0ff20",
            "f1f2f0e5ebe0ece820ede020f5f0e0e1f0fbff20efebfaeafb20c8e3eef0e5e2fb",
        ));
        let digest = bytes(concat!(
            "1e88e62226bfca6f9994f1f2d51569e0daf8475a3b0fe61a5300eee46d961376",
            "035fe83549ada2b8620fcd7c496ce5b33f0cb9dddc2b6460143b03dabac9fb28",
        ));
        assert_eq!(digest512(&second)[..], digest);
        let digest = bytes("9dd2fe4e90409e5da87f53976d7405b0c0cac628fc669a741d50063c557e8f50");
        assert_eq!(digest256(&second)[..], digest);
    }

    #[test]
    fn digests_of_all_lengths_are_the_crate_s() {
        let mut random = Random::new(1);
        for length in 0..=300 {
            assert_is_the_crate_s(&message(&mut random, length));
        }
        assert_is_the_crate_s(&message(&mut random, 3_000_001));
    }

    /// The sum of all blocks is taken modulo 2^512, its carries through all words.
    #[test]
    fn carries_of_the_sum_go_through_all_words() {
        for filling in [0xff, 0x80, 0x7f, 0x01] {
            for blocks in [1, 2, 3, 256, 257] {
                assert_is_the_crate_s(&vec![filling; 64 * blocks]);
            }
        }
        let mut one = vec![0; 64];
        one[0] = 1;
        assert_is_the_crate_s(&[vec![0xff; 64], one].concat());
    }
}
