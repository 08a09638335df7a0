//! Whether a phased update has reached this host: the draw that apt makes, reproduced to the last bit.
//!
//! apt seeds a C++ `std::minstd_rand` with a `std::seed_seq` of the text `SOURCE-VERSION-MACHINE` and draws one number of
//! 0 to 100 through `std::uniform_int_distribution`. The last is not defined by the C++ standard: this is libstdc++'s.

/// The draw for a source package on the machine with this id. An update is withheld if it is above its percentage, so
/// that 0 % still lets one host in 101 through.
pub fn draw(source: &str, version: &str, machine_id: &str) -> u8 {
    let seed = format!("{source}-{version}-{machine_id}");
    let mut state = u64::from(seed_word(seed.as_bytes())) % MODULUS;
    if state == 0 {
        state = 1;
    }
    loop {
        state = state * 48_271 % MODULUS;
        // The generator gives 1 to MODULUS - 1; the range is cut to a multiple of 101 buckets.
        let offset = state - 1;
        if offset < BUCKET * 101 {
            return u8::try_from(offset / BUCKET).unwrap_or(u8::MAX);
        }
    }
}

const MODULUS: u64 = 2_147_483_647;
const BUCKET: u64 = (MODULUS - 1) / 101;

/// The word that `minstd_rand` takes from `seed_seq::generate` of four (C++ [rand.util.seedseq]): the last one.
#[expect(clippy::indexing_slicing, reason = "every index is a remainder of the length")]
fn seed_word(seed: &[u8]) -> u32 {
    const N: usize = 4;
    // For n = 4, t = 1, p = 1 and q = 2.
    const P: usize = 1;
    const Q: usize = 2;
    const SMALL: [u32; N] = [0, 1, 2, 3];
    let mix = |word: u32| word ^ (word >> 27);
    let mut words = [0x8b8b_8b8b_u32; N];
    let rounds = (seed.len() + 1).max(N);
    for k in 0..rounds {
        let (this, next, last) = (k % N, (k + P) % N, (k + N - 1) % N);
        let r1 = mix(words[this] ^ words[next] ^ words[last]).wrapping_mul(1_664_525);
        let added = match k.checked_sub(1) {
            None => u32::try_from(seed.len()).unwrap_or(u32::MAX),
            // The characters of the text are signed there.
            Some(before) => {
                let byte = seed.get(before).map_or(0, |byte| i32::from(byte.cast_signed()));
                SMALL[this].wrapping_add(byte.cast_unsigned())
            }
        };
        let r2 = r1.wrapping_add(added);
        words[next] = words[next].wrapping_add(r1);
        words[(k + Q) % N] = words[(k + Q) % N].wrapping_add(r2);
        words[this] = r2;
    }
    for k in rounds..rounds + N {
        let (this, next, last) = (k % N, (k + P) % N, (k + N - 1) % N);
        let sum = words[this].wrapping_add(words[next]).wrapping_add(words[last]);
        let r3 = mix(sum).wrapping_mul(1_566_083_941);
        let r4 = r3.wrapping_sub(SMALL[this]);
        words[next] ^= r3;
        words[(k + Q) % N] ^= r4;
        words[this] = r4;
    }
    words[N - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_libstdcxx() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(draw("openssl", "3.0.2-0ubuntu1.18", id), 85);
        assert_eq!(draw("linux", "6.8.0-51.52", "d41d8cd98f00b204e9800998ecf8427e"), 24);
        assert_eq!(draw("systemd", "249.11-0ubuntu3.12", "ffffffffffffffffffffffffffffffff"), 97);
        assert_eq!(draw("glibc", "2.35-0ubuntu3.8", id), 77);
    }

    #[test]
    fn every_draw_is_in_range_and_all_are_about_as_likely() {
        let mut counts = [0_u32; 101];
        for at in 0..20_200 {
            counts[usize::from(draw("a", &at.to_string(), ""))] += 1;
        }
        assert!(counts.iter().all(|count| (100..320).contains(count)), "{counts:?}");
    }
}
