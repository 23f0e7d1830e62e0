//! Sums u·G + v·Q on curves, eight items in step, by AVX-512 IFMA.
//!
//! Digits are odd (see windows), so that all lanes go in step. A table has the odd multiples of
//! 2ʷᶜʲ·Q for each j, where w is the width of a window and C the number of classes: the windows of each
//! class c, those numbered Cj + c, are summed by affine additions, and the classes' sums are joined by w
//! doublings each, the highest first. With one class nothing is doubled; with as many classes as windows
//! the table has the odd multiples of Q only. The base point has one class, whose points are summed with
//! class 0.
//!
//! An affine addition takes five products and a square, and one division, which all additions of a round
//! share. Points are summed in chains, each of which adds one of its points a round, and the chains'
//! sums pairwise: of few chains the points stay in the cache, of many a division has small shares.
//! Where two points of a pair have the same x there is no such sum: the item is refused, its lane goes
//! on with another number, and nobody else is disturbed. Where an addition of a sum of doubled points
//! meets the same or the opposite one, its Z becomes and stays 0, and the item is refused at the end.
//!
//! Nothing here is secret, so the time may vary. Numbers in comments are bounds as multiples of p; see
//! number_lanes.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use crate::group::Group;
use crate::modular::{self, Modulus, Words};
use crate::number_lanes::{LANES, Number};
use crate::primes::Prime;
use crate::rows::{row, transpose, words};
use crate::windows::{Digits, Shape};

/// How many groups of eight share divisions: beyond these nothing is gained.
const TOGETHER: usize = 16;
/// What chains take of the cache, each by its sum, a point to add, and a division. Each of a chunk's
/// groups has as many chains as there is room for.
const CHAINS_BYTES: usize = 1 << 19;

/// How many products of many numbers are multiplied up side by side: one alone would wait for each
/// product's last step before the next one's first.
const PRODUCTS: usize = 4;
/// How many points are added side by side.
const BLOCK: usize = 4;

/// A line of the cache. A point is x and y, below p and in Montgomery's form, in lines of its own.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; LANES]);

/// The lines of a point of nine words.
const MOST_LINES: usize = 3;

const fn lines<const N: usize>() -> usize {
    (2 * N).div_ceil(LANES)
}

/// Returns the bytes of a table of this shape, for scalars of so many bits.
pub const fn table_bytes<const N: usize>(shape: Shape, bits: usize) -> usize {
    shape.points(bits) * lines::<N>() * size_of::<Line>()
}

/// Odd multiples of a point: those of its lowest anchor first, each anchor's lowest first.
pub struct Table<const N: usize> {
    pub shape: Shape,
    lines: Box<[Line]>,
    words: PhantomData<Words<N>>,
}

impl<const N: usize> Table<N> {
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }
}

/// One signature: the base point times u plus the table's point times v should have an x that is r
/// modulo the order.
pub struct Item<'a, const N: usize> {
    pub table: &'a Table<N>,
    /// Below the order.
    pub u: Words<N>,
    pub v: Words<N>,
    /// From 1 to the order less 1.
    pub r: Words<N>,
}

/// What the arithmetic has to know of a group.
pub struct Constants<const N: usize> {
    /// Bits of the order, and of all scalars.
    pub bits: usize,
    /// 2⁵²ᴸ squared, which makes Montgomery's form of a number.
    into: Words<N>,
    /// What brings the inverse of a Montgomery form by `Modulus` into Montgomery's form.
    of_inverse: Words<N>,
    /// The curve's a, in Montgomery's form. None for −3.
    a: Option<Words<N>>,
    one: Words<N>,
}

impl<const N: usize> Constants<N> {
    /// Of a group whose numbers have so many limbs.
    pub fn new(group: &Group<N>, limbs: usize) -> Self {
        let p = &group.curve.p;
        let shifted = |number: Words<N>| (0..52 * limbs).fold(number, |n, _| p.add(&n, &n));
        let one = shifted(std::array::from_fn(|word| u64::from(word == 0)));
        let into = shifted(one);
        let in_form = |encoded: &Words<N>| p.reduce(&shifted(p.decode(encoded)));
        Self {
            bits: group.order.bits(),
            into: p.reduce(&into),
            // decode divides twice by what encode multiplies with: once for a number that was taken
            // as encoded, and once for its inverse.
            of_inverse: p.decode(&p.decode(&shifted(into))),
            a: group.curve.a_unless_minus_3().map(in_form),
            one: p.reduce(&one),
        }
    }
}

