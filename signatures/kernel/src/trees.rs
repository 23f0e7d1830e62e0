//! Sums u·P + v·Q of many items of one group at once, by the scalar twin of the lanes' method.
//!
//! The looked-up points are summed by a binary tree of affine additions. An affine addition divides,
//! but all divisions of a level of all items share one inversion (Montgomery's trick), so that it
//! takes five products and a square, where a Jacobian one takes eight and three.
//!
//! Scalars have odd digits only, so that no digit is 0. The base point has a comb, all windows of
//! which are tabled; a key's tables have a point for each word of a scalar only, so the tree returns
//! a sum for each window of a word, and these are joined by doublings.
//!
//! No addition in the tree meets an equal or opposite point. What is added up are multiples of one
//! point by sums of odd digits of different places, so never by equal or opposite integers, and their
//! sums and differences are no multiples of the prime order q > 2^(64N − 3) either: for a key's
//! points, one for each word and with digits below 2⁵, they are below 2^(64N − 58); in the lower half
//! of the base point's comb below 2^(32N); in its upper half they are divisible by 2^(32N), which no
//! multiple of q below 2⁶⁴ᴺ < 8q is. The halves and the windows are joined by complete additions.

use crate::group::{COMB_WIDTH, Group, KEY_WIDTH};
use crate::modular::{Words, subtract};
use crate::weierstrass::{Affine, Jacobian, WordTables};

/// How many items' points are summed together: enough to share inversions, few enough for a cache.
pub const CHUNK: usize = 32;

/// Width of a key's windows: digits are odd and below 2⁵, as all in its tables.
const WIDTH: usize = KEY_WIDTH as usize - 1;
/// Windows of a word; the last one has four bits.
const WINDOWS: usize = 64_usize.div_ceil(WIDTH);

/// The sum u·P + v·Q that is asked for, and Q's tables.
pub struct Item<'a, const N: usize> {
    pub u: Words<N>,
    pub v: Words<N>,
    pub tables: &'a WordTables<N>,
}

/// A scalar, or its opposite if that is the odd one, as the sum of ±2ᵏ for all k below 64N.
struct Signs<const N: usize> {
    /// Bit k is set for +2ᵏ.
    bits: Words<N>,
    is_opposite: bool,
}

impl<const N: usize> Signs<N> {
    /// The sum of ±2ᵏ is twice the sum of the 2ᵏ with plus, less 2⁶⁴ᴺ − 1. For it to be the odd
    /// number 2h + 1, those with plus have to add up to 2⁶⁴ᴺ⁻¹ + h.
    fn new(scalar: &Words<N>, order: &Words<N>) -> Self {
        let is_opposite = scalar[0] & 1 == 0;
        let odd = if is_opposite { subtract(order, scalar).0 } else { *scalar };
        let next = |i: usize| odd.get(i + 1).copied().unwrap_or(1);
        Self { bits: std::array::from_fn(|i| odd[i] >> 1 | next(i) << 63), is_opposite }
    }

    /// Returns the digit of some bits within one word: its place among the odd numbers 1, 3, 5 …,
    /// and whether it is negative.
    fn digit(&self, word: usize, shift: usize, width: usize) -> (usize, bool) {
        let middle = 1 << (width - 1);
        let bits = (self.bits[word] >> shift) as usize & (2 * middle - 1);
        let is_negative = bits < middle;
        let place = if is_negative { middle - 1 - bits } else { bits - middle };
        (place, is_negative != self.is_opposite)
    }
}

impl<const N: usize> Group<N> {
    /// Returns the sum of one item.
    pub fn sum(&self, item: &Item<N>) -> Jacobian<N> {
        self.curve.sum_by_words(&item.u, self.base_tables(), &item.v, item.tables)
    }

    /// Returns the sum of each item, in order. None if points in the tree do meet their equals, as
    /// those of this group cannot.
    pub fn sums(&self, items: &[Item<N>]) -> Option<Vec<Jacobian<N>>> {
        let mut lengths = vec![4 * N; 2];
        lengths.resize(2 + WINDOWS, N);
        let mut points = Vec::with_capacity(items.len() * lengths.iter().sum::<usize>());
        for item in items {
            self.look_up(item, &mut points);
        }
        while lengths.iter().any(|&length| length > 1) {
            points = self.halve(&points, &lengths)?;
            for length in &mut lengths {
                *length = length.div_ceil(2);
            }
        }
        Some(points.chunks_exact(lengths.len()).map(|sums| self.join(sums)).collect())
    }

    /// Appends the points of the comb's windows, then of a key's first window in each word, of its
    /// second one in each …
    fn look_up(&self, item: &Item<N>, points: &mut Vec<Affine<N>>) {
        let signed = |point: &Affine<N>, is_negative: bool| {
            let y = if is_negative { self.curve.p.negate(&point.y) } else { point.y };
            Affine { x: point.x, y }
        };
        let u = Signs::new(&item.u, &self.order.words);
        for (window, multiples) in self.base_comb().chunks_exact(1 << (COMB_WIDTH - 1)).enumerate()
        {
            let (place, is_negative) = u.digit(window / 8, 8 * (window % 8), COMB_WIDTH as usize);
            points.push(signed(&multiples[place], is_negative));
        }
        let v = Signs::new(&item.v, &self.order.words);
        for shift in (0..64).step_by(WIDTH) {
            for (word, table) in item.tables.iter().enumerate() {
                let (place, is_negative) = v.digit(word, shift, WIDTH.min(64 - shift));
                points.push(signed(&table.multiples[place], is_negative));
            }
        }
    }

