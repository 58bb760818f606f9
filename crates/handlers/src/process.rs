//! A process that leads a group of its own and goes with everything it started.

use std::process::Command as Plan;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, Command};

/// What is left to say once a process has ended is waited for this long.
pub const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often it is looked whether a process has ended while its output stays open.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A process that leads a group. It is killed with its group wherever it is dropped.
pub struct Group {
    /// The leader.
    pub child: Child,
    /// `None` once nothing is left to kill.
    id: Option<Pid>,
}

impl Group {
    /// Starts what is planned as the leader of a new group.
    ///
    /// # Errors
    /// The operating system's.
    pub fn spawn(mut plan: Command) -> std::io::Result<Self> {
        plan.process_group(0).kill_on_drop(true);
        let child = plan.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, id })
    }

    /// As [`Group::spawn`], from the standard library's plan.
    ///
    /// # Errors
    /// As there.
    pub fn of(plan: Plan) -> std::io::Result<Self> {
        Self::spawn(Command::from(plan))
    }

    /// How it ended, for the log, such as `exit code 1`; empty when `interrupted` comes first. It is looked at without being reaped, so
    /// that its id cannot be anybody else's by the time the group is killed.
    pub async fn ended(&self, interrupted: impl Future<Output = ()>) -> String {
        let Some(id) = self.id else { return String::new() };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let waiting = tokio::task::spawn_blocking(move || waitid(WaitId::Pid(id), options));
        let status = tokio::select! {
            status = waiting => status,
            // It closed its output and lives on.
            () = tokio::time::sleep(LAST_WORDS) => return ", but it goes on".to_owned(),
            () = interrupted => return String::new(),
        };
        let Ok(Ok(Some(status))) = status else { return String::new() };
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!(", exit code {code}"),
            (None, Some(signal)) => format!(", ended by signal {signal}"),
            (None, None) => String::new(),
        }
    }

    /// Returns a moment after the leader has ended. What it started may hold its output open for as long as it likes, but has nothing
    /// to say any more. The leader is not reaped.
    pub async fn left_alone(&self) {
        let Some(id) = self.id else { return std::future::pending().await };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while !matches!(waitid(WaitId::Pid(id), options), Ok(Some(_)) | Err(_)) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(LAST_WORDS).await;
    }

    /// Kills it with everything it started.
    pub fn kill(&mut self) {
        if let Some(id) = self.id.take() {
            // The leader is not reaped yet, so the id is the group's; that it has ended already is no failure.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
