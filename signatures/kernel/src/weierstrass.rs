//! Points of y² = x³ + ax + b, and sums of multiples of them: Straus's method over signed digits,
//! with a table for each point.

use crate::modular::{Modulus, Words};

/// A point that is not infinity, in encoded coordinates.
#[derive(Clone, Copy)]
pub struct Affine<const N: usize> {
    pub x: Words<N>,
    pub y: Words<N>,
}

/// x = X/Z², y = Y/Z³; infinity where Z is 0.
#[derive(Clone, Copy)]
pub struct Jacobian<const N: usize> {
    pub x: Words<N>,
    pub y: Words<N>,
    pub z: Words<N>,
}

pub struct Curve<const N: usize> {
    pub p: Modulus<N>,
    a: Words<N>,
    b: Words<N>,
    a_is_minus_3: bool,
}

/// The odd multiples P, 3P, 5P … of a point, 2ʷ⁻² of them.
pub struct Table<const N: usize> {
    width: u32,
    pub multiples: Vec<Affine<N>>,
}

/// Tables of P, 2⁶⁴P, 2¹²⁸P …, one for each word of a scalar: sums by these double 64 times only.
pub type WordTables<const N: usize> = Vec<Table<N>>;

/// A scalar's digits, lowest first, and the table of the point that they multiply.
struct Term<'a, const N: usize> {
    digits: Vec<i8>,
    table: &'a Table<N>,
}

impl<const N: usize> Curve<N> {
    pub fn new(p: Words<N>, a: Words<N>, b: Words<N>) -> Self {
        let p = Modulus::new(p);
        let (a, b, one) = (p.encode(&a), p.encode(&b), p.one());
        let minus_3 = p.negate(&p.add(&one, &p.add(&one, &one)));
        Self { a_is_minus_3: p.equals(&a, &minus_3), p, a, b }
    }

    /// Returns a, encoded, unless it is −3.
    #[cfg(target_arch = "x86_64")]
    pub fn a_unless_minus_3(&self) -> Option<&Words<N>> {
        (!self.a_is_minus_3).then_some(&self.a)
    }

    /// Returns whether a point is on the curve.
    pub fn has(&self, point: &Affine<N>) -> bool {
        let p = &self.p;
        let slope = p.add(&p.square(&point.x), &self.a);
        p.equals(&p.square(&point.y), &p.add(&p.multiply(&slope, &point.x), &self.b))
    }

    /// Makes a table of 2ʷ⁻² odd multiples. None if one of them is infinity, as for points of very
    /// small order.
    pub fn table(&self, point: &Affine<N>, width: u32) -> Option<Table<N>> {
        let double = self.double(&self.jacobian(point));
        let double = self.affine(&[double])?[0];
        let mut multiples = vec![self.jacobian(point)];
        for place in 1..1 << (width - 2) {
            multiples.push(self.add(&multiples[place - 1], &double));
        }
        Some(Table { width, multiples: self.affine(&multiples)? })
    }

    /// Makes a table for each word of a scalar. None if a multiple in one of them is infinity.
    pub fn word_tables(&self, point: &Affine<N>, width: u32) -> Option<WordTables<N>> {
        let mut shifted = vec![self.jacobian(point)];
        for place in 1..N {
            let doubled = (0..64).fold(shifted[place - 1], |point, _| self.double(&point));
            shifted.push(doubled);
        }
        self.affine(&shifted)?.iter().map(|point| self.table(point, width)).collect()
    }

    /// Returns the odd multiples of 2ʷʲP for each of so many windows j, 2ʷ⁻¹ a window. None if one of
    /// them is infinity.
    pub fn comb(&self, point: &Affine<N>, width: u32, windows: usize) -> Option<Vec<Affine<N>>> {
        self.spaced_comb(point, width, width, windows)
    }

