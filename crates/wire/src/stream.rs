//! The binary stream between a fast client and a node. A frame is a `u32` length, a version byte, and one message.

use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::ids::{ClusterId, CommandId, NodeId};
use crate::limits::SUBMIT_COMMANDS_MAX;
use crate::peer::Commands;
use crate::receipt::Outcome;
use crate::signed::Signed;
use crate::statement::Reply;
use crate::{enum_codec, struct_codec};

/// The version byte of every stream frame.
pub const STREAM_VERSION: u8 = 1;

/// From the client to the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// First on every stream.
    Hello(Hello),
    /// Commands to order. Every one is answered: by a reply, a refusal or "busy".
    Submit(Commands),
    /// Send me the replies to all commands of this session from now on, wherever they were submitted.
    Follow(u64),
}
enum_codec!(ClientFrame { 1 => Hello(Hello), 2 => Submit(Commands), 3 => Follow(u64) });

/// The client's greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The cluster the client means.
    pub cluster: ClusterId,
    /// The read token, or empty.
    pub token: String,
}
struct_codec!(Hello { cluster: ClusterId, token: String });

/// From the node to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeFrame {
    /// The answer to a greeting.
    Welcome(Welcome),
    /// Receipts of one executed block, signed by this node.
    Replies(Box<Signed<Reply>>),
    /// Not taken, for now: too much is waiting. Try again, here or at another node.
    Busy(Vec<CommandId>),
    /// Not taken, and never will be as it stands.
    Refused(Refused),
    /// The stream ends; the text says what to change.
    Goodbye(String),
}
enum_codec!(NodeFrame {
    1 => Welcome(Welcome),
    2 => Replies(Box<Signed<Reply>>),
    3 => Busy(Vec<CommandId>),
    4 => Refused(Refused),
    5 => Goodbye(String),
});

/// The node's greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Who answers.
    pub node: NodeId,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
}
struct_codec!(Welcome { node: NodeId, leader: Option<NodeId> });

/// A command refused before it was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The command.
    pub command: CommandId,
    /// Why, with what to change.
    pub outcome: Outcome,
}
struct_codec!(Refused { command: CommandId, outcome: Outcome });

macro_rules! framed {
    ($($t:ty),*) => {$(
        impl $t {
            /// The message as a whole frame: `u32` length of what follows, version byte, message.
            pub fn to_frame(&self) -> Vec<u8> {
                let mut out = vec![0, 0, 0, 0, STREAM_VERSION];
                self.encode(&mut out);
                let len = u32::try_from(out.len() - 4).expect("messages are bounded far below 2^32");
                out[..4].copy_from_slice(&len.to_be_bytes());
                out
            }

            /// Reads a frame's content: all that follows the length.
            pub fn from_frame(content: &[u8]) -> Result<Self, DecodeError> {
                let mut r = Reader::new(content);
                match u8::decode(&mut r)? {
                    STREAM_VERSION => {}
                    tag => return Err(DecodeError::Tag { what: "stream frame version", tag: tag.into() }),
                }
                let message = Self::decode(&mut r)?;
                r.finish("stream frame")?;
                Ok(message)
            }
        }
    )*};
}
framed!(ClientFrame, NodeFrame);

const _: () = assert!(SUBMIT_COMMANDS_MAX <= crate::limits::LIST_LEN_MAX);
