//! The state of a client, without its sockets: what is under way, where it was sent, what was heard.
//!
//! Inputs are events and the time; what is to be written waits in the queue of each link. Invariants:
//!
//! * A command is in `open` from its submission until exactly one [`Done`] is made for it, then among the `settled`
//!   until so many newer ones are settled that it is forgotten; there, late replies are only compared.
//! * A receipt enters a tally only from a verified reply; busy and refusal frames are unsigned, and so never decide
//!   anything by themselves: a refusal counts by weight like a reply, "busy" only moves a deadline.
//! * Everything is bounded: `open` and all queues by the client's window, `settled` by [`SETTLED_MAX`], alerts by kind.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wire::limits::{FRAME_BYTES_MAX, SUBMIT_COMMANDS_MAX};
use wire::stream::{ClientFrame, STREAM_VERSION};
use wire::{ClusterId, CommandId, Membership, NodeId, Outcome, Receipt, SignedCommand, Time, Verified};

use crate::alert::{AlertKind, Alerts};
use crate::tally::{Step, Tally, VoterSet};

/// Settled commands remembered, to compare late replies with what was accepted.
const SETTLED_MAX: usize = 1 << 15;
/// The most a retry waits, in multiples of the reply timeout.
const RETRY_FACTOR_MAX: u32 = 4;
/// The first wait after "busy", and the most.
const BUSY_DELAY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(1000));
/// How long a node that let a command time out is passed over, if there are others.
const SUSPECT_FOR: Duration = Duration::from_secs(10);
/// How long after a command's expiry an answer may still arrive.
const EXPIRY_GRACE_MS: u64 = 10_000;
/// Bytes of commands in one submit frame, at most.
const SUBMIT_BYTES_MAX: usize = FRAME_BYTES_MAX - 1024;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Enough nodes signed this receipt: it is ordered, executed and durable. The outcome may be a refusal by the ledger.
    Accepted(Receipt),
    /// Nodes of weight above `F` say that it will never be ordered as it stands.
    Refused(Outcome),
    /// Its expiry passed without an answer. It took effect before, or never will: ask for it by id.
    Unanswered,
}

/// The end of one submitted command.
#[derive(Debug, Clone)]
pub struct Done {
    /// The command.
    pub id: CommandId,
    /// How it ended.
    pub verdict: Verdict,
    /// From submission to this verdict.
    pub latency: Duration,
    /// The nodes that vouch for the verdict.
    pub nodes: Vec<NodeId>,
    /// How often it was sent, to one node or several at once.
    pub attempts: u32,
}

/// Command ids are SHA-256 of what this client itself made: any eight bytes of them are a good hash.
#[derive(Default, Clone)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut first = [0; 8];
        let len = bytes.len().min(8);
        first[..len].copy_from_slice(&bytes[..len]);
        self.0 = self.0.rotate_left(17) ^ u64::from_le_bytes(first);
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

type ById<T> = HashMap<CommandId, T, BuildHasherDefault<IdHasher>>;

/// A command without its verdict yet.
struct Open {
    bytes: Arc<[u8]>,
    expiry: Time,
    /// Order of submission, so that a resend keeps it.
    number: u64,
    submitted: Instant,
    /// When to try again.
    deadline: Instant,
    /// Times sent.
    attempts: u32,
    /// Times a node said "busy".
    busy: u32,
    /// Times a node said nothing.
    silent: u32,
    /// The link it waits for an answer of.
    at: Option<usize>,
    /// No node was connected to send it to.
    parked: bool,
    sent_to: VoterSet,
    tally: Tally,
    refusals: Vec<(usize, Outcome)>,
}

/// One node's connection, as the desk sees it.
pub(crate) struct Link {
    pub(crate) node: NodeId,
    pub(crate) place: usize,
    pub(crate) connected: bool,
    /// Why it is not connected.
    pub(crate) reason: String,
    suspect_until: Option<Instant>,
    /// Whole frames to write before anything else.
    control: Vec<u8>,
    /// Submissions to write, each one frame.
    queue: VecDeque<Vec<Arc<[u8]>>>,
    /// Wakes the writer.
    pub(crate) wake: Arc<Notify>,
}

/// Limits and times of a desk.
pub(crate) struct Rules {
    pub(crate) reply_timeout: Duration,
}

