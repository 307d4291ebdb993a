//! Picks the first of several replies by the index that the provider gives each of them.

use serde_json::Value;

use super::token_counts;

/// The item with the lowest index. An item without a valid index counts with its position in the list.
pub(super) fn first<T>(
    items: impl IntoIterator<Item = T>,
    index: impl Fn(&T) -> Option<&Value>,
) -> Option<T> {
    let items = items.into_iter().enumerate();
    let keyed = items.map(|(position, item)| {
        let index = index(&item).and_then(token_counts::read);
        (index.unwrap_or(position as u64), item)
    });
    keyed.min_by_key(|(index, _)| *index).map(|(_, item)| item)
}
