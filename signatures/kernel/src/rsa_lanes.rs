//! RSA's public operation, s⁶⁵⁵³⁷ mod n, for eight signatures at once: one in each 64-bit lane of a
//! 512-bit register, each with a modulus of its own, by AVX-512 IFMA's products of 52 bits.
//!
//! A number is an array of registers; register j holds limb j, 52 bits, of all eight. A product is
//! made in columns: 64-bit sums of low and high halves, whose carries wait until the end. Four rows
//! are added in one pass over the columns, so that a column is loaded and stored once for eight
//! products. Montgomery's reduction (HAC, algorithm 14.32, four limbs a pass) then takes t to
//! t/R mod n, with R = 2^(52·limbs).
//!
//! Bounds. Between products a number is below 2n, not n: R exceeds n at least 2³²-fold, so that a
//! product of two numbers below 2n, reduced, is below 4n²/R + n < n + n/2³⁰. A column is the sum of
//! at most 2·MOST halves of the product, 2·MOST of the reduction and one carry: below 2⁶¹.
//!
//! Everything here is public, so time may depend on it.

use std::arch::x86_64::*;
use std::sync::OnceLock;

use crate::rows::{row, words};

/// How many numbers a register holds.
pub const LANES: usize = 8;

const LIMB_BITS: usize = 52;
const LIMB: u64 = (1 << LIMB_BITS) - 1;

/// The limbs of a number of 4,096 bits; like all counts of limbs, a multiple of ROWS.
const MOST: usize = 80;

/// How many rows a pass over the columns adds.
const ROWS: usize = 4;

const _: () = assert!((4 * MOST as u64) < (1 << 61) / (LIMB + 1));

/// The bits by which a step of `shifted` moves a number. Its quotient must fit a limb, and be exact
/// to less than 1 if estimated by numbers of 53 bits.
const STEP: usize = 44;

/// Limb j of eight numbers.
type Limbs = __m512i;

/// A modulus, and what Montgomery's reduction needs to know of it.
pub struct Modulus {
    bits: usize,
    limbs: Box<[u64]>,
    /// −1/n mod 2⁵².
    inverse: u64,
    /// R² mod n, or that plus n; set when the modulus is first used.
    square: OnceLock<Box<[u64]>>,
}

impl Modulus {
    /// The sizes, in bits, that the lanes serve.
    pub const SIZES: [usize; 3] = [2048, 3072, 4096];

    /// Returns the odd modulus, big-endian. None unless its size is one of SIZES.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let bits = 8 * bytes.len();
        let is_odd = bytes.last().is_some_and(|byte| byte & 1 == 1);
        (Self::SIZES.contains(&bits) && bytes[0] >= 0x80 && is_odd).then(|| {
            let limbs: Box<[u64]> = limbs(bytes)[..count(bits)].into();
            Self { bits, inverse: inverse(limbs[0]), limbs, square: OnceLock::new() }
        })
    }

    /// Returns the size in bits. Moduli of one size may share the lanes.
    pub fn bits(&self) -> usize {
        self.bits
    }
}

/// Returns how many limbs the numbers of a modulus have: enough for R to exceed it 2³²-fold.
fn count(bits: usize) -> usize {
    (bits + 32).div_ceil(LIMB_BITS).next_multiple_of(ROWS)
}

/// Returns −1/n mod 2⁵². Newton's method doubles the bits that are right: n·n = 1 mod 2³.
fn inverse(n: u64) -> u64 {
    let doubled = |x: u64, _| x.wrapping_mul(2u64.wrapping_sub(n.wrapping_mul(x)));
    (0..5).fold(n, doubled).wrapping_neg() & LIMB
}

/// Two limbs are 13 bytes.
const PAIR: usize = 13;

