//! `forebay keys create|list|revoke`: manages the API keys of the store through the API of a running process, because no second
//! process can open the embedded store.

mod client;

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use forebay_shared::{api_key::ApiKeyId, ids::TenantId, secret::Secret};
use hyper::Method;
use serde_json::{Map, Value, json};

use self::client::AdminClient;
use crate::{health::reachable, log};

/// The variable with the admin key. The variable with `_FILE` at the end of this name has the path of a file with the key.
pub(crate) const ADMIN_KEY: &str = "FOREBAY_ADMIN_KEY";
/// The most keys of a page of the list.
const PAGE_LIMIT: usize = 100;
/// The most pages of the list. A store has at most 10,000 keys.
const PAGES_MAX: usize = 200;
/// How long the runtime may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_millis(100);

/// `forebay keys`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct KeysCommand {
    /// The URL of the process, http://HOST:PORT. Without it, the process at FOREBAY_LISTEN on this machine.
    #[arg(long, global = true)]
    url: Option<String>,
    /// What to do.
    #[command(subcommand)]
    action: KeysAction,
}

/// What to do with the keys.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum KeysAction {
    /// Make a key and print it. It is not shown again.
    Create {
        /// The tenant that the key belongs to.
        #[arg(long, value_parser = TenantId::parse)]
        tenant: TenantId,
        /// What the key may do: submit, read and admin, separated by commas. Without it, submit and read.
        #[arg(long = "scope", value_name = "SCOPE,SCOPE", value_delimiter = ',')]
        scopes: Vec<String>,
        /// What the key is for: at most 100 characters.
        #[arg(long = "name", value_name = "NAME")]
        key_name: Option<String>,
        /// After how many seconds the key expires. Without it, the key does not expire.
        #[arg(long)]
        expires_in_s: Option<u64>,
    },
    /// List the keys, the newest first. Those of FOREBAY_API_KEYS_FILE are not listed.
    List {
        /// Only keys of this tenant.
        #[arg(long, value_parser = TenantId::parse)]
        tenant: Option<TenantId>,
    },
    /// Revoke a key. Every gateway refuses it within 5 seconds.
    Revoke {
        /// The id of the key, as the list shows it.
        #[arg(value_name = "KEY_ID", value_parser = ApiKeyId::parse)]
        key_id: ApiKeyId,
    },
}

/// Prepares the command: makes its client. `listen` is the address of the process if the command has no URL.
///
/// # Errors
/// If there is no admin key, or no valid URL.
pub(crate) fn prepare(
    command: &KeysCommand,
    listen: SocketAddr,
    admin_key: Option<String>,
) -> anyhow::Result<PreparedCommand> {
    let key = Secret::new(&admin_key.unwrap_or_default());
    ensure!(
        !key.is_empty(),
        "{ADMIN_KEY} or {ADMIN_KEY}_FILE must hold an API key with the scope admin"
    );
    let client = if let Some(url) = &command.url {
        AdminClient::new(url, key).with_context(|| format!("--url {url:?}"))?
    } else {
        ensure!(
            listen.port() != 0,
            "FOREBAY_LISTEN has port 0, so the port of the process is not known; name the process with --url"
        );
        AdminClient {
            authority: reachable(listen).to_string(),
            key,
        }
    };
    Ok(PreparedCommand {
        client,
        action: command.action.clone(),
    })
}

/// What to do with the keys, and the client that does it.
pub(crate) struct PreparedCommand {
    client: AdminClient,
    action: KeysAction,
}

impl PreparedCommand {
    /// Does what the command asks for, and prints the result.
    ///
    /// # Errors
    /// If the process cannot be reached or refuses the request.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the async runtime could not be started")?;
        let Self { client, action } = self;
        let result = runtime.block_on(async {
            match action {
                KeysAction::Create {
                    tenant,
                    scopes,
                    key_name,
                    expires_in_s,
                } => create(&client, &tenant, &scopes, key_name, expires_in_s).await,
                KeysAction::List { tenant } => list(&client, tenant.as_ref()).await,
                KeysAction::Revoke { key_id } => revoke(&client, &key_id).await,
            }
        });
        // The resolver of host names may still run.
        runtime.shutdown_timeout(STOP_TIMEOUT);
        result
    }
}

