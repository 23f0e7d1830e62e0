//! Arithmetic modulo an odd number of N 64-bit words, lowest word first.
//!
//! Moduli just below a power of 2⁶⁴ (2⁵¹² − 569 and 2²⁵⁶ − 617 among GOST's) are reduced by folding
//! what is above that power back, others by Montgomery's method, in the form of the prime itself for
//! P-256, P-384 and P-521 (nist_primes); `encode` and `decode` hide which.
//! Encoded numbers fit N words and need not be below the modulus: compare them by `is_zero` and
//! `equals` only.
//!
//! Nothing is constant-time, because signatures and keys are public. Branches are avoided where the
//! processor would mispredict them.

use crate::{inversion, nist_primes};

pub type Words<const N: usize> = [u64; N];

/// Words of the longest modulus, P-521's.
const MAX_WORDS: usize = 9;

/// A product: the first 2N words count.
pub type Wide = [u64; 2 * MAX_WORDS];

pub struct Modulus<const N: usize> {
    pub words: Words<N>,
    /// 2⁶⁴ᴺ − m if the modulus m is folded, 0 for Montgomery's method.
    fold: u64,
    /// Whether the modulus is P-256's, P-384's or P-521's prime.
    is_nist_prime: bool,
    /// −m⁻¹ modulo 2⁶⁴, for Montgomery's method.
    inverse: u64,
    /// R² modulo m, where R = 2⁶⁴ᴺ.
    r_squared: Words<N>,
}

impl<const N: usize> Modulus<N> {
    pub fn new(words: Words<N>) -> Self {
        // Folding multiplies the carry by 2⁶⁴ᴺ − m; below 2³² one fold suffices.
        let is_near_power = words[0] > u64::MAX - (1 << 32) && words[1..].iter().all(|&w| !w == 0);
        let fold = if is_near_power { words[0].wrapping_neg() } else { 0 };
        // Newton's method: each step doubles the correct bits, and m is its own inverse modulo 8.
        let inverse = (0..5)
            .fold(words[0], |x, _| x.wrapping_mul(2u64.wrapping_sub(words[0].wrapping_mul(x))));
        let is_nist_prime = nist_primes::is_nist_prime(&words);
        let inverse = inverse.wrapping_neg();
        let mut modulus = Self { words, fold, is_nist_prime, inverse, r_squared: [0; N] };
        let mut power = [0; N];
        power[0] = 1;
        for _ in 0..128 * N {
            power = modulus.add(&power, &power);
        }
        modulus.r_squared = power;
        modulus
    }

    pub fn bits(&self) -> usize {
        64 * N - self.words[N - 1].leading_zeros() as usize
    }

    /// Converts a number below the modulus to the form that the arithmetic works on.
    pub fn encode(&self, number: &Words<N>) -> Words<N> {
        if self.fold != 0 { *number } else { self.multiply(number, &self.r_squared) }
    }

    /// Converts an encoded number back, to below the modulus.
    pub fn decode(&self, encoded: &Words<N>) -> Words<N> {
        let mut one = [0; N];
        one[0] = 1;
        self.reduce(&self.multiply(encoded, &one))
    }

    pub fn is_zero(&self, a: &Words<N>) -> bool {
        *a == [0; N] || *a == self.words
    }

    /// Returns whether two encoded numbers are equal modulo m.
    pub fn equals(&self, a: &Words<N>, b: &Words<N>) -> bool {
        self.is_zero(&self.subtract(a, b))
    }

    pub fn one(&self) -> Words<N> {
        let mut one = [0; N];
        one[0] = 1;
        self.encode(&one)
    }

    /// Reduces any number of N words, by subtractions: few if the modulus fills its words.
    pub fn reduce(&self, number: &Words<N>) -> Words<N> {
        let mut reduced = *number;
        while let (less, false) = subtract(&reduced, &self.words) {
            reduced = less;
        }
        reduced
    }

    #[inline]
    pub fn add(&self, a: &Words<N>, b: &Words<N>) -> Words<N> {
        let (sum, carry) = add(a, b);
        self.reduce_once(sum, carry)
    }

    #[inline]
    pub fn subtract(&self, a: &Words<N>, b: &Words<N>) -> Words<N> {
        let (difference, borrow) = subtract(a, b);
        let mask = u64::from(borrow).wrapping_neg();
        if self.fold == 0 {
            return add(&difference, &masked(&self.words, mask)).0;
        }
        // 2⁶⁴ᴺ was borrowed, which is `fold` modulo m; subtracting that too rarely borrows again.
        let (difference, borrow) = subtract_word(difference, self.fold & mask);
        if borrow { subtract_word(difference, self.fold).0 } else { difference }
    }

