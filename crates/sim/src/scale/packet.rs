//! One message under way: what production code made of it, and what each receiver will have to check.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use replica::{VerifiedMessage, Verifier};
use wire::peer::Standing;
use wire::{Certificate, CommandId, ElectionCertificate, NodeId, PeerMessage, Signature, VerifiedCommand};

use super::costs::Costs;

/// Commands that a worker checks before it lets statements pass.
pub const COMMANDS_PER_TAKE: usize = 512;
/// Times that the bytes of a known command are hashed when it arrives in a block: for the tree twice, for its id, and
/// for the leaf kept.
pub const HASHES_PER_COMMAND: f64 = 4.0;

/// The first bytes of a signature, by which a node remembers that it has checked a statement.
type Mark = u64;

fn mark(signature: &Signature) -> Mark {
    Mark::from_le_bytes(signature.0[..8].try_into().expect("eight of 64 bytes"))
}

/// Statements of one message that are checked together: all those not seen before in one batch.
type Group = Vec<Mark>;

/// One message, shared among all it is sent to.
#[derive(Debug)]
pub struct Packet {
    /// Bytes of its frame.
    pub bytes: usize,
    /// What the replica is given, with the number of commands in it: one part, or several for many forwarded commands.
    pub parts: Vec<(VerifiedMessage, usize)>,
    /// True for commands passed on, which wait in a lane of their own.
    pub forward: bool,
    /// Statements to check.
    groups: Vec<Group>,
    /// Commands in a block.
    commands: usize,
    /// Of these, how many each node has checked before, when its clients submitted them.
    known: Vec<u32>,
    /// Bytes of the commands.
    command_bytes: usize,
}

impl Packet {
    /// Encodes, decodes and checks a message once, as its receivers would.
    ///
    /// # Errors
    /// If a message of this simulation does not pass the check of production code, which would be a fault.
    pub fn new(
        from: NodeId,
        message: &PeerMessage,
        verifier: &Verifier,
        gateways: &BTreeMap<CommandId, u32>,
        nodes: usize,
    ) -> Result<Packet, String> {
        let frame = message.to_frame();
        let message = PeerMessage::from_frame(&frame[4..]).map_err(|e| format!("{}: {e}", message.name()))?;
        let name = message.name();
        let groups = groups(&message);
        let forward = matches!(message, PeerMessage::Forward(_));
        let verified = verifier.verify(from, message).map_err(|offence| format!("{name} of {from}: {offence}"))?;
        let mut packet = Packet {
            bytes: frame.len(),
            parts: Vec::new(),
            forward,
            groups,
            commands: 0,
            known: vec![0; nodes],
            command_bytes: 0,
        };
        match verified {
            VerifiedMessage::Forward(commands) => {
                packet.command_bytes = commands.iter().map(bytes_of).sum();
                let take = |part: &[VerifiedCommand]| (VerifiedMessage::Forward(part.to_vec()), part.len());
                packet.parts = commands.chunks(COMMANDS_PER_TAKE).map(take).collect();
            }
            other => {
                if let VerifiedMessage::AppendEntries(append) = &other {
                    packet.commands = append.block.entries.len();
                    packet.command_bytes = append.block.entries.iter().map(bytes_of).sum();
                    for gateway in append.block.entries.iter().filter_map(|e| gateways.get(&e.id())) {
                        packet.known[*gateway as usize] += 1;
                    }
                }
                let commands = packet.commands;
                packet.parts = vec![(other, commands)];
            }
        }
        Ok(packet)
    }

    /// Nanoseconds that `node` spends on checking the `part`-th part; remembers in `seen` what it has checked.
    pub fn check_ns(&self, part: usize, node: usize, seen: &mut BTreeSet<Mark>, costs: &Costs) -> f64 {
        let (message, commands) = &self.parts[part];
        let share = match message {
            VerifiedMessage::Forward(all) => {
                let bytes: usize = all.iter().map(bytes_of).sum();
                return *commands as f64 * (costs.check_command_ns + costs.verify_batch_ns)
                    + bytes as f64 * HASHES_PER_COMMAND * costs.hash_byte_ns;
            }
            _ => self.command_bytes as f64 * HASHES_PER_COMMAND * costs.hash_byte_ns,
        };
        let fresh = self.commands - (self.known[node] as usize).min(self.commands);
        let mut ns = share + self.commands as f64 * costs.check_command_ns + signatures_ns(fresh, costs);
        for group in &self.groups {
            let fresh = group.iter().filter(|mark| seen.insert(**mark)).count();
            ns += group.len() as f64 * costs.check_statement_ns + signatures_ns(fresh, costs);
        }
        ns.max(costs.check_statement_ns)
    }
}

/// Nanoseconds for signatures checked together.
pub fn signatures_ns(count: usize, costs: &Costs) -> f64 {
    match count {
        // A batch of very few is not faster than one at a time.
        0..=3 => count as f64 * costs.verify_ns,
        _ => costs.verify_ns + count as f64 * costs.verify_batch_ns,
    }
}

fn bytes_of(command: &VerifiedCommand) -> usize {
    command.signed().bytes().len()
}

fn of_certificate(certificate: &Certificate) -> Group {
    certificate.votes.iter().map(|v| mark(v.signature())).collect()
}

fn of_election(election: &ElectionCertificate) -> Vec<Group> {
    let votes = election.votes.iter().map(|v| mark(v.signature())).collect();
    std::iter::once(votes).chain(election.highest.iter().map(of_certificate)).collect()
}

fn of_standing(standing: &Standing) -> Vec<Group> {
    let mut groups = vec![of_certificate(&standing.commit)];
    groups.extend(standing.election.iter().flat_map(of_election));
    groups
}

/// The statements of a message, as its receiver checks them together.
fn groups(message: &PeerMessage) -> Vec<Group> {
    match message {
        PeerMessage::AppendEntries(append) => {
            let mut groups = vec![vec![mark(append.proposal.signature())]];
            groups.extend(append.election.iter().flat_map(of_election));
            groups.extend(append.claim.iter().map(of_certificate));
            groups
        }
        PeerMessage::Vote(vote) => vec![vec![mark(vote.signature())]],
        PeerMessage::ElectionVote(message) => {
            let mut groups = vec![vec![mark(message.vote.signature())]];
            groups.extend(message.highest.iter().map(of_certificate));
            groups.extend(of_standing(&message.standing));
            groups
        }
        PeerMessage::Heartbeat(message) => {
            let mut groups = vec![vec![mark(message.heartbeat.signature())]];
            groups.extend(of_standing(&message.standing));
            groups
        }
        PeerMessage::Blocks(blocks) => blocks.commit.iter().map(of_certificate).collect(),
        PeerMessage::Standing(standing) => of_standing(standing),
        // None in a run without faults or restarts but for the answers to the first rejoin, which are short.
        PeerMessage::Recall(_)
        | PeerMessage::Evidence(_)
        | PeerMessage::Forward(_)
        | PeerMessage::Fetch(_)
        | PeerMessage::Rejoin => vec![],
    }
}

/// Commands of clients on their way to their gateway's replica, in portions of [`COMMANDS_PER_TAKE`].
pub fn portions(commands: &[VerifiedCommand]) -> impl Iterator<Item = Rc<[VerifiedCommand]>> + '_ {
    commands.chunks(COMMANDS_PER_TAKE).map(Rc::from)
}
