//! Sums u·P + v·Q of many items of one curve at once, by tables with few doublings or without any:
//! what ECDSA in lanes does, for machines that have no lanes.
//!
//! As in `trees`, digits are odd, and points are added up by a binary tree of affine additions, which
//! share an inversion a level. A comb has the odd multiples of every window of a scalar, or of every
//! k-th one only: its classes are the windows that one table serves, with w·k doublings for all.
//!
//! No addition in the tree meets an equal or opposite point, whatever key and scalars somebody
//! chooses, so that no input makes a chunk slower. What is added up are multiples of one point by sums
//! of odd digits of different windows, A and B. The lowest digit is odd, so that A ± B is not 0. To be
//! a multiple of the order n, A ± B divided by its lowest window's power of 2 would have to be one too.
//! In one of several classes that is below n (Comb::new checks it); where there is one class, the
//! tree stops at two halves, in which it is below n as well: the lower half has only the lower windows,
//! and the upper one is divisible by their powers. Halves and classes are joined by complete
//! additions.

use crate::group::{COMB_WIDTH, Group};
use crate::modular::{Modulus, Words};
use crate::nist_primes::{multiply, square, subtract};
use crate::weierstrass::{Affine, Jacobian};
use crate::windows::{Digits, Shape};

/// How many items' points are summed together: enough to share inversions, few enough for a cache.
pub const CHUNK: usize = 32;

/// Products that do not wait for each other while a level's differences are multiplied up.
const CHAINS: usize = 4;

/// A point's odd multiples P, 3P, 5P … for the first window, then for the next one that has a table …
pub struct Comb<const N: usize> {
    pub shape: Shape,
    pub order_bits: usize,
    points: Vec<Affine<N>>,
}

impl<const N: usize> Comb<N> {
    /// None if a multiple is infinity, as none of a point of prime order is.
    pub fn new(group: &Group<N>, point: &Affine<N>, shape: Shape) -> Option<Self> {
        let Shape { width, classes } = shape;
        let bits = group.order.bits();
        let tables = shape.anchors(bits);
        let span = width * (classes * (tables - 1) + 1);
        assert!(classes == 1 || span < bits, "a class could reach the order");
        let step = (width * classes) as u32;
        let points = group.curve.spaced_comb(point, width as u32, step, tables)?;
        Some(Self { shape, order_bits: bits, points })
    }
}

/// The sum u·P + v·Q that is asked for, and Q's comb.
pub struct Item<'a, const N: usize> {
    pub u: Words<N>,
    pub v: Words<N>,
    pub comb: &'a Comb<N>,
}

/// Points of the same place of all items lie together, place after place; places of one run are summed.
struct Level<const N: usize> {
    items: usize,
    runs: Vec<usize>,
    points: Vec<Affine<N>>,
}

impl<const N: usize> Group<N> {
    /// Returns the sum of each item, in order; all combs have one shape. None if points in the tree do
    /// meet their equals, as they cannot.
    pub fn comb_sums(&self, items: &[Item<N>]) -> Option<Vec<Jacobian<N>>> {
        let Some(first) = items.first() else { return Some(Vec::new()) };
        let shape = first.comb.shape;
        let mut level = self.look_up_items(items, shape);
        // The base point's comb and one of a single class are summed to two halves.
        let class = if shape.classes == 1 { 2 } else { 1 };
        while level.runs[0] > 2 || level.runs[1..].iter().any(|&run| run > class) {
            level = level.halved(&self.curve.p, |run| if run == 0 { 2 } else { class })?;
        }
        let join = |place| {
            let points: Vec<_> = level.points.iter().skip(place).step_by(items.len()).collect();
            self.join_runs(shape.width, &level.runs, &points)
        };
        Some((0..items.len()).map(join).collect())
    }

    /// Returns the sum of one item by itself, with complete additions only.
    pub fn comb_sum(&self, item: &Item<N>) -> Jacobian<N> {
        let shape = item.comb.shape;
        let level = self.look_up_items(std::slice::from_ref(item), shape);
        self.join_runs(shape.width, &level.runs, &level.points.iter().collect::<Vec<_>>())
    }

    /// Returns the points of the base point's windows, then of each class, from the lowest window.
    fn look_up_items(&self, items: &[Item<N>], shape: Shape) -> Level<N> {
        let bits = self.order.bits();
        let base_shape = Shape { width: COMB_WIDTH as usize, classes: 1 };
        let (windows, base_windows) = (shape.windows(bits), base_shape.windows(bits));
        let mut runs = vec![base_windows];
        runs.extend((0..shape.classes).map(|class| (windows - class).div_ceil(shape.classes)));
        let zero = Affine { x: [0; N], y: [0; N] };
        let mut points = vec![zero; (base_windows + windows) * items.len()];
        for (place, item) in items.iter().enumerate() {
            let mut places = points.iter_mut().skip(place).step_by(items.len());
            self.look_up_windows(&item.u, self.base_comb(), base_shape, &mut places);
            self.look_up_windows(&item.v, &item.comb.points, shape, &mut places);
        }
        Level { items: items.len(), runs, points }
    }