/// Splits a number of at most 512 bytes, big-endian, into limbs.
fn limbs(bytes: &[u8]) -> [u64; MOST] {
    let mut padded = [0; MOST / 2 * PAIR];
    padded[MOST / 2 * PAIR - bytes.len()..].copy_from_slice(bytes);
    let mut limbs = [0; MOST];
    for (pair, digits) in limbs.as_chunks_mut::<2>().0.iter_mut().zip(padded.rchunks(PAIR)) {
        let mut wide = [0; 16];
        wide[16 - PAIR..].copy_from_slice(digits);
        let wide = u128::from_be_bytes(wide);
        *pair = [wide as u64 & LIMB, (wide >> LIMB_BITS) as u64];
    }
    limbs
}

/// Joins limbs to a number of that many bytes, big-endian.
fn joined(limbs: &[u64], size: usize) -> Vec<u8> {
    let mut padded = vec![0; limbs.len() / 2 * PAIR];
    for (digits, pair) in padded.rchunks_mut(PAIR).zip(limbs.as_chunks::<2>().0) {
        let wide = u128::from(pair[0]) | u128::from(pair[1]) << LIMB_BITS;
        digits.copy_from_slice(&wide.to_be_bytes()[16 - PAIR..]);
    }
    padded.split_off(padded.len() - size)
}

/// Subtracts n from a number below 2n that is not below n.
fn subtract_once(number: &mut [u64], n: &[u64]) {
    if number.iter().rev().lt(n.iter().rev()) {
        return;
    }
    let mut borrow = 0;
    for (limb, &n) in number.iter_mut().zip(n) {
        let difference = limb.wrapping_sub(n).wrapping_sub(borrow);
        (*limb, borrow) = (difference & LIMB, difference >> 63);
    }
    debug_assert!(number.iter().rev().lt(n.iter().rev()), "the number was 2n or more");
}

/// Returns s⁶⁵⁵³⁷ mod n of each lane, big-endian and as long as the modulus. The moduli have one
/// size, and each s, big-endian, is as long as its modulus and less.
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn powers(moduli: [&Modulus; LANES], bases: [&[u8]; LANES]) -> [Vec<u8>; LANES] {
    let field = Field::new(moduli);
    let mut columns = [zero(); 2 * MOST];
    let bases = bases.map(limbs);
    let s = gathered(bases.each_ref().map(|limbs| &limbs[..]), field.size());
    let mut power = s;
    field.multiply(&mut power, &field.squares(moduli, &mut columns), &mut columns);
    for _ in 0..16 {
        field.square(&mut power, &mut columns);
    }
    // Now s⁶⁵⁵³⁶·R: the last product is by s itself, and takes R away.
    field.multiply(&mut power, &s, &mut columns);
    let mut powers = scattered(&power[..field.size()]);
    for (power, modulus) in powers.iter_mut().zip(moduli) {
        subtract_once(power, &modulus.limbs);
    }
    powers.map(|power| joined(&power, field.bits / 8))
}

/// The eight moduli.
struct Field {
    bits: usize,
    n: [Limbs; MOST],
    inverse: Limbs,
}

impl Field {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(moduli: [&Modulus; LANES]) -> Self {
        let bits = moduli[0].bits;
        debug_assert!(moduli.iter().all(|modulus| modulus.bits == bits));
        Self {
            bits,
            n: gathered(moduli.map(|modulus| &modulus.limbs[..]), moduli[0].limbs.len()),
            inverse: row(&moduli.map(|modulus| modulus.inverse)),
        }
    }

    fn size(&self) -> usize {
        count(self.bits)
    }

