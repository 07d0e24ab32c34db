//! Patterns of paths: `*.bias`, `encoder.layers.?.*`, `{fc1,fc2}.weight`, `fc1`, `re:layers\.[0-3]\.`.

use regex_lite::Regex;

/// What a regular expression begins with.
const REGEX: &str = "re:";

/// Whether `pattern` stands for `path`: it matches the path itself, or a layer that the path lies below (`fc1` stands for
/// `fc1.weight`). `*` is any number of characters, dots included, `?` is one, `{a,b}` is either. After `re:` comes a regular
/// expression, in the syntax of the crate `regex-lite`, that is found anywhere in the path, as `re.search` of Python: `^` and
/// `$` hold it to the ends. One that [`check`] refuses stands for nothing.
pub fn matches(pattern: &str, path: &str) -> bool {
    if let Some(regex) = pattern.strip_prefix(REGEX) {
        return Regex::new(regex).is_ok_and(|r| r.is_match(path));
    }
    alternatives(pattern)
        .iter()
        .any(|p| stands_for(p.as_bytes(), path.as_bytes()))
}

/// What is wrong with a pattern, if anything: every glob is one, not every regular expression.
///
/// # Errors
/// The pattern and what its expression lacks.
pub fn check(pattern: &str) -> Result<(), String> {
    let regex = pattern.strip_prefix(REGEX).map(Regex::new);
    match regex {
        Some(Err(why)) => Err(format!(
            "the pattern '{pattern}' is no regular expression: {why}"
        )),
        _ => Ok(()),
    }
}

/// `pattern` without braces, one string for each choice.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return vec![pattern.to_owned()];
    };
    let Some((choices, after)) = rest.split_once('}') else {
        return vec![pattern.to_owned()];
    };
    let after = alternatives(after);
    let join = |choice: &str| {
        let ends = after.iter().map(|end| format!("{before}{choice}{end}"));
        ends.collect::<Vec<_>>()
    };
    choices.split(',').flat_map(join).collect()
}

fn stands_for(pattern: &[u8], path: &[u8]) -> bool {
    // `from[j]`: whether the pattern so far ends at `path[..j]`.
    let mut ends = vec![false; path.len() + 1];
    ends[0] = true;
    for p in pattern {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            next[at] = match p {
                b'*' => ends[at] || (at > 0 && next[at - 1]),
                _ if at == 0 => false,
                b'?' => ends[at - 1],
                p => ends[at - 1] && path[at - 1] == *p,
            };
        }
        ends = next;
    }
    let whole = |at: usize| at == path.len() || path[at] == b'.';
    (0..=path.len()).any(|at| ends[at] && whole(at)) && !path.is_empty()
}

#[cfg(test)]
mod tests {
    use super::{check, matches};

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("*", "a.b", true),
            ("a.b", "a.b", true),
            ("a", "a.b", true),
            ("a", "ab", false),
            ("b", "a.b", false),
            ("*.bias", "fc.bias", true),
            ("*.bias", "a.b.c.bias", true),
            ("*.bias", "bias", false),
            ("*bias", "bias", true),
            ("*.bias", "fc.biases", false),
            ("fc?.weight", "fc1.weight", true),
            ("fc?.weight", "fc.weight", false),
            ("layers.*.norm*.weight", "layers.0.norm1.weight", true),
            ("{fc1,fc2}.weight", "fc2.weight", true),
            ("{fc1,fc2}.{weight,bias}", "fc1.bias", true),
            ("{fc1,fc2}.weight", "fc3.weight", false),
            ("{fc1", "{fc1.weight", true),
            ("a**c", "abc", true),
            ("", "a", false),
            ("é?", "éa", true),
            (r"re:layers\.[0-3]\.", "encoder.layers.2.bias", true),
            (r"re:layers\.[0-3]\.", "encoder.layers.4.bias", false),
            (r"re:^layers", "encoder.layers.2.bias", false),
            (r"re:(norm\d|bias)$", "encoder.norm1", true),
            (r"re:(norm\d|bias)$", "encoder.norm1.weight", false),
            ("re:", "a", true),
            ("re:(", "(", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn expressions_that_are_none() {
        assert_eq!(check("(*{"), Ok(()));
        assert_eq!(check("re:a|b"), Ok(()));
        let message = check("re:layers.(0").unwrap_err();
        let wanted = "the pattern 're:layers.(0' is no regular expression: ";
        assert!(
            message.starts_with(wanted) && message.len() > wanted.len(),
            "{message}"
        );
    }
}
