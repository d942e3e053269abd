//! What a client tells its operator about a node that misbehaves.

use std::collections::BTreeMap;
use std::fmt;

use wire::NodeId;

/// What a node did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertKind {
    /// The address configured for this node is answered by another.
    WrongNode,
    /// It sent bytes that are no frame of the protocol.
    Malformed,
    /// It sent a reply whose signature does not verify.
    Forged,
    /// It sent a reply in the name of another node.
    Impersonation,
    /// It signed two different receipts for one command.
    TwoReceipts,
    /// It signed a receipt that contradicts the one accepted from enough others.
    Contradiction,
}

/// A report that names a node, to be shown to an operator. Never counted as an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The node whose connection it came over.
    pub node: NodeId,
    /// What it did.
    pub kind: AlertKind,
    /// The first such case, in words.
    pub text: String,
    /// How often since alerts were last taken.
    pub count: u64,
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}: {}", self.node, self.text)?;
        if self.count > 1 { write!(f, " ({} times)", self.count) } else { Ok(()) }
    }
}

/// Alerts not yet taken: one per node and kind, so that a node that lies a million times fills no memory.
#[derive(Debug, Default)]
pub(crate) struct Alerts(BTreeMap<(NodeId, AlertKind), (String, u64)>);

impl Alerts {
    pub(crate) fn raise(&mut self, node: NodeId, kind: AlertKind, text: impl FnOnce() -> String) {
        self.0.entry((node, kind)).or_insert_with(|| (text(), 0)).1 += 1;
    }

    pub(crate) fn take(&mut self) -> Vec<Alert> {
        let taken = std::mem::take(&mut self.0);
        taken.into_iter().map(|((node, kind), (text, count))| Alert { node, kind, text, count }).collect()
    }
}
