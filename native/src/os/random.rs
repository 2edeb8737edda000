//! Random numbers: Python's own generator where a plan has a seed, so that both engines draw the same values from it.

use sha2::{Digest, Sha512};

const N: usize = 624;
const M: usize = 397;

/// The Mersenne Twister MT19937 (Matsumoto and Nishimura, ACM TOMACS 8, 1998), seeded as `random.Random(text)` does.
pub struct Twister {
    state: Box<[u32; N]>,
    index: usize,
}

impl Twister {
    pub fn from_text(text: &str) -> Self {
        // random.seed, version 2: the text and its SHA-512 as one big-endian number
        let mut bytes = text.as_bytes().to_vec();
        bytes.extend_from_slice(&Sha512::digest(text.as_bytes()));
        let first = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len() - 1);
        let key: Vec<u32> =
            bytes[first..].rchunks(4).map(|chunk| chunk.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte))).collect();
        Self::from_key(&key)
    }

    fn from_key(key: &[u32]) -> Self {
        let mut state = Box::new([0u32; N]);
        state[0] = 19_650_218;
        for i in 1..N {
            state[i] = 1_812_433_253u32.wrapping_mul(state[i - 1] ^ (state[i - 1] >> 30)).wrapping_add(i as u32);
        }
        let (mut i, mut j) = (1, 0);
        for _ in 0..N.max(key.len()) {
            let mixed = (state[i - 1] ^ (state[i - 1] >> 30)).wrapping_mul(1_664_525);
            state[i] = (state[i] ^ mixed).wrapping_add(key[j]).wrapping_add(j as u32);
            i += 1;
            j = (j + 1) % key.len();
            if i == N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        for _ in 0..N - 1 {
            let mixed = (state[i - 1] ^ (state[i - 1] >> 30)).wrapping_mul(1_566_083_941);
            state[i] = (state[i] ^ mixed).wrapping_sub(i as u32);
            i += 1;
            if i == N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        Twister { state, index: N }
    }

    fn next_u32(&mut self) -> u32 {
        if self.index >= N {
            for i in 0..N {
                let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
                let mixed = self.state[(i + M) % N] ^ (y >> 1);
                self.state[i] = if y & 1 == 0 { mixed } else { mixed ^ 0x9908_b0df };
            }
            self.index = 0;
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }
}

/// One stream of random numbers.
pub enum Rng {
    /// Seeded as soon as something is drawn: a twister is 2.5 kB, and most users draw nothing.
    Later(Box<str>),
    Seeded(Twister),
    /// splitmix64 (Steele, Lea and Flood, OOPSLA 2014): 8 bytes a user
    Free(u64),
}

impl Rng {
    /// `seed` None: different in every run.
    pub fn new(seed: Option<String>) -> Self {
        use std::hash::{BuildHasher, RandomState};
        match seed {
            Some(text) => Rng::Later(text.into_boxed_str()),
            None => Rng::Free(RandomState::new().hash_one(crate::os::socket::monotonic_ns())),
        }
    }

    fn next_u32(&mut self) -> u32 {
        if let Rng::Later(text) = self {
            *self = Rng::Seeded(Twister::from_text(text));
        }
        match self {
            Rng::Later(_) => unreachable!("it was seeded just now"),
            Rng::Seeded(twister) => twister.next_u32(),
            Rng::Free(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((z ^ (z >> 31)) >> 32) as u32
            }
        }
    }

    /// Uniform in [0, 1), as `Random.random`.
    pub fn unit(&mut self) -> f64 {
        let (high, low) = (self.next_u32() >> 5, self.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// As `Random.getrandbits`, for 1 to 128 bits.
    pub fn bits(&mut self, count: u32) -> u128 {
        let (mut value, mut left, mut shift) = (0u128, count, 0);
        while left > 0 {
            let word = self.next_u32() >> (32 - left.min(32));
            value |= u128::from(word) << shift;
            shift += 32;
            left = left.saturating_sub(32);
        }
        value
    }

    /// As `Random.randint`: both ends included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = (i128::from(high) - i128::from(low) + 1) as u128;
        let bits = u128::BITS - width.leading_zeros();
        loop {
            let drawn = self.bits(bits);
            if drawn < width {
                return (i128::from(low) + drawn as i128) as i64;
            }
        }
    }

    /// A random UUID, version 4, as text.
    pub fn uuid4(&mut self) -> String {
        let mut number = self.bits(128);
        number = (number & !(0xc000 << 48)) | (0x8000 << 48);
        number = (number & !(0xf000 << 64)) | (0x4000 << 64);
        let hex = format!("{number:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that CPython 3.11 gave for `Random("user 1 0 5")`.
    #[test]
    fn a_seed_gives_what_python_gives() {
        let mut rng = Rng::new(Some("user 1 0 5".into()));
        let drawn = [rng.unit(), rng.unit()];
        assert_eq!(drawn, PYTHON_UNITS);
        assert_eq!(rng.between(1, 6), PYTHON_RANDINT);
        assert_eq!(rng.uuid4(), PYTHON_UUID);
    }

    const PYTHON_UNITS: [f64; 2] = [0.36211017165364534, 0.08505045586852];
    const PYTHON_RANDINT: i64 = 6;
    const PYTHON_UUID: &str = "9b88ddf5-b9a1-4589-b5c8-51b5705be9df";
}
