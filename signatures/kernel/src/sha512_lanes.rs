//! SHA-512 of several messages at a time (multi-buffer), one in each lane of 64 bits.
//!
//! Messages are sorted by length, so that those of a group end near one another; a lane that has
//! ended keeps its state while the longer ones go on.

use std::cmp::Reverse;

use sha2::{Digest, Sha512};

/// Bytes of a block.
pub const BLOCK: usize = 128;

/// A group whose lanes are on average less than five eighths full is cheaper message by message.
const WORTH: usize = 5;
const OF: usize = 8;

/// What is hashed: the parts one after another.
pub type Parts<'a> = [&'a [u8]; 3];

/// The state before the first block: FIPS 180-4, section 5.3.5.
#[rustfmt::skip]
pub const INITIAL: [u64; 8] = [
    0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1, 0x9b05_688c_2b3e_6c1f, 0x1f83_d9ab_fb41_bd6b, 0x5be0_cd19_137e_2179,
];

/// One constant for each round: FIPS 180-4, section 4.2.3.
#[rustfmt::skip]
pub const ROUNDS: [u64; 80] = [
    0x428a_2f98_d728_ae22, 0x7137_4491_23ef_65cd, 0xb5c0_fbcf_ec4d_3b2f, 0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538, 0x59f1_11f1_b605_d019, 0x923f_82a4_af19_4f9b, 0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242, 0x1283_5b01_4570_6fbe, 0x2431_85be_4ee4_b28c, 0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f, 0x80de_b1fe_3b16_96b1, 0x9bdc_06a7_25c7_1235, 0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2, 0xefbe_4786_384f_25e3, 0x0fc1_9dc6_8b8c_d5b5, 0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275, 0x4a74_84aa_6ea6_e483, 0x5cb0_a9dc_bd41_fbd4, 0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab, 0xa831_c66d_2db4_3210, 0xb003_27c8_98fb_213f, 0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2, 0xd5a7_9147_930a_a725, 0x06ca_6351_e003_826f, 0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc, 0x2e1b_2138_5c26_c926, 0x4d2c_6dfc_5ac4_2aed, 0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de, 0x766a_0abb_3c77_b2a8, 0x81c2_c92e_47ed_aee6, 0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364, 0xa81a_664b_bc42_3001, 0xc24b_8b70_d0f8_9791, 0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218, 0xd699_0624_5565_a910, 0xf40e_3585_5771_202a, 0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8, 0x1e37_6c08_5141_ab53, 0x2748_774c_df8e_eb99, 0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63, 0x4ed8_aa4a_e341_8acb, 0x5b9c_ca4f_7763_e373, 0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc, 0x78a5_636f_4317_2f60, 0x84c8_7814_a1f0_ab72, 0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28, 0xa450_6ceb_de82_bde9, 0xbef9_a3f7_b2c6_7915, 0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c, 0xd186_b8c7_21c0_c207, 0xeada_7dd6_cde0_eb1e, 0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba, 0x0a63_7dc5_a2c8_98a6, 0x113f_9804_bef9_0dae, 0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84, 0x32ca_ab7b_40c7_2493, 0x3c9e_be0a_15c9_bebc, 0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6, 0x597f_299c_fc65_7e2a, 0x5fcb_6fab_3ad6_faec, 0x6c44_198c_4a47_5817,
];

