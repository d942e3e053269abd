//! What is counted, and its text for Prometheus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use replica::Status;
use wire::{Membership, NodeId, OutcomeCode};

/// One label, whose name depends on the metric.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($field:ident),* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($field: String),* }
    };
}
label!(Code { code });
label!(Reason { reason });
label!(Kind { message });
label!(Queue { queue });
label!(OffenceLabels { node, offence });

/// All metrics of the node. Labels come from closed sets (voters, message kinds, reasons), so their number is bounded.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    names: BTreeMap<NodeId, String>,
    term: Gauge,
    executed: Gauge,
    known: Gauge,
    uncommitted: Gauge,
    held: Gauge,
    log_bytes: Gauge,
    entries: Gauge,
    pool: Gauge,
    leads: Gauge,
    halted: Family<Reason, Gauge>,
    evidence: Family<OffenceLabels, Gauge>,
    commands: Family<Code, Counter>,
    submitted: Counter,
    turned_away: Family<Reason, Counter>,
    checked: Counter,
    received: Family<Kind, Counter>,
    sent: Family<Kind, Counter>,
    dropped: Family<Reason, Counter>,
    offences: Family<OffenceLabels, Counter>,
    links_out: Gauge,
    links_in: Gauge,
    streams: Gauge,
    http_connections: Gauge,
    waiting: Family<Queue, Gauge>,
    turns: Histogram,
    commit: Histogram,
}

impl Metrics {
    /// Everything at zero. Nodes are named as in the membership.
    pub fn new(membership: &Membership) -> Arc<Metrics> {
        let seconds = || Histogram::new(exponential_buckets(0.0001, 2.0, 18));
        let mut metrics = Metrics {
            registry: Registry::with_prefix("juno"),
            names: membership.voters.iter().map(|v| (v.id, v.name.to_string())).collect(),
            term: Gauge::default(),
            executed: Gauge::default(),
            known: Gauge::default(),
            uncommitted: Gauge::default(),
            held: Gauge::default(),
            log_bytes: Gauge::default(),
            entries: Gauge::default(),
            pool: Gauge::default(),
            leads: Gauge::default(),
            halted: Family::default(),
            evidence: Family::default(),
            commands: Family::default(),
            submitted: Counter::default(),
            turned_away: Family::default(),
            checked: Counter::default(),
            received: Family::default(),
            sent: Family::default(),
            dropped: Family::default(),
            offences: Family::default(),
            links_out: Gauge::default(),
            links_in: Gauge::default(),
            streams: Gauge::default(),
            http_connections: Gauge::default(),
            waiting: Family::default(),
            turns: seconds(),
            commit: seconds(),
        };
        metrics.register();
        // There from the start, so that an alert on it can tell "fine" from "gone".
        metrics.halted.get_or_create(&Reason { reason: String::new() }).set(0);
        Arc::new(metrics)
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("term", "Term this node is in", self.term.clone());
        r.register("executed_height", "Height of the newest block committed and executed here", self.executed.clone());
        r.register("known_height", "Highest height this node has proof of being committed", self.known.clone());
        r.register("uncommitted_blocks", "Blocks above the committed height", self.uncommitted.clone());
        r.register("protocol_items", "Blocks and statements of the protocol held in memory", self.held.clone());
        r.register("log_bytes", "Bytes of the log", self.log_bytes.clone());
        r.register("entries", "Entries in the log", self.entries.clone());
        r.register("pool_commands", "Commands waiting to be ordered", self.pool.clone());
        r.register("leader", "1 if this node leads its term", self.leads.clone());
        r.register("halted", "1 if this node stopped voting, with the reason", self.halted.clone());
        r.register(
            "equivocation_evidence",
            "ALERT if above 0: proofs held that this node of the cluster broke the protocol",
            self.evidence.clone(),
        );
        r.register("commands", "Commands executed, by outcome code (0 is applied)", self.commands.clone());
        r.register("commands_submitted", "Commands clients handed to this node", self.submitted.clone());
        r.register("commands_turned_away", "Commands not taken, by reason", self.turned_away.clone());
        r.register("commands_checked", "Commands of clients whose signatures were checked", self.checked.clone());
        r.register("messages_received", "Checked messages of peers, by kind", self.received.clone());
        r.register("messages_sent", "Messages to peers, by kind; a broadcast counts once", self.sent.clone());
        r.register("frames_dropped", "Frames not delivered to peers or clients, by reason", self.dropped.clone());
        r.register("peer_offences", "Frames refused, by peer and kind", self.offences.clone());
        r.register("peers_connected", "Peers this node has dialled and is connected to", self.links_out.clone());
        r.register("peer_links_inbound", "Links other nodes have dialled", self.links_in.clone());
        r.register("streams", "Client streams open", self.streams.clone());
        r.register("http_connections", "HTTP connections open", self.http_connections.clone());
        r.register("waiting", "What waits for its turn in this node, by queue", self.waiting.clone());
        let help = "One turn of the replica: admit, order, write, sync, apply";
        r.register_with_unit("turn_duration", help, Unit::Seconds, self.turns.clone());
        let help = "From a block's time, as its proposer stamped it, to its execution here";
        r.register_with_unit("commit_duration", help, Unit::Seconds, self.commit.clone());
    }

