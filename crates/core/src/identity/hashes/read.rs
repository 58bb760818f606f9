//! How hashes are spelled. Many systems spell the same function differently; [`ForeignHash::to_text`] has one spelling for each.

use argon2::{Algorithm, Params, Version};
use base64::Engine as _;

use super::{
    Argon2Hash, BASE64, BCRYPT64, ForeignHash, HashFault, Kind, MAX_SALT, MAX_TEXT, OUTPUT, Prf, SaltPlace,
    cost,
};

type Read<T> = Result<T, HashFault>;

impl ForeignHash {
    /// Reads a hash:
    ///
    /// - argon2id, argon2i, argon2d as PHC strings, also behind Django's `argon2`
    /// - bcrypt: `$2a$`, `$2b$`, `$2y$`, also behind Django's `bcrypt$`
    /// - scrypt: `$scrypt$ln=…,r=…,p=…$salt$hash` (PHC, passlib), `scrypt:N:r:p$salt$hex` (Werkzeug), `scrypt$N$salt$r$p$hash` (Django)
    /// - PBKDF2: `$pbkdf2-sha256$i=…$salt$hash` (PHC), `$pbkdf2-sha256$rounds$salt$hash` (passlib), `pbkdf2_sha256$…` (Django),
    ///   `pbkdf2:sha256:…` (Werkzeug); `sha1` and `sha512` likewise
    /// - what [`ForeignHash::to_text`] makes of a salted SHA-256 that was put under argon2id
    ///
    /// # Errors
    /// [`HashFault`]; costs beyond [`cost`] are among them.
    pub fn read(text: &str) -> Read<Self> {
        if text.len() > MAX_TEXT
            || !text.is_ascii()
            || text.bytes().any(|b| b.is_ascii_control() || b == b' ')
        {
            return Err(HashFault::Malformed);
        }
        if let Some(rest) = text.strip_prefix("$argon2") {
            return Ok(Self(Kind::Argon2(argon2(rest)?)));
        }
        if let Some(rest) = text.strip_prefix("argon2$argon2") {
            return Ok(Self(Kind::Argon2(argon2(rest)?)));
        }
        if let Some(place) = text.strip_prefix("$sha256-") {
            return under(place);
        }
        if let Some(rest) = text.strip_prefix("bcrypt$$2").or_else(|| text.strip_prefix("$2")) {
            return bcrypt(rest);
        }
        if let Some(rest) = text.strip_prefix("$scrypt$") {
            let [costs, salt, output] = parts(rest, '$')?;
            let [ln, r, p] = parts(costs, ',')?;
            let log_n = u8::try_from(number(named(ln, "ln=")?)?).map_err(|_| HashFault::TooCostly)?;
            let (r, p) = (number(named(r, "r=")?)?, number(named(p, "p=")?)?);
            return Self::scrypt(log_n, r, p, phc64(salt)?, phc64(output)?);
        }
        if let Some(rest) = text.strip_prefix("scrypt:") {
            let [method, salt, output] = parts(rest, '$')?;
            let [n, r, p] = parts(method, ':')?;
            let n = number(n)?;
            return Self::scrypt(log2(n)?, number(r)?, number(p)?, salt.as_bytes().to_vec(), hex(output)?);
        }
        if let Some(rest) = text.strip_prefix("scrypt$") {
            let [n, salt, r, p, output] = parts(rest, '$')?;
            let output = BASE64.decode(output).map_err(|_| HashFault::Malformed)?;
            let salt = salt.as_bytes().to_vec();
            return Self::scrypt(log2(number(n)?)?, number(r)?, number(p)?, salt, output);
        }
        if let Some(rest) = text.strip_prefix("$pbkdf2") {
            let [prf, rounds, salt, output] = parts(rest, '$')?;
            let prf = prf_named(if prf.is_empty() { "sha1" } else { named(prf, "-")? })?;
            let (rounds, length) = match rounds.strip_prefix("i=") {
                Some(costs) => match costs.split_once(",l=") {
                    Some((rounds, length)) => (number(rounds)?, Some(number(length)?)),
                    None => (number(costs)?, None),
                },
                None => (number(rounds)?, None),
            };
            let output = phc64(output)?;
            if length.is_some_and(|length| length as usize != output.len()) {
                return Err(HashFault::Malformed);
            }
            return Self::pbkdf2(prf, rounds, phc64(salt)?, output);
        }
        if let Some(rest) = text.strip_prefix("pbkdf2_") {
            let [prf, rounds, salt, output] = parts(rest, '$')?;
            let output = BASE64.decode(output).map_err(|_| HashFault::Malformed)?;
            return Self::pbkdf2(prf_named(prf)?, number(rounds)?, salt.as_bytes().to_vec(), output);
        }
        if let Some(rest) = text.strip_prefix("pbkdf2:") {
            let [method, salt, output] = parts(rest, '$')?;
            let [prf, rounds] = parts(method, ':')?;
            return Self::pbkdf2(prf_named(prf)?, number(rounds)?, salt.as_bytes().to_vec(), hex(output)?);
        }
        Err(HashFault::Unsupported)
    }

