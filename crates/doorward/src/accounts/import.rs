//! `doorward user import`: a file's accounts, one row after the other. Every row stands for itself: one that is refused keeps no other out.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use doorward_core::authz::Target;
use doorward_core::clock::Clock as _;
use doorward_core::error::{Error, Kind};
use doorward_core::id::UserId;
use doorward_core::identity::transfer::{Administrators, Imported};
use doorward_core::identity::validate::fold;
use serde::Serialize;
use serde_json::json;

use super::Fault;
use super::formats::{Account, BUILTIN, Format};
use super::members::Members;
use super::rows::{Broken, Piece, Rows};
use crate::cli::{Failure, Inside, Output, StoreOptions, Surroundings, inside, new_file, table};
use crate::clock::SystemClock;

/// Most rows of a file; more are several files.
const MAX_ROWS: u64 = 10_000_000;
/// As many refused rows are in the answer; `--report` has all.
const SHOWN: usize = 100;
/// How often a terminal hears how far it is.
const PROGRESS_ROWS: u64 = 500;

/// What to import, and how.
pub(crate) struct Import {
    /// The file; `-` is standard input.
    pub(crate) file: PathBuf,
    /// The format's name; recognised if absent.
    pub(crate) format: Option<String>,
    /// Only look.
    pub(crate) dry_run: bool,
    /// Roles that are called otherwise here.
    pub(crate) role_names: Vec<(String, String)>,
    /// Whether administrators are taken.
    pub(crate) administrators: bool,
    /// Where every refused row is written.
    pub(crate) report: Option<PathBuf>,
}

/// A row that was not taken: where it is and why, nothing of what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Refused {
    line: u64,
    code: &'static str,
    message: String,
}

/// What became of a file.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    format: &'static str,
    dry_run: bool,
    rows: u64,
    made: u64,
    already_there: u64,
    refused: u64,
    /// How many rows were refused for what.
    reasons: BTreeMap<&'static str, u64>,
    /// How often something had no place here.
    left_behind: BTreeMap<&'static str, u64>,
    /// The first of them.
    refused_rows: Vec<Refused>,
}

/// Imports, and answers what became of it. Fails if a row was refused, when the others are in.
pub(crate) fn import(
    wanted: &Import,
    store: &StoreOptions,
    output: Output,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let format = wanted.format.as_deref().map(named).transpose()?;
    let input = opened(&wanted.file)?;
    let report = wanted.report.as_deref().map(new_file).transpose()?;
    let talks = !output.json && io::stderr().is_terminal();
    let outcome = inside(store, surroundings, async |inside: &Inside| {
        let mut run =
            Run { wanted, format, report, talks, seen: Seen::default(), outcome: Outcome::default() };
        let read = run.all(inside, Rows::new(input)).await;
        run.finished(read)
    })?;
    output.answer(&outcome, || shown(&outcome))?;
    if outcome.refused > 0 { Err(Failure::silent()) } else { Ok(()) }
}

fn named(name: &str) -> Result<&'static Format, Failure> {
    BUILTIN.iter().copied().find(|format| format.name == name).ok_or_else(|| {
        let names: Vec<&str> = BUILTIN.iter().map(|format| format.name).collect();
        Failure::usage(format!("there is no format {name:?}"), format!("there are: {}", names.join(", ")))
    })
}

fn opened(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let unreadable = |error: io::Error| {
        Failure::refused(format!("{}: {error}", path.display()), "name a file that is there and can be read")
    };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    Ok(Box::new(BufReader::with_capacity(64 << 10, file)))
}

struct Run<'w> {
    wanted: &'w Import,
    format: Option<&'static Format>,
    report: Option<BufWriter<File>>,
    talks: bool,
    seen: Seen,
    outcome: Outcome,
}

/// The names of a file's rows so far, for a dry run: what it does not write, it cannot find again. Eight bytes for each, of a hash that nobody
/// can aim at.
#[derive(Default)]
struct Seen {
    key: RandomState,
    names: HashSet<u64>,
}

