//! The encoded messages of RSA signatures, checked on their bytes: RFC 8017, section 9. The moduli
//! have a multiple of eight bits, at least 2,048.

use aws_lc_rs::digest::{self, Context, Digest};

use crate::algorithm::Padding;

/// Returns whether an encoded message, as long as the modulus, is that of the digest.
pub fn holds(padding: Padding, digest: &Digest, encoded: &[u8]) -> bool {
    match padding {
        Padding::Pkcs1 => is_pkcs1(digest, encoded),
        Padding::Pss => is_pss(digest, encoded),
    }
}

/// Section 8.2.2: the whole encoded message is compared, DigestInfo with NULL (section 9.2, note 1).
fn is_pkcs1(digest: &Digest, encoded: &[u8]) -> bool {
    let digest = digest.as_ref();
    // SEQUENCE { SEQUENCE { 2.16.840.1.101.3.4.2.x, NULL }, OCTET STRING }.
    let (hash, size) = match digest.len() {
        32 => (1, 32),
        48 => (2, 48),
        _ => (3, 64),
    };
    let info = [
        0x30,
        17 + size,
        0x30,
        13,
        0x06,
        9,
        0x60,
        0x86,
        0x48,
        0x01,
        0x65,
        0x03,
        0x04,
        0x02,
        hash,
        0x05,
        0x00,
        0x04,
        size,
    ];
    let Some(rest) = encoded.strip_suffix(digest).and_then(|rest| rest.strip_suffix(&info)) else {
        return false;
    };
    matches!(rest, [0, 1, filling @ .., 0] if filling.iter().all(|&byte| byte == 0xff))
}

/// Section 9.1.2 with MGF1 of the same hash, a salt as long as the digest, and one bit less than
/// the modulus has.
fn is_pss(digest: &Digest, encoded: &[u8]) -> bool {
    let hash = digest.algorithm();
    let size = hash.output_len();
    let (masked, rest) = encoded.split_at(encoded.len() - size - 1);
    let [expected @ .., 0xbc] = rest else { return false };
    if masked[0] & 0x80 != 0 {
        return false;
    }
    let mut block = [0; 512];
    let block = &mut block[..masked.len()];
    block.copy_from_slice(masked);
    for (counter, part) in (0u32..).zip(block.chunks_mut(size)) {
        let mut input = [0; 68];
        input[..size].copy_from_slice(expected);
        input[size..size + 4].copy_from_slice(&counter.to_be_bytes());
        let mask = digest::digest(hash, &input[..size + 4]);
        part.iter_mut().zip(mask.as_ref()).for_each(|(byte, mask)| *byte ^= mask);
    }
    block[0] &= 0x7f;
    let (filling, salt) = block.split_at(block.len() - size);
    let is_filled = matches!(filling, [zeros @ .., 1] if zeros.iter().all(|&byte| byte == 0));
    let mut context = Context::new(hash);
    for part in [&[0; 8], digest.as_ref(), salt] {
        context.update(part);
    }
    is_filled && context.finish().as_ref() == expected
}
