//! Verifies whole batches of signatures, from the request's bytes to packed verdicts, without the
//! GIL; and hashes with Streebog. Where to read on: `wire` walks the request, `keys` parses and
//! keeps public keys, `jobs` goes over the items, `ed25519`, `aws_lc` and `gost` do the arithmetic,
//! `entries` leads to what is done in lanes.

mod algorithm;
mod aws_lc;
mod der;
mod ed25519;
#[cfg(target_arch = "x86_64")]
mod ed25519_lanes;
#[cfg(target_arch = "x86_64")]
mod entries;
#[cfg(target_arch = "x86_64")]
mod field25519_lanes;
mod gost;
mod gost_curves;
mod group;
mod instructions;
mod jobs;
mod keys;
mod modular;
mod nist;
mod nist_claims;
mod nist_primes;
mod nist_trees;
#[cfg(target_arch = "x86_64")]
mod p256_claims;
#[cfg(target_arch = "x86_64")]
mod p256_lanes;
#[cfg(target_arch = "x86_64")]
mod rows;
mod rsa;
#[cfg(target_arch = "x86_64")]
mod rsa_lanes;
mod rsa_padding;
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
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::algorithm::Algorithm;
use crate::jobs::{Job, Signer};
use crate::wire::Source;

/// One request: its bytes, and where in them everything lies.
#[pyclass(frozen)]
struct Batch {
    request: Py<PyBytes>,
    parsed: wire::Request,
    signers: Vec<Signer>,
}

impl Batch {
    fn signer(&self, index: usize) -> PyResult<&Signer> {
        self.signers.get(index).ok_or_else(|| PyIndexError::new_err("no such signer in the batch"))
    }

    fn jobs<'a>(&'a self, py: Python<'a>, start: usize, stop: usize) -> PyResult<Vec<Job<'a>>> {
        let items = self.parsed.items.get(start..stop);
        let items = items.ok_or_else(|| PyIndexError::new_err("no such items in the batch"))?;
        let data = self.request.as_bytes(py);
        Ok(items.iter().map(|item| Job { data, signers: &self.signers, item }).collect())
    }
}

#[pymethods]
impl Batch {
    #[getter]
    fn item_count(&self) -> usize {
        self.parsed.item_count
    }

    #[getter]
    fn signer_count(&self) -> usize {
        self.parsed.signer_count
    }

    #[getter]
    fn trust_policy(&self) -> i32 {
        self.parsed.trust_policy
    }

    /// Each item's algorithm by its number in the contract, a byte each; 0 for any other.
    #[getter]
    fn algorithms<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let known = |number| Algorithm::from_number(number).map_or(0, |_| number as u8);
        let numbers: Vec<u8> = self.parsed.items.iter().map(|item| known(item.algorithm)).collect();
        PyBytes::new(py, &numbers)
    }

    /// Seconds and nanoseconds; None when unset.
    #[getter]
    fn at(&self) -> Option<(i64, i32)> {
        self.parsed.at
    }

    /// A RequiredRole's bytes, not validated; None when unset.
    #[getter]
    fn required_role<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.parsed.required_role.as_ref().map(|bytes| PyBytes::new(py, bytes))
    }

    /// Return (index, field number of the source, value) of every signer that is not a bare public
    /// key; the field number is 0 if the signer has no source.
    fn named_signers<'py>(&self, py: Python<'py>) -> Vec<(usize, u8, Bound<'py, PyBytes>)> {
        let data = self.request.as_bytes(py);
        let named = self.signers.iter().enumerate().filter_map(|(index, signer)| {
            let (field, value) = match signer.source() {
                Source::PublicKey(_) => return None,
                Source::Missing => (0, &[][..]),
                Source::Certificate(span) => (2, span.of(data)),
                Source::KeyVersion(span) => (3, span.of(data)),
            };
            Some((index, field, PyBytes::new(py, value)))
        });
        named.collect()
    }

    /// Give a signer its SubjectPublicKeyInfo, or None if it has no key. ValueError if verification
    /// has used its key already.
    #[pyo3(signature = (index, spki))]
    fn set_key(&self, index: usize, spki: Option<&[u8]>) -> PyResult<()> {
        if self.signer(index)?.give(spki) {
            Ok(())
        } else {
            Err(PyValueError::new_err("the signer has its key already"))
        }
    }

    /// Set the verdict, by its number, on a signer's items whose signature holds.
    fn set_trust(&self, index: usize, verdict: u8) -> PyResult<()> {
        self.signer(index).map(|signer| signer.set_trust(verdict))
    }
}

