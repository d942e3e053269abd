//! What one run is made of, drawn from its seed before it begins.
//!
//! A [`Plan`] holds everything that varies: the cluster, the network, the guilty and their strategies, the clients, and
//! a schedule of faults. Each seed draws its own mix (swarm testing): some runs have no loss at all and many crashes,
//! others the opposite, so that no kind of fault hides another. The schedule is a plain list, each fault complete in
//! itself, so that any part of it can be left out; that is how a failing run is made smaller.
//!
//! # Who counts as faulty
//!
//! The guilty (whose keys the adversary holds) and the damaged (whose disks lose or change what was synced, or are
//! rolled back) weigh at most `F` together. Under crash faults there are neither. Crashes, lost unsynced writes, full
//! disks, pauses and cut links may hit anyone, all at once.
//!
//! Wall clocks that run ahead by more than a voter waits for could fill the log with times that the others must wait
//! for. So clocks of a weight up to `F` jump by up to an hour, and those of the others stay within two seconds.

use std::fmt;

use wire::limits::COMMAND_BYTES_MAX;
use wire::{FaultModel, Genesis, Guard, Name, NodeId, Parameters, SecretKey, Voter};

use crate::adversary::Strategy;
use crate::clock::START;
use crate::network::{Matrix, Weather};
use crate::random::Random;

/// One fault, at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at_us: u64,
    /// What.
    pub fault: Fault,
}

/// What goes wrong. Machines are numbered as in the genesis document; twins come after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing passes from any of `from` to any of `to`; in both directions if `both`.
    Cut {
        /// Senders.
        from: Vec<usize>,
        /// Receivers.
        to: Vec<usize>,
        /// In both directions.
        both: bool,
        /// For how long.
        for_us: u64,
    },
    /// Links from these machines are slower.
    Slow {
        /// Senders.
        from: Vec<usize>,
        /// By how much.
        by_us: u64,
        /// For how long.
        for_us: u64,
    },
    /// Power is lost now; unsynced writes survive in part, or not at all.
    Crash {
        /// Which machines, together.
        machines: Vec<usize>,
        /// Unsynced writes: 0 none, 1 in part, 2 all.
        keep: u8,
        /// Until the restart.
        down_us: u64,
    },
    /// Power is lost in the midst of a disk operation to come.
    CrashAtOperation {
        /// Which machine.
        machine: usize,
        /// After so many more operations.
        after: u64,
        /// Until the restart.
        down_us: u64,
    },
    /// The process stands still.
    Pause {
        /// Which machine.
        machine: usize,
        /// For how long.
        for_us: u64,
    },
    /// The wall clock jumps.
    Jump {
        /// Which machine.
        machine: usize,
        /// How far it is off from then on.
        offset_ms: i64,
    },
    /// Each sync takes longer.
    SlowDisk {
        /// Which machine.
        machine: usize,
        /// How long.
        sync_us: u64,
        /// For how long.
        for_us: u64,
    },
    /// The disk takes only so many bytes more.
    FullDisk {
        /// Which machine.
        machine: usize,
        /// Bytes still free.
        free: u64,
    },
    /// Bits of the disk change while the power is off. The machine counts as faulty.
    Rot {
        /// Which machine.
        machine: usize,
        /// How many bits.
        bits: u32,
    },
    /// A write lands elsewhere. The machine counts as faulty.
    Misdirect {
        /// Which machine.
        machine: usize,
        /// After so many more operations.
        after: u64,
        /// Bytes too far on.
        by: u64,
    },
    /// The disk is set back to an earlier image of itself. The machine counts as faulty.
    RollBack {
        /// Which machine.
        machine: usize,
    },
}

impl Fault {
    /// The machines it names.
    pub fn machines(&self) -> Vec<usize> {
        match self {
            Fault::Cut { from, to, .. } => from.iter().chain(to).copied().collect(),
            Fault::Slow { from, .. } => from.clone(),
            Fault::Crash { machines, .. } => machines.clone(),
            Fault::CrashAtOperation { machine, .. }
            | Fault::Pause { machine, .. }
            | Fault::Jump { machine, .. }
            | Fault::SlowDisk { machine, .. }
            | Fault::FullDisk { machine, .. }
            | Fault::Rot { machine, .. }
            | Fault::Misdirect { machine, .. }
            | Fault::RollBack { machine } => vec![*machine],
        }
    }

