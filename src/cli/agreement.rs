//! Questions that are put to all nodes, and must find them of one mind: roots, balances, receipts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use client::{HttpClient, HttpError};
use ledger::Amount;
use serde_json::{Value, json};
use thiserror::Error;
use wire::{CommandId, Hash, Height, NodeId, Receipt};

/// Between two looks at all nodes.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Ids in one question about commands; a node takes 4096.
const IDS_PER_QUESTION: usize = 4000;

/// What all nodes executed up to one height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The height.
    pub height: Height,
    /// Log entries up to there.
    pub entries: u64,
    /// The root over all tables.
    pub state_root: Hash,
    /// The root over all receipts.
    pub receipts_root: Hash,
    /// The root over all log entries.
    pub log_root: Hash,
}

/// The nodes are not of one mind, or cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Disagreement {
    /// Two nodes executed the same height to different results: the one thing that must never be.
    #[error("FORK: at height {height} node {first} has {ours}, node {second} has {theirs}")]
    Fork {
        /// The height.
        height: Height,
        /// One node.
        first: NodeId,
        /// Another.
        second: NodeId,
        /// What the one says.
        ours: String,
        /// What the other says.
        theirs: String,
    },
    /// They did not come to one height in time.
    #[error("after {0:?} the nodes are not at one height: {1}")]
    Late(Duration, String),
    /// A node says otherwise than it must.
    #[error("node {node}: {what}")]
    Wrong {
        /// The node.
        node: NodeId,
        /// What is wrong.
        what: String,
    },
    /// A node could not be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Disagreement {
    fn wrong(node: NodeId, what: impl Into<String>) -> Disagreement {
        Disagreement::Wrong { node, what: what.into() }
    }
}

/// Waits until every node was seen at one and the same height, with at least `entries` log entries, and compares what
/// they executed there. Works while blocks go on being made, as long as each node is looked at often enough.
///
/// # Errors
/// [`Disagreement::Fork`] at once, at whatever height it shows; [`Disagreement::Late`] if patience ends.
pub async fn standing(http: &HttpClient, entries: u64, patience: Duration) -> Result<Standing, Disagreement> {
    let started = Instant::now();
    let mut seen: BTreeMap<Height, BTreeMap<NodeId, Standing>> = BTreeMap::new();
    let mut last = Vec::new();
    while started.elapsed() < patience {
        last.clear();
        for (node, answer) in http.get_each("/v1/status").await {
            let status = match answer {
                Ok(status) => read_standing(node, &status)?,
                Err(why) => {
                    last.push(why.to_string());
                    continue;
                }
            };
            last.push(format!("node {node} at {} with {} entries", status.height, status.entries));
            let here = seen.entry(status.height).or_default();
            here.insert(node, status);
            if let Some((other, theirs)) = here.iter().find(|(_, theirs)| **theirs != status) {
                return Err(Disagreement::Fork {
                    height: status.height,
                    first: node,
                    second: *other,
                    ours: format!("{status:?}"),
                    theirs: format!("{theirs:?}"),
                });
            }
        }
        let all = |at: &&BTreeMap<NodeId, Standing>| at.len() == http.nodes().len();
        let agreed = seen.values().rev().filter(all).find_map(|at| at.values().next());
        if let Some(standing) = agreed.filter(|s| s.entries >= entries) {
            return Ok(*standing);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Disagreement::Late(patience, last.join(", ")))
}

fn read_standing(node: NodeId, status: &Value) -> Result<Standing, Disagreement> {
    let number = |field: &str| status[field].as_u64().ok_or_else(|| Disagreement::wrong(node, format!("no {field}")));
    let root = |field: &str| {
        let parsed = status[field].as_str().and_then(|text| text.parse().ok());
        parsed.ok_or_else(|| Disagreement::wrong(node, format!("no {field}")))
    };
    Ok(Standing {
        height: Height(number("height")?),
        entries: number("entries")?,
        state_root: root("state_root")?,
        receipts_root: root("receipts_root")?,
        log_root: root("log_root")?,
    })
}

/// All balances of one node, in the smallest unit, read page by page. The cluster should be at rest: pages are read one
/// after the other.
///
/// # Errors
/// If the node cannot be asked, or its answer is none.
pub async fn balances(http: &HttpClient, node: NodeId) -> Result<BTreeMap<String, u128>, Disagreement> {
    let mut all = BTreeMap::new();
    let mut path = "/v1/accounts".to_owned();
    loop {
        let page = http.get(node, &path).await?;
        for account in page["accounts"].as_array().into_iter().flatten() {
            let amount = account["balance"]["exact"].as_str().and_then(|text| text.parse::<Amount>().ok());
            let (Some(name), Some(amount)) = (account["name"].as_str(), amount) else {
                return Err(Disagreement::wrong(node, format!("an account it lists cannot be read: {account}")));
            };
            all.insert(name.to_owned(), amount.units());
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/accounts?after={next}"),
            None => return Ok(all),
        }
    }
}

/// The balances that the first `count` nodes all report.
///
/// # Errors
/// If two of them differ, or one cannot be asked.
pub async fn agreed_balances(http: &HttpClient, count: usize) -> Result<BTreeMap<String, u128>, Disagreement> {
    let mut agreed: Option<BTreeMap<String, u128>> = None;
    for node in http.nodes().iter().take(count.max(1)) {
        let found = balances(http, node.id).await?;
        match &agreed {
            Some(others) if *others != found => {
                return Err(Disagreement::wrong(node.id, "its balances differ from the ones of the nodes before it"));
            }
            Some(_) => {}
            None => agreed = Some(found),
        }
    }
    Ok(agreed.unwrap_or_default())
}

/// Checks that every node knows these commands as executed, with these receipts.
///
/// # Errors
/// Names the first node that lost a command or has another receipt for it.
pub async fn have_receipts(http: &HttpClient, receipts: &[Receipt]) -> Result<(), Disagreement> {
    for piece in receipts.chunks(IDS_PER_QUESTION) {
        let ids: Vec<String> = piece.iter().map(|r| r.command.to_string()).collect();
        let question = json!({ "ids": ids, "timeout_ms": 0 });
        for node in http.nodes() {
            let answer = http.post(node.id, "/v1/wait", &question).await?;
            let commands = answer["commands"].as_array().map_or(&[][..], Vec::as_slice);
            if commands.len() != piece.len() {
                let what = format!("asked for {} commands, it answers for {}", piece.len(), commands.len());
                return Err(Disagreement::wrong(node.id, what));
            }
            for (receipt, found) in piece.iter().zip(commands) {
                same_receipt(node.id, receipt, found)?;
            }
        }
    }
    Ok(())
}

fn same_receipt(node: NodeId, receipt: &Receipt, found: &Value) -> Result<(), Disagreement> {
    let id: CommandId = receipt.command;
    if found["state"] != "executed" {
        return Err(Disagreement::wrong(node, format!("LOST: acknowledged command {id} is {} there", found["state"])));
    }
    let same = found["id"] == id.to_string()
        && found["index"] == receipt.index.0
        && found["height"] == receipt.height.0
        && found["outcome"]["code"] == receipt.outcome.code.0
        && found["outcome"]["text"] == receipt.outcome.text
        && found["diff_hash"] == receipt.diff.to_string();
    match same {
        true => Ok(()),
        false => Err(Disagreement::wrong(node, format!("CHANGED: acknowledged {receipt:?}, it now says {found}"))),
    }
}
