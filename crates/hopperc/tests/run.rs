//! Contracts at work: commands are run on both evaluators, and what they change is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hopper::abort::Abort;
use hopper::cost::Cost;
use hopper::diff::check_conservation;
use hopper::eval::{Call, Outcome, World, reference, run};
use hopper::ir::{Lineage, ModuleId};
use hopper::library::{Library, Unit};
use hopper::state::Memory;
use hopper::value::Value;
use hopper::verify::deploy;
use hopperc::diagnostic::{SourceFile, render};
use hopperc::front::compile;
use wire::{Hash, Name};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn party(text: &str) -> Value {
    Value::Party(name(text))
}

fn n(n: i128) -> Value {
    Value::Int(n)
}

/// The world as a command sees it: signers, time. A role is the party of its name.
struct Scene {
    signers: BTreeSet<Name>,
    sender: Name,
    now: u64,
    command: Hash,
    roles: BTreeMap<(Lineage, u16), Name>,
}

impl World for Scene {
    fn sender(&self) -> Name {
        self.sender.clone()
    }
    fn satisfied(&self, party: &Name) -> bool {
        self.signers.contains(party)
    }
    fn role(&self, lineage: &Lineage, role: u16) -> Option<Name> {
        self.roles.get(&(*lineage, role)).cloned()
    }
    fn now(&self) -> u64 {
        self.now
    }
    fn command(&self) -> Hash {
        self.command
    }
}

/// A small ledger.
struct Ledger {
    library: Library,
    ids: BTreeMap<String, ModuleId>,
    rows: Memory,
    now: u64,
    count: u64,
}

impl Ledger {
    fn new(files: &[&str]) -> Ledger {
        let read = |file: &&str| {
            let path = format!("{}/lib/{file}.hop", env!("CARGO_MANIFEST_DIR"));
            SourceFile { name: format!("{file}.hop"), text: std::fs::read_to_string(path).unwrap() }
        };
        let sources: Vec<SourceFile> = files.iter().map(read).collect();
        Ledger::of(&sources)
    }

    fn of(sources: &[SourceFile]) -> Ledger {
        let mut library = Library::default();
        let mut ids = BTreeMap::new();
        let all = compile(sources, &library).unwrap_or_else(|told| panic!("{}", render(sources, &told, false)));
        for one in all {
            let name = one.module.name.to_string();
            ids.insert(name, deploy(&mut library, one.module, &one.proofs).unwrap().id);
        }
        Ledger { library, ids, rows: Memory::default(), now: 1_000, count: 0 }
    }

    fn unit(&self, module: &str) -> Arc<Unit> {
        self.library.units[&self.ids[module]].clone()
    }

    /// Runs a command on both evaluators, and keeps what it changed.
    fn run(&mut self, module: &str, function: &str, signers: &[&str], args: Vec<Value>) -> Outcome {
        let unit = self.unit(module);
        let at = unit
            .module
            .functions
            .iter()
            .position(|f| f.name.as_str() == function)
            .unwrap_or_else(|| panic!("{function}"));
        let mut roles = BTreeMap::new();
        for unit in self.library.units.values() {
            for (n, role) in unit.module.roles.iter().enumerate() {
                roles.insert((unit.lineage, n as u16), name(role.as_str()));
            }
        }
        self.count += 1;
        let scene = Scene {
            signers: signers.iter().map(|s| name(s)).collect(),
            sender: name(signers[0]),
            now: self.now,
            command: Hash::of(&self.count.to_be_bytes()),
            roles,
        };
        let call = Call {
            unit: &unit,
            function: at as u16,
            args,
            universe: &self.library.universe,
            rows: &self.rows,
            world: &scene,
            limit: Cost([u64::MAX; 6]),
        };
        let outcome = run(call.clone());
        assert_eq!(outcome, reference::run(call), "the evaluators differ");
        check_conservation(&self.library.universe, |of, table| self.row_type(of, table), &outcome.diff).unwrap();
        self.rows.write(&outcome.diff, outcome.writes.clone()).unwrap();
        outcome
    }

    fn row_type(&self, of: &Lineage, table: u16) -> Option<hopper::types::Ty> {
        let unit = self.library.units.values().find(|u| u.lineage == *of)?;
        let mut tables = unit.tables.iter().chain(&unit.protocols);
        tables.find(|t| t.of.index == table).map(|t| t.row)
    }

