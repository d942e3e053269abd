//! What a trace needs before it can be replayed: parties, accounts, and who is given how much.
//!
//! * Every sender is a party with a key of its own, derived from the seed of the replay, and owns one account.
//! * Whoever only receives has an account too, owned by one party, the *keeper*: nobody signs for those.
//! * Funding, the first of these that fits under the supply cap: each sender gets all it sends (*ample*: no order of
//!   execution can overdraw); or the least with which its rows succeed in the order of the file (*tight*); or the same
//!   until the cap is reached, and nothing after (*capped*: what then is refused as an overdraft is counted).
//!
//! Value that a row with input or without a recipient carries is not moved: such a row keeps its hash and no more. Gas
//! and fees are not modelled.

use std::collections::HashSet;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use client::{BadKey, CommandBuilder, FastKey, Identity};
use ledger::operation::Transfer;
use ledger::{Amount, Code, Operation};
use wire::{ClusterId, DecodeError, Guard, Name, Signer};

use super::trace::{Act, Trace, Who};

/// How senders were funded; see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Funding {
    /// Each with all it sends.
    Ample,
    /// Each with the least that the order of the file needs.
    Tight,
    /// As tight, as far as the supply cap allows.
    Capped,
}

impl Funding {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Funding::Ample => "ample",
            Funding::Tight => "tight",
            Funding::Capped => "capped",
        }
    }
}

/// How many rows will end in which way, by the ledger's rules; exact for [`Funding::Ample`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// Transfers that take effect.
    pub transfers: u64,
    /// Data commands, which take effect.
    pub data: u64,
    /// Refused: nothing to move.
    pub zero: u64,
    /// Refused: from an account to itself.
    pub own: u64,
}

impl Expected {
    /// The code of a refused row, if it is refused whatever the balances are.
    fn refusal(from: Who, act: &Act) -> Option<Code> {
        match act {
            Act::Transfer { amount, .. } if amount.is_zero() => Some(Code::ZeroAmount),
            Act::Transfer { to, .. } if *to == from => Some(Code::SelfTransfer),
            _ => None,
        }
    }
}

/// Who takes part, and with how much.
#[derive(Debug)]
pub struct Plan {
    /// Whether each id of the trace sends.
    pub sends: Vec<bool>,
    /// Whether each id of the trace needs an account.
    pub has_account: Vec<bool>,
    /// What each id is given.
    pub grants: Vec<Amount>,
    /// By which rule.
    pub funding: Funding,
    /// The sum of the grants.
    pub total: Amount,
    /// How the rows will end.
    pub expected: Expected,
}

impl Plan {
    /// Plans for a ledger in which `supply` exists already.
    pub fn new(trace: &Trace, supply: Amount) -> Plan {
        let count = trace.ids.len();
        let (mut sends, mut has_account) = (vec![false; count], vec![false; count]);
        let mut expected = Expected::default();
        for row in &trace.rows {
            sends[row.from] = true;
            has_account[row.from] = true;
            if let Act::Transfer { to, .. } = row.act {
                has_account[to] = true;
            }
            match (Expected::refusal(row.from, &row.act), &row.act) {
                (Some(Code::ZeroAmount), _) => expected.zero += 1,
                (Some(_), _) => expected.own += 1,
                (None, Act::Transfer { .. }) => expected.transfers += 1,
                (None, Act::Data(_)) => expected.data += 1,
            }
        }
        let room = Amount::MAX.units() - supply.units();
        let (funding, needs) = fund(trace, room);
        let total = needs.iter().sum();
        let amount = |units| Amount::from_units(units).expect("no more than the cap leaves room for");
        Plan {
            sends,
            has_account,
            grants: needs.into_iter().map(amount).collect(),
            funding,
            total: amount(total),
            expected,
        }
    }
}