/// A point in each lane. Both coordinates are below 1.6.
#[derive(Clone, Copy)]
struct Affine<P: Prime<N, L>, const N: usize, const L: usize> {
    x: Number<P, N, L>,
    y: Number<P, N, L>,
}

/// x = X/Z², y = Y/Z³; X and Y are below 1.6, Z below 1.4.
#[derive(Clone, Copy)]
struct Jacobian<P: Prime<N, L>, const N: usize, const L: usize> {
    x: Number<P, N, L>,
    y: Number<P, N, L>,
    z: Number<P, N, L>,
}

/// The group's numbers in lanes.
struct Field<'a, P: Prime<N, L>, const N: usize, const L: usize> {
    p: &'a Modulus<N>,
    one: Number<P, N, L>,
    of_inverse: Number<P, N, L>,
    into: Number<P, N, L>,
    a: Option<Number<P, N, L>>,
}

impl<'a, P: Prime<N, L>, const N: usize, const L: usize> Field<'a, P, N, L> {
    #[target_feature(enable = "avx512f")]
    fn new(group: &'a Group<N>, constants: &Constants<N>) -> Self {
        Self {
            p: &group.curve.p,
            one: Number::splat(&constants.one),
            of_inverse: Number::splat(&constants.of_inverse),
            into: Number::splat(&constants.into),
            a: constants.a.as_ref().map(|a| Number::splat(a)),
        }
    }

    /// Replaces numbers by their inverses, which are below 1.6. False, with the numbers as they were,
    /// if one is 0 in a lane. They are below 6. `upto` becomes as long as they are many.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn invert_all(&self, numbers: &mut [Number<P, N, L>], upto: &mut Vec<Number<P, N, L>>) -> bool {
        // The product of each and those before it in its column: below 1.6, since 1.6 · 6 / 16 + 1 is.
        upto.resize(numbers.len(), self.one);
        for place in 0..numbers.len() {
            upto[place] = match place.checked_sub(PRODUCTS) {
                Some(before) => upto[before].times(&numbers[place]),
                None => numbers[place],
            };
        }
        let mut products = [self.one; PRODUCTS];
        for (place, product) in upto.iter().enumerate().rev().take(PRODUCTS) {
            products[place % PRODUCTS] = *product;
        }
        let Some(mut inverses) = self.invert_products(&products) else { return false };
        for place in (0..numbers.len()).rev() {
            let inverse = &mut inverses[place % PRODUCTS];
            if let Some(before) = place.checked_sub(PRODUCTS) {
                let next = inverse.times(&numbers[place]);
                numbers[place] = inverse.times(&upto[before]);
                *inverse = next;
            } else {
                numbers[place] = *inverse;
            }
        }
        true
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn invert_products(
        &self,
        products: &[Number<P, N, L>; PRODUCTS],
    ) -> Option<[Number<P, N, L>; PRODUCTS]> {
        let [a, b, c, d] = products;
        let (ab, cd) = (a.times(b), c.times(d));
        let mut inverses = ab.times(&cd).to_words();
        self.p.invert_all(&mut inverses)?;
        let inverse = Number::from_words(&inverses.map(|n| self.p.reduce(&n)));
        let inverse = inverse.times(&self.of_inverse);
        let (of_ab, of_cd) = (inverse.times(&cd), inverse.times(&ab));
        Some([of_ab.times(b), of_ab.times(a), of_cd.times(d), of_cd.times(c)])
    }

