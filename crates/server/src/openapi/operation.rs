//! One operation, described beside its handler. The handler reads its body and writes its answer through the description, so what is said of
//! both is so.

use std::marker::PhantomData;

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::Action;
use doorward_core::error::{Code, Result};
use doorward_core::operation::Permit;
use http::{Response, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::body::Body;
use crate::http::extract::json_body;
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;
use crate::route::Route;

/// Makes the schema of a type.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a document is of.
pub(crate) struct Api {
    /// Each route with what is said of it.
    pub(crate) operations: Vec<(&'static Route, &'static Facts)>,
    /// What they are grouped by, in order.
    pub(crate) tags: &'static [&'static Tag],
}

/// No body, or no content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nothing;

/// What operations are grouped by.
#[derive(Debug)]
pub(crate) struct Tag {
    /// Its name.
    pub(crate) name: &'static str,
    /// What its operations are about.
    pub(crate) notes: &'static str,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values {
    /// Any text.
    Text,
    /// A whole number from the first to the second.
    Whole(i64, i64),
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// A parameter that may be absent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    /// `query` or `header`.
    pub(crate) place: &'static str,
    pub(crate) name: &'static str,
    pub(crate) values: Values,
    pub(crate) notes: &'static str,
}

impl Parameter {
    /// In the query.
    pub(crate) const fn query(name: &'static str, values: Values, notes: &'static str) -> Self {
        Self { place: "query", name, values, notes }
    }

    /// In a header.
    pub(crate) const fn header(name: &'static str, notes: &'static str) -> Self {
        Self { place: "header", name, values: Values::Text, notes }
    }
}

/// A header of an answer, and whether it is always there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) name: &'static str,
    pub(crate) always: bool,
    pub(crate) notes: &'static str,
}

/// Another good answer than the first one, or the same in another media type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Also {
    pub(crate) status: u16,
    /// What it is in; `None` where it has no content.
    pub(crate) media: Option<&'static str>,
    pub(crate) headers: &'static [Header],
    pub(crate) notes: &'static str,
}

impl Also {
    /// The same as a page, for browsers.
    pub(crate) const PAGE: Self =
        Self { status: 200, media: Some("text/html"), headers: &[], notes: "As a page, for browsers." };
}

/// What an operation takes as its body.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) schema: SchemaOf,
    /// JSON text that it takes.
    pub(crate) example: &'static str,
    /// Whether it takes a form too.
    pub(crate) forms: bool,
    /// Reads JSON as the operation does.
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are checked by a test"))]
    pub(crate) reads: fn(&[u8]) -> Result<()>,
}

/// What is said of an operation, whatever its types.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    /// Its name for generated clients. It stays when the path changes.
    pub(crate) id: &'static str,
    pub(crate) tag: &'static Tag,
    /// What it does, in a few words.
    pub(crate) summary: &'static str,
    /// What else there is to know.
    pub(crate) notes: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) body: Option<Taken>,
    /// The status of the good answer.
    pub(crate) status: u16,
    /// What the good answer is.
    pub(crate) shown: Option<SchemaOf>,
    pub(crate) headers: &'static [Header],
    pub(crate) also: &'static [Also],
    /// What it refuses, beside what its gate and its body lead to.
    pub(crate) refuses: &'static [&'static Code],
    /// Whether roles let callers without a credential do it, unless the operator changes them.
    pub(crate) for_anybody: bool,
}

/// An operation that takes `B` and answers `A`.
pub(crate) struct Described<B = Nothing, A = Nothing> {
    facts: Facts,
    kinds: PhantomData<fn(B) -> A>,
}

impl Described {
    /// An operation that takes nothing and answers 204.
    pub(crate) const fn new(id: &'static str, tag: &'static Tag, summary: &'static str) -> Self {
        let facts = Facts {
            id,
            tag,
            summary,
            notes: "",
            parameters: &[],
            body: None,
            status: 204,
            shown: None,
            headers: &[],
            also: &[],
            refuses: &[],
            for_anybody: false,
        };
        Self { facts, kinds: PhantomData }
    }
}

