//! What stands upstream already belongs to nobody: naming it first does not make it one's own.

use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Grant;
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::subject::Resource;
use super::{look, unusable};
use crate::request::Request;

/// RFC 3986 §2.3: everything but the unreserved characters is escaped.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Asks the upstream whether it has a resource of this id already.
///
/// # Errors
/// `not_found` when it has; `upstream_invalid` when it does not say.
pub(super) async fn refuse_existing(
    request: &Request,
    grant: &Grant,
    resource: &Resource,
    id: &str,
) -> Result<()> {
    let answer = look(request, grant, format!("{}{}", resource.probed_under, segment(id))).await?;
    if answer.status != StatusCode::OK {
        return Err(unusable("the upstream does not say whether it has the resource"));
    }
    let tree = answer.json()?;
    let mut found = Some(&tree);
    for name in resource.probed_at {
        found = match found {
            Some(Value::Object(members)) => members.get(*name),
            // Absent or null above the place: the upstream has nothing of this id.
            None | Some(Value::Null) => None,
            Some(_) => return Err(unusable("the upstream does not say whether it has the resource")),
        };
    }
    match found {
        None | Some(Value::Null) => Ok(()),
        Some(_) => Err(Error::new(codes::NOT_FOUND).operator("it exists upstream and nobody owns it")),
    }
}
