//! Scalars as sums of odd digits, one for each window of bits, and the shape of tables for them.
//!
//! Scalars are made odd (u, or n − u with the sign turned). Then no digit is 0, so that there is no
//! infinity among the points that are looked up, and no place without one.

use crate::modular::{self, Words};

/// Which odd multiples a table has: all for digits of so many bits, of every so manieth window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    pub width: usize,
    pub classes: usize,
}

impl Shape {
    /// Returns the windows of a scalar of so many bits.
    pub const fn windows(self, bits: usize) -> usize {
        bits.div_ceil(self.width)
    }

    /// Returns how many windows have multiples of their own.
    pub const fn anchors(self, bits: usize) -> usize {
        self.windows(bits).div_ceil(self.classes)
    }

    /// Returns how many points a table has for scalars of so many bits.
    pub const fn points(self, bits: usize) -> usize {
        self.anchors(bits) << (self.width - 1)
    }

    /// Returns the place in a table of one of a window's multiples.
    pub const fn place(self, window: usize, multiple: usize) -> usize {
        ((window / self.classes) << (self.width - 1)) + multiple
    }
}

/// A scalar below the order, or its opposite if that is the odd one, as a sum of odd digits.
pub struct Digits<const N: usize> {
    /// The odd one less 1, halved. Of the bits k of the sum of ±2ᵏ, k below w times the windows,
    /// those with plus have to add up to this and the highest one (see trees::Signs).
    pub half: Words<N>,
    pub is_opposite: bool,
}

impl<const N: usize> Digits<N> {
    pub fn new(scalar: &Words<N>, order: &Words<N>) -> Self {
        let is_opposite = scalar[0] & 1 == 0;
        let odd = if is_opposite { modular::subtract(order, scalar).0 } else { *scalar };
        let next = |i: usize| odd.get(i + 1).copied().unwrap_or(0);
        Self { half: std::array::from_fn(|i| odd[i] >> 1 | next(i) << 63), is_opposite }
    }

    /// Returns a window's digit: its place among the odd numbers 1, 3, 5 …, and whether it is negative.
    #[inline]
    pub fn digit(&self, window: usize, width: usize, is_last: bool) -> (usize, bool) {
        let middle = 1 << (width - 1);
        let (word, shift) = (window * width / 64, window * width % 64);
        let at = |word: usize| self.half.get(word).copied().unwrap_or(0);
        let pair = u128::from(at(word)) | u128::from(at(word + 1)) << 64;
        let mut bits = (pair >> shift) as usize & (2 * middle - 1);
        if is_last {
            bits |= middle;
        }
        // Of a negative digit the place is counted down. Signs are random: no branch.
        let is_negative = bits & middle == 0;
        let place = (bits ^ usize::from(is_negative).wrapping_neg()) & (middle - 1);
        (place, is_negative != self.is_opposite)
    }
}
