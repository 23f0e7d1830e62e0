//! Groups of prime order on curves, and public keys in them with tables for those that come again.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

#[cfg(target_arch = "x86_64")]
use crate::instructions::has_ifma;
#[cfg(target_arch = "x86_64")]
use crate::lanes::{self, LaneTables, Lanes};
use crate::modular::{self, Modulus, Words, is_below};
use crate::primes::Prime;
use crate::weierstrass::{Affine, Curve, Jacobian, WordTables};

/// Window width of the base point's tables: each of a word's has 64 points.
const BASE_WIDTH: u32 = 8;

/// Window width of the base point's comb: each window of the order has 128 points.
pub const COMB_WIDTH: u32 = 8;

/// After this many uses a key gets word tables. They cost about as much as one verification to
/// make, and halve the cost of every later one.
const USES_BEFORE_TABLES: u32 = 2;
/// Window width of a key's tables: each of a word's has 16 points.
pub const KEY_WIDTH: u32 = 6;

pub struct Group<const N: usize> {
    pub curve: Curve<N>,
    pub order: Modulus<N>,
    pub cofactor: u32,
    base: Affine<N>,
    base_tables: OnceLock<WordTables<N>>,
    base_comb: OnceLock<Vec<Affine<N>>>,
    #[cfg(target_arch = "x86_64")]
    pub lanes: Option<Lanes<N>>,
}

impl<const N: usize> Group<N> {
    /// Builds a group from its cofactor and p, a, b, q and the base point's x, y in hexadecimal.
    pub fn new(cofactor: u32, [p, a, b, q, x, y]: [&str; 6]) -> Self {
        let curve = Curve::new(parse(p), parse(a), parse(b));
        let base = Affine { x: curve.p.encode(&parse(x)), y: curve.p.encode(&parse(y)) };
        let order = Modulus::new(parse(q));
        let (base_tables, base_comb) = (OnceLock::new(), OnceLock::new());
        Self {
            curve,
            order,
            cofactor,
            base,
            base_tables,
            base_comb,
            #[cfg(target_arch = "x86_64")]
            lanes: None,
        }
    }

    /// Gives the group its arithmetic in lanes, by the prime of its curve.
    pub fn with_prime<P: Prime<N, L>, const L: usize>(self) -> Self {
        #[cfg(target_arch = "x86_64")]
        return Self { lanes: Some(Lanes::new::<P, L>()), ..self };
        #[cfg(not(target_arch = "x86_64"))]
        return self;
    }

    #[cfg(target_arch = "x86_64")]
    pub fn base(&self) -> &Affine<N> {
        &self.base
    }

    pub fn base_tables(&self) -> &WordTables<N> {
        self.base_tables.get_or_init(|| {
            let tables = self.curve.word_tables(&self.base, BASE_WIDTH);
            tables.expect("no small multiple of the base point is infinity")
        })
    }

    /// Returns the odd multiples of 2⁸ʲ times the base point, for each window j of a scalar.
    pub fn base_comb(&self) -> &[Affine<N>] {
        self.base_comb.get_or_init(|| {
            let windows = self.order.bits().div_ceil(COMB_WIDTH as usize);
            let comb = self.curve.comb(&self.base, COMB_WIDTH, windows);
            comb.expect("no small multiple of the base point is infinity")
        })
    }

    /// Returns the point with these coordinates. None unless they are below p and on the curve.
    pub fn point(&self, x: &Words<N>, y: &Words<N>) -> Option<Affine<N>> {
        let p = &self.curve.p;
        let point = Affine { x: p.encode(x), y: p.encode(y) };
        let is_point = is_below(x, &p.words) && is_below(y, &p.words) && self.curve.has(&point);
        is_point.then_some(point)
    }

    /// Returns whether a number is from 1 to q − 1, as r and s of a signature must be.
    pub fn has_scalar(&self, number: &Words<N>) -> bool {
        *number != [0; N] && is_below(number, &self.order.words)
    }