    /// Returns a point's double, by the inverse of 2y.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn double_affine(&self, point: &Affine<P, N, L>, inverse: &Number<P, N, L>) -> Affine<P, N, L> {
        let square = point.x.raw_square().scaled::<3>();
        let numerator = match &self.a {
            Some(a) => square.plus(a).carried(),
            None => square.minus_raw(&self.one.raw().scaled::<3>()).lifted(3).carried(),
        };
        let slope = numerator.times(inverse);
        let x = slope.raw_square().minus(&point.x).minus(&point.x).settled();
        let across = point.x.minus(&x).positive();
        let y = slope.raw_product(&across).minus(&point.y).settled();
        Affine { x, y }
    }

    /// Doubles a point: dbl-2001-b of the Explicit-Formulas Database for a = −3, dbl-1998-cmo-2 for
    /// others. A Z of 0 stays.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn double(&self, Jacobian { x, y, z }: &Jacobian<P, N, L>) -> Jacobian<P, N, L> {
        let (delta, gamma) = (z.square(), y.square());
        let alpha = match &self.a {
            None => x.minus(&delta).positive().raw_product(&x.plus(&delta).carried()).scaled::<3>(),
            Some(a) => {
                let fourth = a.times(&delta.square());
                x.raw_square().scaled::<3>().plus(&fourth)
            }
        };
        let alpha = alpha.carried();
        let beta = x.raw_product(&gamma).scaled::<4>().carried();
        let x3 = alpha.raw_square().minus(&beta).minus(&beta).settled();
        let across = beta.minus(&x3).positive();
        let gammas = gamma.raw_square().scaled::<8>();
        let y3 = alpha.raw_product(&across).minus_raw(&gammas).settled();
        Jacobian { x: x3, y: y3, z: y.raw_product(z).scaled::<2>().carried() }
    }

    /// Adds an affine point. Where it is the same or the opposite one, Z becomes 0; a Z of 0 stays.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add(
        &self,
        Jacobian { x, y, z }: &Jacobian<P, N, L>,
        right: &Affine<P, N, L>,
    ) -> Jacobian<P, N, L> {
        let square = z.square();
        let h = right.x.raw_product(&square).minus(x).positive();
        let r = right.y.raw_product(&z.times(&square)).minus(y).positive();
        let h_square = h.square();
        let h_cube = h.times(&h_square);
        let v = x.times(&h_square);
        let x3 = r.raw_square().minus(&h_cube).minus(&v).minus(&v).settled();
        let across = v.minus(&x3).positive();
        let y3 = r.raw_product(&across).minus_raw(&y.raw_product(&h_cube)).settled();
        Jacobian { x: x3, y: y3, z: z.times(&h) }
    }

    /// Adds to the first point of each pair the second one. Marks the lanes that have no sum of the
    /// groups, of which the first points' places follow each other.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add_pairs(&self, scratch: &mut Scratch<P, N, L>, refused: &mut [__mmask8]) {
        let Scratch { points, pairs, inverses, others } = scratch;
        inverses.resize(pairs.len(), self.one);
        for (&(left, right), difference) in pairs.iter().zip(&mut *inverses) {
            *difference = points[right].x.minus(&points[left].x).positive();
        }
        if !self.invert_all(inverses, others) {
            for (&(left, _), difference) in pairs.iter().zip(&mut *inverses) {
                let zeros = difference.zeros();
                refused[left % refused.len()] |= zeros;
                *difference = difference.blend(zeros, &self.one);
            }
            let all = self.invert_all(inverses, others);
            debug_assert!(all, "what is 0 was replaced");
        }
        // Step by step side by side, since each step alone would wait for the last.
        let blocks = inverses.chunks_mut(BLOCK).zip(others.chunks_mut(BLOCK));
        for (pairs, (slopes, across)) in pairs.chunks(BLOCK).zip(blocks) {
            for (&(left, right), slope) in pairs.iter().zip(&mut *slopes) {
                *slope = points[right].y.minus(&points[left].y).positive().times(slope);
            }
            for ((&(left, right), slope), across) in pairs.iter().zip(&*slopes).zip(&mut *across) {
                let [left_x, right_x] = [&points[left].x, &points[right].x];
                let x = slope.raw_square().minus(left_x).minus(right_x).settled();
                *across = left_x.minus(&x).positive();
                points[left].x = x;
            }
            for ((&(left, _), slope), across) in pairs.iter().zip(slopes).zip(across) {
                let y = &mut points[left].y;
                *y = slope.raw_product(across).minus(y).settled();
            }
        }
    }
}

