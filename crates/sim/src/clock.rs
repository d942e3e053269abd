//! The clocks of one machine.
//!
//! The world's own time is in microseconds since the start of the run. A machine's monotonic clock runs at its own rate,
//! starts anew at each boot, and never goes back. Its wall clock has an offset, drifts with the same crystal, and may
//! jump.

use replica::Now;
use wire::Time;

/// The wall clock's reading at the start of a run, if it is right.
pub const START: Time = Time(1_700_000_000_000);

/// Both clocks of one machine.
#[derive(Debug, Clone)]
pub struct Clock {
    /// How much faster than the world's the crystal is, in parts per million.
    drift_ppm: i64,
    /// By how much the wall clock is off at the world's time 0, in milliseconds.
    offset_ms: i64,
    /// The world's time at boot, in microseconds.
    boot_us: u64,
    /// The monotonic clock's reading at boot, in milliseconds.
    mono_at_boot_ms: u64,
}

impl Clock {
    /// A clock that is off by `offset_ms` and fast by `drift_ppm`.
    pub fn new(drift_ppm: i64, offset_ms: i64) -> Clock {
        Clock { drift_ppm, offset_ms, boot_us: 0, mono_at_boot_ms: 0 }
    }

    /// The machine boots: the monotonic clock starts somewhere else.
    pub fn boot(&mut self, now_us: u64, mono_ms: u64) {
        self.boot_us = now_us;
        self.mono_at_boot_ms = mono_ms;
    }

    /// The wall clock is set so that it is off by `offset_ms` now.
    pub fn set(&mut self, now_us: u64, offset_ms: i64) {
        self.offset_ms = offset_ms - (now_us as i128 * i128::from(self.drift_ppm) / 1_000_000_000) as i64;
    }

    fn stretched_us(&self, us: u64) -> u64 {
        (i128::from(us) + i128::from(us) * i128::from(self.drift_ppm) / 1_000_000) as u64
    }

    /// What the machine reads.
    pub fn now(&self, now_us: u64) -> Now {
        let wall = START.0 + self.stretched_us(now_us) / 1000 + 1;
        let mono = self.mono_at_boot_ms + self.stretched_us(now_us - self.boot_us) / 1000;
        Now { wall: Time(wall.saturating_add_signed(self.offset_ms)), mono_ms: mono }
    }

    /// A world time at or after `now_us` at which the monotonic clock shows `mono_ms`: the first, or one microsecond later.
    pub fn when(&self, now_us: u64, mono_ms: u64) -> u64 {
        let local_us = i128::from(mono_ms.saturating_sub(self.mono_at_boot_ms)) * 1000;
        let rate = 1_000_000 + i128::from(self.drift_ppm);
        let mut at = self.boot_us + ((local_us * 1_000_000 + rate - 1) / rate) as u64;
        at = at.max(now_us);
        while self.now(at).mono_ms < mono_ms {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakes_when_the_clock_shows_it() {
        for drift in [-300, 0, 17, 500] {
            let mut clock = Clock::new(drift, -40);
            clock.boot(5_000_123, 77);
            for mono in [77, 78, 500, 100_077] {
                let at = clock.when(5_000_123, mono);
                assert_eq!(clock.now(at).mono_ms, mono, "drift {drift}");
                assert!(at == 5_000_123 || clock.now(at - 2).mono_ms < mono, "drift {drift} at {mono}");
            }
        }
    }
}
