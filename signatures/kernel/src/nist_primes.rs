//! The primes of P-256, P-384 and P-521, next to whose form Montgomery's reduction needs few products:
//! P-256's takes four, the others' none. Results are those of the general method, R being 2⁶⁴ᴺ.
//!
//! The number of words N names the prime: 4 is P-256's, 6 P-384's, and 9 P-521's. Encoded numbers are
//! below it, but P-521's may be the prime itself.

use crate::modular::{self, Wide, Words, add_with_carry, subtract_with_borrow};
use crate::modular::{wide_product, wide_square};

const P256: Words<4> = [u64::MAX, u64::MAX >> 32, 0, 0xffff_ffff_0000_0001];
const P384: Words<6> =
    [0xffff_ffff, 0xffff_ffff_0000_0000, 0xffff_ffff_ffff_fffe, u64::MAX, u64::MAX, u64::MAX];

const P521: Words<9> = {
    let mut words = [u64::MAX; 9];
    words[8] = TOP;
    words
};

/// Bits of P-521's highest word.
const TOP_BITS: u32 = 521 % 64;
const TOP: u64 = (1 << TOP_BITS) - 1;

/// Returns whether this is the prime of so many words.
pub fn is_nist_prime<const N: usize>(modulus: &Words<N>) -> bool {
    [4, 6, 9].contains(&N) && *modulus == prime()
}

/// Returns the prime of N words, a constant.
#[inline]
fn prime<const N: usize>() -> Words<N> {
    std::array::from_fn(|i| match N {
        4 => P256[i],
        6 => P384[i],
        _ => P521[i],
    })
}

/// Returns an encoded product of encoded factors; and a plain one, reduced, of an encoded factor and
/// any plain one.
#[inline]
pub fn multiply<const N: usize>(a: &Words<N>, b: &Words<N>) -> Words<N> {
    reduce(&wide_product(a, b))
}

#[inline]
pub fn square<const N: usize>(a: &Words<N>) -> Words<N> {
    reduce(&wide_square(a))
}

#[inline]
pub fn subtract<const N: usize>(a: &Words<N>, b: &Words<N>) -> Words<N> {
    let (difference, borrow) = modular::subtract(a, b);
    let mask = u64::from(borrow).wrapping_neg();
    modular::add(&difference, &prime().map(|word| word & mask)).0
}

/// Returns a number below 2⁶⁴ᴺp, times 2⁻⁶⁴ᴺ modulo the prime p of N words.
#[inline]
fn reduce<const N: usize>(number: &Wide) -> Words<N> {
    match N {
        4 => {
            let low = (0..4).fold(first(number), |low, _| next_p256(low));
            add_upper(number, &low)
        }
        6 => {
            let low = (0..6).fold(first(number), |low, _| next_p384(low));
            add_upper(number, &low)
        }
        _ => reduce_p521(number),
    }
}

#[inline]
fn first<const N: usize>(number: &Wide) -> Words<N> {
    std::array::from_fn(|i| number[i])
}

/// Adds the words from the Nth on, which are below p, to what the words before them came to, which is
/// at most p; and subtracts p from the sum if that is not below. It does without a branch, because
/// either is as likely as the other.
#[inline]
fn add_upper<const N: usize>(number: &Wide, low: &[u64]) -> Words<N> {
    let mut sum = [0; N];
    let mut carry = false;
    for i in 0..N {
        (sum[i], carry) = add_with_carry(low[i], number[N + i], carry);
    }
    let (less, borrow) = modular::subtract(&sum, &prime());
    let mask = u64::from(borrow & !carry).wrapping_neg();
    std::array::from_fn(|i| less[i] ^ (less[i] ^ sum[i]) & mask)
}

