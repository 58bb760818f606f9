//! What user code asks us: over a socket of its own or beside its answers, one question after the other, answered by what is built in and
//! never by user code.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as Pipe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use doorward_core::ports::handlers::BuiltIns;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::frame::{self, Frame};

/// Who answers, once there is somebody.
pub(crate) type Answering = Arc<OnceLock<Arc<dyn BuiltIns>>>;

/// Largest question.
const LARGEST: usize = 1 << 20;

/// Hands a process its other sockets, with the first byte of the first.
///
/// # Errors
/// The operating system's.
pub(crate) fn hand_over(first: &Pipe, others: &[&Pipe]) -> std::io::Result<()> {
    let descriptors: Vec<_> = others.iter().map(|other| other.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !beside.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(std::io::Error::other("no room for a descriptor"));
    }
    sendmsg(first, &[IoSlice::new(b"D")], &mut beside, SendFlags::empty())?;
    Ok(())
}

/// Answers one process until it closes its socket. A question that breaks the rules ends its socket, and with it its questions.
pub(crate) async fn answer(ours: UnixStream, answering: Answering, within: Duration) {
    let (mut from, mut to) = ours.into_split();
    while let Ok(Some(Frame::Whole(question))) = frame::read_at_most(&mut from, LARGEST).await {
        let Some(bytes) = said(&question, None, &answering, within).await else { return };
        if frame::write(&mut to, &bytes).await.is_err() {
            return;
        }
    }
}

/// Questions that wait for their turn.
const WAITING: usize = 256;

/// Takes the questions of a process that has one socket for everything: they have numbers, and so have their answers.
pub(crate) struct Beside {
    questions: mpsc::Sender<Value>,
    answers: mpsc::Sender<Vec<u8>>,
}

impl Beside {
    /// Answers go where frames to the process go; one question is answered after the other.
    pub(crate) fn new(answers: mpsc::Sender<Vec<u8>>, answering: Answering, within: Duration) -> Self {
        let (questions, mut asked) = mpsc::channel::<Value>(WAITING);
        let to = answers.clone();
        tokio::spawn(async move {
            while let Some(question) = asked.recv().await {
                let number = question.get("number").and_then(Value::as_u64);
                let Some(bytes) = said(&question, number, &answering, within).await else { return };
                if to.send(bytes).await.is_err() {
                    return;
                }
            }
        });
        Self { questions, answers }
    }

    /// Takes one; never waits.
    pub(crate) fn take(&self, question: Value) {
        let number = question.get("number").and_then(Value::as_u64);
        if self.questions.try_send(question).is_err() {
            let refused = json!({ "answered": number, "unavailable": "too many questions at once" });
            // When its queue is full too, whoever asked waits no longer than its call.
            let _ = frame::encode(&refused).map(|bytes| self.answers.try_send(bytes));
        }
    }
}

/// What is said to a question, as a frame.
async fn said(
    question: &Value,
    number: Option<u64>,
    answering: &Answering,
    within: Duration,
) -> Option<Vec<u8>> {
    let mut said = match (answering.get(), question.get("ask").and_then(Value::as_str)) {
        (Some(built_ins), Some(function)) => {
            let with = question.get("with").cloned().unwrap_or_default();
            match tokio::time::timeout(within, built_ins.ask(function, with)).await {
                Ok(Ok(answer)) => json!({ "answer": answer }),
                Ok(Err(why)) => json!({ "unavailable": why }),
                Err(_) => json!({ "unavailable": "it took too long" }),
            }
        }
        (None, _) => json!({ "unavailable": "Doorward is not ready yet; ask within a call" }),
        (_, None) => json!({ "unavailable": "nothing was asked" }),
    };
    if let Some(number) = number {
        said["answered"] = number.into();
    }
    frame::encode(&said)
        .or_else(|| frame::encode(&json!({ "answered": number, "unavailable": "the answer is too large" })))
}