/// See the module.
pub(crate) struct Desk {
    pub(crate) cluster: ClusterId,
    pub(crate) membership: Arc<Membership>,
    weights: Vec<u64>,
    rules: Rules,
    open: ById<Open>,
    settled: ById<Receipt>,
    settled_order: VecDeque<CommandId>,
    pub(crate) links: Vec<Link>,
    sessions: Vec<u64>,
    leader: Option<NodeId>,
    preferred: Option<NodeId>,
    next_number: u64,
    pub(crate) done: Vec<Done>,
    pub(crate) alerts: Alerts,
}

impl Desk {
    pub(crate) fn new(cluster: ClusterId, membership: Arc<Membership>, nodes: &[NodeId], rules: Rules) -> Desk {
        let link = |node: &NodeId| {
            let place = membership.voters.iter().position(|v| v.id == *node)?;
            Some(Link {
                node: *node,
                place,
                connected: false,
                reason: "not connected yet".into(),
                suspect_until: None,
                control: Vec::new(),
                queue: VecDeque::new(),
                wake: Arc::new(Notify::new()),
            })
        };
        Desk {
            cluster,
            links: nodes.iter().filter_map(link).collect(),
            weights: membership.voters.iter().map(|v| v.weight).collect(),
            membership,
            rules,
            open: ById::default(),
            settled: ById::default(),
            settled_order: VecDeque::new(),
            sessions: Vec::new(),
            leader: None,
            preferred: None,
            next_number: 0,
            done: Vec::new(),
            alerts: Alerts::default(),
        }
    }

    // ---- what the application does

    /// Asks every node for the replies of `session`.
    pub(crate) fn follow(&mut self, session: u64) {
        if self.sessions.contains(&session) {
            return;
        }
        self.sessions.push(session);
        for link in self.links.iter_mut().filter(|l| l.connected) {
            link.control.extend(ClientFrame::Follow(session).to_frame());
            link.wake.notify_one();
        }
    }

    /// Sends new submissions to this node, as long as it is there and answers.
    pub(crate) fn prefer(&mut self, node: Option<NodeId>) {
        self.preferred = node;
    }

    /// True if a command is under way already.
    pub(crate) fn is_open(&self, id: &CommandId) -> bool {
        self.open.contains_key(id)
    }

    pub(crate) fn open_len(&self) -> usize {
        self.open.len()
    }

    /// Takes commands as one submission to one node.
    pub(crate) fn submit(&mut self, ids: &[CommandId], commands: &[SignedCommand], now: Instant) {
        let at = self.route(now);
        let deadline = now + self.rules.reply_timeout;
        for (id, command) in ids.iter().zip(commands) {
            let mut sent_to = VoterSet::default();
            if let Some(n) = at {
                sent_to.insert(self.links[n].place);
            }
            self.next_number += 1;
            let open = Open {
                bytes: command.bytes().clone(),
                expiry: command.unverified().expiry,
                number: self.next_number,
                submitted: now,
                deadline,
                attempts: u32::from(at.is_some()),
                busy: 0,
                silent: 0,
                at,
                parked: at.is_none(),
                sent_to,
                tally: Tally::default(),
                refusals: Vec::new(),
            };
            self.open.insert(*id, open);
        }
        if let Some(n) = at {
            self.links[n].push(commands.iter().map(|c| c.bytes().clone()).collect());
        }
    }

    // ---- what the links report

    /// A node welcomed us, or told of a new leader.
    pub(crate) fn on_welcome(&mut self, link: usize, leader: Option<NodeId>, now: Instant) {
        if leader.is_some() {
            self.leader = leader;
        }
        let frames: Vec<u8> = self.sessions.iter().flat_map(|s| ClientFrame::Follow(*s).to_frame()).collect();
        let at = &mut self.links[link];
        if at.connected {
            return;
        }
        at.connected = true;
        at.suspect_until = None;
        at.control = frames;
        at.wake.notify_one();
        // What found no node to go to goes to this one.
        self.resend_where(now, |open| open.parked);
    }

    /// A connection ended, or could not be made.
    pub(crate) fn on_down(&mut self, link: usize, reason: String, now: Instant) {
        let at = &mut self.links[link];
        at.connected = false;
        at.reason = reason;
        at.control.clear();
        at.queue.clear();
        self.resend_where(now, |open| open.at == Some(link));
    }

