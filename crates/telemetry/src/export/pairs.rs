//! Reads a list of names and values: `name=value,other=value`, with percent-encoded values (the format of W3C Baggage).

use percent_encoding::percent_decode_str;

/// Reads the list.
///
/// # Errors
/// What the list must be. The values are not shown, because they may be secrets.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let pairs = text.split(',').map(str::trim);
    pairs.filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    const FORM: &str = "must be a list such as name=value,other=value, with percent-encoded values";
    let (name, value) = text.split_once('=').ok_or(FORM)?;
    let value = percent_decode_str(value.trim()).decode_utf8();
    let name = name.trim();
    if name.is_empty() {
        return Err(FORM);
    }
    Ok((name.to_owned(), value.map_err(|_| FORM)?.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn values_are_decoded() {
        let pairs = parse("a=1, b = x%20y%3D,c=k=v,").expect("the list is valid");
        let expected = [("a", "1"), ("b", "x y="), ("c", "k=v")];
        assert_eq!(pairs, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(parse(""), Ok(Vec::new()));
        for bad in ["a", "=1", "a=1,b", "a=%ff"] {
            assert!(parse(bad).is_err(), "{bad} was accepted");
        }
    }
}