impl Seen {
    /// Why an account is none of this file's second ones.
    fn fault(&mut self, (id, email, username): &(UserId, Option<String>, Option<String>)) -> Option<Fault> {
        let mut again = |kind: &str, name: &str| !self.names.insert(self.key.hash_one((kind, name)));
        let taken = |code| Some(Fault::new(code, "A row before has the same."));
        if again("id", id.as_str()) {
            return taken("id_taken");
        }
        if email.as_ref().is_some_and(|name| again("login", &fold(name))) {
            return taken("email_taken");
        }
        if username.as_ref().is_some_and(|name| again("login", &fold(name))) {
            return taken("username_taken");
        }
        None
    }
}

impl Run<'_> {
    async fn all(&mut self, inside: &Inside, mut rows: Rows<Box<dyn BufRead>>) -> Result<(), Failure> {
        while let Some((line, piece)) = rows.next().map_err(|broken| self.broken(broken))? {
            if self.outcome.rows == MAX_ROWS {
                return Err(Failure::refused(format!("the file has more than {MAX_ROWS} rows"), "split it"));
            }
            self.outcome.rows += 1;
            match self.row(inside, piece).await? {
                Ok(Imported::Made(_)) => self.outcome.made += 1,
                Ok(Imported::AlreadyThere(_)) => self.outcome.already_there += 1,
                Err(fault) => self.refuse(line, fault)?,
            }
            if self.talks && self.outcome.rows.is_multiple_of(PROGRESS_ROWS) {
                let Outcome { rows, made, refused, .. } = &self.outcome;
                // Nobody hears it: that keeps no account out.
                let _ = write!(io::stderr(), "\r{rows} rows, {made} made, {refused} refused");
            }
        }
        Ok(())
    }

    /// One row. The outer error is not the row's: with it the import ends.
    async fn row(&mut self, inside: &Inside, piece: Piece) -> Result<Result<Imported, Fault>, Failure> {
        let account = match self.account(piece)? {
            Ok(account) => account,
            Err(fault) => return Ok(Err(fault)),
        };
        let Account { mut incoming, left_behind } = account;
        for role in &mut incoming.roles {
            if let Some((_, here)) = self.wanted.role_names.iter().find(|(there, _)| there == role) {
                here.clone_into(role);
            }
        }
        let named = (incoming.origin.user_id(), incoming.email.clone(), incoming.username.clone());
        let administrators = match self.wanted.administrators {
            true => Administrators::Taken,
            false => Administrators::Refused,
        };
        let users = inside.assembled.engine.users();
        let done = if self.wanted.dry_run {
            users.foresee_import(inside.permit(Target::any())?, incoming, administrators).await
        } else {
            users.import(inside.permit(Target::any())?, incoming, administrators).await
        };
        match done {
            Ok(done) => {
                if self.wanted.dry_run
                    && let Some(fault) = self.seen.fault(&named)
                {
                    return Ok(Err(fault));
                }
                if matches!(done, Imported::Made(_)) {
                    for what in left_behind {
                        *self.outcome.left_behind.entry(what).or_default() += 1;
                    }
                }
                Ok(Ok(done))
            }
            Err(error) if is_of_the_row(&error) => Ok(Err(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    fn account(&mut self, piece: Piece) -> Result<Result<Account, Fault>, Failure> {
        let Piece::Row(bytes) = piece else {
            return Ok(Err(Fault::new("json_too_large", "The row is longer than 256 KiB.")));
        };
        let members = match Members::read(&bytes) {
            Ok(members) => members,
            Err(fault) => return Ok(Err(fault)),
        };
        let format = match self.format {
            Some(format) => format,
            None => {
                let found = BUILTIN.iter().copied().find(|format| (format.recognises)(&members));
                let Some(format) = found else {
                    let what = "the first row that can be read is of no known format";
                    return Err(Failure::refused(
                        what,
                        "name its format with --format, and look at its members",
                    ));
                };
                self.format = Some(format);
                format
            }
        };
        Ok((format.read)(members, SystemClock.now_ms()))
    }

    fn refuse(&mut self, line: u64, fault: Fault) -> Result<(), Failure> {
        self.outcome.refused += 1;
        *self.outcome.reasons.entry(fault.code).or_default() += 1;
        let refused = Refused { line, code: fault.code, message: fault.message };
        if let Some(report) = &mut self.report {
            serde_json::to_writer(&mut *report, &refused).map_err(io::Error::from)?;
            report.write_all(b"\n")?;
        }
        if self.outcome.refused_rows.len() < SHOWN {
            self.outcome.refused_rows.push(refused);
        }
        Ok(())
    }

    fn broken(&self, broken: Broken) -> Failure {
        let (what, mend) = match broken {
            Broken::Io(error) => {
                (format!("the file cannot be read on: {error}"), "look at the disk, and run it again")
            }
            Broken::NotRows => (
                "the file is neither an array of objects nor lines of them".to_owned(),
                "export the accounts as JSON in UTF-8, one object a line or all in one array",
            ),
            Broken::Spread => (
                "the file begins with an object that spans lines".to_owned(),
                "put each account on a line of its own, or all of them into one array",
            ),
            Broken::CutShort => {
                ("the file ends inside of its array".to_owned(), "get the rest of it, and run it again")
            }
            Broken::Trailing => ("something stands behind the file's array".to_owned(), "take it out"),
        };
        Failure::refused(what, mend)
    }

    /// What is to be said at the end. Where the file broke, what was read before is in: that is said, too.
    fn finished(mut self, read: Result<(), Failure>) -> Result<Outcome, Failure> {
        if self.talks && self.outcome.rows >= PROGRESS_ROWS {
            let _ = writeln!(io::stderr());
        }
        if let Some(report) = &mut self.report {
            report.flush()?;
        }
        self.outcome.dry_run = self.wanted.dry_run;
        self.outcome.format = self.format.map_or("none", |format| format.name);
        match read {
            Ok(()) => Ok(self.outcome),
            Err(mut failure) => {
                if self.outcome.rows > 0 {
                    let Outcome { rows, made, refused, .. } = &self.outcome;
                    let made = if self.wanted.dry_run { 0 } else { *made };
                    failure.what.push_str(&format!(
                        "; before that {rows} rows were read, {made} accounts made and {refused} refused"
                    ));
                }
                Err(failure)
            }
        }
    }
}

/// Whether the next row may fare better.
fn is_of_the_row(error: &Error) -> bool {
    !matches!(error.code().kind, Kind::Internal | Kind::Unavailable | Kind::Upstream | Kind::Limited)
}

fn shown(outcome: &Outcome) -> String {
    let Outcome { format, dry_run, rows, made, already_there, refused, .. } = outcome;
    let made_word = if *dry_run { "would be made" } else { "made" };
    let mut text = format!(
        "Read {rows} rows of the format {format}: {made} {made_word}, {already_there} there already, {refused} refused.\n"
    );
    for (what, times) in &outcome.left_behind {
        text.push_str(&format!("Left behind: {what}, {times} times.\n"));
    }
    if !outcome.refused_rows.is_empty() {
        let row = |one: &Refused| vec![one.line.to_string(), one.code.to_owned(), one.message.clone()];
        let rows: Vec<_> = outcome.refused_rows.iter().map(row).collect();
        text.push_str(&table(&["line", "refused for", "which is"], &rows));
        let more = outcome.refused - outcome.refused_rows.len() as u64;
        if more > 0 {
            text.push_str(&format!("And {more} more; --report FILE has all of them.\n"));
        }
    }
    text
}

/// Two names of one role, as `--map-role` takes them.
pub(crate) fn role_names(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((there, here)) if !there.is_empty() && !here.is_empty() => {
            Ok((there.to_owned(), here.to_owned()))
        }
        _ => Err(format!("{} names no two roles; write it like editor=user", json!(text))),
    }
}
