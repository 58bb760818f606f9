//! Labels: what filters see of a resource beside its owner.

use doorward_core::authz::filter::{Label, labels_of};
use serde_json::{Map, Value as Json};

use crate::backend::{Step, owned};

/// Writes the labels of a resource that has none.
pub(super) fn insert(resource: &str, metadata: &Map<String, Json>, to: &mut Vec<Step>) {
    const ONE: &str = "INSERT INTO label (resource, key, item, value) VALUES ($1, $2, $3, $4)";
    for (key, label) in labels_of(metadata) {
        match label {
            Label::One(value) => to.push(Step::any(ONE, owned![resource, key, "", value])),
            Label::Many(values) => {
                for (place, value) in values.into_iter().enumerate() {
                    to.push(Step::any(ONE, owned![resource, &key, place.to_string(), value]));
                }
            }
        }
    }
}

/// Removes the labels of a resource.
pub(super) fn delete(resource: &str) -> Step {
    Step::any("DELETE FROM label WHERE resource = $1", owned![resource])
}
