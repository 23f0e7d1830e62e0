//! ECDSA signatures gathered to be verified together: in lanes, or by combs where there are none.

use aws_lc_rs::digest::Digest;

use crate::algorithm::{Encoding, Verdict};
use crate::aws_lc::{EcdsaKey, Signed, verdict};
use crate::group::{FEWEST_IN_LANES, hold_in_lanes};
use crate::instructions::has_ifma;
use crate::known_keys::{KnownKey, hold_by_combs};
use crate::modular::Words;
use crate::nist::{self, Key};
use crate::nist_trees::{CHUNK, Comb};

/// What verifies a signature by itself.
pub struct Alone<'a> {
    pub key: &'a EcdsaKey,
    pub encoding: Encoding,
    pub digest: Digest,
    pub signature: &'a [u8],
}

impl Alone<'_> {
    fn settle(&self) -> Verdict {
        self.key.verify(self.encoding, Signed::Digest(self.digest.as_ref()), self.signature)
    }
}

/// A well-formed signature.
pub enum Claim<'a> {
    P256(PointClaim<'a, 4>),
    P384(PointClaim<'a, 6>),
    P521(PointClaim<'a, 9>),
}

pub struct PointClaim<'a, const N: usize> {
    alone: Alone<'a>,
    key: &'a KnownKey<N>,
    /// The key's, where there are no lanes.
    comb: Option<&'a Comb<N>>,
    /// From 1 to n − 1.
    r: Words<N>,
    s: Words<N>,
}

impl<'a> Claim<'a> {
    /// Counts a use of the key. r and s are big-endian.
    pub fn new(key: &'a Key, alone: Alone<'a>, r: &[u8], s: &[u8]) -> Self {
        match key {
            Key::P256(key) => Self::P256(PointClaim::new(key, alone, r, s)),
            Key::P384(key) => Self::P384(PointClaim::new(key, alone, r, s)),
            Key::P521(key) => Self::P521(PointClaim::new(key, alone, r, s)),
        }
    }
}

impl<'a, const N: usize> PointClaim<'a, N> {
    fn new(key: &'a KnownKey<N>, alone: Alone<'a>, r: &[u8], s: &[u8]) -> Self {
        let comb = if has_ifma() {
            key.point.count_in_lanes();
            None
        } else {
            key.comb()
        };
        Self { alone, key, comb, r: nist::words(r), s: nist::words(s) }
    }
}

/// Threads get no smaller shares than this, which have most of the gain.
pub fn smallest_share() -> usize {
    if has_ifma() { 64 } else { CHUNK }
}

/// Returns one verdict for each claim, in order.
pub fn settle(claims: &[Claim]) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::InvalidSignature; claims.len()];
    let (mut p256, mut p384, mut p521) = (Vec::new(), Vec::new(), Vec::new());
    for (place, claim) in claims.iter().enumerate() {
        match claim {
            Claim::P256(claim) => p256.push((place, claim)),
            Claim::P384(claim) => p384.push((place, claim)),
            Claim::P521(claim) => p521.push((place, claim)),
        }
    }
    settle_points(&p256, &mut verdicts);
    settle_points(&p384, &mut verdicts);
    settle_points(&p521, &mut verdicts);
    verdicts
}

