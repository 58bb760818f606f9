//! `auth` and the `JWT_*` variables.

use std::sync::Arc;

use doorward_core::secret::SecretText;

use doorward_protocols::jose::{Algorithm, KeyError, KeySet, SecretRule, SigningKey, VerifyingKey};
use serde_json::Value;
use zeroize::Zeroizing;

use super::super::dotenv::Dotenv;
use super::super::{Environment, HandlerFile, directory_of};
use super::Reading;
use crate::secrets::{Weakness, weakness};

/// Who an AgentFlow server lets in.
pub enum Auth {
    /// Everybody: `auth` is `null` or absent.
    Open,
    /// Holders of a JWT.
    Jwt(Box<Jwt>),
    /// Whom a class of the operator's own lets in.
    Custom(HandlerFile),
}

/// How tokens are judged.
pub struct Jwt {
    /// The one algorithm.
    pub algorithm: Algorithm,
    /// Every key that verifies; none has a `kid`.
    pub keys: Arc<KeySet>,
    /// The newest key, when it can sign: an HMAC secret or a private key.
    pub signer: Option<Arc<SigningKey>>,
    /// `iss`, demanded when set.
    pub issuer: Option<String>,
    /// `aud`, demanded when set.
    pub audience: Option<String>,
    /// Secrets that could be guessed: the variable's name and why.
    pub weak: Vec<(&'static str, Weakness)>,
}

/// The keys of an `auth` that is an object.
const METHOD: &str = "method";
const PATH: &str = "path";
#[cfg(test)]
pub(super) const KEYS: &[&str] = &[METHOD, PATH];
const MISSING: &str = "JWT_SECRET_KEY and JWT_ALGORITHM must be set in environment variables";
const BOTH_NEEDED: &str = "Both method and path must be provided in auth config";

pub(super) fn read(
    given: Option<&Value>,
    variables: &Dotenv,
    environment: Environment<'_>,
    reading: &mut Reading<'_>,
) -> Option<Auth> {
    match given {
        // What Python calls false: the package lets everybody in.
        None | Some(Value::Null | Value::Bool(false)) => Some(Auth::Open),
        Some(Value::String(word)) if word.is_empty() => Some(Auth::Open),
        Some(Value::String(word)) if word.contains("jwt") => {
            Variables { variables, environment, reading }.jwt().map(|jwt| Auth::Jwt(Box::new(jwt)))
        }
        Some(Value::String(word)) => unsupported(word, reading),
        Some(Value::Object(object)) => {
            let text = |name: &str| object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            match (text(METHOD), text(PATH)) {
                (Some("custom"), Some(target)) => {
                    Variables { variables, environment, reading }.custom(target).map(Auth::Custom)
                }
                (Some(other), Some(_)) => unsupported(other, reading),
                _ => {
                    reading.refuse("auth", BOTH_NEEDED, "give both, or \"jwt\", or null");
                    None
                }
            }
        }
        Some(other) => unsupported(&other.to_string(), reading),
    }
}

fn unsupported(method: &str, reading: &mut Reading<'_>) -> Option<Auth> {
    let shown: String = method.chars().take(40).collect();
    reading.refuse(
        "auth",
        format!("Unsupported auth method: {shown}"),
        "use null, \"jwt\" or {\"method\": \"custom\", \"path\": \"module:Class\"}",
    );
    None
}

struct Variables<'v, 'r> {
    variables: &'v Dotenv,
    environment: Environment<'v>,
    reading: &'v mut Reading<'r>,
}

impl Variables<'_, '_> {
    fn custom(&mut self, target: &str) -> Option<HandlerFile> {
        let directory = match directory_of(self.reading.path) {
            Ok(directory) => directory,
            Err(error) => {
                self.reading.refuse(
                    "auth",
                    error.to_string(),
                    "put the file into a directory that can be read",
                );
                return None;
            }
        };
        match self.variables.all(self.environment) {
            Ok(variables) => {
                let secret =
                    |(name, value): (String, Zeroizing<String>)| (name, SecretText::from(value.as_str()));
                let environment = variables.into_iter().map(secret).collect();
                let named_in = self.reading.path.to_path_buf();
                Some(HandlerFile {
                    named_in,
                    kind: "agentflow",
                    runtime: &doorward_handlers::PYTHON,
                    targets: vec![target.to_owned()],
                    directory,
                    environment,
                })
            }
            Err(missing) => {
                let what = format!("a variable refers to {missing}, which is not set");
                self.reading.refuse("env", what, format!("set {missing}, or write the value itself"));
                None
            }
        }
    }

    /// A variable that is set to something.
    fn get(&mut self, name: &'static str) -> Option<Zeroizing<String>> {
        match self.variables.get(name, self.environment) {
            Ok(value) => value.filter(|text| !text.trim().is_empty()),
            Err(missing) => {
                let what = format!("it refers to {missing}, which is not set");
                self.reading.refuse(name, what, format!("set {missing}, or write the value itself"));
                None
            }
        }
    }

