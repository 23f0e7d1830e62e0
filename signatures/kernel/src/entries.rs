//! The entries to functions for instructions that not every machine has: each asks first whether
//! this one has them.
#![allow(unsafe_code)]

use crate::instructions::{Instructions, instructions};
use crate::p256_lanes::{self, Curve, Item};
use crate::rsa_lanes;
use crate::streebog_gfni;

/// Returns s⁶⁵⁵³⁷ mod n of eight moduli of one size. None if the machine has no lanes for it.
pub fn rsa_powers(
    moduli: [&rsa_lanes::Modulus; rsa_lanes::LANES],
    bases: [&[u8]; rsa_lanes::LANES],
) -> Option<[Vec<u8>; rsa_lanes::LANES]> {
    let has_lanes = instructions() >= Instructions::Ifma;
    // SAFETY: `instructions` found AVX-512 F and IFMA, all that the function is compiled for.
    has_lanes.then(|| unsafe { rsa_lanes::powers(moduli, bases) })
}

/// Returns Streebog's last state, from the first one; None without the instructions.
pub fn streebog(message: &[u8], initial: [u64; 8]) -> Option<[u8; 64]> {
    (instructions() >= Instructions::Ifma).then(|| {
        // SAFETY: Ifma says that the machine has AVX-512 F, BW and VBMI, and GFNI.
        unsafe { streebog_gfni::digest(message, initial) }
    })
}

/// Returns p256_lanes::holds; None without the instructions, too.
pub fn p256_holds(curve: &Curve, items: &[Item]) -> Option<Vec<bool>> {
    if instructions() < Instructions::Ifma {
        return None;
    }
    // SAFETY: Ifma says that the machine has AVX-512 F and IFMA.
    unsafe { p256_lanes::holds(curve, items) }
}