    /// scrypt (RFC 7914).
    ///
    /// # Errors
    /// [`HashFault`].
    pub fn scrypt(log_n: u8, r: u32, p: u32, salt: Vec<u8>, output: Vec<u8>) -> Read<Self> {
        // Before anything is multiplied: no factor alone is beyond the bound.
        let least = |n: u64| if n <= cost::SCRYPT_WORK { Ok(n) } else { Err(HashFault::TooCostly) };
        if log_n > 30 {
            return Err(HashFault::TooCostly);
        }
        let (n, r64, p64) = (least(1 << log_n)?, least(u64::from(r))?, least(u64::from(p))?);
        if n * r64 > cost::MEMORY_KIB * 8 || least(n * r64)? * p64 > cost::SCRYPT_WORK || r64 * p64 > 1 << 12
        {
            return Err(HashFault::TooCostly);
        }
        if r == 0 || p == 0 || log_n == 0 {
            return Err(HashFault::Malformed);
        }
        if log_n < cost::SCRYPT_LOG_N {
            return Err(HashFault::TooWeak);
        }
        fitting(&salt, &output)?;
        Ok(Self(Kind::Scrypt { log_n, r, p, salt, output }))
    }

    /// PBKDF2 (RFC 8018 §5.2).
    ///
    /// # Errors
    /// [`HashFault`].
    pub fn pbkdf2(prf: Prf, rounds: u32, salt: Vec<u8>, output: Vec<u8>) -> Read<Self> {
        fitting(&salt, &output)?;
        let block = match prf {
            Prf::Sha1 => 20,
            Prf::Sha256 => 32,
            Prf::Sha512 => 64,
        };
        let blocks = output.len().div_ceil(block) as u64;
        if rounds > *cost::PBKDF2_ROUNDS.end() || u64::from(rounds) * blocks > cost::PBKDF2_WORK {
            return Err(HashFault::TooCostly);
        }
        if rounds < *cost::PBKDF2_ROUNDS.start() {
            return Err(HashFault::TooWeak);
        }
        Ok(Self(Kind::Pbkdf2 { prf, rounds, salt, output }))
    }

    /// A single SHA-256 over password and salt.
    ///
    /// # Errors
    /// [`HashFault::Malformed`].
    pub fn salted_sha256(output: Vec<u8>, salt: Vec<u8>, place: SaltPlace) -> Read<Self> {
        if output.len() != 32 || salt.len() > MAX_SALT {
            return Err(HashFault::Malformed);
        }
        Ok(Self(Kind::Sha256 { place, salt, output }))
    }

    /// The one spelling, which [`ForeignHash::read`] takes back. A secret: print it nowhere. Of a bare SHA-256 there is none.
    #[must_use]
    pub(crate) fn to_text(&self) -> Option<String> {
        Some(match &self.0 {
            Kind::Argon2(hash) => argon2_text(hash),
            Kind::Bcrypt { cost, salt, output } => {
                format!("$2b${cost:02}${}{}", BCRYPT64.encode(salt), BCRYPT64.encode(output))
            }
            Kind::Scrypt { log_n, r, p, salt, output } => {
                format!("$scrypt$ln={log_n},r={r},p={p}${}${}", BASE64.encode(salt), BASE64.encode(output))
            }
            Kind::Pbkdf2 { prf, rounds, salt, output } => {
                let prf = match prf {
                    Prf::Sha1 => "sha1",
                    Prf::Sha256 => "sha256",
                    Prf::Sha512 => "sha512",
                };
                format!("$pbkdf2-{prf}$i={rounds}${}${}", BASE64.encode(salt), BASE64.encode(output))
            }
            Kind::Sha256 { .. } => return None,
            Kind::Under { place, salt, over } => {
                let place = match place {
                    SaltPlace::Before => "prefix",
                    SaltPlace::Behind => "suffix",
                };
                format!("$sha256-{place}${}{}", BASE64.encode(salt), argon2_text(over))
            }
        })
    }
}

/// `id$v=19$m=…,t=…,p=…$salt$hash`.
fn argon2(rest: &str) -> Read<Argon2Hash> {
    let (kind, rest) = rest.split_once('$').ok_or(HashFault::Malformed)?;
    let algorithm = match kind {
        "id" => Algorithm::Argon2id,
        "i" => Algorithm::Argon2i,
        "d" => Algorithm::Argon2d,
        _ => return Err(HashFault::Unsupported),
    };
    // Hashes from before the version was written are of the first one.
    let (version, rest) = match rest.strip_prefix("v=") {
        Some(rest) => rest.split_once('$').ok_or(HashFault::Malformed)?,
        None => ("16", rest),
    };
    let version = match version {
        "19" => Version::V0x13,
        "16" => Version::V0x10,
        _ => return Err(HashFault::Unsupported),
    };
    let [costs, salt, output] = parts(rest, '$')?;
    let [m, t, p] = parts(costs, ',')?;
    let (m, t, p) = (number(named(m, "m=")?)?, number(named(t, "t=")?)?, number(named(p, "p=")?)?);
    if u64::from(m) > cost::MEMORY_KIB
        || u64::from(m) * u64::from(t) > cost::ARGON2_WORK
        || p > cost::ARGON2_LANES
    {
        return Err(HashFault::TooCostly);
    }
    let (salt, output) = (phc64(salt)?, phc64(output)?);
    fitting(&salt, &output)?;
    let params = Params::new(m, t, p, Some(output.len())).map_err(|_| HashFault::Malformed)?;
    if salt.len() < argon2::MIN_SALT_LEN {
        return Err(HashFault::Malformed);
    }
    Ok(Argon2Hash { algorithm, version, params, salt, output })
}