/// The rule that fits, and what it gives to each.
fn fund(trace: &Trace, room: u128) -> (Funding, Vec<u128>) {
    let ample = sums_sent(trace);
    if ample.iter().try_fold(0u128, |sum, n| sum.checked_add(*n)).is_some_and(|sum| sum <= room) {
        return (Funding::Ample, ample);
    }
    let mut tight = least_needed(trace);
    if tight.iter().try_fold(0u128, |sum, n| sum.checked_add(*n)).is_some_and(|sum| sum <= room) {
        return (Funding::Tight, tight);
    }
    let mut left = room;
    for need in &mut tight {
        *need = (*need).min(left);
        left -= *need;
    }
    (Funding::Capped, tight)
}

/// The rows that move something, as (from, to, units). Sums of them fit 128 bits up to 2^32 rows.
fn moves(trace: &Trace) -> impl Iterator<Item = (Who, Who, u128)> + '_ {
    trace.rows.iter().filter_map(|row| match &row.act {
        Act::Transfer { to, amount } if *to != row.from => Some((row.from, *to, amount.units())),
        _ => None,
    })
}

fn sums_sent(trace: &Trace) -> Vec<u128> {
    let mut sums = vec![0u128; trace.ids.len()];
    for (from, _, units) in moves(trace) {
        sums[from] = sums[from].saturating_add(units);
    }
    sums
}

/// The least each must start with so that no row overdraws in the order of the file.
fn least_needed(trace: &Trace) -> Vec<u128> {
    let mut held = vec![0u128; trace.ids.len()];
    let mut needs = vec![0u128; trace.ids.len()];
    for (from, to, units) in moves(trace) {
        let missing = units.saturating_sub(held[from]);
        needs[from] = needs[from].saturating_add(missing);
        held[from] = held[from].saturating_add(missing).saturating_sub(units);
        held[to] = held[to].saturating_add(units);
    }
    needs
}

/// Names and keys of one replay. The names start with a tag, so that replays with other seeds do not meet.
#[derive(Debug)]
pub struct Cast {
    seed: u64,
    /// The party that owns the accounts of those who only receive.
    pub keeper: Name,
    /// The name of each id of the trace, both of its party and of its account.
    pub names: Vec<Name>,
}

impl Cast {
    /// The cast of a trace.
    ///
    /// # Errors
    /// If an id makes no name.
    pub fn new(trace: &Trace, seed: u64) -> Result<Cast, DecodeError> {
        let tag = format!("r{seed:016x}");
        let names = trace.ids.iter().map(|id| Name::new(&format!("{tag}.{id}")));
        // A colon after the tag, where every other name has a dot.
        Ok(Cast { seed, keeper: Name::new(&format!("{tag}:keeper"))?, names: names.collect::<Result<_, _>>()? })
    }