    /// A short name, for coverage.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Cut { both: true, .. } => "cut",
            Fault::Cut { both: false, .. } => "one-way cut",
            Fault::Slow { .. } => "slow link",
            Fault::Crash { machines, .. } if machines.len() > 1 => "crash of several",
            Fault::Crash { .. } => "crash",
            Fault::CrashAtOperation { .. } => "crash at a disk operation",
            Fault::Pause { .. } => "pause",
            Fault::Jump { .. } => "clock jump",
            Fault::SlowDisk { .. } => "slow disk",
            Fault::FullDisk { .. } => "full disk",
            Fault::Rot { .. } => "bit flips",
            Fault::Misdirect { .. } => "misdirected write",
            Fault::RollBack { .. } => "directory rolled back",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10}.{:03} {:?}", self.at_us / 1000, self.at_us % 1000, self.fault)
    }
}

/// What the caller decides.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Round trips, if not generated.
    pub matrix: Option<Matrix>,
    /// No faults and no adversary: four voters, for measuring.
    pub calm: bool,
    /// Voters, if not drawn.
    pub voters: Option<usize>,
    /// Length of the safety phase, if not drawn.
    pub safety_ms: Option<u64>,
}

/// Everything that one run is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed it was drawn from.
    pub seed: u64,
    /// The cluster.
    pub genesis: Genesis,
    /// Delays.
    pub matrix: Matrix,
    /// Loss, doubling and holding in the safety phase.
    pub weather: Weather,
    /// Voters whose keys the adversary holds.
    pub guilty: Vec<usize>,
    /// Of these, the ones that run twice.
    pub twins: Vec<usize>,
    /// What the guilty do.
    pub strategies: Vec<Strategy>,
    /// Voters whose disks fail in ways that count as faulty.
    pub damaged: Vec<usize>,
    /// Drift in parts per million and offset in milliseconds of each machine's clocks.
    pub clocks: Vec<(i64, i64)>,
    /// What each sync costs.
    pub sync_us: u64,
    /// Messages are looked at this long after they arrived, at most, together with what came in the meantime.
    pub slice_us: u64,
    /// Faults by ascending time.
    pub steps: Vec<Step>,
    /// Length of the safety phase; again and again until enough has happened.
    pub safety_us: u64,
    /// Heal after the first time, however little has happened.
    pub is_short: bool,
    /// Clients.
    pub clients: usize,
    /// Each sends a command about this often.
    pub interval_us: u64,
    /// Nodes a command is sent to at first.
    pub fanout: usize,
    /// Commands that may wait at one node.
    pub pool_max: usize,
    /// The guilty do all they can all the time.
    pub relentless: bool,
    /// Clients send little but commands that contradict each other, or expire at once.
    pub hostile: bool,
    /// Receipts of what weight a client believes, if not more than `F`.
    pub enough: Option<u64>,
}

/// The key of a voter.
pub fn voter_key(voter: usize) -> SecretKey {
    SecretKey::from_seed([voter as u8 + 1; 32])
}

/// The key of a party.
pub fn party_key(party: &str) -> SecretKey {
    SecretKey::from_seed(wire::Hash::of(party.as_bytes()).0)
}

