//! A small model of the voting rules of Juno's ordering protocol, searched exhaustively by the `stateright` checker.
//!
//! It shows that no two conflicting blocks are ever committed, within bounds, and that this is lost as soon as one of the
//! rules is left out. The rules are those of the `consensus` crate, written down a second time and as shortly as possible;
//! the model shares no code with it.
//!
//! # What is in the model
//!
//! - n = 4 voters of weight 1 of which one is faulty (or n = 3 that only crash). What a faulty voter could sign is always
//!   there, as part of every certificate and every election, so it has no steps of its own.
//! - The network is the growing set of what honest voters have signed. A voter acts on any part of it or not at all, so that
//!   loss, delay, reordering and duplication are all covered.
//! - Under Byzantine faults any block that a voter could accept has been proposed, whoever leads. That is more than a faulty
//!   leader could do. Under crash faults leaders are voters, and propose by voting.
//! - Votes count for the voted block and its ancestors of the same term; certificates, locks, elections and commits are
//!   those of the protocol.
//!
//! # What keeps it small
//!
//! - A voter enters a term in the step in which it first acts there, and its lock is as low as its own votes and elections
//!   allow: claims only ever rule certificates out, so a low one leaves the adversary everything a high one does.
//! - Honest voters are interchangeable under Byzantine faults; of a state's permutations one is kept.
//! - Sibling blocks differ in name only and are named in the order of their first honest vote.
//! - Restarts are steps only where a rule about durability is left out; otherwise nothing depends on what they forget.
//!
//! # What is left out
//!
//! Time, liveness, bodies of blocks, execution, weights other than 1, changes of membership, and the halting of a voter that
//! sees a contradiction: a fork counts as soon as the two certificates could be put together.

pub mod blocks;
pub mod machine;
pub mod path;
pub mod rules;
pub mod search;
pub mod setting;
pub mod state;
pub mod table;