    /// Returns the odd multiples, 2ʷ⁻¹ of them, of 2ˢʲP for each j below `count`, s being `step`.
    /// None if one of them is infinity.
    pub fn spaced_comb(
        &self,
        point: &Affine<N>,
        width: u32,
        step: u32,
        count: usize,
    ) -> Option<Vec<Affine<N>>> {
        let mut shifted = vec![self.jacobian(point)];
        let mut doubles = vec![self.double(&shifted[0])];
        for window in 1..count {
            let next = (1..step).fold(doubles[window - 1], |point, _| self.double(&point));
            shifted.push(next);
            doubles.push(self.double(&next));
        }
        let doubles = self.affine(&doubles)?;
        let mut multiples = Vec::with_capacity(count << (width - 1));
        for (first, double) in shifted.iter().zip(&doubles) {
            let mut multiple = *first;
            multiples.push(multiple);
            for _ in 1..1 << (width - 1) {
                multiple = self.add(&multiple, double);
                multiples.push(multiple);
            }
        }
        self.affine(&multiples)
    }

    /// Returns u·P + v·Q, by P's word tables and Q's one table.
    pub fn sum(&self, u: &Words<N>, p: &WordTables<N>, v: &Words<N>, q: &Table<N>) -> Jacobian<N> {
        let mut terms = by_word(u, p);
        terms.push(Term { digits: digits(v, q.width), table: q });
        self.sum_of(&terms)
    }

    /// Returns u·P + v·Q, by word tables of both.
    pub fn sum_by_words(
        &self,
        u: &Words<N>,
        p: &WordTables<N>,
        v: &Words<N>,
        q: &WordTables<N>,
    ) -> Jacobian<N> {
        let mut terms = by_word(u, p);
        terms.extend(by_word(v, q));
        self.sum_of(&terms)
    }

    /// Returns v·Q.
    pub fn multiple(&self, v: &Words<N>, q: &Table<N>) -> Jacobian<N> {
        self.sum_of(&[Term { digits: digits(v, q.width), table: q }])
    }

    fn sum_of(&self, terms: &[Term<N>]) -> Jacobian<N> {
        let length = terms.iter().map(|term| term.digits.len()).max().unwrap_or(0);
        let mut sum = Jacobian { x: self.p.one(), y: self.p.one(), z: [0; N] };
        for place in (0..length).rev() {
            sum = self.double(&sum);
            for Term { digits, table } in terms {
                let digit = digits.get(place).copied().unwrap_or(0);
                if digit != 0 {
                    let mut point = table.multiples[usize::from(digit.unsigned_abs() >> 1)];
                    if digit < 0 {
                        point.y = self.p.negate(&point.y);
                    }
                    sum = self.add(&sum, &point);
                }
            }
        }
        sum
    }

    pub fn jacobian(&self, point: &Affine<N>) -> Jacobian<N> {
        Jacobian { x: point.x, y: point.y, z: self.p.one() }
    }

    /// Converts all points with one inversion (Montgomery's trick). None if one is infinity.
    fn affine(&self, points: &[Jacobian<N>]) -> Option<Vec<Affine<N>>> {
        let p = &self.p;
        let mut product = p.one();
        let mut before = Vec::with_capacity(points.len());
        for point in points {
            before.push(product);
            product = p.multiply(&product, &point.z);
        }
        let mut inverse = p.invert(&product)?;
        let mut affine = Vec::with_capacity(points.len());
        for (point, before) in points.iter().zip(&before).rev() {
            let z = p.multiply(&inverse, before);
            inverse = p.multiply(&inverse, &point.z);
            let square = p.square(&z);
            let y = p.multiply(&point.y, &p.multiply(&square, &z));
            affine.push(Affine { x: p.multiply(&point.x, &square), y });
        }
        affine.reverse();
        Some(affine)
    }

    /// Doubles a point, by dbl-2001-b of the Explicit-Formulas Database if a = −3, and by
    /// dbl-1998-cmo-2 otherwise. Infinity stays infinity.
    pub fn double(&self, point: &Jacobian<N>) -> Jacobian<N> {
        let (p, Jacobian { x, y, z }) = (&self.p, point);
        let z_square = p.square(z);
        let m = if self.a_is_minus_3 {
            p.multiply(&p.subtract(x, &z_square), &p.add(x, &z_square))
        } else {
            p.square(x)
        };
        let mut m = p.add(&p.add(&m, &m), &m);
        if !self.a_is_minus_3 {
            m = p.add(&m, &p.multiply(&self.a, &p.square(&z_square)));
        }
        let y_square = p.square(y);
        let s = p.multiply(x, &y_square);
        let s = p.add(&s, &s);
        let s = p.add(&s, &s);
        let x3 = p.subtract(&p.square(&m), &p.add(&s, &s));
        let y_fourth = p.square(&p.add(&y_square, &y_square));
        let y_fourth = p.add(&y_fourth, &y_fourth);
        let y3 = p.subtract(&p.multiply(&m, &p.subtract(&s, &x3)), &y_fourth);
        let z3 = p.multiply(y, z);
        Jacobian { x: x3, y: y3, z: p.add(&z3, &z3) }
    }

