//! The primes of the curves as the lanes reduce by them: sparse sums of powers of 2⁵².

// Elsewhere the primes are only named.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

/// Limbs of 52 bits, as the products of AVX-512 IFMA take them.
pub const BITS: u32 = 52;
pub const MASK: u64 = (1 << BITS) - 1;

/// A prime of N words, whose residues the lanes hold in L limbs, in Montgomery's form for 2⁵²ᴸ.
///
/// A product takes as many steps to reduce as DIGITS has entries that are not 0, so that sparse primes
/// cost little more than their products alone.
pub trait Prime<const N: usize, const L: usize>: Copy + 'static {
    /// The prime is the sum of dⱼ·2⁵²ʲ over these digits, each of which is −1, 0, or positive and below
    /// 2⁵².
    const DIGITS: [i64; L];
    /// The prime's limbs.
    const LIMBS: [u64; L] = carried(Self::DIGITS);
    /// 2⁵²ᴸ less the prime, in limbs.
    const COMPLEMENT: [u64; L] = complement(Self::LIMBS);
    /// −p⁻¹ modulo 2⁵².
    const INVERSE: u64 = inverse(Self::LIMBS[0]);
    /// At most 2⁵²ᴸ/p, rounded down: how many times the prime fits into a number's limbs. At least 16.
    const ROOM: u64 = room(Self::LIMBS);
}

const fn carried<const L: usize>(mut digits: [i64; L]) -> [u64; L] {
    let mut limbs = [0; L];
    let mut limb = 0;
    while limb < L {
        if limb + 1 < L {
            digits[limb + 1] += digits[limb] >> BITS;
        }
        limbs[limb] = digits[limb] as u64 & MASK;
        limb += 1;
    }
    limbs
}

const fn complement<const L: usize>(limbs: [u64; L]) -> [u64; L] {
    let mut digits = [0; L];
    let mut limb = 0;
    while limb < L {
        digits[limb] = -(limbs[limb] as i64);
        limb += 1;
    }
    carried(digits)
}

/// Newton's method: each step doubles the correct bits, and an odd number is its own inverse modulo 8.
const fn inverse(lowest: u64) -> u64 {
    let mut inverse = lowest;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(lowest.wrapping_mul(inverse)));
        step += 1;
    }
    inverse.wrapping_neg() & MASK
}

const fn room<const L: usize>(limbs: [u64; L]) -> u64 {
    let upper = (limbs[L - 1] as u128) << BITS | limbs[L - 2] as u128;
    let room = ((1_u128 << (2 * BITS)) / (upper + 1)) as u64;
    assert!(room >= 16 && room <= MASK);
    room
}

/// Returns a positive digit of so many bits less so much: for primes just below a power of two, whose
/// next digit is then −1.
const fn below(less: i64) -> i64 {
    (1 << BITS) - less
}

/// 2²⁵⁶ − 2²²⁴ + 2¹⁹² + 2⁹⁶ − 1.
#[derive(Clone, Copy)]
pub struct P256;

impl Prime<4, 5> for P256 {
    const DIGITS: [i64; 5] = [-1, 1 << 44, 0, 1 << 36, (1 << 48) - (1 << 16)];
}

/// 2³⁸⁴ − 2¹²⁸ − 2⁹⁶ + 2³² − 1.
#[derive(Clone, Copy)]
pub struct P384;

impl Prime<6, 8> for P384 {
    const DIGITS: [i64; 8] =
        [(1 << 32) - 1, below(1 << 44), below((1 << 24) + 1), -1, 0, 0, 0, 1 << 20];
}

/// 2⁵²¹ − 1.
#[derive(Clone, Copy)]
pub struct P521;

impl Prime<9, 11> for P521 {
    const DIGITS: [i64; 11] = [-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
}

/// 2²⁵⁶ − 617: of GOST's paramSetA and paramSetB.
#[derive(Clone, Copy)]
pub struct Gost256AB;

impl Prime<4, 5> for Gost256AB {
    const DIGITS: [i64; 5] = [below(617), -1, 0, 0, 1 << 48];
}

/// 2²⁵⁵ + 3225.
#[derive(Clone, Copy)]
pub struct Gost256C;

impl Prime<4, 5> for Gost256C {
    const DIGITS: [i64; 5] = [3225, 0, 0, 0, 1 << 47];
}

/// A prime without a form of its own.
#[derive(Clone, Copy)]
pub struct Gost256D;

impl Prime<4, 5> for Gost256D {
    const DIGITS: [i64; 5] =
        [0x8f7b9022d759b, 0x86789051d3799, 0xb41c8aacf846e, 0x8107ab1ec85e6, 0x9b9f605f5a85];
}

/// 2⁵¹² − 569: of GOST's paramSetA and paramSetC.
#[derive(Clone, Copy)]
pub struct Gost512AC;

impl Prime<8, 10> for Gost512AC {
    const DIGITS: [i64; 10] = [below(569), -1, 0, 0, 0, 0, 0, 0, 0, 1 << 44];
}

/// 2⁵¹¹ + 111.
#[derive(Clone, Copy)]
pub struct Gost512B;

impl Prime<8, 10> for Gost512B {
    const DIGITS: [i64; 10] = [111, 0, 0, 0, 0, 0, 0, 0, 0, 1 << 43];
}