    /// Stores the points of a scalar's windows, class after class.
    fn look_up_windows<'a>(
        &self,
        scalar: &Words<N>,
        points: &[Affine<N>],
        shape: Shape,
        places: &mut impl Iterator<Item = &'a mut Affine<N>>,
    ) {
        let Shape { width, classes } = shape;
        let windows = shape.windows(self.order.bits());
        let digits = Digits::new(scalar, &self.order.words);
        let order = (0..classes).flat_map(|class| (class..windows).step_by(classes));
        // `places` comes last: the iterator that ends first takes nothing from the other.
        for (window, place) in order.zip(places) {
            let (multiple, is_negative) = digits.digit(window, width, window == windows - 1);
            let point = &points[shape.place(window, multiple)];
            let negative = subtract(&[0; N], &point.y);
            let mask = u64::from(is_negative).wrapping_neg();
            let y = std::array::from_fn(|i| point.y[i] ^ (point.y[i] ^ negative[i]) & mask);
            *place = Affine { x: point.x, y };
        }
    }

    /// Adds up the base point's run and those of the classes, of which each is w doublings above the
    /// one before.
    fn join_runs(&self, width: usize, runs: &[usize], points: &[&Affine<N>]) -> Jacobian<N> {
        let curve = &self.curve;
        let (base, mut classes) = points.split_at(runs[0]);
        let mut sum = Jacobian { x: curve.p.one(), y: curve.p.one(), z: [0; N] };
        for (class, &run) in runs[1..].iter().enumerate().rev() {
            let (below, points) = classes.split_at(classes.len() - run);
            sum = points.iter().fold(sum, |sum, point| curve.add(&sum, point));
            if class > 0 {
                sum = (0..width).fold(sum, |sum, _| curve.double(&sum));
            }
            classes = below;
        }
        base.iter().fold(sum, |sum, point| curve.add(&sum, point))
    }
}

impl<const N: usize> Level<N> {
    /// Adds up neighbours in each run that is longer than it has to become; the last of an odd number
    /// stays. None if two of them are equal or opposite.
    fn halved(self, p: &Modulus<N>, shortest: impl Fn(usize) -> usize) -> Option<Self> {
        let Self { items, mut runs, points } = self;
        // (left, right, place of the sum), as places of all items.
        let (mut pairs, mut moved) = (Vec::new(), Vec::new());
        let (mut from, mut to) = (0, 0);
        for (index, run) in runs.iter_mut().enumerate() {
            let end = from + *run;
            let is_summed = *run > shortest(index);
            while from < end {
                if is_summed && from + 1 < end {
                    pairs.push((from, to));
                    from += 1;
                } else {
                    moved.push((from, to));
                }
                (from, to) = (from + 1, to + 1);
            }
            if is_summed {
                *run = run.div_ceil(2);
            }
        }
        let sides = |from: usize| points[from * items..][..2 * items].split_at(items);
        let mut differences = Vec::with_capacity(pairs.len() * items);
        for &(from, _) in &pairs {
            let (left, right) = sides(from);
            let both = left.iter().zip(right);
            differences.extend(both.map(|(left, right)| subtract(&right.x, &left.x)));
        }
        let inverses = inverses(p, differences)?;
        let mut sums = vec![Affine { x: [0; N], y: [0; N] }; to * items];
        for (&(from, to), inverses) in pairs.iter().zip(inverses.chunks_exact(items)) {
            let (left, right) = sides(from);
            let sums = &mut sums[to * items..][..items];
            for (((left, right), inverse), sum) in left.iter().zip(right).zip(inverses).zip(sums) {
                *sum = added(left, right, inverse);
            }
        }
        for (from, to) in moved {
            sums[to * items..][..items].copy_from_slice(&points[from * items..][..items]);
        }
        Some(Self { items, runs, points: sums })
    }
}

/// Returns the sum of two points, given the inverse of the difference of their x.
#[inline]
fn added<const N: usize>(left: &Affine<N>, right: &Affine<N>, inverse: &Words<N>) -> Affine<N> {
    let slope = multiply(&subtract(&right.y, &left.y), inverse);
    let x = subtract(&subtract(&square(&slope), &left.x), &right.x);
    let y = subtract(&multiply(&slope, &subtract(&left.x, &x)), &left.y);
    Affine { x, y }
}

