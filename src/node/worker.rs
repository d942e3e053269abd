//! The threads that decode and check, before the replica sees anything.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use replica::{VerifiedMessage, Verifier};
use tokio::sync::OwnedSemaphorePermit;
use wire::peer::Commands;
use wire::{ClusterId, NodeId, PeerMessage, SignedCommand};

use crate::node::checks::{Checks, PeerFrame, Submission, Work};
use crate::node::desk::Desk;
use crate::node::inbox::{Admission, Inbox, Message};
use crate::node::limits::COMMANDS_PER_TAKE;
use crate::node::metrics::Metrics;
use crate::node::peers::Link;
use crate::node::stop::Alarm;

/// What a checking thread works with.
#[derive(Clone)]
pub struct Worker {
    /// The cluster.
    pub cluster: ClusterId,
    /// Decides what is valid; clones share what they have seen.
    pub verifier: Verifier,
    /// Where work comes from.
    pub checks: Arc<Checks>,
    /// Where checked messages and commands go.
    pub inbox: Arc<Inbox>,
    /// Who tells clients what was refused.
    pub desk: Arc<Desk>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Worker {
    /// Starts a thread.
    pub fn spawn(self, n: usize, alarm: Alarm) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name(format!("juno-check-{n}")).spawn(move || {
            let _alarm = alarm;
            self.run();
        })
    }

    fn run(self) {
        loop {
            match self.checks.take() {
                Work::Forward(frame) => self.check_frame(frame),
                Work::Commands(submissions) => self.check_commands(submissions),
                Work::Stop => return,
                statements => self.check_statements(statements),
            }
        }
    }

    fn check_statements(&self, work: Work) {
        let Work::Statements { lane, frames } = work else { return };
        frames.into_iter().for_each(|frame| self.check_frame(frame));
        self.checks.release(lane);
    }

    fn check_frame(&self, (frame, link): PeerFrame) {
        if link.is_closed_for_cause() {
            return;
        }
        match PeerMessage::from_frame(&frame.content) {
            Ok(PeerMessage::Forward(commands)) => self.check_forward(commands.0, frame.permit, &link),
            Ok(message) => drop(self.check_message(message, Some(frame.permit), &link)),
            Err(why) => {
                self.metrics.offence(link.peer, "undecodable");
                link.close_for_cause(format!("a frame that is not a message: {why}"));
            }
        }
    }

    /// Checks what may be thousands of commands in batches, with statements between them.
    fn check_forward(&self, commands: Vec<SignedCommand>, permit: OwnedSemaphorePermit, link: &Link) {
        for batch in batches(commands) {
            if self.check_message(PeerMessage::Forward(Commands(batch)), None, link).is_err() {
                break;
            }
            self.let_statements_pass();
        }
        drop(permit);
    }

    fn check_message(&self, message: PeerMessage, permit: Option<OwnedSemaphorePermit>, link: &Link) -> Result<(), ()> {
        let from: NodeId = link.peer;
        let name = message.name();
        match self.verifier.verify(from, message) {
            Ok(message) => {
                self.metrics.received(name);
                self.inbox.push_message(Message { from, message, permit });
                Ok(())
            }
            Err(offence) => {
                tracing::warn!(peer = %from, message = name, "refused: {offence}");
                self.metrics.offence(from, offence.name());
                link.offend(&offence.to_string());
                if let Some(evidence) = offence.evidence() {
                    let message = VerifiedMessage::Evidence(evidence);
                    self.inbox.push_message(Message { from, message, permit });
                }
                Err(())
            }
        }
    }

    /// Works on statements that arrived meanwhile.
    fn let_statements_pass(&self) {
        if let Some(statements) = self.checks.take_statements() {
            self.check_statements(statements);
        }
    }

    fn check_commands(&self, submissions: Vec<Submission>) {
        let mut all = Vec::new();
        let mut rest = Vec::with_capacity(submissions.len());
        for submission in submissions {
            rest.push((submission.commands.len(), submission.origin, submission.permit));
            all.extend(submission.commands);
        }
        self.metrics.checked(all.len());
        let mut verdicts = Vec::with_capacity(all.len());
        for batch in batches(all) {
            verdicts.extend(self.verifier.verify_commands(batch));
            self.let_statements_pass();
        }
        let mut verdicts = verdicts.into_iter();
        for (count, origin, permit) in rest {
            let mut admission = Admission { commands: Vec::with_capacity(count), forged: Vec::new(), origin, permit };
            for verdict in verdicts.by_ref().take(count) {
                match verdict {
                    Ok(command) => admission.commands.push(command),
                    Err(signed) => admission.forged.push(signed.id(&self.cluster)),
                }
            }
            if let Err(admission) = self.inbox.try_push_admission(admission) {
                self.desk.turn_away(admission);
            }
        }
    }
}

/// Splits commands so that a batch takes a few milliseconds to check.
fn batches(mut commands: Vec<SignedCommand>) -> impl Iterator<Item = Vec<SignedCommand>> {
    commands.reverse();
    std::iter::from_fn(move || {
        let at = commands.len().saturating_sub(COMMANDS_PER_TAKE);
        let mut batch = commands.split_off(at);
        batch.reverse();
        (!batch.is_empty()).then_some(batch)
    })
}
