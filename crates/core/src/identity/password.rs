//! Passwords: rules, and hashing in a pool that queues instead of exhausting memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;
use zxcvbn::feedback::Warning;

use super::hashes::{ForeignHash, HashFault, IMPORTED, cost};
use crate::error::{Error, Result, codes};
use crate::limits::shares::Shares;
use crate::random::{Random, bytes};
use crate::secret::{Secret, SecretText};

/// What setup instructions, ours and others', put where a password belongs.
const PLACEHOLDERS: &[&str] =
    &["choose-one", "changeme", "change-me", "change_me", "password", "yourpassword", "your-password"];

/// Rules for new passwords of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Fewest characters.
    pub min_chars: usize,
    /// Most characters.
    pub max_chars: usize,
    /// Least strength, as zxcvbn counts it: 0 takes anything, 1 takes about 10⁴ guesses, 2 10⁶, 3 10⁸, 4 10¹⁰.
    pub min_strength: u8,
    /// Whether what is obvious is taken: what instructions print, one character repeated, the owner's own name.
    pub obvious: bool,
}

impl Default for PasswordPolicy {
    /// 8 to 1024 characters, of strength 2: nothing out of the lists of common passwords, with or without a digit behind.
    fn default() -> Self {
        Self { min_chars: 8, max_chars: 1024, min_strength: 2, obvious: false }
    }
}

impl PasswordPolicy {
    /// Checks a new password against the rules that cost nothing and against what its owner is called. Then its strength
    /// is for [`Hashing::judge`].
    ///
    /// # Errors
    /// `weak_password`, saying which rule it breaks.
    pub fn check(&self, password: &SecretText, names: &[&str]) -> Result<()> {
        let refused =
            |reason, text: String| Err(Error::new(codes::WEAK_PASSWORD).message(text).because(reason));
        if password.expose().len() > MAX_BYTES {
            return refused(TOO_LONG, format!("A password has at most {} characters here.", self.max_chars));
        }
        let normal = normalize(password);
        let text = normal.expose();
        let count = text.chars().count();
        if count < self.min_chars {
            return refused(
                TOO_SHORT,
                format!("A password has at least {} characters here.", self.min_chars),
            );
        }
        if count > self.max_chars {
            return refused(TOO_LONG, format!("A password has at most {} characters here.", self.max_chars));
        }
        if self.obvious {
            return Ok(());
        }
        let mut characters = text.chars();
        if let Some(first) = characters.next()
            && characters.all(|c| c == first)
        {
            return refused(REPEATED, "The password is one character, repeated.".to_owned());
        }
        let folded = Secret::new(text.to_lowercase());
        if PLACEHOLDERS.contains(&folded.expose().as_str()) {
            return refused(PRINTED, "The password is one that stands in many instructions.".to_owned());
        }
        if parts_of(names).any(|name| *folded.expose() == name.to_lowercase()) {
            return refused(OWN_NAME, "The password is the name of its owner.".to_owned());
        }
        Ok(())
    }

    /// Estimating takes milliseconds and grows faster than the text, so only its beginning is looked at.
    fn strength(&self, password: &SecretText, names: &[&str]) -> Result<()> {
        if self.min_strength == 0 {
            return Ok(());
        }
        let looked_at: SecretText = Secret::new(password.expose().chars().take(ESTIMATED_CHARS).collect());
        let names: Vec<&str> = parts_of(names).collect();
        let found = zxcvbn::zxcvbn(looked_at.expose(), &names);
        if u8::from(found.score()) >= self.min_strength {
            return Ok(());
        }
        let mut text = "The password is too easy to guess.".to_owned();
        let mut reason = GUESSABLE;
        if let Some(feedback) = found.feedback() {
            if feedback.warning().is_some_and(is_common) {
                reason = COMMON;
            }
            let warning = feedback.warning().map(|warning| warning.to_string());
            for part in warning.into_iter().chain(feedback.suggestions().iter().map(ToString::to_string)) {
                text.push(' ');
                text.push_str(&part);
            }
        }
        Err(Error::new(codes::WEAK_PASSWORD).message(text).because(reason))
    }
}

