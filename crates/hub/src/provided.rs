//! What the server itself offers, as tables: a method that is in none does not exist.

use std::sync::Arc;

use doorward_protocols::hypha::value;
use futures_util::future::BoxFuture;
use rmpv::Value;

use crate::args::{Args, Bound};
use crate::fault::Fault;
use crate::hub::Hub;
use crate::peer::Peer;
use crate::start_up::CustomLogin;
use crate::{artifacts, built_in, login, manager};

/// A call to the server.
pub(crate) struct Asked {
    pub(crate) hub: Hub,
    pub(crate) peer: Arc<Peer>,
    /// The address it was sent to.
    pub(crate) at: String,
    pub(crate) args: Bound,
}

/// What is done for a call.
pub(crate) type Act = fn(Asked) -> BoxFuture<'static, Result<Value, Fault>>;

/// A method of the server's.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// In their order.
    pub(crate) parameters: &'static [&'static str],
    /// For people.
    pub(crate) doc: &'static str,
    pub(crate) act: Act,
}

/// A service of the server's.
pub(crate) struct Provided {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) description: &'static str,
    pub(crate) rows: &'static [Row],
}

/// Those at `*/manager`.
static OF_THE_MANAGER: &[&Provided] = &[&built_in::SERVICE, &manager::SERVICE];
/// Those in `public`.
pub(crate) static PUBLIC_ONES: &[&Provided] = &[&built_in::SERVICE, &login::SERVICE, &artifacts::SERVICE];
/// Those at an address that we speak from ourselves.
static OF_CALLERS: &[&Provided] = &[&built_in::SERVICE];

/// What is offered at an address.
pub(crate) fn at(hub: &Hub, to: &str) -> &'static [&'static Provided] {
    match to.split_once('/') {
        Some(("*", _)) => OF_THE_MANAGER,
        Some((_, client)) if client == hub.0.server_id => PUBLIC_ONES,
        _ => OF_CALLERS,
    }
}

/// A method that was found at an address.
pub(crate) enum Method {
    /// Of a table.
    Ours(&'static Row),
    /// Of the start-up files' login service.
    OfStartUp(Arc<CustomLogin>, String),
}

/// The method that `services.NAME.METHOD` means at an address.
pub(crate) fn find(hub: &Hub, to: &str, method: &str) -> Result<Method, Fault> {
    let missing =
        || Fault::key(format!("Method not found: {}", method.chars().take(128).collect::<String>()));
    let rest = method.strip_prefix("services.").ok_or_else(missing)?;
    let (service, name) = rest.split_once('.').ok_or_else(missing)?;
    let provided = at(hub, to).iter().find(|provided| provided.id == service).ok_or_else(missing)?;
    if let Some(login) = provided.custom(hub).filter(|login| login.has(name)) {
        return Ok(Method::OfStartUp(login, name.to_owned()));
    }
    provided.rows.iter().find(|row| row.name == name).map(Method::Ours).ok_or_else(missing)
}

impl Method {
    /// Begins a call of it.
    ///
    /// # Errors
    /// Arguments that are none of its.
    pub(crate) fn begin(
        self,
        (hub, peer, at): (&Hub, &Arc<Peer>, &str),
        method: &str,
        args: Args,
    ) -> Result<BoxFuture<'static, Result<Value, Fault>>, Fault> {
        let (hub, peer) = (hub.clone(), Arc::clone(peer));
        match self {
            Self::Ours(row) => {
                let args = args.bind(method, row.parameters)?;
                Ok((row.act)(Asked { hub, peer, at: at.to_owned(), args }))
            }
            Self::OfStartUp(login, name) => {
                Ok(Box::pin(async move { login.call(&hub, &peer, &name, args).await }))
            }
        }
    }
}

impl Provided {
    /// What start-up files put in its place.
    fn custom(&self, hub: &Hub) -> Option<Arc<CustomLogin>> {
        if self.id == login::SERVICE.id { hub.custom_login() } else { None }
    }

    /// The service as an object whose methods clients can call.
    pub(crate) fn object(&self, hub: &Hub, at: &str) -> Value {
        let mut object = self.info(at, false);
        for row in self.rows {
            let encoded = self.method(hub, at, (row.name, row.doc), Some(row.schema(row.name)));
            // `message_cache.create` is a method of a part.
            match row.name.split_once('.') {
                None => value::set(&mut object, row.name, encoded),
                Some((part, name)) => {
                    let mut inner = value::get(&object, part).cloned().unwrap_or(Value::Map(Vec::new()));
                    value::set(&mut inner, name, encoded);
                    value::set(&mut object, part, inner);
                }
            }
        }
        for name in self.custom(hub).iter().flat_map(|login| login.names()) {
            value::set(
                &mut object,
                name,
                self.method(hub, at, (name, "Of this server's start-up files."), None),
            );
        }
        object
    }

    fn method(&self, hub: &Hub, at: &str, (path, doc): (&str, &str), schema: Option<Value>) -> Value {
        let name = path.rsplit('.').next().unwrap_or(path);
        let mut method = value::map([
            ("_rtype", "method".into()),
            ("_rserver", hub.base_url().into()),
            ("_rtarget", at.into()),
            ("_rmethod", format!("services.{}.{path}", self.id).into()),
            ("_rpromise", true.into()),
            ("_rname", name.into()),
            ("_rasync", true.into()),
            ("_rdoc", doc.into()),
        ]);
        if let Some(schema) = schema {
            value::set(&mut method, "_rschema", schema);
        }
        method
    }

    /// Its record.
    pub(crate) fn info(&self, at: &str, with_schema: bool) -> Value {
        let workspace = at.split_once('/').map_or("public", |(workspace, _)| workspace);
        let config = value::map([
            ("visibility", "public".into()),
            ("require_context", true.into()),
            ("workspace", workspace.into()),
            ("api_version", 3.into()),
            ("flags", Value::Array(Vec::new())),
            ("singleton", false.into()),
            ("created_by", value::map([("id", "root".into())])),
        ]);
        let mut info = value::map([
            ("id", format!("{at}:{}", self.id).into()),
            ("name", self.name.into()),
            ("type", self.kind.into()),
            ("description", self.description.into()),
            ("config", config),
            ("app_id", "*".into()),
        ]);
        if with_schema {
            let schemas = self.rows.iter().map(|row| (Value::from(row.name), row.schema(row.name)));
            value::set(&mut info, "service_schema", Value::Map(schemas.collect()));
        }
        info
    }
}

impl Row {
    fn schema(&self, name: &str) -> Value {
        let properties = self.parameters.iter().map(|name| (Value::from(*name), Value::Map(Vec::new())));
        let parameters =
            value::map([("type", "object".into()), ("properties", Value::Map(properties.collect()))]);
        let function =
            value::map([("name", name.into()), ("description", self.doc.into()), ("parameters", parameters)]);
        value::map([("type", "function".into()), ("function", function)])
    }
}
