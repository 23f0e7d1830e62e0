//! Ed25519 by the batch equation, one random coefficient z for each signature:
//!
//!   8·(Σ zᵢsᵢ)·B − 8·Σ zᵢRᵢ − 8·Σ (zᵢkᵢ)·Aᵢ = 0
//!
//! A signature alone is checked by the same equation with z = 1, so that the cofactor makes both
//! agree whatever torsion A and R carry (the reasoning of ZIP 215). Unlike ZIP 215, encodings that
//! are not canonical and keys of small order are refused beforehand, by looking at the bytes.
//!
//! Many signatures are hashed, decoded and summed up in lanes where the machine has them
//! (`ed25519_lanes`), and by curve25519-dalek otherwise. Nothing is secret: variable time is right.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, OnceLock};

use curve25519_dalek::constants::{
    ED25519_BASEPOINT_COMPRESSED, ED25519_BASEPOINT_POINT, EIGHT_TORSION,
};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};

use crate::algorithm::Verdict;
use crate::instructions::{Instructions, instructions};
#[cfg(target_arch = "x86_64")]
use crate::{ed25519_lanes as lanes, entries};

/// A part of a batch that fails is split into this many, down to single signatures. Eight leave
/// three levels between 1,000 and 1, so that a batch of nothing but bad signatures costs less than
/// twice as much as verifying each alone.
const PARTS: usize = 8;

/// A smaller batch is cheaper to verify one by one.
const SMALLEST_BATCH: usize = 4;

/// A smaller batch does not fill the eight lanes, or takes longer in four.
const SMALLEST_IN_LANES: usize = 8;
const SMALLEST_IN_FOUR_LANES: usize = 16;

/// If keys have so many signatures each, their multiples by 2¹²⁸ are made at the first use, and
/// their scalars summed up before they are reduced.
const SHARED_BY: usize = 8;

/// A part of at most so many that fails is verified one by one, in lanes: that costs as much as the
/// batch equations of its parts.
const FEW_IN_LANES: usize = 16;

/// A parsed public key: its encoding, which every signature's hash includes, and its point for each
/// kind of arithmetic, from the first use on.
pub struct Key {
    encoded: [u8; 32],
    minus_a: OnceLock<EdwardsPoint>,
    in_lanes: OnceLock<lanes::Point>,
    /// 2¹²⁸·A, so that the halves of its scalars are no longer than the coefficients.
    high_in_lanes: OnceLock<lanes::Point>,
    /// Whether a batch in lanes had signatures by the key.
    is_used: AtomicBool,
}

impl Key {
    /// Parses a key. None if the encoding is not canonical or not a point, or has small order.
    pub fn new(encoded: &[u8]) -> Option<Self> {
        let encoded = encoded.try_into().ok().filter(may_be_key)?;
        let a = decompress(&encoded)?;
        Some(Self::known(encoded, OnceLock::from(-a), OnceLock::new()))
    }

    /// Parses keys, several at a time if possible.
    pub fn new_all(encoded: &[&[u8]]) -> Vec<Option<Self>> {
        if encoded.len() < SMALLEST_IN_LANES {
            return encoded.iter().map(|encoded| Self::new(encoded)).collect();
        }
        let whole: Vec<Option<[u8; 32]>> =
            encoded.iter().map(|&encoded| encoded.try_into().ok().filter(may_be_key)).collect();
        // What is refused already is decoded as the base point, for nothing.
        let points: Vec<_> =
            whole.iter().map(|encoded| encoded.unwrap_or(ED25519_BASEPOINT_COMPRESSED.0)).collect();
        let Some(points) = entries::decode25519(&points) else {
            return encoded.iter().map(|encoded| Self::new(encoded)).collect();
        };
        let key = |(encoded, point): (Option<[u8; 32]>, Option<lanes::Point>)| {
            Some(Self::known(encoded?, OnceLock::new(), OnceLock::from(point?)))
        };
        whole.into_iter().zip(points).map(key).collect()
    }

    fn known(
        encoded: [u8; 32],
        minus_a: OnceLock<EdwardsPoint>,
        in_lanes: OnceLock<lanes::Point>,
    ) -> Self {
        let (high_in_lanes, is_used) = (OnceLock::new(), AtomicBool::new(false));
        Self { encoded, minus_a, in_lanes, high_in_lanes, is_used }
    }

    fn minus_a(&self) -> &EdwardsPoint {
        self.minus_a.get_or_init(|| -decompress(&self.encoded).expect("it was decoded before"))
    }
}

