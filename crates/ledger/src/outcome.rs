//! How commands end: one stable number for each way, with the text people see.
//!
//! Numbers are part of the receipts and so of the receipts' root: they are never reused or renumbered. A text carries
//! the figures, exactly, and says what to change; it takes at most 512 bytes.

use hopper::ir::ModuleId;
use thiserror::Error;
use wire::limits::{EXPIRY_AHEAD_MS_MAX, OUTCOME_TEXT_BYTES_MAX, SEQUENCE_WINDOW};
use wire::{DecodeError, Index, Name, Outcome, OutcomeCode, Time};

use crate::amount::Amount;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal),* $(,)?) => {
        /// The ways a command can end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Code {
            $($(#[doc = $doc])+ $name = $number,)*
        }

        impl Code {
            /// All codes, by ascending number.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// The name, as written here.
            pub fn name(self) -> &'static str {
                match self { $(Code::$name => stringify!($name),)* }
            }

            /// What it means.
            pub fn doc(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),+).trim_ascii_start(),)* }
            }
        }
    };
}

codes! {
    /// The command took effect.
    Applied = 0,

    /// The same command was executed before; the text names the index of the first.
    Repeated = 1,
    /// Another command was executed with this party, session and sequence.
    SequenceUsed = 2,
    /// The sequence is 0, or lies below the session's window.
    SequenceTooOld = 3,
    /// The sequence lies above the session's window.
    SequenceTooFar = 4,
    /// The block's time is later than the command's expiry.
    Expired = 5,
    /// The expiry lies too far ahead of the block's time.
    ExpiryTooFar = 6,
    /// The command's party is not registered.
    UnknownParty = 7,
    /// The signers do not satisfy the guard of the command's party.
    GuardNotSatisfied = 8,
    /// The payload is no operation.
    PayloadUndecodable = 9,
    /// A signature does not verify; never in a receipt, because such a command is not ordered.
    BadSignature = 10,

    /// Only `admin` registers parties.
    NotAdministrator = 20,
    /// A party of that name exists.
    PartyExists = 21,
    /// The guard cannot be met, or names a bad key.
    GuardRefused = 22,
    /// The signers do not satisfy the new guard.
    NewGuardMustSign = 23,
    /// What `admin` spends cannot be limited.
    QuotaRefused = 24,

    /// An account of that name exists.
    AccountExists = 30,
    /// No account of that name exists.
    UnknownAccount = 31,
    /// Only `treasury` mints and burns.
    NotTreasury = 32,
    /// The owner of the account that is debited, burnt from or changed did not sign.
    OwnerMustSign = 33,
    /// The owner of an account in the middle of the path neither signed nor opted into passing through.
    HopMustSign = 34,
    /// The account holds less than is taken from it.
    Overdraft = 35,
    /// The amount is zero.
    ZeroAmount = 36,
    /// The path leads from an account to itself.
    SelfTransfer = 37,
    /// An account stands twice on the path.
    PathRepeats = 38,
    /// Minting would lift the supply to 2^96 units or above.
    SupplyCap = 39,

    /// No such module is deployed.
    UnknownModule = 50,
    /// The module has no such action.
    UnknownAction = 51,
    /// The arguments are none of the action's.
    ArgumentsUndecodable = 52,
    /// The module is not in force yet, or no longer.
    NotInForce = 53,
    /// The action could cost more than a command may.
    CostTooHigh = 54,
    /// The party's quota does not reach for what the command could cost; never recorded.
    QuotaExceeded = 55,
    /// The block has no room for the command; never recorded.
    BlockFull = 56,

    /// Those who would have to agree to the action did not sign.
    Unauthorized = 60,
    /// The machine that runs contracts refused; the receipt's result says why.
    ContractFault = 61,
    /// The contract refused; the receipt's result says why.
    ContractError = 62,
    /// The action's result does not fit a receipt.
    ResultTooLong = 63,
    /// An asset would appear or vanish.
    NotConserved = 64,

    /// The bytes are no module, or no proofs.
    ModuleUndecodable = 70,
    /// The verifier refuses the module.
    ModuleRefused = 71,
    /// The module is deployed already.
    ModuleExists = 72,
    /// The roles do not fit the module, or name unknown parties.
    RolesRefused = 73,
    /// Those who govern the module did not sign.
    GovernanceMustSign = 74,
    /// A version can only be used less than before.
    StatusRefused = 75,
}