    /// The key of a party of this replay: a hash of the seed and the party's name.
    ///
    /// # Errors
    /// If the signing library refuses it.
    pub fn key(&self, party: &Name) -> Result<FastKey, BadKey> {
        let mut text = b"juno replay key 1\n".to_vec();
        text.extend_from_slice(&self.seed.to_be_bytes());
        text.extend_from_slice(party.as_str().as_bytes());
        let seed = digest(&SHA256, &text);
        FastKey::from_seed(seed.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// Signs for a party in this session.
    ///
    /// # Errors
    /// If the key cannot be used.
    pub fn builder(&self, party: &Name, cluster: ClusterId, session: u64) -> Result<CommandBuilder, BadKey> {
        let signer: Arc<dyn Signer> = Arc::new(self.key(party)?);
        Ok(CommandBuilder::new(cluster, session, Identity::new(party.clone(), vec![signer])))
    }

    /// What a row asks of the ledger.
    pub fn operation(&self, from: Who, act: &Act) -> Operation {
        match act {
            Act::Transfer { to, amount } => {
                let path = vec![self.names[from].clone(), self.names[*to].clone()];
                Operation::Transfer(Transfer { path, amount: *amount })
            }
            Act::Data(hash) => Operation::Data { data: hash.to_vec(), then: None },
        }
    }

    /// The registrations that `admin` signs: the keeper, and all senders.
    ///
    /// # Errors
    /// If a key cannot be used.
    pub fn registrations(&self, plan: &Plan) -> Result<Vec<Operation>, BadKey> {
        let senders = self.names.iter().zip(&plan.sends).filter(|(_, sends)| **sends).map(|(name, _)| name);
        let register = |name: &Name| {
            let guard = Guard::Key(self.key(name)?.public_key());
            Ok(Operation::RegisterParty { name: name.clone(), guard })
        };
        std::iter::once(&self.keeper).chain(senders).map(register).collect()
    }

    /// The ids whose accounts the keeper owns.
    pub fn kept(plan: &Plan) -> HashSet<Who> {
        (0..plan.sends.len()).filter(|who| plan.has_account[*who] && !plan.sends[*who]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::replay::trace::Row;

    fn transfer(from: Who, to: Who, units: u128) -> Row {
        Row { from, act: Act::Transfer { to, amount: Amount::from_units(units).unwrap() } }
    }

    fn trace(ids: usize, rows: Vec<Row>) -> Trace {
        Trace { ids: (0..ids).map(|n| n.to_string()).collect(), rows }
    }

    fn units(plan: &Plan) -> Vec<u128> {
        plan.grants.iter().map(|a| a.units()).collect()
    }

    #[test]
    fn senders_get_all_they_send() {
        let rows =
            vec![transfer(0, 1, 10), transfer(1, 0, 4), transfer(1, 2, 8), transfer(0, 0, 99), transfer(2, 0, 0)];
        let data = Row { from: 3, act: Act::Data([0; 32]) };
        let plan = Plan::new(&trace(5, [rows, vec![data]].concat()), Amount::ZERO);
        assert_eq!((plan.funding, units(&plan)), (Funding::Ample, vec![10, 12, 0, 0, 0]));
        assert_eq!(plan.expected, Expected { transfers: 3, data: 1, zero: 1, own: 1 });
        assert_eq!(plan.sends, [true, true, true, true, false]);
        assert_eq!(plan.has_account, [true, true, true, true, false]);
    }

    #[test]
    fn near_the_cap_the_order_of_the_file_decides() {
        let max = Amount::MAX.units();
        // What 1 sends it was sent before, but for one unit.
        let rows = vec![transfer(0, 1, max - 10), transfer(1, 2, max - 9)];
        let plan = Plan::new(&trace(3, rows.clone()), Amount::ZERO);
        assert_eq!((plan.funding, units(&plan)), (Funding::Tight, vec![max - 10, 1, 0]));
        let plan = Plan::new(&trace(3, rows), Amount::from_units(11).unwrap());
        assert_eq!((plan.funding, units(&plan)), (Funding::Capped, vec![max - 11, 0, 0]));
    }

    #[test]
    fn names_and_keys_belong_to_a_seed() {
        let trace = trace(2, vec![transfer(0, 1, 5)]);
        let cast = Cast::new(&trace, 7).unwrap();
        assert_eq!(cast.names[1].as_str(), "r0000000000000007.1");
        let again = Cast::new(&trace, 7).unwrap().key(&cast.names[0]).unwrap().public_key();
        assert_eq!(cast.key(&cast.names[0]).unwrap().public_key(), again);
        assert_ne!(Cast::new(&trace, 8).unwrap().key(&cast.names[0]).unwrap().public_key(), again);
        assert_ne!(cast.key(&cast.names[1]).unwrap().public_key(), again);
        let plan = Plan::new(&trace, Amount::ZERO);
        assert_eq!(cast.registrations(&plan).unwrap().len(), 2, "the keeper and one sender");
        assert_eq!(Cast::kept(&plan), HashSet::from([1]));
    }
}
