//! Inverses modulo an odd number, by the division steps of Bernstein and Yang ("Fast constant-time gcd
//! computation and modular inversion", 2019), of which 62 are made on the lowest words at once; in
//! variable time, as libsecp256k1's modinv64 has them.
//!
//! From f = m and g = a, of which f stays odd, steps make g smaller until it is 0: then f is ±1, if a
//! has an inverse. d and e follow them with d·a = f and e·a = g modulo m, so that d ends as ± the
//! inverse. All four are signed numbers in limbs of 62 bits, of which the highest one has the sign.

use crate::modular::Words;

const BITS: u32 = 62;
const MASK: i64 = (1 << BITS) - 1;

/// Limbs for nine words, or 576 bits, and a sign.
const MOST_LIMBS: usize = 10;
type Limbs = [i64; MOST_LIMBS];

/// Returns how many limbs numbers of N words take, twice the modulus and a sign with them.
const fn limbs<const N: usize>() -> usize {
    (64 * N + 2).div_ceil(BITS as usize)
}

/// 62 steps: (u·f + v·g)/2⁶² and (q·f + r·g)/2⁶² are the next f and g. |u| + |v| and |q| + |r| are at
/// most 2⁶².
struct Steps {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

impl Steps {
    /// Makes 62 steps, of which the lowest 62 bits of f and g decide. `eta` is Bernstein and Yang's −δ.
    #[inline]
    fn new(eta: &mut i64, f: i64, g: i64) -> Self {
        let (mut f, mut g) = (f as u64, g as u64);
        let (mut u, mut v, mut q, mut r) = (1_u64, 0_u64, 0_u64, 1_u64);
        let mut left = BITS;
        loop {
            // Steps that only halve g, as many as it has zeros.
            let zeros = (g | u64::MAX << left).trailing_zeros();
            g >>= zeros;
            (u, v) = (u << zeros, v << zeros);
            *eta -= i64::from(zeros);
            left -= zeros;
            if left == 0 {
                break;
            }
            let is_swapped = *eta < 0;
            if is_swapped {
                *eta = -*eta;
                (f, g) = (g, f.wrapping_neg());
                (u, q) = (q, u.wrapping_neg());
                (v, r) = (r, v.wrapping_neg());
            }
            // The multiple w of f that makes as many of g's lowest bits 0 as may be before the next
            // swap, −g/f modulo 2⁶ or 2⁴: f·(f² − 2) is −1/f modulo 2⁶, and f + ((f + 1) & 4)·2 is
            // 1/f modulo 2⁴.
            let limit = (*eta + 1).min(i64::from(left)) as u32;
            let allowed = u64::MAX >> (64 - limit);
            let w = if is_swapped {
                let minus_inverse = f.wrapping_mul(f).wrapping_sub(2).wrapping_mul(f);
                minus_inverse.wrapping_mul(g) & allowed & 63
            } else {
                let inverse = f.wrapping_add((f.wrapping_add(1) & 4) << 1);
                inverse.wrapping_neg().wrapping_mul(g) & allowed & 15
            };
            g = g.wrapping_add(f.wrapping_mul(w));
            q = q.wrapping_add(u.wrapping_mul(w));
            r = r.wrapping_add(v.wrapping_mul(w));
        }
        Self { u: u as i64, v: v as i64, q: q as i64, r: r as i64 }
    }

    /// Makes the steps for f and g, the first `length` limbs of which are not all sign.
    #[inline]
    fn apply(&self, length: usize, f: &mut Limbs, g: &mut Limbs) {
        let (mut of_f, mut of_g) = self.products(f[0], g[0]);
        debug_assert!(of_f as i64 & MASK == 0 && of_g as i64 & MASK == 0);
        (of_f, of_g) = (of_f >> BITS, of_g >> BITS);
        for limb in 1..length {
            let (more_f, more_g) = self.products(f[limb], g[limb]);
            (of_f, of_g) = (of_f + more_f, of_g + more_g);
            (f[limb - 1], g[limb - 1]) = (of_f as i64 & MASK, of_g as i64 & MASK);
            (of_f, of_g) = (of_f >> BITS, of_g >> BITS);
        }
        (f[length - 1], g[length - 1]) = (of_f as i64, of_g as i64);
    }

