//! ECDSA signatures on P-256 by keys that come again, gathered to be verified in step (p256_lanes).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use aws_lc_rs::digest::Digest;

use crate::algorithm::{Encoding, Verdict};
use crate::aws_lc::{EcdsaKey, Signed};
use crate::entries;
use crate::group::{Group, Point};
use crate::instructions::{Instructions, instructions};
use crate::modular::{Modulus, Words};
use crate::nist;
use crate::p256_lanes::{self, BASE_WIDTH, CHUNK, Comb, Curve, Item, KEY_WIDTH, Row};
use crate::weierstrass::Affine;

/// After this many uses a key gets a comb, which takes 0.7 ms to make: as long as fourteen of them by
/// AWS-LC.
const USES_BEFORE_COMB: u32 = 32;
/// Bytes of a key's comb, and what all combs may take: those of 1,250 keys.
const COMB_BYTES: usize = p256_lanes::windows(KEY_WIDTH) << (KEY_WIDTH - 1) << 6;
const ALL_COMBS_BYTES: usize = 64 << 20;
/// Threads get no smaller shares than this, which have most of the gain.
pub const SMALLEST_SHARE: usize = 64;
/// Fewer are verified one by one.
const FEWEST: usize = 8;

static COMBS_BYTES: AtomicUsize = AtomicUsize::new(0);

/// A key's comb, once it has come often enough.
#[derive(Default)]
pub struct Slot {
    uses: AtomicU32,
    comb: OnceLock<Option<Kept>>,
}

/// A comb that counts among all combs while it is kept.
struct Kept(Comb);

impl Kept {
    fn new(key: &Point<4>) -> Option<Self> {
        let total = COMBS_BYTES.fetch_add(COMB_BYTES, Ordering::Relaxed) + COMB_BYTES;
        let comb = if total <= ALL_COMBS_BYTES {
            comb(key.group, &key.point, KEY_WIDTH).map(Self)
        } else {
            None
        };
        if comb.is_none() {
            COMBS_BYTES.fetch_sub(COMB_BYTES, Ordering::Relaxed);
        }
        comb
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        COMBS_BYTES.fetch_sub(COMB_BYTES, Ordering::Relaxed);
    }
}

impl Slot {
    /// Counts a use; returns the comb once there is one.
    pub fn comb(&self, key: &Point<4>) -> Option<&Comb> {
        if instructions() < Instructions::Ifma
            || self.uses.fetch_add(1, Ordering::Relaxed) < USES_BEFORE_COMB
        {
            return None;
        }
        self.comb.get_or_init(|| Kept::new(key)).as_ref().map(|kept| &kept.0)
    }
}

/// 2²⁶⁰ and 2⁵²⁰ modulo p, encoded: what turns numbers into the lanes' form, and inverses.
struct Powers {
    r: Words<4>,
    r_squared: Words<4>,
}

impl Powers {
    /// Returns those of the one curve's p.
    fn of(p: &Modulus<4>) -> &'static Self {
        static POWERS: OnceLock<Powers> = OnceLock::new();
        POWERS.get_or_init(|| {
            let double = |number: Words<4>| p.add(&number, &number);
            let r = (0..260).fold(p.one(), |power, _| double(power));
            let r_squared = (0..260).fold(r, |power, _| double(power));
            Self { r, r_squared }
        })
    }
}

fn comb(group: &Group<4>, point: &Affine<4>, width: usize) -> Option<Comb> {
    let p = &group.curve.p;
    let powers = Powers::of(p);
    let points = group.curve.comb(point, width as u32, p256_lanes::windows(width))?;
    let row = |point: &Affine<4>| {
        let [x, y] = [&point.x, &point.y].map(|number| p.decode(&p.multiply(number, &powers.r)));
        Row([x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]])
    };
    Some(Comb::new(width, points.iter().map(row).collect()))
}

/// A well-formed signature by a key with a comb.
pub struct Claim<'a> {
    pub key: &'a EcdsaKey,
    pub point: &'a Point<4>,
    pub comb: &'a Comb,
    pub encoding: Encoding,
    pub digest: Digest,
    pub signature: &'a [u8],
    /// From 1 to n − 1.
    pub r: Words<4>,
    pub s: Words<4>,
}

impl Claim<'_> {
    /// Returns the verdict by itself.
    fn settle(&self) -> Verdict {
        self.key.verify(self.encoding, Signed::Digest(self.digest.as_ref()), self.signature)
    }
}

/// Returns one verdict for each claim, in order.
pub fn settle(claims: &[Claim]) -> Vec<Verdict> {
    claims.chunks(CHUNK).flat_map(settle_chunk).collect()
}

fn settle_chunk(claims: &[Claim]) -> Vec<Verdict> {
    let answers = if claims.len() < FEWEST { None } else { in_step(claims) };
    let Some(answers) = answers else {
        return claims.iter().map(Claim::settle).collect();
    };
    let verdict = |holds| if holds { Verdict::Valid } else { Verdict::InvalidSignature };
    answers.into_iter().map(verdict).collect()
}