    /// True if a reply holds something that is neither known nor unasked for, so that its signature is worth checking.
    pub(crate) fn has_news(&self, link: usize, receipts: &[Receipt]) -> bool {
        let place = self.links[link].place;
        receipts.iter().any(|receipt| {
            if let Some(open) = self.open.get(&receipt.command) {
                return open.tally.said(place) != Some(receipt);
            }
            self.settled.get(&receipt.command).is_some_and(|accepted| accepted != receipt)
        })
    }

    /// A reply whose signature was checked, and whose author is the node at the other end of `link`.
    pub(crate) fn on_reply(&mut self, link: usize, reply: &Verified<wire::statement::Reply>, now: Instant) {
        self.links[link].suspect_until = None;
        for receipt in &reply.receipts {
            self.on_receipt(link, receipt, now);
        }
    }

    fn on_receipt(&mut self, link: usize, receipt: &Receipt, now: Instant) {
        let (node, place) = (self.links[link].node, self.links[link].place);
        let Some(open) = self.open.get_mut(&receipt.command) else {
            if let Some(accepted) = self.settled.get(&receipt.command)
                && accepted != receipt
            {
                let text = || contradiction(receipt, accepted);
                self.alerts.raise(node, AlertKind::Contradiction, text);
            }
            return;
        };
        match open.tally.add(place, receipt, &self.weights, self.membership.faulty_weight) {
            Step::Waiting | Step::Repeated => {}
            Step::TwoReceipts => {
                let id = receipt.command;
                self.alerts
                    .raise(node, AlertKind::TwoReceipts, || format!("signed two different receipts for command {id}"));
            }
            Step::Accepted => self.accept(receipt, now),
        }
    }

    fn accept(&mut self, receipt: &Receipt, now: Instant) {
        let Some(open) = self.open.remove(&receipt.command) else { return };
        let mut nodes = Vec::new();
        for (place, same) in open.tally.voters(receipt) {
            let node = self.membership.voters[place].id;
            if same {
                nodes.push(node);
            } else if let Some(said) = open.tally.said(place) {
                self.alerts.raise(node, AlertKind::Contradiction, || contradiction(said, receipt));
            }
        }
        self.settle(receipt.command, open, Verdict::Accepted(receipt.clone()), nodes, now);
        self.settled.insert(receipt.command, receipt.clone());
        self.settled_order.push_back(receipt.command);
        if self.settled_order.len() > SETTLED_MAX
            && let Some(oldest) = self.settled_order.pop_front()
        {
            self.settled.remove(&oldest);
        }
    }

    fn settle(&mut self, id: CommandId, open: Open, verdict: Verdict, nodes: Vec<NodeId>, now: Instant) {
        let latency = now.saturating_duration_since(open.submitted);
        self.done.push(Done { id, verdict, latency, nodes, attempts: open.attempts });
    }

    /// A node will not take these for now: they wait a little, longer each time, and go to another node.
    pub(crate) fn on_busy(&mut self, link: usize, ids: &[CommandId], now: Instant) {
        for id in ids {
            if let Some(open) = self.open.get_mut(id)
                && open.at == Some(link)
            {
                let delay = BUSY_DELAY.0.saturating_mul(1 << open.busy.min(10)).min(BUSY_DELAY.1);
                open.busy += 1;
                open.deadline = now + delay;
                // Not a timeout: the node is alive and says so.
                open.at = None;
            }
        }
    }

    /// A node says that a command will never be ordered as it stands.
    pub(crate) fn on_refused(&mut self, link: usize, id: &CommandId, outcome: Outcome, now: Instant) {
        let place = self.links[link].place;
        let Some(open) = self.open.get_mut(id) else { return };
        if !open.sent_to.contains(place) || open.refusals.iter().any(|(p, _)| *p == place) {
            return;
        }
        open.refusals.push((place, outcome));
        let refused = open.refusals.iter().map(|(p, _)| self.weights[*p]).sum::<u64>();
        if refused <= self.membership.faulty_weight {
            self.resend(vec![*id], now);
            return;
        }
        let everyone_asked_refused = self
            .links
            .iter()
            .all(|l| !open.sent_to.contains(l.place) || open.refusals.iter().any(|(p, _)| *p == l.place));
        if everyone_asked_refused {
            self.refuse(id, now);
        } else {
            // A node that took it before may still have it ordered: it is given one more timeout.
            open.at = None;
            open.deadline = now + self.rules.reply_timeout;
        }
    }

