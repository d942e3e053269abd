//! What must be true in the end.

use std::collections::BTreeMap;

use replica::Rules;
use wire::{BlockDigest, CommandId, Decode, Height};

use super::World;
use crate::oracle::{Failure, Standing};

impl<R: Rules> World<'_, R> {
    /// Asks every honest machine what it holds, and compares the logs on their disks.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.count_roles();
        let honest: Vec<usize> = self.honest().collect();
        let mut logs: Vec<(usize, BTreeMap<Height, BlockDigest>)> = Vec::new();
        for machine in honest {
            let Some(replica) = &self.machines[machine].replica else { continue };
            let ledger = replica.ledger();
            let balances =
                ledger.state().accounts().map(|(name, row)| (name.to_string(), row.balance.units())).collect();
            let find = |id: &CommandId| replica.find(id);
            let end = Standing {
                height: ledger.height(),
                state_root: ledger.state_root(),
                balances,
                supply: ledger.state().supply().units(),
                find: &find,
            };
            self.terms = self.terms.max(replica.status().term.0);
            self.oracles.audit(machine, &end)?;
            logs.push((machine, self.committed_on_disk(machine, ledger.height())?));
        }
        for pair in logs.windows(2) {
            self.oracles.same_blocks((pair[0].0, &pair[0].1), (pair[1].0, &pair[1].1))?;
        }
        self.oracles.settled()
    }

    /// Digests of the committed blocks that a machine's log holds, read record by record.
    fn committed_on_disk(&self, machine: usize, height: Height) -> Result<BTreeMap<Height, BlockDigest>, Failure> {
        let mut committed = BTreeMap::new();
        let Some(replica) = &self.machines[machine].replica else { return Ok(committed) };
        let cluster = self.plan.genesis.cluster_id();
        let mut blocks: BTreeMap<BlockDigest, wire::BlockHeader> = BTreeMap::new();
        let mut newest: Option<BlockDigest> = None;
        let read = replica.store().replay::<store::StoreError>(|_, kind, payload| {
            match kind {
                replica::journal::BLOCK => {
                    if let Ok(block) = wire::Block::from_bytes(payload) {
                        blocks.insert(block.header.digest(&cluster), block.header);
                    }
                }
                replica::journal::COMMIT => {
                    newest = wire::Certificate::from_bytes(payload).ok().map(|c| c.claim.digest).or(newest);
                }
                _ => {}
            }
            Ok(())
        });
        read.map_err(|e| Failure::new("recovery", format!("machine {machine} cannot read its own log: {e}")))?;
        while let Some((digest, header)) = newest.and_then(|digest| blocks.get_key_value(&digest)) {
            committed.insert(header.height, *digest);
            newest = Some(header.parent);
        }
        if committed.len() as u64 != height.0 {
            let text = format!("machine {machine} is at height {height}, its log commits {} blocks", committed.len());
            return Err(Failure::new("recovery", text));
        }
        Ok(committed)
    }
}