/// Returns whether each signature holds. None where that is not decided in step.
fn in_step(claims: &[Claim]) -> Option<Vec<bool>> {
    static BASE: OnceLock<Comb> = OnceLock::new();
    let group = claims.first()?.point.group;
    let (p, n) = (&group.curve.p, &group.order);
    let base = BASE.get_or_init(|| {
        comb(group, group.base(), BASE_WIDTH).expect("no multiple of the base point is infinity")
    });
    let powers = Powers::of(p);
    let invert = |numbers: &[Words<4>; 8]| {
        let mut inverses = numbers.map(|number| p.encode(&number));
        p.invert_all(&mut inverses)?;
        Some(inverses.map(|inverse| p.decode(&p.multiply(&inverse, &powers.r_squared))))
    };
    let curve = Curve { order: n.words, base, invert: &invert, p: p.words };
    let mut inverses: Vec<_> = claims.iter().map(|claim| n.encode(&claim.s)).collect();
    n.invert_all(&mut inverses)?;
    let item = |(claim, inverse): (&_, &_)| {
        let Claim { comb, digest, r, .. }: &Claim = claim;
        let digest = nist::words(digest.as_ref());
        let [u, v] = [&digest, r].map(|number| n.reduce(&n.multiply(number, inverse)));
        Item { comb, u, v, r: *r }
    };
    let items: Vec<_> = claims.iter().zip(&inverses).map(item).collect();
    entries::p256_holds(&curve, &items)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::algorithm;
    use crate::nist::P256;
    use crate::testing::{Random, big, hexadecimal, words};

    /// A key, and signatures by it over digests of any value.
    struct Made {
        key: EcdsaKey,
        signatures: Vec<([u8; 32], Vec<u8>)>,
    }

    fn padded(number: &BigUint) -> [u8; 32] {
        words::<4>(number).map(u64::to_be_bytes).into_iter().rev().collect::<Vec<_>>().concat()[..]
            .try_into()
            .unwrap()
    }

    fn key((x, y): &(Words<4>, Words<4>)) -> EcdsaKey {
        let point = [&[4][..], &padded(&big(x)), &padded(&big(y))].concat();
        EcdsaKey::new(algorithm::Curve::P256, &point).unwrap()
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

    /// The verdicts in step, once they are those one by one.
    #[track_caller]
    fn verdicts(made: &[Made]) -> Vec<Verdict> {
        let mut claims = Vec::new();
        let mut expected = Vec::new();
        for Made { key, signatures } in made {
            for (digest, signature) in signatures {
                let claim = || key.claim(Encoding::P1363, Signed::Digest(digest), signature);
                // Enough uses to have a comb.
                let claim = (0..=USES_BEFORE_COMB).find_map(|_| claim());
                let Some(claim) = claim else { return Vec::new() };
                expected.push(claim.settle());
                claims.push(claim);
            }
        }
        let found = settle(&claims);
        assert_eq!(found, expected);
        found
    }

    fn random_made(random: &mut Random, count: usize) -> Made {
        let mut below_n = || big(&random.below(&P256.order.words));
        let secret = below_n();
        let key = key(&P256.base_times(&words(&secret)).unwrap());
        let signatures = (0..count).map(|_| {
            let (u, v) = (below_n(), below_n());
            let (x, _) = P256.base_times(&words(&((&u + &v * &secret) % n()))).unwrap();
            signature(&big(&x), &u, &v)
        });
        Made { key, signatures: signatures.collect() }
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
    fn keys_and_scalars_at_the_edges_have_the_same_verdicts_in_step() {
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
                let made = Made { key: key(&point), signatures: special.to_vec() };
                verdicts(&[made, random_made(&mut random, 8)]);
            }
        }
    }

    /// Zero times the base point is n times it, whose last two points are opposite.
    #[test]
    fn a_sum_of_opposite_points_is_not_decided_in_step() {
        let one = BigUint::from(1_u32);
        let point = P256.base_times(&words(&one)).unwrap();
        let (key, (digest, signature)) =
            (key(&point), signature(&big(&point.0), &BigUint::ZERO, &one));
        let claim = || key.claim(Encoding::P1363, Signed::Digest(&digest), &signature);
        let claims: Vec<_> = (0..16 + USES_BEFORE_COMB).filter_map(|_| claim()).collect();
        assert_eq!(in_step(&claims), None);
        assert!(settle(&claims).iter().all(|&verdict| verdict == Verdict::Valid));
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
            Made { key: key(&P256.plain(&sum).unwrap()), signatures: vec![right, wrong] }
        };
        let made: Vec<_> = (0..8).map(|_| signatures_of(&mut random)).collect();
        for pair in verdicts(&made).chunks(2) {
            assert_eq!(pair, [Verdict::Valid, Verdict::InvalidSignature]);
        }
    }

    #[test]
    fn combs_are_counted_while_they_are_kept() {
        let mut random = Random::new(14);
        let made = random_made(&mut random, 8);
        if verdicts(&[made]).is_empty() {
            return;
        }
        let point = P256.base_times(&random.below(&P256.order.words)).unwrap();
        let point = Point::new(&P256, P256.point(&point.0, &point.1).unwrap());
        let kept = Kept::new(&point).unwrap();
        assert!(COMBS_BYTES.load(Ordering::Relaxed) >= COMB_BYTES);
        assert_eq!(kept.0.bytes(), COMB_BYTES);
    }
}
