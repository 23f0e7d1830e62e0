//! Keys on NIST's curves that come again, and the combs (nist_trees) that they get.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::group::{Equation, Point};
use crate::instructions::has_ifma;
use crate::keys;
use crate::modular::Words;
use crate::nist_trees::{CHUNK, Comb, Item};
use crate::windows::Shape;

/// After this many uses a key gets its small comb, which costs about as much as one verification by
/// AWS-LC to make, and more than halves the cost of every later one.
const USES_BEFORE_SMALL: u32 = 2;
/// Of the size that word tables have: 4 KB on P-256. With 28 doublings.
const SMALL: Shape = Shape { width: 4, classes: 8 };

/// After this many uses a key gets its full comb, if there is room: making it costs as much as some
/// 30 verifications by the small one, and it spares about a third of each.
const USES_BEFORE_FULL: u32 = 128;
/// Without doublings. The first keys get a wide one (88 KB on P-256), others a narrow one (53 KB), each
/// while all full combs take no more than its bound: wide ones of 95 keys on P-256, 42 on P-384 or 20
/// on P-521, then narrow ones, by default of some 1,100, 480 or 230, in a quarter of the keys' memory.
const WIDE: Shape = Shape { width: 6, classes: 1 };
const NARROW: Shape = Shape { width: 5, classes: 1 };
const WIDE_BYTES: usize = 8 << 20;

/// Fewer are verified one by one: they would share the tree's inversions with too few others.
const LEAST_FOR_TREE: usize = 8;

static FULL_BYTES: AtomicUsize = AtomicUsize::new(0);

/// A public key's point, with the combs that it gets when it comes again.
pub struct KnownKey<const N: usize> {
    pub point: Point<N>,
    uses: AtomicU32,
    small: OnceLock<Option<Comb<N>>>,
    full: OnceLock<Kept<N>>,
}

/// A full comb, which counts among all of them while it is kept.
struct Kept<const N: usize>(Comb<N>);

impl<const N: usize> Kept<N> {
    fn bytes(shape: Shape, bits: usize) -> usize {
        shape.points(bits) * 16 * N
    }

    /// None if there is no room for it.
    fn new(point: &Point<N>) -> Option<Self> {
        let bits = point.group.order.bits();
        let fits = |&(shape, bound): &_| reserve(&FULL_BYTES, Self::bytes(shape, bits), bound);
        let (shape, _) =
            [(WIDE, WIDE_BYTES), (NARROW, keys::tables_bytes() / 4)].into_iter().find(fits)?;
        let comb = Comb::new(point.group, &point.point, shape);
        if comb.is_none() {
            FULL_BYTES.fetch_sub(Self::bytes(shape, bits), Ordering::Relaxed);
        }
        comb.map(Self)
    }
}

