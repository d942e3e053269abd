//! From received to verified messages: every signature and certificate is checked here, before the engine sees a thing.
//!
//! The check is a function of the bytes and the membership; it runs on worker threads in a node and inline in a
//! simulation. Statements already checked are remembered by hash, so that the votes inside a certificate, seen before
//! one by one, cost a lookup.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use thiserror::Error;
use wire::keys::{Item, verify_batch};
use wire::merkle;
use wire::peer::{AppendEntries, Blocks, Fetch, Recall, Standing};
use wire::statement::{BadCommand, Claim};
use wire::{
    Block, BlockDigest, BlockHeader, Certificate, ClusterId, ElectionCertificate, ElectionVote, Evidence, FaultModel,
    Hash, Heartbeat, Membership, NodeId, PeerMessage, Phase, Proposal, Signed, SignedCommand, Statement,
    StatementError, Verified, VerifiedCommand, Vote,
};

use crate::certificate::{
    CertificateError, VerifiedCertificate, VerifiedElection, check_certificate, check_election, commit_phase_under,
};
use crate::quorum::Quorum;
use crate::rules::{Rule, Rules, Standard};

/// A block whose entries are the ones its header names, every command's signatures checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBlock {
    /// The header.
    pub header: BlockHeader,
    /// The header's digest.
    pub digest: BlockDigest,
    /// The commands.
    pub entries: Vec<VerifiedCommand>,
}

impl VerifiedBlock {
    /// The block, for sending or writing.
    pub fn to_block(&self) -> Block {
        Block { header: self.header.clone(), entries: self.entries.iter().map(|e| e.signed().clone()).collect() }
    }

    /// Takes a block from this node's own checksummed log, where only verified blocks are ever written.
    pub fn from_own_log(cluster: &ClusterId, block: Block) -> VerifiedBlock {
        VerifiedBlock {
            digest: block.header.digest(cluster),
            header: block.header,
            entries: block.entries.into_iter().map(|e| VerifiedCommand::from_own_log(cluster, e)).collect(),
        }
    }
}

/// A message whose every signature was checked.
#[derive(Debug, Clone)]
pub enum VerifiedMessage {
    /// A proposed block.
    AppendEntries(Box<VerifiedAppend>),
    /// A vote.
    Vote(Verified<Vote>),
    /// A vote for the next term.
    ElectionVote(Box<VerifiedElectionVote>),
    /// The leader lives.
    Heartbeat(Box<VerifiedHeartbeat>),
    /// A request for blocks.
    Fetch(Fetch),
    /// Blocks asked for.
    Blocks(Box<VerifiedBlocks>),
    /// Proof of misbehaviour.
    Evidence(VerifiedEvidence),
    /// Commands passed on.
    Forward(Vec<VerifiedCommand>),
    /// A node (re)started.
    Rejoin,
    /// What the sender holds that this node signed.
    Recall(Box<VerifiedRecall>),
    /// Where the sender stands.
    Standing(Box<VerifiedStanding>),
}

/// See [`AppendEntries`].
#[derive(Debug, Clone)]
pub struct VerifiedAppend {
    /// The leader's signature on the digest.
    pub proposal: Verified<Proposal>,
    /// The block.
    pub block: Arc<VerifiedBlock>,
    /// The election, on the first block of a term.
    pub election: Option<VerifiedElection>,
    /// The commit certificate behind the executed claim.
    pub claim: Option<VerifiedCertificate>,
}

/// See [`wire::peer::ElectionVoteMessage`].
#[derive(Debug, Clone)]
pub struct VerifiedElectionVote {
    /// The vote.
    pub vote: Verified<ElectionVote>,
    /// The proof of its claim.
    pub highest: Option<VerifiedCertificate>,
    /// Where its author stands.
    pub standing: VerifiedStanding,
}

/// See [`Standing`].
#[derive(Debug, Clone)]
pub struct VerifiedStanding {
    /// The election of the term entered.
    pub election: Option<VerifiedElection>,
    /// The newest commit certificate.
    pub commit: VerifiedCertificate,
}

/// See [`wire::peer::HeartbeatMessage`].
#[derive(Debug, Clone)]
pub struct VerifiedHeartbeat {
    /// The heartbeat.
    pub heartbeat: Verified<Heartbeat>,
    /// Its proofs.
    pub standing: VerifiedStanding,
}

/// See [`Blocks`].
#[derive(Debug, Clone)]
pub struct VerifiedBlocks {
    /// The blocks.
    pub blocks: Vec<Arc<VerifiedBlock>>,
    /// A commit certificate of the last of them.
    pub commit: Option<VerifiedCertificate>,
}

