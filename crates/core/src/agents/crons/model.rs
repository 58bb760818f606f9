//! What a cron is, to whoever makes, looks for or is shown one.

use serde_json::{Map, Value};

/// What a cron is made of.
pub struct NewCron {
    /// Its id.
    pub id: String,
    /// The assistant that it runs.
    pub assistant: String,
    /// The thread in which it runs; in one of its own each time if there is none.
    pub thread: Option<String>,
    /// What is attached.
    pub metadata: Map<String, Value>,
    /// Five fields.
    pub schedule: String,
    /// The time zone of the schedule; UTC if there is none.
    pub timezone: Option<String>,
    /// After when it is due no more.
    pub end_at_ms: Option<i64>,
    /// Whether it is due at all.
    pub enabled: bool,
    /// Whether a thread of its own is kept.
    pub keep: bool,
    /// What it runs, in the words of the surface.
    pub payload: Map<String, Value>,
}

/// What to change; absent members stay.
#[derive(Clone, Default)]
pub struct CronChanges {
    /// Five fields.
    pub schedule: Option<String>,
    /// The time zone of the schedule.
    pub timezone: Option<String>,
    /// After when it is due no more; `Some(None)` for never.
    pub end_at_ms: Option<Option<i64>>,
    /// Whether it is due at all.
    pub enabled: Option<bool>,
    /// Whether a thread of its own is kept.
    pub keep: Option<bool>,
    /// Merged into the metadata.
    pub metadata: Map<String, Value>,
    /// Merged into what it runs.
    pub payload: Map<String, Value>,
    /// Merged into it where the owner changes it, and dropped where somebody else does: what a body says of the cron itself, which the surface
    /// shows there too.
    pub beside: Map<String, Value>,
}

impl CronChanges {
    /// Whether its next runs are others, or there are runs where there were none.
    pub(super) fn needs_its_owner(&self) -> bool {
        let when = self.schedule.is_some() || self.timezone.is_some() || self.end_at_ms.is_some();
        when || self.enabled == Some(true) || self.keep.is_some() || !self.payload.is_empty()
    }
}

/// What a search of crons is for.
#[derive(Default)]
pub struct CronSearch {
    /// The assistant that they run.
    pub assistant: Option<String>,
    /// The thread in which they run.
    pub thread: Option<String>,
    /// Whether they are due at all.
    pub enabled: Option<bool>,
    /// What their metadata holds.
    pub metadata: Map<String, Value>,
}

/// A cron.
#[derive(Debug, Clone, PartialEq)]
pub struct Cron {
    /// Its id.
    pub id: String,
    /// Who it is shown as the owner: the subject.
    pub user: String,
    /// The assistant that it runs.
    pub assistant: String,
    /// The thread in which it runs.
    pub thread: Option<String>,
    /// What is attached.
    pub metadata: Map<String, Value>,
    /// Five fields.
    pub schedule: String,
    /// The time zone of the schedule.
    pub timezone: Option<String>,
    /// After when it is due no more.
    pub end_at_ms: Option<i64>,
    /// Whether it is due at all.
    pub enabled: bool,
    /// Whether a thread of its own is kept.
    pub keep: bool,
    /// What it runs.
    pub payload: Map<String, Value>,
    /// The next time of its schedule, whether or not it will be due then.
    pub next_at_ms: Option<i64>,
    /// When it was made.
    pub created_at_ms: i64,
    /// When somebody last changed it.
    pub updated_at_ms: i64,
}