/// What sums are made of, kept for the next ones.
struct Scratch<P: Prime<N, L>, const N: usize, const L: usize> {
    points: Vec<Affine<P, N, L>>,
    /// Places of points that are added.
    pairs: Vec<(usize, usize)>,
    inverses: Vec<Number<P, N, L>>,
    others: Vec<Number<P, N, L>>,
}

impl<P: Prime<N, L>, const N: usize, const L: usize> Default for Scratch<P, N, L> {
    fn default() -> Self {
        let (points, pairs) = (Vec::new(), Vec::new());
        Self { points, pairs, inverses: Vec::new(), others: Vec::new() }
    }
}

/// Returns for each item whether its sum has its x; None if that is not decided. All items' tables
/// have one shape.
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn holds<P: Prime<N, L>, const N: usize, const L: usize>(
    group: &Group<N>,
    constants: &Constants<N>,
    base: &Table<N>,
    items: &[Item<N>],
) -> Vec<Option<bool>> {
    let Some(first) = items.first() else { return Vec::new() };
    let field = Field::<P, N, L>::new(group, constants);
    let layout = Layout::new(constants.bits, base.shape, first.table.shape);
    let mut scratch = Scratch::default();
    let mut answers = Vec::with_capacity(items.len());
    for items in items.chunks(LANES * TOGETHER) {
        let order = &group.order.words;
        answers.extend(hold_together(&field, &layout, order, base, items, &mut scratch));
    }
    answers
}

/// A window of the base point or of a key.
#[derive(Clone, Copy)]
enum Window {
    OfBase(usize),
    OfKey(usize),
}

/// Which windows are summed by affine additions.
struct Layout {
    bits: usize,
    shape: Shape,
    /// The base point's and class 0's, class 1's … Where each class has one window, those of the others
    /// are looked up when they are needed.
    runs: Vec<Vec<Window>>,
}

impl Layout {
    fn new(bits: usize, base: Shape, shape: Shape) -> Self {
        let classes = if shape.anchors(bits) > 1 { shape.classes } else { 1 };
        let of_class = |class| (class..shape.windows(bits)).step_by(shape.classes);
        let mut runs: Vec<Vec<_>> =
            (0..classes).map(|class| of_class(class).map(Window::OfKey).collect()).collect();
        runs[0].extend((0..base.windows(bits)).map(Window::OfBase));
        Self { bits, shape, runs }
    }

    /// Returns in how many rounds the windows are looked up for chains of so many groups.
    fn rounds<T>(&self, groups: usize) -> usize {
        // A chain takes its sum, a point to add, and two numbers for the division.
        let most = CHAINS_BYTES / (3 * size_of::<T>()) / groups;
        let windows: usize = self.runs.iter().map(Vec::len).sum();
        windows.div_ceil(most.max(1))
    }
}

