//! Makes bodies of submits: JSON with odd values, and text that is almost JSON.

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

/// The fields of a submit, and fields that it does not have.
const FIELDS: [&str; 40] = [
    "input",
    "session_id",
    "model",
    "instructions",
    "tools",
    "tool_choice",
    "response_format",
    "reasoning_effort",
    "temperature",
    "top_p",
    "stop",
    "max_output_tokens",
    "context",
    "tool_wait_s",
    "priority",
    "if_busy",
    "expires_in_s",
    "metadata",
    "extra_body",
    "messages",
    "max_tokens",
    "stream",
    "seed",
    "",
    "__proto__",
    "input\\u0000",
    "\\ud83e\\udd80",
    "INPUT",
    "role",
    "content",
    "type",
    "function",
    "name",
    "arguments",
    "id",
    "tool_call_id",
    "tool_calls",
    "image_url",
    "url",
    "json_schema",
];
/// Values, as JSON text. Some are not valid JSON.
const VALUES: [&str; 44] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1",
    "1.5",
    "1e2",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "1e308",
    "1e999",
    "1e-999",
    "0.1234567890123456789",
    "01",
    "+1",
    ".5",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "None",
    "\"\"",
    "\"x\"",
    "\" \"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud83e\\udd80\"",
    "\"\u{feff}\u{202e}\u{2028}\"",
    "\"a\nb\"",
    "\"\\x\"",
    "'x'",
    "[]",
    "{}",
    "[null]",
    "{\"\":null}",
    "\"user\"",
    "\"function\"",
    "\"https://x.example/a.png\"",
    "\"data:image/png;base64,AAAA\"",
];
/// Valid submits.
const VALID: [&str; 8] = [
    r#"{"input":"Hi."}"#,
    r#"{"input":"Hi.","session_id":"ünï/1","priority":"batch"}"#,
    r#"{"input":[{"role":"user","content":[{"type":"text","text":"Hi."}]}],"metadata":{"k":"v"}}"#,
    r#"{"input":"Hi.","tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":"auto"}"#,
    r#"{"input":"Hi.","temperature":1,"top_p":0.5,"stop":["a"],"max_output_tokens":5,"extra_body":{"seed":1}}"#,
    r#"{"input":"Hi.","response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{}}}}"#,
    r#"{"input":[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]},{"role":"user","content":"x"}]}"#,
    r#"{"input":"Hi.","session_id":"busy","if_busy":"reject","expires_in_s":60,"context":{"max_turns":3}}"#,
];

/// A body, which may be empty.
pub(super) fn body(random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..100) {
        0..35 => object_with_odd_field(random).into_bytes(),
        35..60 => {
            let mut text = String::new();
            push_object(random, &mut text, 0);
            text.into_bytes()
        }
        60..65 => pick(random, &VALID).into(),
        65..80 => damaged(random),
        80..85 => encoded(random),
        85..92 => large(random),
        92..98 => {
            let mut text = String::new();
            push_value(random, &mut text, 0);
            text.into_bytes()
        }
        _ => Vec::new(),
    }
}

fn pick<'a>(random: &mut StdRng, list: &[&'a str]) -> &'a str {
    list.choose(random).copied().unwrap_or_default()
}

/// A valid submit with one more field, or with one field twice.
fn object_with_odd_field(random: &mut StdRng) -> String {
    let valid = pick(random, &VALID);
    let mut text = valid.trim_end_matches('}').to_owned();
    let closed = valid.len() - text.len();
    text.push_str(&"}".repeat(closed - 1));
    text.push_str(&format!(",\"{}\":", pick(random, &FIELDS)));
    push_value(random, &mut text, 0);
    text.push('}');
    text
}

fn push_object(random: &mut StdRng, text: &mut String, depth: usize) {
    text.push('{');
    for index in 0..random.random_range(0..5) {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&format!("\"{}\":", pick(random, &FIELDS)));
        push_value(random, text, depth + 1);
    }
    text.push('}');
}

fn push_value(random: &mut StdRng, text: &mut String, depth: usize) {
    match random.random_range(0..20) {
        0..3 if depth < 6 => push_object(random, text, depth),
        3..5 if depth < 6 => {
            text.push('[');
            for index in 0..random.random_range(0..4) {
                if index > 0 {
                    text.push(',');
                }
                push_value(random, text, depth + 1);
            }
            text.push(']');
        }
        5 => {
            let levels = random.random_range(1..200);
            text.push_str(&"[".repeat(levels));
            text.push_str(&"]".repeat(levels));
        }
        6 => {
            let chars = random.random_range(1..3_000);
            text.push('"');
            text.push_str(&pick(random, &["x", "é", "\u{1f980}", "\\n", " "]).repeat(chars));
            text.push('"');
        }
        _ => text.push_str(pick(random, &VALUES)),
    }
}

/// A valid submit with damaged bytes.
fn damaged(random: &mut StdRng) -> Vec<u8> {
    let mut bytes: Vec<u8> = pick(random, &VALID).into();
    for _ in 0..random.random_range(1..4) {
        let position = random.random_range(0..bytes.len());
        match random.random_range(0..4) {
            0 => bytes.truncate(position.max(1)),
            1 => bytes[position] = random.random(),
            2 => bytes.insert(position, random.random()),
            _ => drop(bytes.remove(position)),
        }
        if bytes.is_empty() {
            bytes.push(b' ');
        }
    }
    bytes
}

/// A valid submit in another encoding.
fn encoded(random: &mut StdRng) -> Vec<u8> {
    let text = pick(random, &VALID);
    match random.random_range(0..6) {
        0 => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        1 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        2 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        3 => [
            b"\xff\xfe".as_slice(),
            &text
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>(),
        ]
        .concat(),
        4 => text
            .chars()
            .flat_map(|char| u32::from(char).to_le_bytes())
            .collect(),
        _ => b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\xca".to_vec(),
    }
}

/// A body with many elements or a long text.
fn large(random: &mut StdRng) -> Vec<u8> {
    let count = random.random_range(1..5_000);
    let elements = |element: &str| format!("[{}{element}]", format!("{element},").repeat(count));
    let value = match random.random_range(0..6) {
        0 => elements("1"),
        1 => elements("{}"),
        2 => elements(r#"{"role":"user","content":"x"}"#),
        3 => format!("\"{}\"", "x".repeat(count * 10)),
        4 => format!("{{{}\"z\":1}}", r#""k":"v","#.repeat(count)),
        _ => format!("{}1{}", "[".repeat(count), "]".repeat(count)),
    };
    let field = pick(
        random,
        &[
            "input",
            "extra_body",
            "metadata",
            "tools",
            "stop",
            "session_id",
        ],
    );
    format!("{{\"{field}\":{value}}}").into_bytes()
}