/// Adds the multiple of p that makes the lowest word 0, and drops that word. As p is −1 modulo 2⁶⁴
/// the factor is the lowest word m itself: m·p = m·(2⁶⁴ − 2³² + 1)·2¹⁹² + m·2⁹⁶ − m.
#[inline]
fn next_p256([m, a, b, c]: Words<4>) -> Words<4> {
    let wide = u128::from(m) * u128::from(P256[3]);
    let (a, carry) = a.overflowing_add(m << 32);
    let (b, carry) = add_with_carry(b, m >> 32, carry);
    let (c, carry) = add_with_carry(c, wide as u64, carry);
    // The product's upper word is at most 2⁶⁴ − 2³² and takes the carry.
    [a, b, c, (wide >> 64) as u64 + u64::from(carry)]
}

/// The same for P-384, where the factor m is 2³² + 1 times the lowest word, modulo 2⁶⁴, and
/// m·p = m·2³⁸⁴ − (m·2¹²⁸ + m·2⁹⁶ − m·2³² + m). What is subtracted has the lowest word l in common with
/// the number. `less` are its words above that one: m·2⁶⁴ + m·2³² − q, where q is m·2³² − m + l divided
/// by 2⁶⁴. That is a multiple of 2⁶⁴, and the lower word of m·2³² is that of l·2³². So q is the upper
/// word of m·2³², and one more if adding up m overflows.
#[inline]
fn next_p384([lowest, a, b, c, d, e]: Words<6>) -> Words<6> {
    let (m, over) = lowest.overflowing_add(lowest << 32);
    let upper = m >> 32;
    let (first, borrow) = (lowest << 32).overflowing_sub(upper + u64::from(over));
    // Not negative, because m·2³² is at least q.
    let (second, carry) = m.overflowing_add(upper.wrapping_sub(u64::from(borrow)));
    let less = [first, second, u64::from(carry)];
    let (a, borrow) = a.overflowing_sub(less[0]);
    let (b, borrow) = subtract_with_borrow(b, less[1], borrow);
    let (c, borrow) = subtract_with_borrow(c, less[2], borrow);
    let (d, borrow) = subtract_with_borrow(d, 0, borrow);
    let (e, borrow) = subtract_with_borrow(e, 0, borrow);
    // The sum is not negative, so that m is at least the borrow.
    [a, b, c, d, e, m.wrapping_sub(u64::from(borrow))]
}

/// 2⁵²¹ is 1 modulo p, so that times 2⁻⁵⁷⁶ is times 2⁻⁵⁵: bits 55 to 575 are added to those from 576
/// on, and the lowest 55 bits to both, 466 places up.
#[inline]
fn reduce_p521<const N: usize>(number: &Wide) -> Words<N> {
    const SHIFT: u32 = 64 - TOP_BITS;
    let lowest = u128::from(number[0] & ((1 << SHIFT) - 1)) << (466 - 7 * 64);
    let mut sum = [0; N];
    let mut carry = false;
    for i in 0..N - 1 {
        let middle = number[i] >> SHIFT | number[i + 1] << TOP_BITS;
        (sum[i], carry) = add_with_carry(middle, number[N + i], carry);
    }
    let (word, over) = sum[N - 2].overflowing_add(lowest as u64);
    sum[N - 2] = word;
    // Each of the three is below 2⁵²¹, so that the highest word does not overflow.
    sum[N - 1] = (number[N - 1] >> SHIFT)
        + number[2 * N - 1]
        + (lowest >> 64) as u64
        + u64::from(carry)
        + u64::from(over);
    fold_p521(sum)
}

/// Brings a number below 3·2⁵²¹ to at most p.
#[inline]
pub fn fold_p521<const N: usize>(mut number: Words<N>) -> Words<N> {
    for _ in 0..2 {
        let mut carry = number[N - 1] >> TOP_BITS;
        number[N - 1] &= TOP;
        for word in &mut number {
            let over;
            (*word, over) = word.overflowing_add(carry);
            carry = u64::from(over);
            if !over {
                break;
            }
        }
        if number[N - 1] <= TOP {
            break;
        }
    }
    number
}
