//! The claims of a token (RFC 7519 §4), read in one pass over the payload.
//!
//! Registered claims are taken out typed; every other claim stays text until somebody asks for it, because
//! most requests never do.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::header::HeaderPolicy;
use crate::json::{self, Kind, Limits, Member, const_tag as tag};

const ISS: u64 = tag("iss");
const SUB: u64 = tag("sub");
const AUD: u64 = tag("aud");
const EXP: u64 = tag("exp");
const NBF: u64 = tag("nbf");
const IAT: u64 = tag("iat");
const JTI: u64 = tag("jti");

/// A token's claims. Registered ones that are strings stay where they were signed: a token at first sight is read
/// without building them.
#[derive(Clone)]
pub struct Claims {
    /// Until when, in seconds since 1970.
    pub exp: Option<i64>,
    /// From when, in seconds since 1970.
    pub nbf: Option<i64>,
    /// Issued when, in seconds since 1970.
    pub iat: Option<i64>,
    iss: Option<Place>,
    sub: Option<Place>,
    jti: Option<Place>,
    aud: Audience,
    text: String,
    members: Vec<Member>,
}

/// For whom a token is meant (RFC 7519 §4.1.3): one string, or an array of strings.
#[derive(Clone)]
enum Audience {
    Absent,
    One(Place),
    Several(Vec<String>),
}

/// Where a claim stands among the members: a token of 8 KiB has fewer than this counts.
type Place = u16;

/// The payload is not a strict JSON object, or a registered claim has the wrong type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the claims are malformed")]
pub struct ClaimsError;

impl Claims {
    /// Parses a payload.
    ///
    /// Times must be integers; under [`HeaderPolicy::External`] any number is taken and its fraction dropped, as PyJWT
    /// does it: Python's `time.time() + 3600` has one.
    ///
    /// # Errors
    /// [`ClaimsError`].
    pub fn parse(payload: Vec<u8>, policy: HeaderPolicy) -> Result<Self, ClaimsError> {
        let text = String::from_utf8(payload).map_err(|_| ClaimsError)?;
        let members = json::scan_object(&text, Limits::TOKEN).map_err(|_| ClaimsError)?;
        let mut claims = Self {
            exp: None,
            nbf: None,
            iat: None,
            iss: None,
            sub: None,
            jti: None,
            aud: Audience::Absent,
            text,
            members,
        };
        for (place, member) in claims.members.iter().enumerate() {
            let text = claims.text.as_str();
            let place = Place::try_from(place).map_err(|_| ClaimsError)?;
            // All are shorter than eight bytes, so a tag is a name.
            match member.tag(text) {
                ISS => claims.iss = Some(string(member, place)?),
                SUB => claims.sub = Some(string(member, place)?),
                JTI => claims.jti = Some(string(member, place)?),
                AUD => claims.aud = audience(member, place, text)?,
                EXP => claims.exp = Some(seconds(member, text, policy)?),
                NBF => claims.nbf = Some(seconds(member, text, policy)?),
                IAT => claims.iat = Some(seconds(member, text, policy)?),
                _ => {}
            }
        }
        Ok(claims)
    }

    /// Who issued it.
    pub fn iss(&self) -> Option<Cow<'_, str>> {
        self.string_at(self.iss?)
    }

    /// Whom it is about.
    pub fn sub(&self) -> Option<Cow<'_, str>> {
        self.string_at(self.sub?)
    }

    /// The token's own id.
    pub fn jti(&self) -> Option<Cow<'_, str>> {
        self.string_at(self.jti?)
    }

    /// For whom it is meant: empty when absent.
    pub fn aud(&self) -> Vec<Cow<'_, str>> {
        match &self.aud {
            Audience::Absent => Vec::new(),
            Audience::One(place) => self.string_at(*place).into_iter().collect(),
            Audience::Several(all) => all.iter().map(|one| Cow::Borrowed(one.as_str())).collect(),
        }
    }

    /// Whether it names anybody it is meant for.
    pub fn has_aud(&self) -> bool {
        match &self.aud {
            Audience::Absent => false,
            Audience::One(_) => true,
            Audience::Several(all) => !all.is_empty(),
        }
    }

    /// Whether it is meant for one of these.
    pub fn is_for(&self, audiences: &[String]) -> bool {
        match &self.aud {
            Audience::Absent => false,
            Audience::One(place) => {
                self.string_at(*place).is_some_and(|one| audiences.iter().any(|known| *known == one))
            }
            Audience::Several(all) => all.iter().any(|one| audiences.contains(one)),
        }
    }

    fn string_at(&self, place: Place) -> Option<Cow<'_, str>> {
        self.members[usize::from(place)].string(&self.text)
    }

    fn member(&self, name: &str) -> Option<&Member> {
        let wanted = json::tag(name);
        self.members.iter().find(|member| member.is_named(name, wanted, &self.text))
    }

    /// Any claim as a JSON value, parsed now.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.get_json(name).map(value_of)
    }

    /// Any claim as its JSON text.
    pub fn get_json(&self, name: &str) -> Option<&str> {
        self.member(name).map(|member| member.value.of(&self.text))
    }

    /// Any claim that is a string, without building a value; `None` when absent or of another type.
    pub fn get_str(&self, name: &str) -> Option<Cow<'_, str>> {
        self.member(name)?.string(&self.text)
    }

    /// Whether the claim is present, whatever its value.
    pub fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    /// Every claim but the seven registered ones, as JSON values.
    pub fn custom(&self) -> Map<String, Value> {
        const REGISTERED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];
        self.all().filter(|(name, _)| !REGISTERED.contains(&&**name)).map(owned).collect()
    }

    /// Every claim as a JSON object.
    pub fn to_map(&self) -> Map<String, Value> {
        self.all().map(owned).collect()
    }

    /// The payload exactly as it was signed.
    pub fn as_json(&self) -> &str {
        &self.text
    }

    fn all(&self) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
        self.members.iter().map(|member| (member.name(&self.text), member.value.of(&self.text)))
    }
}

