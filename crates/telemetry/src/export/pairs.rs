//! Reads a list of names and values: `name=value,other=value`, with percent-encoded names and values.

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
    let decode = |text: &str| match percent_decode_str(text.trim()).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(FORM),
    };
    let (name, value) = (decode(name)?, decode(value)?);
    if name.is_empty() {
        return Err(FORM);
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_and_values_are_decoded() {
        let pairs = parse("a=1, b = x%20y%3D,c=k=v,d%2Ce=1,").expect("the list is valid");
        let expected = [("a", "1"), ("b", "x y="), ("c", "k=v"), ("d,e", "1")];
        assert_eq!(pairs, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(parse(""), Ok(Vec::new()));
        for bad in ["a", "=1", "a=1,b", "a=%ff"] {
            assert!(parse(bad).is_err(), "{bad} was accepted");
        }
    }
}