    /// Returns whether the point's x is r modulo q. To avoid dividing X by Z², it compares X with
    /// r·Z², (r + q)·Z² … for every candidate below p.
    pub fn has_x(&self, point: &Jacobian<N>, r: &Words<N>) -> bool {
        let (p, q) = (&self.curve.p, &self.order);
        let z_square = p.square(&point.z);
        let (mut x, mut is_past) = (*r, p.is_zero(&point.z));
        while !is_past && is_below(&x, &p.words) {
            if p.equals(&p.multiply(&p.encode(&x), &z_square), &point.x) {
                return true;
            }
            (x, is_past) = modular::add(&x, &q.words);
        }
        false
    }
}

/// Parses the hexadecimal digits of a curve's constant.
fn parse<const N: usize>(digits: &str) -> Words<N> {
    let mut number = [0; N];
    for (word, digits) in number.iter_mut().zip(digits.as_bytes().rchunks(16)) {
        let value = |digit: u8| char::from(digit).to_digit(16).expect("a hexadecimal digit");
        *word = digits.iter().fold(0, |word, &digit| word << 4 | u64::from(value(digit)));
    }
    number
}

/// A public key's point, which gets tables after USES_BEFORE_TABLES uses.
pub struct Point<const N: usize> {
    pub group: &'static Group<N>,
    pub point: Affine<N>,
    uses: AtomicU32,
    tables: OnceLock<Option<WordTables<N>>>,
    #[cfg(target_arch = "x86_64")]
    pub lane_tables: LaneTables<N>,
}

impl<const N: usize> Point<N> {
    /// Returns the size in bytes of the tables that the key may get, a comb excepted, which is counted
    /// by itself.
    pub fn tables_bytes() -> usize {
        Self::lane_table_bytes() + N * 16 * N * 16
    }

    /// Returns the size in bytes of the table that lanes keep of a key; 0 where there are none.
    pub fn lane_table_bytes() -> usize {
        #[cfg(target_arch = "x86_64")]
        if has_ifma() {
            return lanes::small_bytes::<N>();
        }
        0
    }

    /// Returns the equation of an ECDSA signature (FIPS 186-5, section 6.4.2), given the inverse of s,
    /// encoded.
    pub fn equation(&self, digest: &Words<N>, r: &Words<N>, inverse: &Words<N>) -> Equation<'_, N> {
        let n = &self.group.order;
        // An encoded factor and a plain one make a plain product.
        let [u, v] = [digest, r].map(|number| n.reduce(&n.multiply(number, inverse)));
        Equation { key: self, u, v, r: *r }
    }

    /// Counts a use in lanes.
    pub fn count_in_lanes(&self) {
        #[cfg(target_arch = "x86_64")]
        self.lane_tables.count();
    }

    pub fn new(group: &'static Group<N>, point: Affine<N>) -> Self {
        Self {
            group,
            point,
            uses: AtomicU32::new(0),
            tables: OnceLock::new(),
            #[cfg(target_arch = "x86_64")]
            lane_tables: Default::default(),
        }
    }

    /// Returns Q's tables, and counts a use. None for the first uses, when there are none yet.
    pub fn tables(&self) -> Option<&WordTables<N>> {
        if self.uses.fetch_add(1, Ordering::Relaxed) < USES_BEFORE_TABLES {
            return None;
        }
        let tables = || self.group.curve.word_tables(&self.point, KEY_WIDTH);
        self.tables.get_or_init(tables).as_ref()
    }
}

/// A signature that holds if u times the base point plus v times the key's point has an x that is r
/// modulo the order. u and v are below the order, r is from 1 to the order less 1.
pub struct Equation<'a, const N: usize> {
    pub key: &'a Point<N>,
    pub u: Words<N>,
    pub v: Words<N>,
    pub r: Words<N>,
}

/// Fewer equations of one group than this are not decided in lanes.
pub const FEWEST_IN_LANES: usize = 4;

/// Returns for each equation of one group, in order, whether it holds. None where that is not decided
/// in lanes.
pub fn hold_in_lanes<const N: usize>(equations: &[Equation<N>]) -> Vec<Option<bool>> {
    #[cfg(target_arch = "x86_64")]
    if has_ifma() {
        return lanes::hold(equations);
    }
    vec![None; equations.len()]
}