/// A signature whose form was checked, but for R, which may be no point.
pub struct Claim<'a> {
    key: &'a Key,
    message: &'a [u8],
    r: &'a [u8; 32],
    s: Scalar,
}

impl<'a> Claim<'a> {
    /// Parses a signature. None if its length is not 64, R is not canonical, or S is not below the
    /// group's order.
    pub fn new(key: &'a Key, message: &'a [u8], signature: &'a [u8]) -> Option<Self> {
        let (r, s) = signature.split_first_chunk::<32>()?;
        let s = Option::from(Scalar::from_canonical_bytes(s.try_into().ok()?))?;
        is_canonical(r).then_some(Self { key, message, r, s })
    }

    fn hashed(&self) -> [&'a [u8]; 3] {
        [self.r, &self.key.encoded, self.message]
    }

    fn minus_r(&self) -> Option<EdwardsPoint> {
        decompress(self.r).map(|r| -r)
    }
}

/// R, decoded for the arithmetic that the whole batch is verified by first.
enum R {
    Plain { minus_r: EdwardsPoint },
    InLanes(lanes::Point),
}

/// A well-formed signature whose equation is not yet checked.
struct Equation<'a> {
    claim: &'a Claim<'a>,
    r: R,
    k: Scalar,
}

impl Equation<'_> {
    fn minus_r(&self) -> EdwardsPoint {
        match self.r {
            R::Plain { minus_r } => minus_r,
            R::InLanes(_) => self.claim.minus_r().expect("the lanes decoded it"),
        }
    }

    fn holds(&self) -> bool {
        let Claim { key, s, .. } = self.claim;
        let by_base = EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.k, key.minus_a(), s);
        (by_base + self.minus_r()).mul_by_cofactor().is_identity()
    }
}

/// Returns one verdict for each claim, the same as if each were checked alone: that the signature
/// is malformed if R is no point.
pub fn settle(claims: &[Claim]) -> Vec<Verdict> {
    let mut equations = Vec::with_capacity(claims.len());
    let mut verdicts: Vec<Verdict> = equations_of(claims)
        .into_iter()
        .map(|equation| match equation {
            None => Verdict::MalformedSignature,
            Some(equation) => {
                equations.push(equation);
                Verdict::InvalidSignature
            }
        })
        .collect();
    let settled = settle_equations(&equations);
    let well_formed = verdicts.iter_mut().filter(|&&mut v| v == Verdict::InvalidSignature);
    for (verdict, settled) in well_formed.zip(settled) {
        *verdict = settled;
    }
    verdicts
}

/// Hashes, and decodes R, several at a time if possible.
fn equations_of<'a>(claims: &'a [Claim<'a>]) -> Vec<Option<Equation<'a>>> {
    let smallest = match instructions() {
        Instructions::Avx2 => SMALLEST_IN_FOUR_LANES,
        _ => SMALLEST_IN_LANES,
    };
    if claims.len() >= smallest
        && let Some(equations) = equations_in_lanes(claims)
    {
        return equations;
    }
    let equation = |claim: &'a Claim| {
        let minus_r = claim.minus_r()?;
        let hash = claim.hashed().iter().fold(Sha512::new(), |hash, part| hash.chain_update(part));
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        Some(Equation { claim, r: R::Plain { minus_r }, k })
    };
    claims.iter().map(equation).collect()
}

