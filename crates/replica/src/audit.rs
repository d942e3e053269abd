//! A node's log checked by somebody who trusts nothing but the genesis document: every hash, every signature, every
//! certificate, and every result by executing it all again.

use std::collections::BTreeMap;

use ledger::Ledger;
use store::{Disk, LogReader, StoreError};
use thiserror::Error;
use wire::merkle::Frontier;
use wire::{
    Block, BlockDigest, BlockHeader, Certificate, Decode, DecodeError, Evidence, Executed, Genesis, Hash, Height,
    NodeId, Phase, VerifiedCommand,
};

use consensus::{Offence, Verifier};

use crate::journal;

/// What an audit found in a sound log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Committed blocks checked.
    pub height: Height,
    /// Log entries checked and executed.
    pub entries: u64,
    /// Client signatures checked.
    pub signatures: u64,
    /// Commit certificates checked.
    pub certificates: u64,
    /// Blocks in the log that are not committed.
    pub uncommitted: u64,
    /// Blocks whose claimed results of execution were compared, and found equal.
    pub claims: u64,
    /// The highest height whose results a committed block certifies.
    pub certified: Height,
    /// The root over all tables at the end.
    pub state_root: Hash,
    /// The root over all receipts at the end.
    pub receipts_root: Hash,
    /// The root over all entries at the end.
    pub log_root: Hash,
    /// Offences proven by evidence in the log.
    pub evidence: Vec<(NodeId, &'static str)>,
}

/// How far an audit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditProgress {
    /// Log records read, of `records_total`.
    pub records: u64,
    /// Log records there are.
    pub records_total: u64,
    /// Log entries executed.
    pub entries: u64,
}

/// What is wrong with a log. Names the record.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The store could not be read, or a checksum is wrong.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record cannot be decoded.
    #[error("record {record}: {why}")]
    Record {
        /// The record.
        record: u64,
        /// Why.
        why: DecodeError,
    },
    /// A certificate or evidence does not verify.
    #[error("record {record}: {why}")]
    Statement {
        /// The record.
        record: u64,
        /// Why.
        why: Offence,
    },
    /// A block breaks a rule.
    #[error("block {height} (record {record}): {why}")]
    Block {
        /// The record of the certificate that commits it.
        record: u64,
        /// The block.
        height: Height,
        /// The rule.
        why: String,
    },
    /// A certificate commits blocks that the log does not hold.
    #[error("record {record} commits height {height}, but the log does not hold the blocks up to it")]
    Missing {
        /// The record.
        record: u64,
        /// The height.
        height: Height,
    },
}

struct Auditor<'a> {
    genesis: &'a Genesis,
    verifier: Verifier,
    phase: Phase,
    ledger: Ledger,
    root: BlockHeader,
    root_digest: BlockDigest,
    frontier: Frontier,
    pending: BTreeMap<BlockDigest, Block>,
    executed: BTreeMap<Height, Executed>,
    audit: Audit,
}

/// Audits a log.
///
/// # Errors
/// The first thing found wrong.
pub fn audit<D: Disk>(
    genesis: &Genesis,
    log: &LogReader<D>,
    progress: &mut dyn FnMut(AuditProgress),
) -> Result<Audit, AuditError> {
    let root = crate::base_header(genesis);
    let ledger = Ledger::new(genesis);
    let mut auditor = Auditor {
        genesis,
        verifier: crate::verifier(genesis),
        phase: consensus::certificate::commit_phase(genesis.fault_model),
        root_digest: root.digest(&genesis.cluster_id()),
        frontier: Frontier::default(),
        pending: BTreeMap::new(),
        executed: BTreeMap::from([(root.height, root.executed)]),
        audit: Audit {
            height: root.height,
            entries: 0,
            signatures: 0,
            certificates: 0,
            uncommitted: 0,
            claims: 0,
            certified: root.height,
            state_root: ledger.state_root(),
            receipts_root: ledger.receipts_root(),
            log_root: root.log_root,
            evidence: vec![],
        },
        root,
        ledger,
    };
    let records_total = log.recovered().records;
    log.replay(|at, kind, payload| {
        auditor.record(at.number(), kind, payload)?;
        let entries = auditor.audit.entries;
        progress(AuditProgress { records: at.number() + 1, records_total, entries });
        Ok::<(), AuditError>(())
    })?;
    auditor.audit.uncommitted = auditor.pending.len() as u64;
    Ok(auditor.audit)
}