/// Returns the digest of each message. `hash` takes as many as there are lanes and how many blocks
/// each has with its padding; the first has the most.
pub fn digests<const LANES: usize>(
    messages: &[Parts],
    hash: impl Fn([&Parts; LANES], [usize; LANES]) -> [[u8; 64]; LANES],
) -> Vec<[u8; 64]> {
    let blocks: Vec<usize> = messages.iter().map(|parts| length(parts) + 17).collect();
    let blocks: Vec<usize> = blocks.iter().map(|bytes| bytes.div_ceil(BLOCK)).collect();
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(|&place| Reverse(blocks[place]));
    let mut digests = vec![[0; 64]; messages.len()];
    for group in order.chunks(LANES) {
        let total: usize = group.iter().map(|&place| blocks[place]).sum();
        if total * OF < WORTH * LANES * blocks[group[0]] {
            for &place in group {
                digests[place] = digest(&messages[place]);
            }
            continue;
        }
        // A group that is not full repeats its first message.
        let lanes: [usize; LANES] =
            std::array::from_fn(|lane| *group.get(lane).unwrap_or(&group[0]));
        let group_digests =
            hash(lanes.map(|place| &messages[place]), lanes.map(|place| blocks[place]));
        for (&place, digest) in group.iter().zip(group_digests) {
            digests[place] = digest;
        }
    }
    digests
}

/// Returns the digest of one message, without lanes.
pub fn digest(parts: &Parts) -> [u8; 64] {
    parts.iter().fold(Sha512::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

fn length(parts: &Parts) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// Fills the lanes whose messages have a block of that number, and returns which.
pub fn fill<const LANES: usize>(
    block: &mut [[u8; BLOCK]; LANES],
    messages: [&Parts; LANES],
    blocks: [usize; LANES],
    number: usize,
) -> u8 {
    let mut going = 0;
    for lane in 0..LANES {
        if number < blocks[lane] {
            going |= 1 << lane;
            let is_last = number + 1 == blocks[lane];
            fill_one(&mut block[lane], messages[lane], number * BLOCK, is_last);
        }
    }
    going
}

/// Returns the bytes of the last state.
pub fn digest_of(state: [u64; 8]) -> [u8; 64] {
    let mut digest = [0; 64];
    for (bytes, word) in digest.chunks_exact_mut(8).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// Copies a block of the padded message (FIPS 180-4, section 5.1.2), which begins at that byte.
fn fill_one(block: &mut [u8; BLOCK], parts: &Parts, start: usize, is_last: bool) {
    let total = length(parts);
    let mut filled = 0;
    let mut begin = 0;
    for part in parts {
        if filled == BLOCK {
            break;
        }
        let skipped = (start + filled - begin).min(part.len());
        let copied = (part.len() - skipped).min(BLOCK - filled);
        block[filled..filled + copied].copy_from_slice(&part[skipped..skipped + copied]);
        filled += copied;
        begin += part.len();
    }
    block[filled..].fill(0);
    // Not if the message ended within the block before.
    if filled < BLOCK && start + filled == total {
        block[filled] = 0x80;
    }
    if is_last {
        block[BLOCK - 8..].copy_from_slice(&(8 * total as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries;
    use crate::testing::Random;

    fn check(lengths: &[usize]) {
        let mut random = Random::new(1);
        let messages: Vec<Vec<u8>> = lengths
            .iter()
            .map(|&length| (0..length).map(|_| random.word() as u8).collect())
            .collect();
        let parts: Vec<Parts> = messages
            .iter()
            .map(|message| {
                let (first, rest) = message.split_at(message.len() / 3);
                let (second, third) = rest.split_at(rest.len() / 2);
                [first, second, third]
            })
            .collect();
        let Some(digests) = entries::sha512(&parts) else { return };
        for (parts, digest_in_lanes) in parts.iter().zip(digests) {
            assert_eq!(digest_in_lanes, digest(parts), "{lengths:?}");
        }
    }

    #[test]
    fn every_length_around_the_ends_of_blocks_agrees_with_the_crate() {
        check(&(0..400).collect::<Vec<_>>());
        for length in 0..300 {
            check(&[length; 9]);
        }
    }

    #[test]
    fn messages_of_any_lengths_together_agree_with_the_crate() {
        for one in 0..8 {
            let mut lengths = [256; 8];
            for other in [0, 111, 112, 500, 5000] {
                lengths[one] = other;
                check(&lengths);
            }
        }
        check(&[]);
        check(&[3]);
    }
}
