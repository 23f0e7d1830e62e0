//! Verdicts on many items at once: each is prepared and, but for Ed25519, verified by itself; the
//! Ed25519 signatures of all of them are then settled together.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::prelude::*;

use crate::algorithm::{Algorithm, Verdict};
use crate::aws_lc::Signed;
use crate::ed25519::{self, Claim};
use crate::keys::{self, Key, Resolved};
use crate::wire::{Item, Payload, Source};

/// Ed25519 signatures are not cut smaller than this to keep more cores busy: a batch of so many
/// costs a quarter more for each signature than one of a thousand.
const SMALLEST_SHARE: usize = 128;

/// The SubjectPublicKeyInfo that the caller found for a signer; none where there is none.
type Given = Option<Box<[u8]>>;

/// A signer of a request, and its key once it has been asked for.
pub struct Signer {
    source: Source,
    given: Mutex<Option<Given>>,
    key: OnceLock<Resolved>,
    trust: AtomicU8,
}

impl Signer {
    pub fn new(source: Source) -> Self {
        Self {
            source,
            given: Mutex::default(),
            key: OnceLock::new(),
            trust: AtomicU8::new(Verdict::Valid as u8),
        }
    }

    pub fn source(&self) -> Source {
        self.source
    }

    /// Gives it the key of that SubjectPublicKeyInfo, or none, whatever its source is; false once
    /// its key has been asked for.
    pub fn give(&self, spki: Option<&[u8]>) -> bool {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some(spki.map(Into::into));
        self.key.get().is_none()
    }

    /// Says what its signatures that hold are worth, by the verdict's number.
    pub fn set_trust(&self, verdict: u8) {
        self.trust.store(verdict, Ordering::Relaxed);
    }

    fn key(&self, data: &[u8]) -> &Resolved {
        self.key.get_or_init(|| {
            let given = self.given.lock().unwrap_or_else(PoisonError::into_inner).take();
            match (given, self.source) {
                (Some(Some(spki)), _) => keys::resolve(&spki),
                (None, Source::PublicKey(span)) => keys::resolve(span.of(data)),
                (None, Source::Certificate(span)) => match keys::certificate_spki(span.of(data)) {
                    Some(spki) => keys::resolve(spki),
                    None => Err(Verdict::MalformedKey),
                },
                _ => Err(Verdict::UnknownSigner),
            }
        })
    }
}

/// An item, with the request that it came in.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub data: &'a [u8],
    pub signers: &'a [Signer],
    pub item: &'a Item,
}

/// One verdict for each job, in order; on the pool's threads where one is given.
pub fn verify(jobs: &[Job], pool: Option<&rayon::ThreadPool>) -> Vec<u8> {
    let prepared: Vec<_> = match pool {
        None => jobs.iter().map(Job::claim).collect(),
        Some(pool) => pool.install(|| jobs.par_iter().map(Job::claim).collect()),
    };
    let mut verdicts = Vec::with_capacity(jobs.len());
    let (mut places, mut claims) = (Vec::new(), Vec::new());
    for (place, prepared) in prepared.into_iter().enumerate() {
        verdicts.push(match prepared {
            Err(verdict) => verdict as u8,
            Ok(claim) => {
                places.push(place);
                claims.push(claim);
                0
            }
        });
    }
    let settled: Vec<Verdict> = match pool {
        None => ed25519::settle(&claims),
        Some(pool) => {
            let share = claims.len().div_ceil(pool.current_num_threads()).max(SMALLEST_SHARE);
            pool.install(|| claims.par_chunks(share).flat_map_iter(ed25519::settle).collect())
        }
    };
    for (place, verdict) in places.into_iter().zip(settled) {
        verdicts[place] = verdict as u8;
    }
    for (verdict, job) in verdicts.iter_mut().zip(jobs) {
        if *verdict == Verdict::Valid as u8 {
            *verdict = job.signers[job.item.signer as usize].trust.load(Ordering::Relaxed);
        }
    }
    verdicts
}

impl<'a> Job<'a> {
    /// The first verdict that fits, in the order that signatures.proto gives; or an Ed25519 claim
    /// that is yet to be settled.
    fn claim(&self) -> Result<Claim<'a>, Verdict> {
        let signer = self.signers.get(self.item.signer as usize).ok_or(Verdict::UnknownSigner)?;
        let key = match signer.key(self.data) {
            Err(Verdict::UnknownSigner) => return Err(Verdict::UnknownSigner),
            key => key,
        };
        let algorithm = Algorithm::from_number(self.item.algorithm);
        let algorithm = algorithm.ok_or(Verdict::UnsupportedAlgorithm)?;
        let key: &Key = key.as_ref().map_err(|&verdict| verdict)?;
        if !key.fits(algorithm) {
            return Err(Verdict::KeyMismatch);
        }
        let signed = self.signed(algorithm).ok_or(Verdict::MalformedDigest)?;
        let signature = self.item.signature.of(self.data);
        Err(match (key, algorithm, signed) {
            (Key::Ed25519(key), _, Signed::Message(message)) => {
                return Claim::new(key, message, signature).ok_or(Verdict::MalformedSignature);
            }
            (Key::Ecdsa(key), Algorithm::Ecdsa(_, encoding), signed) => {
                key.verify(encoding, signed, signature)
            }
            (Key::Rsa(key), Algorithm::Rsa(padding, hash), signed) => {
                key.verify(padding, hash, signed, signature)
            }
            (Key::MlDsa(key), _, Signed::Message(message)) => key.verify(message, signature),
            (Key::Gost(key), _, signed) => key.verify(signed, signature),
            _ => Verdict::KeyMismatch,
        })
    }

    /// The message, or a digest as long as the algorithm's; none where there is neither.
    fn signed(&self, algorithm: Algorithm) -> Option<Signed<'a>> {
        match self.item.payload {
            Payload::Missing => None,
            Payload::Message(span) => Some(Signed::Message(span.of(self.data))),
            Payload::Digest(span) => {
                let digest = span.of(self.data);
                (digest.len() == algorithm.hash()?.size()).then_some(Signed::Digest(digest))
            }
        }
    }
}

impl Key {
    fn fits(&self, algorithm: Algorithm) -> bool {
        match (self, algorithm) {
            (Self::Ed25519(_), Algorithm::Ed25519) | (Self::Rsa(_), Algorithm::Rsa(..)) => true,
            (Self::Ecdsa(key), Algorithm::Ecdsa(curve, _)) => key.curve == curve,
            (Self::MlDsa(key), Algorithm::MlDsa(level)) => key.level == level,
            (Self::Gost(key), Algorithm::Gost(size)) => key.size() == size,
            _ => false,
        }
    }
}