    pub fn negate(&self, a: &Words<N>) -> Words<N> {
        self.subtract(&[0; N], a)
    }

    pub fn square(&self, a: &Words<N>) -> Words<N> {
        if self.fold != 0 {
            let square = wide_square(a);
            let low = std::array::from_fn(|i| square[i]);
            self.fold_back(low, &std::array::from_fn(|i| square[N + i]))
        } else if self.is_nist_prime {
            nist_primes::square(a)
        } else {
            self.multiply_montgomery(a, a)
        }
    }

    /// Returns an encoded product of encoded factors; and a plain product, perhaps not reduced, of
    /// an encoded factor and any plain one.
    pub fn multiply(&self, a: &Words<N>, b: &Words<N>) -> Words<N> {
        if self.fold != 0 {
            self.multiply_fold(a, b)
        } else if self.is_nist_prime {
            nist_primes::multiply(a, b)
        } else {
            self.multiply_montgomery(a, b)
        }
    }

    #[inline]
    fn multiply_fold(&self, a: &Words<N>, b: &Words<N>) -> Words<N> {
        let (mut low, mut high) = ([0; N], [0; N]);
        for i in 0..N {
            let mut carry;
            (low[i], carry) = multiply_add(a[0], b[i], high[0], 0);
            for j in 1..N {
                (high[j - 1], carry) = multiply_add(a[j], b[i], high[j], carry);
            }
            high[N - 1] = carry;
        }
        self.fold_back(low, &high)
    }

    /// Returns low + 2⁶⁴ᴺ·high in N words.
    #[inline]
    fn fold_back(&self, mut low: Words<N>, high: &Words<N>) -> Words<N> {
        let mut carry = 0;
        for i in 0..N {
            (low[i], carry) = multiply_add(high[i], self.fold, low[i], carry);
        }
        let (low, overflow) = add_word(low, carry * self.fold);
        self.reduce_once(low, overflow)
    }

    #[inline]
    fn multiply_montgomery(&self, a: &Words<N>, b: &Words<N>) -> Words<N> {
        let (mut t, mut top) = ([0; N], false);
        for &b in b {
            let mut carry = 0;
            for j in 0..N {
                (t[j], carry) = multiply_add(a[j], b, t[j], carry);
            }
            let (upper, over) = add_with_carry(carry, u64::from(top), false);
            let factor = t[0].wrapping_mul(self.inverse);
            (_, carry) = multiply_add(factor, self.words[0], t[0], 0);
            for j in 1..N {
                (t[j - 1], carry) = multiply_add(factor, self.words[j], t[j], carry);
            }
            let (word, over_again) = upper.overflowing_add(carry);
            (t[N - 1], top) = (word, over | over_again);
        }
        self.reduce_once(t, top)
    }

    /// Returns the inverse of an encoded number, encoded. None if it has none, as 0 has.
    pub fn invert(&self, a: &Words<N>) -> Option<Words<N>> {
        let inverse = inversion::invert(&self.decode(a), &self.words, self.inverse.wrapping_neg());
        inverse.map(|inverse| self.encode(&inverse))
    }

    /// Replaces encoded numbers by their inverses, with one inversion for all (Montgomery's trick).
    /// None, with the numbers as they were, if one has none.
    pub fn invert_all(&self, numbers: &mut [Words<N>]) -> Option<()> {
        let mut product = self.one();
        let mut before = Vec::with_capacity(numbers.len());
        for number in &*numbers {
            before.push(product);
            product = self.multiply(&product, number);
        }
        let mut inverse = self.invert(&product)?;
        for (number, before) in numbers.iter_mut().zip(&before).rev() {
            let next = self.multiply(&inverse, number);
            *number = self.multiply(&inverse, before);
            inverse = next;
        }
        Some(())
    }

    /// Brings a sum of two encoded numbers, or a product, into N words. `overflow` is its 2⁶⁴ᴺ.
    #[inline]
    fn reduce_once(&self, number: Words<N>, overflow: bool) -> Words<N> {
        let top = N - 1;
        if self.fold != 0 {
            let mask = u64::from(overflow).wrapping_neg();
            let (number, overflow) = add_word(number, self.fold & mask);
            return if overflow { add_word(number, self.fold).0 } else { number };
        }
        if N == 9 && self.is_nist_prime {
            return nist_primes::fold_p521(number);
        }
        // Only the overflow is as likely as not: it must not become a branch.
        let is_past = overflow
            | (number[top] >= self.words[top]
                && (number[top] > self.words[top] || !is_below(&number, &self.words)));
        subtract(&number, &masked(&self.words, u64::from(is_past).wrapping_neg())).0
    }
}