impl Plan {
    /// Draws a plan.
    pub fn draw(seed: u64, settings: &Settings) -> Plan {
        if settings.calm {
            return Plan::calm(seed, settings);
        }
        let mut random = Random::of(seed, "plan");
        let genesis = draw_genesis(&mut random, settings);
        let voters = genesis.voters.len();
        let (guilty, damaged) = draw_faulty(&mut random, &genesis);
        let twins: Vec<usize> = guilty.iter().copied().filter(|_| random.chance(250)).collect();
        let strategies = Strategy::ALL.iter().copied().filter(|_| random.chance(400)).collect();
        let longest_us = genesis.parameters.timeout_base_ms * 1000 / 5;
        let matrix = draw_matrix(&mut random, settings, longest_us);
        let safety_us = settings.safety_ms.unwrap_or(20_000 + random.below(100_000)) * 1000;
        let machines = voters + twins.len();
        let clocks =
            (0..machines).map(|_| (random.below(400) as i64 - 200, random.below(2000) as i64 - 1000)).collect();
        let mut plan = Plan {
            seed,
            matrix,
            weather: draw_weather(&mut random),
            guilty,
            twins,
            strategies,
            damaged,
            clocks,
            sync_us: *random.pick(&[0, 200, 1000, 10_000]).unwrap_or(&0),
            slice_us: *random.pick(&[0, 0, 500, 5_000, 50_000]).unwrap_or(&0),
            steps: Vec::new(),
            safety_us,
            is_short: settings.safety_ms.is_some(),
            clients: random.between(1, 4) as usize,
            interval_us: *random.pick(&[50_000, 200_000, 1_000_000, 3_000_000]).unwrap_or(&1_000_000),
            fanout: random.between(1, voters as u64) as usize,
            pool_max: *random.pick(&[20, 1000, 10_000]).unwrap_or(&1000),
            relentless: false,
            hostile: false,
            enough: None,
            genesis,
        };
        if voters >= 7 && random.chance(800) {
            // Messages of a block grow with the square of the voters: these runs count by time and not by heights.
            plan.interval_us = plan.interval_us.max(2_000_000);
            plan.clients = plan.clients.min(2);
        }
        plan.steps = draw_steps(&mut random, &plan);
        plan
    }

    /// No faults: four voters (if not told otherwise), one command a second.
    fn calm(seed: u64, settings: &Settings) -> Plan {
        let mut random = Random::of(seed, "plan");
        let weights = vec![1; settings.voters.unwrap_or(4)];
        let genesis = genesis_of(FaultModel::Byzantine, &weights, None, Parameters::default());
        Plan {
            seed,
            matrix: settings.matrix.clone().unwrap_or_else(|| Matrix::generated(&mut random, 3, 40_000)),
            weather: Weather::default(),
            guilty: vec![],
            twins: vec![],
            strategies: vec![],
            damaged: vec![],
            clocks: vec![(0, 0); weights.len()],
            sync_us: 500,
            slice_us: 0,
            steps: vec![],
            safety_us: settings.safety_ms.unwrap_or(600_000) * 1000,
            is_short: true,
            clients: 1,
            interval_us: 1_000_000,
            fanout: 2.min(weights.len()),
            pool_max: 10_000,
            relentless: false,
            hostile: false,
            enough: None,
            genesis,
        }
    }

    /// A cluster of equals with short timeouts, two busy clients, a good network and nobody guilty, for a scene.
    pub fn scene(seed: u64, model: FaultModel, voters: usize, matrix: Matrix) -> Plan {
        let parameters = Parameters {
            heartbeat_ms: 50,
            timeout_base_ms: 400,
            timeout_cap_ms: 1600,
            block_bytes_max: COMMAND_BYTES_MAX as u32 + 20_000,
            ..Parameters::default()
        };
        Plan {
            matrix,
            clients: 2,
            interval_us: 100_000,
            safety_us: 20_000_000,
            sync_us: 200,
            genesis: genesis_of(model, &vec![1; voters], None, parameters),
            clocks: vec![(0, 0); voters],
            ..Plan::calm(seed, &Settings { voters: Some(voters), ..Settings::default() })
        }
    }

    /// Machines: voters, then the doubles of twins.
    pub fn machines(&self) -> usize {
        self.genesis.voters.len() + self.twins.len()
    }

    /// True if what this voter says and does is nobody's rule.
    pub fn is_faulty(&self, voter: usize) -> bool {
        self.guilty.contains(&voter) || self.damaged.contains(&voter)
    }

    /// What was drawn, on a few lines.
    pub fn summary(&self) -> String {
        let weights: Vec<u64> = self.genesis.voters.iter().map(|v| v.weight).collect();
        format!(
            "seed {}: {:?}, weights {weights:?}, F {}, guilty {:?} (twins {:?}), damaged {:?}\n  strategies {:?}\n  \
             weather {:?}, slice {} us, sync {} us, {} clients every {} ms, fanout {}, pool {}\n  {:?}\n  safety phase \
             {} s, {} faults",
            self.seed,
            self.genesis.fault_model,
            self.genesis.faulty_weight,
            self.guilty,
            self.twins,
            self.damaged,
            self.strategies,
            self.weather,
            self.slice_us,
            self.sync_us,
            self.clients,
            self.interval_us / 1000,
            self.fanout,
            self.pool_max,
            self.genesis.parameters,
            self.safety_us / 1_000_000,
            self.steps.len()
        )
    }
}

