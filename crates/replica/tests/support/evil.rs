//! What a Byzantine voter needs: every key, blocks and certificates of its own making, and a view of all that is said.
//!
//! And what an observer needs to judge the honest: every block that a node's own log commits, and every statement that
//! left a node, checked against the rules that no honest node breaks.
#![allow(dead_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use consensus::Safety;
use replica::Replica;
use replica::journal;
use store::{Crash, Keep, MemDisk, Stamp, Store, StoreError};
use wire::merkle::{self, Frontier};
use wire::peer::{AppendEntries, ElectionVoteMessage, HeartbeatMessage, Standing};
use wire::statement::Claim;
use wire::{
    Block, BlockDigest, BlockHeader, Certificate, Decode, ElectionCertificate, ElectionVote, Genesis, Heartbeat,
    Height, NodeId, PeerMessage, Phase, Proposal, Signed, SignedCommand, Statement, Term, Time, Verified, Vote,
};

use crate::support::{Cluster, Fate, Letter, node_key};

/// Seeds to run: bounded for every day, raised by `JUNO_ATTACK_SEEDS` (a factor) for a soak.
pub fn seeds(everyday: u64) -> std::ops::Range<u64> {
    let factor = std::env::var("JUNO_ATTACK_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    0..everyday * factor
}

/// Forges statements of one cluster with any voter's key.
#[derive(Clone)]
pub struct Forge {
    pub genesis: Genesis,
}

impl Forge {
    pub fn of(c: &Cluster) -> Forge {
        Forge { genesis: c.genesis.clone() }
    }

    pub fn sign<T: Statement>(&self, key_of: u16, value: T) -> Signed<T> {
        Verified::sign(&self.genesis.cluster_id(), value, &node_key(key_of)).unwrap().into_signed()
    }

    pub fn vote(&self, author: u16, phase: Phase, claim: Claim) -> Signed<Vote> {
        self.vote_signed_by(author, author, phase, claim)
    }

    /// A vote that names `author` and is signed with the key of another.
    pub fn vote_signed_by(&self, key_of: u16, author: u16, phase: Phase, claim: Claim) -> Signed<Vote> {
        let Claim { term, height, digest } = claim;
        let epoch = self.genesis.membership().epoch;
        self.sign(key_of, Vote { author: NodeId(author), epoch, phase, term, height, digest })
    }

    pub fn proposal(&self, author: u16, claim: Claim) -> Signed<Proposal> {
        let Claim { term, height, digest } = claim;
        let epoch = self.genesis.membership().epoch;
        self.sign(author, Proposal { author: NodeId(author), epoch, term, height, digest })
    }

    pub fn certificate(&self, phase: Phase, claim: Claim, voters: &[u16]) -> Certificate {
        let votes = voters.iter().map(|v| self.vote(*v, phase, claim)).collect();
        Certificate { phase, claim, headers: vec![], votes }
    }

    pub fn election_vote(&self, author: u16, term: u64, claim: Claim) -> Signed<ElectionVote> {
        let epoch = self.genesis.membership().epoch;
        self.sign(author, ElectionVote { author: NodeId(author), epoch, term: Term(term), claim })
    }

    /// An election by `voters`, who all claim `highest`.
    pub fn election(&self, term: u64, voters: &[u16], highest: &Certificate) -> ElectionCertificate {
        let votes = voters.iter().map(|v| self.election_vote(*v, term, highest.claim)).collect();
        ElectionCertificate { term: Term(term), votes, highest: Some(highest.clone()) }
    }

    pub fn election_vote_message(
        &self,
        author: u16,
        term: u64,
        highest: Certificate,
        standing: Standing,
    ) -> PeerMessage {
        let vote = self.election_vote(author, term, highest.claim);
        PeerMessage::ElectionVote(Box::new(ElectionVoteMessage { vote, highest: Some(highest), standing }))
    }

    pub fn heartbeat(&self, author: u16, term: u64, height: u64, standing: Standing) -> PeerMessage {
        let epoch = self.genesis.membership().epoch;
        let value = Heartbeat { author: NodeId(author), epoch, term: Term(term), commit_height: Height(height) };
        let heartbeat = self.sign(author, value);
        PeerMessage::Heartbeat(Box::new(HeartbeatMessage { heartbeat, standing }))
    }

    pub fn append(&self, author: u16, term: u64, block: Block, election: Option<ElectionCertificate>) -> PeerMessage {
        let digest = block.header.digest(&self.genesis.cluster_id());
        let proposal = self.proposal(author, Claim { term: Term(term), height: block.header.height, digest });
        PeerMessage::AppendEntries(Box::new(AppendEntries { proposal, block, election, claim: None }))
    }

    pub fn base(&self, phase: Phase) -> Certificate {
        let base = replica::base_claim(&self.genesis);
        Certificate::base(phase, base.height, base.digest)
    }

    /// Where a node of term 1 that has committed nothing stands.
    pub fn base_standing(&self) -> Standing {
        Standing { election: None, commit: self.base(Phase::Certified) }
    }

    /// The tip of an empty log.
    pub fn base_tip(&self) -> Tip {
        Tip { header: replica::base_header(&self.genesis), frontier: Frontier::default() }
    }
}

/// A block to build on: its header, and the log's tree up to it.
#[derive(Debug, Clone)]
pub struct Tip {
    pub header: BlockHeader,
    pub frontier: Frontier,
}

impl Tip {
    /// The next block, by all rules of a header; its time is `ms` above its parent's, so that blocks can differ.
    pub fn extend(&self, term: u64, entries: Vec<SignedCommand>, parent: BlockDigest, ms: u64) -> (Block, Tip) {
        let leaves: Vec<wire::Hash> = entries.iter().map(SignedCommand::leaf).collect();
        let mut frontier = self.frontier.clone();
        frontier.extend(&leaves);
        let header = BlockHeader {
            epoch: self.header.epoch,
            term: Term(term),
            height: self.header.height.plus(1),
            parent,
            first_index: self.header.next_index().unwrap(),
            entry_count: entries.len() as u32,
            entries_root: merkle::root_of(&leaves),
            log_root: frontier.root(),
            time: Time(self.header.time.0 + ms),
            executed: self.header.executed,
        };
        let tip = Tip { header: header.clone(), frontier };
        (Block { header, entries }, tip)
    }

    /// As [`Tip::extend`], with the parent's digest computed.
    pub fn child(&self, c: &Cluster, term: u64, entries: Vec<SignedCommand>, ms: u64) -> (Block, Tip) {
        self.extend(term, entries, self.digest(c), ms)
    }

    pub fn digest(&self, c: &Cluster) -> BlockDigest {
        self.header.digest(&c.genesis.cluster_id())
    }

    pub fn claim(&self, c: &Cluster, term: u64) -> Claim {
        Claim { term: Term(term), height: self.header.height, digest: self.digest(c) }
    }
}

/// What a node's own log says.
pub struct Log {
    /// Digests of committed blocks by height.
    pub committed: BTreeMap<Height, BlockDigest>,
    pub blocks: BTreeMap<BlockDigest, Block>,
    pub commits: Vec<Certificate>,
    pub tip: Tip,
}

/// Reads a node's log: every block it committed, and its newest certificate.
pub fn log_of(genesis: &Genesis, node: &Replica<MemDisk>) -> Log {
    let cluster = genesis.cluster_id();
    let mut log = Log {
        committed: BTreeMap::new(),
        blocks: BTreeMap::new(),
        commits: Vec::new(),
        tip: Tip { header: replica::base_header(genesis), frontier: Frontier::default() },
    };
    let read = |_at, kind, payload: &[u8]| -> Result<(), StoreError> {
        if kind == journal::BLOCK {
            let block = Block::from_bytes(payload).unwrap();
            log.blocks.insert(block.header.digest(&cluster), block);
        }
        if kind == journal::COMMIT {
            let commit = Certificate::from_bytes(payload).unwrap();
            let (mut chain, mut at) = (Vec::new(), commit.claim.digest);
            while at != log.tip.header.digest(&cluster) {
                chain.push(at);
                at = log.blocks[&at].header.parent;
            }
            for digest in chain.into_iter().rev() {
                let block = &log.blocks[&digest];
                log.tip.frontier.extend(&block.leaves());
                log.tip.header = block.header.clone();
                log.committed.insert(block.header.height, digest);
            }
            log.commits.push(commit);
        }
        Ok(())
    };
    node.store().replay(read).unwrap();
    log
}

pub fn log(c: &Cluster, n: u16) -> Log {
    log_of(&c.genesis, &c.nodes[&NodeId(n)])
}

/// No two of these nodes ever committed different blocks at one height. Judged by block digests in their own logs:
/// two different empty blocks give the same state.
pub fn assert_one_chain(c: &Cluster, honest: &[u16], context: &str) {
    let mut agreed: BTreeMap<Height, (u16, BlockDigest)> = BTreeMap::new();
    for n in honest {
        for (height, digest) in log(c, *n).committed {
            let (first, found) = *agreed.entry(height).or_insert((*n, digest));
            assert_eq!(found, digest, "{context}: nodes {first} and {n} committed different blocks at {height}");
        }
    }
    c.assert_agreement(honest);
}

/// Evidence names only the guilty, and no honest node stopped.
pub fn assert_only_guilty(c: &Cluster, guilty: &[u16], context: &str) {
    for (holder, held) in &c.evidence {
        for evidence in held {
            let accused = evidence.accused().0;
            assert!(guilty.contains(&accused), "{context}: {holder} holds evidence against honest {accused}");
        }
    }
    for (node, reason) in &c.halted {
        assert!(guilty.contains(&node.0), "{context}: honest {node} halted: {reason}");
    }
}

/// Every letter ever posted.
pub type Tape = Rc<RefCell<Vec<Letter>>>;

/// Keeps a copy of every letter, and delivers all.
pub fn tape(c: &mut Cluster) -> Tape {
    let tape = Tape::default();
    let ours = tape.clone();
    c.network = Box::new(move |letter| {
        ours.borrow_mut().push(letter.clone());
        Fate::Deliver
    });
    tape
}

/// Checks every statement that leaves an honest node, across crashes and restarts: no two votes at one (phase, term,
/// height), no two proposals, no two election votes for a term, no vote in a term below one it asked to leave, and each
/// phase's votes of a term on one chain.
#[derive(Default)]
pub struct Watch {
    headers: BTreeMap<BlockDigest, BlockHeader>,
    last: BTreeMap<(NodeId, Phase, Term), (Height, BlockDigest)>,
    votes: BTreeMap<(NodeId, Phase, Term, Height), BlockDigest>,
    proposals: BTreeMap<(NodeId, Term, Height), BlockDigest>,
    election_votes: BTreeMap<(NodeId, Term), Claim>,
    asked: BTreeMap<NodeId, Term>,
    /// Letters looked at.
    pub seen: usize,
}

impl Watch {
    /// Notes a block that anybody proposes, so that votes for it can be followed.
    pub fn learn(&mut self, letter: &Letter) {
        if let PeerMessage::AppendEntries(append) = &letter.message {
            self.headers.insert(append.proposal.unverified().digest, append.block.header.clone());
        }
    }

    pub fn letter(&mut self, letter: &Letter, context: &str) {
        self.seen += 1;
        self.learn(letter);
        // What others recall or forward of a node's votes was said before; only a node's own word is its own.
        match &letter.message {
            PeerMessage::Vote(vote) => self.vote(letter.from, vote.unverified(), context),
            PeerMessage::AppendEntries(append) => {
                let p = append.proposal.unverified();
                let first = *self.proposals.entry((p.author, p.term, p.height)).or_insert(p.digest);
                assert_eq!(first, p.digest, "{context}: {} proposed twice at {} {}", p.author, p.term, p.height);
            }
            PeerMessage::ElectionVote(message) => {
                let v = message.vote.unverified();
                assert_eq!(v.author, letter.from, "{context}");
                let first = *self.election_votes.entry((v.author, v.term)).or_insert(v.claim);
                assert_eq!(first, v.claim, "{context}: {} asked twice for term {}", v.author, v.term);
                let asked = self.asked.entry(v.author).or_insert(v.term);
                *asked = (*asked).max(v.term);
            }
            _ => {}
        }
    }

    fn vote(&mut self, from: NodeId, v: &Vote, context: &str) {
        assert_eq!(v.author, from, "{context}: votes are sent by their author");
        let first = *self.votes.entry((v.author, v.phase, v.term, v.height)).or_insert(v.digest);
        assert_eq!(first, v.digest, "{context}: {from} voted twice at {:?} {} {}", v.phase, v.term, v.height);
        if let Some(asked) = self.asked.get(&from) {
            assert!(v.term >= *asked, "{context}: {from} voted in term {} after asking for {asked}", v.term);
        }
        let last = self.last.entry((from, v.phase, v.term)).or_insert((v.height, v.digest));
        let (low, high) =
            if last.0 <= v.height { (*last, (v.height, v.digest)) } else { ((v.height, v.digest), *last) };
        // As far as the blocks between were seen.
        let mut at = high;
        while at.0 > low.0
            && let Some(header) = self.headers.get(&at.1)
        {
            at = (Height(at.0.0 - 1), header.parent);
        }
        assert!(at.0 > low.0 || at == low, "{context}: {from} voted {:?} for two branches in term {}", v.phase, v.term);
        *last = high;
    }
}

/// What would be in a node's safety record if it lost its power now and nothing unsynced survived.
pub fn durable_safety(genesis: &Genesis, n: u16, disk: &MemDisk) -> Option<Safety> {
    let mut image = disk.snapshot();
    image.crash(&Crash { seed: 0, keep: Keep::None, bit_flips: 0 });
    let stamp = Stamp { cluster: genesis.cluster_id().0.0, node: node_key(n).public().0 };
    let (store, _) = Store::open(image, stamp, Cluster::options(), &mut |_| {}).expect("a synced record is there");
    store.safety().map(|bytes| Safety::from_bytes(bytes).unwrap())
}

/// Panics if a letter makes a promise that its author could forget.
pub fn assert_durable(genesis: &Genesis, letter: &Letter, disk: &MemDisk, context: &str) {
    let n = letter.from.0;
    let covers = |last: Option<&Verified<Vote>>, term: Term, height: Height| {
        last.is_some_and(|last| (last.term, last.height) >= (term, height))
    };
    let kept = match &letter.message {
        PeerMessage::Vote(vote) => {
            let v = vote.unverified();
            durable_safety(genesis, n, disk).is_some_and(|s| covers(s.last(v.phase), v.term, v.height))
        }
        PeerMessage::AppendEntries(append) => {
            let p = append.proposal.unverified();
            durable_safety(genesis, n, disk).is_some_and(|s| covers(s.last(Phase::Replicated), p.term, p.height))
        }
        PeerMessage::ElectionVote(message) => {
            let v = message.vote.unverified();
            durable_safety(genesis, n, disk).is_some_and(|s| s.election_vote.is_some_and(|own| own.term >= v.term))
        }
        _ => true,
    };
    assert!(kept, "{context}: {} of {n} left before it was durable", letter.message.name());
}
