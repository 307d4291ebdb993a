//! Names of tools in the form that the APIs of providers allow. A model may call a tool by a name of its own invention.

/// The most characters of a name that the APIs allow.
const CHARS_MAX: usize = 64;

/// The name with `_` in place of each character that the API does not allow, cut to 64 characters. The characters
/// `A-Z a-z 0-9 _ -` are always allowed, and those in `others` too.
pub(super) fn allowed(name: &str, others: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c) || others.contains(c);
    let chars = name.chars().take(CHARS_MAX);
    let name: String = chars.map(|c| if is_allowed(c) { c } else { '_' }).collect();
    if name.is_empty() {
        String::from("_")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn characters_that_an_api_does_not_allow_are_replaced() {
        for (name, others, expected) in [
            ("get_weather-2", "", "get_weather-2"),
            ("browser.tabs.open", "", "browser_tabs_open"),
            ("browser.tabs:open", ".:", "browser.tabs:open"),
            ("wetter für morgen", "", "wetter_f_r_morgen"),
            ("", "", "_"),
        ] {
            assert_eq!(allowed(name, others), expected, "{name}");
        }
        assert_eq!(allowed(&"é".repeat(65), ""), "_".repeat(64));
    }
}
