//! The genesis document and the membership: who the nodes are, and what everyone agreed on before the first block.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::block::{BlockHeader, Executed};
use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::hash::{self, Hash};
use crate::ids::{BlockDigest, ClusterId, Epoch, Height, Index, Name, NodeId, Term, Time};
use crate::keys::{KeyError, PublicKey};
use crate::limits::{
    BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, COMMAND_BYTES_MAX, FRAME_BYTES_MAX, GUARD_KEYS_MAX, VOTERS_MAX,
    WINDOW_HEIGHTS_MAX,
};
use crate::merkle;
use crate::struct_codec;

/// What faulty voters may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultModel {
    /// Anything: lie, collude, sign contradictions. `W >= 3F + 1`, two rounds of votes.
    Byzantine,
    /// Only stop. `W >= 2F + 1`, one round of votes.
    Crash,
}

impl Encode for FaultModel {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self {
            FaultModel::Byzantine => 1,
            FaultModel::Crash => 2,
        });
    }
}

impl Decode for FaultModel {
    const SIZE_MIN: usize = 1;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(r)? {
            1 => Ok(FaultModel::Byzantine),
            2 => Ok(FaultModel::Crash),
            tag => Err(DecodeError::Tag { what: "fault model", tag: tag.into() }),
        }
    }
}

/// Whose signatures suffice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// This key.
    Key(PublicKey),
    /// At least `k` of `keys`, which are distinct and in ascending order.
    Threshold {
        /// How many.
        k: u16,
        /// Of these.
        keys: Vec<PublicKey>,
    },
}

/// Why a guard may not be registered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GuardError {
    /// `k` is zero or more than there are keys.
    #[error("guard asks for {k} of {n} keys")]
    Threshold {
        /// Keys asked for.
        k: u16,
        /// Keys there are.
        n: usize,
    },
    /// A key may not be registered.
    #[error("guard key {key}: {why}")]
    Key {
        /// The key.
        key: PublicKey,
        /// The reason.
        why: KeyError,
    },
}

impl Guard {
    /// True if `signers` suffice.
    pub fn is_satisfied_by(&self, signers: &[PublicKey]) -> bool {
        match self {
            Guard::Key(key) => signers.contains(key),
            Guard::Threshold { k, keys } => keys.iter().filter(|key| signers.contains(key)).count() >= usize::from(*k),
        }
    }

    /// The keys named.
    pub fn keys(&self) -> &[PublicKey] {
        match self {
            Guard::Key(key) => std::slice::from_ref(key),
            Guard::Threshold { keys, .. } => keys,
        }
    }

    /// Checks what the codec cannot: that the threshold can be met and every key is a proper one.
    pub fn check(&self) -> Result<(), GuardError> {
        if let Guard::Threshold { k, keys } = self
            && (*k == 0 || usize::from(*k) > keys.len())
        {
            return Err(GuardError::Threshold { k: *k, n: keys.len() });
        }
        for key in self.keys() {
            key.check_registrable().map_err(|why| GuardError::Key { key: *key, why })?;
        }
        Ok(())
    }
}

impl Encode for Guard {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Guard::Key(key) => {
                out.push(1);
                key.encode(out);
            }
            Guard::Threshold { k, keys } => {
                out.push(2);
                k.encode(out);
                keys.encode(out);
            }
        }
    }
}

impl Decode for Guard {
    const SIZE_MIN: usize = 1 + 6;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(r)? {
            1 => Ok(Guard::Key(PublicKey::decode(r)?)),
            2 => {
                let k = u16::decode(r)?;
                let keys: Vec<PublicKey> = r.list("guard keys", GUARD_KEYS_MAX)?;
                if !keys.is_sorted_by(|a, b| a < b) {
                    return Err(DecodeError::Invalid { what: "guard keys", why: "keys must be distinct and ascend" });
                }
                Ok(Guard::Threshold { k, keys })
            }
            tag => Err(DecodeError::Tag { what: "guard", tag: tag.into() }),
        }
    }
}

/// One voter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its number.
    pub id: NodeId,
    /// The organisation or host, for people.
    pub name: Name,
    /// The key it signs with.
    pub key: PublicKey,
    /// Its weight, at least 1.
    pub weight: u64,
}
struct_codec!(Voter { id: NodeId, name: Name, key: PublicKey, weight: u64 });

/// The voters of one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Its number.
    pub epoch: Epoch,
    /// What faulty voters may do.
    pub fault_model: FaultModel,
    /// `F`: the largest total weight of faulty voters tolerated.
    pub faulty_weight: u64,
    /// The voters, by ascending id.
    pub voters: Vec<Voter>,
}

impl Membership {
    /// The voter numbered `id`.
    pub fn voter(&self, id: NodeId) -> Option<&Voter> {
        self.voters.binary_search_by_key(&id, |v| v.id).ok().map(|n| &self.voters[n])
    }

