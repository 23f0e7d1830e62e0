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
    /// The prime is 2 to this power less the sum of the factors of FOLD, each times 2⁵² to the power of
    /// its limb. A factor is ±2ᵏ or has 31 bits. A prime without such a form has none.
    const EXPONENT: u32;
    const FOLD: &'static [(usize, i64)];
    /// The prime's limbs.
    const LIMBS: [u64; L] = carried(Self::DIGITS);
    /// 2⁵²ᴸ less the prime, in limbs.
    const COMPLEMENT: [u64; L] = complement(Self::LIMBS);
    /// −p⁻¹ modulo 2⁵².
    const INVERSE: u64 = inverse(Self::LIMBS[0]);
    /// At most 2⁵²ᴸ/p, rounded down: how many times the prime fits into a number's limbs. At least 16.
    const ROOM: u64 = room(Self::LIMBS);
    /// More than lower limbs that are not carried, and twenty times FOLD, come to in the highest limb.
    const MARGIN: u64 = margin(Self::FOLD, L);
    /// Settled numbers are below this times p: see number_lanes.
    const SETTLED: u64 = settled(Self::EXPONENT, Self::MARGIN, Self::LIMBS);
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

const fn margin(fold: &[(usize, i64)], limbs: usize) -> u64 {
    let (mut margin, mut at) = (512, 0);
    while at < fold.len() {
        if fold[at].0 + 1 == limbs {
            margin += 20 * fold[at].1.unsigned_abs();
        }
        at += 1;
    }
    margin
}

/// Next to 2ᵏ/p, and twice the margin more, by the two highest limbs.
const fn settled<const L: usize>(exponent: u32, margin: u64, limbs: [u64; L]) -> u64 {
    let most = (1 << (exponent - BITS * (L as u32 - 1))) + 2 * margin;
    let prime = (limbs[L - 1] as u128) << BITS | limbs[L - 2] as u128;
    (((most as u128) << BITS) / prime) as u64 + 1
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
    const EXPONENT: u32 = 256;
    const FOLD: &'static [(usize, i64)] = &[(0, 1), (1, -(1 << 44)), (3, -(1 << 36)), (4, 1 << 16)];
}

/// 2³⁸⁴ − 2¹²⁸ − 2⁹⁶ + 2³² − 1.
#[derive(Clone, Copy)]
pub struct P384;

impl Prime<6, 8> for P384 {
    const DIGITS: [i64; 8] =
        [(1 << 32) - 1, below(1 << 44), below((1 << 24) + 1), -1, 0, 0, 0, 1 << 20];
    const EXPONENT: u32 = 384;
    const FOLD: &'static [(usize, i64)] = &[(0, 1), (0, -(1 << 32)), (1, 1 << 44), (2, 1 << 24)];
}

/// 2⁵²¹ − 1.
#[derive(Clone, Copy)]
pub struct P521;

impl Prime<9, 11> for P521 {
    const DIGITS: [i64; 11] = [-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    const EXPONENT: u32 = 521;
    const FOLD: &'static [(usize, i64)] = &[(0, 1)];
}

/// 2²⁵⁶ − 617: of GOST's paramSetA and paramSetB.
#[derive(Clone, Copy)]
pub struct Gost256AB;

impl Prime<4, 5> for Gost256AB {
    const DIGITS: [i64; 5] = [below(617), -1, 0, 0, 1 << 48];
    const EXPONENT: u32 = 256;
    const FOLD: &'static [(usize, i64)] = &[(0, 617)];
}

/// 2²⁵⁵ + 3225.
#[derive(Clone, Copy)]
pub struct Gost256C;

impl Prime<4, 5> for Gost256C {
    const DIGITS: [i64; 5] = [3225, 0, 0, 0, 1 << 47];
    const EXPONENT: u32 = 255;
    const FOLD: &'static [(usize, i64)] = &[(0, -3225)];
}

/// A prime without a form of its own.
#[derive(Clone, Copy)]
pub struct Gost256D;

impl Prime<4, 5> for Gost256D {
    const DIGITS: [i64; 5] =
        [0x8f7b9022d759b, 0x86789051d3799, 0xb41c8aacf846e, 0x8107ab1ec85e6, 0x9b9f605f5a85];
    const EXPONENT: u32 = 256;
    const FOLD: &'static [(usize, i64)] = &[];
}

/// 2⁵¹² − 569: of GOST's paramSetA and paramSetC.
#[derive(Clone, Copy)]
pub struct Gost512AC;

impl Prime<8, 10> for Gost512AC {
    const DIGITS: [i64; 10] = [below(569), -1, 0, 0, 0, 0, 0, 0, 0, 1 << 44];
    const EXPONENT: u32 = 512;
    const FOLD: &'static [(usize, i64)] = &[(0, 569)];
}

/// 2⁵¹¹ + 111.
#[derive(Clone, Copy)]
pub struct Gost512B;

impl Prime<8, 10> for Gost512B {
    const DIGITS: [i64; 10] = [111, 0, 0, 0, 0, 0, 0, 0, 0, 1 << 43];
    const EXPONENT: u32 = 511;
    const FOLD: &'static [(usize, i64)] = &[(0, -111)];
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;

    use super::*;

    fn check<P: Prime<N, L>, const N: usize, const L: usize>() {
        let shifted = |limb: usize, factor: i64| BigInt::from(factor) << (BITS as usize * limb);
        let digits: BigInt = (0..L).map(|limb| shifted(limb, P::DIGITS[limb])).sum();
        let limbs: BigInt = (0..L).map(|limb| shifted(limb, P::LIMBS[limb] as i64)).sum();
        assert_eq!(digits, limbs);
        if !P::FOLD.is_empty() {
            let fold: BigInt = P::FOLD.iter().map(|&(limb, factor)| shifted(limb, factor)).sum();
            assert_eq!((BigInt::from(1) << P::EXPONENT) - fold, digits);
        }
        assert_eq!(P::SETTLED, if L == 11 { 514 } else { 2 });
    }

    #[test]
    fn digits_limbs_and_folds_are_the_same_prime() {
        check::<P256, 4, 5>();
        check::<P384, 6, 8>();
        check::<P521, 9, 11>();
        check::<Gost256AB, 4, 5>();
        check::<Gost256C, 4, 5>();
        check::<Gost256D, 4, 5>();
        check::<Gost512AC, 8, 10>();
        check::<Gost512B, 8, 10>();
    }
}