    /// Returns R² mod n, below 2n, of each lane. It is computed for all if one lacks it, and kept.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn squares(&self, moduli: [&Modulus; LANES], columns: &mut [Limbs]) -> [Limbs; MOST] {
        let known = moduli.map(|modulus| modulus.square.get());
        if let Some(known) = all(known) {
            return gathered(known.map(|square| &square[..]), self.size());
        }
        // Three squarings take R·2^(52·limbs/8) to R·2^(52·limbs), which is R².
        let mut square = self.shifted(LIMB_BITS * self.size() / 8);
        for _ in 0..3 {
            self.square(&mut square, columns);
        }
        for (modulus, limbs) in moduli.iter().zip(scattered(&square[..self.size()])) {
            modulus.square.get_or_init(|| limbs.into());
        }
        square
    }

    /// Returns a number congruent to R·2^shift, below 2n.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn shifted(&self, shift: usize) -> [Limbs; MOST] {
        let size = self.size();
        let top = (self.bits - 1) / LIMB_BITS;
        // 2^bits − n, which is below n: all bits turned, plus 1, which n's lowest bit makes room for.
        let mut number = [zero(); MOST];
        for (j, (limb, &n)) in number.iter_mut().zip(&self.n[..=top]).enumerate() {
            let width = (self.bits - LIMB_BITS * j).min(LIMB_BITS);
            let turned = _mm512_xor_si512(n, splat((1 << width) - 1));
            *limb = if j == 0 { _mm512_or_si512(turned, splat(1)) } else { turned };
        }
        let leading = |x: &[Limbs; MOST]| {
            let radix = _mm512_set1_pd((1u64 << LIMB_BITS) as f64);
            _mm512_fmadd_pd(to_double(x[top]), radix, to_double(x[top - 1]))
        };
        let mut left = LIMB_BITS * size - self.bits + shift;
        while left > 0 {
            let step = left.min(STEP);
            left -= step;
            // q is the integer nearest to an estimate of number·2^step / n, which is below 2⁴⁵. The
            // estimate is off by less than 2⁻⁵, q by less than 1, so that number·2^step − q·n + n is
            // from 0 to 2n. It is computed mod R, so what goes beyond the top is dropped.
            let factor = splat(1 << step);
            let scale = _mm512_set1_pd((1u64 << step) as f64);
            let quotient = _mm512_mul_pd(_mm512_div_pd(leading(&number), leading(&self.n)), scale);
            let q = to_integer(quotient);
            let (mut below, mut n_below, mut carry) = (zero(), zero(), zero());
            for (limb, &n) in number.iter_mut().zip(&self.n).take(size) {
                let plus = low(high(add(n, carry), factor, below), factor, *limb);
                let minus = low(high(zero(), q, n_below), q, n);
                (below, n_below) = (*limb, n);
                let sum = _mm512_sub_epi64(plus, minus);
                *limb = _mm512_and_si512(sum, splat(LIMB));
                carry = _mm512_srai_epi64::<{ LIMB_BITS as u32 }>(sum);
            }
        }
        number
    }

    /// Sets a to a·b/R mod n, below 2n, of a and b below 2n.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn multiply(&self, a: &mut [Limbs; MOST], b: &[Limbs; MOST], columns: &mut [Limbs]) {
        let size = self.size();
        columns[..2 * size].fill(zero());
        for (start, rows) in (0..).step_by(ROWS).zip(a[..size].as_chunks().0) {
            add_product(&mut columns[start..], rows, &b[..size]);
        }
        self.reduce(a, columns);
    }

    /// Sets a to a²/R mod n, below 2n, of a below 2n. Products of different rows are made once and
    /// doubled.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn square(&self, a: &mut [Limbs; MOST], columns: &mut [Limbs]) {
        let size = self.size();
        columns[..2 * size].fill(zero());
        for (start, rows) in (0..size - ROWS).step_by(ROWS).zip(a[..size].as_chunks().0) {
            let after = start + ROWS;
            add_product(&mut columns[start + after..], rows, &a[after..size]);
        }
        for (columns, rows) in columns.chunks_exact_mut(2 * ROWS).zip(a[..size].as_chunks().0) {
            for column in columns.iter_mut() {
                *column = add(*column, *column);
            }
            add_product(columns, rows, rows);
        }
        self.reduce(a, columns);
    }

    /// Sets `result` to the columns' number divided by R mod n.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce(&self, result: &mut [Limbs; MOST], columns: &mut [Limbs]) {
        let size = self.size();
        let n = &self.n[..size];
        for start in (0..size).step_by(ROWS) {
            let columns = &mut columns[start..];
            // The multiple of n that makes the lowest columns 0, which then are not needed.
            let mut rows = [zero(); ROWS];
            for c in 0..ROWS {
                let mut sum = columns[c];
                for i in 0..c {
                    sum = low(sum, rows[i], n[c - i]);
                    sum = high(sum, rows[i], n[c - 1 - i]);
                }
                rows[c] = low(zero(), sum, self.inverse);
                sum = low(sum, rows[c], n[0]);
                columns[c + 1] = add(columns[c + 1], shifted_right(sum));
            }
            add_upper_product(columns, &rows, n);
        }
        let mut carry = zero();
        for (limb, &column) in result.iter_mut().zip(&columns[size..2 * size]) {
            let sum = add(column, carry);
            debug_assert!(is_zero(_mm512_srli_epi64::<62>(sum)), "a column is too large");
            *limb = _mm512_and_si512(sum, splat(LIMB));
            carry = shifted_right(sum);
        }
        debug_assert!(is_zero(carry), "a result is too large");
    }
}

