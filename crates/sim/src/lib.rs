//! A deterministic simulator: production replicas under a seeded network, disk, clock and scheduler, an adversary that
//! holds real keys, and oracles that restate the rules.
//!
//! One seed is one run, event by event, on any machine. See `docs/testing.md` for how to use it.
//!
//! * [`plan`]: what a run is made of, drawn from its seed.
//! * [`world`]: the run itself.
//! * [`machine`], [`clock`], [`network`], [`clients`]: what the world is made of.
//! * [`adversary`]: what the guilty do.
//! * [`oracle`]: what may never happen.
//! * [`rules`]: the rules with one taken out.
//! * [`coverage`]: what a set of runs has exercised.
//! * [`shrink`]: a failing run made smaller.
//! * [`scenario`]: attacks by name, with the rules that stand against them.
//! * [`scale`]: throughput and latency of large clusters, with a model of what work costs.

pub mod adversary;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod coverage;
pub mod machine;
pub mod network;
pub mod oracle;
pub mod plan;
pub mod random;
pub mod rules;
pub mod scale;
pub mod scenario;
pub mod shrink;
pub mod swarm;
pub mod trace;
pub mod world;

pub use coverage::Coverage;
pub use plan::{Plan, Settings};
pub use world::{Report, World, run};