/// As holds, with the same divisions for all.
#[target_feature(enable = "avx512f,avx512ifma")]
fn hold_together<P: Prime<N, L>, const N: usize, const L: usize>(
    field: &Field<P, N, L>,
    layout: &Layout,
    order: &Words<N>,
    base: &Table<N>,
    items: &[Item<N>],
    scratch: &mut Scratch<P, N, L>,
) -> Vec<Option<bool>> {
    let &Layout { bits, shape, ref runs } = layout;
    let groups = items.len().div_ceil(LANES);
    // Lanes without an item repeat the last one.
    let lane = |group: usize, at: usize| &items[(LANES * group + at).min(items.len() - 1)];
    let (mut u, mut v) = (Vec::with_capacity(groups), Vec::with_capacity(groups));
    for group in 0..groups {
        u.push(LaneDigits::new(std::array::from_fn(|at| &lane(group, at).u), order));
        v.push(LaneDigits::new(std::array::from_fn(|at| &lane(group, at).v), order));
    }
    let look_up = |window, group: usize, point: &mut Affine<P, N, L>| match window {
        Window::OfBase(window) => u[group].look_up(window, bits, |_| base, point),
        Window::OfKey(window) => {
            v[group].look_up(window, bits, |at| lane(group, at).table, point);
        }
    };
    let rounds = layout.rounds::<Affine<P, N, L>>(groups);
    let chains: Vec<_> = runs.iter().flat_map(|run| run.chunks(rounds)).collect();
    // The sums of a chain's groups lie together; behind all sums, points to be added to each.
    let sums = chains.len() * groups;
    scratch.points.resize(2 * sums, Affine { x: field.one, y: field.one });
    let mut refused = vec![0; groups];
    for round in 0..rounds {
        scratch.pairs.clear();
        for (chain, windows) in chains.iter().enumerate() {
            let Some(&window) = windows.get(round) else { continue };
            for group in 0..groups {
                let sum = chain * groups + group;
                let place = if round == 0 { sum } else { sums + sum };
                look_up(window, group, &mut scratch.points[place]);
                scratch.pairs.push((sum, place));
            }
        }
        if round > 0 {
            field.add_pairs(scratch, &mut refused);
        }
    }
    let firsts = sum_chains(field, runs, rounds, groups, scratch, &mut refused);
    let points = &scratch.points;
    let mut answers = Vec::with_capacity(groups * LANES);
    for group in 0..groups {
        let sum_of = |class: usize| {
            let mut point = points[firsts.get(class).unwrap_or(&0) + group];
            if class >= firsts.len() {
                look_up(Window::OfKey(class), group, &mut point);
            }
            point
        };
        let highest = sum_of(shape.classes - 1);
        let mut sum = Jacobian { x: highest.x, y: highest.y, z: field.one };
        for class in (0..shape.classes - 1).rev() {
            for _ in 0..shape.width {
                sum = field.double(&sum);
            }
            sum = field.add(&sum, &sum_of(class));
        }
        let z_square = sum.z.square();
        refused[group] |= z_square.zeros();
        let candidates = std::array::from_fn(|at| lane(group, at).r);
        let holds = field.has_x(&sum.x, &z_square, candidates, order);
        for at in 0..LANES {
            let bit = 1 << at;
            answers.push((refused[group] & bit == 0).then_some(holds & bit != 0));
        }
    }
    answers.truncate(items.len());
    answers
}

/// Sums up the chains of each run, pairwise. Returns the place of each run's sum of the first group.
#[target_feature(enable = "avx512f,avx512ifma")]
fn sum_chains<P: Prime<N, L>, const N: usize, const L: usize>(
    field: &Field<P, N, L>,
    runs: &[Vec<Window>],
    rounds: usize,
    groups: usize,
    scratch: &mut Scratch<P, N, L>,
    refused: &mut [__mmask8],
) -> Vec<usize> {
    let mut firsts = Vec::with_capacity(runs.len());
    let mut next = 0;
    for run in runs {
        let count = run.len().div_ceil(rounds);
        firsts.push((groups * next, count));
        next += count;
    }
    let longest = firsts.iter().map(|&(_, count)| count).max().unwrap_or(0);
    let mut stride = 1;
    while stride < longest {
        scratch.pairs.clear();
        for &(first, count) in &firsts {
            for chain in (0..count.saturating_sub(stride)).step_by(2 * stride) {
                let place = |chain: usize| first + chain * groups;
                let of_group = |group| (place(chain) + group, place(chain + stride) + group);
                scratch.pairs.extend((0..groups).map(of_group));
            }
        }
        field.add_pairs(scratch, refused);
        stride *= 2;
    }
    firsts.into_iter().map(|(first, _)| first).collect()
}

impl<P: Prime<N, L>, const N: usize, const L: usize> Field<'_, P, N, L> {
    /// Returns in which lanes x is r modulo the order, times z²: r, r plus the order, and so on, as
    /// long as that is below p.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn has_x(
        &self,
        x: &Number<P, N, L>,
        z_square: &Number<P, N, L>,
        mut candidates: [Words<N>; LANES],
        order: &Words<N>,
    ) -> __mmask8 {
        let mut holds = 0;
        let mut possible: __mmask8 = 0xff;
        while possible != 0 {
            let expected = Number::from_words(&candidates).times(&self.into);
            holds |= possible & expected.raw_product(z_square).minus(x).positive().zeros();
            for (at, candidate) in candidates.iter_mut().enumerate() {
                let (next, is_past) = modular::add(candidate, order);
                if is_past || !modular::is_below(&next, &self.p.words) {
                    possible &= !(1 << at);
                } else {
                    *candidate = next;
                }
            }
        }
        holds
    }
}

