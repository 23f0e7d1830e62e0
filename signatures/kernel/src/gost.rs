//! GOST R 34.10-2012 (GOST 34.10-2015 in Kazakhstan), RFC 7091, with Streebog, RFC 6986.

use std::sync::OnceLock;

use crate::algorithm::{Size, Verdict};
use crate::aws_lc::Signed;
use crate::der::{Der, OCTET_STRING, SEQUENCE};
use crate::gost_curves;
use crate::group::{Equation, Group, Point, hold_in_lanes};
use crate::modular::Words;
use crate::streebog;
use crate::trees::{self, Item};
use crate::weierstrass::{Jacobian, Table};

/// Window width of a key's first table, of eight points: it serves a key that comes once or twice.
const FIRST_WIDTH: u32 = 5;

/// Batches are not split into smaller ones than this to keep more cores busy: one tree's items.
pub const SMALLEST_SHARE: usize = trees::CHUNK;

/// Fewer signatures than this are verified one by one: they would share the tree's inversions with
/// too few others.
const LEAST_FOR_TREE: usize = 4;

// Contents of object identifiers.
const TC26_KEY: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x01, 0x01];
const TC26_DIGEST: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x01, 0x02];
const KAZAKH_KEY: &[u8] = &[0x2a, 0x83, 0x0e, 0x03, 0x0a, 0x01, 0x01, 0x02];
const KAZAKH_DIGEST: &[u8] = &[0x2a, 0x83, 0x0e, 0x03, 0x0a, 0x01, 0x03];

/// The byte order of signatures: r‖s little-endian under Kazakhstan's OIDs, s‖r big-endian under
/// TC26's (RFC 9215), which is the same bytes in reverse.
#[derive(Clone, Copy, PartialEq)]
enum Writing {
    Kazakh,
    Tc26,
}

pub enum Key {
    Bits256(PointKey<4>),
    Bits512(PointKey<8>),
}

/// Returns the size and byte order that a GOST key's identifier implies. None for other keys'.
fn kind_of(identifier: &[u8]) -> Option<(Size, Writing)> {
    let (last, prefix) = identifier.split_last()?;
    match (prefix, last) {
        (TC26_KEY, 1) => Some((Size::Bits256, Writing::Tc26)),
        (TC26_KEY, 2) => Some((Size::Bits512, Writing::Tc26)),
        (KAZAKH_KEY, 1) => Some((Size::Bits256, Writing::Kazakh)),
        (KAZAKH_KEY, 2) => Some((Size::Bits512, Writing::Kazakh)),
        _ => None,
    }
}

fn is_digest(identifier: &[u8], size: Size) -> bool {
    let (tc26, kazakh) = match size {
        Size::Bits256 => (2, 2),
        Size::Bits512 => (3, 3),
    };
    identifier.split_last().is_some_and(|(&last, prefix)| {
        (prefix, last) == (TC26_DIGEST, tc26) || (prefix, last) == (KAZAKH_DIGEST, kazakh)
    })
}

impl Key {
    /// Parses the parts of a SubjectPublicKeyInfo. None if the identifier is not a GOST key's.
    pub fn parse(
        identifier: &[u8],
        parameters: &[u8],
        key: &[u8],
    ) -> Option<Result<Self, Verdict>> {
        let (size, writing) = kind_of(identifier)?;
        Some(Self::parse_kind(size, writing, parameters, key))
    }