    fn good(&mut self, module: &str, function: &str, signers: &[&str], args: Vec<Value>) -> Value {
        let outcome = self.run(module, function, signers, args);
        outcome.result.unwrap_or_else(|abort| panic!("{function}: {abort:?}"))
    }

    fn bad(&mut self, module: &str, function: &str, signers: &[&str], args: Vec<Value>) -> Abort {
        let outcome = self.run(module, function, signers, args);
        assert!(outcome.diff.is_empty());
        outcome.result.expect_err(function)
    }

    fn balance(&mut self, who: &str) -> i128 {
        let value = self.good("bank.cash", "balance", &[who], vec![party(who)]);
        match value {
            Value::Variant(1, fields) => fields[0].int().unwrap(),
            _ => -1,
        }
    }

    fn with_money(files: &[&str], who: &[(&str, i128)]) -> Ledger {
        let mut ledger = Ledger::new(files);
        for (who, amount) in who {
            ledger.good("bank.cash", "open", &[who], vec![party(who)]);
            ledger.good("bank.cash", "issue", &["treasury"], vec![party(who), n(*amount)]);
        }
        ledger
    }
}

#[test]
fn cash_moves_and_stays() {
    let mut l = Ledger::with_money(&["cash"], &[("alice", 100), ("bob", 0)]);
    l.good("bank.cash", "transfer", &["alice"], vec![party("alice"), party("bob"), n(30)]);
    assert_eq!((l.balance("alice"), l.balance("bob")), (70, 30));
    // Not hers to move, more than there is, nothing, frozen.
    l.bad("bank.cash", "transfer", &["bob"], vec![party("alice"), party("bob"), n(30)]);
    l.bad("bank.cash", "transfer", &["alice"], vec![party("alice"), party("bob"), n(71)]);
    l.bad("bank.cash", "transfer", &["alice"], vec![party("alice"), party("bob"), n(0)]);
    l.bad("bank.cash", "issue", &["alice"], vec![party("alice"), n(1)]);
    l.good("bank.cash", "freeze", &["risk"], vec![party("alice"), Value::Bool(true)]);
    l.bad("bank.cash", "transfer", &["alice"], vec![party("alice"), party("bob"), n(1)]);
    l.good("bank.cash", "freeze", &["risk"], vec![party("alice"), Value::Bool(false)]);
    // An allowance is evidence: its owner need not sign again, up to the limit.
    l.good("bank.cash", "approve", &["alice"], vec![party("alice"), party("bob"), n(20)]);
    let args = |amount| vec![party("alice"), party("bob"), party("bob"), n(amount)];
    l.good("bank.cash", "transfer_from", &["bob"], args(15));
    l.bad("bank.cash", "transfer_from", &["bob"], args(6));
    l.good("bank.cash", "transfer_from", &["bob"], args(5));
    assert_eq!((l.balance("alice"), l.balance("bob")), (50, 50));
    l.good("bank.cash", "revoke", &["alice"], vec![party("alice"), party("bob")]);
    l.bad("bank.cash", "transfer_from", &["bob"], args(0));
}

#[test]
fn an_escrow_has_four_owners() {
    let files = ["cash", "escrow"];
    let money = [("buyer", 100), ("seller", 0), ("arbiter", 0)];
    let open = |l: &mut Ledger| {
        let args = vec![party("buyer"), party("seller"), party("arbiter"), n(5_000), n(250)];
        l.bad("trade.escrow", "offer", &["buyer"], args.clone());
        let id = l.good("trade.escrow", "offer", &["seller"], args);
        l.bad("trade.escrow", "fund", &["seller"], vec![id.clone(), n(80), party("seller")]);
        l.good("trade.escrow", "fund", &["buyer"], vec![id.clone(), n(80), party("buyer")]);
        assert_eq!(l.balance("buyer"), 20);
        id
    };
    // The buyer releases: no fee. The arbiter releases: a fortieth.
    for (who, shares) in [("buyer", (20, 80, 0)), ("arbiter", (20, 78, 2))] {
        let mut l = Ledger::with_money(&files, &money);
        let id = open(&mut l);
        l.bad("trade.escrow", "release", &["seller"], vec![id.clone(), party("seller")]);
        l.good("trade.escrow", "release", &[who], vec![id.clone(), party(who)]);
        assert_eq!((l.balance("buyer"), l.balance("seller"), l.balance("arbiter")), shares);
        // Nothing leads out of a final state.
        l.bad("trade.escrow", "release", &[who], vec![id, party(who)]);
    }
    // The buyer alone has it back when the time is up, and both may move that time.
    let mut l = Ledger::with_money(&files, &money);
    let id = open(&mut l);
    l.bad("trade.escrow", "refund", &["buyer"], vec![id.clone(), party("buyer")]);
    l.bad("trade.escrow", "amend", &["buyer"], vec![id.clone(), n(9_000), party("buyer")]);
    l.good("trade.escrow", "amend", &["buyer", "seller"], vec![id.clone(), n(9_000), party("buyer")]);
    l.now = 6_000;
    l.bad("trade.escrow", "refund", &["buyer"], vec![id.clone(), party("buyer")]);
    l.now = 9_000;
    l.good("trade.escrow", "refund", &["buyer"], vec![id, party("buyer")]);
    assert_eq!(l.balance("buyer"), 100);
}