impl Auditor<'_> {
    fn record(&mut self, record: u64, kind: u8, payload: &[u8]) -> Result<(), AuditError> {
        let unreadable = |why| AuditError::Record { record, why };
        let unproven = |why| AuditError::Statement { record, why };
        match kind {
            journal::BLOCK => {
                let block = Block::from_bytes(payload).map_err(unreadable)?;
                if !block.entries_match() {
                    let why = Offence::Inconsistent("a block's entries must be the ones its header names");
                    return Err(unproven(why));
                }
                if block.header.height > self.root.height {
                    self.pending.insert(block.header.digest(&self.genesis.cluster_id()), block);
                }
            }
            journal::COMMIT => {
                let certificate = Certificate::from_bytes(payload).map_err(unreadable)?;
                let certificate = self.verifier.certificate(certificate, self.phase).map_err(unproven)?;
                if certificate.claim.height > self.root.height {
                    self.audit.certificates += 1;
                    self.commit(record, &certificate)?;
                }
            }
            journal::EVIDENCE => {
                let evidence = Evidence::from_bytes(payload).map_err(unreadable)?;
                let evidence = self.verifier.evidence(evidence).map_err(unproven)?;
                self.audit.evidence.push((evidence.accused(), evidence.offence()));
            }
            tag => return Err(unreadable(DecodeError::Tag { what: "log record", tag: tag.into() })),
        }
        Ok(())
    }

    fn commit(&mut self, record: u64, certificate: &Certificate) -> Result<(), AuditError> {
        let height = certificate.claim.height;
        let mut chain = Vec::new();
        let mut digest = certificate.claim.digest;
        while digest != self.root_digest {
            let block = self.pending.remove(&digest).ok_or(AuditError::Missing { record, height })?;
            let parent = block.header.parent;
            chain.push((digest, block));
            digest = parent;
        }
        for (digest, block) in chain.into_iter().rev() {
            let height = block.header.height;
            self.block(digest, block).map_err(|why| AuditError::Block { record, height, why })?;
        }
        self.pending.retain(|_, block| block.header.height > height);
        Ok(())
    }

    fn block(&mut self, digest: BlockDigest, block: Block) -> Result<(), String> {
        self.check_header(&block.header)?;
        let limits = &self.genesis.parameters;
        if block.entries.len() > limits.block_entries_max as usize
            || block.entry_bytes() > limits.block_bytes_max as usize
        {
            return Err("it is larger than the genesis document allows".into());
        }
        for leaf in block.leaves() {
            self.frontier.push(leaf);
        }
        let Block { header, entries } = block;
        if self.frontier.root() != header.log_root {
            return Err(format!("its log root is not the one of the entries: {}", self.frontier.root()));
        }
        let entries = self.check_signatures(entries)?;
        let result = self.ledger.execute_block(header.height, header.time, header.first_index, &entries);
        let (state_root, receipts_root) = (result.state_root, result.receipts_root);
        self.executed.insert(header.height, Executed { height: header.height, state_root, receipts_root });
        self.audit.height = header.height;
        self.audit.entries += entries.len() as u64;
        self.audit.state_root = state_root;
        self.audit.receipts_root = receipts_root;
        self.audit.log_root = header.log_root;
        self.root_digest = digest;
        self.root = header;
        Ok(())
    }

    fn check_header(&mut self, header: &BlockHeader) -> Result<(), String> {
        let parent = &self.root;
        let rules = [
            (Some(header.height) == parent.height.next(), "its height does not follow its parent's"),
            (header.epoch == parent.epoch, "its epoch is not its parent's"),
            (header.term >= parent.term, "its term lies before its parent's"),
            (Some(header.first_index) == parent.next_index(), "its first index does not follow its parent's entries"),
            (header.time > parent.time, "its time is not above its parent's"),
            (header.executed.height < header.height, "it claims to have executed itself"),
        ];
        if let Some((_, rule)) = rules.iter().find(|(holds, _)| !holds) {
            return Err((*rule).into());
        }
        let claimed = header.executed;
        match self.executed.get(&claimed.height) {
            Some(found) if *found == claimed => {}
            Some(found) => {
                return Err(format!(
                    "it claims state root {} and receipts root {} after height {}; execution gives {} and {}",
                    claimed.state_root, claimed.receipts_root, claimed.height, found.state_root, found.receipts_root
                ));
            }
            None => return Err(format!("it claims a result of height {} after a later one", claimed.height)),
        }
        self.audit.claims += 1;
        self.audit.certified = claimed.height;
        // Claims never go back, so earlier results are not asked for again.
        self.executed = self.executed.split_off(&claimed.height);
        Ok(())
    }

    fn check_signatures(&mut self, entries: Vec<wire::SignedCommand>) -> Result<Vec<VerifiedCommand>, String> {
        self.audit.signatures += entries.iter().map(|e| e.unverified().signers.len() as u64).sum::<u64>();
        let verdicts = VerifiedCommand::verify_all(&self.genesis.cluster_id(), entries);
        let mut verified = Vec::with_capacity(verdicts.len());
        for (position, verdict) in verdicts.into_iter().enumerate() {
            match verdict {
                Ok(command) => verified.push(command),
                Err(bad) => {
                    let party = &bad.unverified().party;
                    return Err(format!("entry {position}, of party {party}, has a bad signature"));
                }
            }
        }
        Ok(verified)
    }
}
