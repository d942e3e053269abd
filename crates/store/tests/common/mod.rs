//! A scripted workload, what it may rely on, and a checker that holds a reopened store against it.
#![allow(dead_code)]

use store::{Batch, Disk, MemDisk, Options, Recovered, SplitMix, Stamp, Store, StoreError};

pub const STAMP: Stamp = Stamp { cluster: [0xc1; 32], node: [0x0d; 32] };

/// Small enough that a short workload rolls over and reserves space several times.
pub fn small() -> Options {
    Options { segment_bytes: 2048, reserve_bytes: 1024, safety_bytes_max: 3000, ..Options::default() }
}

pub fn open<D: Disk>(disk: D) -> Result<(Store<D>, Recovered), StoreError> {
    Store::open(disk, STAMP, small(), &mut |_| {})
}

pub type Record = (u8, Vec<u8>);

#[derive(Debug, Clone)]
pub struct Step {
    pub records: Vec<Record>,
    pub safety: Option<Vec<u8>>,
    /// `commit`, or `write` without waiting.
    pub durable: bool,
}

/// Records of many sizes (one larger than a segment), safety records of several sectors, unsynced writes between.
pub fn workload(seed: u64, steps: u64) -> Vec<Step> {
    let mut random = SplitMix::new(seed);
    let bytes = |length: u64, random: &mut SplitMix| -> Vec<u8> { (0..length).map(|_| random.draw() as u8).collect() };
    (0..steps)
        .map(|i| {
            let count = random.below(4);
            let records = (0..count)
                .map(|j| {
                    let length = if i == steps / 2 && j == 0 { 5000 } else { random.below(700) };
                    (random.draw() as u8, bytes(length, &mut random))
                })
                .collect();
            let durable = random.below(3) > 0;
            let length = 8 + random.below(1500);
            let safety = (durable && random.below(4) > 0).then(|| {
                let mut payload = i.to_be_bytes().to_vec();
                payload.extend(bytes(length, &mut random));
                payload
            });
            Step { records, safety, durable }
        })
        .collect()
}

/// What was asked of a store, and what it has promised.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub records: Vec<Record>,
    /// Each safety record asked for, with the records that stand before it.
    pub safety: Vec<(usize, Vec<u8>)>,
    pub promised_records: usize,
    /// Number of safety records promised: the last of them, or a later one, must be found.
    pub promised_safety: usize,
}

impl Ledger {
    /// Does one step, noting first what is asked and then what is promised.
    pub fn step<D: Disk>(&mut self, store: &mut Store<D>, step: &Step) -> Result<(), StoreError> {
        let mut batch = Batch::new(());
        for (kind, payload) in &step.records {
            batch.append(*kind, payload);
        }
        self.records.extend(step.records.iter().cloned());
        if let Some(payload) = &step.safety {
            batch.set_safety(payload.clone());
            self.safety.push((self.records.len(), payload.clone()));
        }
        if step.durable {
            store.commit(batch)?.into_inner();
            self.promised_records = self.records.len();
            self.promised_safety = self.safety.len();
        } else {
            store.write(batch)?;
        }
        Ok(())
    }

    pub fn run<D: Disk>(&mut self, store: &mut Store<D>, steps: &[Step]) -> Result<(), StoreError> {
        steps.iter().try_for_each(|step| self.step(store, step))
    }

    /// Holds what a store has recovered against what it was asked and has promised.
    pub fn check<D: Disk>(&self, store: &Store<D>, recovered: &Recovered) -> Result<(), String> {
        let found = all(store).map_err(|e| format!("replay: {e}"))?;
        if recovered.records != found.len() as u64 || store.records() != recovered.records {
            return Err(format!("{} records reported, {} replayed", recovered.records, found.len()));
        }
        if found.len() < self.promised_records {
            return Err(format!("{} records were promised, {} are there", self.promised_records, found.len()));
        }
        if self.records.get(..found.len()) != Some(&found[..]) {
            return Err("the log is not a prefix of what was written".to_owned());
        }
        // Steps may set equal payloads only in tests that do not care which of them is found.
        let safety = match &recovered.safety {
            None => 0,
            Some(payload) => match self.safety.iter().rposition(|(_, asked)| asked == payload) {
                Some(i) => i + 1,
                None => return Err("a safety record that nobody wrote".to_owned()),
            },
        };
        if safety < self.promised_safety {
            return Err(format!("safety record {} was promised, {safety} is there", self.promised_safety));
        }
        if safety > 0 && found.len() < self.safety[safety - 1].0 {
            return Err("a safety record without the log before it".to_owned());
        }
        Ok(())
    }

    /// Forgets what a crash has taken, so that the workload can go on from what was recovered.
    pub fn settle(&mut self, recovered: &Recovered) {
        self.records.truncate(recovered.records as usize);
        let safety = match &recovered.safety {
            None => 0,
            Some(payload) => 1 + self.safety.iter().rposition(|(_, asked)| asked == payload).expect("checked"),
        };
        self.safety.truncate(safety);
        self.promised_records = self.records.len();
        self.promised_safety = self.safety.len();
    }
}

pub fn all<D: Disk>(store: &Store<D>) -> Result<Vec<Record>, StoreError> {
    let mut found = Vec::new();
    store.replay(|at, kind, payload| {
        assert_eq!(at.number(), found.len() as u64);
        let again = store.read(at)?;
        assert_eq!((again.0, &again.1[..]), (kind, payload));
        found.push(again);
        Ok::<(), StoreError>(())
    })?;
    Ok(found)
}

/// A store on a fresh disk after the whole workload, closed.
pub fn filled(steps: &[Step]) -> (MemDisk, Ledger) {
    let disk = MemDisk::new(1);
    let (mut store, _) = Store::create(disk.clone(), STAMP, small()).expect("create");
    let mut ledger = Ledger::default();
    ledger.run(&mut store, steps).expect("no faults");
    (disk, ledger)
}