    fn name(&self, node: NodeId) -> String {
        self.names.get(&node).cloned().unwrap_or_else(|| node.to_string())
    }

    /// A peer's frame was refused.
    pub fn offence(&self, peer: NodeId, offence: &'static str) {
        let labels = OffenceLabels { node: self.name(peer), offence: offence.into() };
        self.offences.get_or_create(&labels).inc();
    }

    /// A proof against a node was found.
    pub fn evidence(&self, accused: NodeId, offence: &'static str) {
        self.evidence.get_or_create(&OffenceLabels { node: self.name(accused), offence: offence.into() }).inc();
    }

    /// The node stopped voting.
    pub fn halt(&self, reason: &str) {
        self.halted.get_or_create(&Reason { reason: reason.into() }).set(1);
    }

    /// A peer's message passed its checks.
    pub fn received(&self, kind: &'static str) {
        self.received.get_or_create(&Kind { message: kind.into() }).inc();
    }

    /// A message was queued for peers.
    pub fn sent(&self, kind: &'static str) {
        self.sent.get_or_create(&Kind { message: kind.into() }).inc();
    }

    /// Frames were not delivered.
    pub fn dropped(&self, reason: &'static str, count: usize) {
        if count > 0 {
            self.dropped.get_or_create(&Reason { reason: reason.into() }).inc_by(count as u64);
        }
    }

    /// Clients handed over commands.
    pub fn submitted(&self, count: usize) {
        self.submitted.inc_by(count as u64);
    }

    /// Commands were not taken.
    pub fn turned_away(&self, reason: &'static str, count: usize) {
        if count > 0 {
            self.turned_away.get_or_create(&Reason { reason: reason.into() }).inc_by(count as u64);
        }
    }

    /// Clients' signatures were checked.
    pub fn checked(&self, count: usize) {
        self.checked.inc_by(count as u64);
    }

    /// A command was executed.
    pub fn executed(&self, code: OutcomeCode, count: u64) {
        self.commands.get_or_create(&Code { code: code.0.to_string() }).inc_by(count);
    }

    /// The replica had a turn.
    pub fn turn(&self, took: Duration) {
        self.turns.observe(took.as_secs_f64());
    }

    /// A block was executed so many milliseconds after its own time.
    pub fn block(&self, age_ms: u64) {
        self.commit.observe(age_ms as f64 / 1000.0);
    }

    /// The gauge of peers dialled and connected.
    pub fn links_out(&self) -> Gauged {
        Gauged::new(&self.links_out)
    }

