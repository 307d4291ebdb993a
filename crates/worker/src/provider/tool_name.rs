//! Changes the names of tools to the form that the APIs of providers allow. A model may invent the name of a tool that it
//! calls, and an API would refuse a conversation with such a name.

/// The most characters of a name that the APIs allow.
const CHARS_MAX: usize = 64;

/// The name with `_` in place of each character that the API does not allow, cut to 64 characters. An empty name becomes `_`.
/// The characters `A-Z a-z 0-9 _ -` are always allowed. `also_allowed` lists further characters that are allowed.
pub(super) fn to_allowed(name: &str, also_allowed: &str) -> String {
    let is_allowed =
        |c: char| c.is_ascii_alphanumeric() || "_-".contains(c) || also_allowed.contains(c);
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
    use super::to_allowed;

    #[test]
    fn characters_that_an_api_does_not_allow_are_replaced() {
        for (name, also_allowed, expected) in [
            ("get_weather-2", "", "get_weather-2"),
            ("browser.tabs.open", "", "browser_tabs_open"),
            ("browser.tabs:open", ".:", "browser.tabs:open"),
            ("wetter für morgen", "", "wetter_f_r_morgen"),
            ("", "", "_"),
        ] {
            assert_eq!(to_allowed(name, also_allowed), expected, "{name}");
        }
        assert_eq!(to_allowed(&"é".repeat(65), ""), "_".repeat(64));
    }
}
