//! The closed form: throughput as the least of what each resource allows, latency as the sum along the critical path.
//!
//! `m` commands of `c` bytes a block, `n` voters, quorum `q`. Every formula charges what [`mod@super::run`] charges, with
//! the counts written out; `docs/scale.md` has them in one table. All times are nanoseconds.

use super::costs::{Costs, Machine};
use super::links::Ways;
use super::packet::{HASHES_PER_COMMAND, signatures_ns};

/// Bytes of one signed vote, as it stands in a certificate: 63 of the statement and 64 of the signature.
pub const VOTE_BYTES: f64 = 127.0;
/// Bytes of a vote's frame: length, version and tag.
pub const VOTE_FRAME_BYTES: f64 = VOTE_BYTES + 6.0;
/// Bytes of a proposal without commands and certificates, about.
const PROPOSAL_BYTES: f64 = 450.0;
/// Safety records that a voter writes for one block when its replica thread has no time to spare. It casts two votes for
/// a block, but then one write covers the `certified` vote for one block and the `replicated` vote for a later one.
const SAFETY_RECORDS: f64 = 1.0;
/// Syncs for one safety record.
const SYNCS: f64 = 2.0;
/// Blocks in flight, at most: the default of the genesis document.
const PIPELINE: f64 = 8.0;

/// How votes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Votes {
    /// Every vote to every voter, as the product does it.
    Broadcast,
    /// Votes to the leader, which sends out certificates of `q` signatures. Not built; a model only.
    Collector,
}

/// What the closed form says of one number of voters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Voters.
    pub nodes: usize,
    /// Commands per second at most.
    pub rate: f64,
    /// The resource that allows no more.
    pub binds: &'static str,
    /// Latency of a single command on a cluster at rest, milliseconds.
    pub latency_ms: f64,
}

/// The closed form for one set of costs.
#[derive(Debug, Clone)]
pub struct Model<'a> {
    /// Measured costs.
    pub costs: &'a Costs,
    /// Chosen sizes.
    pub machine: &'a Machine,
    /// Bytes of one command.
    pub command_bytes: f64,
    /// Delays on the critical path.
    pub ways: Ways,
}

/// Voters of which at least one honest one stands in any two: `q`.
pub fn quorum(n: usize) -> usize {
    let faulty = (n - 1) / 3;
    (n + faulty) / 2 + 1
}

/// One number of voters, with what all formulas share.
struct At<'a> {
    c: &'a Costs,
    k: &'a Machine,
    n: f64,
    q: f64,
    votes: Votes,
    command_bytes: f64,
}

impl Model<'_> {
    /// Throughput and latency with `nodes` voters.
    pub fn at(&self, nodes: usize, votes: Votes) -> Point {
        let at = At {
            c: self.costs,
            k: self.machine,
            n: nodes as f64,
            q: quorum(nodes) as f64,
            votes,
            command_bytes: self.command_bytes,
        };
        let m = self.machine.block_commands as f64;
        let mut resources = at.resources(m).to_vec();
        let [to_leader, to_clients] = match votes {
            Votes::Broadcast => self.ways.broadcast,
            Votes::Collector => self.ways.collector,
        };
        resources.push(("blocks in flight", (at.ordering(m) + to_leader) / PIPELINE));
        let (binds, ns) = resources.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(("-", 1.0));
        let latency = at.gateway(1.0) + self.ways.forward + at.ordering(1.0) + to_clients;
        Point { nodes, rate: m * 1e9 / ns, binds, latency_ms: latency / 1e6 }
    }
}

