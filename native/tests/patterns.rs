//! Patterns: that they mean what RE2 takes them for, `tests/generator/test_pattern_engines.py` shows beside RE2; here, that nothing breaks.

use _native::values::pattern::Pattern;
use proptest::prelude::*;

#[test]
fn patterns_have_the_meaning_of_re2() {
    for (pattern, text, group, found) in [
        (r"id=(\d+)", "id=17", 1, Some("17")),
        (r"\d+", "٣ 3", 0, Some("3")),
        (r"\b{start}", "a{start}", 0, Some("{start}")),
        (r"[x&&y]+", "x&y", 0, Some("x&y")),
        (r"\<a", "<a", 0, Some("<a")),
        (r"(a)|b", "b", 1, None),
        (r"a", "b", 0, None),
    ] {
        assert_eq!(Pattern::new(pattern).unwrap().find(text, group).as_deref(), found, "{pattern}");
    }
    assert_eq!(Pattern::new(r"a\p{L}").unwrap_err(), r"\p");
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader_of_patterns(any in ".{0,20}", likely in r"[\\\[\](){}?^:=P<>pQEx0-9a,|*+é-]{0,20}", text in ".{0,20}") {
        for pattern in [any, likely] {
            if let Ok(pattern) = Pattern::new(&pattern) {
                prop_assert_eq!(pattern.is_in(&text), pattern.find(&text, 0).is_some());
                let _ = pattern.find(&text, 1);
            }
        }
    }
}