fn equations_in_lanes<'a>(claims: &'a [Claim<'a>]) -> Option<Vec<Option<Equation<'a>>>> {
    let hashed: Vec<_> = claims.iter().map(Claim::hashed).collect();
    let hashes = entries::sha512(&hashed)?;
    let mut encoded: Vec<_> = claims.iter().map(|claim| *claim.r).collect();
    let mut keys: Vec<&Key> = claims.iter().map(|claim| claim.key).collect();
    keys.sort_unstable_by_key(|&key| &raw const *key);
    keys.dedup_by_key(|key| &raw const **key);
    let new: Vec<_> = keys.iter().filter(|key| key.in_lanes.get().is_none()).collect();
    encoded.extend(new.iter().map(|key| key.encoded));
    let mut points = entries::decode25519(&encoded)?;
    for (key, point) in new.iter().zip(&points[claims.len()..]) {
        key.in_lanes.get_or_init(|| point.expect("the key is a point"));
    }
    let mut lasting = keys.clone();
    lasting.retain(|key| key.is_used.swap(true, Ordering::Relaxed));
    // Worth it if the key comes again, or has many signatures here.
    if keys.len() * SHARED_BY <= claims.len() {
        lasting = keys;
    }
    lasting.retain(|key| key.high_in_lanes.get().is_none());
    let of_lasting: Vec<_> = lasting.iter().filter_map(|key| key.in_lanes.get()).collect();
    for (key, high) in lasting.iter().zip(entries::high25519(&of_lasting)?) {
        key.high_in_lanes.get_or_init(|| high);
    }
    points.truncate(claims.len());
    let equation = |((claim, hash), point): ((&'a Claim, [u8; 64]), Option<lanes::Point>)| {
        let k = Scalar::from_bytes_mod_order_wide(&hash);
        point.map(|point| Equation { claim, r: R::InLanes(point), k })
    };
    Some(claims.iter().zip(hashes).zip(points).map(equation).collect())
}

fn settle_equations(equations: &[Equation]) -> Vec<Verdict> {
    let z = coefficients(equations.len());
    let mut settled = vec![Verdict::InvalidSignature; equations.len()];
    // To be checked each by itself, because the batch equation of their part did not hold.
    let mut suspects = Vec::new();
    let mut parts: Vec<_> = std::iter::once(0..equations.len()).collect();
    while let Some(part) = parts.pop() {
        if part.len() < SMALLEST_BATCH {
            suspects.extend(part);
        } else if all_hold(&equations[part.clone()], &z[part.clone()]) {
            settled[part].fill(Verdict::Valid);
        } else if matches!(equations[part.start].r, R::InLanes(_)) && part.len() <= FEW_IN_LANES {
            suspects.extend(part);
        } else {
            let size = part.len().div_ceil(PARTS);
            let starts = part.clone().step_by(size);
            parts.extend(starts.map(|start| start..part.end.min(start + size)));
        }
    }
    for (&suspect, holds) in suspects.iter().zip(hold(equations, &suspects)) {
        if holds {
            settled[suspect] = Verdict::Valid;
        }
    }
    settled
}

/// Returns whether each of the equations at these places holds, several at a time if possible.
fn hold(equations: &[Equation], places: &[usize]) -> Vec<bool> {
    if places.len() >= SMALLEST_BATCH
        && let Some(hold) = hold_in_lanes(equations, places)
    {
        return hold;
    }
    places.iter().map(|&place| equations[place].holds()).collect()
}

fn hold_in_lanes(equations: &[Equation], places: &[usize]) -> Option<Vec<bool>> {
    let equation = |&place: &usize| {
        let Equation { claim: Claim { key, s, .. }, r: R::InLanes(r), k } = &equations[place]
        else {
            return None;
        };
        let scalars = [k, &-s].map(|scalar| lanes::WINDOWS_ALONE.scalar(scalar.as_bytes()));
        Some(lanes::Equation { a: key.in_lanes.get()?, r, k: scalars[0], minus_s: scalars[1] })
    };
    entries::hold25519(&places.iter().map(equation).collect::<Option<Vec<_>>>()?)
}

/// Returns whether the batch equation holds. Signatures by one key share a term.
fn all_hold(equations: &[Equation], z: &[u128]) -> bool {
    if equations.len() >= SMALLEST_IN_LANES
        && matches!(equations[0].r, R::InLanes(_))
        && let Some(hold) = all_hold_in_lanes(equations, z)
    {
        return hold;
    }
    let Sums { base, keys, by_key } = Sums::new(equations, z, 0);
    let mut scalars = by_key;
    let mut points: Vec<_> = keys.iter().map(|key| *key.minus_a()).collect();
    scalars.push(base);
    points.push(ED25519_BASEPOINT_POINT);
    scalars.extend(z.iter().map(|&z| Scalar::from(z)));
    points.extend(equations.iter().map(Equation::minus_r));
    EdwardsPoint::vartime_multiscalar_mul(scalars, points).mul_by_cofactor().is_identity()
}

/// The equation with all signs turned, and with coefficients of 16 signed digits. None if the
/// machine has no lanes for it.
fn all_hold_in_lanes(equations: &[Equation], z: &[u128]) -> Option<bool> {
    let halves = equations.iter().all(|one| one.claim.key.high_in_lanes.get().is_some());
    let windows = lanes::Windows::new(equations.len(), halves);
    let Sums { base, keys, by_key } = Sums::new(equations, z, windows.coefficient_offset());
    let count = equations.len() + 2 * (keys.len() + 1);
    let (mut points, mut scalars) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut add = |scalar: &Scalar, point, high: Option<_>| {
        let scalar = windows.scalar(scalar.as_bytes());
        if halves {
            scalars.extend(scalar.halves());
            points.extend([point, high?]);
        } else {
            scalars.push(scalar);
            points.push(point);
        }
        Some(())
    };
    add(&-base, &lanes::BASE, Some(&lanes::BASE_HIGH))?;
    for (key, scalar) in keys.iter().zip(&by_key) {
        add(scalar, key.in_lanes.get()?, key.high_in_lanes.get())?;
    }
    for (equation, &z) in equations.iter().zip(z) {
        let R::InLanes(point) = &equation.r else { return None };
        points.push(point);
        scalars.push(windows.coefficient(z));
    }
    entries::is_small25519(windows, &points, &scalars)
}

/// The scalars of a batch equation: of the base point, Σ zᵢsᵢ, and Σ zᵢkᵢ of each key.
struct Sums<'a> {
    base: Scalar,
    keys: Vec<&'a Key>,
    by_key: Vec<Scalar>,
}

impl<'a> Sums<'a> {
    /// Every coefficient is given with `offset` added.
    fn new(equations: &[Equation<'a>], z: &[u128], offset: u128) -> Self {
        let mut places = HashMap::with_capacity(equations.len());
        let mut keys = Vec::new();
        let mut place_of = |key: &'a Key| {
            let place = *places.entry(&raw const *key).or_insert(keys.len());
            if place == keys.len() {
                keys.push(key);
            }
            place
        };
        let places: Vec<_> = equations.iter().map(|one| place_of(one.claim.key)).collect();
        let offset = Scalar::from(offset);
        let mut base = Sum::default();
        for (equation, &z) in equations.iter().zip(z) {
            base.add(z, &equation.claim.s);
        }
        let terms = || equations.iter().zip(z).zip(&places);
        let by_key = if keys.len() * SHARED_BY <= equations.len() {
            let mut sums = vec![Sum::default(); keys.len()];
            terms().for_each(|((equation, &z), &place)| sums[place].add(z, &equation.k));
            sums.iter().map(|sum| sum.value(offset)).collect()
        } else {
            let mut sums = vec![Scalar::ZERO; keys.len()];
            for ((equation, &z), &place) in terms() {
                sums[place] += (Scalar::from(z) - offset) * equation.k;
            }
            sums
        };
        Self { base: base.value(offset), keys, by_key }
    }
}

/// A sum of coefficients times scalars that is reduced at its end.
#[derive(Clone, Default)]
struct Sum {
    /// Little-endian. A product has at most 381 bits, so that 2¹³¹ of them fit.
    products: [u64; 8],
    scalars: Scalar,
}

impl Sum {
    fn add(&mut self, coefficient: u128, scalar: &Scalar) {
        self.scalars += scalar;
        let (words, _) = scalar.as_bytes().as_chunks::<8>();
        for (i, factor) in [coefficient as u64, (coefficient >> 64) as u64].into_iter().enumerate()
        {
            let mut carry = 0;
            for (j, word) in self.products[i..].iter_mut().enumerate() {
                let other = words.get(j).map_or(0, |&bytes| u64::from_le_bytes(bytes));
                let sum = u128::from(factor) * u128::from(other) + u128::from(*word) + carry;
                *word = sum as u64;
                carry = sum >> 64;
            }
        }
    }

    /// Returns the sum for coefficients that are less by `offset`.
    fn value(&self, offset: Scalar) -> Scalar {
        let mut bytes = [0; 64];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(self.products) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Scalar::from_bytes_mod_order_wide(&bytes) - offset * self.scalars
    }
}

/// Draws 128-bit coefficients from the operating system's generator: a forger who could predict
/// them could make bad signatures cancel out.
fn coefficients(count: usize) -> Vec<u128> {
    let mut random = vec![0; 16 * count];
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    let (numbers, _) = random.as_chunks::<16>();
    numbers.iter().map(|&bytes| u128::from_le_bytes(bytes)).collect()
}

/// Returns whether y is below p = 2²⁵⁵ − 19, and there is no sign bit if x is 0.
fn is_canonical(encoded: &[u8; 32]) -> bool {
    let negative = encoded[31] >> 7 == 1;
    let highest = encoded[31] & 0x7f;
    let is_large = encoded[1..31].iter().all(|&byte| byte == 0xff) && highest == 0x7f;
    let is_minus_one = is_large && encoded[0] == 0xec;
    let is_one = encoded[0] == 1 && encoded[1..31].iter().all(|&byte| byte == 0) && highest == 0;
    !(is_large && encoded[0] > 0xec || negative && (is_one || is_minus_one))
}

/// Returns whether the encoding is canonical, and of no point of small order.
fn may_be_key(encoded: &[u8; 32]) -> bool {
    static SMALL: LazyLock<[[u8; 32]; 8]> =
        LazyLock::new(|| EIGHT_TORSION.map(|point| point.compress().to_bytes()));
    is_canonical(encoded) && !SMALL.contains(encoded)
}

/// Decodes a point that is canonical. None if it is not on the curve.
fn decompress(encoded: &[u8; 32]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*encoded).decompress()
}

