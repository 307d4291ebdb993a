//! Jobs and sessions are listed in pages at two gateways in turn: the cursor of one is used at the other, while new entries arrive.

use std::{collections::BTreeSet, time::Duration};

use e2e::{
    client::{Client, id_of},
    fleet::{Fleet, TIMEOUT},
};
use serde_json::{Value, json};

use crate::test_lock;

/// The number of entries that exist before the first page is read.
const OLD: usize = 30;
/// The most entries that arrive while one list is read. A list that begins with the oldest entry would not end while others arrive.
const NEW_MAX: usize = 20;
/// The most entries of a page. [`OLD`] is no multiple of it.
const LIMIT: usize = 4;
/// The pause after each old entry. Without it, two entries could have the same millisecond, and the order of their ids would count.
const ENTRY_PAUSE: Duration = Duration::from_millis(2);

/// What is listed.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Jobs,
    Sessions,
}

impl Kind {
    const fn path(self) -> &'static str {
        match self {
            Self::Jobs => "/v1/jobs",
            Self::Sessions => "/v1/sessions",
        }
    }

    /// Makes an entry, and returns its id.
    async fn make(self, client: &Client) -> String {
        let made = match self {
            Self::Jobs => client.submit_ok(&json!({ "input": "hello" })).await,
            Self::Sessions => {
                // Random, so that the order of the ids is not the order of creation.
                let id = format!("s-{:016x}", rand::random::<u64>());
                client.put_session(&id, &json!({})).await.expect(201)
            }
        };
        id_of(&made).to_owned()
    }
}

/// The ids of all pages, which are read at both gateways in turn. With each page, each gateway gets a new entry, until there are
/// [`NEW_MAX`]. The ids of the new entries are added to `made`.
async fn read(fleet: &Fleet, kind: Kind, order: &str, made: &mut Vec<String>) -> Vec<String> {
    let gateways = [0, 1].map(|gateway| fleet.client_of(gateway));
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    let made_max = made.len() + NEW_MAX;
    for page in 0.. {
        let path = format!("{}?order={order}&limit={LIMIT}{cursor}", kind.path());
        let list = gateways[page % 2].get_until_ok(&path, TIMEOUT);
        let list = if made.len() < made_max {
            let (list, first, second) =
                tokio::join!(list, kind.make(&gateways[0]), kind.make(&gateways[1]));
            made.extend([first, second]);
            list
        } else {
            list.await
        };
        let entries = list["data"].as_array().expect("the answer has a list");
        assert!(entries.len() <= LIMIT, "{list}");
        listed.extend(entries.iter().map(id_of).map(str::to_owned));
        match &list["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    println!("{kind:?}, {order}: {} of {}", listed.len(), made.len());
    listed
}

async fn assert_complete_and_in_order(kind: Kind) {
    let _guard = test_lock::shared().await;
    let fleet = Fleet::builder().workers(1).start().await;
    let first = fleet.client_of(0);
    let mut made = Vec::new();
    for _ in 0..OLD {
        made.push(kind.make(&first).await);
        tokio::time::sleep(ENTRY_PAUSE).await;
    }
    let old = made.clone();
    for order in ["desc", "asc"] {
        let listed = read(&fleet, kind, order, &mut made).await;
        let unique: BTreeSet<&String> = listed.iter().collect();
        assert_eq!(unique.len(), listed.len(), "an entry is shown twice");
        let shown = listed.iter().filter(|id| old.contains(id));
        let mut shown: Vec<&String> = shown.collect();
        if order == "desc" {
            shown.reverse();
        } else {
            // The last new entry arrives before the last page is read, so an ascending list shows all entries.
            assert_eq!(unique, made.iter().collect(), "{kind:?}");
        }
        assert_eq!(shown, old.iter().collect::<Vec<_>>(), "{kind:?}, {order}");
    }
}

#[tokio::test]
async fn the_pages_of_two_gateways_show_each_job_once_and_in_order() {
    assert_complete_and_in_order(Kind::Jobs).await;
}

#[tokio::test]
async fn the_pages_of_two_gateways_show_each_session_once_and_in_order() {
    assert_complete_and_in_order(Kind::Sessions).await;
}
