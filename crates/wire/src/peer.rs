//! What nodes say to each other. A frame is a `u32` length, a version byte, and one message.

use crate::block::Block;
use crate::codec::{Decode, DecodeError, Encode, Reader, encode_bytes, encode_length};
use crate::command::SignedCommand;
use crate::ids::{BlockDigest, Height};
use crate::limits::{BLOCK_BYTES_MAX, COMMAND_BYTES_MAX, FETCH_BLOCKS_MAX, SUBMIT_COMMANDS_MAX, VOTERS_MAX};
use crate::signed::Signed;
use crate::statement::{Certificate, ElectionCertificate, ElectionVote, Evidence, Heartbeat, Proposal, Vote};
use crate::{enum_codec, struct_codec};

/// The version byte of every peer frame.
pub const PEER_VERSION: u8 = 1;

/// A message between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerMessage {
    /// Propose a block.
    AppendEntries(Box<AppendEntries>),
    /// A vote (`AppendEntriesResponse`).
    Vote(Signed<Vote>),
    /// Ask for the next term.
    ElectionVote(Box<ElectionVoteMessage>),
    /// The leader lives; here is what is committed.
    Heartbeat(Box<HeartbeatMessage>),
    /// Ask for blocks.
    Fetch(Fetch),
    /// Blocks asked for.
    Blocks(Box<Blocks>),
    /// Proof of misbehaviour.
    Evidence(Evidence),
    /// Commands of clients, passed on.
    Forward(Commands),
    /// A node that (re)started asks what the others hold that it signed.
    Rejoin,
    /// The answer: the newest statements of the asker, and where the cluster stands.
    Recall(Box<Recall>),
    /// Where the sender stands, for one that is behind: its newest commit and the election it is in.
    Standing(Box<Standing>),
}
enum_codec!(PeerMessage {
    1 => AppendEntries(Box<AppendEntries>),
    2 => Vote(Signed<Vote>),
    3 => ElectionVote(Box<ElectionVoteMessage>),
    4 => Heartbeat(Box<HeartbeatMessage>),
    5 => Fetch(Fetch),
    6 => Blocks(Box<Blocks>),
    7 => Evidence(Evidence),
    8 => Forward(Commands),
    9 => Rejoin,
    10 => Recall(Box<Recall>),
    11 => Standing(Box<Standing>),
});

impl PeerMessage {
    /// The message as a whole frame: `u32` length of what follows, version byte, message.
    pub fn to_frame(&self) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 0, PEER_VERSION];
        self.encode(&mut out);
        let len = u32::try_from(out.len() - 4).expect("messages are bounded far below 2^32");
        out[..4].copy_from_slice(&len.to_be_bytes());
        out
    }

    /// Reads a frame's content: all that follows the length.
    pub fn from_frame(content: &[u8]) -> Result<PeerMessage, DecodeError> {
        let mut r = Reader::new(content);
        match u8::decode(&mut r)? {
            PEER_VERSION => {}
            tag => return Err(DecodeError::Tag { what: "peer frame version", tag: tag.into() }),
        }
        let message = PeerMessage::decode(&mut r)?;
        r.finish("peer frame")?;
        Ok(message)
    }

    /// The message's name, for logs, metrics and transcripts.
    pub fn name(&self) -> &'static str {
        match self {
            PeerMessage::AppendEntries(_) => "append_entries",
            PeerMessage::Vote(_) => "vote",
            PeerMessage::ElectionVote(_) => "election_vote",
            PeerMessage::Heartbeat(_) => "heartbeat",
            PeerMessage::Fetch(_) => "fetch",
            PeerMessage::Blocks(_) => "blocks",
            PeerMessage::Evidence(_) => "evidence",
            PeerMessage::Forward(_) => "forward",
            PeerMessage::Rejoin => "rejoin",
            PeerMessage::Recall(_) => "recall",
            PeerMessage::Standing(_) => "standing",
        }
    }
}