impl Code {
    /// The number in receipts.
    pub fn number(self) -> OutcomeCode {
        OutcomeCode(self as u16)
    }

    /// The code with this number.
    pub fn of(number: OutcomeCode) -> Option<Code> {
        Code::ALL.iter().copied().find(|c| c.number() == number)
    }
}

/// Why a command was refused, with the figures.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// See [`Code::Repeated`].
    #[error("repeated: this command was executed at index {first}; its result stands")]
    Repeated {
        /// The index of the entry that was executed.
        first: Index,
    },
    /// See [`Code::SequenceUsed`].
    #[error("sequence {sequence} of session {session} was used by another command at index {first}; use a new one")]
    SequenceUsed {
        /// The session.
        session: u64,
        /// The sequence.
        sequence: u64,
        /// The index of the other command.
        first: Index,
    },
    /// See [`Code::SequenceTooOld`].
    #[error(
        "sequence {sequence} is too old; the highest of the session is {highest}: use {} or above",
        (highest.saturating_sub(SEQUENCE_WINDOW)).saturating_add(1)
    )]
    SequenceTooOld {
        /// The sequence.
        sequence: u64,
        /// The highest executed in the session.
        highest: u64,
    },
    /// See [`Code::SequenceTooFar`].
    #[error(
        "sequence {sequence} is too far ahead; the highest of the session is {highest}: use {} or below",
        highest.saturating_add(SEQUENCE_WINDOW)
    )]
    SequenceTooFar {
        /// The sequence.
        sequence: u64,
        /// The highest executed in the session.
        highest: u64,
    },
    /// See [`Code::Expired`].
    #[error(
        "expired at {expiry}, the block's time is {time} (milliseconds since 1970); sign it again with a later one"
    )]
    Expired {
        /// The command's expiry.
        expiry: Time,
        /// The block's time.
        time: Time,
    },
    /// See [`Code::ExpiryTooFar`].
    #[error(
        "expiry {expiry} is more than {EXPIRY_AHEAD_MS_MAX} ms after the block's time {time} (milliseconds since \
         1970); sign it again with an earlier one"
    )]
    ExpiryTooFar {
        /// The command's expiry.
        expiry: Time,
        /// The block's time.
        time: Time,
    },
    /// See [`Code::UnknownParty`].
    #[error("party \"{0}\" is not registered; an administrator registers it with RegisterParty")]
    UnknownParty(Name),
    /// See [`Code::GuardNotSatisfied`].
    #[error("wrong signer: the guard of party \"{0}\" is not satisfied by the command's signers")]
    GuardNotSatisfied(Name),
    /// See [`Code::PayloadUndecodable`].
    #[error("payload is no operation: {0}")]
    PayloadUndecodable(DecodeError),
    /// See [`Code::NotAdministrator`].
    #[error("party \"{0}\" may not register parties; the command's party must be \"admin\"")]
    NotAdministrator(Name),
    /// See [`Code::PartyExists`].
    #[error("party \"{0}\" exists; choose another name")]
    PartyExists(Name),
    /// See [`Code::GuardRefused`].
    #[error("{0}")]
    GuardRefused(String),
    /// See [`Code::AccountExists`].
    #[error("account \"{0}\" exists; choose another name")]
    AccountExists(Name),
    /// See [`Code::UnknownAccount`].
    #[error("account \"{0}\" does not exist; check the name, or create it first with CreateAccount")]
    UnknownAccount(Name),
    /// See [`Code::NotTreasury`].
    #[error("party \"{0}\" may not mint or burn; the command's party must be \"treasury\"")]
    NotTreasury(Name),
    /// See [`Code::OwnerMustSign`].
    #[error("wrong signer: account \"{account}\" belongs to party \"{owner}\", whose guard the signers do not satisfy")]
    OwnerMustSign {
        /// The account.
        account: Name,
        /// Its owner.
        owner: Name,
    },
    /// See [`Code::HopMustSign`].
    #[error(
        "account \"{account}\" does not let others pass through and its owner \"{owner}\" did not sign; add that \
         signature, or have the owner send: PassThrough {account} on"
    )]
    HopMustSign {
        /// The account.
        account: Name,
        /// Its owner.
        owner: Name,
    },
    /// See [`Code::Overdraft`].
    #[error("account \"{account}\" holds {balance}, the {what} needs {need}")]
    Overdraft {
        /// The account.
        account: Name,
        /// What it holds.
        balance: Amount,
        /// "transfer" or "burn".
        what: &'static str,
        /// What was asked.
        need: Amount,
    },
    /// See [`Code::ZeroAmount`].
    #[error("the amount is zero; give at least 1%1000000")]
    ZeroAmount,
    /// See [`Code::SelfTransfer`].
    #[error("the transfer leads from account \"{0}\" to itself; name two different accounts")]
    SelfTransfer(Name),
    /// See [`Code::PathRepeats`].
    #[error("account \"{0}\" stands twice on the path; name each account once")]
    PathRepeats(Name),
    /// See [`Code::SupplyCap`].
    #[error("minting {amount} on top of a supply of {supply} passes the cap of {}; mint less", Amount::MAX)]
    SupplyCap {
        /// What was asked.
        amount: Amount,
        /// The supply before.
        supply: Amount,
    },
    /// See [`Code::NewGuardMustSign`].
    #[error("the signers do not satisfy the new guard; let those sign who shall sign from now on")]
    NewGuardMustSign,
    /// See [`Code::QuotaRefused`].
    #[error("what \"admin\" spends is not limited, or it might not be able to lift the limit; name another party")]
    QuotaRefused,
    /// See [`Code::UnknownModule`].
    #[error("module {} is not deployed", .0.0.short())]
    UnknownModule(ModuleId),
    /// See [`Code::UnknownAction`].
    #[error("module {module} has no action {function}; name one of its actions")]
    UnknownAction {
        /// The module's name.
        module: String,
        /// The number asked for.
        function: u16,
    },
    /// See [`Code::ArgumentsUndecodable`].
    #[error("the arguments are not those of {action}: {why}")]
    ArgumentsUndecodable {
        /// The action.
        action: String,
        /// What is wrong.
        why: DecodeError,
    },
    /// See [`Code::NotInForce`].
    #[error("module {} is not in force: {why}", module.0.short())]
    NotInForce {
        /// The module.
        module: ModuleId,
        /// Since when not, or until when.
        why: String,
    },
    /// See [`Code::CostTooHigh`].
    #[error("{action} could take {bound} {what} with these arguments, a command may take {most}; ask for less at once")]
    CostTooHigh {
        /// The action.
        action: String,
        /// Of what.
        what: &'static str,
        /// How much it could be.
        bound: u64,
        /// How much it may be.
        most: u64,
    },
    /// See [`Code::QuotaExceeded`].
    #[error(
        "the quota of party \"{party}\" has {left} {what} left, the command could take {bound}; wait for the next window"
    )]
    QuotaExceeded {
        /// The party.
        party: Name,
        /// Of what.
        what: &'static str,
        /// How much it could be.
        bound: u64,
        /// How much is left.
        left: u64,
    },
    /// See [`Code::BlockFull`].
    #[error("the block has no room for the command; send it again")]
    BlockFull,
    /// See [`Code::Unauthorized`].
    #[error("not authorized: the signers are not those whom {action} asks for")]
    Unauthorized {
        /// The action.
        action: String,
    },
    /// See [`Code::ContractFault`].
    #[error("{action}: {why}")]
    ContractFault {
        /// The action.
        action: String,
        /// What went wrong.
        why: String,
    },
    /// See [`Code::ContractError`].
    #[error("{0}")]
    ContractError(String),
    /// See [`Code::ResultTooLong`].
    #[error("the result takes {0} bytes, a receipt holds 256; let the action give less, and a view the rest")]
    ResultTooLong(usize),
    /// See [`Code::NotConserved`].
    #[error("{0}; nothing was changed: report the module")]
    NotConserved(String),
    /// See [`Code::ModuleUndecodable`].
    #[error("no module: {0}")]
    ModuleUndecodable(DecodeError),
    /// See [`Code::ModuleRefused`].
    #[error("{0}")]
    ModuleRefused(String),
    /// See [`Code::ModuleExists`].
    #[error("module {} is deployed already", .0.0.short())]
    ModuleExists(ModuleId),
    /// See [`Code::RolesRefused`].
    #[error("{0}")]
    RolesRefused(String),
    /// See [`Code::GovernanceMustSign`].
    #[error("the signers are not those who govern module {0}")]
    GovernanceMustSign(String),
    /// See [`Code::StatusRefused`].
    #[error("{0}")]
    StatusRefused(&'static str),
}

