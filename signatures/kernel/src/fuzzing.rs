//! The target of fuzzing: bytes become a batch, and every verdict on it has to be AWS-LC's and the one
//! that the item gets alone.
//!
//! cargo-fuzz calls `check` by fuzz/verdicts.rs; `cargo test` gives it a few hundred random inputs, by
//! a seed that a failure prints, of FUZZ_SEED and FUZZ_INPUTS where those are set.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA512, digest};
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;

use crate::algorithm::{Algorithm, Curve, Encoding, Hash, Padding, Verdict};
use crate::aws_lc::Signed;
use crate::jobs::{self, Job, Signer};
use crate::wire::{self, Item, Payload, Source};

/// Enough for every lane, several trees and a rest.
const MOST_ITEMS: usize = 100;
/// After so many uses every key has the tables that it may get.
const USES_FOR_TABLES: usize = 40;

/// A signature that holds, and what it takes to verify it.
struct Sample {
    algorithm: i32,
    is_digest: bool,
    payload: Vec<u8>,
    spki: Vec<u8>,
    signature: Vec<u8>,
}

/// Signatures of every kind. All their keys have tables already, so that a verdict does not depend on
/// the inputs before.
static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let text = include_str!("../fuzz/samples.txt");
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(sample).collect();
    let mut request = Vec::new();
    for (place, sample) in samples.iter().enumerate() {
        put_item(&mut request, place, sample);
    }
    for _ in 0..USES_FOR_TABLES {
        let parsed = wire::parse_batch(&request).expect("it is a request");
        let verdicts = verify(&request, &parsed, &signers(&parsed));
        assert_eq!(verdicts, vec![Verdict::Valid as u8; samples.len()]);
    }
    samples
});

/// Parses a line of samples.txt.
fn sample(line: &str) -> Sample {
    let [algorithm, form, payload, spki, signature] =
        line.split(' ').collect::<Vec<_>>().try_into().expect("a line has five words");
    let bytes = |digits: &str| {
        let pair = |i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hexadecimal");
        (0..digits.len()).step_by(2).map(pair).collect()
    };
    Sample {
        algorithm: algorithm.parse().expect("a number"),
        is_digest: form == "digest",
        payload: bytes(payload),
        spki: bytes(spki),
        signature: bytes(signature),
    }
}

/// Verifies the batch that the input is, or leads to; panics if a verdict is wrong. After a first byte
/// that is even come a request's bytes; after an odd one, what to do to samples.
pub fn check(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let made = (first & 1 == 1).then(|| Script(rest).request());
    let data = made.as_deref().unwrap_or(rest);
    let Ok(parsed) = wire::parse_batch(data) else { return };
    let signers = signers(&parsed);
    let together = verify(data, &parsed, &signers);
    for (item, verdict) in parsed.items.iter().zip(together) {
        let alone = jobs::verify(&[Job { data, signers: &signers, item }], None);
        assert_eq!(alone, [verdict], "alone, and in the batch: {item:?} of {data:02x?}");
        if let Some(&Source::PublicKey(spki)) = parsed.signers.get(item.signer as usize) {
            judge(data, spki.of(data), item, verdict);
        }
    }
}

fn signers(parsed: &wire::Request) -> Vec<Signer> {
    parsed.signers.iter().map(|&source| Signer::new(source)).collect()
}

fn verify(data: &[u8], parsed: &wire::Request, signers: &[Signer]) -> Vec<u8> {
    let jobs: Vec<_> = parsed.items.iter().map(|item| Job { data, signers, item }).collect();
    jobs::verify(&jobs, None)
}

/// Panics unless others say the same of a signature by a key that we take. What is malformed to us
/// does not hold for them.
fn judge(data: &[u8], spki: &[u8], item: &Item, verdict: u8) {
    let decided = [Verdict::Valid, Verdict::InvalidSignature, Verdict::MalformedSignature];
    let Some(algorithm) = Algorithm::from_number(item.algorithm) else { return };
    if !decided.map(|verdict| verdict as u8).contains(&verdict) {
        return;
    }
    let holds = verdict == Verdict::Valid as u8;
    let signature = item.signature.of(data);
    let signed = match item.payload {
        Payload::Message(span) => Signed::Message(span.of(data)),
        Payload::Digest(span) => Signed::Digest(span.of(data)),
        Payload::Missing => panic!("{verdict} for an item that signs nothing"),
    };
    let Some(by_aws_lc) = by_aws_lc(algorithm, spki, signed, signature) else { return };
    if let (Algorithm::Ed25519, Signed::Message(message)) = (algorithm, signed) {
        // AWS-LC's equation has no cofactor, so it takes less than ours.
        let expected = has_cofactored_equation(spki, message, signature);
        assert_eq!(holds, expected, "by dalek: {item:?} of {data:02x?}");
        assert!(holds || !by_aws_lc, "by AWS-LC: {item:?} of {data:02x?}");
    } else {
        assert_eq!(holds, by_aws_lc, "by AWS-LC: {item:?} of {data:02x?}");
    }
}