    /// Adds an affine point to any point, infinity, the same and the opposite one included.
    pub fn add(&self, left: &Jacobian<N>, right: &Affine<N>) -> Jacobian<N> {
        let (p, Jacobian { x, y, z }) = (&self.p, left);
        if p.is_zero(z) {
            return self.jacobian(right);
        }
        let z_square = p.square(z);
        let h = p.subtract(&p.multiply(&right.x, &z_square), x);
        let r = p.subtract(&p.multiply(&right.y, &p.multiply(&z_square, z)), y);
        if p.is_zero(&h) {
            // The same point, or the opposite one.
            let infinity = Jacobian { z: [0; N], ..*left };
            return if p.is_zero(&r) { self.double(left) } else { infinity };
        }
        let h_square = p.square(&h);
        let h_cube = p.multiply(&h, &h_square);
        let v = p.multiply(x, &h_square);
        let x3 = p.subtract(&p.subtract(&p.square(&r), &h_cube), &p.add(&v, &v));
        let y3 = p.multiply(&r, &p.subtract(&v, &x3));
        let y3 = p.subtract(&y3, &p.multiply(y, &h_cube));
        Jacobian { x: x3, y: y3, z: p.multiply(z, &h) }
    }
}

fn by_word<'a, const N: usize>(scalar: &Words<N>, tables: &'a WordTables<N>) -> Vec<Term<'a, N>> {
    let terms = scalar.iter().zip(tables);
    terms.map(|(&word, table)| Term { digits: digits(&[word], table.width), table }).collect()
}