/// See [`Recall`]. The votes are this node's own, by signature.
#[derive(Debug, Clone)]
pub struct VerifiedRecall {
    /// Newest votes.
    pub votes: Vec<Verified<Vote>>,
    /// Newest election vote.
    pub election_vote: Option<Verified<ElectionVote>>,
    /// Where the sender stands.
    pub standing: VerifiedStanding,
}

/// Evidence whose statements really contradict each other and really are signed by the accused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEvidence(Evidence);

impl VerifiedEvidence {
    /// Wraps evidence put together from verified statements.
    pub(crate) fn assume(evidence: Evidence) -> VerifiedEvidence {
        VerifiedEvidence(evidence)
    }
}

impl std::ops::Deref for VerifiedEvidence {
    type Target = Evidence;
    fn deref(&self) -> &Evidence {
        &self.0
    }
}

/// What a peer did wrong. A value to count and log; the message is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Offence {
    /// A statement's author, epoch or signature.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Parts of one message contradict each other.
    #[error("message contradicts itself: {0}")]
    Inconsistent(&'static str),
    /// A forwarded command's signature.
    #[error("forwarded command has a bad signature")]
    ForwardedCommand,
    /// A block not signed by any leader holds a command with a bad signature.
    #[error("block holds a command with a bad signature")]
    BlockCommand,
    /// A leader signed a block that holds a command with a bad signature: this is evidence.
    #[error("leader {} proposed a command with a bad signature", .0.accused())]
    ProposedBadCommand(Box<VerifiedEvidence>),
    /// The evidence proves nothing.
    #[error("evidence proves nothing: {0}")]
    Evidence(&'static str),
}

impl Offence {
    /// A short name, for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Offence::Statement(_) => "bad_statement",
            Offence::Certificate(_) => "bad_certificate",
            Offence::Inconsistent(_) => "inconsistent",
            Offence::ForwardedCommand => "bad_forwarded_command",
            Offence::BlockCommand => "bad_block_command",
            Offence::ProposedBadCommand(_) => "proposed_bad_command",
            Offence::Evidence(_) => "bad_evidence",
        }
    }

    /// The proof, if the offence is one that counts.
    pub fn evidence(&self) -> Option<VerifiedEvidence> {
        match self {
            Offence::ProposedBadCommand(evidence) => Some((**evidence).clone()),
            _ => None,
        }
    }
}

/// Statements and commands already found valid, by hash. Two generations, so that it is bounded and cheap to age.
#[derive(Debug, Default)]
struct Remembered {
    young: BTreeSet<Hash>,
    old: BTreeSet<Hash>,
}

/// Entries of one generation.
const REMEMBERED_MAX: usize = 1 << 16;

impl Remembered {
    fn contains(&self, hash: &Hash) -> bool {
        self.young.contains(hash) || self.old.contains(hash)
    }

    fn insert(&mut self, hash: Hash) {
        if self.young.len() >= REMEMBERED_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash);
    }
}

/// Checks messages of one cluster and membership. Clones share what they remember.
#[derive(Debug, Clone)]
pub struct Verifier<R: Rules = Standard> {
    cluster: ClusterId,
    membership: Arc<Membership>,
    base: Claim,
    quorum: Quorum,
    remembered: Arc<Mutex<Remembered>>,
    rules: PhantomData<R>,
}

impl Verifier {
    /// A verifier for `membership`, whose epoch starts from `base` (term 0, base height, base digest).
    pub fn new(cluster: ClusterId, membership: Membership, base: Claim) -> Verifier {
        Verifier::under(cluster, membership, base)
    }
}

impl<R: Rules> Verifier<R> {
    /// A verifier under rules of the caller's.
    pub fn under(cluster: ClusterId, membership: Membership, base: Claim) -> Verifier<R> {
        let quorum = Quorum::under::<R>(&membership);
        let membership = Arc::new(membership);
        Verifier { cluster, membership, base, quorum, remembered: Arc::default(), rules: PhantomData }
    }

