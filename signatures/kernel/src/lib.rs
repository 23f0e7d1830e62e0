//! Verifies whole batches of signatures, from the request's bytes to packed verdicts, without the
//! GIL; and hashes with Streebog. Where to read on: `python` is what Python sees, `wire` walks the
//! request, `keys` parses and keeps public keys, `jobs` goes over the items, `ed25519`, `aws_lc` and
//! `gost` do the arithmetic, `entries` leads to what is done in lanes.

// Tests and fuzzing are linked without Python, so without its module; much has no caller then.
#![cfg_attr(any(test, fuzzing), allow(dead_code))]

mod algorithm;
mod aws_lc;
#[cfg(target_arch = "x86_64")]
mod curve_lanes;
mod der;
mod ecdsa_claims;
mod ed25519;
#[cfg(target_arch = "x86_64")]
mod ed25519_lanes;
#[cfg(target_arch = "x86_64")]
mod entries;
#[cfg(target_arch = "x86_64")]
mod field25519;
#[cfg(target_arch = "x86_64")]
mod field25519_avx2;
#[cfg(target_arch = "x86_64")]
mod field25519_ifma;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gost;
mod gost_curves;
mod group;
mod instructions;
mod inversion;
mod jobs;
mod keys;
mod known_keys;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod modular;
mod nist;
mod nist_primes;
mod nist_trees;
#[cfg(target_arch = "x86_64")]
mod number_lanes;
mod primes;
#[cfg(not(any(test, fuzzing)))]
mod python;
#[cfg(not(any(test, fuzzing)))]
mod queue;
#[cfg(target_arch = "x86_64")]
mod rows;
mod rsa;
#[cfg(target_arch = "x86_64")]
mod rsa_lanes;
mod rsa_padding;
#[cfg(target_arch = "x86_64")]
mod sha512_avx2;
#[cfg(target_arch = "x86_64")]
mod sha512_ifma;
#[cfg(target_arch = "x86_64")]
mod sha512_lanes;
mod streebog;
#[cfg(target_arch = "x86_64")]
mod streebog_constants;
#[cfg(target_arch = "x86_64")]
mod streebog_gfni;
#[cfg(test)]
mod testing;
mod trees;
mod weierstrass;
mod windows;
mod wire;
