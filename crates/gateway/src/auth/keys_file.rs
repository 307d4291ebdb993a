//! Reads API keys from the text of a file: `tenant:key` or `tenant:key:scope,scope` in each line. A line `[tenant] requests=100/60 live=50`
//! has the limits of a tenant. It cannot be taken for a key, because no tenant's name has brackets. Empty lines and lines that begin
//! with `#` are ignored. No error contains a key.

use std::{collections::HashMap, sync::Arc};

use forebay_shared::{ids::TenantId, tenant_limit::TenantLimits};

use crate::tenant_name;

use super::{api_keys::ApiKeys, key_hash::KeyHash, limits_text::parse_limits, scopes::Scopes};

/// The fewest characters of a key. 32 characters of base 16 have 128 bits.
const KEY_CHARS_MIN: usize = 32;
/// The most characters of a key.
const KEY_CHARS_MAX: usize = 512;
/// The most keys of a file.
const KEYS_MAX: usize = 10_000;

/// The content of a file of keys.
#[derive(Default)]
pub(super) struct KeysFile {
    pub(super) keys: ApiKeys,
    pub(super) limits: HashMap<TenantId, Arc<TenantLimits>>,
}

/// Parses the text of a file.
///
/// # Errors
/// The first line that is wrong, and what is allowed.
pub(super) fn parse(text: &str) -> Result<KeysFile, String> {
    let mut limits = HashMap::new();
    let mut keys = ApiKeys::default();
    // Some editors write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let in_line = |message: &str| format!("line {number}: {message}");
        let tenant_id = |text: &str| {
            tenant_name::parse(text)
                .ok_or_else(|| in_line(&format!("the tenant must be {}", tenant_name::ALLOWED)))
        };
        if let Some(line) = line.strip_prefix('[') {
            let parts = line.split_once(']');
            let (tenant, of_tenant) =
                parts.ok_or_else(|| in_line("limits must be [tenant] requests=100/60 live=50"))?;
            let of_tenant = parse_limits(of_tenant).map_err(|error| in_line(&error))?;
            let tenant = tenant_id(tenant.trim())?;
            if limits.insert(tenant, Arc::new(of_tenant)).is_some() {
                return Err(in_line("an earlier line has limits of the same tenant"));
            }
            if limits.len() > KEYS_MAX {
                return Err(in_line(&format!(
                    "a file may have limits of at most {KEYS_MAX} tenants"
                )));
            }
            continue;
        }
        let mut parts = line.splitn(3, ':').map(str::trim);
        let (tenant, key) = (parts.next().unwrap_or_default(), parts.next());
        let key = key.ok_or_else(|| in_line("must be tenant:key or tenant:key:scope,scope"))?;
        let tenant = tenant_id(tenant)?;
        if !is_key(key) {
            return Err(in_line(&format!(
                "the key must be {KEY_CHARS_MIN} to {KEY_CHARS_MAX} characters from A-Z a-z 0-9 - . _ ~ + / and ="
            )));
        }
        let scopes = match parts.next() {
            None => Scopes::DEFAULT,
            Some(names) => Scopes::parse(names).ok_or_else(|| {
                in_line("the scopes must be submit, read or admin, separated by commas")
            })?,
        };
        if !keys.add(KeyHash::of(key), tenant, scopes) {
            return Err(in_line("an earlier line has the same key"));
        }
        if keys.len() > KEYS_MAX {
            return Err(in_line(&format!("a file may have at most {KEYS_MAX} keys")));
        }
    }
    if keys.len() == 0 {
        return Err(String::from("has no key; add a line tenant:key"));
    }
    Ok(KeysFile { keys, limits })
}

/// Whether a text can be a key: a `b64token` of RFC 6750, section 2.1, of an allowed length.
fn is_key(text: &str) -> bool {
    (KEY_CHARS_MIN..=KEY_CHARS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use forebay_shared::ids::TenantId;

    use super::{
        super::scopes::Scope::{Admin, Read, Submit},
        parse,
    };

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._~+/==";

    #[test]
    fn a_key_has_the_tenant_and_the_scopes_of_its_line() {
        let text = format!("# keys\n\nshop:{KEY}\r\n ops@x : {OTHER} : admin, read \n");
        let keys = parse(&text).expect("the file is valid").keys;
        let shop = keys.find(KEY).expect("the key is known");
        assert_eq!(shop.tenant().as_str(), "shop");
        assert!(shop.may(Submit) && shop.may(Read) && !shop.may(Admin));
        let ops = keys.find(OTHER).expect("the key is known");
        assert_eq!(ops.tenant().as_str(), "ops@x");
        assert!(!ops.may(Submit) && ops.may(Read) && ops.may(Admin));
        assert_ne!(shop.key_id(), ops.key_id());
        for unknown in ["", "0123456789abcdef0123456789abcdee", &KEY[1..]] {
            assert!(keys.find(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn a_line_in_brackets_has_the_limits_of_a_tenant() {
        let text = format!("[shop] requests=100/60 live=50\nlimits:{KEY}\n [ limits ]live=1\n");
        let file = parse(&text).expect("the file is valid");
        let of = |tenant: &str| {
            let limits = &file.limits[&TenantId::parse(tenant).expect("a tenant")];
            let requests = limits.requests.map(|limit| (limit.quota, limit.window_s));
            (requests, limits.live_jobs.map(|limit| limit.quota))
        };
        assert_eq!(of("shop"), (Some((100, 60)), Some(50)));
        assert_eq!(of("limits"), (None, Some(1)));
        let caller = file.keys.find(KEY).expect("the key is known");
        assert_eq!(caller.tenant().as_str(), "limits");
    }

    #[test]
    fn an_error_names_the_line_and_never_contains_the_key() {
        let error_of = |text: &str| parse(text).err().expect("the file is refused");
        for (text, part) in [
            (KEY.to_owned(), "line 1: must be tenant:key"),
            (format!("\n:{KEY}"), "line 2: the tenant"),
            (format!("a b:{KEY}"), "line 1: the tenant"),
            (format!("a:{}", &KEY[1..]), "line 1: the key must be 32"),
            (format!("a:{KEY} x"), "line 1: the key must be"),
            (format!("a:{KEY}:write"), "line 1: the scopes"),
            (format!("a:{KEY}:"), "line 1: the scopes"),
            (format!("a:{KEY}\nb:{KEY}"), "line 2: an earlier line"),
            (String::from("# nothing\n"), "has no key"),
            (String::from("[a] live=1\n"), "has no key"),
            (format!("[a:{KEY}"), "line 1: limits must be [tenant]"),
            (format!("\n[a] {KEY}"), "line 2: the limits must be"),
            (String::from("[a b] live=1"), "line 1: the tenant"),
            (String::from("[a:b] live=1"), "line 1: the tenant"),
            (
                String::from("[a] live=1\n[a] live=2"),
                "line 2: an earlier line",
            ),
        ] {
            let error = error_of(&text);
            assert!(error.contains(part), "{error}");
            assert!(!error.contains(&KEY[1..]), "{error}");
        }
    }
}