impl Refusal {
    /// Its code.
    pub fn code(&self) -> Code {
        match self {
            Refusal::Repeated { .. } => Code::Repeated,
            Refusal::SequenceUsed { .. } => Code::SequenceUsed,
            Refusal::SequenceTooOld { .. } => Code::SequenceTooOld,
            Refusal::SequenceTooFar { .. } => Code::SequenceTooFar,
            Refusal::Expired { .. } => Code::Expired,
            Refusal::ExpiryTooFar { .. } => Code::ExpiryTooFar,
            Refusal::UnknownParty(_) => Code::UnknownParty,
            Refusal::GuardNotSatisfied(_) => Code::GuardNotSatisfied,
            Refusal::PayloadUndecodable(_) => Code::PayloadUndecodable,
            Refusal::NotAdministrator(_) => Code::NotAdministrator,
            Refusal::PartyExists(_) => Code::PartyExists,
            Refusal::GuardRefused(_) => Code::GuardRefused,
            Refusal::AccountExists(_) => Code::AccountExists,
            Refusal::UnknownAccount(_) => Code::UnknownAccount,
            Refusal::NotTreasury(_) => Code::NotTreasury,
            Refusal::OwnerMustSign { .. } => Code::OwnerMustSign,
            Refusal::HopMustSign { .. } => Code::HopMustSign,
            Refusal::Overdraft { .. } => Code::Overdraft,
            Refusal::ZeroAmount => Code::ZeroAmount,
            Refusal::SelfTransfer(_) => Code::SelfTransfer,
            Refusal::PathRepeats(_) => Code::PathRepeats,
            Refusal::SupplyCap { .. } => Code::SupplyCap,
            Refusal::NewGuardMustSign => Code::NewGuardMustSign,
            Refusal::QuotaRefused => Code::QuotaRefused,
            Refusal::UnknownModule(_) => Code::UnknownModule,
            Refusal::UnknownAction { .. } => Code::UnknownAction,
            Refusal::ArgumentsUndecodable { .. } => Code::ArgumentsUndecodable,
            Refusal::NotInForce { .. } => Code::NotInForce,
            Refusal::CostTooHigh { .. } => Code::CostTooHigh,
            Refusal::QuotaExceeded { .. } => Code::QuotaExceeded,
            Refusal::BlockFull => Code::BlockFull,
            Refusal::Unauthorized { .. } => Code::Unauthorized,
            Refusal::ContractFault { .. } => Code::ContractFault,
            Refusal::ContractError(_) => Code::ContractError,
            Refusal::ResultTooLong(_) => Code::ResultTooLong,
            Refusal::NotConserved(_) => Code::NotConserved,
            Refusal::ModuleUndecodable(_) => Code::ModuleUndecodable,
            Refusal::ModuleRefused(_) => Code::ModuleRefused,
            Refusal::ModuleExists(_) => Code::ModuleExists,
            Refusal::RolesRefused(_) => Code::RolesRefused,
            Refusal::GovernanceMustSign(_) => Code::GovernanceMustSign,
            Refusal::StatusRefused(_) => Code::StatusRefused,
        }
    }

