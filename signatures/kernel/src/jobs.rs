//! Verifies many items at once. Each is parsed, and verified by itself unless its kind gains from
//! company: Ed25519, RSA, GOST and ECDSA are then verified together, each as one batch.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::prelude::*;

use crate::algorithm::{Algorithm, Verdict};
use crate::aws_lc::Signed;
use crate::ecdsa_claims;
use crate::ed25519;
use crate::gost;
use crate::keys::{self, Key, Resolved};
use crate::rsa;
use crate::wire::{Item, Payload, Source};

/// Ed25519 batches are not split into smaller ones than this to keep more cores busy: at this size
/// a signature already costs a quarter more than in a batch of a thousand, in lanes nearly half.
const SMALLEST_SHARE: usize = 128;

/// How many signatures are verified at once where the machine has lanes for them.
const LANES: usize = 8;

/// Keys that one thread parses together: enough to fill its lanes.
const KEYS_AT_ONCE: usize = 64;

/// The SubjectPublicKeyInfo that the caller resolved for a signer. None if it has no key.
type Given = Option<Box<[u8]>>;

/// A signer of a request. Its key is parsed when its first item is verified.
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

    /// Sets the signer's key, or that it has none, whatever its source in the request. Returns
    /// false, without effect, if the key is in use already.
    pub fn give(&self, spki: Option<&[u8]>) -> bool {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some(spki.map(Into::into));
        self.key.get().is_none()
    }

    /// Sets the verdict, by its number, on the signer's items whose signature holds.
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

/// A well-formed signature that is verified together with others of its kind.
enum Claim<'a> {
    Ed25519(ed25519::Claim<'a>),
    Rsa(rsa::Claim<'a>),
    Gost(gost::Claim<'a>),
    Ecdsa(ecdsa_claims::Claim<'a>),
}

/// Parses the bare Ed25519 keys of signers that no item used before, many at once.
fn parse_keys(jobs: &[Job], pool: Option<&rayon::ThreadPool>) {
    let mut new: Vec<(&Signer, &[u8])> = jobs.iter().filter_map(Job::new_key).collect();
    new.sort_unstable_by_key(|&(signer, _)| &raw const *signer);
    new.dedup_by_key(|&mut (signer, _)| &raw const *signer);
    let parse = |new: &[(&Signer, &[u8])]| {
        let spkis: Vec<_> = new.iter().map(|&(_, spki)| spki).collect();
        for ((signer, _), key) in new.iter().zip(keys::resolve_all(&spkis)) {
            signer.key.get_or_init(|| key);
        }
    };
    match pool {
        None => parse(&new),
        Some(pool) => pool.install(|| new.par_chunks(KEYS_AT_ONCE).for_each(parse)),
    }
}

/// Returns one verdict for each job, in order. Works on the pool's threads if a pool is given.
pub fn verify(jobs: &[Job], pool: Option<&rayon::ThreadPool>) -> Vec<u8> {
    parse_keys(jobs, pool);
    let prepared: Vec<_> = match pool {
        None => jobs.iter().map(Job::claim).collect(),
        Some(pool) => pool.install(|| jobs.par_iter().map(Job::claim).collect()),
    };
    let mut verdicts = vec![0; jobs.len()];
    let (mut ed25519, mut rsa, mut gost) = (Group::default(), Group::default(), Group::default());
    let mut ecdsa = Group::default();
    for (place, prepared) in prepared.into_iter().enumerate() {
        match prepared {
            Err(verdict) => verdicts[place] = verdict as u8,
            Ok(Claim::Ed25519(claim)) => ed25519.push(place, claim),
            Ok(Claim::Rsa(claim)) => rsa.push(place, claim),
            Ok(Claim::Gost(claim)) => gost.push(place, claim),
            Ok(Claim::Ecdsa(claim)) => ecdsa.push(place, claim),
        }
    }
    ed25519.settle(ed25519::settle, SMALLEST_SHARE, pool, &mut verdicts);
    rsa.settle(rsa::settle, LANES, pool, &mut verdicts);
    gost.settle(gost::settle, gost::SMALLEST_SHARE, pool, &mut verdicts);
    ecdsa.settle(ecdsa_claims::settle, ecdsa_claims::smallest_share(), pool, &mut verdicts);
    for (verdict, job) in verdicts.iter_mut().zip(jobs) {
        if *verdict == Verdict::Valid as u8 {
            *verdict = job.signers[job.item.signer as usize].trust.load(Ordering::Relaxed);
        }
    }
    verdicts
}

/// The claims of one kind, and the places of their items.
struct Group<C> {
    places: Vec<usize>,
    claims: Vec<C>,
}

impl<C> Default for Group<C> {
    fn default() -> Self {
        Self { places: Vec::new(), claims: Vec::new() }
    }
}

impl<C: Sync> Group<C> {
    fn push(&mut self, place: usize, claim: C) {
        self.places.push(place);
        self.claims.push(claim);
    }

    /// Settles the claims, on each thread of the pool a share that fills the lanes, and stores
    /// their verdicts.
    fn settle(
        &self,
        settle: impl Fn(&[C]) -> Vec<Verdict> + Sync + Send,
        smallest: usize,
        pool: Option<&rayon::ThreadPool>,
        verdicts: &mut [u8],
    ) {
        let settled: Vec<Verdict> = match pool {
            None => settle(&self.claims),
            Some(pool) => {
                let share = self.claims.len().div_ceil(pool.current_num_threads());
                let share = share.max(smallest).next_multiple_of(LANES);
                pool.install(|| self.claims.par_chunks(share).flat_map_iter(settle).collect())
            }
        };
        for (&place, verdict) in self.places.iter().zip(settled) {
            verdicts[place] = verdict as u8;
        }
    }
}

impl<'a> Job<'a> {
    /// Returns the item's signer and SubjectPublicKeyInfo, if that is a bare Ed25519 key
    /// that was not used yet.
    fn new_key(&self) -> Option<(&'a Signer, &'a [u8])> {
        let signer = self.signers.get(self.item.signer as usize)?;
        let Source::PublicKey(span) = signer.source else { return None };
        let spki = span.of(self.data);
        let is_new = signer.key.get().is_none() && keys::is_ed25519(spki);
        let is_given = || signer.given.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        (is_new && !is_given()).then_some((signer, spki))
    }

    /// Returns the item's verdict as the error: the first that applies in signatures.proto's order.
    /// For a well-formed signature of a kind that is verified in step it returns the claim, to be
    /// settled in a batch.
    fn claim(&'a self) -> Result<Claim<'a>, Verdict> {
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
                let claim = ed25519::Claim::new(key, message, signature);
                return claim.map(Claim::Ed25519).ok_or(Verdict::MalformedSignature);
            }
            (Key::Ecdsa(key), Algorithm::Ecdsa(_, encoding), signed) => {
                if let Some(claim) = key.claim(encoding, signed, signature) {
                    return Ok(Claim::Ecdsa(claim));
                }
                key.verify(encoding, signed, signature)
            }
            (Key::Rsa(key), Algorithm::Rsa(padding, hash), signed) => {
                return rsa::Claim::new(key, padding, hash, signed, signature).map(Claim::Rsa);
            }
            (Key::MlDsa(key), _, Signed::Message(message)) => key.verify(message, signature),
            (Key::Gost(key), _, signed) => {
                let claim = key.claim(signed, signature);
                return claim.map(Claim::Gost).ok_or(Verdict::MalformedSignature);
            }
            _ => Verdict::KeyMismatch,
        })
    }

    /// Returns the message, or the digest if it is as long as the algorithm's hash.
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