/// Why a password is weak: it has too few characters.
pub const TOO_SHORT: &str = "too_short";
/// Why a password is weak: it has more characters than are looked at.
pub const TOO_LONG: &str = "too_long";
/// Why a password is weak: it is one character, repeated.
pub const REPEATED: &str = "repeated";
/// Why a password is weak: instructions print it.
pub const PRINTED: &str = "printed";
/// Why a password is weak: it is what its owner is called, or the part of the e-mail address before the `@`.
pub const OWN_NAME: &str = "own_name";
/// Why a password is weak: it is a word, or among those that many people have.
pub const COMMON: &str = "common";
/// Why a password is weak: otherwise easy to guess.
pub const GUESSABLE: &str = "guessable";

/// What somebody is called, and what stands before the `@` of an address.
fn parts_of<'n>(names: &'n [&str]) -> impl Iterator<Item = &'n str> {
    let local = |name: &'n str| name.split_once('@').map(|(local, _)| local);
    names
        .iter()
        .flat_map(move |&name| std::iter::once(name).chain(local(name)))
        .filter(|name| !name.is_empty())
}

fn is_common(warning: Warning) -> bool {
    matches!(
        warning,
        Warning::ThisIsATop10Password
            | Warning::ThisIsATop100Password
            | Warning::ThisIsACommonPassword
            | Warning::ThisIsSimilarToACommonlyUsedPassword
            | Warning::AWordByItselfIsEasyToGuess
            | Warning::NamesAndSurnamesByThemselvesAreEasyToGuess
            | Warning::CommonNamesAndSurnamesAreEasyToGuess
    )
}

/// How much of a password is estimated; more only makes it stronger.
const ESTIMATED_CHARS: usize = 64;

/// Longest password that is looked at: four bytes for each of the most characters.
const MAX_BYTES: usize = 4_096;

/// NFKC, so that a password typed on another keyboard is the same password.
fn normalize(password: &SecretText) -> SecretText {
    Secret::new(password.expose().nfkc().collect())
}

/// What hashing costs, and how much of it may happen at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashingSettings {
    /// argon2id memory, in KiB.
    pub memory_kib: u32,
    /// argon2id passes.
    pub passes: u32,
    /// argon2id lanes.
    pub lanes: u32,
    /// Hashes at the same time; memory is bounded by this times `memory_kib`.
    pub workers: usize,
    /// Hashes that may wait; more are refused.
    pub queue: usize,
}

impl Default for HashingSettings {
    /// 46 MiB, one pass (OWASP's first choice), 2 at a time, 64 waiting.
    fn default() -> Self {
        Self { memory_kib: 47_104, passes: 1, lanes: 1, workers: 2, queue: 64 }
    }
}

/// The pool.
pub struct Hashing {
    params: Params,
    workers: usize,
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
    /// How many of each network are in the pool, waiting or at work.
    shares: Shares,
    share: u32,
    /// How many passwords have had their turn.
    turns: AtomicU64,
}

struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What came of comparing a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// It is not the password.
    Wrong,
    /// It is.
    Right,
    /// It is, and its hash was made with other settings than today's, or by another system: hash it again.
    RightButOld,
}

impl Hashing {
    /// A pool.
    ///
    /// # Errors
    /// `bad_field` for costs that argon2id does not allow.
    pub fn new(settings: HashingSettings) -> Result<Self> {
        let params = Params::new(settings.memory_kib, settings.passes, settings.lanes, None)
            .map_err(|error| Error::new(codes::BAD_FIELD).message(format!("argon2id settings: {error}")))?;
        Ok(Self {
            params,
            workers: settings.workers.clamp(1, 256),
            slots: Arc::new(Semaphore::new(settings.workers.clamp(1, 256))),
            waiting: Arc::default(),
            queue: settings.queue,
            shares: Shares::default(),
            // A quarter of the places, and never none.
            share: u32::try_from((settings.queue + settings.workers) / 4).unwrap_or(u32::MAX).max(1),
            turns: AtomicU64::new(0),
        })
    }

    /// How many passwords have had their turn so far: hashed, compared or judged.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// How many wait, and how many are at work.
    pub(crate) fn load(&self) -> (u32, u32) {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let busy = self.workers.saturating_sub(self.slots.available_permits());
        // Whoever is at work no longer waits, but for a moment counts as both.
        (number(self.waiting.load(Ordering::Acquire)), number(busy))
    }