/// Returns the inverses of encoded numbers, with one inversion for all. None if one is 0.
/// As Modulus::invert_all, but of several products at once, so that none waits for the one before.
fn inverses<const N: usize>(p: &Modulus<N>, mut numbers: Vec<Words<N>>) -> Option<Vec<Words<N>>> {
    let mut products = [p.one(); CHAINS];
    let mut before = Vec::with_capacity(numbers.len());
    for (place, number) in numbers.iter().enumerate() {
        let product = &mut products[place % CHAINS];
        before.push(*product);
        *product = multiply(product, number);
    }
    p.invert_all(&mut products)?;
    for (place, (number, before)) in numbers.iter_mut().zip(&before).enumerate().rev() {
        let inverse = &mut products[place % CHAINS];
        let next = multiply(inverse, number);
        *number = multiply(inverse, before);
        *inverse = next;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::nist;
    use crate::testing::{Random, big, words};

    const SHAPES: [Shape; 4] = [
        Shape { width: 4, classes: 8 },
        Shape { width: 4, classes: 1 },
        Shape { width: 5, classes: 1 },
        Shape { width: 6, classes: 1 },
    ];

    /// Scalars at the edges of digits, words and halves, next to 0 and to the order, and random ones.
    fn scalars<const N: usize>(group: &Group<N>) -> Vec<Words<N>> {
        let n = big(&group.order.words);
        let one = BigUint::from(1u32);
        let bits = group.order.bits();
        let mut scalars = vec![[0; N]];
        for bit in (0..bits).step_by(29).chain([4, 5, 6, 63, 64, 65, bits / 2, bits - 1]) {
            let power = &one << bit;
            for near in [power.clone(), &power + 1u32, &power - 1u32] {
                scalars.extend([&near % &n, (&n - near % &n) % &n].iter().map(words::<N>));
            }
        }
        let mut random = Random::new(9);
        scalars.extend((0..10).map(|_| random.below(&group.order.words)));
        scalars
    }

    /// Keys that are small multiples of the base point, for which both sums meet; their opposites;
    /// and a random one.
    fn keys<const N: usize>(group: &Group<N>) -> Vec<Affine<N>> {
        let n = big(&group.order.words);
        let keys = [1u32, 2, 3, 31, 256].map(BigUint::from);
        let mut keys: Vec<_> = keys.iter().flat_map(|k| [k.clone(), &n - k]).collect();
        keys.push(big(&Random::new(3).below(&group.order.words)));
        let point = |key| {
            let (x, y) = group.base_times(&words(key)).unwrap();
            group.point(&x, &y).unwrap()
        };
        keys.iter().map(point).collect()
    }

    fn check<const N: usize>(group: &Group<N>) {
        let (scalars, keys) = (scalars(group), keys(group));
        let n = big(&group.order.words);
        let tables = keys.iter().map(|key| group.curve.table(key, 5).unwrap());
        let tables: Vec<_> = tables.collect();
        for shape in SHAPES {
            let combs = keys.iter().map(|key| Comb::new(group, key, shape).unwrap());
            let combs: Vec<_> = combs.collect();
            assert!(combs.iter().all(|comb| comb.points.len() == shape.points(group.order.bits())));
            let mut items = Vec::new();
            for (at, u) in scalars.iter().enumerate() {
                for step in [0, 1, 17] {
                    let v = scalars[(at + step) % scalars.len()];
                    items.push((*u, v, (at + step) % keys.len()));
                }
                // The sum of both is infinity by the key that is the base point, or its double.
                let opposite = words(&((&n - big(u)) % &n));
                items.extend([(*u, opposite, 0), (*u, *u, 0)]);
            }
            for chunk in items.chunks(CHUNK) {
                let item = |&(u, v, key): &_| Item { u, v, comb: &combs[key] };
                let asked: Vec<_> = chunk.iter().map(item).collect();
                let sums = group.comb_sums(&asked).unwrap();
                assert_eq!(sums.len(), chunk.len());
                for ((item, sum), (u, v, key)) in asked.iter().zip(&sums).zip(chunk) {
                    let expected = group.curve.sum(u, group.base_tables(), v, &tables[*key]);
                    let expected = group.plain(&expected);
                    assert_eq!(group.plain(sum), expected, "{shape:?} {u:x?} {v:x?} {key}");
                    assert_eq!(group.plain(&group.comb_sum(item)), expected);
                }
            }
        }
        assert!(group.comb_sums(&[]).unwrap().is_empty());
    }

    #[test]
    fn sums_are_right_for_every_scalar_key_and_shape_on_p256() {
        check(&nist::P256);
    }

    #[test]
    fn sums_are_right_for_every_scalar_key_and_shape_on_p384() {
        check(&nist::P384);
    }

    #[test]
    fn sums_are_right_for_every_scalar_key_and_shape_on_p521() {
        check(&nist::P521);
    }
}
