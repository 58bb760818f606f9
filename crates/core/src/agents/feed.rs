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

/// What was told of one run. Its pieces are kept as one text and where each of them ends: a model may say a letter at a time, and listeners
/// count pieces, so that they cannot be joined.
#[derive(Debug, Default)]
struct Heard {
    begun: Option<Told>,
    text: String,
    ends: Vec<u32>,
    ended: Option<Told>,
}

impl Heard {
    fn len(&self) -> usize {
        usize::from(self.begun.is_some()) + self.ends.len() + usize::from(self.ended.is_some())
    }

    /// Takes what comes next. A run begins before it says anything, and says nothing after its end.
    fn take(&mut self, told: Told) {
        match told {
            Told::Begun { .. } => self.begun = Some(told),
            Told::Text(piece) => {
                self.text.push_str(&piece);
                self.ends
                    .push(u32::try_from(self.text.len()).expect("an answer has a few hundred KiB at most"));
            }
            Told::Ended(..) => {
                self.ended = Some(told);
                // It is kept for a while, and nothing more comes.
                self.text.shrink_to_fit();
                self.ends.shrink_to_fit();
            }
        }
    }

    fn get(&self, at: usize) -> Option<Told> {
        let at = match &self.begun {
            Some(begun) if at == 0 => return Some(begun.clone()),
            Some(_) => at - 1,
            None => at,
        };
        let end = |at: usize| self.ends.get(at).map(|end| *end as usize);
        match end(at) {
            Some(end_of_it) => {
                let begin = at.checked_sub(1).and_then(end).unwrap_or(0);
                Some(Told::Text(self.text[begin..end_of_it].into()))
            }
            None => self.ended.clone().filter(|_| at == self.ends.len()),
        }
    }
}

/// One run's part.
#[derive(Debug)]
pub struct RunFeed {
    told: Mutex<Heard>,
    news: watch::Sender<usize>,
}

impl RunFeed {
    fn new() -> Self {
        Self { told: Mutex::default(), news: watch::channel(0).0 }
    }

    pub(super) fn tell(&self, told: Told) {
        let mut all = self.told.lock();
        all.take(told);
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
                    return Some(next);
                }
                told.ended.is_some()
            };
            if over || self.news.changed().await.is_err() {
                return None;
            }
        }
    }

    /// What was told before now, without waiting.
    pub fn so_far(&mut self) -> Vec<Told> {
        let all = self.feed.told.lock();
        let told: Vec<_> = (self.at..all.len()).filter_map(|at| all.get(at)).collect();
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
    use crate::agents::model::RunStatus;

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
    fn an_answer_in_single_letters_keeps_its_pieces_and_takes_five_bytes_for_each() {
        const LETTERS: usize = 200_000;
        let run = Run {
            id: "r".into(),
            thread: "t".into(),
            status: RunStatus::Success,
            error: None,
            created_at_ms: 0,
            finished_at_ms: None,
            details: serde_json::Map::new(),
        };
        let feeds = Feeds::default();
        let feed = feeds.open(&run.id);
        let mut follower = feeds.follow(&run.id).expect("it goes on");
        feed.tell(Told::Begun { messages: Arc::default(), answer: "a".into() });
        for n in 0..LETTERS {
            feed.tell(Told::Text(if n % 2 == 0 { "a" } else { "b" }.into()));
        }
        feed.tell(Told::Ended(Box::new(run), None));
        let (text, ends) = {
            let heard = feed.told.lock();
            (heard.text.capacity(), heard.ends.capacity() * size_of::<u32>())
        };
        assert!(text + ends <= 5 * LETTERS, "{text} and {ends} bytes are held");
        let told = follower.so_far();
        assert_eq!(told.len(), LETTERS + 2);
        assert!(matches!((&told[0], &told[LETTERS + 1]), (Told::Begun { .. }, Told::Ended(..))));
        for (piece, expected) in told[1..=LETTERS].iter().zip(["a", "b"].into_iter().cycle()) {
            assert!(matches!(piece, Told::Text(text) if &**text == expected));
        }
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