/// Returns the width-w non-adjacent form (wNAF) of a scalar, lowest digit first. Each digit is 0,
/// or odd and between −2ʷ⁻¹ and 2ʷ⁻¹; of w digits in a row at most one is not 0.
fn digits(scalar: &[u64], width: u32) -> Vec<i8> {
    let bits = 64 * scalar.len() as u32;
    let mut digits = vec![0; (bits + width) as usize];
    let bits_from = |place: u32| {
        let word = |index: u32| scalar.get(index as usize).copied().unwrap_or(0);
        let pair = u128::from(word(place / 64)) | u128::from(word(place / 64 + 1)) << 64;
        (pair >> (place % 64)) as u64 & ((1 << width) - 1)
    };
    let (mut place, mut carry) = (0, 0);
    while place <= bits {
        let window = bits_from(place) + carry;
        if window & 1 == 0 {
            place += 1;
            continue;
        }
        carry = u64::from(window >= 1 << (width - 1));
        digits[place as usize] = (window as i64 - ((carry as i64) << width)) as i8;
        place += width;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    /// Few enough points on a curve over this field to try every pair of them.
    const P: u64 = 151;

    /// A point in plain numbers; None is infinity.
    type Plain = Option<(u64, u64)>;

    /// y² = x³ + ax + b modulo 151, by the rules of the textbook: chords and tangents.
    struct Textbook {
        a: u64,
        b: u64,
    }

    /// 149 points, a prime.
    const MINUS_3: Textbook = Textbook { a: P - 3, b: 6 };
    /// 167 points, a prime.
    const GENERAL: Textbook = Textbook { a: 1, b: 3 };
    /// 144 points, with points of order 2, 3 and 4 among them.
    const COMPOSITE: Textbook = Textbook { a: P - 3, b: 3 };
    const GENERAL_COMPOSITE: Textbook = Textbook { a: 1, b: 17 };
    const ALL: [Textbook; 4] = [MINUS_3, GENERAL, COMPOSITE, GENERAL_COMPOSITE];

    impl Textbook {
        fn curve(&self) -> Curve<1> {
            Curve::new([P], [self.a], [self.b])
        }

        fn has(&self, x: u64, y: u64) -> bool {
            y * y % P == (x * x * x + self.a * x + self.b) % P
        }

        fn points(&self) -> Vec<Plain> {
            let pairs = (0..P).flat_map(|x| (0..P).map(move |y| (x, y)));
            let finite = pairs.filter(|&(x, y)| self.has(x, y)).map(Some);
            std::iter::once(None).chain(finite).collect()
        }

        fn add(&self, left: Plain, right: Plain) -> Plain {
            let (Some((x1, y1)), Some((x2, y2))) = (left, right) else {
                return left.or(right);
            };
            let slope = if x1 != x2 {
                (y2 + P - y1) * invert(x2 + P - x1)
            } else if (y1 + y2) % P != 0 {
                (3 * x1 * x1 + self.a) * invert(2 * y1)
            } else {
                return None;
            } % P;
            let x = (slope * slope + 2 * P - x1 - x2) % P;
            Some((x, (slope * (x1 + P - x) + P - y1) % P))
        }

        fn times(&self, count: u64, point: Plain) -> Plain {
            let mut sum = None;
            for bit in (0..64).rev() {
                sum = self.add(sum, sum);
                if count >> bit & 1 == 1 {
                    sum = self.add(sum, point);
                }
            }
            sum
        }
    }

    /// The inverse modulo 151, by Fermat's little theorem.
    fn invert(number: u64) -> u64 {
        (0..P - 2).fold(1, |power, _| power * number % P)
    }

    fn affine(curve: &Curve<1>, (x, y): (u64, u64)) -> Affine<1> {
        Affine { x: curve.p.encode(&[x]), y: curve.p.encode(&[y]) }
    }

    /// A Jacobian point with that Z, or infinity.
    fn jacobian(curve: &Curve<1>, point: Plain, z: u64) -> Jacobian<1> {
        let encode = |number| curve.p.encode(&[number]);
        match point {
            Some((x, y)) => Jacobian {
                x: encode(x * z % P * z % P),
                y: encode(y * z % P * z % P * z % P),
                z: encode(z),
            },
            None => Jacobian { x: curve.p.one(), y: curve.p.one(), z: [0] },
        }
    }

    fn plain(curve: &Curve<1>, point: &Jacobian<1>) -> Plain {
        let Affine { x, y } = curve.affine(&[*point])?[0];
        Some((curve.p.decode(&x)[0], curve.p.decode(&y)[0]))
    }

    #[test]
    fn points_on_the_curve_are_those_that_fit_its_equation() {
        for textbook in ALL {
            let curve = textbook.curve();
            for (x, y) in (0..P).flat_map(|x| (0..P).map(move |y| (x, y))) {
                assert_eq!(curve.has(&affine(&curve, (x, y))), textbook.has(x, y), "{x} {y}");
            }
        }
    }

    /// Infinity, a point and itself, a point and its opposite, and points of order 2 among them.
    #[test]
    fn any_two_points_add_up_as_in_the_textbook() {
        for textbook in ALL {
            let curve = textbook.curve();
            for left in textbook.points() {
                for right in textbook.points() {
                    let Some(finite) = right else { continue };
                    let sum = curve.add(&jacobian(&curve, left, 7), &affine(&curve, finite));
                    assert_eq!(
                        plain(&curve, &sum),
                        textbook.add(left, right),
                        "{left:?} {right:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn any_point_is_doubled_as_in_the_textbook() {
        for textbook in ALL {
            let curve = textbook.curve();
            for point in textbook.points() {
                let double = curve.double(&jacobian(&curve, point, 7));
                assert_eq!(plain(&curve, &double), textbook.add(point, point), "{point:?}");
            }
        }
    }

    #[test]
    fn points_become_affine_together_unless_one_is_infinity() {
        let curve = GENERAL.curve();
        let points = &GENERAL.points()[1..];
        let scaled = points.iter().zip(1..).map(|(&point, z)| jacobian(&curve, point, z % 150 + 1));
        let mut scaled: Vec<_> = scaled.collect();
        let together = curve.affine(&scaled).unwrap();
        for (found, &point) in together.iter().zip(points) {
            let expected = affine(&curve, point.unwrap());
            assert!(curve.p.equals(&found.x, &expected.x) && curve.p.equals(&found.y, &expected.y));
        }
        scaled.push(jacobian(&curve, None, 0));
        assert!(curve.affine(&scaled).is_none());
    }

    #[test]
    fn a_table_has_the_odd_multiples_or_is_refused_where_one_is_infinity() {
        for textbook in [MINUS_3, COMPOSITE, GENERAL_COMPOSITE] {
            let curve = textbook.curve();
            for point in &textbook.points()[1..] {
                for width in 2..=8 {
                    let odd = (1..1 << (width - 1)).step_by(2);
                    let multiples: Vec<_> = odd.map(|n| textbook.times(n, *point)).collect();
                    let table = curve.table(&affine(&curve, point.unwrap()), width);
                    let Some(table) = table else {
                        let double = textbook.add(*point, *point);
                        assert!(double.is_none() || multiples.contains(&None), "{point:?}");
                        continue;
                    };
                    let found = table.multiples.iter().map(|point| curve.jacobian(point));
                    let found: Vec<_> = found.map(|point| plain(&curve, &point)).collect();
                    assert_eq!(found, multiples, "{point:?} {width}");
                }
            }
        }
    }

    #[test]
    fn sums_of_multiples_are_the_textbook_s_for_every_point_and_scalar() {
        for textbook in [MINUS_3, GENERAL] {
            let (curve, points) = (textbook.curve(), textbook.points());
            let order = points.len() as u64;
            let mut random = Random::new(3);
            let mut scalars = vec![0, 1, 2, order - 1, order, order + 1, u64::MAX];
            scalars.extend((0..8).map(|_| random.word()));
            let multiples_of = |point| -> Vec<(u64, Plain)> {
                scalars.iter().map(|&scalar| (scalar, textbook.times(scalar, point))).collect()
            };
            let base_tables = curve.word_tables(&affine(&curve, points[1].unwrap()), 8).unwrap();
            let multiples_of_base = multiples_of(points[1]);
            for &point in &points[1..] {
                let finite = affine(&curve, point.unwrap());
                let table = curve.table(&finite, 5).unwrap();
                let tables = curve.word_tables(&finite, 6).unwrap();
                for (v, of_point) in multiples_of(point) {
                    let multiple = curve.multiple(&[v], &table);
                    assert_eq!(plain(&curve, &multiple), of_point, "{v} {point:?}");
                    for &(u, of_base) in &multiples_of_base {
                        let expected = textbook.add(of_base, of_point);
                        let sum = curve.sum(&[u], &base_tables, &[v], &table);
                        let by_words = curve.sum_by_words(&[u], &base_tables, &[v], &tables);
                        assert_eq!(plain(&curve, &sum), expected, "{u} {v} {point:?}");
                        assert_eq!(plain(&curve, &by_words), expected, "{u} {v} {point:?}");
                    }
                }
            }
        }
    }

    /// Adds up digits times powers of two, from the highest; the scalar's words and two more.
    fn value_of(digits: &[i8], words: usize) -> Vec<u64> {
        let mut value = vec![0u64; words + 2];
        for &digit in digits.iter().rev() {
            let mut carry = i128::from(digit);
            for word in &mut value {
                let doubled = 2 * i128::from(*word) + carry;
                *word = doubled as u64;
                carry = doubled >> 64;
            }
            assert_eq!(carry, 0, "a partial sum is negative or too large");
        }
        value
    }

    #[test]
    fn digits_are_odd_small_far_apart_and_add_up_to_the_scalar() {
        fn check<const N: usize>(scalar: Words<N>) {
            for width in 2..=8 {
                let digits = digits(&scalar, width);
                let mut expected = scalar.to_vec();
                expected.extend([0, 0]);
                assert_eq!(value_of(&digits, N), expected, "{scalar:x?} {width}");
                for window in digits.windows(width as usize) {
                    assert!(window.iter().filter(|&&digit| digit != 0).count() <= 1);
                }
                let limit = 1 << (width - 1);
                assert!(digits.iter().all(|&digit| {
                    digit == 0 || digit & 1 == 1 && i32::from(digit).abs() < limit
                }));
            }
        }
        let mut random = Random::new(4);
        for _ in 0..100 {
            check::<1>(random.words());
            check::<4>(random.words());
            check::<9>(random.words());
        }
        check([0]);
        check([1]);
        check([u64::MAX]);
        check([0, 1 << 63]);
        check([u64::MAX; 8]);
        // A carry that runs through a whole word of ones.
        check([u64::MAX << 63, u64::MAX, 0, 0]);
    }
}