    /// Makes the steps for d and e, which are above −2m and below m, modulo m: they stay so. `inverse`
    /// is 1/m modulo 2⁶².
    #[inline]
    fn apply_modulo<const N: usize>(
        &self,
        d: &mut Limbs,
        e: &mut Limbs,
        modulus: &Limbs,
        inverse: i64,
    ) {
        let length = const { limbs::<N>() };
        let [d_sign, e_sign] = [d[length - 1] >> 63, e[length - 1] >> 63];
        // What m is taken times: once for each that is negative, and what makes the lowest limb 0.
        let mut times_d = (self.u & d_sign) + (self.v & e_sign);
        let mut times_e = (self.q & d_sign) + (self.r & e_sign);
        let (mut of_d, mut of_e) = self.products(d[0], e[0]);
        times_d -= inverse.wrapping_mul(of_d as i64).wrapping_add(times_d) & MASK;
        times_e -= inverse.wrapping_mul(of_e as i64).wrapping_add(times_e) & MASK;
        let times = |limb: i64, factor: i64| i128::from(limb) * i128::from(factor);
        of_d += times(modulus[0], times_d);
        of_e += times(modulus[0], times_e);
        debug_assert!(of_d as i64 & MASK == 0 && of_e as i64 & MASK == 0);
        (of_d, of_e) = (of_d >> BITS, of_e >> BITS);
        for limb in 1..length {
            let (more_d, more_e) = self.products(d[limb], e[limb]);
            of_d += more_d + times(modulus[limb], times_d);
            of_e += more_e + times(modulus[limb], times_e);
            (d[limb - 1], e[limb - 1]) = (of_d as i64 & MASK, of_e as i64 & MASK);
            (of_d, of_e) = (of_d >> BITS, of_e >> BITS);
        }
        (d[length - 1], e[length - 1]) = (of_d as i64, of_e as i64);
    }