    /// Checks a message. `from` is the peer the link belongs to.
    ///
    /// # Errors
    /// The peer's fault, as a value; the message must be dropped.
    pub fn verify(&self, from: NodeId, message: PeerMessage) -> Result<VerifiedMessage, Offence> {
        Ok(match message {
            PeerMessage::AppendEntries(append) => VerifiedMessage::AppendEntries(Box::new(self.append(*append)?)),
            PeerMessage::Vote(vote) => VerifiedMessage::Vote(self.statement(vote)?),
            PeerMessage::ElectionVote(message) => {
                let vote = self.statement(message.vote)?;
                let highest = message.highest.map(|c| self.certificate(c, Phase::Replicated)).transpose()?;
                self.check_claim(&vote, highest.as_ref())?;
                let standing = self.standing(message.standing)?;
                VerifiedMessage::ElectionVote(Box::new(VerifiedElectionVote { vote, highest, standing }))
            }
            PeerMessage::Heartbeat(message) => VerifiedMessage::Heartbeat(Box::new(VerifiedHeartbeat {
                heartbeat: self.statement(message.heartbeat)?,
                standing: self.standing(message.standing)?,
            })),
            PeerMessage::Fetch(fetch) => VerifiedMessage::Fetch(fetch),
            PeerMessage::Blocks(blocks) => VerifiedMessage::Blocks(Box::new(self.blocks(*blocks)?)),
            PeerMessage::Evidence(evidence) => VerifiedMessage::Evidence(self.evidence(evidence)?),
            PeerMessage::Forward(commands) => {
                let verdicts = self.verify_commands(commands.0);
                let verified: Result<Vec<VerifiedCommand>, SignedCommand> = verdicts.into_iter().collect();
                VerifiedMessage::Forward(verified.map_err(|_| Offence::ForwardedCommand)?)
            }
            PeerMessage::Rejoin => VerifiedMessage::Rejoin,
            PeerMessage::Recall(recall) => VerifiedMessage::Recall(Box::new(self.recall(*recall)?)),
            PeerMessage::Standing(standing) => VerifiedMessage::Standing(Box::new(self.standing(*standing)?)),
        })
        .inspect(|_| debug_assert!(self.membership.voter(from).is_some(), "links belong to voters"))
    }

    /// Checks commands of clients or peers; one verdict per command, in order. Valid ones are remembered, so that
    /// seeing them again in a block costs a lookup.
    pub fn verify_commands(&self, commands: Vec<SignedCommand>) -> Vec<Result<VerifiedCommand, SignedCommand>> {
        let verdicts = self.check_commands(commands);
        let mut remembered = self.remembered.lock().expect("no holder panics");
        for command in verdicts.iter().flatten() {
            remembered.insert(command.leaf());
        }
        verdicts
    }

    fn check_commands(&self, commands: Vec<SignedCommand>) -> Vec<Result<VerifiedCommand, SignedCommand>> {
        let known: Vec<bool> = {
            let leaves: Vec<Hash> = commands.iter().map(SignedCommand::leaf).collect();
            let remembered = self.remembered.lock().expect("no holder panics");
            leaves.iter().map(|leaf| remembered.contains(leaf)).collect()
        };
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for (command, known) in commands.into_iter().zip(&known) {
            if *known { old.push(command) } else { new.push(command) }
        }
        let mut new = VerifiedCommand::verify_all(&self.cluster, new).into_iter();
        // The leaf covers command and signatures, so a remembered leaf is a checked one.
        let mut old = old.into_iter().map(|command| Ok(VerifiedCommand::from_own_log(&self.cluster, command)));
        known
            .iter()
            .map(|known| if *known { old.next() } else { new.next() }.expect("one verdict for each command"))
            .collect()
    }

    fn key_of<T: Statement>(&self, signed: &Signed<T>) -> Result<wire::PublicKey, Offence> {
        let value = signed.unverified();
        if value.epoch() != self.membership.epoch {
            return Err(StatementError::WrongEpoch(value.epoch()).into());
        }
        let voter = self.membership.voter(value.author());
        Ok(voter.ok_or(StatementError::UnknownAuthor(value.author()))?.key)
    }

    /// Checks many statements of one type, skipping those remembered.
    fn statements<T: Statement>(&self, signed: Vec<Signed<T>>) -> Result<Vec<Verified<T>>, Offence> {
        let mut fresh = Vec::new();
        for statement in &signed {
            let key = self.key_of(statement)?;
            let message = statement.preimage(&self.cluster);
            let mut hasher = wire::Hasher::new(T::DOMAIN);
            hasher.update(&message);
            hasher.update(&statement.signature().0);
            let hash = hasher.finish();
            if !self.remembered.lock().expect("no holder panics").contains(&hash) {
                fresh.push((statement.unverified().author(), key, message, *statement.signature(), hash));
            }
        }
        let items: Vec<Item<'_>> = fresh.iter().map(|(_, key, m, s, _)| (*key, m.as_slice(), *s)).collect();
        for (verdict, (author, ..)) in verify_batch(&items).into_iter().zip(&fresh) {
            if R::holds(Rule::Signatures) {
                verdict.map_err(|_| StatementError::BadSignature(*author))?;
            }
        }
        let mut remembered = self.remembered.lock().expect("no holder panics");
        for (.., hash) in fresh {
            remembered.insert(hash);
        }
        Ok(signed.into_iter().map(Verified::from_own_log).collect())
    }