    fn parse_kind(
        size: Size,
        writing: Writing,
        parameters: &[u8],
        key: &[u8],
    ) -> Result<Self, Verdict> {
        let (curve, digest) = split_parameters(parameters).ok_or(Verdict::MalformedKey)?;
        if digest.is_some_and(|digest| !is_digest(digest, size)) {
            return Err(Verdict::UnsupportedAlgorithm);
        }
        let encoded = Der::only(key, OCTET_STRING);
        match size {
            Size::Bits256 => {
                let group = gost_curves::of_256_bits(curve).ok_or(Verdict::UnsupportedAlgorithm)?;
                let point = encoded.and_then(|encoded| PointKey::parse(group, writing, encoded));
                point.map(Self::Bits256)
            }
            Size::Bits512 => {
                let group = gost_curves::of_512_bits(curve).ok_or(Verdict::UnsupportedAlgorithm)?;
                let point = encoded.and_then(|encoded| PointKey::parse(group, writing, encoded));
                point.map(Self::Bits512)
            }
        }
        .ok_or(Verdict::MalformedKey)
    }

    /// Returns about how many bytes the key takes in memory, with the word tables that it may get.
    pub fn weight(&self) -> usize {
        match self {
            Self::Bits256(_) => 1024 + Point::<4>::tables_bytes(),
            Self::Bits512(_) => 2048 + Point::<8>::tables_bytes(),
        }
    }

    pub fn size(&self) -> Size {
        match self {
            Self::Bits256(_) => Size::Bits256,
            Self::Bits512(_) => Size::Bits512,
        }
    }

    /// Returns the claim that a signature makes, to be settled with others. None if the signature
    /// is malformed, or the digest is of another size.
    pub fn claim(&self, signed: Signed, signature: &[u8]) -> Option<Claim<'_>> {
        let hashed;
        let digest = match (self, signed) {
            (_, Signed::Digest(digest)) => digest,
            (Self::Bits256(_), Signed::Message(message)) => {
                hashed = streebog::digest256(message).to_vec();
                &hashed
            }
            (Self::Bits512(_), Signed::Message(message)) => {
                hashed = streebog::digest512(message).to_vec();
                &hashed
            }
        };
        match self {
            Self::Bits256(key) => key.claim(digest, signature).map(Claim::Bits256),
            Self::Bits512(key) => key.claim(digest, signature).map(Claim::Bits512),
        }
    }
}

/// A well-formed signature, and what it signs.
pub enum Claim<'a> {
    Bits256(PointClaim<'a, 4>),
    Bits512(PointClaim<'a, 8>),
}

/// Returns one verdict for each claim, in order.
pub fn settle(claims: &[Claim]) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::InvalidSignature; claims.len()];
    let (mut of_256_bits, mut of_512_bits) = (Vec::new(), Vec::new());
    for (place, claim) in claims.iter().enumerate() {
        match claim {
            Claim::Bits256(claim) => of_256_bits.push((place, claim)),
            Claim::Bits512(claim) => of_512_bits.push((place, claim)),
        }
    }
    let valid = [settle_points(of_256_bits), settle_points(of_512_bits)];
    for place in valid.into_iter().flatten() {
        verdicts[place] = Verdict::Valid;
    }
    verdicts
}

/// Returns the places of the claims that hold.
fn settle_points<'a, const N: usize>(
    mut claims: Vec<(usize, &'a PointClaim<'a, N>)>,
) -> Vec<usize> {
    let address = |claim: &PointClaim<N>| std::ptr::from_ref(claim.key.point.group).addr();
    claims.sort_by_key(|(_, claim)| address(claim));
    let of_one_group = claims.chunk_by(|(_, a), (_, b)| address(a) == address(b));
    of_one_group.flat_map(settle_group).collect()
}

