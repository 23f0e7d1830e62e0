//! Hands libFuzzer's inputs to the kernel's fuzz target.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| qagazsyz_kernel::fuzzing::check(input));