    /// Adds up neighbours in each run of points, whose lengths repeat for each item. The last of an
    /// odd number stays.
    fn halve(&self, points: &[Affine<N>], lengths: &[usize]) -> Option<Vec<Affine<N>>> {
        let p = &self.curve.p;
        let mut sums = Vec::with_capacity(points.len() / 2 + points.len() % 2);
        let (mut pairs, mut inverses) = (Vec::new(), Vec::new());
        let mut start = 0;
        for &length in lengths.iter().cycle() {
            if start == points.len() {
                break;
            }
            for at in (start..start + length).step_by(2) {
                if at + 1 < start + length {
                    pairs.push((at, sums.len()));
                    inverses.push(p.subtract(&points[at + 1].x, &points[at].x));
                }
                sums.push(points[at]);
            }
            start += length;
        }
        p.invert_all(&mut inverses)?;
        for ((at, sum), inverse) in pairs.into_iter().zip(&inverses) {
            let (left, right) = (&points[at], &points[at + 1]);
            let slope = p.multiply(&p.subtract(&right.y, &left.y), inverse);
            let x = p.subtract(&p.subtract(&p.square(&slope), &left.x), &right.x);
            let y = p.subtract(&p.multiply(&slope, &p.subtract(&left.x, &x)), &left.y);
            sums[sum] = Affine { x, y };
        }
        Some(sums)
    }

    /// Joins the sums of the comb's halves and of a key's windows, the lowest first.
    fn join(&self, sums: &[Affine<N>]) -> Jacobian<N> {
        let curve = &self.curve;
        let (halves, windows) = sums.split_at(2);
        let mut sum = curve.jacobian(&windows[WINDOWS - 1]);
        for window in windows[..WINDOWS - 1].iter().rev() {
            for _ in 0..WIDTH {
                sum = curve.double(&sum);
            }
            sum = curve.add(&sum, window);
        }
        halves.iter().fold(sum, |sum, half| curve.add(&sum, half))
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::gost_curves;
    use crate::testing::{Random, big, words};

    /// Scalars at the edges of digits, words and halves, next to 0 and to the order, and random ones.
    fn scalars<const N: usize>(group: &Group<N>) -> Vec<Words<N>> {
        let q = big(&group.order.words);
        let one = BigUint::from(1u32);
        let mut scalars = Vec::new();
        for bit in (0..64 * N - 2).step_by(7).chain([31, 32, 33, 63, 64, 32 * N - 1, 32 * N]) {
            let power = &one << bit;
            for near in [power.clone(), &power + 1u32, &power - 1u32] {
                scalars.extend([&near % &q, (&q - near % &q) % &q]);
            }
        }
        let mut scalars: Vec<Words<N>> = scalars.iter().map(words).collect();
        let mut random = Random::new(9);
        scalars.extend((0..20).map(|_| random.below(&group.order.words)));
        scalars
    }

    #[test]
    fn sums_are_those_of_single_items_for_every_scalar_and_key() {
        fn check<const N: usize>(group: &Group<N>) {
            let scalars = scalars(group);
            let q = big(&group.order.words);
            let keys = [1u32, 2, 3, 31, 255, 256].map(BigUint::from);
            let mut keys: Vec<_> = keys.iter().flat_map(|k| [k.clone(), &q - k]).collect();
            keys.push(big(&Random::new(3).below(&group.order.words)));
            let mut tables = Vec::new();
            for key in &keys {
                let (x, y) = group.base_times(&words(key)).unwrap();
                let point = group.point(&x, &y).unwrap();
                tables.push(group.curve.word_tables(&point, KEY_WIDTH).unwrap());
            }
            let mut items = Vec::new();
            for (at, u) in scalars.iter().enumerate() {
                for step in [0, 1, 2, 17, 100] {
                    let v = scalars[(at + step) % scalars.len()];
                    items.push(Item { u: *u, v, tables: &tables[(at + step) % tables.len()] });
                }
                // The sum of both is infinity by a key that is the base point, or its double.
                let opposite = words(&((&q - big(u)) % &q));
                items.push(Item { u: *u, v: opposite, tables: &tables[0] });
                items.push(Item { u: *u, v: *u, tables: &tables[0] });
            }
            for chunk in items.chunks(CHUNK) {
                let sums = group.sums(chunk).unwrap();
                assert_eq!(sums.len(), chunk.len());
                for (item, sum) in chunk.iter().zip(&sums) {
                    let expected = group.plain(&group.sum(item));
                    assert_eq!(group.plain(sum), expected, "{:?} {:?}", item.u, item.v);
                }
            }
        }
        for last in 1..=4 {
            check(gost_curves::of_256_bits(&[0x2a, 0x85, 3, 7, 1, 2, 1, 1, last]).unwrap());
        }
        for last in 1..=3 {
            check(gost_curves::of_512_bits(&[0x2a, 0x85, 3, 7, 1, 2, 1, 2, last]).unwrap());
        }
    }

    #[test]
    fn no_items_have_no_sums() {
        let group = gost_curves::of_256_bits(&[0x2a, 0x85, 3, 7, 1, 2, 1, 1, 2]).unwrap();
        assert!(group.sums(&[]).unwrap().is_empty());
    }
}
