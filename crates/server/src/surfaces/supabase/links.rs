//! Where links of letters lead.

use doorward_core::error::Result;
use doorward_core::identity::proofs::Links;

use crate::request::Request;

/// What takes proofs, within the mount.
const VERIFY: &str = "/auth/v1/verify";

/// The links of a letter. `redirect_to` of the query says where somebody wants to go in the end.
///
/// # Errors
/// As [`Request::own_origin`] and [`Request::query`].
pub(super) fn of(request: &Request) -> Result<Links> {
    let own = request.own_origin()?;
    let wanted = request.query()?.text("redirect_to").map(str::to_owned);
    let verify = format!("{own}{}{VERIFY}", request.site.public_prefix);
    Ok(Links { verify, own: format!("{own}/"), wanted })
}