    fn jwt(&mut self) -> Option<Jwt> {
        let before = self.reading.problems.len();
        let single = self.get("JWT_SECRET_KEY");
        let list = self.get("JWT_SECRET_KEYS");
        let algorithm = self.get("JWT_ALGORITHM");
        let issuer = self.get("JWT_ISSUER").map(|text| text.trim().to_owned());
        let audience = self.get("JWT_AUDIENCE").map(|text| text.trim().to_owned());
        if self.reading.problems.len() > before {
            return None;
        }
        let (Some(algorithm), true) = (algorithm, single.is_some() || list.is_some()) else {
            self.reading.refuse(
                "auth",
                MISSING,
                "set them in the .env that agentflow.json names, or in the environment",
            );
            return None;
        };
        let algorithm = self.algorithm(algorithm.trim())?;
        let mut texts = match list {
            Some(list) => self.list(&list)?,
            None => Vec::new(),
        };
        // An older reader of the same file knows JWT_SECRET_KEY alone; what it signs has to verify here.
        if let Some(single) = single
            && !texts.iter().any(|(_, text)| **text == *single)
        {
            texts.push(("JWT_SECRET_KEY", single));
        }
        self.keys(algorithm, &texts, issuer, audience)
    }

    fn algorithm(&mut self, name: &str) -> Option<Algorithm> {
        let algorithm = name.parse().ok();
        if algorithm.is_none() {
            self.reading.refuse(
                "JWT_ALGORITHM",
                "it is not a signature algorithm",
                "use HS256, RS256, ES256 or their 384 and 512 forms",
            );
        }
        algorithm
    }

    /// The keys of `JWT_SECRET_KEYS`: a JSON list, PEM blocks, or texts separated by commas or line ends.
    fn list(&mut self, text: &str) -> Option<Vec<(&'static str, Zeroizing<String>)>> {
        const NAME: &str = "JWT_SECRET_KEYS";
        let trimmed = text.trim();
        let keys: Option<Vec<String>> = if trimmed.starts_with(['[', '{']) {
            serde_json::from_str(trimmed).ok()
        } else if trimmed.contains("-----BEGIN ") {
            Some(pem_blocks(trimmed))
        } else {
            Some(trimmed.split([',', '\n']).map(|key| key.trim().to_owned()).collect())
        };
        match keys {
            Some(keys) if !keys.is_empty() && keys.iter().all(|key| !key.trim().is_empty()) => {
                Some(keys.into_iter().map(|key| (NAME, Zeroizing::new(key))).collect())
            }
            _ => {
                self.reading.refuse(
                    NAME,
                    "it is not a list of keys",
                    "write a JSON list of texts, newest first: [\"new\", \"old\"]",
                );
                None
            }
        }
    }

    fn keys(
        &mut self,
        algorithm: Algorithm,
        texts: &[(&'static str, Zeroizing<String>)],
        issuer: Option<String>,
        audience: Option<String>,
    ) -> Option<Jwt> {
        let (mut keys, mut weak) = (Vec::with_capacity(texts.len()), Vec::new());
        for (name, text) in texts {
            match verifying_key(text, algorithm) {
                Ok(key) => keys.push(key),
                Err(error) => {
                    let what = format!("{name} cannot be used with {algorithm}: {error}");
                    self.reading.refuse(name, what, how_to_mend(algorithm));
                }
            }
            if algorithm.is_symmetric()
                && let Some(why) = weakness(text.as_bytes(), algorithm.hash_bytes())
            {
                weak.push((*name, why));
            }
        }
        if keys.len() < texts.len() {
            return None;
        }
        let signer = texts.first().and_then(|(_, newest)| signing_key(newest, algorithm).ok()).map(Arc::new);
        match KeySet::new(keys) {
            Ok(keys) => Some(Jwt { algorithm, keys: Arc::new(keys), signer, issuer, audience, weak }),
            Err(error) => {
                self.reading.refuse("JWT_SECRET_KEYS", error.to_string(), "keep the newest sixteen");
                None
            }
        }
    }
}

fn verifying_key(text: &str, algorithm: Algorithm) -> Result<VerifyingKey, KeyError> {
    if algorithm.is_symmetric() {
        VerifyingKey::from_secret(text.as_bytes(), algorithm, None, SecretRule::Compat)
    } else {
        VerifyingKey::from_pem(text, algorithm, None)
    }
}

fn signing_key(text: &str, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
    if algorithm.is_symmetric() {
        SigningKey::from_secret(text.as_bytes(), algorithm, None, SecretRule::Compat)
    } else {
        SigningKey::from_pem(text, algorithm, None)
    }
}

fn how_to_mend(algorithm: Algorithm) -> &'static str {
    if algorithm.is_symmetric() {
        "give a random text, such as: openssl rand -hex 32"
    } else {
        "give the public or private key as PEM, over several lines in quotes or with \\n for line ends"
    }
}

/// Splits at the end of each block; what stands between blocks (commas, blanks) goes.
fn pem_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("-----BEGIN ") {
        let after = rest[begin..].find("-----END ").map(|end| begin + end + "-----END ".len());
        let end = after.and_then(|after| rest[after..].find("-----").map(|dashes| after + dashes + 5));
        let end = end.unwrap_or(rest.len());
        blocks.push(rest[begin..end].to_owned());
        rest = &rest[end..];
    }
    blocks
}
