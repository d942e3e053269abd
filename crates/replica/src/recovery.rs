//! A restart: the node's own log, re-executed.
//!
//! The log holds blocks and commit certificates in the order they were written. A block's record always precedes the
//! certificate that commits it, so one pass suffices. What the log held was verified before it was written, and the
//! store has checked every checksum; signatures are not checked again here. [`crate::audit`] does that.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use consensus::{Safety, VerifiedBlock, VerifiedCertificate};
use ledger::Ledger;
use store::{Disk, RecordAt, Store, StoreError};
use thiserror::Error;
use wire::merkle::Frontier;
use wire::{
    Block, BlockDigest, Certificate, ClusterId, Decode, DecodeError, Evidence, Executed, Genesis, Height, Term,
};

use crate::EngineStart;
use crate::journal::{self, Index};
use crate::rules::Rules;

/// Recent heights handed to the engine.
const RECENT_HEIGHTS: usize = 2048;

/// How far a restart has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Log records read.
    pub records: u64,
    /// Log records there are.
    pub records_total: u64,
    /// Height executed.
    pub height: Height,
}

/// Why a log could not be taken up again.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The store's own reason.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record's checksum is good and its content is not: it was written by another version.
    #[error("log record {number} cannot be read: {why}. It was written by another version of Juno; run that version")]
    Record {
        /// The record.
        number: u64,
        /// What is wrong.
        why: DecodeError,
    },
    /// The safety record cannot be read.
    #[error("safety record cannot be read: {0}. It was written by another version of Juno; run that version")]
    Safety(DecodeError),
    /// A certificate commits a block that the log does not hold.
    #[error("log record {number} commits height {height}, but the log does not hold the blocks up to it")]
    Missing {
        /// The record.
        number: u64,
        /// The height.
        height: Height,
    },
    /// Re-execution gave another result than a committed block certifies.
    #[error("{0}. This build executes differently from the one that wrote the log, or the log was changed")]
    Diverged(consensus::HaltReason),
    /// The genesis document is not sound.
    #[error(transparent)]
    Genesis(#[from] wire::genesis::GenesisError),
    /// The node is not in the genesis document.
    #[error("node {0} is not a voter of this cluster")]
    NotAVoter(wire::NodeId),
}

/// Everything a log gives back.
pub(crate) struct Recovered {
    pub ledger: Ledger,
    pub index: Index,
    pub start: EngineStart,
    pub evidence: Vec<Evidence>,
}

struct Pass<'a> {
    cluster: ClusterId,
    ledger: Ledger,
    index: Index,
    root: wire::BlockHeader,
    root_digest: BlockDigest,
    frontier: Frontier,
    commit: Certificate,
    recent: VecDeque<(Height, BlockDigest, Term)>,
    executed: BTreeMap<Height, Executed>,
    /// Blocks read and not committed, in the order written.
    pending: BTreeMap<BlockDigest, Arc<VerifiedBlock>>,
    evidence: Vec<Evidence>,
    progress: &'a mut dyn FnMut(Progress),
    records_total: u64,
}