    /// Runs `work` when its turn comes. The slot goes with the work: a client that leaves does not free memory that
    /// is still in use.
    async fn run<T: Send + 'static>(
        &self,
        from: Option<IpAddr>,
        work: impl FnOnce(Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T> {
        let busy = || Error::new(codes::HASHING_BUSY).retry_after_s(1);
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.queue + self.slots.available_permits() {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(busy());
        }
        let waiting = Waiting(Arc::clone(&self.waiting));
        let share = self.shares.take(from, self.share).ok_or_else(busy)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| busy())?;
        drop(waiting);
        self.turns.fetch_add(1, Ordering::Relaxed);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        tokio::task::spawn_blocking(move || {
            let result = work(argon2);
            drop((slot, share));
            result
        })
        .await
        .map_err(|error| Error::new(codes::INTERNAL).caused_by(error))
    }

    /// Checks a new password against a mount's whole policy. It takes its turn like hashing.
    ///
    /// # Errors
    /// `weak_password`, saying why; `hashing_busy` when too many wait.
    pub async fn judge(
        &self,
        policy: &PasswordPolicy,
        password: &SecretText,
        names: &[&str],
        from: Option<IpAddr>,
    ) -> Result<()> {
        policy.check(password, names)?;
        let (policy, password) = (policy.clone(), normalize(password));
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        self.run(from, move |_| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            policy.strength(&password, &names)
        })
        .await?
    }

    /// A PHC string.
    ///
    /// # Errors
    /// `hashing_busy` when too many wait.
    pub async fn hash(
        &self,
        random: &dyn Random,
        password: &SecretText,
        from: Option<IpAddr>,
    ) -> Result<String> {
        let salt: [u8; 16] = bytes(random);
        let password = normalize(password);
        self.run(from, move |argon2| {
            argon2.hash_password_with_salt(password.expose().as_bytes(), &salt).map(|hash| hash.to_string())
        })
        .await?
        .map_err(|error| Error::new(codes::INTERNAL).caused_by(error))
    }

    /// A hash of another system as it is kept until its owner's first log-in. A bare SHA-256 takes its turn in the pool.
    ///
    /// # Errors
    /// `hashing_busy` when too many wait.
    pub async fn keep(&self, random: &dyn Random, hash: ForeignHash) -> Result<String> {
        let hash = match hash.under() {
            None => hash,
            Some((bare, made)) => {
                let salt: [u8; 16] = bytes(random);
                // Settings beyond what a hash may cost that comes from elsewhere would make one that is not read back.
                let within = u64::from(self.params.m_cost()) <= cost::MEMORY_KIB
                    && u64::from(self.params.m_cost()) * u64::from(self.params.t_cost()) <= cost::ARGON2_WORK;
                let over = self
                    .run(None, move |argon2| {
                        let argon2 = if within { argon2 } else { Argon2::default() };
                        argon2.hash_password_with_salt(bare.expose(), &salt).map(|phc| phc.to_string())
                    })
                    .await?
                    .map_err(|error| Error::new(codes::INTERNAL).caused_by(error))?;
                made(&over)?
            }
        };
        let text = hash.to_text().ok_or(HashFault::Unsupported)?;
        Ok(format!("{IMPORTED}{text}"))
    }

    /// Compares. Without a hash, for somebody unknown, it costs the same and is wrong. With a hash of another system it costs that and what
    /// one of ours does, right or wrong: never less than for an account of our own, and more only by what the other system chose.
    ///
    /// # Errors
    /// `hashing_busy` when too many wait.
    pub async fn compare(
        &self,
        password: &SecretText,
        phc: Option<String>,
        from: Option<IpAddr>,
    ) -> Result<Compared> {
        // Too long to be anybody's; it costs what every wrong one costs.
        let too_long = password.expose().len() > MAX_BYTES;
        let (password, phc) = if too_long { (&Secret::new(String::new()), None) } else { (password, phc) };
        let typed = Secret::new(password.expose().clone());
        let password = normalize(password);
        let params = self.params.clone();
        self.run(from, move |argon2| {
            // Its result does not matter, its time does.
            let spend = || argon2.hash_password_with_salt(password.expose().as_bytes(), &[0; 16]).is_ok();
            let Some(phc) = phc else {
                spend();
                return Compared::Wrong;
            };
            if let Some(text) = phc.strip_prefix(IMPORTED) {
                let hash = ForeignHash::read(text).ok();
                let right = hash.as_ref().is_some_and(|hash| hash.matches(typed.expose().as_bytes()));
                if !hash.is_some_and(|hash| hash.costs_like_ours()) {
                    spend();
                }
                return if right { Compared::RightButOld } else { Compared::Wrong };
            }
            let Ok(parsed) = PasswordHash::new(&phc) else { return Compared::Wrong };
            if argon2.verify_password(password.expose().as_bytes(), &parsed).is_err() {
                return Compared::Wrong;
            }
            let same = Params::try_from(&parsed).is_ok_and(|made_with| {
                (made_with.m_cost(), made_with.t_cost(), made_with.p_cost())
                    == (params.m_cost(), params.t_cost(), params.p_cost())
            });
            if same { Compared::Right } else { Compared::RightButOld }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    fn small(memory_kib: u32) -> Hashing {
        Hashing::new(HashingSettings { memory_kib, ..HashingSettings::default() }).expect("good settings")
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_in_any_normal_form_and_old_settings_are_noticed() {
        let hashing = small(64);
        let phc =
            hashing.hash(&SeededRandom::new(1), &"caf\u{e9} au lait".into(), None).await.expect("hashed");
        assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        let compare = |text: &'static str, pool: &'static str| {
            let phc = phc.clone();
            async move {
                let hashing = small(if pool == "new" { 128 } else { 64 });
                hashing.compare(&text.into(), Some(phc), None).await.expect("compared")
            }
        };
        assert_eq!(compare("cafe\u{301} au lait", "old").await, Compared::Right);
        assert_eq!(compare("caf\u{e9} au lait", "new").await, Compared::RightButOld);
        assert_eq!(compare("cafe au lait", "old").await, Compared::Wrong);
        assert_eq!(hashing.compare(&"x".into(), None, None).await.expect("compared"), Compared::Wrong);
        assert_eq!(
            hashing.compare(&"x".into(), Some("junk".into()), None).await.expect("compared"),
            Compared::Wrong
        );
    }

    #[tokio::test]
    async fn a_full_queue_refuses_instead_of_growing() {
        let settings = HashingSettings { memory_kib: 64, workers: 1, queue: 0, ..HashingSettings::default() };
        let hashing = Hashing::new(settings).expect("good settings");
        let slot = Arc::clone(&hashing.slots).acquire_owned().await.expect("open");
        assert!(hashing.compare(&"x".into(), None, None).await.is_err_and(|e| e.is(codes::HASHING_BUSY)));
        drop(slot);
        assert!(hashing.compare(&"x".into(), None, None).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_easy_to_guess_is_refused_with_advice() {
        let hashing = small(64);
        let policy = PasswordPolicy::default();
        let judge = async |password: &str, min_strength| {
            let policy = PasswordPolicy { min_strength, ..policy.clone() };
            hashing.judge(&policy, &password.into(), &["anna.lindqvist"], None).await
        };
        for weak in
            ["12345678", "passwordpassword", "Password1", "qwertyuiop", "anna.lindqvist1", "xyzxyzxyz"]
        {
            let error = judge(weak, 2).await.expect_err(weak);
            assert!(error.is(codes::WEAK_PASSWORD) && !error.public_message().contains(weak), "{error:?}");
            let common = ["12345678", "Password1", "qwertyuiop"].contains(&weak);
            assert_eq!(error.reason() == Some(COMMON), common, "{weak}: {:?}", error.reason());
            judge(weak, 0).await.expect("0 takes anything");
        }
        judge("correct horse battery", 2).await.expect("strong enough");
        judge("correct horse battery staple 7", 4).await.expect("strong");
        judge(&"lorem ipsum dolor ".repeat(50), 2).await.expect("a long text is looked at in part");
    }

    #[test]
    fn weak_passwords_are_refused_by_rule() {
        let policy = PasswordPolicy::default();
        for (name, password, good) in [
            ("short", "1234567", false),
            ("long", "correct horse", true),
            ("repeated", "aaaaaaaaaa", false),
            ("printed by setup", "CHOOSE-ONE", false),
            ("its owner", "Ann@example.org", false),
            ("its owner's address, in part", "Ann.Smith", false),
            ("what its owner is called", "ann smithson", false),
        ] {
            let names = ["ann@example.org", "ann.smith@example.org", "Ann Smithson"];
            assert_eq!(policy.check(&password.into(), &names).is_ok(), good, "{name}");
        }
        assert!(policy.check(&Secret::new("x1".repeat(513)), &[]).is_err());
    }
}
