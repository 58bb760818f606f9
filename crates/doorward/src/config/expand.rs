//! `${NAME}` in texts of configuration files.

use std::fmt;

/// Why a text could not be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unexpanded {
    /// The variable is not set.
    NotSet(String),
    /// `${` without a `}`.
    Open,
}

impl Unexpanded {
    /// What to do about it.
    pub(super) fn mend(&self) -> String {
        match self {
            Self::NotSet(name) => format!("set {name} in the environment, or write the value itself"),
            Self::Open => "close it with }, or write $${ for the two characters ${".to_owned(),
        }
    }
}

impl fmt::Display for Unexpanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSet(name) => write!(f, "the variable {name} is not set"),
            Self::Open => f.write_str("${ is not closed"),
        }
    }
}

/// Replaces each `${NAME}` by the variable, and `$${` by `${`.
///
/// # Errors
/// [`Unexpanded`] for the first variable that is not set: an empty secret must not come of a typing error.
pub(super) fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Unexpanded> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let end = after.find('}').ok_or(Unexpanded::Open)?;
        let name = &after[..end];
        out.push_str(&variable(name).ok_or_else(|| Unexpanded::NotSet(name.to_owned()))?);
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_a_missing_one_is_named() {
        let variable = |name: &str| (name == "A").then(|| "one".to_owned());
        assert_eq!(expand("x ${A}${A} y", &variable).as_deref(), Ok("x oneone y"));
        assert_eq!(expand("$A $${A} }", &variable).as_deref(), Ok("$A ${A} }"));
        assert_eq!(expand("${B}", &variable), Err(Unexpanded::NotSet("B".to_owned())));
        assert_eq!(expand("${A", &variable), Err(Unexpanded::Open));
    }
}
