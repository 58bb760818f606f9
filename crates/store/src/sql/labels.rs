//! Labels: what filters see of a resource beside its owner.

use doorward_core::authz::filter::{Label, labels_of};
use serde_json::{Map, Value as Json};

use crate::backend::{Step, owned};

/// What stands beside the labels of resources that are not found in the order of their changes.
pub(super) const IN_NO_ORDER: i64 = 0;

/// Writes the labels of a resource that has none. `changed_at_ms` is when the resource changed, where it is found in that
/// order, else [`IN_NO_ORDER`].
pub(super) fn insert(resource: &str, metadata: &Map<String, Json>, changed_at_ms: i64, to: &mut Vec<Step>) {
    const ONE: &str =
        "INSERT INTO label (resource, key, item, value, changed_at_ms) VALUES ($1, $2, $3, $4, $5)";
    for (key, label) in labels_of(metadata) {
        match label {
            Label::One(value) => to.push(Step::any(ONE, owned![resource, key, "", value, changed_at_ms])),
            Label::Many(values) => {
                for (place, value) in values.into_iter().enumerate() {
                    to.push(Step::any(ONE, owned![resource, &key, place.to_string(), value, changed_at_ms]));
                }
            }
        }
    }
}

/// Removes the labels of a resource.
pub(super) fn delete(resource: &str) -> Step {
    Step::any("DELETE FROM label WHERE resource = $1", owned![resource])
}

/// Moves the labels of a resource to where it stands after a change.
pub(super) fn touch(resource: &str, changed_at_ms: i64) -> Step {
    Step::any(
        "UPDATE label SET changed_at_ms = $2 WHERE resource = $1 AND changed_at_ms < $2",
        owned![resource, changed_at_ms],
    )
}