fn genesis_of(model: FaultModel, weights: &[u64], faulty: Option<u64>, parameters: Parameters) -> Genesis {
    let name = |text: &str| Name::new(text).expect("a proper name");
    let voter = |(n, weight): (usize, &u64)| Voter {
        id: NodeId(n as u16),
        name: name(&format!("node-{n}")),
        key: voter_key(n).public(),
        weight: *weight,
    };
    let genesis = Genesis {
        name: name("simulated"),
        created: START,
        fault_model: model,
        faulty_weight: faulty.unwrap_or(Genesis::faulty_weight_max(model, weights.iter().sum())),
        voters: weights.iter().enumerate().map(voter).collect(),
        administrators: Guard::Key(party_key("admin").public()),
        treasury: Guard::Key(party_key("treasury").public()),
        parameters,
    };
    genesis.check().expect("drawn within the rules");
    genesis
}

fn draw_genesis(random: &mut Random, settings: &Settings) -> Genesis {
    let model = if random.chance(750) { FaultModel::Byzantine } else { FaultModel::Crash };
    let drawn = *random.pick(&[1, 2, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 6, 7, 7, 10, 13]).unwrap_or(&4);
    let count = settings.voters.unwrap_or(drawn);
    let weighted = random.chance(250);
    let weights: Vec<u64> = (0..count).map(|_| if weighted { random.between(1, 4) } else { 1 }).collect();
    let most = Genesis::faulty_weight_max(model, weights.iter().sum());
    let faulty = if random.chance(850) { most } else { random.between(0, most) };
    let heartbeat_ms = *random.pick(&[50, 100, 200, 500]).unwrap_or(&200);
    let timeout_base_ms = heartbeat_ms * random.between(3, 8) + 300;
    let parameters = Parameters {
        block_entries_max: *random.pick(&[1, 2, 5, 50, 2000]).unwrap_or(&2000),
        block_bytes_max: COMMAND_BYTES_MAX as u32 + random.below(100_000) as u32,
        pipeline_max: *random.pick(&[1, 2, 3, 8, 32]).unwrap_or(&8),
        batch_delay_ms: *random.pick(&[0, 1, 5, 50]).unwrap_or(&5),
        heartbeat_ms,
        timeout_base_ms,
        timeout_cap_ms: timeout_base_ms * random.between(1, 8),
        slow_leader_percent: *random.pick(&[0, 20, 20, 50]).unwrap_or(&20),
        slow_leader_ms: random.between(5_000, 30_000),
    };
    genesis_of(model, &weights, Some(faulty), parameters)
}

/// The guilty and the damaged, together of weight at most `F`; none under crash faults.
fn draw_faulty(random: &mut Random, genesis: &Genesis) -> (Vec<usize>, Vec<usize>) {
    let (mut guilty, mut damaged) = (Vec::new(), Vec::new());
    if genesis.fault_model == FaultModel::Crash || random.chance(150) {
        return (guilty, damaged);
    }
    let mut left = genesis.faulty_weight;
    let mut order: Vec<usize> = (0..genesis.voters.len()).collect();
    random.shuffle(&mut order);
    let damages = random.chance(300);
    for voter in order {
        let weight = genesis.voters[voter].weight;
        if weight <= left && random.chance(900) {
            left -= weight;
            if damages && random.chance(500) { damaged.push(voter) } else { guilty.push(voter) }
        }
    }
    guilty.sort_unstable();
    damaged.sort_unstable();
    (guilty, damaged)
}

fn draw_matrix(random: &mut Random, settings: &Settings, longest_us: u64) -> Matrix {
    if let Some(matrix) = &settings.matrix {
        let count = random.between(1, 5) as usize;
        // Regions so far apart that a timeout is too short for them are a wrong configuration, not a fault.
        for _ in 0..64 {
            let regions: Vec<usize> = (0..count).map(|_| random.index(matrix.regions())).collect();
            let part = matrix.only(&regions);
            if part.longest_us() <= longest_us {
                return part;
            }
        }
    }
    let count = random.between(1, 5) as usize;
    let far = *random.pick(&[500, 5_000, 50_000, 150_000]).unwrap_or(&5_000);
    Matrix::generated(random, count, far.min(longest_us / 4))
}