impl<B, A> Described<B, A> {
    pub(crate) const fn facts(&self) -> &Facts {
        &self.facts
    }

    const fn with(facts: Facts) -> Self {
        Self { facts, kinds: PhantomData }
    }

    /// What else there is to know.
    pub(crate) const fn notes(self, notes: &'static str) -> Self {
        Self::with(Facts { notes, ..self.facts })
    }

    /// What may stand in the query and in headers.
    pub(crate) const fn parameters(self, parameters: &'static [Parameter]) -> Self {
        Self::with(Facts { parameters, ..self.facts })
    }

    /// Headers of the good answer.
    pub(crate) const fn headers(self, headers: &'static [Header]) -> Self {
        Self::with(Facts { headers, ..self.facts })
    }

    /// Other good answers.
    pub(crate) const fn also(self, also: &'static [Also]) -> Self {
        Self::with(Facts { also, ..self.facts })
    }

    /// What it refuses, beside what its gate and its body lead to.
    pub(crate) const fn refuses(self, refuses: &'static [&'static Code]) -> Self {
        Self::with(Facts { refuses, ..self.facts })
    }

    /// Callers without a credential may do it, by the roles as they come.
    pub(crate) const fn for_anybody(self) -> Self {
        Self::with(Facts { for_anybody: true, ..self.facts })
    }

    /// The good answer has another status than 204 and no content.
    pub(crate) const fn status(self, status: u16) -> Self {
        Self::with(Facts { status, ..self.facts })
    }

    /// It takes JSON of this type, such as the example.
    pub(crate) const fn takes<T: JsonSchema + DeserializeOwned>(
        self,
        example: &'static str,
    ) -> Described<T, A> {
        self.taking(example, false)
    }

    /// It takes JSON of this type, such as the example, or a form with the same names.
    pub(crate) const fn takes_forms<T: JsonSchema + DeserializeOwned>(
        self,
        example: &'static str,
    ) -> Described<T, A> {
        self.taking(example, true)
    }

    const fn taking<T: JsonSchema + DeserializeOwned>(
        self,
        example: &'static str,
        forms: bool,
    ) -> Described<T, A> {
        let reads: fn(&[u8]) -> Result<()> = |bytes| json_body::<T>(bytes).map(drop);
        let body = Some(Taken { schema: SchemaGenerator::subschema_for::<T>, example, forms, reads });
        Described::with(Facts { body, ..self.facts })
    }

    /// It answers this type as JSON, with this status.
    pub(crate) const fn answers<T: JsonSchema + Serialize>(self, status: u16) -> Described<B, T> {
        let shown: Option<SchemaOf> = Some(SchemaGenerator::subschema_for::<T>);
        Described::with(Facts { status, shown, ..self.facts })
    }

    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.facts.status).expect("descriptions name statuses that there are")
    }
}

impl<B: DeserializeOwned, A> Described<B, A> {
    /// The body.
    ///
    /// # Errors
    /// As [`Request::json`] and [`Request::json_or_form`].
    pub(crate) async fn read(&self, request: &mut Request) -> Result<B> {
        match self.facts.body {
            Some(Taken { forms: true, .. }) => request.json_or_form().await,
            _ => request.json().await,
        }
    }

    /// Leave to do `P`, and then the body.
    ///
    /// # Errors
    /// As [`Request::permit_with_json`].
    pub(crate) async fn permit<P: Action>(
        &self,
        request: &mut Request,
        target: Target<'_>,
    ) -> Result<(Permit<P>, B)> {
        request.permit_with_json(target).await
    }
}

impl<B, A: Serialize> Described<B, A> {
    /// The good answer.
    pub(crate) fn answer(&self, shown: &A) -> Answer {
        json_answer(self.status_code(), shown)
    }
}

impl<B> Described<B, Nothing> {
    /// The good answer, which has no content.
    pub(crate) fn done(&self) -> Answer {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = self.status_code();
        answer
    }
}