#[test]
fn a_bond_pays_and_is_redeemed() {
    let mut l = Ledger::with_money(&["cash", "bond"], &[("issuer", 10_000), ("ann", 0), ("ben", 0)]);
    let kind = Value::Digest(Hash([7; 32]));
    // 5 % of 1,000 twice, from the first day on.
    let args = vec![kind, party("issuer"), party("trust"), n(1_000), n(500), n(2), n(0)];
    l.bad("fi.bond", "issue", &["issuer"], args.clone());
    let id = l.good("fi.bond", "issue", &["issuer", "trust"], args);
    let sell = |from: &str, to: &str, q: i128| vec![id.clone(), party(from), party(to), n(q)];
    l.good("fi.bond", "sell", &["issuer"], sell("issuer", "ann", 333));
    l.good("fi.bond", "sell", &["issuer"], sell("issuer", "ben", 667));
    l.bad("fi.bond", "sell", &["ann"], sell("ann", "ben", 334));
    l.bad("fi.bond", "sell", &["ben"], sell("ann", "ben", 1));
    let coupon = vec![id.clone(), party("issuer")];
    l.good("fi.bond", "coupon", &["issuer"], coupon.clone());
    // 50 by shares: 16.65 and 33.35, rounded down; one is left over and stays with the issuer.
    assert_eq!((l.balance("ann"), l.balance("ben"), l.balance("issuer")), (16, 33, 9_951));
    l.bad("fi.bond", "coupon", &["issuer"], coupon.clone());
    l.bad("fi.bond", "redeem", &["issuer", "trust"], coupon.clone());
    l.now = 200 * 86_400_000;
    l.good("fi.bond", "coupon", &["issuer"], coupon.clone());
    let outcome = l.run("fi.bond", "redeem", &["issuer", "trust"], coupon.clone());
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!(outcome.diff.burned.iter().map(|b| b.1).collect::<Vec<_>>(), [1_000]);
    assert_eq!((l.balance("ann"), l.balance("ben")), (32 + 333, 66 + 667));
    l.bad("fi.bond", "coupon", &["issuer"], coupon);
}

#[test]
fn a_deed_is_sold_by_both_owners() {
    let mut l = Ledger::with_money(&["cash", "deed"], &[("ann", 0), ("ben", 0), ("cy", 100)]);
    let plot = || Value::text("plot 9");
    let args = vec![plot(), party("ann"), party("ben"), n(50), party("keeper")];
    l.bad("land.deed", "register", &["ann"], args.clone());
    l.good("land.deed", "register", &["registrar"], args);
    l.bad("land.deed", "give_share", &["ann"], vec![plot(), party("ann"), n(51)]);
    l.good("land.deed", "give_share", &["ann"], vec![plot(), party("ann"), n(20)]);
    // A lender must agree, and the owners, all of them.
    l.bad("land.deed", "set_lien", &["bank", "ann"], vec![plot(), party("bank")]);
    l.good("land.deed", "set_lien", &["bank", "ann", "ben"], vec![plot(), party("bank")]);
    let sale = vec![plot(), party("cy"), n(99)];
    l.bad("land.deed", "sell", &["cy", "ann", "ben"], sale.clone());
    l.good("land.deed", "release_lien", &["bank"], vec![plot(), party("bank")]);
    l.bad("land.deed", "sell", &["cy", "ann"], sale.clone());
    l.good("land.deed", "sell", &["cy", "ann", "ben"], sale);
    // 30 of 100 parts of 99 are 29.7, rounded down; the other owner has the rest.
    assert_eq!((l.balance("ann"), l.balance("ben"), l.balance("cy")), (29, 70, 1));
    l.bad("land.deed", "give_share", &["cy"], vec![plot(), party("cy"), n(1)]);
    l.good("land.deed", "move_custody", &["keeper", "other"], vec![plot(), party("other")]);
    l.bad("land.deed", "move_custody", &["keeper"], vec![plot(), party("keeper")]);
}