    #[inline]
    fn products(&self, a: i64, b: i64) -> (i128, i128) {
        let times = |factor: i64, limb: i64| i128::from(factor) * i128::from(limb);
        (times(self.u, a) + times(self.v, b), times(self.q, a) + times(self.r, b))
    }
}

/// Returns 1/a modulo m, below m. None if there is none. m is odd, a is below m, and `inverse` is 1/m
/// modulo 2⁶⁴.
pub fn invert<const N: usize>(a: &Words<N>, m: &Words<N>, inverse: u64) -> Option<Words<N>> {
    let modulus = from_words(m);
    let inverse = inverse as i64 & MASK;
    let (mut f, mut g) = (modulus, from_words(a));
    let (mut d, mut e) = ([0; MOST_LIMBS], [0; MOST_LIMBS]);
    e[0] = 1;
    let (mut eta, mut length) = (-1, limbs::<N>());
    while g[..length].iter().any(|&limb| limb != 0) {
        let steps = Steps::new(&mut eta, f[0], g[0]);
        steps.apply_modulo::<N>(&mut d, &mut e, &modulus, inverse);
        steps.apply(length, &mut f, &mut g);
        // The highest limbs go once they are all sign.
        let is_sign = |limb: i64| limb == 0 || limb == -1;
        if length > 1 && is_sign(f[length - 1]) && is_sign(g[length - 1]) {
            f[length - 2] |= f[length - 1] << BITS;
            g[length - 2] |= g[length - 1] << BITS;
            length -= 1;
        }
    }
    let sign = f[length - 1] >> 63;
    let is_one = (f[0] ^ sign) - sign == 1 && f[1..length].iter().all(|&limb| limb == sign);
    is_one.then(|| {
        let negated = if sign < 0 { minus(&[0; MOST_LIMBS], &d, limbs::<N>()) } else { d };
        to_words(positive(negated, &modulus, limbs::<N>()))
    })
}

/// Adds m to a number from −2m to below m, or takes it from one below 2m, until it is from 0 to m − 1.
fn positive(mut number: Limbs, modulus: &Limbs, length: usize) -> Limbs {
    let opposite = minus(&[0; MOST_LIMBS], modulus, length);
    while number[length - 1] < 0 {
        number = minus(&number, &opposite, length);
    }
    loop {
        let less = minus(&number, modulus, length);
        if less[length - 1] < 0 {
            return number;
        }
        number = less;
    }
}

fn minus(a: &Limbs, b: &Limbs, length: usize) -> Limbs {
    let mut difference = [0; MOST_LIMBS];
    let mut carry = 0;
    for limb in 0..length {
        carry += a[limb] - b[limb];
        difference[limb] = if limb + 1 < length { carry & MASK } else { carry };
        carry >>= BITS;
    }
    difference
}

fn from_words<const N: usize>(words: &Words<N>) -> Limbs {
    std::array::from_fn(|limb| {
        let (word, shift) = (limb * BITS as usize / 64, limb * BITS as usize % 64);
        let at = |word: usize| u128::from(words.get(word).copied().unwrap_or(0));
        ((at(word) | at(word + 1) << 64) >> shift) as i64 & MASK
    })
}

fn to_words<const N: usize>(limbs: Limbs) -> Words<N> {
    std::array::from_fn(|word| {
        let (limb, shift) = (word * 64 / BITS as usize, word * 64 % BITS as usize);
        let at = |limb: usize| limbs.get(limb).copied().unwrap_or(0) as u128;
        // The shift is 16 at most.
        ((at(limb) | at(limb + 1) << BITS) >> shift) as u64
    })
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::testing::{Random, big, words};

    /// Numbers at the ends of bits, words and limbs, and random ones of every length, below m.
    fn numbers<const N: usize>(m: &BigUint) -> Vec<BigUint> {
        let mut random = Random::new(31);
        let mut numbers = vec![BigUint::ZERO];
        for bit in 0..64 * N {
            let power = BigUint::from(1_u32) << bit;
            numbers.extend([&power - 1_u32, &power + 1_u32, m - &power % m, power.clone()]);
            let word: Words<N> = random.words();
            numbers.push(big(&word) % power);
        }
        numbers.into_iter().map(|number| number % m).collect()
    }

    fn check<const N: usize>(m: &BigUint) {
        let modulus: Words<N> = words(m);
        let inverse = BigUint::from(1_u32) << 64;
        let [inverse] = words(&m.modinv(&inverse).unwrap());
        for number in numbers::<N>(m) {
            let found = invert(&words(&number), &modulus, inverse);
            assert_eq!(found.map(|found| big(&found)), number.modinv(m), "{number} {m}");
        }
    }

    #[test]
    fn inverses_are_those_of_big_integers() {
        let power = |bits: u32, less: u64| (BigUint::from(1_u32) << bits) - less;
        check::<1>(&BigUint::from(151_u32));
        check::<4>(&power(256, 617));
        check::<4>(&(power(255, 0) + 3225_u32));
        check::<6>(&(power(384, 1) - power(128, 0) - power(96, 0) + power(32, 0)));
        check::<8>(&power(512, 569));
        check::<9>(&power(521, 1));
    }

    /// Moduli that are no primes, for which not every number has an inverse; of few and of all bits.
    #[test]
    fn numbers_without_an_inverse_have_none() {
        let power = |bits: u32| BigUint::from(1_u32) << bits;
        check::<1>(&BigUint::from(3_u32 * 5 * 7 * 11));
        check::<2>(&(power(128) - 1_u32));
        check::<4>(&((power(128) - 1_u32) * (power(127) - 1_u32)));
        check::<9>(&(power(576) - 1_u32));
    }
}
