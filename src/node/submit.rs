//! The way in for commands, whether they come over a stream or by HTTP.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wire::{ClusterId, CommandId, SignedCommand};

use crate::node::checks::{Checks, Submission};
use crate::node::desk::{Origin, Verdict};
use crate::node::metrics::Metrics;

/// Hands commands to the checking threads. Never waits for room: too much is "busy", and is counted.
#[derive(Debug, Clone)]
pub struct Submitter {
    /// Ids depend on it.
    pub cluster: ClusterId,
    /// Where they wait.
    pub checks: Arc<Checks>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Submitter {
    /// Hands over commands. If there is no room the ids come back, and `origin` hears nothing.
    pub fn submit(
        &self,
        commands: Vec<SignedCommand>,
        origin: Origin,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), Vec<CommandId>> {
        self.metrics.submitted(commands.len());
        self.checks.try_push(Submission { commands, origin, permit }).map_err(|submission| {
            self.metrics.turned_away("busy", submission.commands.len());
            submission.commands.iter().map(|c| c.id(&self.cluster)).collect()
        })
    }

    /// Hands over commands and waits for the replica's verdict on each. A node that stops gives none.
    pub async fn submit_and_hear(
        &self,
        commands: Vec<SignedCommand>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Option<HashMap<CommandId, Verdict>> {
        let (sender, receiver) = oneshot::channel();
        match self.submit(commands, Origin::Http(sender), permit) {
            Ok(()) => receiver.await.ok(),
            Err(ids) => Some(ids.into_iter().map(|id| (id, Verdict::Busy)).collect()),
        }
    }
}