fn argon2_text(hash: &Argon2Hash) -> String {
    let Argon2Hash { algorithm, version, params, salt, output } = hash;
    let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
    let (salt, output) = (BASE64.encode(salt), BASE64.encode(output));
    format!("${}$v={}$m={m},t={t},p={p}${salt}${output}", algorithm.as_str(), u32::from(*version))
}

/// What follows `$2`: `b$12$` and 53 characters.
fn bcrypt(rest: &str) -> Read<ForeignHash> {
    let (version, rest) = rest.split_at_checked(2).ok_or(HashFault::Malformed)?;
    // `$2x$` marks hashes of a broken implementation, and `$2$` one that nobody has used for decades.
    if !["a$", "b$", "y$"].contains(&version) {
        return Err(HashFault::Unsupported);
    }
    let (cost, rest) = rest.split_once('$').ok_or(HashFault::Malformed)?;
    let cost = if cost.len() == 2 { number(cost)? } else { return Err(HashFault::Malformed) };
    if cost > *cost::BCRYPT.end() {
        return Err(HashFault::TooCostly);
    }
    if rest.len() != 53 || !cost::BCRYPT.contains(&cost) {
        return Err(HashFault::Malformed);
    }
    let decoded = |text: &str| BCRYPT64.decode(text).map_err(|_| HashFault::Malformed);
    let salt = decoded(&rest[..22])?.try_into().map_err(|_| HashFault::Malformed)?;
    let output = decoded(&rest[22..])?.try_into().map_err(|_| HashFault::Malformed)?;
    Ok(ForeignHash(Kind::Bcrypt { cost, salt, output }))
}

/// What follows `$sha256-`: `suffix$SALT$argon2id$…`.
fn under(rest: &str) -> Read<ForeignHash> {
    let (place, rest) = rest.split_once('$').ok_or(HashFault::Malformed)?;
    let place = match place {
        "prefix" => SaltPlace::Before,
        "suffix" => SaltPlace::Behind,
        _ => return Err(HashFault::Malformed),
    };
    let (salt, over) = rest.split_once("$argon2").ok_or(HashFault::Malformed)?;
    let (salt, over) = (phc64(salt)?, argon2(over)?);
    if salt.len() > MAX_SALT || over.algorithm != Algorithm::Argon2id {
        return Err(HashFault::Malformed);
    }
    Ok(ForeignHash(Kind::Under { place, salt, over }))
}

fn fitting(salt: &[u8], output: &[u8]) -> Read<()> {
    let fits = (1..=MAX_SALT).contains(&salt.len()) && OUTPUT.contains(&output.len());
    if fits { Ok(()) } else { Err(HashFault::Malformed) }
}

fn parts<const N: usize>(text: &str, between: char) -> Read<[&str; N]> {
    let all: Vec<&str> = text.split(between).collect();
    all.try_into().map_err(|_| HashFault::Malformed)
}

fn named<'t>(text: &'t str, name: &str) -> Read<&'t str> {
    text.strip_prefix(name).ok_or(HashFault::Malformed)
}

/// A number without sign or leading zeros; bcrypt's two digits may begin with one. What does not fit is too much, not malformed.
fn number(text: &str) -> Read<u32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(HashFault::Malformed);
    }
    text.parse().map_err(|_| HashFault::TooCostly)
}

fn log2(n: u32) -> Read<u8> {
    if n.is_power_of_two() { Ok(n.trailing_zeros() as u8) } else { Err(HashFault::Malformed) }
}

fn prf_named(name: &str) -> Read<Prf> {
    match name {
        "sha1" => Ok(Prf::Sha1),
        "sha256" => Ok(Prf::Sha256),
        "sha512" => Ok(Prf::Sha512),
        _ => Err(HashFault::Unsupported),
    }
}

/// Base64 of PHC strings; passlib writes `.` for `+`.
fn phc64(text: &str) -> Read<Vec<u8>> {
    BASE64.decode(text.replace('.', "+")).map_err(|_| HashFault::Malformed)
}

/// The bytes that hexadecimal digits spell.
///
/// # Errors
/// [`HashFault::Malformed`].
pub fn hex(text: &str) -> Read<Vec<u8>> {
    let digit = |b: u8| (b as char).to_digit(16).map(|digit| digit as u8).ok_or(HashFault::Malformed);
    if !text.len().is_multiple_of(2) || text.len() > MAX_TEXT {
        return Err(HashFault::Malformed);
    }
    text.as_bytes().chunks_exact(2).map(|pair| Ok((digit(pair[0])? << 4) | digit(pair[1])?)).collect()
}