/// Sets the verdicts of the claims of one curve.
fn settle_points<'a, const N: usize>(
    claims: &[(usize, &'a PointClaim<'a, N>)],
    verdicts: &mut [Verdict],
) {
    let Some((_, first)) = claims.first() else { return };
    if has_ifma() && claims.len() < FEWEST_IN_LANES {
        // Before anything is made for lanes that will not be used.
        for (place, claim) in claims {
            verdicts[*place] = claim.alone.settle();
        }
        return;
    }
    let n = &first.key.point.group.order;
    let mut inverses: Vec<_> = claims.iter().map(|(_, claim)| n.encode(&claim.s)).collect();
    n.invert_all(&mut inverses).expect("s is neither 0 nor a multiple of the prime n");
    let equation = |((_, claim), inverse): (&(usize, &'a PointClaim<'a, N>), _)| {
        let digest = nist::words(claim.alone.digest.as_ref());
        claim.key.point.equation(&digest, &claim.r, inverse)
    };
    let equations: Vec<_> = claims.iter().zip(&inverses).map(equation).collect();
    let answers = if has_ifma() {
        hold_in_lanes(&equations)
    } else {
        hold_by_combs(&equations, &claims.iter().map(|(_, claim)| claim.comb).collect::<Vec<_>>())
    };
    for ((place, claim), holds) in claims.iter().zip(answers) {
        verdicts[*place] = holds.map_or_else(|| claim.alone.settle(), verdict);
    }
}

