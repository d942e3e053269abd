//! Executing blocks: the order of checks, at most once, receipts.
//!
//! Every entry of the log gets a receipt, also one that is refused. The checks, in order:
//!
//! 1. A result is held for (party, session, sequence): the same command is `Repeated` (the text names the first
//!    index), another one is `SequenceUsed`. The first result stands.
//! 2. The sequence lies in the session's window. Sequences start at 1. With `highest` the highest recorded one (0 in a
//!    fresh session) the window is `highest - W < sequence <= highest + W`, `W` being [`SEQUENCE_WINDOW`]; inside it
//!    sequences may come in any order.
//! 3. The block's time is not above the expiry, and the expiry at most [`EXPIRY_AHEAD_MS_MAX`] above the block's time.
//! 4. The party is registered, and the signers satisfy its guard.
//! 5. The party's quota has something left for a record. The payload is a request. A call names an action of a module in force, with arguments that are the action's; what
//!    it could cost at most is no more than [`COMMAND_COST_MAX`].
//! 6. What it could cost is no more than what the party's quota has left, and the block has room for it.
//! 7. The request's own rules: `govern`, or the contract's.
//!
//! A refusal at 1 to 4 leaves no trace but the receipt: anyone can send such a command in another party's name, and
//! must not use up that party's sequences. So does one at 6, since the same command can be executed later. From 5 on the
//! party itself has signed, so the outcome, refusal or not, is recorded and final. The number of a command that expired or
//! came too early is not used up; it cannot take effect late either, since a block's time only rises.
//!
//! Results at or below `highest - W` are removed, at most [`crate::state::PRUNE_ROWS_MAX`] by each recorded command.
//! A result that waits for its removal still answers repeats; without one the sequence is too old. Either way the
//! command is not executed again.
//!
//! A receipt's `diff` is the hash of the changes to the tables users see. The rows that record the result, and what the party
//! has spent, are in a separate diff, because the result holds that hash. Both count for the state root.

use hopper::cost::{Cost, dimension};
use wire::limits::{EXPIRY_AHEAD_MS_MAX, SEQUENCE_WINDOW};
use wire::merkle::{self, Frontier};
use wire::{Encode, Genesis, Hash, Height, Index, Outcome, Receipt, Time, VerifiedCommand};

pub use crate::call::COMMAND_COST_MAX;
use crate::call::{self, Context, Effect, Failure, Prepared};
use crate::diff::Diff;
use crate::govern;
use crate::outcome::Refusal;
use crate::parallel::{self, Dirty, Guess, Workers};
use crate::request::Request;
use crate::root::{Proof, Tree};
use crate::rules::{Rule, Rules, Standard};
use crate::state::{NoteRow, SessionKey, State, Table, Write, row_bytes};

/// What the commands of one block may cost together; the last of them may go above it.
pub const BLOCK_COST_MAX: Cost = Cost([50_000_000, 1 << 20, 256 << 20, 1 << 20, 128 << 20, 10_000_000]);
/// Modules that one block may try to deploy: each may keep the verifier busy for a while.
pub const BLOCK_MODULES_MAX: usize = 4;

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The receipt: a leaf of the receipts' tree.
    pub receipt: Receipt,
    /// The changes to the tables users see; its hash is in the receipt.
    pub diff: Diff,
    /// The changes to sessions and results.
    pub bookkeeping: Diff,
}

/// What became of one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockResult {
    /// One for each entry, in order.
    pub entries: Vec<Executed>,
    /// The root over all tables after the block.
    pub state_root: Hash,
    /// The RFC 6962 root over the receipts of all entries so far.
    pub receipts_root: Hash,
}

/// Why a command need not be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It was executed; this is the original receipt.
    Executed(Box<Receipt>),
    /// No leader could order it to any use now.
    Refused(Outcome),
}

/// Where a command stands before its operation runs.
enum Standing<'l> {
    Repeated(&'l Receipt),
    /// Refused, and not recorded.
    Refused(Refusal),
    /// Refused, and recorded: its party signed it.
    Final(Refusal),
    Ready(Request, Planned),
}

/// What is known of the call in a request.
enum Planned {
    /// It is none.
    Nothing,
    /// It may run.
    Call(Prepared),
    /// It ran ahead of its turn, and that stands.
    Done(Box<Guess>),
}

