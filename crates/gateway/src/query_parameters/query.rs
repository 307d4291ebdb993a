//! Reads the query of a request by the definitions of its route's parameters.

use super::parameter::{AnyParameter, Parameters, QueryParameter, ValueKind};
use crate::{
    problem::{FIELD_ERRORS_MAX, FieldError, Problem, RequestPart},
    problem_code::ProblemCode,
    request_faults::RequestFaults,
};

/// The most characters that an error has of the name of an unknown parameter.
const NAME_CHARS_MAX: usize = 64;

/// The query of a request, whose values were checked before the handler ran.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a>(pub(crate) Option<&'a str>);

impl Query<'_> {
    /// The value of a parameter of the route. Of several with the same name, the last one counts.
    pub(crate) fn get<K: ValueKind>(self, parameter: &QueryParameter<K>) -> Option<K::Value> {
        let text = last(self.0?, parameter.name)?;
        parameter.kind.read(&decode(text)?)
    }
}

/// The faults of a query: values that a parameter does not accept, and unknown parameters. If an unknown parameter were ignored, a
/// client would not notice a misspelt name.
pub(crate) fn faults(query: &str, parameters: Parameters) -> RequestFaults {
    let mut faults = RequestFaults::default();
    let unknown = unknown_names(query, parameters);
    if !unknown.is_empty() {
        let names: Vec<&str> = parameters.iter().map(|known| known.name()).collect();
        let has = match names.as_slice() {
            [] => String::from("none"),
            names => names.join(", "),
        };
        let errors = unknown.into_iter().map(|name| match name.as_str() {
            "" => error(
                "query",
                format!("has a parameter without a name; this route has {has}"),
            ),
            name => error(
                name,
                format!("is an unknown query parameter; this route has {has}"),
            ),
        });
        let code = ProblemCode::UnknownParameter;
        faults.add(Problem::with_errors(code, errors.collect()));
    }
    let refused = parameters.iter().filter_map(|parameter| {
        let text = decode(last(query, parameter.name())?);
        Some(error(parameter.name(), parameter.refusal(text.as_deref())?))
    });
    let refused: Vec<FieldError> = refused.collect();
    if !refused.is_empty() {
        faults.add(Problem::with_errors(ProblemCode::InvalidRequest, refused));
    }
    faults
}

fn error(name: &str, message: String) -> FieldError {
    FieldError {
        field: name.to_owned(),
        part: RequestPart::Query,
        message,
    }
}

/// The first names that the route does not have, as they were sent: at most 16 different ones, and at most 64 characters of each.
fn unknown_names(query: &str, parameters: &[&dyn AnyParameter]) -> Vec<String> {
    let mut unknown = Vec::new();
    for (name, _) in pairs(query) {
        if parameters.iter().any(|known| is_named(name, known.name())) {
            continue;
        }
        let printed: String = name.chars().take(NAME_CHARS_MAX).collect();
        if !unknown.contains(&printed) {
            unknown.push(printed);
        }
        if unknown.len() == FIELD_ERRORS_MAX {
            break;
        }
    }
    unknown
}

fn last<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let named = pairs(query).filter(|(sent, _)| is_named(sent, name));
    named.last().map(|(_, text)| text)
}

/// The names and the texts, which are not decoded.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Whether the sent name is `name` once it is decoded.
fn is_named(sent: &str, name: &str) -> bool {
    sent == name || (sent.contains('%') && decode(sent).is_some_and(|sent| sent == name))
}