    fn is_refused(&self, open: &Open) -> bool {
        open.refusals.iter().map(|(p, _)| self.weights[*p]).sum::<u64>() > self.membership.faulty_weight
    }

    fn refuse(&mut self, id: &CommandId, now: Instant) {
        let Some(open) = self.open.remove(id) else { return };
        let weight = |outcome: &Outcome| -> u64 {
            open.refusals.iter().filter(|(_, o)| o.code == outcome.code).map(|(p, _)| self.weights[*p]).sum()
        };
        let Some(outcome) = open.refusals.iter().map(|(_, o)| o).max_by_key(|o| weight(o)).cloned() else { return };
        let nodes = open.refusals.iter().map(|(p, _)| self.membership.voters[*p].id).collect();
        self.settle(*id, open, Verdict::Refused(outcome), nodes, now);
    }

    // ---- time

    /// Sends again what has waited too long, and gives up what has expired.
    pub(crate) fn tick(&mut self, now: Instant, wall: Time) {
        let mut ended = Vec::new();
        let mut late = Vec::new();
        for (id, open) in &self.open {
            if open.expiry.plus_ms(EXPIRY_GRACE_MS) < wall || (open.deadline <= now && self.is_refused(open)) {
                ended.push(*id);
            } else if open.deadline <= now {
                late.push(*id);
            }
        }
        for id in ended {
            if self.open.get(&id).is_some_and(|open| self.is_refused(open)) {
                self.refuse(&id, now);
            } else if let Some(open) = self.open.remove(&id) {
                self.settle(id, open, Verdict::Unanswered, Vec::new(), now);
            }
        }
        for id in &late {
            if let Some(open) = self.open.get_mut(id)
                && let Some(n) = open.at
            {
                open.silent += 1;
                self.links[n].suspect_until = Some(now + SUSPECT_FOR);
            }
        }
        self.resend(late, now);
    }

    fn resend_where(&mut self, now: Instant, which: impl Fn(&Open) -> bool) {
        let ids = self.open.iter().filter(|(_, open)| which(open)).map(|(id, _)| *id).collect();
        self.resend(ids, now);
    }

    /// Sends the same bytes again: to one other node, and after two silences to all that have not answered. "Busy" never
    /// makes it more than one: a cluster that has too much to do is not helped by four times as much.
    fn resend(&mut self, mut ids: Vec<CommandId>, now: Instant) {
        ids.sort_by_key(|id| self.open[id].number);
        let mut outgoing: Vec<Vec<Arc<[u8]>>> = vec![Vec::new(); self.links.len()];
        let next = self.route(now);
        for id in ids {
            let Some(open) = self.open.get_mut(&id) else { continue };
            let answered = |link: &Link| {
                open.tally.said(link.place).is_some() || open.refusals.iter().any(|(p, _)| *p == link.place)
            };
            let fresh = |n: &usize| {
                let link = &self.links[*n];
                link.connected && !answered(link)
            };
            let first = (open.number % 64) as usize + open.attempts as usize;
            let rotation = || (0..self.links.len()).map(|n| (n + first) % self.links.len());
            let targets: Vec<usize> = if open.silent >= 2 {
                rotation().filter(fresh).collect()
            } else {
                let other = |n: &usize| fresh(n) && !open.sent_to.contains(self.links[*n].place);
                let first = next.filter(other).or_else(|| rotation().find(other)).or_else(|| rotation().find(fresh));
                first.into_iter().collect()
            };
            let factor = 1 << open.silent.min(RETRY_FACTOR_MAX.ilog2());
            open.deadline = now + self.rules.reply_timeout * factor;
            open.at = targets.first().copied();
            open.parked = targets.is_empty();
            open.attempts += u32::from(!targets.is_empty());
            for n in targets {
                open.sent_to.insert(self.links[n].place);
                outgoing[n].push(open.bytes.clone());
            }
        }
        for (link, commands) in self.links.iter_mut().zip(outgoing) {
            let mut rest = commands.as_slice();
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(frame_len(rest.iter().map(|b| b.len())));
                link.push(piece.to_vec());
                rest = more;
            }
        }
    }

    /// Where the next submission goes: where the user wants, else to the leader, else to any node that answers.
    fn route(&self, now: Instant) -> Option<usize> {
        let well = |l: &Link| l.connected && l.suspect_until.is_none_or(|t| t <= now);
        let find = |node: Option<NodeId>| node.and_then(|id| self.links.iter().position(|l| l.node == id && well(l)));
        find(self.preferred)
            .or_else(|| find(self.leader))
            .or_else(|| self.links.iter().position(well))
            .or_else(|| self.links.iter().position(|l| l.connected))
    }

    // ---- what is to be written

    /// The bytes to write to a link now: whole frames, up to about `bytes_max` of them.
    pub(crate) fn take_outgoing(&mut self, link: usize, bytes_max: usize, out: &mut Vec<u8>) {
        let link = &mut self.links[link];
        out.append(&mut link.control);
        while out.len() < bytes_max
            && let Some(commands) = link.queue.pop_front()
        {
            submit_frame(&commands, out);
        }
    }

    /// The weight of the nodes connected.
    pub(crate) fn connected_weight(&self) -> u64 {
        self.links.iter().filter(|l| l.connected).map(|l| self.weights[l.place]).sum()
    }
}