/// What a block has used up so far.
#[derive(Default)]
struct Used {
    cost: Cost,
    modules: usize,
}

/// What a request did.
struct Done {
    diff: Diff,
    result: Vec<u8>,
    /// The diff's hash, if it is known.
    hash: Option<Hash>,
}

/// The ledger: tables, root, receipts.
///
/// Invariants: `tree` is the tree over all rows of `state`; `receipts` has one leaf for each entry executed.
#[derive(Debug, Clone)]
pub struct Ledger {
    state: State,
    tree: Tree,
    receipts: Frontier,
    height: Height,
    time: Time,
}

impl Ledger {
    /// The ledger at height 0. `genesis` was checked ([`Genesis::check`]).
    pub fn new(genesis: &Genesis) -> Ledger {
        let state = State::genesis(genesis.administrators.clone(), genesis.treasury.clone(), genesis.created);
        let tree = Tree::of(&state);
        Ledger { state, tree, receipts: Frontier::default(), height: Height::ZERO, time: genesis.created }
    }

    /// Executes a committed block.
    ///
    /// `first_index` is the number of entries executed so far, and `height` and `time` are above the last block's.
    ///
    /// # Panics
    /// If they are not: executing blocks out of order is a fault of the caller that no receipt could be trusted after.
    pub fn execute_block(
        &mut self,
        height: Height,
        time: Time,
        first_index: Index,
        entries: &[VerifiedCommand],
    ) -> BlockResult {
        self.execute_block_under::<Standard>(height, time, first_index, entries, None)
    }

    /// The same, with calls run side by side where that makes no difference.
    ///
    /// # Panics
    /// As [`Ledger::execute_block`].
    pub fn execute_block_with(
        &mut self,
        height: Height,
        time: Time,
        first_index: Index,
        entries: &[VerifiedCommand],
        workers: &dyn Workers,
    ) -> BlockResult {
        self.execute_block_under::<Standard>(height, time, first_index, entries, Some(workers))
    }

    /// The same under rules of the caller's; for a simulator that takes one out.
    ///
    /// # Panics
    /// As [`Ledger::execute_block`].
    pub fn execute_block_under<R: Rules>(
        &mut self,
        height: Height,
        time: Time,
        first_index: Index,
        entries: &[VerifiedCommand],
        workers: Option<&dyn Workers>,
    ) -> BlockResult {
        assert_eq!(first_index, self.next_index(), "blocks are executed in order, from the next index");
        assert!(height > self.height, "block {height} after block {}", self.height);
        assert!(time >= self.time, "the time of block {height} lies before its parent's");
        self.height = height;
        self.time = time;
        let mut executed = Vec::with_capacity(entries.len());
        let mut used = Used::default();
        let everybody = !R::keeps(Rule::OwnerSigns);
        let mut guesses =
            workers.map(|w| (parallel::guess(&self.state, time, everybody, entries, w).into_iter(), Dirty::default()));
        for command in entries {
            let index = self.next_index();
            let guess = guesses.as_mut().and_then(|(guesses, dirty)| guesses.next()?.filter(|g| dirty.spares(g)));
            let entry = self.execute::<R>(command, index, guess, &mut used);
            if let Some((_, dirty)) = &mut guesses {
                dirty.add(&entry.diff);
            }
            executed.push(entry);
        }
        let rows: Vec<Vec<Vec<u8>>> = executed
            .iter()
            .map(|e: &Executed| e.diff.contract().changes.iter().map(|c| row_bytes(&c.key)).collect())
            .collect();
        let changes = executed.iter().zip(&rows).flat_map(|(e, keys)| {
            let own = e.diff.changes().iter().chain(e.bookkeeping.changes());
            let own = own.map(|c| (c.table, c.key.as_slice(), c.after.as_deref()));
            let contract = e.diff.contract().changes.iter().zip(keys);
            own.chain(contract.map(|(c, key)| (Table::Rows, key.as_slice(), c.after.as_deref())))
        });
        self.tree.update(changes);
        BlockResult { entries: executed, state_root: self.state_root(), receipts_root: self.receipts_root() }
    }