impl At<'_> {
    fn collects(&self) -> bool {
        self.votes == Votes::Collector
    }

    /// Bytes of a certificate.
    fn certificate(&self) -> f64 {
        self.q * VOTE_BYTES
    }

    /// Bytes of the proposal of a block of `m` commands. In `broadcast` it proves its claim of executed state; voters
    /// of a collecting leader have had that certificate.
    fn block(&self, m: f64) -> f64 {
        let claim = if self.collects() { 0.0 } else { self.certificate() };
        m * self.command_bytes + PROPOSAL_BYTES + claim
    }

    fn tls(&self, bytes: f64) -> f64 {
        (self.k.tls_message_ns + bytes * self.k.tls_byte_ns) / self.k.io_threads as f64
    }

    fn hashes(&self) -> f64 {
        HASHES_PER_COMMAND * self.command_bytes * self.c.hash_byte_ns
    }

    /// Checking one statement that comes by itself.
    fn statement(&self) -> f64 {
        self.c.check_statement_ns + self.c.verify_ns
    }

    /// Checking a certificate that a collecting leader sends: `q` signatures never seen before.
    fn fresh_certificate(&self) -> f64 {
        self.q * self.c.check_statement_ns + signatures_ns(self.q as usize, self.c)
    }

    /// The one thread that works on the leader's frames: a block's commands but for the node's own clients', and what
    /// else the leader sends.
    fn lane(&self, m: f64) -> f64 {
        let own = if m > 1.0 { m / self.n } else { 0.0 };
        let commands = m * (self.c.check_command_ns + self.hashes()) + signatures_ns((m - own) as usize, self.c);
        let leaders = match self.votes {
            // Its proposal and two votes; and the certificate's votes, seen before.
            Votes::Broadcast => 3.0 * self.statement() + self.q * self.c.check_statement_ns,
            Votes::Collector => self.statement() + 2.0 * self.fresh_certificate(),
        };
        commands + leaders
    }

    /// The replica thread's work on one message with a vote.
    fn vote(&self) -> f64 {
        self.c.message_ns + self.n * self.c.message_voter_ns
    }

    /// Making, checking and recording a certificate.
    fn certify(&self) -> f64 {
        self.c.certificate_ns + self.n * self.c.certificate_voter_ns
    }

    /// Writing a block's records and safety records: syncs, and bytes.
    fn disk(&self, m: f64) -> f64 {
        let bytes = m * self.command_bytes + self.certificate() * (1.0 + SAFETY_RECORDS);
        SAFETY_RECORDS * SYNCS * self.k.sync_ns + bytes * (self.k.disk_byte_ns + self.c.append_byte_ns)
    }

    /// Nanoseconds of each resource for one block of `m` commands in the steady state.
    fn resources(&self, m: f64) -> [(&'static str, f64); 9] {
        let (c, k, n, others) = (self.c, self.k, self.n, self.n - 1.0);
        let cores = k.cores as f64;
        // Votes a node receives for a block.
        let (leader_votes, voter_votes) = match self.votes {
            Votes::Broadcast => (2.0 * others, 2.0 * others),
            Votes::Collector => (2.0 * others, 0.0),
        };
        // Certificates a leader sends.
        let certificates = if self.collects() { 2.0 } else { 0.0 };
        let clients = m / n * (c.check_command_ns + c.verify_batch_ns);
        let forwarded = m * others / n * (c.check_command_ns + self.hashes() + c.verify_batch_ns);
        let leader_checks = forwarded + clients + leader_votes * self.statement();
        let voter_checks = self.lane(m) + clients + (voter_votes - 2.0).max(0.0) * self.statement();
        let common = m * c.execute_command_ns + self.disk(m) + 2.0 * self.certify() + 2.0 * c.sign_ns;
        let leader_replica =
            common + c.sign_ns + m * (c.admit_command_ns + c.lead_command_ns) + leader_votes * self.vote();
        let voter_messages = voter_votes + certificates;
        let voter_replica = common + m * (c.admit_command_ns / n + c.vote_command_ns) + voter_messages * self.vote();
        let small = self.tls(VOTE_FRAME_BYTES);
        let big = self.tls(self.block(m)) + certificates * self.tls(self.certificate());
        let passed_on = m * self.command_bytes * k.tls_byte_ns / k.io_threads as f64;
        let votes_out = if self.collects() { 0.0 } else { 2.0 * others };
        let leader_io = others * big + (votes_out + leader_votes) * small + passed_on * others / n;
        let voter_out = if self.collects() { 2.0 } else { votes_out };
        let voter_io = big + (voter_out + voter_votes) * small + passed_on / n;
        let leader_bytes = others * (self.block(m) + certificates * self.certificate()) + votes_out * VOTE_FRAME_BYTES;
        let voter_bytes = m * self.command_bytes / n + voter_out * VOTE_FRAME_BYTES;
        [
            ("leader's replica thread", leader_replica),
            ("leader's checks", leader_checks / cores),
            ("leader's TLS", leader_io),
            ("leader's uplink", leader_bytes * k.wire_byte_ns),
            ("voters' replica threads", voter_replica),
            ("voters' block checks", self.lane(m)),
            ("voters' checks", voter_checks / cores),
            ("voters' TLS", voter_io),
            ("voters' uplinks", voter_bytes * k.wire_byte_ns),
        ]
    }

    /// One frame to one peer of a node at rest: encryption, uplink, decryption. The delay is added for the whole path.
    fn hop(&self, bytes: f64) -> f64 {
        let tls = self.k.tls_message_ns + bytes * self.k.tls_byte_ns;
        2.0 * tls + bytes * self.k.wire_byte_ns
    }

    /// One frame to `count` peers until the last of them has it.
    fn fan_out(&self, bytes: f64, count: f64) -> f64 {
        let each = self.tls(bytes).max(bytes * self.k.wire_byte_ns);
        self.hop(bytes) + (count - 1.0).max(0.0) * each
    }

    /// A node takes in a quorum's votes that arrive together: the slowest stage for all, the others for one.
    fn gather(&self) -> f64 {
        let count = self.q - 1.0;
        let stages = [self.tls(VOTE_FRAME_BYTES), self.statement() / self.k.cores as f64, self.vote()];
        let slowest = stages.iter().fold(0.0f64, |a, b| a.max(*b));
        (count - 1.0).max(0.0) * slowest + self.statement() + self.vote()
    }

    /// One round of votes, from a node's vote being durable to its having a certificate.
    fn round(&self) -> f64 {
        match self.votes {
            Votes::Broadcast => self.fan_out(VOTE_FRAME_BYTES, (self.n - 1.0) * self.q / self.n) + self.gather(),
            Votes::Collector => {
                let to_leader = self.hop(VOTE_FRAME_BYTES) + self.gather() + self.certify();
                let back = self.fan_out(self.certificate(), self.q - 1.0) + self.fresh_certificate() + self.vote();
                to_leader + back
            }
        }
    }

    /// One durable vote: signature, safety record, syncs.
    fn durable(&self, syncs: f64) -> f64 {
        self.c.sign_ns + syncs * self.k.sync_ns + self.certificate() * (self.k.disk_byte_ns + self.c.append_byte_ns)
    }

    /// Checking commands of which all are new, and hashing those of another node.
    fn check(&self, m: f64, hashes: f64) -> f64 {
        m * (self.c.check_command_ns + hashes) + signatures_ns(m as usize, self.c)
    }

    /// Until `m` commands submitted at a node that does not lead are with the leader, without the delay.
    fn gateway(&self, m: f64) -> f64 {
        self.check(m, 0.0)
            + m * self.c.admit_command_ns
            + self.hop(m * self.command_bytes)
            + self.check(m, self.hashes())
    }

    /// From the leader's having `m` commands to their execution, without the delays.
    fn ordering(&self, m: f64) -> f64 {
        let c = self.c;
        let log = m * self.command_bytes * (self.k.disk_byte_ns + c.append_byte_ns);
        let leader = m * (c.admit_command_ns + c.lead_command_ns) + self.durable(SYNCS) + c.sign_ns + log;
        // The leader's vote leaves before its proposal, to each peer.
        let vote_first = if self.collects() { 0.0 } else { (self.n - 1.0) * self.tls(VOTE_FRAME_BYTES) };
        let proposal = vote_first + self.fan_out(self.block(m), self.q - 1.0);
        let voter = self.lane(m) - self.lane_later() + m * c.vote_command_ns + self.durable(SYNCS) + log;
        // With no other block about, nothing is appended to the log with this vote, and only the safety record is
        // synced.
        let certified = self.certify() + self.durable(1.0);
        let end = self.certify() + m * c.execute_command_ns;
        leader + proposal + voter + self.round() + certified + self.round() + end
    }

    /// What the leader's lane holds after the proposal: its later votes or certificates.
    fn lane_later(&self) -> f64 {
        match self.votes {
            Votes::Broadcast => self.statement(),
            Votes::Collector => 2.0 * self.fresh_certificate(),
        }
    }
}