#[cfg(test)]
pub mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::gost_curves;
    use crate::testing::{Random, big, words};

    /// TC26's paramSetA of 256 bits: cofactor 4, so that q is about p/4.
    const COFACTOR_4: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x02, 0x01, 0x01, 0x01];
    /// TC26's paramSetB of 256 bits: a prime number of points.
    const COFACTOR_1: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x02, 0x01, 0x01, 0x02];

    impl<const N: usize> Group<N> {
        /// Returns k times the base point in plain coordinates; None for infinity.
        pub fn base_times(&self, k: &Words<N>) -> Option<(Words<N>, Words<N>)> {
            let base = self.curve.table(&self.base, 5).unwrap();
            self.plain(&self.curve.multiple(k, &base))
        }

        /// Returns a point's plain coordinates; None for infinity.
        pub fn plain(&self, point: &Jacobian<N>) -> Option<(Words<N>, Words<N>)> {
            let p = &self.curve.p;
            let inverse = p.invert(&point.z)?;
            let square = p.square(&inverse);
            let x = p.multiply(&point.x, &square);
            let y = p.multiply(&point.y, &p.multiply(&square, &inverse));
            Some((p.decode(&x), p.decode(&y)))
        }
    }

    impl<const N: usize> Point<N> {
        /// Returns u·P + v·Q for the group's base point P and this point Q, and counts the use.
        fn sum(&self, u: &Words<N>, v: &Words<N>) -> Option<Jacobian<N>> {
            let tables = self.tables()?;
            Some(self.group.curve.sum_by_words(u, self.group.base_tables(), v, tables))
        }
    }

    /// Asserts what holds for the right constants, and hardly for wrong ones.
    pub fn assert_group_of_prime_order<const N: usize>(group: &Group<N>) {
        let (p, q) = (big(&group.curve.p.words), big(&group.order.words));
        for prime in [&p, &q] {
            let one = BigUint::from(1u32);
            assert_eq!(BigUint::from(2u32).modpow(&(prime - 1u32), prime), one, "no prime");
        }
        let (x, y) = group.base_times(&words(&BigUint::from(1u32))).unwrap();
        assert!(group.point(&x, &y).is_some(), "the base point is not on the curve");
        assert_eq!(group.base_times(&group.order.words), None);
        // (q − 1)·P = −P.
        let opposite = words(&(&p - big(&y)));
        assert_eq!(group.base_times(&words(&(&q - 1u32))), Some((x, opposite)));
        // Hasse: the number of points is within 2√p of p + 1.
        let (points, middle) = (q * group.cofactor, &p + 1u32);
        let apart = if points > middle { points - middle } else { middle - points };
        assert!(&apart * &apart <= p * 4u32, "the cofactor is another");
    }

    #[test]
    fn hexadecimal_digits_fill_words_from_the_lowest() {
        assert_eq!(parse("1"), [1, 0]);
        assert_eq!(parse("0A0000000000000002"), [2, 10]);
        assert_eq!(parse("ffffffffffffffff0000000000000000"), [0, u64::MAX]);
    }

    #[test]
    fn coordinates_off_the_curve_or_not_below_p_are_no_point() {
        let group = gost_curves::of_256_bits(COFACTOR_1).unwrap();
        let (x, y) = group.base_times(&words(&BigUint::from(5u32))).unwrap();
        assert!(group.point(&x, &y).is_some());
        assert!(group.point(&y, &x).is_none());
        // paramSetB's p is 617 less than 2²⁵⁶, and its base point's x is 1.
        let (x, y) = group.base_times(&words(&BigUint::from(1u32))).unwrap();
        let x_plus_p = words(&(big(&x) + big(&group.curve.p.words)));
        assert!(group.point(&x, &y).is_some());
        assert!(group.point(&x_plus_p, &y).is_none());
    }

    #[test]
    fn scalars_are_from_1_to_q_less_1() {
        let group = gost_curves::of_256_bits(COFACTOR_4).unwrap();
        let q = big(&group.order.words);
        for (number, expected) in [
            (BigUint::from(0u32), false),
            (BigUint::from(1u32), true),
            (&q - 1u32, true),
            (q.clone(), false),
            (&q + 1u32, false),
        ] {
            assert_eq!(group.has_scalar(&words(&number)), expected, "{number}");
        }
    }

    #[test]
    fn a_point_s_x_is_compared_modulo_q() {
        let group = gost_curves::of_256_bits(COFACTOR_4).unwrap();
        let q = big(&group.order.words);
        let base = group.curve.table(&group.base, 5).unwrap();
        let mut random = Random::new(5);
        let mut is_past_q = false;
        for _ in 0..20 {
            let k = random.below(&group.order.words);
            let point = group.curve.multiple(&k, &base);
            let (x, _) = group.plain(&point).unwrap();
            let r = big(&x) % &q;
            assert!(group.has_x(&point, &words(&r)));
            assert!(!group.has_x(&point, &words(&((&r + 1u32) % &q))));
            is_past_q |= big(&x) >= q;
        }
        assert!(is_past_q, "no x needed a reduction");
    }

    #[test]
    fn infinity_has_no_x_whatever_stands_in_its_place() {
        let group = gost_curves::of_256_bits(COFACTOR_4).unwrap();
        let infinity = Jacobian { x: [0; 4], y: group.curve.p.one(), z: [0; 4] };
        assert!(!group.has_x(&infinity, &[0; 4]));
    }

    #[test]
    fn a_key_gets_tables_at_its_third_use_and_the_same_sums_by_them() {
        let group = gost_curves::of_256_bits(COFACTOR_4).unwrap();
        let mut random = Random::new(6);
        let (x, y) = group.base_times(&random.below(&group.order.words)).unwrap();
        let point = group.point(&x, &y).unwrap();
        let table = group.curve.table(&point, 5).unwrap();
        let key = Point::new(group, point);
        for use_ in 0..10 {
            let (u, v) = (random.below(&group.order.words), random.below(&group.order.words));
            let sum = key.sum(&u, &v);
            assert_eq!(sum.is_some(), use_ >= USES_BEFORE_TABLES);
            let Some(sum) = sum else { continue };
            let expected = group.curve.sum(&u, group.base_tables(), &v, &table);
            assert_eq!(group.plain(&sum), group.plain(&expected));
        }
    }

    /// u·P + v·(k·P) = (u + vk)·P, on a curve of each length: by tables of words, of 64 doublings,
    /// against a plain multiple, of as many as the order has bits.
    #[test]
    fn sums_by_tables_of_words_are_multiples_of_the_base_point() {
        fn check<const N: usize>(group: &Group<N>) {
            let q = big(&group.order.words);
            let mut random = Random::new(7);
            let last: Words<N> = words(&(&q - 1u32));
            for [u, v, k] in [
                [random.below(&last), random.below(&last), random.below(&last)],
                [last, last, last],
                [last, words(&BigUint::from(1u32)), words(&BigUint::from(1u32))],
                [[0; N], random.below(&last), last],
                [random.below(&last), [0; N], random.below(&last)],
            ] {
                let (x, y) = group.base_times(&k).unwrap();
                let point = group.point(&x, &y).unwrap();
                let table = group.curve.table(&point, 5).unwrap();
                let tables = group.curve.word_tables(&point, KEY_WIDTH).unwrap();
                let expected = group.base_times(&words(&((big(&u) + big(&v) * big(&k)) % &q)));
                let sum = group.curve.sum(&u, group.base_tables(), &v, &table);
                let by_words = group.curve.sum_by_words(&u, group.base_tables(), &v, &tables);
                assert_eq!(group.plain(&sum), expected);
                assert_eq!(group.plain(&by_words), expected);
            }
        }
        check(gost_curves::of_256_bits(COFACTOR_4).unwrap());
        check(gost_curves::of_512_bits(&[0x2a, 0x85, 3, 7, 1, 2, 1, 2, 1]).unwrap());
    }
}
