//! What this machine could do at best, measured beside what it did.
//!
//! On one machine all replicas and the client share the processors. Every replica checks every signature (S), executes
//! every command (E) and spends a little on the rest; the client signs (C). So `n` replicas cannot go beyond
//! `processors / (n * (S + E + 1.3 us) + C)` commands a second, whatever the protocol does. S, E and C are taken here, in
//! the same run as the load they are compared with, with the load's own number of keys.

use std::time::Instant;

use client::FastKey;
use ledger::operation::Transfer;
use ledger::{Amount, Ledger, Operation};
use wire::{Command, Genesis, Guard, Height, Index, Name, SecretKey, SignedCommand, Signer, Time, VerifiedCommand};

use super::CliError;

/// Decode, log, network and votes, per command and replica, in blocks of 1,000.
const FIXED_US: f64 = 1.3;
const COMMANDS: u64 = 2_000;

/// Costs on one core, microseconds a command, and the rate they allow.
#[derive(Debug, Clone, Copy)]
pub struct Ceiling {
    /// Signing (C).
    pub sign_us: f64,
    /// Checking a signature in batches of 256 (S).
    pub verify_us: f64,
    /// Executing a transfer, state root included (E).
    pub execute_us: f64,
    /// Processors.
    pub processors: usize,
    /// Replicas.
    pub replicas: usize,
}

impl Ceiling {
    /// Commands a second that the processors allow.
    pub fn rate(&self) -> f64 {
        let replica = self.verify_us + self.execute_us + FIXED_US;
        self.processors as f64 * 1e6 / (self.replicas as f64 * replica + self.sign_us)
    }

    /// Measures on this machine, for a load whose commands are all signed with one key.
    ///
    /// # Errors
    /// If the key cannot be used, which would be a fault of the program.
    pub fn measure(genesis: &Genesis) -> Result<Ceiling, CliError> {
        let secret = SecretKey::from_seed([42; 32]);
        let key = FastKey::new(&secret).map_err(CliError::from)?;
        let genesis = Genesis {
            administrators: Guard::Key(secret.public()),
            treasury: Guard::Key(secret.public()),
            ..genesis.clone()
        };
        let name = |text: &str| Name::new(text).map_err(CliError::from);
        let amount = Amount::from_units(1).unwrap_or(Amount::ZERO);
        let setup = [
            Operation::CreateAccount { name: name("Acct1")? },
            Operation::CreateAccount { name: name("Acct2")? },
            Operation::Adjust {
                account: name("Acct1")?,
                negative: false,
                amount: Amount::from_units(1 << 40).unwrap_or(amount),
            },
        ];
        let transfer = Operation::Transfer(Transfer { path: vec![name("Acct1")?, name("Acct2")?], amount });
        let mut sequence = 0;
        let mut sign = |operation: &Operation| {
            sequence += 1;
            let command = Command {
                party: name("treasury")?,
                session: 1,
                sequence,
                expiry: genesis.created.plus_ms(60_000),
                payload: operation.to_payload(),
                signers: vec![],
            };
            SignedCommand::sign(&genesis.cluster_id(), command, &[&key as &dyn Signer]).map_err(CliError::from)
        };
        let setup: Vec<SignedCommand> = setup.iter().map(&mut sign).collect::<Result<_, _>>()?;
        let started = Instant::now();
        let load: Vec<SignedCommand> = (0..COMMANDS).map(|_| sign(&transfer)).collect::<Result<_, _>>()?;
        let sign_us = per_command(started);
        let started = Instant::now();
        let verified = check(&genesis, load)?;
        let verify_us = per_command(started);
        let mut ledger = Ledger::new(&genesis);
        let time = Time(genesis.created.0 + 1);
        ledger.execute_block(Height(1), time, Index(0), &check(&genesis, setup)?);
        let started = Instant::now();
        for (n, block) in verified.chunks(1000).enumerate() {
            let first = ledger.next_index();
            ledger.execute_block(Height(n as u64 + 2), time, first, block);
        }
        let execute_us = per_command(started);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Ceiling { sign_us, verify_us, execute_us, processors, replicas: genesis.voters.len() })
    }
}

fn per_command(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e6 / COMMANDS as f64
}

fn check(genesis: &Genesis, commands: Vec<SignedCommand>) -> Result<Vec<VerifiedCommand>, CliError> {
    let verdicts = VerifiedCommand::verify_all(&genesis.cluster_id(), commands);
    verdicts.into_iter().collect::<Result<_, _>>().map_err(|_| CliError::new("a signature made here does not verify"))
}