#[inline]
pub fn wide_product<const N: usize>(a: &Words<N>, b: &Words<N>) -> Wide {
    let mut product = [0; 2 * MAX_WORDS];
    for i in 0..N {
        let mut carry = 0;
        for j in 0..N {
            (product[i + j], carry) = multiply_add(a[j], b[i], product[i + j], carry);
        }
        product[i + N] = carry;
    }
    product
}

/// Takes the products of different words once, and doubles them.
#[inline]
pub fn wide_square<const N: usize>(a: &Words<N>) -> Wide {
    let mut square = [0; 2 * MAX_WORDS];
    for i in 0..N - 1 {
        let mut carry = 0;
        for j in i + 1..N {
            (square[i + j], carry) = multiply_add(a[i], a[j], square[i + j], carry);
        }
        square[i + N] = carry;
    }
    let (mut shifted_out, mut carry) = (0, 0);
    for i in 0..N {
        let lower = square[2 * i] << 1 | shifted_out;
        let upper = square[2 * i + 1] << 1 | square[2 * i] >> 63;
        shifted_out = square[2 * i + 1] >> 63;
        let (word, over) = multiply_add(a[i], a[i], lower, carry);
        let (next, over_again) = over.overflowing_add(upper);
        (square[2 * i], square[2 * i + 1], carry) = (word, next, u64::from(over_again));
    }
    square
}

#[inline]
fn masked<const N: usize>(words: &Words<N>, mask: u64) -> Words<N> {
    words.map(|word| word & mask)
}

/// Returns number + word, and whether that overflows N words. It branches on the carry, because
/// carries past the first word are rare.
#[inline]
fn add_word<const N: usize>(mut number: Words<N>, word: u64) -> (Words<N>, bool) {
    let mut carry;
    (number[0], carry) = number[0].overflowing_add(word);
    for word in &mut number[1..] {
        if !carry {
            break;
        }
        (*word, carry) = word.overflowing_add(1);
    }
    (number, carry)
}

#[inline]
fn subtract_word<const N: usize>(mut number: Words<N>, word: u64) -> (Words<N>, bool) {
    let mut borrow;
    (number[0], borrow) = number[0].overflowing_sub(word);
    for word in &mut number[1..] {
        if !borrow {
            break;
        }
        (*word, borrow) = word.overflowing_sub(1);
    }
    (number, borrow)
}

/// Returns whether a is below b.
pub fn is_below<const N: usize>(a: &Words<N>, b: &Words<N>) -> bool {
    subtract(a, b).1
}

/// Returns a + b, and whether that overflows N words.
#[inline]
pub fn add<const N: usize>(a: &Words<N>, b: &Words<N>) -> (Words<N>, bool) {
    let mut sum = [0; N];
    let mut carry = false;
    for i in 0..N {
        (sum[i], carry) = add_with_carry(a[i], b[i], carry);
    }
    (sum, carry)
}

/// Returns a − b, and whether that borrows 2⁶⁴ᴺ.
#[inline]
pub fn subtract<const N: usize>(a: &Words<N>, b: &Words<N>) -> (Words<N>, bool) {
    let mut difference = [0; N];
    let mut borrow = false;
    for i in 0..N {
        (difference[i], borrow) = subtract_with_borrow(a[i], b[i], borrow);
    }
    (difference, borrow)
}

#[inline]
pub fn add_with_carry(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first | second)
}

#[inline]
pub fn subtract_with_borrow(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let (difference, first) = a.overflowing_sub(b);
    let (difference, second) = difference.overflowing_sub(u64::from(borrow));
    (difference, first | second)
}