/// Reads and executes the whole log.
pub(crate) fn recover<D: Disk, R: Rules>(
    genesis: &Genesis,
    store: &Store<D>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recovered, OpenError> {
    let cluster = genesis.cluster_id();
    let base = crate::base_claim(genesis);
    let root = crate::base_header(genesis);
    let phase = consensus::certificate::commit_phase_under::<R>(genesis.fault_model);
    let mut pass = Pass {
        cluster,
        ledger: Ledger::new(genesis),
        index: Index::default(),
        executed: BTreeMap::from([(root.height, root.executed)]),
        recent: VecDeque::from([(root.height, base.digest, Term::ZERO)]),
        root_digest: base.digest,
        root,
        frontier: Frontier::default(),
        commit: Certificate::base(phase, base.height, base.digest),
        pending: BTreeMap::new(),
        evidence: Vec::new(),
        progress,
        records_total: store.records(),
    };
    store.replay(|at, kind, payload| pass.record::<R>(at, kind, payload))?;
    let safety = store.safety().map(Safety::from_bytes).transpose().map_err(OpenError::Safety)?;
    let mut blocks: Vec<Arc<VerifiedBlock>> = pass.pending.into_values().collect();
    blocks.sort_by_key(|b| b.header.height);
    Ok(Recovered {
        ledger: pass.ledger,
        index: pass.index,
        evidence: pass.evidence,
        start: EngineStart {
            base,
            root: pass.root,
            frontier: pass.frontier,
            commit: VerifiedCertificate::from_own_log(pass.commit),
            recent: pass.recent.into(),
            safety,
            blocks,
            executed: pass.executed.into_values().collect(),
        },
    })
}

impl Pass<'_> {
    fn record<R: Rules>(&mut self, at: RecordAt, kind: u8, payload: &[u8]) -> Result<(), OpenError> {
        let number = at.number();
        let unreadable = |why| OpenError::Record { number, why };
        match kind {
            journal::BLOCK => {
                let block = Block::from_bytes(payload).map_err(unreadable)?;
                let block = VerifiedBlock::from_own_log(&self.cluster, block);
                if block.header.height > self.root.height {
                    self.index.block(&block, at);
                    self.pending.insert(block.digest, Arc::new(block));
                }
            }
            journal::COMMIT => {
                let commit = Certificate::from_bytes(payload).map_err(unreadable)?;
                self.commit::<R>(commit, at)?;
            }
            journal::EVIDENCE => self.evidence.push(Evidence::from_bytes(payload).map_err(unreadable)?),
            tag => return Err(unreadable(DecodeError::Tag { what: "log record", tag: tag.into() })),
        }
        if number.is_multiple_of(64) || number + 1 == self.records_total {
            (self.progress)(Progress {
                records: number + 1,
                records_total: self.records_total,
                height: self.root.height,
            });
        }
        Ok(())
    }

    fn commit<R: Rules>(&mut self, commit: Certificate, at: RecordAt) -> Result<(), OpenError> {
        let height = commit.claim.height;
        let mut chain = Vec::new();
        let mut digest = commit.claim.digest;
        while digest != self.root_digest {
            let missing = OpenError::Missing { number: at.number(), height };
            let block = self.pending.get(&digest).ok_or(missing)?;
            digest = block.header.parent;
            chain.push(block.clone());
        }
        for block in chain.into_iter().rev() {
            self.execute::<R>(&block, commit.claim.term)?;
        }
        self.index.commit(height, at);
        self.pending.retain(|_, block| block.header.height > height);
        self.commit = commit;
        Ok(())
    }

    fn execute<R: Rules>(&mut self, block: &VerifiedBlock, term: Term) -> Result<(), OpenError> {
        let header = &block.header;
        let claimed = header.executed;
        if let Some(found) = self.executed.get(&claimed.height)
            && *found != claimed
        {
            return Err(OpenError::Diverged(consensus::HaltReason::ExecutionDiffers {
                block: header.height,
                height: claimed.height,
                claimed: Box::new(claimed),
                found: Box::new(*found),
            }));
        }
        for entry in &block.entries {
            self.frontier.push(entry.leaf());
        }
        if self.frontier.root() != header.log_root {
            let found = self.frontier.root();
            return Err(OpenError::Diverged(consensus::HaltReason::LogDiffers { height: header.height, found }));
        }
        let result =
            self.ledger.execute_block_under::<R>(header.height, header.time, header.first_index, &block.entries, None);
        let executed =
            Executed { height: header.height, state_root: result.state_root, receipts_root: result.receipts_root };
        self.executed.insert(header.height, executed);
        self.recent.push_back((header.height, block.digest, term));
        while self.recent.len() > RECENT_HEIGHTS {
            self.recent.pop_front();
            self.executed.pop_first();
        }
        self.index.committed(header.height, block.digest);
        self.root = header.clone();
        self.root_digest = block.digest;
        Ok(())
    }
}
