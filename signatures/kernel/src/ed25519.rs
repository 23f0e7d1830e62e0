//! Ed25519 by the batch equation, one random coefficient z for each signature:
//!
//!   8·(Σ zᵢsᵢ)·B − 8·Σ zᵢRᵢ − 8·Σ (zᵢkᵢ)·Aᵢ = 0
//!
//! A signature alone is checked by the same equation with z = 1, so that the cofactor makes both
//! agree whatever torsion A and R carry (the reasoning of ZIP 215). Unlike ZIP 215, encodings that
//! are not canonical and keys of small order are refused beforehand, by looking at the bytes.

use std::collections::HashMap;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};

use crate::algorithm::Verdict;

/// A part of a batch that fails is split into this many, down to single signatures. Eight leave
/// three levels between 1,000 and 1, so that a batch of nothing but bad signatures costs less than
/// twice as much as verifying each alone.
const PARTS: usize = 8;

/// A smaller batch is cheaper to verify one by one.
const SMALLEST_BATCH: usize = 4;

/// A parsed public key: its encoding, which every signature's hash includes, and −A.
pub struct Key {
    encoded: [u8; 32],
    minus_a: EdwardsPoint,
}

impl Key {
    /// Parses a key. None if the encoding is not canonical or not a point, or has small order.
    pub fn new(encoded: &[u8]) -> Option<Self> {
        let encoded = encoded.try_into().ok()?;
        let a = decode_point(&encoded)?;
        (!a.is_small_order()).then(|| Self { encoded, minus_a: -a })
    }
}

/// A well-formed signature whose equation is not yet checked.
pub struct Claim<'a> {
    key: &'a Key,
    minus_r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

impl<'a> Claim<'a> {
    /// Parses a signature. None if its length is not 64, R is not the canonical encoding of a
    /// point, or S is not below the group's order.
    pub fn new(key: &'a Key, message: &[u8], signature: &[u8]) -> Option<Self> {
        let (r, s) = signature.split_first_chunk::<32>()?;
        let s = Option::from(Scalar::from_canonical_bytes(s.try_into().ok()?))?;
        let minus_r = -decode_point(r)?;
        let hash = Sha512::new().chain_update(r).chain_update(key.encoded).chain_update(message);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        Some(Self { key, minus_r, s, k })
    }

    fn holds(&self) -> bool {
        let by_base =
            EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.k, &self.key.minus_a, &self.s);
        (by_base + self.minus_r).mul_by_cofactor().is_identity()
    }
}

/// Returns one verdict for each claim, the same as if each were checked alone.
pub fn settle(claims: &[Claim]) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::InvalidSignature; claims.len()];
    if claims.len() < SMALLEST_BATCH {
        settle_each(claims, &mut verdicts);
    } else {
        settle_part(claims, &coefficients(claims.len()), &mut verdicts);
    }
    verdicts
}

fn settle_each(claims: &[Claim], verdicts: &mut [Verdict]) {
    for (claim, verdict) in claims.iter().zip(verdicts) {
        if claim.holds() {
            *verdict = Verdict::Valid;
        }
    }
}

fn settle_part(claims: &[Claim], z: &[Scalar], verdicts: &mut [Verdict]) {
    if claims.len() < SMALLEST_BATCH {
        settle_each(claims, verdicts);
    } else if all_hold(claims, z) {
        verdicts.fill(Verdict::Valid);
    } else {
        let size = claims.len().div_ceil(PARTS);
        for ((claims, z), verdicts) in
            claims.chunks(size).zip(z.chunks(size)).zip(verdicts.chunks_mut(size))
        {
            settle_part(claims, z, verdicts);
        }
    }
}

/// Returns whether the batch equation holds. Signatures by one key share a term.
fn all_hold(claims: &[Claim], z: &[Scalar]) -> bool {
    let mut base = Scalar::ZERO;
    let mut terms = HashMap::with_capacity(claims.len());
    let mut scalars = Vec::with_capacity(2 * claims.len() + 1);
    let mut points = Vec::with_capacity(2 * claims.len() + 1);
    for (claim, z) in claims.iter().zip(z) {
        base += z * claim.s;
        let zk = z * claim.k;
        match terms.entry(&raw const *claim.key) {
            std::collections::hash_map::Entry::Occupied(term) => scalars[*term.get()] += zk,
            std::collections::hash_map::Entry::Vacant(term) => {
                term.insert(scalars.len());
                scalars.push(zk);
                points.push(claim.key.minus_a);
            }
        }
    }
    scalars.push(base);
    points.push(ED25519_BASEPOINT_POINT);
    scalars.extend_from_slice(z);
    points.extend(claims.iter().map(|claim| claim.minus_r));
    EdwardsPoint::vartime_multiscalar_mul(scalars, points).mul_by_cofactor().is_identity()
}

