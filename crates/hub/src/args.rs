//! A call's arguments, by position and by name, against the names of a method's parameters.

use doorward_protocols::hypha::value;
use rmpv::Value;

use crate::fault::Fault;

/// Arguments as they came.
#[derive(Debug, Clone, Default)]
pub struct Args {
    positional: Vec<Value>,
    named: Vec<(Value, Value)>,
}

impl Args {
    /// Reads the map behind a frame's head; nothing is no arguments.
    pub(crate) fn read(extra: &Value) -> Result<Self, Fault> {
        let mut positional = match value::get(extra, "args") {
            None | Some(Value::Nil) => Vec::new(),
            Some(Value::Array(list)) => list.clone(),
            Some(_) => return Err(Fault::value("args is a list")),
        };
        let with_named = value::get(extra, "with_kwargs").and_then(Value::as_bool).unwrap_or(false);
        let named = match with_named.then(|| positional.pop()) {
            None => Vec::new(),
            Some(Some(Value::Map(named))) => named,
            Some(_) => return Err(Fault::value("with_kwargs wants a map as the last of args")),
        };
        Ok(Self { positional, named })
    }

    /// Arguments by name alone.
    #[must_use]
    pub fn named(named: Vec<(Value, Value)>) -> Self {
        Self { positional: Vec::new(), named }
    }

    /// What was given at a place or by a name.
    pub(crate) fn get(&self, at: usize, name: &str) -> Option<&Value> {
        let by_name =
            || self.named.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value);
        self.positional.get(at).or_else(by_name)
    }

    /// One argument by position.
    #[must_use]
    pub fn one(value: Value) -> Self {
        Self { positional: vec![value], named: Vec::new() }
    }

    /// As they are sent on. Who is asking is never among them.
    pub(crate) fn into_parts(self) -> (Vec<Value>, Option<Vec<(Value, Value)>>) {
        let Self { positional, mut named } = self;
        named.retain(|(key, _)| !matches!(key.as_str(), Some("_rkwargs" | "context")));
        (positional, Some(named).filter(|named| !named.is_empty()))
    }

    /// Puts each in its parameter's place.
    ///
    /// # Errors
    /// `TypeError` for too many, for one twice, and for a name that the method does not have. Who is asking is never taken from here:
    /// `context` is no parameter.
    pub(crate) fn bind(self, method: &str, parameters: &'static [&'static str]) -> Result<Bound, Fault> {
        if self.positional.len() > parameters.len() {
            return Err(Fault::argument(format!(
                "{method}() takes {} positional arguments but {} were given",
                parameters.len(),
                self.positional.len()
            )));
        }
        let mut values: Vec<Option<Value>> = self.positional.into_iter().map(Some).collect();
        values.resize(parameters.len(), None);
        for (key, given) in self.named {
            let key = key.as_str().unwrap_or_default();
            // Clients mark a map of names so and take the mark off before sending; some do not.
            if key == "_rkwargs" {
                continue;
            }
            let at = parameters.iter().position(|name| *name == key).ok_or_else(|| {
                let shown: String = key.chars().take(64).collect();
                Fault::argument(format!("{method}() got an unexpected keyword argument '{shown}'"))
            })?;
            if values[at].replace(given).is_some() {
                return Err(Fault::argument(format!("{method}() got multiple values for argument '{key}'")));
            }
        }
        Ok(Bound { method: method.to_owned(), parameters, values })
    }
}

/// Arguments in their places.
#[derive(Debug)]
pub(crate) struct Bound {
    method: String,
    parameters: &'static [&'static str],
    values: Vec<Option<Value>>,
}

impl Bound {
    /// What was given; nil is nothing.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let at = self.parameters.iter().position(|parameter| *parameter == name)?;
        self.values[at].as_ref().filter(|value| !value.is_nil())
    }

    /// What has to be given.
    pub(crate) fn needed(&self, name: &str) -> Result<&Value, Fault> {
        self.get(name).ok_or_else(|| {
            Fault::argument(format!("{}() missing 1 required positional argument: '{name}'", self.method))
        })
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        self.get(name).map(|value| value.as_str().ok_or_else(|| wrong(name, "a text"))).transpose()
    }

    /// A text that has to be given.
    pub(crate) fn needed_text(&self, name: &str) -> Result<&str, Fault> {
        self.needed(name)?.as_str().ok_or_else(|| wrong(name, "a text"))
    }

    /// Yes or no.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Fault> {
        let given = self.get(name).map(|value| value.as_bool().ok_or_else(|| wrong(name, "true or false")));
        Ok(given.transpose()?.unwrap_or(false))
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, Fault> {
        self.get(name)
            .map(|value| {
                value.as_f64().filter(|number| number.is_finite()).ok_or_else(|| wrong(name, "a number"))
            })
            .transpose()
    }

    /// A map.
    pub(crate) fn map(&self, name: &str) -> Result<Value, Fault> {
        match self.get(name) {
            None => Ok(Value::Map(Vec::new())),
            Some(map @ Value::Map(_)) => Ok(map.clone()),
            Some(_) => Err(wrong(name, "a map")),
        }
    }
}

pub(crate) fn wrong(name: &str, what: &str) -> Fault {
    Fault::value(format!("{name} has to be {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["query", "mode"];

    fn args(positional: Vec<Value>, named: Option<Vec<(Value, Value)>>) -> Result<Args, Fault> {
        let mut list = positional;
        let with = named.is_some();
        list.extend(named.map(Value::Map));
        Args::read(&value::map([("args", Value::Array(list)), ("with_kwargs", with.into())]))
    }

    #[test]
    fn arguments_go_to_their_parameters_and_what_fits_none_is_refused() {
        let bound = args(vec!["a".into()], Some(vec![("mode".into(), "last".into())]));
        let bound = bound.and_then(|args| args.bind("f", NAMES)).expect("good");
        assert_eq!((bound.text("query"), bound.text("mode")), (Ok(Some("a")), Ok(Some("last"))));
        for (positional, named) in [
            (vec![1.into(), 2.into(), 3.into()], None),
            (vec!["a".into()], Some(vec![("query".into(), "b".into())])),
            (vec![], Some(vec![("context".into(), Value::Map(vec![]))])),
            (vec![], Some(vec![(7.into(), 1.into())])),
        ] {
            let refused = args(positional, named).and_then(|args| args.bind("f", NAMES).map(|_| ()));
            assert_eq!(refused.expect_err("refused").class, "TypeError");
        }
        assert!(Args::read(&value::map([("args", 7.into())])).is_err());
        assert!(
            Args::read(&value::map([("args", Value::Array(vec![])), ("with_kwargs", true.into())])).is_err()
        );
    }
}
