//! The Huffman code of header fields (RFC 7541 appendix B): canonical, so the lengths of its codes say all of it.

const SYMBOLS: usize = 257;
const END: u16 = 256;
const LONGEST: usize = 30;
/// Codes of up to so many bits are looked up at once; they are those of the letters that fields are made of.
const SHORT_BITS: usize = 9;

#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

struct Code {
    /// Symbols by the length of their code, then by themselves: the order of the codes.
    symbols: [u16; SYMBOLS],
    /// By length: the first code, and where its symbol stands.
    first: [u32; LONGEST + 1],
    place: [u16; LONGEST + 1],
    count: [u16; LONGEST + 1],
    /// By the next bits: symbol and length; 0: the code is longer.
    short: [(u16, u8); 1 << SHORT_BITS],
}

static CODE: Code = make();

const fn make() -> Code {
    let mut code =
        Code { symbols: [0; SYMBOLS], first: [0; LONGEST + 1], place: [0; LONGEST + 1], count: [0; LONGEST + 1], short: [(0, 0); 512] };
    let (mut next, mut at, mut length) = (0u32, 0usize, 1usize);
    while length <= LONGEST {
        next <<= 1;
        code.first[length] = next;
        code.place[length] = at as u16;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                code.symbols[at] = symbol as u16;
                if length <= SHORT_BITS {
                    let spare = SHORT_BITS - length;
                    let mut fill = 0;
                    while fill < 1 << spare {
                        code.short[((next as usize) << spare) | fill] = (symbol as u16, length as u8);
                        fill += 1;
                    }
                }
                at += 1;
                next += 1;
                code.count[length] += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    code
}

/// Appends what `packed` means. Err: it is no whole code, or ends otherwise than with the first bits of the end sign.
pub fn unpack(packed: &[u8], out: &mut Vec<u8>) -> Result<(), ()> {
    let (mut bits, mut count, mut at) = (0u64, 0usize, 0usize);
    loop {
        while count <= 56 && at < packed.len() {
            bits |= u64::from(packed[at]) << (56 - count);
            count += 8;
            at += 1;
        }
        let (symbol, length) = next(bits);
        if length > count {
            // what is left is padding: fewer than eight bits, all set
            let is_padding = count < 8 && bits >> (64 - count.max(1)) == (1u64 << count.max(1)) - 1;
            return if count == 0 || is_padding { Ok(()) } else { Err(()) };
        }
        if symbol == END {
            return Err(());
        }
        out.push(symbol as u8);
        bits <<= length;
        count -= length;
    }
}

/// The symbol of the first bits, and how many they are.
fn next(bits: u64) -> (u16, usize) {
    let (symbol, length) = CODE.short[(bits >> (64 - SHORT_BITS)) as usize];
    if length > 0 {
        return (symbol, usize::from(length));
    }
    for length in SHORT_BITS + 1..=LONGEST {
        let behind = ((bits >> (64 - length)) as u32).wrapping_sub(CODE.first[length]);
        if behind < u32::from(CODE.count[length]) {
            return (CODE.symbols[usize::from(CODE.place[length]) + behind as usize], length);
        }
    }
    (END, LONGEST) // the code is complete: there is no such case
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(packed: &[u8]) -> Result<String, ()> {
        let mut out = Vec::new();
        unpack(packed, &mut out).map(|()| String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 7541 appendix C.4 and C.6
        let www = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(shown(&www).as_deref(), Ok("www.example.com"));
        assert_eq!(shown(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).as_deref(), Ok("no-cache"));
        assert_eq!(shown(&[0x64, 0x02]).as_deref(), Ok("302"));
        let date = [
            0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b,
            0xff,
        ];
        assert_eq!(shown(&date).as_deref(), Ok("Mon, 21 Oct 2013 20:13:21 GMT"));
        assert_eq!(shown(&[]).as_deref(), Ok(""));
    }

    #[test]
    fn the_code_is_whole_and_what_is_no_code_is_refused() {
        assert_eq!(LENGTHS.iter().map(|length| 1u64 << (32 - length)).sum::<u64>(), 1 << 32, "no bits mean nothing");
        assert_eq!(shown(&[0xff]), Err(()), "eight bits of padding");
        assert_eq!(shown(&[0x64, 0x02, 0xff]), Err(()));
        assert_eq!(shown(&[0xff, 0xff, 0xff, 0xff]), Err(()), "the end sign");
        assert_eq!(shown(&[0b0000_0000]), Err(()), "0 with padding of zeros");
        assert_eq!(shown(&[0b0000_0111]).as_deref(), Ok("0"));
    }
}
