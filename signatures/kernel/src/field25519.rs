//! Numbers modulo p = 2²⁵⁵ − 19, one in each lane, as a table of functions: the code of points is
//! written once over it, for eight lanes of AVX-512 and four of AVX2.
//!
//! A function for instructions becomes a plain function pointer only inside code that may use those
//! instructions, so a table cannot be had without them. What is written over one is always inlined
//! into code for the table's instructions, where the pointers are constants and calls are inlined.
//!
//! A number is *carried*, or the sum or difference of few carried ones (*loose*). Each table says in
//! its own file how loose a factor may be; `minus` takes only a carried number, or one negated.

// Without it nothing is inlined before the table is known.
#![allow(clippy::inline_always)]

use crate::ed25519_lanes::Point;

/// L is a number in each lane, S a stored point.
pub struct Field<L, S, const LANES: usize> {
    /// Returns the same number in all lanes, given as five limbs of 51 bits.
    pub all: fn([u64; 5]) -> L,
    /// Reads 255 bits of each little-endian number; the highest bit is ignored.
    pub from_bytes: fn(&[[u8; 32]; LANES]) -> L,
    pub plus: fn(&L, &L) -> L,
    pub minus: fn(&L, &L) -> L,
    /// The first factor may be looser than the second. The product is carried.
    pub times: fn(&L, &L) -> L,
    /// Stores a product. One that is returned from a call is copied to its place by memcpy, which may
    /// load what was stored in narrower pieces only after all of them are in the cache.
    pub times_to: fn(&mut L, &L, &L),
    pub squared: fn(&L) -> L,
    /// Squares each number so many times.
    pub squared_times: fn(&mut [L], usize),
    pub carried: fn(&L) -> L,
    /// Negates a carried number where the mask says so. The result is loose.
    pub negated_where: fn(&L, u8) -> L,
    /// Takes the other number where the mask says so.
    pub or: fn(&L, u8, &L) -> L,
    /// Returns the lanes that are 0 modulo p.
    pub is_zero: fn(&L) -> u8,
    /// Returns the lanes whose number below p is odd.
    pub is_odd: fn(&L) -> u8,
    /// Moves every lane down, around the end.
    pub rotated: fn(&L, usize) -> L,
    /// Loads y + x, y − x and 2dxy of affine points.
    pub load_affine: fn([&Point; LANES]) -> [L; 3],
    pub store_affine: fn(&[L; 3]) -> [Point; LANES],
    /// Loads X, Y, Z and T of points.
    pub load: fn([&S; LANES]) -> [L; 4],
    /// Stores carried coordinates.
    pub store: fn(&[L; 4]) -> [S; LANES],
}

impl<L: Copy, S, const LANES: usize> Field<L, S, LANES> {
    /// Raises numbers to (p − 5) / 8 = 2²⁵² − 3.
    #[inline(always)]
    pub fn power_p58<const WIDTH: usize>(&self, numbers: &[L; WIDTH]) -> [L; WIDTH] {
        // From exponents 2ᵐ − 1 and 2ⁿ − 1 to 2ᵐ⁺ⁿ − 1.
        let joined = |m: &[L; WIDTH], n: &[L; WIDTH], bits| {
            let mut out = *m;
            (self.squared_times)(&mut out, bits);
            for (number, n) in out.iter_mut().zip(n) {
                *number = (self.times)(number, n);
            }
            out
        };
        // Exponents 2ⁿ − 1, by their n.
        let n2 = joined(numbers, numbers, 1);
        let n4 = joined(&n2, &n2, 2);
        let n5 = joined(&n4, numbers, 1);
        let n10 = joined(&n5, &n5, 5);
        let n20 = joined(&n10, &n10, 10);
        let n40 = joined(&n20, &n20, 20);
        let n50 = joined(&n40, &n10, 10);
        let n100 = joined(&n50, &n50, 50);
        let n200 = joined(&n100, &n100, 100);
        let n250 = joined(&n200, &n50, 50);
        joined(&n250, numbers, 2)
    }

    /// Returns 1 / number, or 0 for 0: number^(p − 2), where p − 2 = 8·(p − 5)/8 + 3.
    #[inline(always)]
    pub fn inverse(&self, number: &L) -> L {
        let cube = (self.times)(&(self.squared)(number), number);
        let mut power = self.power_p58(&[*number]);
        (self.squared_times)(&mut power, 3);
        (self.times)(&power[0], &cube)
    }
}
