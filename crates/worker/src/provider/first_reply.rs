//! Picks one reply if an answer has several: the one with the lowest index.

use std::mem;

use serde_json::Value;

use super::{json_body, token_counts};

/// Takes the reply with the lowest `index` out of the list in `field` of a body. If a reply has no valid index, its position
/// is used instead. An element that is not an object, or has no fields, is skipped. Some services send one reply without a
/// list.
pub(super) fn take(body: &mut Value, field: &str) -> Option<Value> {
    let replies = match body.get_mut(field)? {
        Value::Array(replies) => mem::take(replies),
        reply @ Value::Object(_) => vec![reply.take()],
        _ => return None,
    };
    let replies = replies.into_iter().enumerate();
    let replies = replies.filter(|(_, reply)| json_body::is_object_with_fields(reply));
    let first = replies.min_by_key(|(position, reply)| {
        let index = token_counts::read(&reply["index"]);
        index.unwrap_or(*position as u64)
    });
    first.map(|(_, reply)| reply)
}