    fn execute<R: Rules>(
        &mut self,
        command: &VerifiedCommand,
        index: Index,
        guess: Option<Guess>,
        used: &mut Used,
    ) -> Executed {
        let mut done = Done { diff: Diff::default(), result: Vec::new(), hash: None };
        let mut cost = Cost::ZERO;
        let (outcome, recorded) = match self.standing::<R>(command, self.time, guess) {
            Standing::Repeated(first) => (Refusal::Repeated { first: first.index }.outcome(), false),
            Standing::Refused(refusal) => (refusal.outcome(), false),
            Standing::Final(refusal) => {
                cost = record_cost(command);
                (refusal.outcome(), true)
            }
            Standing::Ready(request, _) if !used.has_room(&request) => (Refusal::BlockFull.outcome(), false),
            Standing::Ready(request, planned) => {
                let context = Context {
                    party: &command.party,
                    signers: &command.signers,
                    command: command.id(),
                    time: self.time,
                    everybody: !R::keeps(Rule::OwnerSigns),
                };
                let (result, spent) = self.carry_out(request, planned, index, &context);
                cost = spent.plus(record_cost(command));
                used.cost = used.cost.plus(cost);
                match result {
                    Ok(effect) => {
                        done = effect;
                        (Outcome::applied(), true)
                    }
                    Err(failure) => {
                        done.result = failure.result;
                        (failure.refusal.outcome(), true)
                    }
                }
            }
        };
        let Done { diff, result, hash } = done;
        let (height, id) = (self.height, command.id());
        let hash = hash.unwrap_or_else(|| diff.hash());
        let receipt = Receipt { index, height, command: id, outcome, diff: hash, cost: cost.0, result };
        // A result row is a receipt, and so is a leaf: one encoding serves both.
        let mut bytes = Vec::with_capacity(148 + receipt.outcome.text.len() + receipt.result.len());
        receipt.encode(&mut bytes);
        self.receipts.push(merkle::leaf_hash(&bytes));
        let bookkeeping = match recorded {
            true => {
                let diff = self.state.record(&session_key(command), command.sequence, receipt.clone(), bytes);
                self.spend(command, cost, diff)
            }
            false => Diff::default(),
        };
        Executed { receipt, diff, bookkeeping }
    }

    /// Adds what a command cost to what its party has spent, if that is limited.
    fn spend(&mut self, command: &VerifiedCommand, cost: Cost, bookkeeping: Diff) -> Diff {
        let Some(quota) = self.state.quota(&command.party) else { return bookkeeping };
        let mut usage = self.state.usage(&command.party).at(quota, self.time);
        usage.spent = usage.spent.plus(cost);
        let writes = vec![Write::Usage(command.party.clone(), Some(usage))];
        let changes = [bookkeeping.changes(), &self.state.changes(&writes)].concat();
        self.state.put_all(writes);
        Diff::new(changes)
    }

    /// Check 7, and the request's effect on the tables. With it, what it cost.
    fn carry_out(
        &mut self,
        request: Request,
        planned: Planned,
        index: Index,
        context: &Context<'_>,
    ) -> (Result<Done, Failure>, Cost) {
        let mut cost = flat_cost(&request);
        let mut hash = None;
        let ran = match (&request, planned) {
            (Request::Call(call) | Request::Note { then: Some(call), .. }, Planned::Call(prepared)) => {
                Some(call::run(&self.state, self.state.contract_rows(), call, prepared, context))
            }
            (_, Planned::Done(guess)) => {
                hash = guess.hash;
                // How much there is of an asset may have changed since; that it could be too much is seen now.
                let again = |mut effect: Effect| match call::supplies(&self.state, &effect.diff) {
                    Ok(writes) => {
                        effect.writes = writes;
                        Ok(effect)
                    }
                    Err(refusal) => Err(refusal.into()),
                };
                Some((guess.result.and_then(again), guess.cost))
            }
            _ => None,
        };
        let call = match ran {
            None => None,
            Some((result, spent)) => {
                cost = cost.plus(spent);
                match result {
                    Ok(effect) => Some(effect),
                    Err(failure) => return (Err(failure), cost),
                }
            }
        };
        let state = &mut self.state;
        let writes = match request {
            Request::Call(_) => Ok(Vec::new()),
            Request::Note { data, .. } => {
                let note = NoteRow { party: context.party.clone(), command: context.command, data };
                Ok(vec![Write::Note(index, Some(note))])
            }
            Request::RegisterParty { name, guard } => govern::register(state, &name, &guard, context),
            Request::RotateKeys { guard } => govern::rotate(&guard, context),
            Request::Deploy(deployment) => govern::deploy(state, &deployment, false, index, context),
            Request::Upgrade(deployment) => govern::deploy(state, &deployment, true, index, context),
            Request::Seal { module, status } => govern::seal(state, module, status, context),
            Request::SetQuota { party, quota } => govern::set_quota(state, &party, quota, context),
        };
        match writes {
            Ok(writes) => (Ok(Done { hash, ..self.put(writes, call) }), cost),
            Err(refusal) => (Err(refusal.into()), cost),
        }
    }