    /// The gauge of links from peers.
    pub fn links_in(&self) -> Gauged {
        Gauged::new(&self.links_in)
    }

    /// The gauge of client streams.
    pub fn streams(&self) -> Gauged {
        Gauged::new(&self.streams)
    }

    /// The gauge of HTTP connections.
    pub fn http_connections(&self) -> Gauged {
        Gauged::new(&self.http_connections)
    }

    /// What waits, as of now.
    pub fn waiting(&self, queue: &'static str, count: usize) {
        self.waiting.get_or_create(&Queue { queue: queue.into() }).set(gauge(count as u64));
    }

    /// All metrics as text, with the replica's status as of now.
    pub fn text(&self, status: Option<&Status>) -> String {
        if let Some(status) = status {
            self.adopt(status);
        }
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }

    fn adopt(&self, status: &Status) {
        self.term.set(gauge(status.term.0));
        self.executed.set(gauge(status.height.0));
        self.known.set(gauge(status.height_known.0));
        self.uncommitted.set(gauge(status.uncommitted as u64));
        self.held.set(gauge(status.held as u64));
        self.log_bytes.set(gauge(status.log_bytes));
        self.entries.set(gauge(status.entries));
        self.pool.set(gauge(status.pool as u64));
        self.leads.set((status.leader == Some(status.node)).into());
        if let Some(reason) = &status.halted {
            self.halt(reason);
        }
        let mut proofs: BTreeMap<(NodeId, &'static str), u64> = BTreeMap::new();
        for proof in &status.evidence {
            *proofs.entry(*proof).or_default() += 1;
        }
        for ((node, offence), count) in proofs {
            let labels = OffenceLabels { node: self.name(node), offence: offence.into() };
            self.evidence.get_or_create(&labels).set(gauge(count));
        }
    }
}

fn gauge(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Counts one as long as it lives.
#[derive(Debug)]
pub struct Gauged(Gauge);

impl Gauged {
    fn new(of: &Gauge) -> Gauged {
        of.inc();
        Gauged(of.clone())
    }
}

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{FaultModel, Name, SecretKey, Voter};

    fn metrics() -> Arc<Metrics> {
        let voter = |n: u8| Voter {
            id: NodeId(n.into()),
            name: Name::new(&format!("bank{n}")).unwrap(),
            key: SecretKey::from_seed([n; 32]).public(),
            weight: 1,
        };
        Metrics::new(&Membership {
            epoch: wire::Epoch(1),
            fault_model: FaultModel::Byzantine,
            faulty_weight: 1,
            voters: (1..=4).map(voter).collect(),
        })
    }

    #[test]
    fn an_equivocator_is_named() {
        let metrics = metrics();
        assert!(!metrics.text(None).contains("juno_equivocation_evidence{"), "silent while all is well");
        metrics.evidence(NodeId(3), "two_votes");
        let text = metrics.text(None);
        assert!(text.contains(r#"juno_equivocation_evidence{node="bank3",offence="two_votes"} 1"#), "{text}");
        assert!(text.contains("# HELP juno_equivocation_evidence ALERT"), "{text}");
    }

    #[test]
    fn counts_and_gauges() {
        let metrics = metrics();
        assert!(metrics.text(None).contains(r#"juno_halted{reason=""} 0"#));
        metrics.halt("state root differs");
        metrics.executed(OutcomeCode(35), 2);
        metrics.dropped("peer_queue_full", 0);
        let link = metrics.links_out();
        let text = metrics.text(None);
        assert!(text.contains(r#"juno_halted{reason="state root differs"} 1"#), "{text}");
        assert!(text.contains(r#"juno_commands_total{code="35"} 2"#), "{text}");
        assert!(text.contains("juno_peers_connected 1"), "{text}");
        assert!(!text.contains("peer_queue_full"), "nothing dropped, nothing said");
        drop(link);
        assert!(metrics.text(None).contains("juno_peers_connected 0"));
    }
}