/// Returns the places of the claims of one group that hold: those where the x of
/// C = e⁻¹(sP − rQ) is r modulo q (RFC 7091, section 6.2).
fn settle_group<'a, const N: usize>(claims: &[(usize, &'a PointClaim<'a, N>)]) -> Vec<usize> {
    let q = &claims[0].1.key.point.group.order;
    let mut inverses: Vec<_> = claims.iter().map(|(_, claim)| q.encode(&claim.e)).collect();
    q.invert_all(&mut inverses).expect("e is neither 0 nor a multiple of the prime q");
    let equation = |((_, claim), inverse): (&(usize, &'a PointClaim<'a, N>), _)| {
        // An encoded factor and a plain one make a plain product.
        let u = q.reduce(&q.multiply(&claim.s, inverse));
        let v = q.negate(&q.reduce(&q.multiply(&claim.r, inverse)));
        Equation { key: &claim.key.point, u, v, r: claim.r }
    };
    let equations: Vec<_> = claims.iter().zip(&inverses).map(equation).collect();
    let (mut valid, mut rest) = (Vec::new(), Vec::new());
    for ((claim, equation), holds) in claims.iter().zip(&equations).zip(hold_in_lanes(&equations)) {
        match holds {
            Some(true) => valid.push(claim.0),
            Some(false) => {}
            None => rest.push((claim.0, claim.1.key, equation)),
        }
    }
    valid.extend(rest.chunks(trees::CHUNK).flat_map(settle_by_tree));
    valid
}

/// Returns the places of the equations of one group that hold.
fn settle_by_tree<const N: usize>(equations: &[(usize, &PointKey<N>, &Equation<N>)]) -> Vec<usize> {
    let group = equations[0].1.point.group;
    let (mut known, mut items, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for &(place, key, Equation { u, v, r, .. }) in equations {
        if let Some(tables) = key.point.tables() {
            known.push((place, r));
            items.push(Item { u: *u, v: *v, tables });
        } else if group.has_x(&key.sum(u, v), r) {
            valid.push(place);
        }
    }
    let sums = (items.len() >= LEAST_FOR_TREE).then(|| group.sums(&items)).flatten();
    let sums = sums.unwrap_or_else(|| items.iter().map(|item| group.sum(item)).collect());
    let held = known.iter().zip(&sums).filter(|((_, r), sum)| group.has_x(sum, r));
    valid.extend(held.map(|((place, _), _)| place));
    valid
}

/// Splits parameters into the curve's identifier and the hash's, which is optional.
fn split_parameters(parameters: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut names = Der(Der::only(parameters, SEQUENCE)?);
    let curve = names.object_identifier()?;
    let digest = if names.is_empty() { None } else { Some(names.object_identifier()?) };
    names.is_empty().then_some((curve, digest))
}

/// A public key: a point of the group, and how its signatures are written.
pub struct PointKey<const N: usize> {
    writing: Writing,
    point: Point<N>,
    /// For a key that comes once or twice.
    first_table: OnceLock<Table<N>>,
}

impl<const N: usize> PointKey<N> {
    fn parse(group: &'static Group<N>, writing: Writing, encoded: &[u8]) -> Option<Self> {
        let (x, y) = halves(encoded)?;
        let (curve, point) = (&group.curve, group.point(&x, &y)?);
        let first_table = OnceLock::new();
        // With cofactor 1, every point of the curve but infinity is in the group.
        if group.cofactor != 1 {
            let table = curve.table(&point, FIRST_WIDTH)?;
            if !curve.p.is_zero(&curve.multiple(&group.order.words, &table).z) {
                return None;
            }
            let _ = first_table.set(table);
        }
        Some(Self { writing, point: Point::new(group, point), first_table })
    }

    fn claim(&self, digest: &[u8], signature: &[u8]) -> Option<PointClaim<'_, N>> {
        let group = self.point.group;
        let (r, s) = match self.writing {
            Writing::Kazakh => halves(signature),
            Writing::Tc26 => halves(&signature.iter().rev().copied().collect::<Vec<_>>()),
        }?;
        if !group.has_scalar(&r) || !group.has_scalar(&s) {
            return None;
        }
        let mut e = group.order.reduce(&words(digest)?);
        if e == [0; N] {
            e[0] = 1;
        }
        self.point.count_in_lanes();
        Some(PointClaim { key: self, e, r, s })
    }

    /// Returns u·P + v·Q by the key's first table.
    fn sum(&self, u: &Words<N>, v: &Words<N>) -> Jacobian<N> {
        let group = self.point.group;
        let table = self.first_table.get_or_init(|| {
            let table = group.curve.table(&self.point.point, FIRST_WIDTH);
            table.expect("no small multiple is infinity in a group of prime order")
        });
        group.curve.sum(u, group.base_tables(), v, table)
    }
}

