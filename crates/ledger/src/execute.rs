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
//! 5. The payload is an operation.
//! 6. The operation's own rules: [`crate::native`].
//!
//! A refusal at 1 to 4 leaves no trace but the receipt: anyone can send such a command in another party's name, and
//! must not use up that party's sequences. From 5 on the party itself has signed, so the outcome, refusal or not, is
//! recorded and final. The number of a command that expired or came too early is not used up; it cannot take effect
//! late either, since a block's time only rises.
//!
//! Results at or below `highest - W` are removed, at most [`crate::state::PRUNE_ROWS_MAX`] by each recorded command.
//! A result that waits for its removal still answers repeats; without one the sequence is too old. Either way the
//! command is not executed again.
//!
//! A receipt's `diff` is the hash of the changes to the tables users see. The rows that record the result are in a
//! separate diff, because the result holds that hash. Both count for the state root.

use wire::limits::{EXPIRY_AHEAD_MS_MAX, SEQUENCE_WINDOW};
use wire::merkle::{self, Frontier};
use wire::{Encode, Genesis, Hash, Height, Index, Outcome, Receipt, Time, VerifiedCommand};

use crate::diff::Diff;
use crate::native::{self, Context};
use crate::operation::Operation;
use crate::outcome::Refusal;
use crate::overlay::Overlay;
use crate::root::{Proof, Tree};
use crate::rules::{Rule, Rules, Standard};
use crate::state::{SessionKey, State, Table};

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
    Executed(Receipt),
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
    Ready(Operation),
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
        let state = State::genesis(genesis.administrators.clone(), genesis.treasury.clone());
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
        self.execute_block_under::<Standard>(height, time, first_index, entries)
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
    ) -> BlockResult {
        assert_eq!(first_index, self.next_index(), "blocks are executed in order, from the next index");
        assert!(height > self.height, "block {height} after block {}", self.height);
        assert!(time >= self.time, "the time of block {height} lies before its parent's");
        self.height = height;
        self.time = time;
        let mut executed = Vec::with_capacity(entries.len());
        for command in entries {
            let index = self.next_index();
            executed.push(self.execute::<R>(command, index));
        }
        let changes = executed.iter().flat_map(|e| e.diff.changes().iter().chain(e.bookkeeping.changes()));
        self.tree.update(changes.map(|c| (c.table, c.key.as_slice(), c.after.as_deref())));
        BlockResult { entries: executed, state_root: self.state_root(), receipts_root: self.receipts_root() }
    }

    fn execute<R: Rules>(&mut self, command: &VerifiedCommand, index: Index) -> Executed {
        let mut diff = Diff::default();
        let (outcome, recorded) = match self.standing::<R>(command, self.time) {
            Standing::Repeated(first) => (Refusal::Repeated { first: first.index }.outcome(), false),
            Standing::Refused(refusal) => (refusal.outcome(), false),
            Standing::Final(refusal) => (refusal.outcome(), true),
            Standing::Ready(operation) => {
                let context =
                    Context { party: &command.party, signers: &command.signers, command: command.id(), index };
                let mut overlay = Overlay::new(&self.state);
                match run::<R>(operation, &context, &mut overlay) {
                    Ok(()) => {
                        let writes;
                        (diff, writes) = overlay.finish();
                        self.state.put_all(writes);
                        (Outcome::applied(), true)
                    }
                    Err(refusal) => (refusal.outcome(), true),
                }
            }
        };
        let receipt = Receipt { index, height: self.height, command: command.id(), outcome, diff: diff.hash() };
        // A result row is a receipt, and so is a leaf: one encoding serves both.
        let mut bytes = Vec::with_capacity(96 + receipt.outcome.text.len());
        receipt.encode(&mut bytes);
        self.receipts.push(merkle::leaf_hash(&bytes));
        let bookkeeping = match recorded {
            true => self.state.record(&session_key(command), command.sequence, receipt.clone(), bytes),
            false => Diff::default(),
        };
        Executed { receipt, diff, bookkeeping }
    }

    /// Checks 1 to 5.
    fn standing<R: Rules>(&self, command: &VerifiedCommand, time: Time) -> Standing<'_> {
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
        match Operation::from_payload(&command.payload) {
            Ok(operation) => Standing::Ready(operation),
            Err(e) => Standing::Final(Refusal::PayloadUndecodable(e)),
        }
    }

    /// What a node checks before it queues a command, with the time of the last block.
    ///
    /// Only what ordering could not change for the better is refused here; a missing account or an overdraft is judged
    /// when the command is executed.
    ///
    /// # Errors
    /// The original receipt if the command was executed, or the outcome it would have if it were ordered now.
    pub fn admit(&self, command: &VerifiedCommand, block_time: Time) -> Result<(), Admission> {
        match self.standing::<Standard>(command, block_time) {
            Standing::Repeated(receipt) => Err(Admission::Executed(receipt.clone())),
            Standing::Refused(refusal) | Standing::Final(refusal) => Err(Admission::Refused(refusal.outcome())),
            Standing::Ready(_) => Ok(()),
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

/// Runs an operation; where the rule that owners sign is taken out, in the owner's name if it has not signed.
fn run<R: Rules>(operation: Operation, context: &Context<'_>, overlay: &mut Overlay<'_>) -> Result<(), Refusal> {
    let again = (!R::keeps(Rule::OwnerSigns)).then(|| operation.clone());
    match (native::run(operation, context, overlay), again) {
        (Err(Refusal::OwnerMustSign { owner, .. }), Some(again)) => {
            native::run(again, &Context { party: &owner, ..*context }, overlay)
        }
        (result, _) => result,
    }
}

fn session_key(command: &VerifiedCommand) -> SessionKey {
    (command.party.clone(), command.session)
}