/// Decodes a text of a query (`application/x-www-form-urlencoded`). `None` if a `%` is not followed by two hex digits, or if the
/// decoded text is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let ([high, low], after) = rest.split_first_chunk()?;
                rest = after;
                (hex_digit(*high)? << 4) | hex_digit(*low)?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::{Query, decode, faults};
    use crate::query_parameters::{
        kinds::{self, WholeNumber},
        parameter::{AnyParameter, QueryParameter},
    };

    static COUNT: QueryParameter<WholeNumber> = QueryParameter {
        name: "count",
        description: "",
        kind: WholeNumber {
            min: 2,
            max: 5,
            default: None,
        },
    };
    static LIMIT: QueryParameter<WholeNumber> = kinds::list_limit("");
    static PARAMETERS: [&dyn AnyParameter; 2] = [&COUNT, &LIMIT];

    /// The fields of the errors of a query, with the status.
    fn refused(query: &str) -> Option<(u16, Vec<String>)> {
        let problem = faults(query, &PARAMETERS).into_result().err()?;
        let fields = problem.errors().iter().map(|error| error.field.clone());
        Some((problem.status().as_u16(), fields.collect()))
    }

    fn expected(status: u16, fields: &[&str]) -> Option<(u16, Vec<String>)> {
        Some((
            status,
            fields.iter().map(|field| (*field).to_owned()).collect(),
        ))
    }

    #[test]
    fn all_faults_of_a_query_are_named() {
        assert_eq!(refused(""), None);
        assert_eq!(refused("count=2&&limit=100&"), None);
        assert_eq!(
            refused("count=6&limit=0"),
            expected(422, &["count", "limit"])
        );
        assert_eq!(refused("x"), expected(400, &["x"]));
        assert_eq!(refused("=1"), expected(400, &["query"]));
        let problem = faults("=1", &PARAMETERS).into_result();
        let problem = problem.expect_err("a parameter without a name is a fault");
        assert_eq!(
            problem.errors()[0].message,
            "has a parameter without a name; this route has count, limit"
        );
        assert_eq!(
            refused("Count=3&count=1&x=1&x=2"),
            expected(400, &["Count", "x", "count"])
        );
        let many: Vec<String> = (0..100).map(|index| format!("x{index}=1")).collect();
        let (_, fields) = refused(&many.join("&")).expect("unknown parameters are refused");
        assert_eq!(fields.len(), 16);
    }

    #[test]
    fn names_that_are_printed_in_the_same_way_are_named_once() {
        let printed = "x".repeat(64);
        let query = format!("{printed}a=1&{printed}b=1&{printed}=1&y=1");
        assert_eq!(refused(&query), expected(400, &[&printed, "y"]));
    }

    #[test]
    fn names_are_decoded() {
        let count = |query: &str| Query(Some(query)).get(&COUNT);
        assert_eq!(count("%63oun%74=3"), Some(3));
        assert_eq!(refused("%63ount=3"), None);
        assert_eq!(refused("count=3&%63ount=9"), expected(422, &["count"]));
        assert_eq!(refused("%78=1&x=1"), expected(400, &["%78", "x"]));
        assert_eq!(
            refused("%FF=1&%=1&count%3D3"),
            expected(400, &["%FF", "%", "count%3D3"])
        );
    }

    #[test]
    fn a_number_has_no_sign_and_is_within_its_bounds() {
        let count = |query: &str| Query(Some(query)).get(&COUNT);
        assert_eq!(count("count=2"), Some(2));
        assert_eq!(count("count=%35"), Some(5));
        for text in [
            "1",
            "6",
            "",
            "-2",
            "+3",
            "%2B3",
            "3.0",
            "99999999999999999999",
        ] {
            let query = format!("count={text}");
            assert_eq!(refused(&query), expected(422, &["count"]), "{query}");
            assert_eq!(count(&query), None, "{query}");
        }
        assert_eq!(Query(None).get(&COUNT), None);
    }

    #[test]
    fn the_last_of_several_values_counts() {
        assert_eq!(Query(Some("count=x&count=3")).get(&COUNT), Some(3));
        assert_eq!(refused("count=x&count=3"), None);
        assert_eq!(refused("count=3&count=x"), expected(422, &["count"]));
    }

    #[test]
    fn texts_are_decoded() {
        assert_eq!(decode("a%2Fb+c"), Some(String::from("a/b c")));
        for text in ["%2", "%", "%zz", "%FF", "%+5", "%-5", "% 5", "%5+"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
