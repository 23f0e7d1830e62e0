//! Groups of prime order on curves, and public keys in them with tables for those that come again.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::modular::{self, Modulus, Words, is_below};
use crate::weierstrass::{Affine, Curve, Jacobian, WordTables};

/// Window width of the base point's tables: each of a word's has 64 points.
const BASE_WIDTH: u32 = 8;

/// After this many uses a key gets word tables. They cost about as much as one verification to
/// make, and halve the cost of every later one.
const USES_BEFORE_TABLES: u32 = 2;
/// Window width of a key's tables: each of a word's has 16 points.
const KEY_WIDTH: u32 = 6;

pub struct Group<const N: usize> {
    pub curve: Curve<N>,
    pub order: Modulus<N>,
    pub cofactor: u32,
    base: Affine<N>,
    base_tables: OnceLock<WordTables<N>>,
}

impl<const N: usize> Group<N> {
    /// Builds a group from its cofactor and p, a, b, q and the base point's x, y in hexadecimal.
    pub fn new(cofactor: u32, [p, a, b, q, x, y]: [&str; 6]) -> Self {
        let curve = Curve::new(parse(p), parse(a), parse(b));
        let base = Affine { x: curve.p.encode(&parse(x)), y: curve.p.encode(&parse(y)) };
        let order = Modulus::new(parse(q));
        Self { curve, order, cofactor, base, base_tables: OnceLock::new() }
    }

    pub fn base_tables(&self) -> &WordTables<N> {
        self.base_tables.get_or_init(|| {
            let tables = self.curve.word_tables(&self.base, BASE_WIDTH);
            tables.expect("no small multiple of the base point is infinity")
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
}

impl<const N: usize> Point<N> {
    /// Size in bytes of the tables.
    pub const TABLES_BYTES: usize = N * 16 * N * 16;

    pub fn new(group: &'static Group<N>, point: Affine<N>) -> Self {
        Self { group, point, uses: AtomicU32::new(0), tables: OnceLock::new() }
    }

    /// Returns u·P + v·Q for the group's base point P and this point Q, and counts the use. None
    /// for the first uses, when Q has no tables yet.
    pub fn sum(&self, u: &Words<N>, v: &Words<N>) -> Option<Jacobian<N>> {
        if self.uses.fetch_add(1, Ordering::Relaxed) < USES_BEFORE_TABLES {
            return None;
        }
        let curve = &self.group.curve;
        let tables = self.tables.get_or_init(|| curve.word_tables(&self.point, KEY_WIDTH));
        Some(curve.sum_by_words(u, self.group.base_tables(), v, tables.as_ref()?))
    }
}