impl<const N: usize> Drop for Kept<N> {
    fn drop(&mut self) {
        let bytes = Self::bytes(self.0.shape, self.0.order_bits);
        FULL_BYTES.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Returns whether so many bytes more stay within the bound; if so, they are counted.
fn reserve(counted: &AtomicUsize, bytes: usize, bound: usize) -> bool {
    let fits = counted.fetch_add(bytes, Ordering::Relaxed) + bytes <= bound;
    if !fits {
        counted.fetch_sub(bytes, Ordering::Relaxed);
    }
    fits
}

impl<const N: usize> KnownKey<N> {
    pub fn new(point: Point<N>) -> Self {
        let (small, full) = (OnceLock::new(), OnceLock::new());
        Self { point, uses: AtomicU32::new(0), small, full }
    }

    /// Returns the size in bytes of the small tables. Full combs are counted and bounded by themselves.
    pub fn tables_bytes(&self) -> usize {
        let small = SMALL.points(self.point.group.order.bits()) * 16 * N;
        let is_kept = !has_ifma() || Self::HAS_COMB_BESIDE_LANES;
        Point::<N>::lane_table_bytes() + if is_kept { small } else { 0 }
    }

    /// A signature that finds no company for the lanes goes to AWS-LC on P-256, which it is fast at:
    /// there the memory holds more keys instead.
    const HAS_COMB_BESIDE_LANES: bool = N > 4;

    /// Returns the best comb that the key has, and counts a use. None for the first uses.
    pub fn comb(&self) -> Option<&Comb<N>> {
        let uses = self.uses.fetch_add(1, Ordering::Relaxed);
        if uses < USES_BEFORE_SMALL {
            return None;
        }
        if uses >= USES_BEFORE_FULL
            && !has_ifma()
            && let Some(full) = self.full()
        {
            return Some(&full.0);
        }
        let small = || Comb::new(self.point.group, &self.point.point, SMALL);
        self.small.get_or_init(small).as_ref()
    }

    /// Returns the full comb, made now if it is not there. None while there is no room: a later use asks
    /// again.
    fn full(&self) -> Option<&Kept<N>> {
        self.full.get().or_else(|| {
            let kept = Kept::new(&self.point)?;
            Some(self.full.get_or_init(|| kept))
        })
    }

    /// Returns whether r and s, both from 1 to n − 1, sign this digest, which is no longer than n
    /// (FIPS 186-5, section 6.4.2). None for the key's first uses.
    pub fn holds(&self, digest: &Words<N>, r: &Words<N>, s: &Words<N>) -> Option<bool> {
        if has_ifma() && !Self::HAS_COMB_BESIDE_LANES {
            return None;
        }
        let (group, comb) = (self.point.group, self.comb()?);
        let inverse = group.order.invert(&group.order.encode(s))?;
        let Equation { u, v, .. } = self.point.equation(digest, r, &inverse);
        Some(group.has_x(&group.comb_sum(&Item { u, v, comb }), r))
    }

    /// Returns whether a signature is verified faster with others: new keys are in lanes only.
    pub fn gains_by_company(&self) -> bool {
        has_ifma() || self.uses.load(Ordering::Relaxed) >= USES_BEFORE_SMALL
    }
}

/// Returns for each equation of one curve, by its key's comb, whether it holds. None without a comb.
pub fn hold_by_combs<const N: usize>(
    equations: &[Equation<N>],
    combs: &[Option<&Comb<N>>],
) -> Vec<Option<bool>> {
    let mut answers = vec![None; equations.len()];
    let mut known: Vec<_> =
        (0..equations.len()).filter_map(|at| combs[at].map(|comb| (at, comb))).collect();
    known.sort_by_key(|(_, comb)| comb.shape);
    let of_one_shape = known.chunk_by(|(_, a), (_, b)| a.shape == b.shape);
    for chunk in of_one_shape.flat_map(|known| known.chunks(CHUNK)) {
        let group = equations[chunk[0].0].key.group;
        let item = |&(at, comb): &_| {
            let &Equation { u, v, .. }: &Equation<N> = &equations[at];
            Item { u, v, comb }
        };
        let items: Vec<_> = chunk.iter().map(item).collect();
        let sums = (items.len() >= LEAST_FOR_TREE).then(|| group.comb_sums(&items)).flatten();
        let sums = sums.unwrap_or_else(|| items.iter().map(|item| group.comb_sum(item)).collect());
        for (&(at, _), sum) in chunk.iter().zip(&sums) {
            answers[at] = Some(group.has_x(sum, &equations[at].r));
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::algorithm::{Curve, Encoding, Verdict};
    use crate::aws_lc::{EcdsaKey, Signed};
    use crate::ecdsa_claims;
    use crate::group::Group;
    use crate::nist::{P256, P384, P521};
    use crate::testing::{Random, big, words};

    /// A curve with the sizes of its numbers and digests in bytes.
    struct Sizes<const N: usize> {
        curve: Curve,
        group: &'static Group<N>,
        number: usize,
        digest: usize,
    }

    /// A digest and a signature over it.
    type Made = (Vec<u8>, Vec<u8>);

    fn padded(number: &BigUint, size: usize) -> Vec<u8> {
        let digits = number.to_bytes_be();
        [vec![0; size - digits.len()], digits].concat()
    }

    impl<const N: usize> Sizes<N> {
        fn n(&self) -> BigUint {
            big(&self.group.order.words)
        }

        fn key(&self, secret: &BigUint) -> EcdsaKey {
            let (x, y) = self.group.base_times(&words(secret)).unwrap();
            let [x, y] = [x, y].map(|number| padded(&big(&number), self.number));
            EcdsaKey::new(self.curve, &[vec![4], x, y].concat()).unwrap()
        }

        /// A signature for which a verifier sums u times the base point and v times the key's, if the
        /// digest that this takes has a digest's length; None otherwise.
        fn made(&self, secret: &BigUint, u: &BigUint, v: &BigUint) -> Option<Made> {
            let n = self.n();
            let sum = (u + v * secret) % &n;
            let x =
                self.group.base_times(&words(&sum)).map_or(BigUint::from(1u32), |(x, _)| big(&x));
            let r = x % &n;
            let s = &r * v.modinv(&n).unwrap() % &n;
            let digest = u * &s % &n;
            let fits = digest.bits() <= 8 * self.digest as u64;
            let signature = [padded(&r, self.number), padded(&s, self.number)].concat();
            fits.then(|| (padded(&digest, self.digest), signature))
        }

        /// A signature of a random digest.
        fn random(&self, secret: &BigUint, random: &mut Random) -> Made {
            let n = self.n();
            let digest: Words<N> = random.words();
            let digest = big(&digest) >> (64 * N - 8 * self.digest);
            let nonce = random.below(&self.group.order.words);
            let r = big(&self.group.base_times(&nonce).unwrap().0) % &n;
            let s = big(&nonce).modinv(&n).unwrap() * (&digest + &r * secret) % &n;
            let signature = [padded(&r, self.number), padded(&s, self.number)].concat();
            (padded(&digest, self.digest), signature)
        }

        /// The verdicts together, by keys used so often, once they are AWS-LC's and those of one by one.
        #[track_caller]
        fn verdicts(&self, made: &[(BigUint, Vec<Made>)], uses: u32) -> Vec<Verdict> {
            let keys: Vec<_> = made.iter().map(|(secret, _)| self.key(secret)).collect();
            let (mut claims, mut expected) = (Vec::new(), Vec::new());
            for (key, (secret, signatures)) in keys.iter().zip(made) {
                for (place, (digest, signature)) in signatures.iter().enumerate() {
                    let signed = Signed::Digest(digest);
                    let of_new_key = self.key(secret).verify(Encoding::P1363, signed, signature);
                    expected.push(of_new_key);
                    for _ in 0..if place == 0 { uses } else { 1 } {
                        let verdict = key.verify(Encoding::P1363, signed, signature);
                        assert_eq!(verdict, of_new_key);
                    }
                    claims.extend(key.claim(Encoding::P1363, signed, signature));
                }
            }
            let found = ecdsa_claims::settle(&claims);
            assert_eq!(found, expected);
            found
        }

        fn check_places(&self) {
            let mut random = Random::new(11);
            let secrets = [7, 8].map(|seed| big(&Random::new(seed).below(&self.group.order.words)));
            let mut made = secrets.map(|secret| {
                let signatures = (0..35).map(|_| self.random(&secret, &mut random)).collect();
                (secret, signatures)
            });
            let good = self.verdicts(&made, USES_BEFORE_SMALL);
            assert!(good.iter().all(|&verdict| verdict == Verdict::Valid));
            for bad in [0, 1, 7, 8, 34, 35, 63, 64, 69] {
                let flip = |made: &mut [(BigUint, Vec<Made>); 2]| {
                    let byte = bad % self.digest;
                    made[bad / 35].1[bad % 35].0[byte] ^= 1 << (bad % 8);
                };
                flip(&mut made);
                let found = self.verdicts(&made, 2);
                flip(&mut made);
                let is_bad = |place| found[place] == Verdict::InvalidSignature;
                assert!((0..70).all(|place| is_bad(place) == (place == bad)));
            }
        }

        /// Sums in which halves are equal, opposite, or infinite together, and digits at their ends, by
        /// small combs and full ones.
        fn check_edges(&self, uses: u32) {
            let (one, n) = (BigUint::from(1u32), self.n());
            let small = [1u32, 2, 3, 15, 16, 17, 31, 256, 257].map(BigUint::from);
            let mut scalars: Vec<_> = small.iter().flat_map(|k| [k.clone(), &n - k]).collect();
            scalars.extend([&one << (n.bits() - 1), (&one << (n.bits() - 1)) - 1u32]);
            let mut tried = 0;
            for secret in small[..3].iter().flat_map(|k| [k.clone(), &n - k]) {
                let mut signatures = Vec::new();
                for u in scalars.iter().chain([&BigUint::ZERO]) {
                    for v in scalars.iter().step_by(3) {
                        signatures.extend(self.made(&secret, u, v));
                    }
                }
                tried += signatures.len();
                self.verdicts(&[(secret, signatures)], uses);
            }
            assert!(tried > 50, "{tried}");
        }
    }

    macro_rules! for_each_curve {
        ($($check:tt)*) => {
            let (p256, p384, p521): (&Group<4>, &Group<6>, &Group<9>) = (&P256, &P384, &P521);
            Sizes { curve: Curve::P256, group: p256, number: 32, digest: 32 }.$($check)*;
            Sizes { curve: Curve::P384, group: p384, number: 48, digest: 48 }.$($check)*;
            Sizes { curve: Curve::P521, group: p521, number: 66, digest: 64 }.$($check)*;
        };
    }

    #[test]
    fn a_bad_signature_is_found_at_every_edge_of_a_chunk() {
        for_each_curve!(check_places());
    }

    #[test]
    fn keys_and_scalars_at_the_edges_have_aws_lc_s_verdicts() {
        for_each_curve!(check_edges(USES_BEFORE_SMALL));
    }

    #[test]
    fn full_combs_at_the_edges_have_aws_lc_s_verdicts() {
        for_each_curve!(check_edges(USES_BEFORE_FULL));
    }

    #[test]
    fn full_combs_are_counted_while_they_are_kept() {
        let (x, y) = P384.base_times(&Random::new(14).below(&P384.order.words)).unwrap();
        let kept = Kept::new(&Point::new(&P384, P384.point(&x, &y).unwrap())).unwrap();
        let counted = FULL_BYTES.load(Ordering::Relaxed);
        assert!((Kept::<6>::bytes(NARROW, 384)..=keys::tables_bytes() / 4).contains(&counted));
        drop(kept);
    }

    #[test]
    fn bytes_past_the_bound_are_not_reserved_and_not_counted() {
        let counted = AtomicUsize::new(0);
        assert!(reserve(&counted, 9, 10));
        assert!(!reserve(&counted, 2, 10) && reserve(&counted, 1, 10));
        assert_eq!(counted.into_inner(), 10);
    }
}