// In lanes, by each kind of table; combs of other machines have their tests in known_keys.
#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::algorithm;
    use crate::lanes::{USES_BEFORE_COMB, USES_BEFORE_SMALL};
    use crate::nist::P256;
    use crate::testing::{Random, big, hexadecimal, words};

    /// A key, and signatures by it over digests of any value.
    struct Made {
        key: EcdsaKey,
        /// The same key, compressed: such keys stay with AWS-LC.
        judge: EcdsaKey,
        signatures: Vec<([u8; 32], Vec<u8>)>,
    }

    fn padded(number: &BigUint) -> [u8; 32] {
        words::<4>(number).map(u64::to_be_bytes).into_iter().rev().collect::<Vec<_>>().concat()[..]
            .try_into()
            .unwrap()
    }

    fn made((x, y): &(Words<4>, Words<4>), signatures: Vec<([u8; 32], Vec<u8>)>) -> Made {
        let [x, y] = [x, y].map(|number| padded(&big(number)));
        let key = |point: &[u8]| EcdsaKey::new(algorithm::Curve::P256, point).unwrap();
        Made {
            key: key(&[&[4], &x[..], &y].concat()),
            judge: key(&[&[2 | y[31] & 1], &x[..]].concat()),
            signatures,
        }
    }

    fn n() -> BigUint {
        big(&P256.order.words)
    }

    fn inverse(number: &BigUint) -> BigUint {
        number.modinv(&n()).unwrap()
    }

    /// A signature for which a verifier sums u times the base point and v times the key's: its point
    /// has this x.
    fn signature(x: &BigUint, u: &BigUint, v: &BigUint) -> ([u8; 32], Vec<u8>) {
        let r = x % n();
        let s = &r * inverse(v) % n();
        let digest = u * &s % n();
        (padded(&digest), [padded(&r), padded(&s)].concat())
    }

    /// The verdicts in lanes, by each kind of table, once they are AWS-LC's.
    #[track_caller]
    fn verdicts(made: &[Made]) -> Vec<Verdict> {
        let mut claims = Vec::new();
        let mut expected = Vec::new();
        for Made { key, judge, signatures } in made {
            for (digest, signature) in signatures {
                let signed = Signed::Digest(digest);
                expected.push(judge.verify(Encoding::P1363, signed, signature));
                claims.extend(key.claim(Encoding::P1363, signed, signature));
            }
        }
        if claims.is_empty() {
            assert!(!has_ifma());
            return Vec::new();
        }
        for uses in [0, USES_BEFORE_SMALL, USES_BEFORE_COMB] {
            for claim in &claims {
                let Claim::P256(claim) = claim else { unreachable!("the keys are P-256's") };
                (0..uses).for_each(|_| claim.key.point.count_in_lanes());
            }
            assert_eq!(settle(&claims), expected);
        }
        expected
    }

    fn random_made(random: &mut Random, count: usize) -> Made {
        let mut below_n = || big(&random.below(&P256.order.words));
        let secret = below_n();
        let public = P256.base_times(&words(&secret)).unwrap();
        let signatures = (0..count).map(|_| {
            let (u, v) = (below_n(), below_n());
            let (x, _) = P256.base_times(&words(&((&u + &v * &secret) % n()))).unwrap();
            signature(&big(&x), &u, &v)
        });
        made(&public, signatures.collect())
    }

    #[test]
    fn a_bad_signature_is_found_in_every_lane_and_group() {
        let mut random = Random::new(11);
        let mut made = [random_made(&mut random, 35), random_made(&mut random, 36)];
        let good = verdicts(&made);
        assert!(good.iter().all(|&verdict| verdict == Verdict::Valid));
        for bad in 0..good.len() {
            let flip = |made: &mut [Made; 2]| {
                made[bad / 35 % 2].signatures[bad % 35].0[bad % 32] ^= 1 << (bad % 8);
            };
            flip(&mut made);
            let found = verdicts(&made);
            assert_eq!(found.iter().filter(|&&verdict| verdict != Verdict::Valid).count(), 1);
            assert_eq!(found[bad / 35 % 2 * 35 + bad % 35], Verdict::InvalidSignature);
            flip(&mut made);
        }
    }

    /// Sums in which points of a pair are equal, opposite, or infinite, and digits at their ends.
    #[test]
    fn keys_and_scalars_at_the_edges_have_the_verdicts_of_aws_lc() {
        let one = BigUint::from(1_u32);
        let mut scalars: Vec<_> = [1_u32, 2, 3, 15, 16, 17, 255, 256, 257]
            .into_iter()
            .flat_map(|small| [BigUint::from(small), n() - small])
            .collect();
        scalars.push(&one << 255);
        scalars.push((&one << 255) - &one);
        for secret in (1_u32..=6).flat_map(|k| [BigUint::from(k), n() - k]) {
            let point = P256.base_times(&words(&secret)).unwrap();
            let mut signatures = Vec::new();
            for u in scalars.iter().chain([&BigUint::ZERO]) {
                for v in &scalars {
                    let sum = (u + v * &secret) % n();
                    let x = P256.base_times(&words(&sum)).map_or(one.clone(), |(x, _)| big(&x));
                    signatures.push(signature(&x, u, v));
                }
            }
            // A few of the special ones among others, and all of them together.
            let mut random = Random::new(12);
            for special in signatures.chunks(16) {
                verdicts(&[made(&point, special.to_vec()), random_made(&mut random, 8)]);
            }
        }
    }

    /// x is compared modulo n: it may be r + n, where that is below p.
    #[test]
    fn an_x_past_the_order_is_taken() {
        let p = big(&P256.curve.p.words);
        let b = hexadecimal("5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B");
        let y = |x: &BigUint| {
            let square = (x * x * x + (&p - 3_u32) * x + &b) % &p;
            let y = square.modpow(&((&p + 1_u32) >> 2), &p);
            (&y * &y % &p == square).then_some(y)
        };
        let mut x = n() + 1_u32;
        while y(&x).is_none() {
            x += 1_u32;
        }
        let point = P256.point(&words(&x), &words(&y(&x).unwrap())).unwrap();
        let table = P256.curve.table(&point, 5).unwrap();
        let mut random = Random::new(13);
        let signatures_of = |random: &mut Random| {
            // The key is 1/v times the point, less u/v times the base point.
            let [u, v] = [0; 2].map(|_| big(&random.below(&P256.order.words)));
            let w = inverse(&v);
            let less = (n() - &u) * &w % n();
            let sum = P256.curve.sum(&words(&less), P256.base_tables(), &words(&w), &table);
            let right = signature(&x, &u, &v);
            let mut wrong = right.clone();
            wrong.1[31] ^= 1;
            made(&P256.plain(&sum).unwrap(), vec![right, wrong])
        };
        let made: Vec<_> = (0..8).map(|_| signatures_of(&mut random)).collect();
        for pair in verdicts(&made).chunks(2) {
            assert_eq!(pair, [Verdict::Valid, Verdict::InvalidSignature]);
        }
    }
}