/// Adds rows · number to the columns: to column c the low halves of rows[i]·number[c − i] and the
/// high halves of rows[i]·number[c − 1 − i].
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_product(columns: &mut [Limbs], rows: &[Limbs; ROWS], number: &[Limbs]) {
    for c in 0..ROWS {
        let mut sum = columns[c];
        for i in 0..=c {
            sum = low(sum, rows[i], number[c - i]);
        }
        for i in 0..c {
            sum = high(sum, rows[i], number[c - 1 - i]);
        }
        columns[c] = sum;
    }
    add_upper_product(columns, rows, number);
}

/// Adds rows · number to the columns from the fifth on, four in a turn.
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_upper_product(columns: &mut [Limbs], rows: &[Limbs; ROWS], number: &[Limbs]) {
    let (first, number) = number.split_first_chunk::<ROWS>().expect("a number has limbs");
    let (columns, last) =
        columns[ROWS..].as_chunks_mut::<ROWS>().0.split_at_mut(number.len() / ROWS);
    let mut before = first;
    for (columns, limbs) in columns.iter_mut().zip(number.as_chunks().0) {
        for c in 0..ROWS {
            let mut sum = columns[c];
            for i in 0..ROWS {
                sum = low(sum, rows[i], if i <= c { limbs[c - i] } else { before[ROWS + c - i] });
            }
            for i in 0..ROWS {
                sum = high(
                    sum,
                    rows[i],
                    if i < c { limbs[c - 1 - i] } else { before[ROWS - 1 + c - i] },
                );
            }
            columns[c] = sum;
        }
        before = limbs;
    }
    for c in 0..ROWS {
        let mut sum = last[0][c];
        for i in c + 1..ROWS {
            sum = low(sum, rows[i], before[ROWS + c - i]);
        }
        for i in c..ROWS {
            sum = high(sum, rows[i], before[ROWS - 1 + c - i]);
        }
        last[0][c] = sum;
    }
}

/// Returns sum + the low 52 bits of a·b. Of a and b only the low 52 bits count.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn low(sum: Limbs, a: Limbs, b: Limbs) -> Limbs {
    _mm512_madd52lo_epu64(sum, a, b)
}

