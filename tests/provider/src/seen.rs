//! Turn numbers in texts. Tests write `turn=<n>` into requests, and the default reply lists the numbers of the context
//! as `seen:0,1,2`. Tests compare the two to check the order of turns.

/// The number of every `turn=<n>` in these texts, in order, with repetitions.
#[must_use]
pub fn turn_numbers<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<u64> {
    let mut numbers = Vec::new();
    for text in texts {
        for text_after in text.split("turn=").skip(1) {
            let digits = text_after
                .find(|character: char| !character.is_ascii_digit())
                .map_or(text_after, |end| &text_after[..end]);
            numbers.extend(digits.parse::<u64>());
        }
    }
    numbers
}

/// The reply to a context with these turns.
#[must_use]
pub fn reply(numbers: &[u64]) -> String {
    let list: Vec<String> = numbers.iter().map(u64::to_string).collect();
    format!("seen:{}", list.join(","))
}

/// The numbers in a reply made by [`reply`]; `None` for any other text.
#[must_use]
pub fn parse_reply(text: &str) -> Option<Vec<u64>> {
    let list = text.strip_prefix("seen:")?;
    if list.is_empty() {
        return Some(Vec::new());
    }
    list.split(',').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_numbers_keep_their_order_and_repetitions() {
        let texts = ["turn=0 and turn=12x", "no turn", "turn= turn=3 turn=3"];
        assert_eq!(turn_numbers(texts), [0, 12, 3, 3]);
    }

    #[test]
    fn a_reply_is_parsed_to_its_numbers() {
        for numbers in [vec![], vec![0], vec![0, 1, 20]] {
            assert_eq!(parse_reply(&reply(&numbers)), Some(numbers));
        }
        assert_eq!(parse_reply("seen:0,x"), None);
        assert_eq!(parse_reply("hello"), None);
    }

    #[test]
    fn a_reply_itself_contains_no_turn_number() {
        assert!(turn_numbers([reply(&[0, 1]).as_str()]).is_empty());
    }
}