    fn statement<T: Statement>(&self, signed: Signed<T>) -> Result<Verified<T>, Offence> {
        Ok(self.statements(vec![signed])?.pop().expect("one for one"))
    }

    /// Checks a certificate of a given phase.
    pub fn certificate(&self, certificate: Certificate, phase: Phase) -> Result<VerifiedCertificate, Offence> {
        if certificate.phase != phase {
            return Err(CertificateError::Phase.into());
        }
        check_certificate::<R>(&certificate, &self.cluster, self.membership.epoch, &self.base, &self.quorum)?;
        self.statements(certificate.votes.clone())?;
        Ok(VerifiedCertificate::assume(certificate))
    }

    /// Checks a commit certificate.
    pub fn commit_certificate(&self, certificate: Certificate) -> Result<VerifiedCertificate, Offence> {
        self.certificate(certificate, commit_phase_under::<R>(self.membership.fault_model))
    }

    /// Checks an election certificate.
    pub fn election(&self, election: ElectionCertificate) -> Result<VerifiedElection, Offence> {
        check_election::<R>(&election, self.membership.epoch, self.membership.fault_model, &self.quorum)?;
        self.statements(election.votes.clone())?;
        if let Some(highest) = &election.highest {
            self.certificate(highest.clone(), Phase::Replicated)?;
        }
        Ok(VerifiedElection::assume(election))
    }

    /// The attached certificate must be the one signed, and of an earlier term.
    fn check_claim(&self, vote: &ElectionVote, highest: Option<&VerifiedCertificate>) -> Result<(), Offence> {
        let proven = match self.membership.fault_model {
            FaultModel::Byzantine => highest.is_some_and(|c| c.claim == vote.claim),
            FaultModel::Crash => highest.is_none(),
        };
        if !proven && R::holds(Rule::ClaimsProven) {
            return Err(Offence::Inconsistent("an election vote must carry exactly the certificate it signs"));
        }
        if vote.claim.term >= vote.term {
            return Err(Offence::Inconsistent("an election vote's certificate must be of an earlier term"));
        }
        Ok(())
    }

    fn standing(&self, standing: Standing) -> Result<VerifiedStanding, Offence> {
        Ok(VerifiedStanding {
            election: standing.election.map(|e| self.election(e)).transpose()?,
            commit: self.commit_certificate(standing.commit)?,
        })
    }

    fn append(&self, append: AppendEntries) -> Result<VerifiedAppend, Offence> {
        let proposal = self.statement(append.proposal)?;
        let header = &append.block.header;
        let digest = header.digest(&self.cluster);
        if proposal.digest != digest || proposal.height != header.height || proposal.epoch != header.epoch {
            return Err(Offence::Inconsistent("a proposal must sign the block it comes with"));
        }
        let block = match self.block(append.block, digest)? {
            Ok(block) => block,
            Err(bad) => {
                let evidence = Evidence::BadCommand(Box::new(bad.proposed_by(proposal.into_signed())));
                return Err(Offence::ProposedBadCommand(Box::new(VerifiedEvidence(evidence))));
            }
        };
        Ok(VerifiedAppend {
            proposal,
            block,
            election: append.election.map(|e| self.election(e)).transpose()?,
            claim: append.claim.map(|c| self.commit_certificate(c)).transpose()?,
        })
    }

    /// Checks that a block's entries are the ones its header names, and all their signatures.
    fn block(&self, block: Block, digest: BlockDigest) -> Result<Result<Arc<VerifiedBlock>, BadEntry>, Offence> {
        if !block.entries_match() {
            return Err(Offence::Inconsistent("a block's entries must be the ones its header names"));
        }
        let Block { header, entries } = block;
        let verdicts = self.check_commands(entries);
        if let Some(position) = verdicts.iter().position(Result::is_err) {
            return Ok(Err(BadEntry::new(header, position, verdicts)));
        }
        let entries = verdicts.into_iter().flatten().collect();
        Ok(Ok(Arc::new(VerifiedBlock { header, digest, entries })))
    }