impl Link {
    fn push(&mut self, commands: Vec<Arc<[u8]>>) {
        self.queue.push_back(commands);
        self.wake.notify_one();
    }
}

fn contradiction(said: &Receipt, accepted: &Receipt) -> String {
    format!(
        "said that command {} ended at index {} as \"{}\"; enough others say index {}, \"{}\"",
        said.command, said.index, said.outcome, accepted.index, accepted.outcome
    )
}

/// How many of these commands, by their lengths, fit one submit frame; at least one.
pub(crate) fn frame_len(lengths: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fits = lengths.take(SUBMIT_COMMANDS_MAX).take_while(|len| {
        bytes += 4 + len;
        bytes <= SUBMIT_BYTES_MAX
    });
    fits.count().max(1)
}

/// [`ClientFrame::Submit`] from the commands' own bytes, without decoding or copying them first.
fn submit_frame(commands: &[Arc<[u8]>], out: &mut Vec<u8>) {
    const SUBMIT_TAG: u8 = 2;
    let content = 2 + 4 + commands.iter().map(|c| 4 + c.len()).sum::<usize>();
    let length = |n: usize| u32::try_from(n).expect("frames are bounded far below 2^32").to_be_bytes();
    out.reserve(4 + content);
    out.extend_from_slice(&length(content));
    out.extend_from_slice(&[STREAM_VERSION, SUBMIT_TAG]);
    out.extend_from_slice(&length(commands.len()));
    for command in commands {
        out.extend_from_slice(&length(command.len()));
        out.extend_from_slice(command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::peer::Commands;
    use wire::{Command, Hash, Name, SecretKey};

    fn command(sequence: u64) -> SignedCommand {
        let party = Name::new("alice").unwrap();
        let command =
            Command { party, session: 1, sequence, expiry: Time(1), payload: vec![7; 100], signers: Vec::new() };
        SignedCommand::sign(&ClusterId(Hash::ZERO), command, &[&SecretKey::from_seed([1; 32])]).unwrap()
    }

    #[test]
    fn submit_frames_are_those_of_the_protocol() {
        for count in [0, 1, 3] {
            let commands: Vec<SignedCommand> = (0..count).map(command).collect();
            let bytes: Vec<Arc<[u8]>> = commands.iter().map(|c| c.bytes().clone()).collect();
            let mut frame = Vec::new();
            submit_frame(&bytes, &mut frame);
            assert_eq!(frame, ClientFrame::Submit(Commands(commands)).to_frame());
        }
    }

    #[test]
    fn a_frame_holds_what_its_limits_allow() {
        assert_eq!(frame_len([100; 5].into_iter()), 5);
        assert_eq!(frame_len(std::iter::repeat_n(1, 1_000_000)), SUBMIT_COMMANDS_MAX);
        let count = frame_len(std::iter::repeat_n(60_000, 1000));
        assert!(count * 60_004 <= SUBMIT_BYTES_MAX && (count + 1) * 60_004 > SUBMIT_BYTES_MAX);
    }
}