/// Returns the lower and upper word of a·b + c + d, which never overflows two words.
#[inline]
fn multiply_add(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let wide = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(d);
    (wide as u64, (wide >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::testing::{Random, big, hexadecimal, words};

    /// Runs a generic check on a modulus of every kind and length that the kernel's curves have.
    macro_rules! for_each_modulus {
        ($check:ident) => {
            // Folded: 2²⁵⁶ − 617, 2⁵¹² − 569, and the largest difference that is folded.
            $check(&power_less::<4>(617));
            $check(&power_less::<8>(569));
            $check(&power_less::<4>((1 << 32) - 1));
            // The smallest difference that is not, and p and n of P-256, P-384 and P-521.
            $check(&power_less::<4>((1 << 32) + 1));
            $check(&modulus::<4>(
                "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
            ));
            $check(&modulus::<4>(
                "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
            ));
            $check(&modulus::<6>(
                "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe\
                 ffffffff0000000000000000ffffffff",
            ));
            $check(&modulus::<6>(
                "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf\
                 581a0db248b0a77aecec196accc52973",
            ));
            $check(&Modulus::<9>::new(words(&((BigUint::from(1u32) << 521u32) - 1u32))));
            // GOST's: two p that are not near a power of 2⁶⁴, and a q of 254 bits.
            $check(&modulus::<4>(
                "9b9f605f5a858107ab1ec85e6b41c8aacf846e86789051d37998f7b9022d759b",
            ));
            $check(&modulus::<8>(&format!("8{:0127x}", 0x6f)));
            $check(&modulus::<4>(
                "400000000000000000000000000000000fd8cddfc87b6635c115af556c360c67",
            ));
        };
    }

    fn modulus<const N: usize>(digits: &str) -> Modulus<N> {
        Modulus::new(words(&hexadecimal(digits)))
    }

    fn power_less<const N: usize>(difference: u64) -> Modulus<N> {
        Modulus::new(words(&((BigUint::from(1u32) << (64 * N)) - difference)))
    }

    /// Zero, one, their neighbours below the modulus, its middle, and random numbers below it.
    fn numbers<const N: usize>(m: &Modulus<N>) -> Vec<Words<N>> {
        let modulus = big(&m.words);
        let mut random = Random::new(1);
        let edges = [modulus.clone(), &modulus - 1u32, &modulus - 2u32, &modulus >> 1u32];
        let mut numbers = vec![[0; N], words(&BigUint::from(1u32)), words(&BigUint::from(2u32))];
        numbers.extend(edges[1..].iter().map(words));
        numbers.extend((0..12).map(|_| random.below(&m.words)));
        numbers
    }

    /// Numbers of N words that may be at or above the modulus.
    fn any_numbers<const N: usize>(m: &Modulus<N>) -> Vec<Words<N>> {
        let mut random = Random::new(2);
        let mut numbers = vec![[0; N], m.words, add(&m.words, &[1; N]).0, [u64::MAX; N]];
        numbers.extend((0..12).map(|_| random.words()));
        numbers
    }

    #[test]
    fn decoding_gives_back_what_was_encoded() {
        fn check<const N: usize>(m: &Modulus<N>) {
            for number in numbers(m) {
                assert_eq!(m.decode(&m.encode(&number)), number);
            }
            assert_eq!(m.decode(&m.one()), words(&BigUint::from(1u32)));
        }
        for_each_modulus!(check);
    }

    #[test]
    fn results_are_those_of_big_integers() {
        fn check<const N: usize>(m: &Modulus<N>) {
            let modulus = big(&m.words);
            let decoded = |number: &Words<N>| big(&m.decode(number));
            for a in numbers(m) {
                let (big_a, encoded_a) = (big(&a), m.encode(&a));
                assert_eq!(decoded(&m.negate(&encoded_a)), (&modulus - &big_a) % &modulus);
                assert_eq!(decoded(&m.square(&encoded_a)), &big_a * &big_a % &modulus);
                for b in numbers(m) {
                    let (big_b, encoded_b) = (big(&b), m.encode(&b));
                    let sum = (&big_a + &big_b) % &modulus;
                    let difference = (&big_a + &modulus - &big_b) % &modulus;
                    let product = &big_a * &big_b % &modulus;
                    assert_eq!(decoded(&m.add(&encoded_a, &encoded_b)), sum);
                    assert_eq!(decoded(&m.subtract(&encoded_a, &encoded_b)), difference);
                    assert_eq!(decoded(&m.multiply(&encoded_a, &encoded_b)), product);
                }
            }
        }
        for_each_modulus!(check);
    }

    /// The sum, difference and product of 2²⁵⁶ − 1 and itself or 0 carry twice.
    #[test]
    fn folded_numbers_need_not_be_below_the_modulus() {
        fn check<const N: usize>(m: &Modulus<N>) {
            assert_ne!(m.fold, 0);
            let modulus = big(&m.words);
            for a in any_numbers(m) {
                for b in any_numbers(m) {
                    let (big_a, big_b) = (big(&a), big(&b));
                    let difference = (&big_a + &modulus + &modulus - &big_b) % &modulus;
                    assert_eq!(big(&m.decode(&m.add(&a, &b))), (&big_a + &big_b) % &modulus);
                    assert_eq!(big(&m.decode(&m.subtract(&a, &b))), difference);
                    assert_eq!(big(&m.decode(&m.multiply(&a, &b))), &big_a * &big_b % &modulus);
                }
                let big_a = big(&a);
                assert_eq!(big(&m.decode(&m.square(&a))), &big_a * &big_a % &modulus);
            }
        }
        check(&power_less::<4>(617));
        check(&power_less::<8>(569));
        check(&power_less::<4>((1 << 32) - 1));
    }

    /// Signatures are verified by this: an inverse is encoded once, r and the digest never.
    #[test]
    fn an_encoded_factor_and_any_plain_one_make_a_plain_product() {
        fn check<const N: usize>(m: &Modulus<N>) {
            let modulus = big(&m.words);
            for a in numbers(m) {
                for b in any_numbers(m) {
                    let product = m.reduce(&m.multiply(&b, &m.encode(&a)));
                    assert_eq!(big(&product), big(&a) * big(&b) % &modulus);
                }
            }
        }
        for_each_modulus!(check);
    }

    #[test]
    fn a_number_times_its_inverse_is_one() {
        fn check<const N: usize>(m: &Modulus<N>) {
            for number in numbers(m) {
                let encoded = m.encode(&number);
                let Some(inverse) = m.invert(&encoded) else {
                    // 2²⁵⁶ − 2³² ± 1, which are no primes, have numbers without an inverse too.
                    let divisor = big(&number).modinv(&big(&m.words));
                    assert!(divisor.is_none(), "{number:?} has an inverse");
                    continue;
                };
                assert_eq!(m.decode(&m.multiply(&encoded, &inverse)), m.decode(&m.one()));
            }
            assert_eq!(m.invert(&[0; N]), None);
        }
        for_each_modulus!(check);
    }

    #[test]
    fn numbers_inverted_together_are_those_inverted_one_by_one() {
        fn check<const N: usize>(m: &Modulus<N>) {
            let encoded = numbers(m).into_iter().map(|number| m.encode(&number));
            let mut inverses: Vec<_> =
                encoded.filter(|number| m.invert(number).is_some()).collect();
            let expected: Vec<_> = inverses.iter().map(|number| m.invert(number)).collect();
            m.invert_all(&mut inverses).unwrap();
            for (inverse, expected) in inverses.iter().zip(&expected) {
                assert!(m.equals(inverse, &expected.unwrap()));
            }
            inverses.push([0; N]);
            let before = inverses.clone();
            assert!(m.invert_all(&mut inverses).is_none() && inverses == before);
            assert!(m.invert_all(&mut []).is_some());
        }
        for_each_modulus!(check);
    }

    #[test]
    fn folded_numbers_are_compared_modulo_the_modulus() {
        let m = power_less::<4>(617);
        assert!(m.is_zero(&[0; 4]) && m.is_zero(&m.words));
        assert!(!m.is_zero(&m.one()));
        let (one_more, _) = add(&m.words, &m.one());
        assert!(m.equals(&one_more, &m.one()));
        assert!(!m.equals(&one_more, &[0; 4]));
    }

    #[test]
    fn numbers_of_as_many_words_as_the_modulus_are_reduced() {
        fn check<const N: usize>(m: &Modulus<N>) {
            for number in any_numbers(m) {
                assert_eq!(big(&m.reduce(&number)), big(&number) % big(&m.words));
            }
        }
        check(&power_less::<4>(617));
        check(&modulus::<4>("400000000000000000000000000000000fd8cddfc87b6635c115af556c360c67"));
        check(&modulus::<8>(&format!("8{:0127x}", 0x6f)));
    }

    #[test]
    fn moduli_within_2_to_the_32_of_a_power_are_folded_and_others_are_not() {
        assert_eq!(power_less::<4>(617).fold, 617);
        assert_eq!(power_less::<4>((1 << 32) - 1).fold, (1 << 32) - 1);
        assert_eq!(power_less::<4>((1 << 32) + 1).fold, 0);
        // Near 2⁶⁴ in its lowest word only.
        assert_eq!(Modulus::<2>::new([u64::MAX, u64::MAX - 1]).fold, 0);
    }

    #[test]
    fn sums_and_comparisons_carry_through_all_words() {
        assert_eq!(add(&[u64::MAX, u64::MAX], &[1, 0]), ([0, 0], true));
        assert_eq!(add(&[u64::MAX, 1], &[1, 0]), ([0, 2], false));
        assert_eq!(subtract(&[0, 0], &[1, 0]), ([u64::MAX, u64::MAX], true));
        assert!(is_below(&[u64::MAX, 1], &[0, 2]) && !is_below(&[0, 2], &[u64::MAX, 1]));
        assert!(!is_below(&[3, 4], &[3, 4]));
    }
}
