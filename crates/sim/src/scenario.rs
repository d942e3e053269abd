//! The attacks by name, each as a scene in which it happens, and the rule that stands against it.
//!
//! Every scene is run twice: as built, where the run must be clean, and with the rule taken out, where an oracle must
//! notice. A scene is drawn from a seed like any run, so it is tried with several; the mutant must be caught with one of
//! them, and the product must be clean with all.

use consensus::Rule;
use replica::Standard;
use wire::{FaultModel, Genesis};

use crate::adversary::Strategy;
use crate::network::Matrix;
use crate::oracle::Failure;
use crate::plan::{Fault, Plan, Step};
use crate::random::Random;
use crate::rules::{Mutant, Removed, without};
use crate::world::{Report, run};

/// One attack and the rule against it.
pub struct Scenario {
    /// The row of the list of attacks, or the name of a planted fault of the whole protocol.
    pub row: &'static str,
    /// What happens.
    pub attack: &'static str,
    /// What is taken out for the second run.
    pub removed: Removed,
    /// The scene.
    plan: fn(u64) -> Plan,
    /// What must be true of a run beyond the oracles.
    check: fn(&Report) -> Result<(), &'static str>,
}

/// How a scenario went.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Seeds run as built, and the first failure.
    pub built: (u64, Option<String>),
    /// The seed and the oracle that caught the mutant.
    pub caught: Option<(u64, String)>,
}

impl Verdict {
    /// True if the product survives and the mutant does not.
    pub fn is_good(&self) -> bool {
        self.built.1.is_none() && self.caught.is_some()
    }
}

impl Scenario {
    /// Runs both: as built with `seeds` seeds, and without the rule until it is caught, with four times as many at most.
    pub fn play(&self, seeds: u64) -> Verdict {
        let mut failed = None;
        for seed in 1..=seeds {
            let report = run::<Standard>(&(self.plan)(seed), None);
            if let Some(failure) = self.judge(&report) {
                failed = Some(format!("seed {seed}: {failure}"));
                break;
            }
        }
        let mut caught = None;
        for seed in 1..=4 * seeds {
            let mut plan = (self.plan)(seed);
            if self.removed == Removed::ClientsCount {
                plan.enough = Some(1);
            }
            let report = without(self.removed, || run::<Mutant>(&plan, None));
            if let Some(failure) = self.judge(&report) {
                caught = Some((seed, failure.to_string()));
                break;
            }
        }
        Verdict { built: (seeds, failed), caught }
    }

    /// One run, as built or without the rule, for looking at it.
    pub fn look(&self, seed: u64, built: bool, trace: &mut dyn FnMut(&str)) -> Report {
        let plan = (self.plan)(seed);
        match built {
            true => run::<Standard>(&plan, Some(trace)),
            false => without(self.removed, || run::<Mutant>(&plan, Some(trace))),
        }
    }

    fn judge(&self, report: &Report) -> Option<Failure> {
        let beyond = || (self.check)(report).err().map(|why| Failure::new("scene", why));
        report.failure.clone().or_else(beyond)
    }
}

fn nothing_more(_: &Report) -> Result<(), &'static str> {
    Ok(())
}

/// A cluster of equals with short timeouts, two busy clients and a good network.
fn scene(seed: u64, model: FaultModel, voters: usize) -> Plan {
    let mut random = Random::of(seed, "scene");
    Plan::scene(seed, model, voters, Matrix::generated(&mut random, 3, 5_000))
}

/// The same with guilty voters, Byzantine, one of four or two of seven, that follow these strategies.
fn lies(seed: u64, voters: usize, strategies: &[Strategy]) -> Plan {
    let mut plan = scene(seed, FaultModel::Byzantine, voters);
    let most = Genesis::faulty_weight_max(FaultModel::Byzantine, voters as u64) as usize;
    let mut random = Random::of(seed, "guilty");
    let mut order: Vec<usize> = (0..voters).collect();
    random.shuffle(&mut order);
    order.truncate(most);
    order.sort_unstable();
    plan.guilty = order;
    plan.strategies = strategies.to_vec();
    plan
}