/// Draws 128-bit coefficients from the operating system's generator: a forger who could predict
/// them could make bad signatures cancel out.
fn coefficients(count: usize) -> Vec<Scalar> {
    let mut random = vec![0; 16 * count];
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    let (numbers, _) = random.as_chunks::<16>();
    numbers.iter().map(|&bytes| Scalar::from(u128::from_le_bytes(bytes))).collect()
}

/// Decodes a point. None unless the encoding is canonical: y below p = 2²⁵⁵ − 19, and no sign bit
/// if x is 0.
fn decode_point(encoded: &[u8; 32]) -> Option<EdwardsPoint> {
    let negative = encoded[31] >> 7 == 1;
    let mut y = *encoded;
    y[31] &= 0x7f;
    let is_large = y[1..31].iter().all(|&byte| byte == 0xff) && y[31] == 0x7f;
    let is_minus_one = is_large && y[0] == 0xec;
    let is_one = y[0] == 1 && y[1..].iter().all(|&byte| byte == 0);
    if is_large && y[0] > 0xec || negative && (is_one || is_minus_one) {
        return None;
    }
    CompressedEdwardsY(*encoded).decompress()
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::EIGHT_TORSION;

    use super::*;
    use crate::testing::bytes;

    /// The group's order, little-endian: RFC 8032, section 5.1.
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

    /// A secret scalar, and a public key of it that may carry torsion.
    struct Signer {
        secret: Scalar,
        public: EdwardsPoint,
    }

    impl Signer {
        fn new(secret: u64, torsion: EdwardsPoint) -> Self {
            let secret = Scalar::from(secret);
            Self { secret, public: EdwardsPoint::mul_base(&secret) + torsion }
        }

        fn key(&self) -> Key {
            Key::new(self.public.compress().as_bytes()).unwrap()
        }

        /// A signature whose R carries torsion, as a malicious signer can make it.
        fn sign(&self, message: &[u8], torsion: EdwardsPoint) -> [u8; 64] {
            let nonce = Scalar::from(1 + message.len() as u64);
            let r = (EdwardsPoint::mul_base(&nonce) + torsion).compress();
            let hash = Sha512::new().chain_update(r.as_bytes());
            let hash = hash.chain_update(self.public.compress().as_bytes()).chain_update(message);
            let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r.as_bytes());
            signature[32..].copy_from_slice((nonce + k * self.secret).as_bytes());
            signature
        }
    }

    fn honest() -> Signer {
        Signer::new(12345, EIGHT_TORSION[0])
    }

    fn verdict(key: &Key, message: &[u8], signature: &[u8]) -> Option<Verdict> {
        Claim::new(key, message, signature).map(|claim| settle(&[claim])[0])
    }

    /// Adds to the little-endian number in a signature's second half.
    fn with_s_plus(mut signature: [u8; 64], addend: &[u8]) -> [u8; 64] {
        let mut carry = 0;
        for (byte, more) in signature[32..].iter_mut().zip(addend) {
            carry += u16::from(*byte) + u16::from(*more);
            *byte = carry as u8;
            carry >>= 8;
        }
        signature
    }

    #[test]
    fn the_examples_of_rfc_8032_are_valid_for_their_message_only() {
        // Section 7.1, tests 1 to 3: public key, message, signature.
        for (key, message, signature) in [
            (
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
                 5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                 18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ] {
            let key = Key::new(&bytes(key)).unwrap();
            let (message, signature) = (bytes(message), bytes(signature));
            assert_eq!(verdict(&key, &message, &signature), Some(Verdict::Valid));
            let another = [&message[..], b"!"].concat();
            assert_eq!(verdict(&key, &another, &signature), Some(Verdict::InvalidSignature));
        }
    }

    #[test]
    fn only_signatures_of_64_bytes_are_well_formed() {
        let (signer, key) = (honest(), honest().key());
        let signature = signer.sign(b"message", EIGHT_TORSION[0]);
        assert_eq!(verdict(&key, b"message", &signature), Some(Verdict::Valid));
        let longer = [&signature[..], &[0]].concat();
        for wrong in [&[][..], &signature[..63], &longer] {
            assert_eq!(verdict(&key, b"message", wrong), None);
        }
    }

    #[test]
    fn s_must_be_below_the_order() {
        let (signer, key) = (honest(), honest().key());
        let signature = signer.sign(b"message", EIGHT_TORSION[0]);
        // The same number modulo the order, and the order itself for 0.
        let plus_order = with_s_plus(signature, &bytes(ORDER));
        assert_eq!(verdict(&key, b"message", &plus_order), None);
        let mut zero = signature;
        zero[32..].fill(0);
        assert_eq!(verdict(&key, b"message", &zero), Some(Verdict::InvalidSignature));
        let order = with_s_plus(zero, &bytes(ORDER));
        assert_eq!(verdict(&key, b"message", &order), None);
    }

    #[test]
    fn encodings_of_y_at_or_above_p_are_refused_with_either_sign() {
        // p = 2²⁵⁵ − 19, so that 19 numbers up to 2²⁵⁵ − 1 stand for others.
        for lowest in 0xed..=0xff {
            for highest in [0x7f, 0xff] {
                let mut encoded = [0xff; 32];
                (encoded[0], encoded[31]) = (lowest, highest);
                assert!(decode_point(&encoded).is_none(), "{lowest:x} {highest:x}");
                assert!(Key::new(&encoded).is_none());
            }
        }
    }

    #[test]
    fn the_points_with_x_0_are_encoded_without_a_sign() {
        let (mut one, mut minus_one) = ([0; 32], [0xff; 32]);
        one[0] = 1;
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        for mut encoded in [one, minus_one] {
            assert!(decode_point(&encoded).is_some());
            encoded[31] |= 0x80;
            assert!(decode_point(&encoded).is_none());
        }
    }

    #[test]
    fn keys_that_are_no_point_of_small_order_or_of_another_length_are_refused() {
        // No x belongs to y = 2.
        let mut no_point = [0; 32];
        no_point[0] = 2;
        assert!(Key::new(&no_point).is_none());
        for small in EIGHT_TORSION {
            assert!(Key::new(small.compress().as_bytes()).is_none());
        }
        let encoded = honest().public.compress().to_bytes();
        assert!(Key::new(&encoded).is_some());
        assert!(Key::new(&encoded[..31]).is_none());
        assert!(Key::new(&[&encoded[..], &[0]].concat()).is_none());
    }

    #[test]
    fn torsion_changes_no_verdict_alone_or_in_a_batch() {
        for of_key in EIGHT_TORSION {
            let signer = Signer::new(777, of_key);
            let key = signer.key();
            for of_r in EIGHT_TORSION {
                let signature = signer.sign(b"message", of_r);
                assert_eq!(verdict(&key, b"message", &signature), Some(Verdict::Valid));
                let claim = || Claim::new(&key, b"message", &signature).unwrap();
                let batch: Vec<_> = std::iter::repeat_with(claim).take(SMALLEST_BATCH).collect();
                assert!(all_hold(&batch, &coefficients(batch.len())));
                assert_eq!(settle(&batch), [Verdict::Valid; SMALLEST_BATCH]);
            }
        }
    }

    #[test]
    fn a_batch_finds_exactly_the_bad_signatures_wherever_they_are() {
        let signers = [Signer::new(5, EIGHT_TORSION[0]), Signer::new(6, EIGHT_TORSION[3])];
        let keys = signers.each_ref().map(Signer::key);
        for count in [0usize, 1, 3, 4, 5, 8, 9, 33, 65] {
            for bad in [
                vec![],
                vec![0],
                vec![count / 2],
                vec![count.saturating_sub(1)],
                (0..count).collect(),
            ] {
                let is_bad = |place| count > 0 && bad.contains(&place);
                let made: Vec<(usize, Vec<u8>, [u8; 64])> = (0..count)
                    .map(|place| {
                        let message = vec![b'm'; place];
                        let signature = signers[place % 2].sign(&message, EIGHT_TORSION[0]);
                        let message = if is_bad(place) { b"another".to_vec() } else { message };
                        (place % 2, message, signature)
                    })
                    .collect();
                let claims: Vec<_> = made
                    .iter()
                    .map(|(signer, message, signature)| {
                        Claim::new(&keys[*signer], message, signature).unwrap()
                    })
                    .collect();
                let expected: Vec<_> = (0..count)
                    .map(|place| match is_bad(place) {
                        true => Verdict::InvalidSignature,
                        false => Verdict::Valid,
                    })
                    .collect();
                assert_eq!(settle(&claims), expected, "{count} {bad:?}");
                // One equation settles all of them unless one is bad.
                let is_good = !expected.contains(&Verdict::InvalidSignature);
                assert_eq!(all_hold(&claims, &coefficients(count)), is_good, "{count} {bad:?}");
            }
        }
    }

    /// Without random coefficients their sum would satisfy the batch equation.
    #[test]
    fn wrong_signatures_do_not_cancel_out() {
        let (signer, key) = (honest(), honest().key());
        let signature = signer.sign(b"message", EIGHT_TORSION[0]);
        let one_more = with_s_plus(signature, &[1]);
        let one_less = with_s_plus(signature, &[0xff; 32]);
        let claims = [signature, one_more, one_less, signature]
            .each_ref()
            .map(|signature| Claim::new(&key, b"message", signature).unwrap());
        let sum: Scalar = claims.iter().map(|claim| claim.s).sum();
        assert_eq!(sum, claims[0].s * Scalar::from(4u32));
        let (valid, invalid) = (Verdict::Valid, Verdict::InvalidSignature);
        assert_eq!(settle(&claims), [valid, invalid, invalid, valid]);
    }
}