    /// Puts what a request did in place.
    fn put(&mut self, mut writes: Vec<Write>, call: Option<Effect>) -> Done {
        let (contract, rows, result) = match call {
            Some(effect) => {
                writes.extend(effect.writes);
                (effect.diff, effect.rows, effect.result)
            }
            None => Default::default(),
        };
        let diff = Diff::new(self.state.changes(&writes)).with(contract);
        self.state.write_rows(diff.contract(), rows);
        self.state.put_all(writes);
        Done { diff, result, hash: None }
    }

    /// Checks 1 to 6, but for the room in the block.
    fn standing<R: Rules>(&self, command: &VerifiedCommand, time: Time, guess: Option<Guess>) -> Standing<'_> {
        let key = session_key(command);
        let sequence = command.sequence;
        let first = self.state.result(&key, sequence).filter(|_| R::keeps(Rule::AtMostOnce));
        if let Some(first) = first {
            return match first.command == command.id() {
                true => Standing::Repeated(first),
                false => {
                    Standing::Refused(Refusal::SequenceUsed { session: command.session, sequence, first: first.index })
                }
            };
        }
        let highest = self.state.session(&key).highest;
        if sequence == 0 || sequence <= highest.saturating_sub(SEQUENCE_WINDOW) {
            return Standing::Refused(Refusal::SequenceTooOld { sequence, highest });
        }
        if sequence > highest.saturating_add(SEQUENCE_WINDOW) {
            return Standing::Refused(Refusal::SequenceTooFar { sequence, highest });
        }
        let expiry = command.expiry;
        if time > expiry && R::keeps(Rule::Expiry) {
            return Standing::Refused(Refusal::Expired { expiry, time });
        }
        if expiry > time.plus_ms(EXPIRY_AHEAD_MS_MAX) {
            return Standing::Refused(Refusal::ExpiryTooFar { expiry, time });
        }
        match self.state.party(&command.party) {
            None => return Standing::Refused(Refusal::UnknownParty(command.party.clone())),
            Some(row) if !row.guard.is_satisfied_by(&command.signers) => {
                return Standing::Refused(Refusal::GuardNotSatisfied(command.party.clone()));
            }
            Some(_) => {}
        }
        // What any command costs comes first: what follows is recorded, and a party without means must not be able to add records.
        if let Some(refusal) = self.beyond_quota(command, time, &record_cost(command)) {
            return Standing::Refused(refusal);
        }
        let (request, planned) = match guess {
            Some(guess) => (guess.request.clone(), Planned::Done(Box::new(guess))),
            None => {
                let request = match Request::from_payload(&command.payload) {
                    Ok(request) => request,
                    Err(e) => return Standing::Final(Refusal::PayloadUndecodable(e)),
                };
                let planned = match &request {
                    Request::Call(call) | Request::Note { then: Some(call), .. } => {
                        match call::prepare(&self.state, call, time, command.signers.len(), false) {
                            Ok(prepared) => Planned::Call(prepared),
                            Err(refusal) => return Standing::Final(refusal),
                        }
                    }
                    _ => Planned::Nothing,
                };
                (request, planned)
            }
        };
        let bound = match &planned {
            Planned::Nothing => Cost::ZERO,
            Planned::Call(prepared) => prepared.bound,
            Planned::Done(guess) => guess.prepared.bound,
        };
        let bound = bound.plus(record_cost(command)).plus(flat_cost(&request));
        if let Some(refusal) = self.beyond_quota(command, time, &bound) {
            return Standing::Refused(refusal);
        }
        Standing::Ready(request, planned)
    }

    /// Why a command of this cost is more than its party's quota has left, if it is.
    fn beyond_quota(&self, command: &VerifiedCommand, time: Time, bound: &Cost) -> Option<Refusal> {
        let quota = self.state.quota(&command.party)?;
        let spent = self.state.usage(&command.party).at(quota, time).spent;
        let left = Cost(std::array::from_fn(|n| quota.cost.0[n].saturating_sub(spent.0[n])));
        let (what, bound, left) = call::above(bound, &left)?;
        Some(Refusal::QuotaExceeded { party: command.party.clone(), what, bound, left })
    }

    /// What a node checks before it queues a command, with the time of the last block.
    ///
    /// Only what ordering could not change for the better is refused here; a missing account or an overdraft is judged
    /// when the command is executed.
    ///
    /// # Errors
    /// The original receipt if the command was executed, or the outcome it would have if it were ordered now.
    pub fn admit(&self, command: &VerifiedCommand, block_time: Time) -> Result<(), Admission> {
        match self.standing::<Standard>(command, block_time, None) {
            Standing::Repeated(receipt) => Err(Admission::Executed(Box::new(receipt.clone()))),
            Standing::Refused(refusal) | Standing::Final(refusal) => Err(Admission::Refused(refusal.outcome())),
            Standing::Ready(..) => Ok(()),
        }
    }

    /// The root over all tables.
    pub fn state_root(&self) -> Hash {
        self.tree.root()
    }

    /// The RFC 6962 root over the receipts of all entries so far.
    pub fn receipts_root(&self) -> Hash {
        self.receipts.root()
    }

    /// The height executed.
    pub fn height(&self) -> Height {
        self.height
    }

    /// The time of the last block executed; the genesis document's before the first.
    pub fn time(&self) -> Time {
        self.time
    }

    /// The index the next entry gets: the number of entries executed.
    pub fn next_index(&self) -> Index {
        Index(self.receipts.len())
    }

    /// The tables.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Proves against [`Ledger::state_root`] what the tables hold under a key.
    pub fn prove(&self, table: Table, key: &[u8]) -> Proof {
        self.tree.prove(table, key)
    }
}