    /// The voter with this key.
    pub fn voter_of_key(&self, key: &PublicKey) -> Option<&Voter> {
        self.voters.iter().find(|v| v.key == *key)
    }

    /// `W`: the weight of all voters.
    pub fn total_weight(&self) -> u64 {
        self.voters.iter().map(|v| v.weight).sum()
    }
}

/// What all replicas must agree on beyond the membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Commands in one block, at most.
    pub block_entries_max: u32,
    /// Bytes of commands in one block, at most.
    pub block_bytes_max: u32,
    /// Blocks a leader keeps in flight above its committed height, at most.
    pub pipeline_max: u32,
    /// Milliseconds a leader waits to fill a block while others are in flight.
    pub batch_delay_ms: u64,
    /// Milliseconds between the leader's heartbeats.
    pub heartbeat_ms: u64,
    /// Milliseconds without a sign of the leader, or with a command unordered, before a voter asks for the next term.
    pub timeout_base_ms: u64,
    /// The most that timeout grows to.
    pub timeout_cap_ms: u64,
    /// A leader is slow whose commits stay under this share of the recent best, in percent; 0 if none ever is.
    pub slow_leader_percent: u32,
    /// Milliseconds of waiting work for which a leader must be slow to be replaced.
    pub slow_leader_ms: u64,
}
struct_codec!(Parameters {
    block_entries_max: u32,
    block_bytes_max: u32,
    pipeline_max: u32,
    batch_delay_ms: u64,
    heartbeat_ms: u64,
    timeout_base_ms: u64,
    timeout_cap_ms: u64,
    slow_leader_percent: u32,
    slow_leader_ms: u64,
});

impl Default for Parameters {
    fn default() -> Self {
        Parameters {
            block_entries_max: 2000,
            block_bytes_max: 768 * 1024,
            pipeline_max: 8,
            batch_delay_ms: 5,
            heartbeat_ms: 200,
            timeout_base_ms: 1500,
            timeout_cap_ms: 30_000,
            slow_leader_percent: 20,
            slow_leader_ms: 20_000,
        }
    }
}

/// What the organisations agree on before the first block. Its hash is the cluster id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The cluster's name, for people.
    pub name: Name,
    /// When it was made; no block's time is earlier.
    pub created: Time,
    /// What faulty voters may do.
    pub fault_model: FaultModel,
    /// `F`: the largest total weight of faulty voters tolerated.
    pub faulty_weight: u64,
    /// The voters, by ascending id.
    pub voters: Vec<Voter>,
    /// Who registers parties.
    pub administrators: Guard,
    /// Who mints.
    pub treasury: Guard,
    /// The rest.
    pub parameters: Parameters,
}

/// The version at the start of a genesis document's canonical bytes.
pub const GENESIS_VERSION: u8 = 2;

/// Why a genesis document was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GenesisError {
    /// There are no voters, or too many.
    #[error("genesis names {0} voters; there must be 1 to {VOTERS_MAX}")]
    VoterCount(usize),
    /// Voters are not in ascending order of id, or an id stands twice.
    #[error("voters must be listed by ascending id; node {0} is out of place or listed twice")]
    VoterOrder(NodeId),
    /// Two voters share a key or a name.
    #[error("voters {0} and another share a key or a name; each needs its own")]
    VoterShared(NodeId),
    /// A voter's key is not a proper one.
    #[error("key of voter {0}: {1}")]
    VoterKey(NodeId, KeyError),
    /// A weight is zero, or the sum overflows.
    #[error("weight of voter {0} must be at least 1, and all weights together below 2^32")]
    Weight(NodeId),
    /// `F` is too large for the weights.
    #[error("{faulty} faulty weight needs a total weight of {need}, the voters have {total}")]
    Faulty {
        /// `F`.
        faulty: u64,
        /// The least `W`.
        need: u64,
        /// `W`.
        total: u64,
    },
    /// A guard cannot be met or names a bad key.
    #[error("{0} guard: {1}")]
    Guard(&'static str, GuardError),
    /// A parameter is out of range.
    #[error("parameter {0} is out of range: {1}")]
    Parameter(&'static str, &'static str),
}

impl Genesis {
    /// Checks everything the codec does not.
    pub fn check(&self) -> Result<(), GenesisError> {
        if self.voters.is_empty() || self.voters.len() > VOTERS_MAX {
            return Err(GenesisError::VoterCount(self.voters.len()));
        }
        let mut keys = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut total = 0u64;
        let mut last: Option<NodeId> = None;
        for voter in &self.voters {
            if last.is_some_and(|l| l >= voter.id) {
                return Err(GenesisError::VoterOrder(voter.id));
            }
            last = Some(voter.id);
            if !keys.insert(voter.key) || !names.insert(voter.name.clone()) {
                return Err(GenesisError::VoterShared(voter.id));
            }
            voter.key.check_registrable().map_err(|why| GenesisError::VoterKey(voter.id, why))?;
            total = total.saturating_add(voter.weight);
            if voter.weight == 0 || total >= 1 << 32 {
                return Err(GenesisError::Weight(voter.id));
            }
        }
        let per_fault = match self.fault_model {
            FaultModel::Byzantine => 3u64,
            FaultModel::Crash => 2,
        };
        let need = self.faulty_weight.saturating_mul(per_fault).saturating_add(1);
        if need > total {
            return Err(GenesisError::Faulty { faulty: self.faulty_weight, need, total });
        }
        self.administrators.check().map_err(|why| GenesisError::Guard("administrators'", why))?;
        self.treasury.check().map_err(|why| GenesisError::Guard("treasury's", why))?;
        self.parameters.check()
    }