#[test]
fn a_book_is_with_one_reader() {
    let mut l = Ledger::new(&["library"]);
    let book = || vec![Value::text("978"), n(1)];
    let with = |who: &str| [book(), vec![party(who)]].concat();
    l.good("town.library", "acquire", &["librarian"], book());
    for who in ["ann", "ben"] {
        l.good("town.library", "join_library", &[who], vec![party(who)]);
    }
    l.bad("town.library", "lend", &["ann"], with("ann"));
    l.good("town.library", "lend", &["ann", "librarian"], with("ann"));
    l.bad("town.library", "lend", &["ben", "librarian"], with("ben"));
    assert_eq!(l.good("town.library", "where_is", &["ben"], book()), Value::some(party("ann")));
    l.bad("town.library", "give_back", &["ben"], with("ben"));
    l.bad("town.library", "withdraw", &["librarian"], book());
    l.good("town.library", "renew", &["ann"], with("ann"));
    l.now += 29 * 86_400_000;
    l.bad("town.library", "renew", &["ann"], with("ann"));
    let outcome = l.run("town.library", "give_back", &["ann"], with("ann"));
    assert_eq!(outcome.diff.events.len(), 1);
    assert_eq!(l.good("town.library", "where_is", &["ben"], book()), Value::none());
    l.good("town.library", "withdraw", &["librarian"], book());
}

#[test]
fn paper_for_money_at_once() {
    let mut l = Ledger::with_money(&["cash", "multi", "dvp"], &[("ann", 100), ("ben", 0)]);
    let kind = || Value::Digest(Hash([3; 32]));
    l.good("fi.multi", "define", &["ben", "registrar"], vec![kind(), party("ben"), n(50)]);
    l.bad("fi.multi", "issue", &["ben"], vec![kind(), party("ben"), party("ben"), n(51)]);
    l.good("fi.multi", "issue", &["ben"], vec![kind(), party("ben"), party("ben"), n(50)]);
    let offer = vec![party("ben"), party("ann"), kind(), n(20), n(70), n(5_000)];
    let id = l.good("fi.dvp", "offer", &["ben"], offer.clone());
    assert_eq!(l.good("fi.multi", "holding", &["ann"], vec![party("ben"), kind()]), Value::some(n(30)));
    l.bad("fi.dvp", "withdraw", &["ann"], vec![id.clone(), party("ann")]);
    l.good("fi.dvp", "accept", &["ann"], vec![id, party("ann")]);
    assert_eq!((l.balance("ann"), l.balance("ben")), (30, 70));
    assert_eq!(l.good("fi.multi", "holding", &["ann"], vec![party("ann"), kind()]), Value::some(n(20)));
    // The second is more than she has: nothing moves. After the time anybody may end it.
    let id = l.good("fi.dvp", "offer", &["ben"], offer);
    l.bad("fi.dvp", "accept", &["ann"], vec![id.clone(), party("ann")]);
    l.now = 5_000;
    l.good("fi.dvp", "withdraw", &["cy"], vec![id, party("cy")]);
    assert_eq!(l.good("fi.multi", "holding", &["ann"], vec![party("ben"), kind()]), Value::some(n(30)));
}