/// Returns whether the signature holds to AWS-LC, which parses key and signature by itself. None for
/// algorithms that it lacks, and ML-DSA, which nobody else verifies here.
fn by_aws_lc(algorithm: Algorithm, spki: &[u8], signed: Signed, signature: &[u8]) -> Option<bool> {
    use Curve::{P256, P384, P521};
    use Encoding::{Der, P1363};
    use Hash::{Sha256, Sha384, Sha512};
    use Padding::{Pkcs1, Pss};
    let verification: &dyn VerificationAlgorithm = match algorithm {
        Algorithm::Ed25519 => &signature::ED25519,
        Algorithm::Ecdsa(P256, Der) => &signature::ECDSA_P256_SHA256_ASN1,
        Algorithm::Ecdsa(P384, Der) => &signature::ECDSA_P384_SHA384_ASN1,
        Algorithm::Ecdsa(P521, Der) => &signature::ECDSA_P521_SHA512_ASN1,
        Algorithm::Ecdsa(P256, P1363) => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::Ecdsa(P384, P1363) => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::Ecdsa(P521, P1363) => &signature::ECDSA_P521_SHA512_FIXED,
        Algorithm::Rsa(Pkcs1, Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rsa(Pkcs1, Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rsa(Pkcs1, Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Rsa(Pss, Sha256) => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Rsa(Pss, Sha384) => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Rsa(Pss, Sha512) => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Rsa(..) | Algorithm::Gost(_) | Algorithm::MlDsa(_) => return None,
    };
    let Ok(key) = ParsedPublicKey::new(verification, spki) else { return Some(false) };
    let holds = match signed {
        Signed::Message(message) => key.verify_sig(message, signature).is_ok(),
        Signed::Digest(_) => {
            let digest = signed.digest(algorithm.hash()?)?;
            key.verify_digest_sig(&digest, signature).is_ok()
        }
    };
    Some(holds)
}

/// Returns whether 8sB = 8R + 8kA, point by point, for canonical encodings.
fn has_cofactored_equation(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let point = |encoded: &[u8]| {
        let point = CompressedEdwardsY::from_slice(encoded).ok()?.decompress()?;
        (point.compress().as_bytes() == encoded).then_some(point)
    };
    let equation = || {
        let (r, s) = signature.split_at_checked(32)?;
        let key = &spki[spki.len() - 32..];
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s.try_into().ok()?))?;
        let k = digest(&SHA512, &[r, key, message].concat());
        let k = Scalar::from_bytes_mod_order_wide(k.as_ref().try_into().ok()?);
        let rest = EdwardsPoint::vartime_double_scalar_mul_basepoint(&-k, &point(key)?, &s);
        Some((rest - point(r)?).mul_by_cofactor().is_identity())
    };
    equation() == Some(true)
}

/// Bytes that say what to take and what to do to it. At its end every byte is 0.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> usize {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(byte)
    }

    /// Flips a bit, or cuts the end off, or adds a byte.
    fn bend(&mut self, bytes: &mut Vec<u8>) {
        let (how, place) = (self.byte(), self.byte() << 8 | self.byte());
        if bytes.is_empty() || how == 254 {
            return bytes.push(place as u8);
        }
        let place = place % bytes.len();
        if how == 255 { bytes.truncate(place) } else { bytes[place] ^= 1 << (how % 8) }
    }

    /// Makes a request: runs of items, most of them right, of which some are bent.
    fn request(&mut self) -> Vec<u8> {
        let (mut request, mut items) = (Vec::new(), 0);
        while !self.0.is_empty() && items < MOST_ITEMS {
            let sample = &SAMPLES[self.byte() % SAMPLES.len()];
            let mut item = Sample {
                algorithm: sample.algorithm,
                is_digest: sample.is_digest,
                payload: sample.payload.clone(),
                spki: sample.spki.clone(),
                signature: sample.signature.clone(),
            };
            let (fault, run) = (self.byte(), self.byte());
            match fault % 16 {
                0 => self.bend(&mut item.signature),
                1 => self.bend(&mut item.payload),
                2 => self.bend(&mut item.spki),
                3 => item.algorithm = self.byte() as i32 % 20,
                4 => item.is_digest ^= true,
                5 => item.signature = SAMPLES[self.byte() % SAMPLES.len()].signature.clone(),
                6 => item.payload = vec![0; [0, 32, 48, 64][self.byte() % 4]],
                7 => {
                    let half = item.signature.len() / 2;
                    item.signature[half..].fill(self.byte() as u8);
                }
                _ => {}
            }
            // A good item may stand for several, up to where the next is in the lane before.
            let run = if fault % 16 < 8 { 1 } else { 1 + run % 15 };
            for _ in 0..run {
                put_item(&mut request, items, &item);
                items += 1;
            }
        }
        request
    }
}

