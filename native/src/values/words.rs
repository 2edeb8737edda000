//! How numbers and texts stand in messages, as Python writes them.

/// `number` with a comma before every third digit from the end.
pub fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `count` and its noun, which takes an s where there is not one: `loadflow/engine/base/counted.py`.
pub fn counted(count: u64, one: &str) -> String {
    format!("{} {one}{}", with_commas(count), if count == 1 { "" } else { "s" })
}

/// A text as Python's `repr` shows it.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if letter == quote => out.extend(['\\', letter]),
            '\0'..=' ' if letter != ' ' => out.push_str(&format!("\\x{:02x}", letter as u32)),
            '\u{7f}'..='\u{a0}' | '\u{ad}' => out.push_str(&format!("\\x{:02x}", letter as u32)),
            _ => out.push(letter),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_texts_are_written_as_python_writes_them() {
        for (count, text) in [(0, "0 bytes"), (1, "1 byte"), (1_234_567, "1,234,567 bytes")] {
            assert_eq!(counted(count, "byte"), text);
        }
        for (text, shown) in [
            ("xyz", "'xyz'"),
            ("it's", "\"it's\""),
            ("it's \"so\"", "'it\\'s \"so\"'"),
            ("a\\b\r\n\t\u{1}\u{7f}é", "'a\\\\b\\r\\n\\t\\x01\\x7fé'"),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }
}