/// The digits of a scalar in each lane: see windows::Digits.
struct LaneDigits<const N: usize> {
    half: [__m512i; N],
    opposite: __mmask8,
}

impl<const N: usize> LaneDigits<N> {
    #[target_feature(enable = "avx512f")]
    fn new(scalars: [&Words<N>; LANES], order: &Words<N>) -> Self {
        let digits = scalars.map(|scalar| Digits::new(scalar, order));
        let mut half = [_mm512_setzero_si512(); N];
        for (word, half) in half.iter_mut().enumerate() {
            *half = row(&digits.each_ref().map(|digits| digits.half[word]));
        }
        let opposite = (0..LANES).fold(0, |mask, at| mask | u8::from(digits[at].is_opposite) << at);
        Self { half, opposite }
    }

    /// Returns each lane's place in a table of this shape, and where the point there is to be negated:
    /// Digits::digit and Shape::place.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn places(&self, window: usize, shape: Shape, bits: usize) -> ([u64; LANES], __mmask8) {
        let all = |bits: usize| _mm512_set1_epi64(bits as i64);
        let middle = 1 << (shape.width - 1);
        let (word, shift) = (window * shape.width / 64, window * shape.width % 64);
        let mut digits = _mm512_srl_epi64(self.half[word], _mm_cvtsi64_si128(shift as i64));
        if word + 1 < N {
            let left = _mm_cvtsi64_si128(64 - shift as i64);
            digits = _mm512_or_si512(digits, _mm512_sll_epi64(self.half[word + 1], left));
        }
        if window + 1 == shape.windows(bits) {
            digits = _mm512_or_si512(digits, all(middle));
        }
        let negative = _mm512_testn_epi64_mask(digits, all(middle));
        let places = _mm512_mask_xor_epi64(digits, negative, digits, all(usize::MAX));
        let places = _mm512_and_si512(places, all(middle - 1));
        let places = _mm512_add_epi64(places, all(shape.place(window, 0)));
        (words(places), negative ^ self.opposite)
    }

    /// Looks up the points of a window, one a lane, in tables of one shape.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn look_up<'a, P: Prime<N, L>, const L: usize>(
        &self,
        window: usize,
        bits: usize,
        table: impl Fn(usize) -> &'a Table<N>,
        point: &mut Affine<P, N, L>,
    ) {
        let (places, turned) = self.places(window, table(0).shape, bits);
        let mut points: [&[Line]; LANES] = [&[]; LANES];
        for (at, point) in points.iter_mut().enumerate() {
            *point = &table(at).lines[lines::<N>() * places[at] as usize..][..lines::<N>()];
        }
        // Of more lines than any point has, by lines, so that no place is computed while it runs.
        let mut columns = [[_mm512_setzero_si512(); LANES]; MOST_LINES];
        for (line, columns) in columns.iter_mut().enumerate().take(lines::<N>()) {
            let mut rows = [_mm512_setzero_si512(); LANES];
            for (row_at, point) in rows.iter_mut().zip(&points) {
                *row_at = row(&point[line].0);
            }
            *columns = transpose(rows);
        }
        let columns = columns.as_flattened();
        point.x = Number::unpack(&columns[..N], 1.0);
        point.y = Number::unpack(&columns[N..2 * N], 1.0).negated_where(turned);
    }
}