impl Used {
    /// True if the block has room for a request.
    fn has_room(&mut self, request: &Request) -> bool {
        let module = matches!(request, Request::Deploy(_) | Request::Upgrade(_));
        if (module && self.modules == BLOCK_MODULES_MAX) || !self.cost.within(&BLOCK_COST_MAX) {
            return false;
        }
        self.modules += usize::from(module);
        true
    }
}

/// What keeping the record of a command costs, whatever it asks for.
fn record_cost(command: &VerifiedCommand) -> Cost {
    let mut cost = Cost::ZERO;
    cost.0[dimension::WRITES] = 1;
    cost.0[dimension::WRITE_BYTES] = 256 + command.payload.len() as u64;
    cost
}

/// Steps of the verifier for a byte of a module.
const VERIFIER_STEPS: u64 = 20;
/// Steps of the verifier for a byte of its proofs.
const PROOF_STEPS: u64 = 5;

/// What a request costs beside what a contract does: the rows it writes, and the verifier's work.
fn flat_cost(request: &Request) -> Cost {
    let mut cost = Cost::ZERO;
    let mut write = |rows: u64, bytes: usize| {
        cost.0[dimension::WRITES] += rows;
        cost.0[dimension::WRITE_BYTES] += bytes as u64;
    };
    match request {
        Request::Call(_) => {}
        Request::Note { data, .. } => write(1, data.len()),
        Request::RegisterParty { guard, .. } | Request::RotateKeys { guard } => write(1, 32 * guard.keys().len()),
        Request::Seal { .. } | Request::SetQuota { .. } => write(1, 64),
        Request::Deploy(d) | Request::Upgrade(d) => {
            write(2, d.module.len() + d.proofs.len());
            let (module, proofs) = (d.module.len() as u64, d.proofs.len() as u64);
            cost.0[dimension::STEPS] = VERIFIER_STEPS * module + PROOF_STEPS * proofs;
        }
    }
    cost
}

fn session_key(command: &VerifiedCommand) -> SessionKey {
    (command.party.clone(), command.session)
}