/// The numbers of a well-formed signature, with e as RFC 7091, section 6.2, has it: never 0.
#[derive(Clone, Copy)]
pub struct PointClaim<'a, const N: usize> {
    key: &'a PointKey<N>,
    e: Words<N>,
    r: Words<N>,
    s: Words<N>,
}

/// Splits bytes into two little-endian numbers of N words. None for any other length.
fn halves<const N: usize>(bytes: &[u8]) -> Option<(Words<N>, Words<N>)> {
    let (first, second) = bytes.split_at_checked(8 * N)?;
    Some((words(first)?, words(second)?))
}

fn words<const N: usize>(bytes: &[u8]) -> Option<Words<N>> {
    let (words, rest) = bytes.as_chunks::<8>();
    if words.len() != N || !rest.is_empty() {
        return None;
    }
    let mut number = [0; N];
    for (word, bytes) in number.iter_mut().zip(words) {
        *word = u64::from_le_bytes(*bytes);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;
    use crate::der::OBJECT_IDENTIFIER;
    use crate::testing::{Random, big, der, words as of_big};

    const TC26_256_A: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x02, 0x01, 0x01, 0x01];
    const TC26_256_B: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x02, 0x01, 0x01, 0x02];
    const TC26_512_A: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x02, 0x01, 0x02, 0x01];
    const TC26_512_C: &[u8] = &[0x2a, 0x85, 0x03, 0x07, 0x01, 0x02, 0x01, 0x02, 0x03];

    const DIGEST: [u8; 64] = [0x5a; 64];

    fn identifier(prefix: &[u8], last: u8) -> Vec<u8> {
        [prefix, &[last]].concat()
    }

    fn parameters(names: &[&[u8]]) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(|name| der(OBJECT_IDENTIFIER, &[name])).collect();
        der(SEQUENCE, &[&names.concat()])
    }

    fn little_endian<const N: usize>(number: &Words<N>) -> Vec<u8> {
        number.map(u64::to_le_bytes).concat()
    }

    /// A secret number, and the coordinates of the point that is its public key.
    struct Signer<const N: usize> {
        group: &'static Group<N>,
        secret: BigUint,
        public: [Words<N>; 2],
    }

    impl<const N: usize> Signer<N> {
        fn new(group: &'static Group<N>) -> Self {
            let secret = Random::new(8).below(&group.order.words);
            let (x, y) = group.base_times(&secret).unwrap();
            Self { group, secret: big(&secret), public: [x, y] }
        }

        fn encoded_key(&self) -> Vec<u8> {
            der(OCTET_STRING, &[&self.public.each_ref().map(little_endian).concat()])
        }

        /// r and s as RFC 7091, section 6.1, has them.
        fn sign(&self, digest: &[u8], nonce: u64) -> [Words<N>; 2] {
            let q = big(&self.group.order.words);
            let nonce = BigUint::from(nonce);
            let (x, _) = self.group.base_times(&of_big(&nonce)).unwrap();
            let r = big(&x) % &q;
            let e = BigUint::from_bytes_le(digest) % &q;
            let e = if e == BigUint::ZERO { BigUint::from(1u32) } else { e };
            [of_big(&r), of_big(&((&r * &self.secret + nonce * e) % &q))]
        }

        fn key(&self, writing: Writing) -> PointKey<N> {
            let encoded = self.public.each_ref().map(little_endian).concat();
            PointKey::parse(self.group, writing, &encoded).unwrap()
        }
    }

    fn kazakh<const N: usize>(numbers: &[Words<N>; 2]) -> Vec<u8> {
        numbers.each_ref().map(little_endian).concat()
    }

    fn tc26<const N: usize>(numbers: &[Words<N>; 2]) -> Vec<u8> {
        kazakh(numbers).into_iter().rev().collect()
    }

    /// Returns the verdict that comes in any company: by the first table twice, then by tables of
    /// words, and beside as many of the same that all are summed by trees.
    fn verdict<const N: usize>(key: &PointKey<N>, digest: &[u8], signature: &[u8]) -> Verdict {
        let Some(first) = key.claim(digest, signature) else { return Verdict::MalformedSignature };
        let is_valid = settle_points(vec![(0, &first)]) == [0];
        for many in [1, 1, 1, LEAST_FOR_TREE, trees::CHUNK + 3] {
            let places = settle_points([first].repeat(many).iter().enumerate().collect());
            assert_eq!(places, (0..if is_valid { many } else { 0 }).collect::<Vec<_>>());
        }
        if is_valid { Verdict::Valid } else { Verdict::InvalidSignature }
    }

    #[test]
    fn signatures_by_the_standard_s_rule_are_valid_for_their_digest_only() {
        fn check<const N: usize>(group: &'static Group<N>) {
            let signer = Signer::new(group);
            let digest = &DIGEST[..8 * N];
            let numbers = signer.sign(digest, 99);
            let key = signer.key(Writing::Kazakh);
            assert_eq!(verdict(&key, digest, &kazakh(&numbers)), Verdict::Valid);
            assert_eq!(
                verdict(&key, &[1; 64][..8 * N], &kazakh(&numbers)),
                Verdict::InvalidSignature
            );
            let [r, s] = numbers;
            assert_eq!(verdict(&key, digest, &kazakh(&[s, r])), Verdict::InvalidSignature);
        }
        for name in [TC26_256_A, TC26_256_B] {
            check(gost_curves::of_256_bits(name).unwrap());
        }
        for name in [TC26_512_A, TC26_512_C] {
            check(gost_curves::of_512_bits(name).unwrap());
        }
    }

    #[test]
    fn kazakhstan_writes_r_and_s_little_endian_and_tc26_s_and_r_big_endian() {
        let signer = Signer::new(gost_curves::of_256_bits(TC26_256_A).unwrap());
        let digest = &DIGEST[..32];
        let numbers = signer.sign(digest, 99);
        for (writing, right, wrong) in [
            (Writing::Kazakh, kazakh(&numbers), tc26(&numbers)),
            (Writing::Tc26, tc26(&numbers), kazakh(&numbers)),
        ] {
            let key = signer.key(writing);
            assert_eq!(verdict(&key, digest, &right), Verdict::Valid);
            assert_ne!(verdict(&key, digest, &wrong), Verdict::Valid);
        }
    }

    /// RFC 7091, section 6.1, step 2: e = 1 in place of 0.
    #[test]
    fn a_digest_that_is_0_modulo_q_stands_for_1() {
        let group = gost_curves::of_256_bits(TC26_256_A).unwrap();
        let signer = Signer::new(group);
        let key = signer.key(Writing::Kazakh);
        let (zero, q) = ([0; 32], little_endian(&group.order.words));
        let mut one = zero;
        one[0] = 1;
        let signature = kazakh(&signer.sign(&one, 7));
        for digest in [&zero[..], &q, &one] {
            assert_eq!(verdict(&key, digest, &signature), Verdict::Valid);
        }
    }

    #[test]
    fn signatures_with_r_or_s_0_or_not_below_q_or_of_another_length_are_malformed() {
        let group = gost_curves::of_256_bits(TC26_256_A).unwrap();
        let signer = Signer::new(group);
        let key = signer.key(Writing::Kazakh);
        let digest = &DIGEST[..32];
        let [r, s] = signer.sign(digest, 99);
        let q = group.order.words;
        let s_plus_q = of_big(&(big(&s) + big(&q)));
        for numbers in [[[0; 4], s], [r, [0; 4]], [q, s], [r, q], [r, s_plus_q]] {
            assert_eq!(verdict(&key, digest, &kazakh(&numbers)), Verdict::MalformedSignature);
        }
        let signature = kazakh(&[r, s]);
        let longer = |by| [&signature[..], &vec![0; by]].concat();
        for wrong in [&[][..], &signature[..63], &longer(1), &longer(8)] {
            assert_eq!(verdict(&key, digest, wrong), Verdict::MalformedSignature);
        }
    }

    #[test]
    fn messages_are_hashed_by_streebog_of_the_key_s_size() {
        let signer = Signer::new(gost_curves::of_256_bits(TC26_256_A).unwrap());
        let digest = streebog::digest256(b"message");
        let signature = kazakh(&signer.sign(&digest, 99));
        let key = Key::Bits256(signer.key(Writing::Kazakh));
        let signed =
            [Signed::Message(b"message"), Signed::Digest(&digest), Signed::Message(b"other")];
        let claims = signed.map(|signed| key.claim(signed, &signature).unwrap());
        assert_eq!(settle(&claims), [Verdict::Valid, Verdict::Valid, Verdict::InvalidSignature]);
    }

    /// Claims of two sizes, four groups, known and new keys, one of them bad at every place in turn.
    #[test]
    fn claims_settled_together_keep_their_places() {
        const COUNT: usize = 4 * 11;
        let (digest, other) = (&[0x5a; 64], &[0x5b; 64]);
        fn key<const N: usize>(group: &'static Group<N>, digest: &[u8]) -> (Signer<N>, Vec<u8>) {
            let signer = Signer::new(group);
            let signature = kazakh(&signer.sign(&digest[..8 * N], 99));
            (signer, signature)
        }
        let of_256 = [TC26_256_A, TC26_256_B].map(|name| gost_curves::of_256_bits(name).unwrap());
        let of_512 = [TC26_512_A, TC26_512_C].map(|name| gost_curves::of_512_bits(name).unwrap());
        let of_256 = of_256.map(|group| key(group, digest));
        let of_512 = of_512.map(|group| key(group, digest));
        let mut keys = Vec::new();
        for at in 0..2 {
            keys.push((Key::Bits256(of_256[at].0.key(Writing::Kazakh)), &of_256[at].1));
            keys.push((Key::Bits512(of_512[at].0.key(Writing::Kazakh)), &of_512[at].1));
        }
        let claim = |at: usize, digest: &[u8; 64]| {
            let (key, signature) = &keys[at % keys.len()];
            let digest = if at.is_multiple_of(2) { &digest[..32] } else { &digest[..] };
            key.claim(Signed::Digest(digest), signature).unwrap()
        };
        for bad in 0..=COUNT {
            let claims: Vec<_> =
                (0..COUNT).map(|at| claim(at, if at == bad { other } else { digest })).collect();
            let mut expected = [Verdict::Valid; COUNT];
            if let Some(verdict) = expected.get_mut(bad) {
                *verdict = Verdict::InvalidSignature;
            }
            assert_eq!(settle(&claims), expected);
        }
    }

    #[test]
    fn keys_are_parsed_with_and_without_the_digest_s_name() {
        let key = Signer::new(gost_curves::of_256_bits(TC26_256_A).unwrap()).encoded_key();
        let digest = identifier(TC26_DIGEST, 2);
        for parameters in [parameters(&[TC26_256_A]), parameters(&[TC26_256_A, &digest])] {
            let parsed = Key::parse(&identifier(TC26_KEY, 1), &parameters, &key);
            assert!(parsed.unwrap().is_ok_and(|key| key.size() == Size::Bits256));
        }
    }

    #[test]
    fn identifiers_that_are_no_gost_key_s_are_left_to_others() {
        let parameters = parameters(&[TC26_256_A]);
        for identifier in [vec![], identifier(TC26_KEY, 3), identifier(&[0x2b, 0x65], 0x70)] {
            assert!(Key::parse(&identifier, &parameters, &[]).is_none());
        }
    }

    #[test]
    fn an_unknown_curve_or_another_digest_is_unsupported() {
        let key = Signer::new(gost_curves::of_256_bits(TC26_256_A).unwrap()).encoded_key();
        for names in [
            // A curve and a digest of 512 bits for a key of 256, and names that mean nothing.
            vec![TC26_512_A],
            vec![&[0x2a, 0x03][..]],
            vec![TC26_256_A, &identifier(TC26_DIGEST, 3)],
            vec![TC26_256_A, &[0x2a, 0x03]],
        ] {
            let parsed = Key::parse(&identifier(TC26_KEY, 1), &parameters(&names), &key).unwrap();
            assert_eq!(parsed.err(), Some(Verdict::UnsupportedAlgorithm), "{names:x?}");
        }
    }

    #[test]
    fn keys_that_are_no_encoding_of_a_point_are_malformed() {
        let signer = Signer::new(gost_curves::of_256_bits(TC26_256_A).unwrap());
        let [x, y] = signer.public.each_ref().map(little_endian);
        let right = parameters(&[TC26_256_A]);
        let parse = |parameters: &[u8], key: &[u8]| {
            Key::parse(&identifier(KAZAKH_KEY, 1), parameters, key).unwrap().err()
        };
        assert_eq!(parse(&right, &der(OCTET_STRING, &[&x, &y])), None);
        let digest = identifier(KAZAKH_DIGEST, 2);
        for (parameters, key) in [
            // Not on the curve; too short; too long; not in an OCTET STRING.
            (right.clone(), der(OCTET_STRING, &[&y, &x])),
            (right.clone(), der(OCTET_STRING, &[&x, &y[1..]])),
            (right.clone(), der(OCTET_STRING, &[&x, &y, &[0]])),
            (right.clone(), der(OCTET_STRING, &[&x, &y, &[0; 8]])),
            (right.clone(), [&x[..], &y].concat()),
            // No parameters; no curve in them; a third name.
            (vec![], der(OCTET_STRING, &[&x, &y])),
            (parameters(&[]), der(OCTET_STRING, &[&x, &y])),
            (parameters(&[TC26_256_A, &digest, &digest]), der(OCTET_STRING, &[&x, &y])),
        ] {
            assert_eq!(parse(&parameters, &key), Some(Verdict::MalformedKey), "{parameters:x?}");
        }
    }

    #[test]
    fn points_outside_the_group_of_order_q_are_malformed_keys() {
        // Three of four points are outside it where the cofactor is 4. As p is 3 modulo 4,
        // f^((p + 1)/4) is a root of f if it has one. The curve's coefficients: RFC 7836, A.2.
        let group = gost_curves::of_256_bits(TC26_256_A).unwrap();
        let p = big(&group.curve.p.words);
        let number = crate::testing::hexadecimal;
        let a = number("c2173f1513981673af4892c23035a27ce25e2013bf95aa33b22c656f277e7335");
        let b = number("295f9bae7428ed9ccc20e7c359a9d41a22fccd9108e17bf7ba9337a6f8ae9513");
        let mut outside = 0;
        for x in 2u32..40 {
            let x = BigUint::from(x);
            let square = (&x * &x * &x + &a * &x + &b) % &p;
            let y = square.modpow(&((&p + 1u32) >> 2u32), &p);
            if &y * &y % &p != square {
                continue;
            }
            let point = group.point(&of_big(&x), &of_big(&y)).unwrap();
            let table = group.curve.table(&point, FIRST_WIDTH).unwrap();
            let times_q = group.curve.multiple(&group.order.words, &table);
            let encoded = [of_big::<4>(&x), of_big(&y)].each_ref().map(little_endian).concat();
            let parsed = PointKey::parse(group, Writing::Kazakh, &encoded);
            assert_eq!(parsed.is_some(), group.plain(&times_q).is_none());
            outside += usize::from(parsed.is_none());
        }
        assert!(outside > 5, "{outside}");
    }
}