#[test]
fn an_auction_gives_back_the_bid_before() {
    let mut l = Ledger::with_money(&["cash", "auction"], &[("ann", 0), ("ben", 50), ("cy", 60)]);
    let what = Value::Digest(Hash([1; 32]));
    let id = l.good("market.auction", "sell", &["ann"], vec![party("ann"), n(10), n(5_000), what]);
    let bid = |who: &str, amount| vec![id.clone(), party(who), n(amount)];
    l.bad("market.auction", "first", &["ben"], bid("ben", 9));
    l.good("market.auction", "first", &["ben"], bid("ben", 40));
    l.bad("market.auction", "raise", &["cy"], bid("cy", 40));
    l.good("market.auction", "raise", &["cy"], bid("cy", 41));
    assert_eq!((l.balance("ben"), l.balance("cy")), (50, 19));
    l.bad("market.auction", "settle", &["ann"], vec![id.clone(), party("ann")]);
    l.now = 5_000;
    l.bad("market.auction", "raise", &["ben"], bid("ben", 50));
    l.good("market.auction", "settle", &["cy"], vec![id.clone(), party("cy")]);
    assert_eq!(l.balance("ann"), 41);
    l.bad("market.auction", "hand_over", &["ben"], vec![id.clone(), party("ben")]);
    l.good("market.auction", "hand_over", &["cy"], vec![id, party("cy")]);
}

#[test]
fn a_credit_is_drawn_against_bills() {
    let mut l = Ledger::with_money(&["cash", "credit"], &[("bank", 100), ("sam", 0)]);
    let args = vec![party("app"), party("bank"), party("sam"), party("ship"), n(90), n(5_000)];
    l.bad("trade.credit", "issue", &["bank"], args.clone());
    let id = l.good("trade.credit", "issue", &["app", "bank"], args);
    let goods = |n: u8| Value::Digest(Hash([n; 32]));
    let draw = |g: u8| vec![id.clone(), goods(g), party("sam")];
    l.bad("trade.credit", "draw", &["sam"], draw(1));
    for (g, carrier, worth) in [(1, "ship", 60), (2, "pirate", 5), (3, "ship", 31)] {
        l.good("trade.credit", "ship", &[carrier], vec![party(carrier), party("app"), goods(g), n(worth)]);
    }
    l.good("trade.credit", "draw", &["sam"], draw(1));
    // Once only, signed by that carrier only, within what is left only.
    (1..=3).for_each(|g| drop(l.bad("trade.credit", "draw", &["sam"], draw(g))));
    assert_eq!((l.balance("bank"), l.balance("sam")), (10, 60));
    l.now = 5_000;
    l.good("trade.credit", "expire", &["bank"], vec![id, party("bank")]);
    assert_eq!(l.balance("bank"), 40);
}

#[test]
fn pay_votes_names_and_rights() {
    let mut l = Ledger::with_money(&["cash", "vesting"], &[("ann", 100), ("ben", 0)]);
    let id = l.good("pay.vesting", "grant", &["ann"], vec![party("ann"), party("ben"), n(100), n(1_000), n(2_000)]);
    l.bad("pay.vesting", "draw", &["ben"], vec![id.clone(), party("ben")]);
    l.now = 1_250;
    l.good("pay.vesting", "draw", &["ben"], vec![id.clone(), party("ben")]);
    assert_eq!(l.balance("ben"), 25);
    l.now = 1_500;
    l.bad("pay.vesting", "draw", &["ann"], vec![id.clone(), party("ann")]);
    l.good("pay.vesting", "draw", &["ben"], vec![id.clone(), party("ben")]);
    l.good("pay.vesting", "stop", &["ann", "ben"], vec![id, n(10), party("ann")]);
    assert_eq!((l.balance("ann"), l.balance("ben")), (40, 60));

    let mut l = Ledger::new(&["vote", "roles", "notary"]);
    for (who, weight) in [("ann", 3), ("ben", 2)] {
        l.good("club.vote", "admit", &["chair"], vec![party(who), n(weight)]);
    }
    let text = Value::Digest(Hash([1; 32]));
    l.bad("club.vote", "propose", &["cy"], vec![n(1), text.clone(), n(5_000), n(4), party("cy")]);
    l.good("club.vote", "propose", &["ann"], vec![n(1), text, n(5_000), n(4), party("ann")]);
    l.good("club.vote", "ballot", &["ann"], vec![n(1), party("ann"), Value::Bool(true)]);
    l.bad("club.vote", "ballot", &["ann"], vec![n(1), party("ann"), Value::Bool(true)]);
    l.bad("club.vote", "ballot", &["cy"], vec![n(1), party("cy"), Value::Bool(true)]);
    l.good("club.vote", "ballot", &["ben"], vec![n(1), party("ben"), Value::Bool(false)]);
    l.bad("club.vote", "carry", &["ann"], vec![n(1), party("ann")]);
    l.now = 5_000;
    l.good("club.vote", "carry", &["ann"], vec![n(1), party("ann")]);

    let scope = || Value::text("door");
    let right = |tail: Vec<Value>| [vec![party("ann"), party("ben"), scope()], tail].concat();
    l.good("org.roles", "grant", &["ann"], right(vec![n(9_000), n(1)]));
    l.bad("org.roles", "use_right", &["ann"], right(vec![]));
    l.good("org.roles", "use_right", &["ben"], right(vec![]));
    l.bad("org.roles", "use_right", &["ben"], right(vec![]));
    l.bad("org.roles", "take_back", &["ben"], right(vec![]));
    l.good("org.roles", "take_back", &["ann"], right(vec![]));

    let bytes = |b: &[u8]| Value::Bytes(b.into());
    l.good("town.notary", "record_text", &["ann"], vec![bytes(b"deed"), party("ann")]);
    l.bad("town.notary", "record_text", &["ben"], vec![bytes(b"deed"), party("ben")]);
    l.bad("town.notary", "record_text", &["ben"], vec![bytes(b""), party("ben")]);
    let digest = Value::Digest(Hash::of(b"deed"));
    assert_eq!(l.good("town.notary", "seen", &["cy"], vec![digest]), Value::some(n(5_000)));
}