/// Machines crash in turns, now one, now all; what was not synced is lost.
fn with_crashes(mut plan: Plan, every_ms: u64) -> Plan {
    let mut random = Random::of(plan.seed, "crashes");
    let machines = plan.machines();
    let mut at_us = 1_000_000;
    while at_us < plan.safety_us {
        let machine = random.index(machines);
        let down_us = 100_000 + random.below(600_000);
        let fault = match random.below(4) {
            0 => Fault::Crash { machines: (0..machines).collect(), keep: 0, down_us },
            1 => Fault::Crash { machines: vec![machine], keep: 0, down_us },
            _ => Fault::CrashAtOperation { machine, after: random.below(12), down_us },
        };
        plan.steps.push(Step { at_us, fault });
        at_us += 1000 * (every_ms / 2 + random.below(every_ms));
    }
    plan
}

/// The leader of the moment is cut off again and again, so that terms change.
fn with_cuts(mut plan: Plan, every_ms: u64) -> Plan {
    let mut random = Random::of(plan.seed, "cuts");
    let machines = plan.machines();
    let mut at_us = 1_500_000;
    while at_us < plan.safety_us {
        let alone = random.part(machines, 350);
        let rest: Vec<usize> = (0..machines).filter(|m| !alone.contains(m)).collect();
        let both = random.chance(500);
        let for_us = 300_000 + random.below(2_000_000);
        plan.steps.push(Step { at_us, fault: Fault::Cut { from: alone, to: rest, both, for_us } });
        at_us += 1000 * (every_ms / 2 + random.below(every_ms));
    }
    plan.steps.sort_by_key(|s| s.at_us);
    plan
}

fn relentless(mut plan: Plan) -> Plan {
    plan.relentless = true;
    plan
}

/// The guilty voter is the leader of term 1 or 2.
fn leading(mut plan: Plan, first: usize) -> Plan {
    plan.guilty = vec![first];
    plan
}

fn few_terms(report: &Report) -> Result<(), &'static str> {
    if report.terms <= 4 { Ok(()) } else { Err("terms rose although the leader did all it should") }
}

fn slow_leader_left(report: &Report) -> Result<(), &'static str> {
    if report.terms >= 3 { Ok(()) } else { Err("a slow leader stayed in office") }
}

/// A leader that was fast crashes; the next one delivers each block just before the timeout.
fn slow_leader(seed: u64) -> Plan {
    let mut plan = relentless(leading(lies(seed, 4, &[Strategy::SlowLeader]), 1));
    plan.steps.push(Step { at_us: 20_000_000, fault: Fault::Crash { machines: vec![0], keep: 2, down_us: 3_000_000 } });
    plan.safety_us = 60_000_000;
    plan.genesis.parameters.slow_leader_ms = 4_000;
    plan
}

/// One clock after the other is an hour ahead for a while.
fn wrong_clock(seed: u64) -> Plan {
    let mut plan = scene(seed, FaultModel::Crash, 3);
    for n in 0..6 {
        let (machine, at_us) = (n % 3, 1_000_000 + 3_000_000 * n as u64);
        plan.steps.push(Step { at_us, fault: Fault::Jump { machine, offset_ms: 3_600_000 } });
        plan.steps.push(Step { at_us: at_us + 2_500_000, fault: Fault::Jump { machine, offset_ms: 0 } });
    }
    plan
}

fn hostile(seed: u64) -> Plan {
    let mut plan = scene(seed, FaultModel::Byzantine, 4);
    plan.hostile = true;
    plan.interval_us = 40_000;
    plan.fanout = 1;
    plan
}

fn rough(seed: u64) -> Plan {
    let mut plan = with_cuts(scene(seed, FaultModel::Byzantine, 4), 1500);
    plan.weather = crate::network::Weather { loss: 100, duplication: 20, holding: 50, held_us_max: 500_000 };
    let mut random = Random::of(seed, "clocks");
    for n in 0..8 {
        let machine = random.index(4);
        let offset_ms = random.below(4000) as i64 - 2000;
        plan.steps.push(Step { at_us: 2_000_000 + n * 2_000_000, fault: Fault::Jump { machine, offset_ms } });
    }
    plan.steps.sort_by_key(|s| s.at_us);
    plan
}