fn draw_weather(random: &mut Random) -> Weather {
    let often = |random: &mut Random| *random.pick(&[0, 0, 5, 50, 200]).unwrap_or(&0);
    Weather {
        loss: often(random),
        duplication: often(random),
        holding: often(random),
        held_us_max: *random.pick(&[10_000, 300_000, 3_000_000]).unwrap_or(&10_000),
    }
}

fn draw_steps(random: &mut Random, plan: &Plan) -> Vec<Step> {
    let voters = plan.genesis.voters.len();
    // Weights of the kinds, each seed its own; some kinds do not occur at all.
    let mut kinds: Vec<u64> = (0..9).map(|_| if random.chance(500) { random.between(1, 10) } else { 0 }).collect();
    if kinds.iter().all(|w| *w == 0) {
        kinds[random.index(9)] = 1;
    }
    let per_minute = *random.pick(&[2, 6, 20, 60]).unwrap_or(&6);
    let count = plan.safety_us * per_minute / 60_000_000 + 1;
    let mut leaping = 0;
    let leapers: Vec<bool> = (0..plan.machines())
        .map(|m| {
            let weight = plan.genesis.voters.get(m).map_or(u64::MAX / 2, |v| v.weight);
            let may = leaping + weight <= plan.genesis.faulty_weight;
            leaping += if may { weight } else { 0 };
            may
        })
        .collect();
    let mut steps = Vec::new();
    for _ in 0..count {
        let at_us = 1_000_000 + random.below(plan.safety_us.saturating_sub(1_000_000));
        let mut pick = random.below(kinds.iter().sum());
        let kind = kinds.iter().position(|w| {
            let here = pick < *w;
            pick = pick.saturating_sub(*w);
            here
        });
        let machine = random.index(plan.machines());
        let for_us = *random.pick(&[100_000, 1_000_000, 5_000_000, 20_000_000]).unwrap_or(&1_000_000);
        let for_us = for_us / 2 + random.below(for_us);
        let fault = match kind.unwrap_or(0) {
            0 | 1 => {
                let from = random.part(plan.machines(), 400);
                let rest: Vec<usize> = (0..plan.machines()).filter(|m| !from.contains(m)).collect();
                let to = if random.chance(600) { rest } else { random.part(plan.machines(), 400) };
                Fault::Cut { from, to, both: kind == Some(0), for_us }
            }
            2 => Fault::Slow { from: random.part(plan.machines(), 300), by_us: random.below(2_000_000), for_us },
            3 => {
                let machines = if random.chance(250) { random.part(plan.machines(), 600) } else { vec![machine] };
                Fault::Crash { machines, keep: random.below(3) as u8, down_us: for_us }
            }
            4 => Fault::CrashAtOperation { machine, after: random.below(40), down_us: for_us },
            5 => Fault::Pause { machine, for_us },
            6 if leapers[machine] => Fault::Jump { machine, offset_ms: random.below(7_200_000) as i64 - 3_600_000 },
            6 => Fault::Jump { machine, offset_ms: random.below(4000) as i64 - 2000 },
            7 => Fault::SlowDisk { machine, sync_us: random.below(300_000), for_us },
            _ => Fault::FullDisk { machine: machine % voters, free: random.below(50_000) },
        };
        steps.push(Step { at_us, fault });
    }
    for voter in &plan.damaged {
        for _ in 0..random.between(1, 3) {
            let at_us = 1_000_000 + random.below(plan.safety_us.saturating_sub(1_000_000));
            let machine = *voter;
            let fault = match random.below(3) {
                0 => Fault::Rot { machine, bits: 1 + random.below(40) as u32 },
                1 => Fault::Misdirect { machine, after: random.below(50), by: 1 + random.below(4096) },
                _ => Fault::RollBack { machine },
            };
            steps.push(Step { at_us, fault });
        }
    }
    steps.sort_by_key(|s| s.at_us);
    steps
}
