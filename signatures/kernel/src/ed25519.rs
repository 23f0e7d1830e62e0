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