use Strategy as S;

/// All attacks and planted faults.
pub fn all() -> Vec<Scenario> {
    let row = |row, attack, removed, plan, check| Scenario { row, attack, removed, plan, check };
    let rule = Removed::Ordering;
    let ok: fn(&Report) -> Result<(), &'static str> = nothing_more;
    vec![
        row("S1", "votes that name others as author", rule(Rule::Signatures), |s| lies(s, 4, &[S::ForgeVotes]), ok),
        row(
            "S2",
            "one vote many times in a certificate",
            rule(Rule::DistinctAuthors),
            |s| lies(s, 4, &[S::Padded]),
            ok,
        ),
        row(
            "S2",
            "votes of a late term made to count for an old block",
            rule(Rule::LinksWithinTerm),
            |s| with_crashes(with_cuts(lies(s, 4, &[S::Stretch, S::Mute]), 2500), 4000),
            ok,
        ),
        row("S3", "a vote with a wrong place", rule(Rule::VotesNameTheirBlock), |s| lies(s, 4, &[S::Misplaced]), ok),
        row(
            "S4",
            "two blocks at one place",
            rule(Rule::VotesChain),
            |s| lies(s, 4, &[S::Equivocate, S::Propose, S::Replay, S::VoteAnything]),
            ok,
        ),
        row(
            "S4",
            "a first block beside the obliged one",
            rule(Rule::FirstBlockObliged),
            |s| with_cuts(lies(s, 4, &[S::Propose, S::Mute, S::VoteAnything]), 2000),
            ok,
        ),
        row(
            "S5",
            "an old withheld certificate published late",
            rule(Rule::OldCertificatesAreHistory),
            |s| with_cuts(lies(s, 4, &[S::Elections, S::Withhold, S::Equivocate, S::Mute, S::Propose]), 1500),
            ok,
        ),
        row(
            "S6",
            "a claim to an infinite log",
            rule(Rule::ClaimsProven),
            |s| with_cuts(lies(s, 4, &[S::InfiniteLog, S::Mute]), 2500),
            ok,
        ),
        row(
            "S7",
            "F voters sign everything",
            rule(Rule::QuorumIntersection),
            |s| lies(s, 7, &[S::Equivocate, S::VoteAnything, S::Propose, S::Elections]),
            ok,
        ),
        row(
            "S8",
            "old elections again",
            rule(Rule::TermsRise),
            |s| with_cuts(lies(s, 4, &[S::Replay, S::Stale, S::Mute]), 2000),
            ok,
        ),
        row(
            "S9",
            "power lost at any write, vote before sync",
            rule(Rule::DurableBeforeSent),
            |s| with_crashes(scene(s, FaultModel::Byzantine, 4), 700),
            ok,
        ),
        row(
            "S10",
            "old proposals again, late and twice",
            rule(Rule::LeftTermsClosed),
            |s| with_cuts(lies(s, 4, &[S::Replay, S::Delay, S::Withhold, S::Mute]), 1500),
            ok,
        ),
        row(
            "S11",
            "a command ordered twice",
            Removed::Ledger(ledger::Rule::AtMostOnce),
            |s| with_cuts(lies(s, 4, &[S::Propose]), 2000),
            ok,
        ),
        row(
            "S11",
            "a command ordered after its expiry",
            Removed::Ledger(ledger::Rule::Expiry),
            |s| {
                let mut plan = with_cuts(lies(s, 4, &[S::Propose, S::Mute]), 2000);
                plan.hostile = true;
                plan
            },
            ok,
        ),
        row("S12", "a node lies to clients", Removed::ClientsCount, |s| lies(s, 4, &[S::LieToClients]), ok),
        row(
            "S13",
            "an account debited without its owner",
            Removed::Ledger(ledger::Rule::OwnerSigns),
            |s| scene(s, FaultModel::Byzantine, 4),
            ok,
        ),
        row(
            "S14",
            "everyone's votes of another cluster, and garbage",
            rule(Rule::Signatures),
            |s| lies(s, 4, &[S::Foreign, S::Garbage]),
            ok,
        ),
        row(
            "L1",
            "a leader sends heartbeats only",
            rule(Rule::CommandDeadlines),
            |s| relentless(leading(lies(s, 4, &[S::HeartbeatsOnly]), 0)),
            ok,
        ),
        row(
            "L1",
            "a leader orders everyone but one client",
            rule(Rule::CommandDeadlines),
            |s| relentless(leading(lies(s, 4, &[S::Censor]), 0)),
            ok,
        ),
        row("L2", "clients call for elections", rule(Rule::HopelessCommandsDropped), hostile, few_terms),
        row(
            "L3",
            "minorities cut off and back",
            rule(Rule::StandingsShared),
            |s| with_crashes(with_cuts(scene(s, FaultModel::Byzantine, 4), 1200), 3000),
            ok,
        ),
        row(
            "L4",
            "one node asks for ever higher terms",
            rule(Rule::JoinAboveF),
            |s| leading(lies(s, 4, &[S::Elections]), 3),
            few_terms,
        ),
        row(
            "L5",
            "heights near their maximum proposed",
            rule(Rule::ProposalWindow),
            |s| relentless(leading(lies(s, 4, &[S::FarProposals]), 0)),
            ok,
        ),
        row("L6", "votes for absurd heights", rule(Rule::VoteWindow), |s| relentless(lies(s, 4, &[S::FarVotes])), ok),
        row("L7", "a leader just under the timeout", rule(Rule::SlowLeadersReplaced), slow_leader, slow_leader_left),
        row("L8", "loss, one-way cuts, clock jumps", rule(Rule::VotesResent), rough, ok),
        row(
            "no lock phase",
            "commits after one round of votes",
            rule(Rule::LockPhase),
            |s| with_cuts(lies(s, 4, &[S::Equivocate, S::Withhold, S::Elections, S::Propose, S::VoteAnything]), 1500),
            ok,
        ),
        row(
            "votes after asking",
            "certified votes after the election vote",
            rule(Rule::SilenceAfterElectionVote),
            |s| with_cuts(scene(s, FaultModel::Byzantine, 4), 1200),
            ok,
        ),
        row(
            "asking forgotten",
            "the election vote forgotten over a restart",
            rule(Rule::ElectionVoteDurable),
            |s| with_crashes(with_cuts(scene(s, FaultModel::Byzantine, 4), 1500), 1500),
            ok,
        ),
        row(
            "lowest claim",
            "the lowest claim obliges",
            rule(Rule::HighestClaimObliges),
            |s| with_cuts(scene(s, FaultModel::Byzantine, 4), 1500),
            ok,
        ),
        row(
            "crash, certificates",
            "crash-mode elections by certificate",
            rule(Rule::CrashElectionsReportVotes),
            |s| with_crashes(with_cuts(scene(s, FaultModel::Crash, 3), 1500), 1500),
            ok,
        ),
        row(
            "found: commit first",
            "a commit written before the vote it counts",
            rule(Rule::CommitsAfterVotes),
            |s| with_cuts(with_crashes(scene(s, FaultModel::Crash, 3), 250), 2500),
            ok,
        ),
        row(
            "found: wrong clock",
            "a leader's clock an hour ahead, under crash faults",
            rule(Rule::PastNeedsNoClock),
            |s| with_cuts(wrong_clock(s), 1500),
            ok,
        ),
        row(
            "found: own vote",
            "all restart while asking",
            rule(Rule::OwnElectionVoteCounts),
            |s| with_cuts(with_crashes(scene(s, FaultModel::Byzantine, 2), 700), 1200),
            ok,
        ),
        row(
            "crash, proposes anew",
            "a leader proposes anew after a restart",
            rule(Rule::LeaderResumes),
            |s| with_crashes(scene(s, FaultModel::Crash, 3), 700),
            ok,
        ),
    ]
}