/// A proposed block with what a voter needs to check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendEntries {
    /// The leader's signature on the block's digest in this term.
    pub proposal: Signed<Proposal>,
    /// The block.
    pub block: Block,
    /// On the first block of a term: the election that made the author its leader. Absent in term 1.
    pub election: Option<ElectionCertificate>,
    /// The commit certificate that proves that the height the block claims as executed is committed; absent if the
    /// block claims what its parent claims.
    pub claim: Option<Certificate>,
}
struct_codec!(AppendEntries {
    proposal: Signed<Proposal>,
    block: Block,
    election: Option<ElectionCertificate>,
    claim: Option<Certificate>,
});

/// An election vote with the proof of its claim, and where its author stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionVoteMessage {
    /// The vote.
    pub vote: Signed<ElectionVote>,
    /// The replication certificate the vote claims; absent under crash faults.
    pub highest: Option<Certificate>,
    /// The author's newest commit and the election it is in.
    pub standing: Standing,
}
struct_codec!(ElectionVoteMessage { vote: Signed<ElectionVote>, highest: Option<Certificate>, standing: Standing });

/// Where a node stands, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The election certificate of the term entered; absent in term 1.
    pub election: Option<ElectionCertificate>,
    /// The newest commit certificate known.
    pub commit: Certificate,
}
struct_codec!(Standing { election: Option<ElectionCertificate>, commit: Certificate });

/// A heartbeat with its proofs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatMessage {
    /// The heartbeat.
    pub heartbeat: Signed<Heartbeat>,
    /// The newest commit and the election.
    pub standing: Standing,
}
struct_codec!(HeartbeatMessage { heartbeat: Signed<Heartbeat>, standing: Standing });

/// A request for blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// Committed blocks from this height on, oldest first, as many as fit an answer.
    Committed(Height),
    /// The block with this digest and its ancestors above a height, oldest first.
    Block(FetchBlock),
}
enum_codec!(Fetch { 1 => Committed(Height), 2 => Block(FetchBlock) });

/// A request for a block that is not known to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchBlock {
    /// The block wanted.
    pub digest: BlockDigest,
    /// Ancestors at or below this height are not wanted.
    pub above: Height,
}
struct_codec!(FetchBlock { digest: BlockDigest, above: Height });

/// Blocks, oldest first, each the child of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// The blocks.
    pub blocks: Vec<Block>,
    /// For an answer to [`Fetch::Committed`]: a commit certificate of the last of them.
    pub commit: Option<Certificate>,
}

impl Encode for Blocks {
    fn encode(&self, out: &mut Vec<u8>) {
        self.blocks.encode(out);
        self.commit.encode(out);
    }
}

impl Decode for Blocks {
    const SIZE_MIN: usize = 5;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Blocks { blocks: r.list("blocks", FETCH_BLOCKS_MAX)?, commit: Option::decode(r)? })
    }
}

/// What a node holds that another signed, and where it stands itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// The newest vote of each phase.
    pub votes: Vec<Signed<Vote>>,
    /// The newest election vote.
    pub election_vote: Option<Signed<ElectionVote>>,
    /// Where the sender stands.
    pub standing: Standing,
}

impl Encode for Recall {
    fn encode(&self, out: &mut Vec<u8>) {
        self.votes.encode(out);
        self.election_vote.encode(out);
        self.standing.encode(out);
    }
}

impl Decode for Recall {
    const SIZE_MIN: usize = 5 + Standing::SIZE_MIN;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Recall {
            votes: r.list("recalled votes", 2)?,
            election_vote: Option::decode(r)?,
            standing: Standing::decode(r)?,
        })
    }
}

/// A bounded list of signed commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands(pub Vec<SignedCommand>);

impl Encode for Commands {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_length(self.0.len(), out);
        for command in &self.0 {
            encode_bytes(command.bytes(), out);
        }
    }
}

impl Decode for Commands {
    const SIZE_MIN: usize = 4;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = r.length("commands", 4, SUBMIT_COMMANDS_MAX)?;
        (0..count).map(|_| SignedCommand::from_bytes(r.bytes("command", COMMAND_BYTES_MAX)?)).collect()
    }
}

impl FromIterator<SignedCommand> for Commands {
    fn from_iter<I: IntoIterator<Item = SignedCommand>>(commands: I) -> Self {
        Commands(commands.into_iter().collect())
    }
}

const _: () = assert!(VOTERS_MAX * 512 < BLOCK_BYTES_MAX, "the largest certificates fit a frame beside a block");
