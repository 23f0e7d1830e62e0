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
    multiples: Vec<Affine<N>>,
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

    fn jacobian(&self, point: &Affine<N>) -> Jacobian<N> {
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
    fn double(&self, point: &Jacobian<N>) -> Jacobian<N> {
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
    fn add(&self, left: &Jacobian<N>, right: &Affine<N>) -> Jacobian<N> {
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