#[test]
fn names_and_nets() {
    let mut l = Ledger::with_money(&["cash", "registry", "netting"], &[("ann", 100), ("ben", 100), ("keep", 0)]);
    l.good("net.registry", "set_fee", &["registry"], vec![n(5)]);
    l.good("net.registry", "set_fee", &["registry"], vec![n(7)]);
    let claim = vec![Value::text("ann.net"), party("ann"), party("keep"), Value::Digest(Hash([1; 32]))];
    l.bad("net.registry", "claim", &["ann"], claim.clone());
    l.good("net.registry", "claim", &["ann", "keep", "registry"], claim.clone());
    l.bad("net.registry", "claim", &["ann", "keep", "registry"], claim);
    assert_eq!((l.balance("ann"), l.balance("keep")), (93, 7));
    l.bad("net.registry", "expire", &["ben"], vec![Value::text("ann.net"), party("ben")]);

    let pair = || vec![party("ann"), party("ben")];
    let owe = |from: &str, to: &str, amount| [pair(), vec![party(from), party(to), n(amount)]].concat();
    l.good("fi.netting", "open", &["ann", "ben"], pair());
    l.good("fi.netting", "owe", &["ann"], owe("ann", "ben", 30));
    l.good("fi.netting", "owe", &["ben"], owe("ben", "ann", 12));
    l.good("fi.netting", "owe", &["ann"], owe("ann", "ben", 5));
    l.bad("fi.netting", "owe", &["keep"], owe("keep", "ben", 5));
    l.bad("fi.netting", "settle", &["ann"], pair());
    l.good("fi.netting", "settle", &["ann", "ben"], pair());
    assert_eq!((l.balance("ann"), l.balance("ben")), (70, 123));
    l.bad("fi.netting", "settle", &["ann", "ben"], pair());
}

