//! The entry points of functions for instructions that not every machine has: the only unsafe code.
//!
//! Each is called where `instructions()` has found what it is compiled for.
#![allow(unsafe_code)]

use crate::instructions::{Instructions, instructions};
use crate::p256_lanes::{self, Curve, Item};
use crate::streebog_gfni;

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