/// Appends a signer, and an item by the signer at this place, to a BatchVerifyRequest.
fn put_item(request: &mut Vec<u8>, place: usize, sample: &Sample) {
    let mut signer = Vec::new();
    put_bytes(&mut signer, 1, &sample.spki);
    let mut item = Vec::new();
    put_number(&mut item, 1, place);
    put_number(&mut item, 2, sample.algorithm as usize);
    put_bytes(&mut item, if sample.is_digest { 4 } else { 3 }, &sample.payload);
    put_bytes(&mut item, 5, &sample.signature);
    put_bytes(request, 1, &signer);
    put_bytes(request, 2, &item);
}

fn put_number(message: &mut Vec<u8>, field: u8, number: usize) {
    message.push(field << 3);
    put_varint(message, number);
}

fn put_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | 2);
    put_varint(message, bytes.len());
    message.extend(bytes);
}

fn put_varint(message: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;
    use crate::testing::Random;

    fn setting(name: &str) -> Option<u64> {
        env::var(name).ok().map(|number| number.parse().expect("a number"))
    }

    #[test]
    fn random_scripts_get_the_verdicts_of_aws_lc() {
        let seed = setting("FUZZ_SEED").unwrap_or_else(|| getrandom::u64().expect("randomness"));
        println!("FUZZ_SEED={seed}");
        let mut random = Random::new(seed);
        for _ in 0..setting("FUZZ_INPUTS").unwrap_or(100) {
            let length = random.word() as usize % 200;
            let mut input: Vec<_> = (0..=length).map(|_| random.word() as u8).collect();
            input[0] |= 1;
            check(&input);
        }
    }

    #[test]
    fn random_bytes_are_a_request_or_none() {
        let mut random = Random::new(1);
        let mut request = Vec::new();
        SAMPLES.iter().enumerate().for_each(|(place, item)| put_item(&mut request, place, item));
        for _ in 0..50 {
            let mut bent = request.clone();
            let place = random.word() as usize % bent.len();
            bent[place] ^= 1 << (random.word() % 8);
            check(&[&[0], &bent[..]].concat());
        }
    }

    #[test]
    fn scripts_reach_every_verdict_and_batches_with_full_lanes() {
        let mut random = Random::new(2);
        let (mut met, mut longest) = ([0; 10], 0);
        for _ in 0..100 {
            let script: Vec<_> = (0..150).map(|_| random.word() as u8).collect();
            let data = Script(&script).request();
            let parsed = wire::parse_batch(&data).unwrap();
            let verdicts = verify(&data, &parsed, &signers(&parsed));
            verdicts.iter().for_each(|&verdict| met[usize::from(verdict)] += 1);
            longest = longest.max(verdicts.len());
        }
        for verdict in [1, 2, 3, 4, 5, 6, 9] {
            assert!(met[verdict] > 0, "{verdict}: {met:?}");
        }
        assert!(met[1] > 1_000 && longest >= MOST_ITEMS, "{met:?}, {longest}");
    }

    #[test]
    #[should_panic(expected = "by AWS-LC")]
    fn a_verdict_that_is_not_aws_lc_s_is_found() {
        let ecdsa = SAMPLES.iter().find(|sample| sample.algorithm == 2).unwrap();
        let mut data = Vec::new();
        put_item(&mut data, 0, ecdsa);
        let parsed = wire::parse_batch(&data).unwrap();
        judge(&data, &ecdsa.spki, &parsed.items[0], Verdict::InvalidSignature as u8);
    }
}