/// Claims hold personal data: only their names are shown.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.all().map(|(name, _)| name)).finish()
    }
}

fn owned((name, json): (Cow<'_, str>, &str)) -> (String, Value) {
    (name.into_owned(), value_of(json))
}

fn value_of(json: &str) -> Value {
    serde_json::from_str(json).expect("the scanner accepts a subset of what serde_json reads")
}

fn string(member: &Member, place: Place) -> Result<Place, ClaimsError> {
    match member.kind {
        Kind::PlainString | Kind::EscapedString => Ok(place),
        _ => Err(ClaimsError),
    }
}

fn audience(member: &Member, place: Place, text: &str) -> Result<Audience, ClaimsError> {
    match member.kind {
        Kind::Array => {
            serde_json::from_str(member.value.of(text)).map(Audience::Several).map_err(|_| ClaimsError)
        }
        _ => string(member, place).map(Audience::One),
    }
}

/// RFC 7519 §2 NumericDate, which others may write as any JSON number.
fn seconds(member: &Member, text: &str, policy: HeaderPolicy) -> Result<i64, ClaimsError> {
    if member.kind != Kind::Number {
        return Err(ClaimsError);
    }
    /// Above it a double does not hold every second.
    const LARGEST: f64 = (1_u64 << 53) as f64;
    let number = member.value.of(text);
    if policy == HeaderPolicy::External && number.contains(['.', 'e', 'E']) {
        let whole = number.parse::<f64>().map_err(|_| ClaimsError)?.trunc();
        return if whole.abs() <= LARGEST { Ok(whole as i64) } else { Err(ClaimsError) };
    }
    number.parse().map_err(|_| ClaimsError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, policy: HeaderPolicy) -> Result<Claims, ClaimsError> {
        Claims::parse(text.as_bytes().to_vec(), policy)
    }

    #[test]
    fn registered_claims_are_typed_and_the_rest_is_kept() {
        let text = r#"{"iss":"i","sub":"s\u00e9","aud":["a","b"],"exp":3,"nbf":2,"iat":-1,"jti":"j","user_id":"u","roles":["x"],"n":1.5}"#;
        let claims = parse(text, HeaderPolicy::Own).unwrap();
        assert_eq!(
            (claims.iss().as_deref(), claims.sub().as_deref(), claims.jti().as_deref()),
            (Some("i"), Some("sé"), Some("j"))
        );
        assert_eq!((claims.exp, claims.nbf, claims.iat), (Some(3), Some(2), Some(-1)));
        assert_eq!(claims.aud(), ["a", "b"]);
        assert!(claims.is_for(&["b".into()]) && !claims.is_for(&["c".into()]));
        assert_eq!(claims.get("roles"), Some(serde_json::json!(["x"])));
        assert_eq!(claims.get_str("user_id").as_deref(), Some("u"));
        assert_eq!((claims.get_str("roles"), claims.get("absent")), (None, None));
        let custom: Vec<String> = claims.custom().keys().cloned().collect();
        assert_eq!(custom, ["n", "roles", "user_id"]);
        assert_eq!(claims.to_map().len(), 10);
        assert_eq!(parse(r#"{"aud":"one"}"#, HeaderPolicy::Own).unwrap().aud(), ["one"]);
    }

    #[test]
    fn the_fraction_of_a_strangers_time_is_dropped() {
        for (text, whole) in [("1735689600.999", 1_735_689_600), ("-1.5", -1), ("1e3", 1000), ("0.0", 0)] {
            let claims = parse(&format!(r#"{{"exp":{text}}}"#), HeaderPolicy::External).unwrap();
            assert_eq!(claims.exp, Some(whole), "{text}");
        }
    }

    #[test]
    fn wrong_types_and_duplicates_are_refused() {
        for (name, text, own, external) in [
            ("exp as string", r#"{"exp":"3"}"#, false, false),
            ("exp null", r#"{"exp":null}"#, false, false),
            ("exp with zero fraction", r#"{"exp":1735689600.0}"#, false, true),
            ("exp with fraction", r#"{"exp":1.5}"#, false, true),
            ("exp with exponent", r#"{"exp":1e3}"#, false, true),
            ("exp beyond a double's seconds", r#"{"exp":1e17}"#, false, false),
            ("exp beyond 64 bits", r#"{"exp":9223372036854775808}"#, false, false),
            ("exp largest", r#"{"exp":9223372036854775807}"#, true, true),
            ("sub number", r#"{"sub":7}"#, false, false),
            ("aud object", r#"{"aud":{}}"#, false, false),
            ("aud of numbers", r#"{"aud":[1]}"#, false, false),
            ("duplicate", r#"{"sub":"a","sub":"b"}"#, false, false),
            ("duplicate by escape", r#"{"sub":"a","\u0073ub":"b"}"#, false, false),
            ("array", "[]", false, false),
            ("trailing", "{}x", false, false),
            ("empty", "{}", true, true),
        ] {
            assert_eq!(parse(text, HeaderPolicy::Own).is_ok(), own, "{name}");
            assert_eq!(parse(text, HeaderPolicy::External).is_ok(), external, "{name}");
        }
    }
}
