//! What a run has said so far, for as many as listen and from wherever they left off. Nobody who reads slowly slows it down.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::model::{Message, Run};
use crate::id::{MessageId, RunId};

/// Most finished runs of a process that can still be followed from their beginning.
const MAX_FINISHED: usize = 16;

/// What is heard of a run, in order.
#[derive(Debug, Clone)]
pub enum Told {
    /// Its turn has come.
    Begun {
        /// The thread's messages, with what it was given at the end; the newest that are shown.
        messages: Arc<Vec<Message>>,
        /// The id that its answer will have.
        answer: MessageId,
    },
    /// More text.
    Text(Arc<str>),
    /// It is over: the run as it ended, and the answer if there is one.
    Ended(Box<Run>, Option<Box<Message>>),
}

/// One run's part.
#[derive(Debug)]
pub struct RunFeed {
    told: Mutex<Vec<Told>>,
    news: watch::Sender<usize>,
}

impl RunFeed {
    fn new() -> Self {
        Self { told: Mutex::default(), news: watch::channel(0).0 }
    }

    pub(super) fn tell(&self, told: Told) {
        let mut all = self.told.lock();
        all.push(told);
        self.news.send_replace(all.len());
    }
}

/// Listens to a run.
pub struct Follower {
    feed: Arc<RunFeed>,
    at: usize,
    news: watch::Receiver<usize>,
}

impl Follower {
    fn new(feed: Arc<RunFeed>) -> Self {
        let news = feed.news.subscribe();
        Self { feed, at: 0, news }
    }

    /// What comes next, once it does; `None` when the run is over and all of it was heard.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            let over = {
                let told = self.feed.told.lock();
                if let Some(next) = told.get(self.at) {
                    self.at += 1;
                    return Some(next.clone());
                }
                matches!(told.last(), Some(Told::Ended(..)))
            };
            if over || self.news.changed().await.is_err() {
                return None;
            }
        }
    }

    /// What was told before now, without waiting.
    pub fn so_far(&mut self) -> Vec<Told> {
        let told = self.feed.told.lock()[self.at..].to_vec();
        self.at += told.len();
        told
    }
}

/// The runs of this process: all that go on, and some that are over.
#[derive(Default)]
pub struct Feeds(Mutex<Known>);

#[derive(Default)]
struct Known {
    feeds: HashMap<RunId, Arc<RunFeed>>,
    finished: VecDeque<RunId>,
}

impl Feeds {
    pub(super) fn open(&self, run: &RunId) -> Arc<RunFeed> {
        let feed = Arc::new(RunFeed::new());
        self.0.lock().feeds.insert(run.clone(), Arc::clone(&feed));
        feed
    }

    /// The run is over: it can be followed until enough others are.
    pub(super) fn finished(&self, run: &RunId) {
        let mut known = self.0.lock();
        known.finished.push_back(run.clone());
        while known.finished.len() > MAX_FINISHED {
            if let Some(oldest) = known.finished.pop_front() {
                known.feeds.remove(&oldest);
            }
        }
    }

    pub(super) fn forget(&self, run: &RunId) {
        self.0.lock().feeds.remove(run);
    }

    /// Follows a run of this process from its beginning.
    #[must_use]
    pub fn follow(&self, run: &RunId) -> Option<Follower> {
        self.0.lock().feeds.get(run).cloned().map(Follower::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(told: Option<Told>) -> String {
        match told {
            Some(Told::Text(text)) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn each_listener_hears_everything_whenever_it_comes() {
        let feeds = Feeds::default();
        let run = RunId::from("r");
        let feed = feeds.open(&run);
        let mut early = feeds.follow(&run).expect("it goes on");
        feed.tell(Told::Text("a".into()));
        assert_eq!(text(early.next().await), "a");
        let mut late = feeds.follow(&run).expect("it goes on");
        let waiting = tokio::spawn(async move { text(early.next().await) });
        feed.tell(Told::Text("b".into()));
        assert_eq!(waiting.await.expect("it heard"), "b");
        assert_eq!(late.so_far().len(), 2);
        assert!(feeds.follow(&RunId::from("other")).is_none());
    }

    #[test]
    fn only_some_finished_runs_are_kept() {
        let feeds = Feeds::default();
        for n in 0..MAX_FINISHED + 5 {
            let run = RunId::from(format!("r{n}"));
            feeds.open(&run);
            feeds.finished(&run);
        }
        assert_eq!(feeds.0.lock().feeds.len(), MAX_FINISHED);
        assert!(feeds.follow(&RunId::from("r0")).is_none() && feeds.follow(&RunId::from("r20")).is_some());
    }
}
