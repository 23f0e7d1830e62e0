//! The entries to functions for instructions that not every machine has: each asks first whether
//! this one has them.
#![allow(unsafe_code)]

use crate::instructions::{Instructions, instructions};
use crate::rsa_lanes;

/// Returns s⁶⁵⁵³⁷ mod n of eight moduli of one size. None if the machine has no lanes for it.
pub fn rsa_powers(
    moduli: [&rsa_lanes::Modulus; rsa_lanes::LANES],
    bases: [&[u8]; rsa_lanes::LANES],
) -> Option<[Vec<u8>; rsa_lanes::LANES]> {
    let has_lanes = instructions() >= Instructions::Ifma;
    // SAFETY: `instructions` found AVX-512 F and IFMA, all that the function is compiled for.
    has_lanes.then(|| unsafe { rsa_lanes::powers(moduli, bases) })
}
