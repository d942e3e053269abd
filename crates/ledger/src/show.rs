//! Values of contracts as text, for outcomes and for people.

use hopper::abort::Abort;
pub use hopper::show::{changes_text, fields_text, value_text};

use crate::modules::Code;

/// Why a contract refused a command.
pub fn abort_text(code: &Code, abort: &Abort) -> String {
    hopper::show::abort_text(code.library(), abort)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cash;
    use hopper::diff::{Bytes, Diff};
    use hopper::library::Library;
    use hopper::value;
    use wire::{Encode, Name};

    #[test]
    fn errors_carry_their_figures() {
        let code = Code::genesis();
        let owner = Name::new("A").unwrap();
        let mut args = owner.to_bytes();
        for n in [5u128, 10] {
            args.extend_from_slice(&n.to_be_bytes()[4..]);
        }
        let abort = Abort::Error { module: cash::id(), error: 4, args };
        assert_eq!(abort_text(&code, &abort), "bank.cash: Overdraft { account: A, balance: 5, need: 10 }");
    }

    #[test]
    fn changes_are_told_field_by_field() {
        let code = Code::genesis();
        let row = |units: u128, frozen: bool| {
            let owner = Name::new("bank-a").unwrap();
            let balance = crate::Amount::from_units(units).unwrap();
            Some(Bytes::from(cash::AccountRow { balance, owner, pass_through: false, frozen }.to_bytes()))
        };
        let change = |name: &str, before, after| hopper::diff::Change {
            key: cash::account_key(&Name::new(name).unwrap()),
            before,
            after,
        };
        let mut args = [Name::new("A").unwrap().to_bytes(), Name::new("B").unwrap().to_bytes()].concat();
        args.extend_from_slice(&30u128.to_be_bytes()[4..]);
        let diff = Diff {
            changes: vec![change("A", row(100, false), row(70, true)), change("B", None, row(30, false))],
            events: vec![hopper::diff::Event { module: cash::id(), event: 0, args }],
            ..Diff::default()
        };
        assert_eq!(
            changes_text(code.library(), &diff),
            [
                "bank.cash accounts[A].balance.amount: 100 -> 70",
                "bank.cash accounts[A].frozen: false -> true",
                "bank.cash accounts[B]: - -> Account { balance: Coin { amount: 30 }, owner: bank-a, passes: false, \
                 frozen: false }",
                "bank.cash Transferred { from: A, to: B, n: 30 }",
            ]
        );
        let foreign = changes_text(&Library::default(), &diff);
        assert!(foreign[0].ends_with("bytes -> 24 bytes"), "{foreign:?}");
    }

    #[test]
    fn rows_read_well() {
        let code = Code::genesis();
        let (universe, ty) = (&code.library().universe, cash::unit().tables[0].row);
        let account = crate::cash::AccountRow {
            balance: crate::Amount::from_units(7).unwrap(),
            owner: Name::new("bank-a").unwrap(),
            pass_through: false,
            frozen: true,
        };
        let value = value::from_bytes(universe, ty, &account.to_bytes()).unwrap();
        assert_eq!(
            value_text(universe, ty, &value),
            "Account { balance: Coin { amount: 7 }, owner: bank-a, passes: false, frozen: true }"
        );
    }
}