/// Makes a key, and prints it alone on standard output, so that a script can read it. All else goes to standard error.
async fn create(
    client: &AdminClient,
    tenant: &TenantId,
    scopes: &[String],
    key_name: Option<String>,
    expires_in_s: Option<u64>,
) -> anyhow::Result<()> {
    let mut body = Map::new();
    body.insert(String::from("tenant"), json!(tenant));
    if !scopes.is_empty() {
        body.insert(String::from("scopes"), json!(scopes));
    }
    if let Some(key_name) = key_name {
        body.insert(String::from("name"), json!(key_name));
    }
    if let Some(expires_in_s) = expires_in_s {
        body.insert(String::from("expires_in_s"), json!(expires_in_s));
    }
    let body = Value::Object(body);
    let created = client.send(Method::POST, "/v1/admin/keys", Some(&body));
    let created = created.await?;
    let key = created["key"].as_str();
    let key = key.context("the answer has no key; check --url and FOREBAY_LISTEN")?;
    // A key that is not printed is lost, so the caller must know.
    writeln!(io::stdout(), "{key}").with_context(|| {
        format!(
            "the key {} could not be printed; revoke it",
            text(&created["id"])
        )
    })?;
    let expires = match created["expires_at"].as_str() {
        Some(time) => format!("expires at {time}"),
        None => String::from("does not expire"),
    };
    log::print_message(&format!(
        "{} belongs to tenant {}, may {} and {expires}. The key is not shown again.",
        text(&created["id"]),
        text(&created["tenant"]),
        scopes_of(&created),
    ));
    Ok(())
}

async fn list(client: &AdminClient, tenant: Option<&TenantId>) -> anyhow::Result<()> {
    let mut rows = vec![
        [
            "KEY_ID",
            "TENANT",
            "SCOPES",
            "CREATED",
            "EXPIRES",
            "LAST USED",
            "NAME",
        ]
        .map(String::from),
    ];
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let mut target = format!("/v1/admin/keys?limit={PAGE_LIMIT}");
        if let Some(tenant) = tenant {
            // The characters of a tenant need no encoding in a query.
            target.push_str(&format!("&tenant={tenant}"));
        }
        if let Some(cursor) = &cursor {
            target.push_str(&format!("&cursor={cursor}"));
        }
        let page = client.send(Method::GET, &target, None).await?;
        let keys = page["data"].as_array();
        let keys = keys.context("the answer has no keys; check --url and FOREBAY_LISTEN")?;
        rows.extend(keys.iter().map(|key| {
            [
                text(&key["id"]),
                text(&key["tenant"]),
                scopes_of(key),
                text(&key["created_at"]),
                text(&key["expires_at"]),
                text(&key["last_used_at"]),
                text(&key["name"]),
            ]
        }));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    write!(io::stdout(), "{}", table(&rows)).context("the list could not be printed")
}

async fn revoke(client: &AdminClient, id: &ApiKeyId) -> anyhow::Result<()> {
    let target = format!("/v1/admin/keys/{id}");
    client.send(Method::DELETE, &target, None).await?;
    log::print_message(&format!(
        "{id} is revoked. Every gateway refuses it within 5 s."
    ));
    Ok(())
}

/// A value of a column: `-` for null.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn scopes_of(key: &Value) -> String {
    let scopes = key["scopes"].as_array().into_iter().flatten();
    let scopes: Vec<&str> = scopes.filter_map(Value::as_str).collect();
    scopes.join(",")
}

/// The rows, with columns as wide as their longest values.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_aligned() {
        let rows = [["ID", "TENANT"], ["key_1", "a"], ["k", "\u{e9}\u{e9}"]]
            .map(|row| row.map(String::from));
        assert_eq!(
            table(&rows),
            "ID     TENANT\nkey_1  a\nk      \u{e9}\u{e9}\n"
        );
    }
}
