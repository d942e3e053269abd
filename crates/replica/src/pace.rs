//! How fast the leader gets work done, and whether that is far below what this cluster showed lately.
//!
//! A faulty leader can stay in office for good while each of its blocks comes just before the timeout ends. Against that
//! every voter keeps the rate at which blocks, and commands, were committed while commands that it knew of waited for
//! them: idle time does not count, nor do commands that were never executed. A leader whose blocks *and* commands both
//! stay under a share of the recent best for a while is to be replaced, unless it commits so often that no client would
//! call it slow: the rates also depend on how much there is to do at once, and a burst must not make what follows it slow.
//!
//! Work is measured in windows of waiting time. The best is taken over the last [`WINDOWS_KEPT`] windows. It is halved
//! whenever it was used against a leader: if it is not the leader that has become slow but everything, the voters find
//! that out after a few changes, and stay with what they have.
//!
//! Each voter judges by its own clock and what it saw itself; one alone replaces nobody.

use std::collections::VecDeque;

/// Windows that the best is taken from.
const WINDOWS_KEPT: usize = 64;
/// Windows that must be slow, one after the other.
const SLOW_WINDOWS: u64 = 4;

/// Commits per 1000 seconds of waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Rate {
    blocks: u64,
    entries: u64,
}

/// See the module documentation.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Below this share of the best a window is slow; 0 if no leader ever is.
    percent: u64,
    /// Nobody is slow who commits more often than this, however fast it went before.
    gap_ms_min: u64,
    /// Waiting time of one window.
    window_ms: u64,
    waited_ms: u64,
    blocks: u64,
    entries: u64,
    last_commit_ms: u64,
    recent: VecDeque<Rate>,
    slow_windows: u64,
}

impl Pace {
    /// Nothing measured yet. A leader is slow when it stays below `percent` of the best for `slow_ms` of waiting, with
    /// `gap_ms_min` or more from one commit to the next.
    pub fn new(percent: u32, slow_ms: u64, gap_ms_min: u64) -> Pace {
        Pace { percent: percent.into(), window_ms: slow_ms / SLOW_WINDOWS, gap_ms_min, ..Pace::default() }
    }

    /// A block was executed. `waiting_since_ms` is when the first of its commands reached this node, if any did before.
    pub fn committed(&mut self, now_ms: u64, waiting_since_ms: Option<u64>, entries: u64) {
        let before = std::mem::replace(&mut self.last_commit_ms, now_ms);
        let Some(since) = waiting_since_ms.filter(|_| self.percent > 0) else { return };
        self.waited_ms += now_ms.saturating_sub(since.max(before));
        self.blocks += 1;
        self.entries += entries;
        if self.waited_ms < self.window_ms.max(1) {
            return;
        }
        let rate = Rate {
            blocks: self.blocks * 1_000_000 / self.waited_ms,
            entries: self.entries * 1_000_000 / self.waited_ms,
        };
        let gap_ms = self.waited_ms / self.blocks;
        (self.waited_ms, self.blocks, self.entries) = (0, 0, 0);
        let best = self.best();
        let slow = |now: u64, best: u64| now * 100 < best * self.percent;
        match gap_ms >= self.gap_ms_min && slow(rate.blocks, best.blocks) && slow(rate.entries, best.entries) {
            true => self.slow_windows += 1,
            false => self.slow_windows = 0,
        }
        self.recent.push_back(rate);
        if self.recent.len() > WINDOWS_KEPT {
            self.recent.pop_front();
        }
    }

    fn best(&self) -> Rate {
        Rate {
            blocks: self.recent.iter().map(|r| r.blocks).max().unwrap_or(0),
            entries: self.recent.iter().map(|r| r.entries).max().unwrap_or(0),
        }
    }

    /// Another leader: what was measured of the last one says nothing about it.
    pub fn new_term(&mut self, now_ms: u64) {
        self.last_commit_ms = now_ms;
        (self.waited_ms, self.blocks, self.entries, self.slow_windows) = (0, 0, 0, 0);
    }

    /// The leader has been slow for long enough.
    pub fn is_slow(&self) -> bool {
        self.slow_windows >= SLOW_WINDOWS
    }

    /// The best was used against a leader: it counts for half from now on.
    pub fn leader_judged(&mut self) {
        self.slow_windows = 0;
        for rate in &mut self.recent {
            *rate = Rate { blocks: rate.blocks / 2, entries: rate.entries / 2 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits a block of `entries` every `every_ms`, each waited for all the time, for `for_ms`; how often it was slow.
    fn run(pace: &mut Pace, now: &mut u64, every_ms: u64, entries: u64, for_ms: u64) -> u32 {
        let end = *now + for_ms;
        let mut found = 0;
        while *now < end {
            let since = *now;
            *now += every_ms;
            pace.committed(*now, Some(since), entries);
            if pace.is_slow() {
                pace.leader_judged();
                found += 1;
            }
        }
        found
    }

    #[test]
    fn slow_beside_the_best_and_only_after_a_while() {
        let (mut pace, mut now) = (Pace::new(20, 10_000, 100), 0);
        assert_eq!(run(&mut pace, &mut now, 10, 5, 60_000), 0);
        assert_eq!(run(&mut pace, &mut now, 1350, 5, 8_000), 0, "not before the time is up");
        assert_eq!(run(&mut pace, &mut now, 1350, 5, 8_000), 1);
    }

    #[test]
    fn large_blocks_at_a_slow_rate_are_not_slow_and_neither_are_small_ones_at_a_fast_one() {
        let (mut pace, mut now) = (Pace::new(20, 10_000, 100), 0);
        assert_eq!(run(&mut pace, &mut now, 10, 1, 30_000), 0);
        assert_eq!(run(&mut pace, &mut now, 400, 2000, 60_000), 0);
        assert_eq!(run(&mut pace, &mut now, 10, 1, 60_000), 0);
    }

    #[test]
    fn if_everything_has_become_slow_the_changes_end() {
        let (mut pace, mut now) = (Pace::new(20, 10_000, 100), 0);
        run(&mut pace, &mut now, 10, 5, 60_000);
        let found = run(&mut pace, &mut now, 1000, 5, 3_600_000);
        assert!((1..=6).contains(&found), "{found}");
    }

    #[test]
    fn idle_time_does_not_count() {
        let (mut pace, mut now) = (Pace::new(20, 10_000, 100), 0);
        run(&mut pace, &mut now, 10, 5, 60_000);
        for _ in 0..1000 {
            now += 5_000;
            pace.committed(now, Some(now - 10), 1);
            assert!(!pace.is_slow());
        }
    }
}