/// Stands for the lanes where the processor's kind has none.
#[cfg(not(target_arch = "x86_64"))]
mod lanes {
    pub const BASE: Point = Point;
    pub const BASE_HIGH: Point = Point;
    pub const WINDOWS_ALONE: Windows = Windows;

    #[derive(Clone, Copy)]
    pub struct Point;

    #[derive(Clone, Copy)]
    pub struct Scalar;

    #[derive(Clone, Copy)]
    pub struct Windows;

    #[allow(dead_code)]
    pub struct Equation<'a> {
        pub a: &'a Point,
        pub r: &'a Point,
        pub k: Scalar,
        pub minus_s: Scalar,
    }

    impl Windows {
        pub fn new(_: usize, _: bool) -> Self {
            Self
        }

        pub fn scalar(self, _: &[u8; 32]) -> Scalar {
            Scalar
        }

        pub fn coefficient(self, _: u128) -> Scalar {
            Scalar
        }

        pub fn coefficient_offset(self) -> u128 {
            0
        }
    }

    impl Scalar {
        pub fn halves(&self) -> [Self; 2] {
            [*self; 2]
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod entries {
    use super::lanes;

    pub fn sha512(_: &[[&[u8]; 3]]) -> Option<Vec<[u8; 64]>> {
        None
    }

    pub fn decode25519(_: &[[u8; 32]]) -> Option<Vec<Option<lanes::Point>>> {
        None
    }

    pub fn hold25519(_: &[lanes::Equation]) -> Option<Vec<bool>> {
        None
    }

    pub fn high25519(_: &[&lanes::Point]) -> Option<Vec<lanes::Point>> {
        None
    }

    pub fn is_small25519(
        _: lanes::Windows,
        _: &[&lanes::Point],
        _: &[lanes::Scalar],
    ) -> Option<bool> {
        None
    }
}

#[cfg(test)]
mod tests {
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

    /// Returns whether the batch equation holds.
    fn together(claims: &[Claim]) -> bool {
        let equations: Option<Vec<_>> = equations_of(claims).into_iter().collect();
        all_hold(&equations.unwrap(), &coefficients(claims.len()))
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
                assert!(!is_canonical(&encoded), "{lowest:x} {highest:x}");
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
            assert!(is_canonical(&encoded) && decompress(&encoded).is_some());
            encoded[31] |= 0x80;
            assert!(!is_canonical(&encoded));
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
                for count in [SMALLEST_BATCH, SMALLEST_IN_LANES, SMALLEST_IN_FOUR_LANES] {
                    let batch: Vec<_> = std::iter::repeat_with(claim).take(count).collect();
                    assert!(together(&batch));
                    assert_eq!(settle(&batch), vec![Verdict::Valid; count]);
                }
            }
        }
    }

    #[test]
    fn a_batch_finds_exactly_the_bad_signatures_wherever_they_are() {
        let signers = [Signer::new(5, EIGHT_TORSION[0]), Signer::new(6, EIGHT_TORSION[3])];
        let keys = signers.each_ref().map(Signer::key);
        for count in [0usize, 1, 3, 4, 5, 8, 9, 33, 65, 300] {
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
                assert_eq!(together(&claims), is_good, "{count} {bad:?}");
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
        let signatures = [signature, one_more, one_less, signature];
        let claims =
            signatures.each_ref().map(|signature| Claim::new(&key, b"message", signature).unwrap());
        let sum: Scalar = claims.iter().map(|claim| claim.s).sum();
        assert_eq!(sum, claims[0].s * Scalar::from(4u32));
        let (valid, invalid) = (Verdict::Valid, Verdict::InvalidSignature);
        assert_eq!(settle(&claims), [valid, invalid, invalid, valid]);
    }

    #[test]
    fn a_bad_signature_is_found_in_every_lane_and_an_r_that_is_no_point_is_malformed() {
        let signer = Signer::new(5, EIGHT_TORSION[1]);
        let key = signer.key();
        // No x belongs to y = 2.
        let mut no_point = signer.sign(b"message", EIGHT_TORSION[0]);
        no_point[..32].fill(0);
        no_point[0] = 2;
        let good = signer.sign(b"message", EIGHT_TORSION[2]);
        let bad = with_s_plus(good, &[1]);
        for count in [8, 9, 16, 17, 20, 21] {
            for place in 0..count {
                let mut signatures = vec![good; count];
                let mut expected = vec![Verdict::Valid; count];
                signatures[place] = bad;
                signatures[(place + 3) % count] = no_point;
                expected[place] = Verdict::InvalidSignature;
                expected[(place + 3) % count] = Verdict::MalformedSignature;
                let claims: Vec<_> = signatures
                    .iter()
                    .map(|signature| Claim::new(&key, b"message", signature).unwrap())
                    .collect();
                assert_eq!(settle(&claims), expected, "{count} {place}");
                for (claim, verdict) in claims.iter().zip(expected) {
                    assert_eq!(settle(std::slice::from_ref(claim)), [verdict]);
                }
            }
        }
    }

    #[test]
    fn keys_parsed_together_are_those_parsed_alone() {
        let honest = honest().public.compress().to_bytes();
        let (mut no_point, mut not_canonical) = ([0; 32], [0xff; 32]);
        no_point[0] = 2;
        not_canonical[31] = 0x7f;
        let small = EIGHT_TORSION.map(|point| point.compress().to_bytes());
        let mut encoded: Vec<&[u8]> = vec![&honest, &no_point, &honest[..31], &not_canonical];
        encoded.extend(small.iter().map(|small| &small[..]));
        for _ in 0..encoded.len() {
            encoded.rotate_left(1);
            for (encoded, key) in encoded.iter().zip(Key::new_all(&encoded)) {
                let alone = Key::new(encoded);
                assert_eq!(key.is_some(), *encoded == honest);
                assert_eq!(key.map(|key| *key.minus_a()), alone.map(|key| *key.minus_a()));
            }
        }
    }

    #[test]
    fn sums_of_multiples_in_lanes_are_those_of_the_scalars() {
        let l_minus_1 = -Scalar::ONE;
        let numbers: Vec<Scalar> =
            [0u128, 1, 7, 8, 9, 127, 128, 129, 255, u128::MAX, u128::MAX / 255]
                .map(Scalar::from)
                .into_iter()
                .chain([
                    l_minus_1,
                    l_minus_1 - Scalar::from(8u8),
                    Scalar::from_bytes_mod_order([0x7f; 32]),
                ])
                .collect();
        for count in [1, 2, 14, 100, 500] {
            let multiples = (0..count).map(|i| Scalar::from(3 * i as u64 + 1));
            let encoded: Vec<_> =
                multiples.clone().map(|m| EdwardsPoint::mul_base(&m).compress().0).collect();
            let Some(points) = entries::decode25519(&encoded) else { return };
            let points: Vec<_> = points.iter().map(|point| point.as_ref().unwrap()).collect();
            let high = entries::high25519(&points).unwrap();
            let factors: Vec<_> = (0..count).map(|i| numbers[i % numbers.len()]).collect();
            let sum: Scalar = factors.iter().zip(multiples).map(|(a, b)| a * b).sum();
            for (last, expected) in [(-sum, true), (Scalar::ONE - sum, false)] {
                let all = factors.iter().chain([&last]);
                let windows = lanes::Windows::new(count, false);
                let scalars: Vec<_> =
                    all.clone().map(|scalar| windows.scalar(scalar.as_bytes())).collect();
                let whole = [&points[..], &[&lanes::BASE]].concat();
                assert_eq!(entries::is_small25519(windows, &whole, &scalars), Some(expected));
                let windows = lanes::Windows::new(count, true);
                let scalars: Vec<_> =
                    all.flat_map(|scalar| windows.scalar(scalar.as_bytes()).halves()).collect();
                let mut halves: Vec<_> =
                    points.iter().zip(&high).flat_map(|(&point, high)| [point, high]).collect();
                halves.extend([&lanes::BASE, &lanes::BASE_HIGH]);
                assert_eq!(entries::is_small25519(windows, &halves, &scalars), Some(expected));
            }
        }
    }
}
