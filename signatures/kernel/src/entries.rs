//! The entries to functions for instructions that not every machine has: each asks first whether
//! this one has them.
#![allow(unsafe_code)]

use crate::curve_lanes::{self, Constants, Item, Table};
use crate::group::Group;
use crate::instructions::{Instructions, has_ifma, instructions};
use crate::modular::Words;
use crate::primes::Prime;
use crate::streebog_gfni;
use crate::windows::Shape;
use crate::{ed25519_lanes, rsa_lanes, sha512_avx2, sha512_ifma, sha512_lanes};

/// Calls the one that the machine's instructions allow, so that `ifma` may use AVX-512 F, BW and IFMA,
/// and `avx2` AVX2. None if the machine has neither.
fn in_lanes<R>(ifma: impl FnOnce() -> R, avx2: impl FnOnce() -> R) -> Option<R> {
    match instructions() {
        Instructions::Ifma => Some(ifma()),
        Instructions::Avx2 => Some(avx2()),
        Instructions::Scalar => None,
    }
}

/// Returns s⁶⁵⁵³⁷ mod n of eight moduli of one size. None if the machine has no lanes for it.
pub fn rsa_powers(
    moduli: [&rsa_lanes::Modulus; rsa_lanes::LANES],
    bases: [&[u8]; rsa_lanes::LANES],
) -> Option<[Vec<u8>; rsa_lanes::LANES]> {
    // SAFETY: `instructions` found AVX-512 F and IFMA, all that the function is compiled for.
    has_ifma().then(|| unsafe { rsa_lanes::powers(moduli, bases) })
}

/// Returns Streebog's last state, from the first one; None without the instructions.
pub fn streebog(message: &[u8], initial: [u64; 8]) -> Option<[u8; 64]> {
    // SAFETY: `instructions` found AVX-512 F, BW and VBMI, and GFNI.
    has_ifma().then(|| unsafe { streebog_gfni::digest(message, initial) })
}

/// Returns curve_lanes::holds. None if the machine has no lanes for it.
pub fn sums_hold<P: Prime<N, L>, const N: usize, const L: usize>(
    group: &Group<N>,
    constants: &Constants<N>,
    base: &Table<N>,
    items: &[Item<N>],
) -> Option<Vec<Option<bool>>> {
    // SAFETY: `instructions` found AVX-512 F and IFMA, all that the function is compiled for.
    has_ifma().then(|| unsafe { curve_lanes::holds::<P, N, L>(group, constants, base, items) })
}

/// Returns curve_lanes::tables; None if the machine has no lanes for it, too.
pub fn tables<P: Prime<N, L>, const N: usize, const L: usize>(
    group: &Group<N>,
    constants: &Constants<N>,
    shape: Shape,
    points: &[[Words<N>; 2]],
) -> Option<Vec<Table<N>>> {
    // SAFETY: `instructions` found AVX-512 F and IFMA, all that the function is compiled for.
    has_ifma()
        .then(|| unsafe { curve_lanes::tables::<P, N, L>(group, constants, shape, points) })?
}

/// Returns the SHA-512 digest of each message. None if the machine has no lanes for it.
pub fn sha512(messages: &[sha512_lanes::Parts]) -> Option<Vec<[u8; 64]>> {
    // SAFETY: `in_lanes` calls each where the machine has all that the function is compiled for.
    in_lanes(
        || unsafe { sha512_ifma::digests(messages) },
        || unsafe { sha512_avx2::digests(messages) },
    )
}

/// Decodes points of edwards25519. None if the machine has no lanes for it.
pub fn decode25519(encoded: &[[u8; 32]]) -> Option<Vec<Option<ed25519_lanes::Point>>> {
    // SAFETY: `in_lanes` calls each where the machine has all that the function is compiled for.
    in_lanes(
        || unsafe { ed25519_lanes::ifma::decode(encoded) },
        || unsafe { ed25519_lanes::avx2::decode(encoded) },
    )
}

/// Returns points of edwards25519 times 2¹²⁸. None if the machine has no lanes for it.
pub fn high25519(points: &[&ed25519_lanes::Point]) -> Option<Vec<ed25519_lanes::Point>> {
    // SAFETY: `in_lanes` calls each where the machine has all that the function is compiled for.
    in_lanes(
        || unsafe { ed25519_lanes::ifma::high(points) },
        || unsafe { ed25519_lanes::avx2::high(points) },
    )
}

/// Returns whether 8 times the sum of the multiples is the identity of edwards25519. None if the
/// machine has no lanes for it.
pub fn is_small25519(
    windows: ed25519_lanes::Windows,
    points: &[&ed25519_lanes::Point],
    scalars: &[ed25519_lanes::Scalar],
) -> Option<bool> {
    // SAFETY: `in_lanes` calls each where the machine has all that the function is compiled for.
    in_lanes(
        || unsafe { ed25519_lanes::ifma::is_small(windows, points, scalars) },
        || unsafe { ed25519_lanes::avx2::is_small(windows, points, scalars) },
    )
}

/// Returns whether each equation holds. None if the machine has no lanes for it.
pub fn hold25519(equations: &[ed25519_lanes::Equation]) -> Option<Vec<bool>> {
    // SAFETY: `in_lanes` calls each where the machine has all that the function is compiled for.
    in_lanes(
        || unsafe { ed25519_lanes::ifma::hold(equations) },
        || unsafe { ed25519_lanes::avx2::hold(equations) },
    )
}

#[cfg(test)]
pub fn compare_field25519() {
    if has_ifma() {
        // SAFETY: `instructions` found all that the function is compiled for.
        unsafe { crate::field25519_ifma::tests::compare() }
    }
}

#[cfg(test)]
pub fn compare_field25519_in_four() {
    if instructions() >= Instructions::Avx2 {
        // SAFETY: `instructions` found all that the function is compiled for.
        unsafe { crate::field25519_avx2::tests::compare() }
    }
}

#[cfg(test)]
pub fn compare_numbers<P: Prime<N, L>, const N: usize, const L: usize>() {
    if has_ifma() {
        // SAFETY: `instructions` found all that the function is compiled for.
        unsafe { crate::number_lanes::tests::compare::<P, N, L>() }
    }
}