/// Returns tables of points of the group, in order, whose coordinates are as the group's p encodes
/// them. None if a multiple is infinity, as none is in a group of large prime order.
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn tables<P: Prime<N, L>, const N: usize, const L: usize>(
    group: &Group<N>,
    constants: &Constants<N>,
    shape: Shape,
    points: &[[Words<N>; 2]],
) -> Option<Vec<Table<N>>> {
    let field = Field::<P, N, L>::new(group, constants);
    let p = &group.curve.p;
    let anchors = shape.anchors(constants.bits);
    let mut shifted = Vec::new();
    for points in points.chunks(LANES) {
        let point = |at: usize| &points[at.min(points.len() - 1)];
        let [x, y] = [0, 1].map(|coordinate| {
            let plain = std::array::from_fn(|at| p.decode(&point(at)[coordinate]));
            Number::from_words(&plain).raw_product(&field.into).settled()
        });
        let mut anchor = Jacobian { x, y, z: field.one };
        for at in 0..anchors {
            if at > 0 {
                for _ in 0..shape.width * shape.classes {
                    anchor = field.double(&anchor);
                }
            }
            shifted.push(anchor);
        }
    }
    let multiples = field.odd_multiples(field.affine(&shifted)?, 1 << (shape.width - 1))?;
    let mut tables = Vec::new();
    for (points, multiples) in
        points.chunks(LANES).zip(multiples.chunks_exact(shape.points(constants.bits)))
    {
        let count = multiples.len() * lines::<N>();
        let mut of_lanes: [Vec<_>; LANES] = std::array::from_fn(|_| Vec::with_capacity(count));
        for multiple in multiples {
            let (x, y) = (multiple.x.to_words(), multiple.y.to_words());
            for (at, of_lane) in of_lanes.iter_mut().enumerate() {
                let word =
                    |place: usize| [&x[at], &y[at]].get(place / N).map_or(0, |n| n[place % N]);
                let line = |line| Line(std::array::from_fn(|at| word(LANES * line + at)));
                of_lane.extend((0..lines::<N>()).map(line));
            }
        }
        let made = of_lanes.into_iter().take(points.len());
        tables.extend(made.map(|lines| Table { shape, lines: lines.into(), words: PhantomData }));
    }
    Some(tables)
}

impl<P: Prime<N, L>, const N: usize, const L: usize> Field<'_, P, N, L> {
    /// Returns the same points in affine coordinates. None if one is infinity.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn affine(&self, points: &[Jacobian<P, N, L>]) -> Option<Vec<Affine<P, N, L>>> {
        let mut inverses: Vec<_> = Vec::with_capacity(points.len());
        for point in points {
            inverses.push(point.z);
        }
        if !self.invert_all(&mut inverses, &mut Vec::new()) {
            return None;
        }
        let mut affine = Vec::with_capacity(points.len());
        for (point, inverse) in points.iter().zip(&inverses) {
            let square = inverse.square();
            let y = point.y.times(&square.times(inverse));
            affine.push(Affine { x: point.x.times(&square), y });
        }
        Some(affine)
    }

    /// Returns so many odd multiples of each point, side by side: a power of two. From the lowest half
    /// of them and twice the highest power of two, the other half is made by one addition each.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn odd_multiples(
        &self,
        points: Vec<Affine<P, N, L>>,
        count: usize,
    ) -> Option<Vec<Affine<P, N, L>>> {
        let (mut made, mut powers) = (points.clone(), points);
        let mut scratch = Scratch::default();
        let mut each = 1;
        while each < count {
            // The power is the double of the last one: 2, 4, 8 … times each point.
            let mut inverses = Vec::with_capacity(powers.len());
            for power in &powers {
                inverses.push(power.y.plus(&power.y).carried());
            }
            if !self.invert_all(&mut inverses, &mut scratch.others) {
                return None;
            }
            for (power, inverse) in powers.iter_mut().zip(&inverses) {
                *power = self.double_affine(power, inverse);
            }
            // To a copy of each multiple the power is added.
            let points = &mut scratch.points;
            points.clear();
            scratch.pairs.clear();
            for multiples in made.chunks_exact(each) {
                points.extend_from_slice(multiples);
                points.extend_from_slice(multiples);
            }
            let power = points.len();
            for copy in (0..power).filter(|place| place / each % 2 == 1) {
                scratch.pairs.push((copy, power + copy / (2 * each)));
            }
            points.extend_from_slice(&powers);
            let mut refused = [0];
            self.add_pairs(&mut scratch, &mut refused);
            if refused != [0] {
                return None;
            }
            made.clear();
            made.extend_from_slice(&scratch.points[..power]);
            each *= 2;
        }
        Some(made)
    }
}