/// Returns sum + the high 52 bits of a·b. Of a and b only the low 52 bits count.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn high(sum: Limbs, a: Limbs, b: Limbs) -> Limbs {
    _mm512_madd52hi_epu64(sum, a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add(a: Limbs, b: Limbs) -> Limbs {
    _mm512_add_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn shifted_right(a: Limbs) -> Limbs {
    _mm512_srli_epi64::<{ LIMB_BITS as u32 }>(a)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn zero() -> Limbs {
    _mm512_setzero_si512()
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn splat(word: u64) -> Limbs {
    _mm512_set1_epi64(word as i64)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn is_zero(a: Limbs) -> bool {
    _mm512_test_epi64_mask(a, a) == 0
}

/// 2⁵² as a double: the low bits of its fraction are those of an integer below 2⁵² added to it.
const MAGIC: f64 = (1u64 << LIMB_BITS) as f64;

/// Returns limbs as doubles.
#[target_feature(enable = "avx512f,avx512ifma")]
fn to_double(limbs: Limbs) -> __m512d {
    let sum = _mm512_castsi512_pd(_mm512_or_si512(limbs, splat(MAGIC.to_bits())));
    _mm512_sub_pd(sum, _mm512_set1_pd(MAGIC))
}

/// Rounds doubles from 0 to 2⁵² − 1.
#[target_feature(enable = "avx512f,avx512ifma")]
fn to_integer(doubles: __m512d) -> Limbs {
    let sum = _mm512_castpd_si512(_mm512_add_pd(doubles, _mm512_set1_pd(MAGIC)));
    _mm512_xor_si512(sum, splat(MAGIC.to_bits()))
}

/// Returns eight numbers of that many limbs with each limb of all in one register.
#[target_feature(enable = "avx512f,avx512ifma")]
fn gathered(numbers: [&[u64]; LANES], size: usize) -> [Limbs; MOST] {
    let numbers = numbers.map(|number| &number[..size]);
    let mut limbs = [zero(); MOST];
    for (j, limb) in limbs[..size].iter_mut().enumerate() {
        *limb = row(&numbers.map(|number| number[j]));
    }
    limbs
}

/// Undoes `gathered`.
#[target_feature(enable = "avx512f,avx512ifma")]
fn scattered(limbs: &[Limbs]) -> [Vec<u64>; LANES] {
    let mut numbers = [const { Vec::new() }; LANES].map(|_: Vec<u64>| vec![0; limbs.len()]);
    for (j, &limb) in limbs.iter().enumerate() {
        for (number, word) in numbers.iter_mut().zip(words(limb)) {
            number[j] = word;
        }
    }
    numbers
}

/// Returns all values, or None if one is missing.
fn all<T: Copy>(values: [Option<T>; LANES]) -> Option<[T; LANES]> {
    values.iter().all(Option::is_some).then(|| values.map(|value| value.expect("is some")))
}

#[cfg(test)]
mod tests {
    use std::array::from_fn;

    use num_bigint::BigUint;

    use super::*;
    use crate::entries::rsa_powers;
    use crate::testing::Random;

    fn number(random: &mut Random, size: usize) -> Vec<u8> {
        // Runs of equal bits, now and then: carries that go far.
        let word = |random: &mut Random| match random.word() % 4 {
            0 => [0; 8],
            1 => [0xff; 8],
            _ => random.word().to_be_bytes(),
        };
        (0..size / 8).flat_map(|_| word(random)).collect()
    }

    fn modulus(random: &mut Random, size: usize) -> Vec<u8> {
        let mut bytes = number(random, size);
        bytes[0] |= 0x80;
        bytes[size - 1] |= 1;
        bytes
    }

    /// Returns a number below the modulus, as long.
    fn base(random: &mut Random, modulus: &[u8]) -> Vec<u8> {
        let n = BigUint::from_bytes_be(modulus);
        let number = match random.word() % 8 {
            0 => BigUint::ZERO,
            1 => BigUint::from(1u32),
            2 => &n - 1u32,
            3 => &n >> 1,
            _ => BigUint::from_bytes_be(&number(random, modulus.len())) % &n,
        };
        padded(&number, modulus.len())
    }

    fn padded(number: &BigUint, size: usize) -> Vec<u8> {
        let bytes = number.to_bytes_be();
        [vec![0; size - bytes.len()], bytes].concat()
    }

    /// Checks one group, twice: with new moduli, then with known ones. Nothing to do without lanes.
    fn check(moduli: [Vec<u8>; LANES], bases: [Vec<u8>; LANES]) {
        let parsed = moduli.each_ref().map(|bytes| Modulus::new(bytes).unwrap());
        for _ in 0..2 {
            let powers = rsa_powers(parsed.each_ref(), bases.each_ref().map(|base| &base[..]));
            let Some(powers) = powers else { return };
            for ((power, base), modulus) in powers.iter().zip(&bases).zip(&moduli) {
                let n = BigUint::from_bytes_be(modulus);
                let expected = BigUint::from_bytes_be(base).modpow(&BigUint::from(65537u32), &n);
                assert_eq!(*power, padded(&expected, modulus.len()));
            }
        }
    }

    #[test]
    fn powers_are_those_of_big_integers() {
        let mut random = Random::new(1);
        for size in [256, 384, 512] {
            for _ in 0..40 {
                let moduli: [_; LANES] = from_fn(|_| modulus(&mut random, size));
                let bases = moduli.each_ref().map(|modulus| base(&mut random, modulus));
                check(moduli, bases);
            }
        }
    }

    #[test]
    fn the_smallest_and_the_largest_moduli_serve() {
        let mut random = Random::new(2);
        for size in [256, 384, 512] {
            let power = BigUint::from(1u32) << (8 * size - 1);
            let moduli = from_fn(|lane| {
                let offset = 2 * (lane as u32 / 2) + 1;
                let low = if lane % 2 == 0 { &power + offset } else { (&power << 1) - offset };
                padded(&low, size)
            });
            for _ in 0..8 {
                let bases = moduli.each_ref().map(|modulus| base(&mut random, modulus));
                check(moduli.clone(), bases);
            }
        }
    }

    #[test]
    fn new_and_known_moduli_share_the_lanes() {
        let mut random = Random::new(3);
        let moduli: [_; LANES] = from_fn(|_| modulus(&mut random, 256));
        let parsed = moduli.each_ref().map(|bytes| Modulus::new(bytes).unwrap());
        for known in 0..LANES {
            let other = Modulus::new(&modulus(&mut random, 256)).unwrap();
            let group = from_fn(|lane| if lane == known { &parsed[lane] } else { &other });
            let one = padded(&BigUint::from(1u32), 256);
            let Some(powers) = rsa_powers(group, [&one; LANES]) else { return };
            assert!(powers.iter().all(|power| *power == one));
            let Some(powers) = rsa_powers(parsed.each_ref(), [&one; LANES]) else { return };
            assert!(powers.iter().all(|power| *power == one));
        }
    }

    #[test]
    fn a_result_from_n_to_2n_is_reduced() {
        let mut random = Random::new(4);
        let split = |number: &BigUint| {
            let limb = |j: usize| (number >> (LIMB_BITS * j)) & BigUint::from(LIMB);
            (0..MOST).map(|j| limb(j).try_into().unwrap()).collect::<Vec<u64>>()
        };
        for size in [256, 384, 512] {
            let n = BigUint::from_bytes_be(&modulus(&mut random, size));
            for number in [BigUint::ZERO, &n - 1u32, n.clone(), &n + 1u32, &n + &n - 1u32] {
                let mut limbs = split(&number);
                subtract_once(&mut limbs, &split(&n));
                assert_eq!(limbs, split(&(number % &n)));
            }
        }
    }

    #[test]
    fn limbs_are_joined_as_they_were_split() {
        let mut random = Random::new(5);
        for size in [256, 384, 512] {
            let bytes = number(&mut random, size);
            let modulus = modulus(&mut random, size);
            assert_eq!(
                joined(&limbs(&bytes)[..Modulus::new(&modulus).unwrap().limbs.len()], size),
                bytes
            );
        }
    }

    #[test]
    fn moduli_are_odd_and_of_the_sizes_served() {
        let of = |size: usize, first: u8, last: u8| {
            let mut bytes = vec![0; size];
            (bytes[0], bytes[size - 1]) = (first, last);
            Modulus::new(&bytes).map(|modulus| modulus.bits())
        };
        assert_eq!(Modulus::SIZES.map(|bits| of(bits / 8, 0x80, 1)), Modulus::SIZES.map(Some));
        for (size, first, last) in [(256, 0x7f, 1), (256, 0x80, 2), (257, 0x80, 1), (255, 0xff, 1)]
        {
            assert_eq!(of(size, first, last), None);
        }
    }
}