    fn blocks(&self, blocks: Blocks) -> Result<VerifiedBlocks, Offence> {
        let mut verified = Vec::with_capacity(blocks.blocks.len());
        let mut parent: Option<BlockDigest> = None;
        for block in blocks.blocks {
            let digest = block.header.digest(&self.cluster);
            if parent.is_some_and(|p| p != block.header.parent) {
                return Err(Offence::Inconsistent("blocks must each be the child of the one before"));
            }
            parent = Some(digest);
            verified.push(self.block(block, digest)?.map_err(|_| Offence::BlockCommand)?);
        }
        let commit = blocks.commit.map(|c| self.commit_certificate(c)).transpose()?;
        Ok(VerifiedBlocks { blocks: verified, commit })
    }

    fn recall(&self, recall: Recall) -> Result<VerifiedRecall, Offence> {
        Ok(VerifiedRecall {
            votes: self.statements(recall.votes)?,
            election_vote: recall.election_vote.map(|v| self.statement(v)).transpose()?,
            standing: self.standing(recall.standing)?,
        })
    }

    /// Checks that evidence proves what it says: both statements signed by the accused, about one place, different.
    pub fn evidence(&self, evidence: Evidence) -> Result<VerifiedEvidence, Offence> {
        match &evidence {
            Evidence::Proposals(pair) => {
                let [a, b] = self.pair(&pair.0, &pair.1)?;
                let same_place = (a.author, a.epoch, a.term, a.height) == (b.author, b.epoch, b.term, b.height);
                if !same_place || a.digest == b.digest {
                    return Err(Offence::Evidence("two proposals must differ at one term and height"));
                }
            }
            Evidence::Votes(pair) => {
                let [a, b] = self.pair(&pair.0, &pair.1)?;
                let place = |v: &Vote| (v.author, v.epoch, v.phase, v.term, v.height);
                if place(&a) != place(&b) || a.digest == b.digest {
                    return Err(Offence::Evidence("two votes must differ at one phase, term and height"));
                }
            }
            Evidence::ElectionVotes(pair) => {
                let [a, b] = self.pair(&pair.0, &pair.1)?;
                if (a.author, a.epoch, a.term) != (b.author, b.epoch, b.term) || a.claim == b.claim {
                    return Err(Offence::Evidence("two election votes must differ for one term"));
                }
            }
            Evidence::BadCommand(bad) => self.bad_command_evidence(bad)?,
        }
        Ok(VerifiedEvidence(evidence))
    }

    fn pair<T: Statement>(&self, a: &Signed<T>, b: &Signed<T>) -> Result<[Verified<T>; 2], Offence> {
        Ok([self.statement(a.clone())?, self.statement(b.clone())?])
    }

    fn bad_command_evidence(&self, bad: &BadCommand) -> Result<(), Offence> {
        let proposal = self.statement(bad.proposal.clone())?;
        if proposal.digest != bad.header.digest(&self.cluster) {
            return Err(Offence::Evidence("the proposal signs another block"));
        }
        let (position, count) = (u64::from(bad.position), u64::from(bad.header.entry_count));
        let leaf = bad.command.leaf();
        if !merkle::verify_inclusion(&leaf, position, count, &bad.path, &bad.header.entries_root) {
            return Err(Offence::Evidence("the command is not in the block"));
        }
        match bad.command.clone().verify(&self.cluster) {
            Ok(_) => Err(Offence::Evidence("the command's signature is good")),
            Err(_) => Ok(()),
        }
    }
}

/// A command with a bad signature, tied to the block that holds it.
struct BadEntry {
    header: BlockHeader,
    position: u32,
    path: Vec<Hash>,
    command: SignedCommand,
}

impl BadEntry {
    fn new(header: BlockHeader, position: usize, verdicts: Vec<Result<VerifiedCommand, SignedCommand>>) -> BadEntry {
        let leaves = verdicts.iter().map(|v| v.as_ref().map_or_else(SignedCommand::leaf, VerifiedCommand::leaf));
        let tree = merkle::Tree::new(leaves.collect());
        let path = tree.inclusion(position, tree.len()).expect("position is in the block");
        let command = verdicts.into_iter().nth(position).and_then(Result::err).expect("the command found bad");
        BadEntry { header, position: position as u32, path, command }
    }

    fn proposed_by(self, proposal: Signed<Proposal>) -> BadCommand {
        BadCommand { proposal, header: self.header, position: self.position, path: self.path, command: self.command }
    }
}