fn parsed(
    request: &Bound<PyBytes>,
    parse: fn(&[u8]) -> Result<wire::Request, wire::Malformed>,
) -> PyResult<Batch> {
    let data = request.as_bytes();
    let parsed = request.py().detach(|| guarded(|| parse(data)))?;
    let parsed = parsed.map_err(|_| PyValueError::new_err("the bytes are no such request"))?;
    let signers = parsed.signers.iter().map(|&source| Signer::new(source)).collect();
    Ok(Batch { request: request.clone().unbind(), parsed, signers })
}

/// Parse a BatchVerifyRequest. ValueError for bytes that are not one.
#[pyfunction]
fn parse_batch(request: &Bound<PyBytes>) -> PyResult<Batch> {
    parsed(request, wire::parse_batch)
}

/// Parse a VerifyRequest into a batch of one. ValueError for bytes that are not one.
#[pyfunction]
fn parse_single(request: &Bound<PyBytes>) -> PyResult<Batch> {
    parsed(request, wire::parse_single)
}

/// Return one verdict byte for each item from start to stop of each (batch, start, stop), in order.
/// With one thread, the caller's own does the work; with 0, all cores.
#[pyfunction]
fn verify<'py>(
    py: Python<'py>,
    parts: Vec<(Bound<'py, Batch>, usize, usize)>,
    threads: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut jobs = Vec::new();
    for (batch, start, stop) in &parts {
        jobs.extend(batch.get().jobs(py, *start, *stop)?);
    }
    let verdicts = py.detach(|| guarded(|| jobs::verify(&jobs, pool(threads))))?;
    Ok(PyBytes::new(py, &verdicts))
}

/// Return the 32 bytes of the Streebog-256 digest, in the order of files and certificates.
#[pyfunction]
fn streebog256<'py>(
    py: Python<'py>,
    message: &Bound<'py, PyBytes>,
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = message.as_bytes();
    let digest = py.detach(|| guarded(|| streebog::digest256(bytes)))?;
    Ok(PyBytes::new(py, &digest))
}

/// Return the 64 bytes of the Streebog-512 digest, in the same order.
#[pyfunction]
fn streebog512<'py>(
    py: Python<'py>,
    message: &Bound<'py, PyBytes>,
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = message.as_bytes();
    let digest = py.detach(|| guarded(|| streebog::digest512(bytes)))?;
    Ok(PyBytes::new(py, &digest))
}

/// Return the set of instructions that is used: "ifma", "avx2" or "scalar".
#[pyfunction(name = "instructions")]
fn used_instructions() -> PyResult<&'static str> {
    guarded(|| instructions::instructions().name())
}

/// Returns the pool that all calls share; None for one thread, the caller's own. It is as large as
/// its first call asks for, and made by that call, because threads do not survive a fork.
fn pool(threads: usize) -> Option<&'static rayon::ThreadPool> {
    static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();
    let build = || {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        builder.thread_name(|number| format!("kernel-{number}")).build()
    };
    (threads != 1).then(|| POOL.get_or_init(|| build().expect("threads can be started")))
}

/// Returns the function's result. A panic, which would be a defect here, becomes a RuntimeError.
fn guarded<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| PyRuntimeError::new_err("the verification kernel failed"))
}

#[pymodule]
mod qagazsyz_kernel {
    #[pymodule_export]
    use super::{
        Batch, parse_batch, parse_single, streebog256, streebog512, used_instructions, verify,
    };

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const version: &str = env!("CARGO_PKG_VERSION");
}
