//! The native API described (OpenAPI 3.1), out of what answers it: nothing here repeats a route, a body or a policy.
//!
//! ```text
//! Described<B, A>  beside each handler, which reads B and writes A through it ─┐
//! Route            where it is and who may ────────────────────────────────────┴► document ─► GET /v1/openapi.json
//!                                                                                    └► page ─► GET /v1/docs
//! ```
//!
//! A schema comes from the type itself, by the attributes that serde reads (`schemars`); what a policy and a body can lead to in refusals
//! comes from the gate and the body ([`refusals`]); what else an operation refuses, its description lists.

mod document;
mod markup;
mod operation;
mod page;
mod refusals;
mod words;

pub(crate) use document::document;
pub(crate) use operation::{Also, Api, Described, Facts, Header, Nothing, Parameter, Tag, Values};
pub(crate) use page::{STYLE, page};
pub(crate) use words::{Content, Hidden, SecondsOrNever};

#[cfg(test)]
mod tests;