    /// The cluster id: the hash of the canonical bytes.
    pub fn cluster_id(&self) -> ClusterId {
        ClusterId(hash::GENESIS.hash(&[&self.to_bytes()]))
    }

    /// The first membership.
    pub fn membership(&self) -> Membership {
        Membership {
            epoch: Epoch(1),
            fault_model: self.fault_model,
            faulty_weight: self.faulty_weight,
            voters: self.voters.clone(),
        }
    }

    /// The header of block 0, committed by agreement: the state it claims is the ledger's at genesis.
    pub fn base_header(&self, state_root: Hash) -> BlockHeader {
        BlockHeader {
            epoch: Epoch(1),
            term: Term::ZERO,
            height: Height::ZERO,
            parent: BlockDigest(self.cluster_id().0),
            first_index: Index::ZERO,
            entry_count: 0,
            entries_root: merkle::empty_root(),
            log_root: merkle::empty_root(),
            time: self.created,
            executed: Executed { height: Height::ZERO, state_root, receipts_root: merkle::empty_root() },
        }
    }

    /// The largest `F` that the weights allow under `model`.
    pub fn faulty_weight_max(model: FaultModel, total_weight: u64) -> u64 {
        match model {
            FaultModel::Byzantine => total_weight.saturating_sub(1) / 3,
            FaultModel::Crash => total_weight.saturating_sub(1) / 2,
        }
    }
}

impl Parameters {
    fn check(&self) -> Result<(), GenesisError> {
        let err = |name, why| Err(GenesisError::Parameter(name, why));
        if self.block_entries_max == 0 || self.block_entries_max as usize > BLOCK_ENTRIES_MAX {
            return err("block_entries_max", "1 to 8192");
        }
        if (self.block_bytes_max as usize) < COMMAND_BYTES_MAX || self.block_bytes_max as usize > BLOCK_BYTES_MAX {
            return err("block_bytes_max", "69632 (so that every command fits) to 4194304");
        }
        if self.pipeline_max == 0 || u64::from(self.pipeline_max) > WINDOW_HEIGHTS_MAX / 2 {
            return err("pipeline_max", "1 to 32");
        }
        if u64::from(self.pipeline_max) * u64::from(self.block_bytes_max) > FRAME_BYTES_MAX as u64 - (1 << 20) {
            return err(
                "pipeline_max",
                "pipeline_max times block_bytes_max at most 7340032, so that what one certificate commits fits a frame",
            );
        }
        if self.batch_delay_ms > 1000 {
            return err("batch_delay_ms", "0 to 1000");
        }
        if self.heartbeat_ms == 0 || self.heartbeat_ms > 60_000 {
            return err("heartbeat_ms", "1 to 60000");
        }
        if self.timeout_base_ms < 2 * self.heartbeat_ms {
            return err("timeout_base_ms", "at least twice heartbeat_ms");
        }
        if self.timeout_cap_ms < self.timeout_base_ms || self.timeout_cap_ms > 3_600_000 {
            return err("timeout_cap_ms", "timeout_base_ms to 3600000");
        }
        if self.slow_leader_percent > 90 {
            return err("slow_leader_percent", "0 to 90");
        }
        if !(1000..=3_600_000).contains(&self.slow_leader_ms) {
            return err("slow_leader_ms", "1000 to 3600000");
        }
        Ok(())
    }
}

impl Encode for Genesis {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(GENESIS_VERSION);
        self.name.encode(out);
        self.created.encode(out);
        self.fault_model.encode(out);
        self.faulty_weight.encode(out);
        self.voters.encode(out);
        self.administrators.encode(out);
        self.treasury.encode(out);
        self.parameters.encode(out);
    }
}

impl Decode for Genesis {
    const SIZE_MIN: usize = 64;
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(r)? {
            GENESIS_VERSION => {}
            tag => return Err(DecodeError::Tag { what: "genesis version", tag: tag.into() }),
        }
        Ok(Genesis {
            name: Name::decode(r)?,
            created: Time::decode(r)?,
            fault_model: FaultModel::decode(r)?,
            faulty_weight: u64::decode(r)?,
            voters: r.list("voters", VOTERS_MAX)?,
            administrators: Guard::decode(r)?,
            treasury: Guard::decode(r)?,
            parameters: Parameters::decode(r)?,
        })
    }
}