    /// The outcome for the receipt.
    pub fn outcome(&self) -> Outcome {
        let mut text = self.to_string();
        // Names are at most 64 bytes, so no text of ours comes near; a guard's or decoder's error may one day.
        text.truncate(text.floor_char_boundary_at(OUTCOME_TEXT_BYTES_MAX));
        Outcome { code: self.code().number(), text }
    }
}

/// Where to cut a text without splitting a character.
trait FloorCharBoundary {
    fn floor_char_boundary_at(&self, max: usize) -> usize;
}

impl FloorCharBoundary for String {
    fn floor_char_boundary_at(&self, max: usize) -> usize {
        (0..=max.min(self.len())).rev().find(|at| self.is_char_boundary(*at)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_frozen() {
        let listed: Vec<String> = Code::ALL.iter().map(|c| format!("{} {}", *c as u16, c.name())).collect();
        assert_eq!(
            listed.join(", "),
            "0 Applied, 1 Repeated, 2 SequenceUsed, 3 SequenceTooOld, 4 SequenceTooFar, 5 Expired, 6 ExpiryTooFar, \
             7 UnknownParty, 8 GuardNotSatisfied, 9 PayloadUndecodable, 10 BadSignature, 20 NotAdministrator, \
             21 PartyExists, \
             22 GuardRefused, 23 NewGuardMustSign, 24 QuotaRefused, 30 AccountExists, 31 UnknownAccount, 32 NotTreasury, 33 OwnerMustSign, 34 HopMustSign, \
             35 Overdraft, 36 ZeroAmount, 37 SelfTransfer, 38 PathRepeats, 39 SupplyCap, 50 UnknownModule, \
             51 UnknownAction, 52 ArgumentsUndecodable, 53 NotInForce, 54 CostTooHigh, 55 QuotaExceeded, 56 BlockFull, \
             60 Unauthorized, 61 ContractFault, 62 ContractError, 63 ResultTooLong, 64 NotConserved, \
             70 ModuleUndecodable, 71 ModuleRefused, 72 ModuleExists, 73 RolesRefused, 74 GovernanceMustSign, \
             75 StatusRefused"
        );
        assert_eq!(Code::of(OutcomeCode(35)), Some(Code::Overdraft));
        assert_eq!(Code::of(OutcomeCode(10)), Some(Code::BadSignature));
        assert_eq!(Code::of(OutcomeCode(11)), None);
        assert_eq!(Code::Applied.number(), OutcomeCode::APPLIED);
        assert!(Code::ALL.iter().all(|c| c.doc().ends_with('.')));
    }

    #[test]
    fn the_manual_lists_every_code() {
        let manual = include_str!("../../../docs/ledger.md");
        let rows = manual.lines().skip_while(|l| !l.starts_with("| code |")).skip(2).take_while(|l| l.starts_with('|'));
        let listed: Vec<String> = rows.map(|l| l.split('|').take(3).collect::<Vec<_>>().join("|") + "|").collect();
        let codes: Vec<String> = Code::ALL.iter().map(|c| format!("| {} | {} |", *c as u16, c.name())).collect();
        assert_eq!(listed, codes);
    }

    #[test]
    fn texts_fit_with_the_longest_figures() {
        let name = Name::new(&"x".repeat(64)).unwrap();
        let account = name.clone();
        let amount = Amount::MAX;
        let long = [
            Refusal::SequenceUsed { session: u64::MAX, sequence: u64::MAX, first: Index::MAX },
            Refusal::ExpiryTooFar { expiry: Time::MAX, time: Time::MAX },
            Refusal::HopMustSign { account: account.clone(), owner: name.clone() },
            Refusal::Overdraft { account, balance: amount, what: "transfer", need: amount },
            Refusal::SupplyCap { amount, supply: amount },
        ];
        for refusal in long {
            assert_eq!(refusal.outcome().text, refusal.to_string(), "not cut");
        }
        let cut = Refusal::GuardRefused("ä".repeat(300)).outcome();
        assert_eq!(cut.text.len(), 512);
    }

    #[test]
    fn figures_are_exact() {
        let refusal = Refusal::Overdraft {
            account: Name::new("A").unwrap(),
            balance: "5%1".parse().unwrap(),
            what: "transfer",
            need: "10%1".parse().unwrap(),
        };
        assert_eq!(refusal.to_string(), "account \"A\" holds 5%1, the transfer needs 10%1");
    }
}
