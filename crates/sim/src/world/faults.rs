//! Carrying out the schedule of faults, and mending what it broke.

use replica::Rules;
use store::Keep;

use super::{Event, World};
use crate::oracle::Failure;
use crate::plan::Fault;

impl<R: Rules> World<'_, R> {
    pub(super) fn inflict(&mut self, step: usize) {
        let fault = self.plan.steps[step].fault.clone();
        self.note(|| format!("fault {step}: {fault:?}"));
        self.coverage.hit("fault", fault.name());
        let now = self.now_us;
        match fault {
            Fault::Cut { from, to, both, for_us } => {
                for a in &from {
                    for b in &to {
                        self.network.cut(*a, *b, now + for_us);
                        if both {
                            self.network.cut(*b, *a, now + for_us);
                        }
                    }
                }
            }
            Fault::Slow { from, by_us, for_us } => {
                for a in from {
                    for b in 0..self.machines.len() {
                        self.network.slow(a, b, by_us, now + for_us);
                    }
                }
            }
            Fault::Crash { machines, keep, down_us } => {
                let keep = [Keep::None, Keep::Some, Keep::All][usize::from(keep) % 3];
                for machine in machines {
                    if self.machines[machine].is_up() {
                        self.crash(machine, keep, 0, down_us);
                    }
                }
            }
            Fault::CrashAtOperation { machine, after, down_us } => {
                let m = &mut self.machines[machine];
                let at = m.disk.operations() + after;
                m.crash_at_operation = Some(down_us);
                m.fail(|faults| faults.fail_from = Some(at));
            }
            Fault::Pause { machine, for_us } => {
                let m = &mut self.machines[machine];
                m.busy_until_us = m.busy_until_us.max(now + for_us);
            }
            Fault::Jump { machine, offset_ms } => self.machines[machine].clock.set(now, offset_ms),
            Fault::SlowDisk { machine, sync_us, for_us } => self.machines[machine].slow_sync = (sync_us, now + for_us),
            Fault::FullDisk { machine, free } => {
                let held = self.machines[machine].disk.bytes_held();
                self.machines[machine].fail(|faults| faults.capacity = Some(held + free));
            }
            Fault::Rot { machine, bits } => self.crash(machine, Keep::Some, bits, 500_000),
            Fault::Misdirect { machine, after, by } => {
                let m = &mut self.machines[machine];
                let at = m.disk.operations() + after;
                m.fail(|faults| faults.misdirect = Some((at, by)));
            }
            Fault::RollBack { machine } => {
                // The first time an image is taken, the second time it is put back.
                match self.machines[machine].image.take() {
                    None => self.machines[machine].image = Some(self.machines[machine].disk.snapshot()),
                    Some(image) => {
                        self.crash(machine, Keep::Some, 0, 500_000);
                        self.machines[machine].disk = image;
                    }
                }
            }
        }
    }

    /// Power is lost, and comes back after a while.
    fn crash(&mut self, machine: usize, keep: Keep, bit_flips: u32, down_us: u64) {
        let seed = self.random.draw();
        self.machines[machine].lose_power(seed, keep, bit_flips);
        self.schedule(self.now_us + down_us, Event::Restart { machine });
    }

    /// A write failed: the power is lost in its midst, or the disk stays as it is until somebody sees to it.
    pub(super) fn disk_gave_up(&mut self, machine: usize) {
        match self.machines[machine].crash_at_operation.take() {
            Some(down_us) => {
                self.coverage.hit("fault", "power lost at a disk operation");
                self.crash(machine, Keep::Some, 0, down_us);
            }
            None => {
                self.machines[machine].dead = Some("its disk".to_owned());
            }
        }
    }

    pub(super) fn restart(&mut self, machine: usize) -> Result<(), Failure> {
        if self.machines[machine].is_up() {
            return Ok(());
        }
        let mono = self.random.below(1_000_000);
        let m = &mut self.machines[machine];
        let (now, honest) = (self.now_us, m.honest);
        match m.start(&self.plan.genesis, self.plan.pool_max, now, mono) {
            Ok(()) => {
                let (height, root) = m
                    .replica
                    .as_ref()
                    .map_or_else(Default::default, |r| (r.ledger().height(), r.ledger().state_root()));
                self.note(|| format!("{machine} starts at height {height}"));
                self.coverage.hit("start", if height.0 == 0 { "empty" } else { "from a log" });
                if honest {
                    self.oracles.booted(machine, height, root)?;
                }
                self.set_timer(machine);
            }
            Err(why) if honest && !m.disk_fails => {
                return Err(Failure::new("recovery", format!("machine {machine} does not start: {why}")));
            }
            Err(why) => {
                m.dead = Some(why.clone());
                self.note(|| format!("{machine} does not start: {why}"));
                self.coverage.hit("start", "refused");
                if honest {
                    // Its operator will come back once the disk has room again.
                    self.schedule(now + 5_000_000, Event::Restart { machine });
                }
            }
        }
        Ok(())
    }

    /// The second phase.
    pub(super) fn heal(&mut self) {
        self.note(|| "the network heals".to_owned());
        self.healed = true;
        self.network.heal();
        for machine in 0..self.machines.len() {
            let m = &mut self.machines[machine];
            m.slow_sync = (0, 0);
            m.busy_until_us = m.busy_until_us.min(self.now_us);
            m.clock.set(self.now_us, 0);
            let gave_up = m.disk_fails && m.dead.is_some();
            m.repair();
            if !m.honest {
                continue;
            }
            if gave_up && m.is_up() {
                // A process whose disk failed does not trust it again: its operator starts it anew.
                let seed = self.random.draw();
                self.machines[machine].lose_power(seed, Keep::Some, 0);
            }
            if self.machines[machine].is_up() {
                self.set_timer(machine);
            } else {
                self.schedule(self.now_us + 1000, Event::Restart { machine });
            }
        }
        let p = &self.plan.genesis.parameters;
        let voters = self.plan.genesis.voters.len() as u64;
        // Every faulty leader may use up its whole timeout, more than once while votes are being gathered; after that
        // commands go in order of arrival, a block at a time.
        let turns = 6 * voters + 30;
        let backlog = self.crowd.unanswered().count() as u64 + 100;
        let patience_ms = turns * (p.timeout_cap_ms + 2 * p.timeout_base_ms) + backlog * p.timeout_base_ms;
        self.deadline_us = self.now_us + 1000 * patience_ms + 2 * self.plan.matrix.longest_us() * turns;
    }
}