/// What literals and operators come to.
#[test]
fn values_are_what_is_written() {
    let text = r#"
module test.values
const LOW: Int64 = -5
view ints(a: Int64, b: Int64) -> (Int64, Int64, Int64, Int64)
= (-a + LOW - (-3), a / b, a % b, div_ceil(a, b))
view wide() -> (Int128, Nat127, Int8, Nat96)
= (-170_141_183_460_469_231_731_687_303_715_884_105_727, 170_141_183_460_469_231_731_687_303_715_884_105_727, -128, 1_000)
view decimals(x: Dec<2>) -> (Dec<2>, Dec<2>, Int64)
= (x + 1.5 - 0.25, mul_div_half_even(x, 2.5, 1.00), x as Int64)
view texts(t: Text<8>) -> (Text<16>, Nat32, Bytes<3>, Bool)
= (concat(t, "a\"\\\n"), len(t), 0x00ff0a, t == "hi")
view days(t: Time) -> (Date, Date, Time, Date)
= (1969-12-31, add_months(2024-01-31, 1), t + 1d - 1h, date_of(t))
view branch(n: Nat8, o: Option<Nat8>) -> (Nat8, Bool)
= {
  let (a, b) = match o {
    Some(x) if x > n => (x, true)
    Some(_) => (n, true)
    _ => (0 as Nat8, false)
  }
  if a == 7 then (a + 1, !b) else if a > 7 { (a, b) } else { (n, n >= 3 && b || n == 0) }
}
view collatz(n: Nat64) -> (Nat64, Nat32)
= iterate 1_000 from (n, k: 0 as Nat32) {
  if n == 1 then (false, n, k) else if n % 2 == 0 then (true, n / 2, k + 1) else (true, 3 * n + 1, k + 1)
}
view total(all: [Nat8; 9]) -> (Nat64, [Nat8; 9], Option<Nat8>)
= {
  let none: [Nat8; 9] = []
  let (sum, doubled) = fold x in all from (sum: 0 as Nat64, doubled: none) {
    (sum + (x as Nat64), doubled.push(x * 2))
  }
  (sum, doubled, all.at(1))
}
view names(m: Map<Party, Nat8; 5>, p: Party) -> (Map<Party, Nat8; 5>, Option<Nat8>, Bool, Nat64)
= {
  let (more, old) = m.put(p, 9)
  let sum = fold (k, v) in more from (sum: 0 as Nat64) { if k == p then sum + 100 else sum + (v as Nat64) }
  (more, old, m.has(p), sum)
}
view rounded(a: Nat64) -> (Nat64, Nat64, Nat64, Nat64)
= (mul_div(a, 1, 2), mul_div_ceil(a, 1, 2), mul_div_half_even(a, 1, 2), share(a, 2, 3))
"#;
    let files = [SourceFile { name: "values.hop".to_owned(), text: text.to_owned() }];
    let mut l = Ledger::of(&files);
    let mut ask = |function: &str, args: Vec<Value>| l.good("test.values", function, &["ann"], args);
    let ints = |all: &[i128]| Value::fields(all.iter().map(|i| n(*i)).collect::<Vec<_>>());
    let bool = Value::Bool;
    assert_eq!(ask("ints", vec![n(-7), n(2)]), ints(&[5, -4, 1, -3]));
    assert_eq!(ask("wide", vec![]), ints(&[-i128::MAX, i128::MAX, -128, 1_000]));
    assert_eq!(ask("decimals", vec![n(101)]), ints(&[226, 252, 101]));
    let text = Value::text("hia\"\\\n");
    assert_eq!(
        ask("texts", vec![Value::text("hi")]),
        Value::fields(vec![text, n(2), Value::Bytes([0, 255, 10].into()), bool(true)])
    );
    let day = 86_400_000;
    assert_eq!(ask("days", vec![n(3 * day + 5)]), ints(&[-1, 19_782, 4 * day - 3_600_000 + 5, 3]));
    for (a, o, want) in
        [(1, Some(7), (8, false)), (1, Some(9), (9, true)), (3, Some(2), (3, true)), (0, None, (0, true))]
    {
        let got = ask("branch", vec![n(a), Value::option(o.map(n))]);
        assert_eq!(got, Value::fields(vec![n(want.0), bool(want.1)]), "{a} {o:?}");
    }
    assert_eq!(ask("collatz", vec![n(27)]), ints(&[1, 111]));
    let list = |all: &[i128]| Value::List(Arc::new(all.iter().map(|i| n(*i)).collect()));
    assert_eq!(ask("total", vec![list(&[1, 2, 3])]), Value::fields(vec![n(6), list(&[2, 4, 6]), Value::some(n(2))]));
    let map = |all: &[(&str, i128)]| Value::Map(Arc::new(all.iter().map(|(k, v)| (party(k), n(*v))).collect()));
    let got = ask("names", vec![map(&[("ann", 1), ("ben", 2)]), party("ann")]);
    assert_eq!(got, Value::fields(vec![map(&[("ann", 9), ("ben", 2)]), Value::some(n(1)), bool(true), n(102)]));
    assert_eq!(ask("rounded", vec![n(5)]), ints(&[2, 3, 2, 3]));
}
