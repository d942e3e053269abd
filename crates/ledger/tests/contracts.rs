//! Modules on the ledger: deployed, called, upgraded, sealed; roles, scopes, quotas, costs.

mod common;

use common::{ADMIN_KEY, Bench, TREASURY_KEY, assembled, block, command, key, name, operation};
use hopper::cost::Cost;
use hopper::ir::{Label, Lineage, Module, ModuleId};
use hopperc::asm;
use ledger::request::{Call, Deployment, Most, Permit, Request, Scope, Status};
use ledger::{Answer, Code, Operation, Query, cash};
use wire::{Encode, Guard};

/// A savings bank: deposits are taken from accounts of `bank.cash` on the owner's authority, and given back by a teller.
const BANK: &str = "
module savings
import cash = #CASH
roles guardian, teller
governed by @guardian
upgrade additive 5000

record Book { held: cash.Coin }
table books : Party -> Book
error Empty { owner: Party }
event Saved { owner: Party, n: Nat96 }

action begin(owner: Party) -> Unit
  by owner
{
  let none = zero cash.Coin()
  let row = make Book(none)
  insert books owner row
  let u = unit
  yield u
}

action save(owner: Party, account: Party, n: Nat96) -> Nat96
  by owner
{
  let c = call cash.withdraw(account, owner, n)
  let book, hole = take books owner
  let held = unpack book
  let sum = join held c
  let total = get sum.amount
  let row = make Book(sum)
  put hole row
  emit Saved(owner, n)
  yield total
}

action pay_out(owner: Party, account: Party) -> Unit
  by @teller
{
  let book, hole = take books owner
  let held = unpack book
  let n = get held.amount
  let zero = const 0: Nat96
  let some = less zero n
  check some else Empty(owner)
  call cash.deposit(account, held)
  let none = zero cash.Coin()
  let row = make Book(none)
  put hole row
  let u = unit
  yield u
}

view held(owner: Party) -> Option<Nat96>
{
  let n = peek books owner.held.amount
  yield n
}
";

/// A bench with module savings: `a` is its guardian, `b` its teller.
struct Bank {
    bench: Bench,
    sequence: u64,
    module: Module,
}

impl Bank {
    fn new() -> Bank {
        let bench = Bench::new();
        let (module, deployment) = assembled(&bench.library(), BANK);
        let mut bank = Bank { bench, sequence: 1000, module };
        let roles = vec![name("a"), name("b")];
        bank.applied("c", &[3, 4], Request::Deploy(Deployment { roles, ..deployment }));
        bank
    }

    fn send(&mut self, party: &str, keys: &[u8], request: Request) -> ledger::Executed {
        self.sequence += 1;
        let command = command(party, self.sequence, keys, &Operation::from(request));
        block(&mut self.bench.ledger, &[command]).entries.remove(0)
    }

    fn applied(&mut self, party: &str, keys: &[u8], request: Request) -> ledger::Executed {
        let entry = self.send(party, keys, request);
        assert!(entry.receipt.outcome.is_applied(), "{}", entry.receipt.outcome);
        entry
    }

    fn refused(&mut self, party: &str, keys: &[u8], request: Request, code: Code) -> String {
        let before = self.bench.ledger.state().clone();
        let entry = self.send(party, keys, request);
        assert_eq!(Code::of(entry.receipt.outcome.code), Some(code), "{}", entry.receipt.outcome);
        assert!(entry.diff.is_empty());
        assert_eq!(before.contract_rows(), self.bench.ledger.state().contract_rows());
        assert_eq!(before.code(), self.bench.ledger.state().code());
        entry.receipt.outcome.text
    }

    fn call(&self, function: &str, args: &[&dyn ToBytes]) -> Call {
        let place = self.module.functions.iter().position(|f| f.name.as_str() == function).unwrap();
        let mut bytes = Vec::new();
        args.iter().for_each(|a| a.to(&mut bytes));
        Call { module: self.module.id(), function: place as u16, args: bytes, limit: None, scopes: vec![] }
    }
}

/// Arguments of calls.
trait ToBytes {
    fn to(&self, out: &mut Vec<u8>);
}

impl ToBytes for &str {
    fn to(&self, out: &mut Vec<u8>) {
        name(self).encode(out);
    }
}

/// A Nat96.
impl ToBytes for u128 {
    fn to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes()[4..]);
    }
}

#[test]
fn a_contract_moves_money_on_its_owners_authority_only() {
    let mut bank = Bank::new();
    let start = Request::Call(bank.call("begin", &[&"a"]));
    bank.refused("b", &[2], start.clone(), Code::Unauthorized);
    bank.applied("a", &[1], start.clone());
    let why = bank.refused("a", &[1], start, Code::ContractFault);
    assert_eq!(why, "savings.begin: there is such a row already");

    let save = |bank: &Bank, n: u128| Request::Call(bank.call("save", &[&"a", &"A", &n]));
    let request = save(&bank, 40);
    bank.refused("b", &[2], request.clone(), Code::Unauthorized);
    let entry = bank.applied("a", &[1], request);
    assert_eq!(entry.receipt.result, 40u128.to_be_bytes()[4..], "the total is the result");
    assert!(entry.receipt.cost[0] > 10 && entry.receipt.cost[3] == 3, "{:?}", entry.receipt.cost);
    assert_eq!(entry.diff.contract().changes.len(), 2);
    assert_eq!(entry.diff.contract().authority, [name("a")]);
    assert_eq!(entry.diff.contract().events.len(), 1);
    assert_eq!(bank.bench.balance("A"), "2499999%25000");

    let request = Request::Call(bank.call("save", &[&"b", &"A", &1u128]));
    let why = bank.refused("b", &[2], request, Code::ContractError);
    assert_eq!(why, "bank.cash: NotItsOwner { account: A, owner: a }", "b's authority is not a's");
    let request = save(&bank, 1 << 90);
    let why = bank.refused("a", &[1], request, Code::ContractError);
    assert!(why.starts_with("bank.cash: Overdraft { account: A, balance: 99999960, need: "), "{why}");

    // A role, bound when the module was deployed.
    let pay = Request::Call(bank.call("pay_out", &[&"a", &"C"]));
    bank.refused("a", &[1], pay.clone(), Code::Unauthorized);
    bank.applied("b", &[2], pay.clone());
    let entry = bank.send("b", &[2], pay);
    assert_eq!(entry.receipt.outcome.text, "savings: Empty { owner: a }");
    let abort = <hopper::abort::Abort as wire::Decode>::from_bytes(&entry.receipt.result).unwrap();
    assert!(matches!(abort, hopper::abort::Abort::Error { error: 0, .. }), "the result says why, for machines");
    assert_eq!(bank.bench.balance("C"), "1%25000");
    assert_eq!(bank.bench.ledger.state().supply().to_string(), "100%1");
}

#[test]
fn calls_that_cannot_be_are_refused_with_the_place() {
    let mut bank = Bank::new();
    let call = bank.call("begin", &[&"a"]);
    let with = |change: &dyn Fn(&mut Call)| {
        let mut other = call.clone();
        change(&mut other);
        Request::Call(other)
    };
    let module = ModuleId(wire::Hash::of(b"?"));
    bank.refused("a", &[1], with(&|c| c.module = module), Code::UnknownModule);
    bank.refused("a", &[1], with(&|c| c.function = 99), Code::UnknownAction);
    bank.refused("a", &[1], with(&|c| c.function = 3), Code::UnknownAction);
    let why = bank.refused("a", &[1], with(&|c| c.args.push(0)), Code::ArgumentsUndecodable);
    assert!(why.starts_with("the arguments are not those of savings.begin: "), "{why}");
    let why = bank.refused("a", &[1], with(&|c| c.limit = Some(Cost::ZERO)), Code::ContractFault);
    assert_eq!(why, "savings.begin: out of steps");
    bank.applied("a", &[1], with(&|c| c.limit = Some(Cost([1000; 6]))));
}

#[test]
fn modules_are_deployed_once_with_their_roles_and_judged() {
    let mut bank = Bank::new();
    let (_, deployment) = assembled(&Bench::new().library(), BANK);
    let deploy = |roles: &[&str], deployment: &Deployment| {
        Request::Deploy(Deployment { roles: roles.iter().map(|n| name(n)).collect(), ..deployment.clone() })
    };
    bank.refused("a", &[1], deploy(&["a", "b"], &deployment), Code::ModuleExists);
    let (_, other) = assembled(&bank.bench.library(), &BANK.replace("savings", "other"));
    let why = bank.refused("a", &[1], deploy(&["a"], &other), Code::RolesRefused);
    assert_eq!(why, "the module needs a party for each of 2 new roles (guardian, teller), the command names 1");
    bank.refused("a", &[1], deploy(&["a", "nobody"], &other), Code::RolesRefused);
    bank.refused("a", &[1], Request::Upgrade(other.clone()), Code::ModuleRefused);
    let garbage = Deployment { module: vec![7; 100], ..other.clone() };
    bank.refused("a", &[1], deploy(&[], &garbage), Code::ModuleUndecodable);

    // A coin is lost on the way: the verifier names the place.
    let thief = BANK.replace("savings", "thief").replace("  let sum = join held c\n", "  let sum = zero cash.Coin()\n");
    let library = bank.bench.ledger.state().code().library().clone();
    let known = |id: &ModuleId| library.units.get(id).map(|u| u.module.clone());
    let text = thief.replace("CASH", &cash::id().0.to_string());
    let module = asm::assemble_with(&text, &known).unwrap();
    let thief = Deployment { module: module.to_bytes(), ..other.clone() };
    let why = bank.refused("a", &[1], deploy(&["a", "b"], &thief), Code::ModuleRefused);
    assert!(why.starts_with("function 1 \"save\""), "{why}");
    bank.applied("a", &[1], deploy(&["a", "b"], &other));

    // No more than four in a block: each costs the verifier time.
    let entries: Vec<_> =
        (0..6).map(|n| command("a", 5000 + n, &[1], &Operation::from(deploy(&["a", "b"], &other)))).collect();
    let codes: Vec<u16> =
        block(&mut bank.bench.ledger, &entries).entries.iter().map(|e| e.receipt.outcome.code.0).collect();
    assert_eq!(codes, [72, 72, 72, 72, 56, 56]);
    // Others are not shut out by them.
    let mut more: Vec<_> =
        (0..6).map(|n| command("a", 5200 + n, &[1], &Operation::from(deploy(&["a", "b"], &other)))).collect();
    more.push(command("b", 5100, &[2], &operation("transfer(B->A, 1%1)")));
    let last = block(&mut bank.bench.ledger, &more).entries.pop().unwrap();
    assert_eq!(Code::of(last.receipt.outcome.code), Some(Code::Overdraft));
    // What found no room may come again.
    let again = block(&mut bank.bench.ledger, &entries[4..]).entries.remove(0);
    assert_eq!(again.receipt.outcome.code.0, 72);
}

/// The same bank with one more action, in place of the first version.
fn second(bank: &Bank) -> (Module, Deployment) {
    let text = BANK.replace("module savings", &format!("module savings\nreplaces #{}", bank.module.id().0));
    let more = "
action hello(p: Party) -> Unit
  by p
{
  let u = unit
  yield u
}
";
    assembled(&bank.bench.library(), &(text + more))
}

#[test]
fn upgrades_take_governance_and_time_and_can_be_taken_back() {
    let mut bank = Bank::new();
    bank.applied("a", &[1], Request::Call(bank.call("begin", &[&"a"])));
    let (v2, deployment) = second(&bank);
    bank.refused("b", &[2], Request::Upgrade(deployment.clone()), Code::GovernanceMustSign);
    bank.refused("a", &[1], Request::Deploy(deployment.clone()), Code::ModuleRefused);
    bank.applied("a", &[1], Request::Upgrade(deployment.clone()));
    let lineage = Lineage(bank.module.id().0);
    assert_eq!(bank.bench.ledger.state().code().head(&lineage).unwrap().id, v2.id());

    // Announced, not in force: blocks are a second apart, the delay is five.
    let call = |bank: &Bank, module: &Module, function: &str, args: &[&dyn ToBytes]| {
        let place = module.functions.iter().position(|f| f.name.as_str() == function).unwrap();
        Request::Call(Call { module: module.id(), function: place as u16, ..bank.call("begin", args) })
    };
    let hello = call(&bank, &v2, "hello", &[&"b"]);
    let why = bank.refused("b", &[2], hello.clone(), Code::NotInForce);
    assert!(why.contains("from "), "{why}");
    let state = bank.bench.ledger.state().clone();
    bank.refused("b", &[2], Request::Seal { module: v2.id(), status: Status::Sealed }, Code::GovernanceMustSign);
    let entry = bank.applied("a", &[1], Request::Seal { module: v2.id(), status: Status::Sealed });
    assert!(bank.bench.ledger.state().code().unit(&v2.id()).is_none(), "taken back");
    assert_eq!(bank.bench.ledger.state().code().head(&lineage).unwrap().id, bank.module.id());

    // A diff that changes modules reverts and applies like any other, code and all.
    let mut back = bank.bench.ledger.state().clone();
    back.apply(&entry.bookkeeping.invert()).unwrap();
    back.apply(&entry.diff.invert()).unwrap();
    assert_eq!(back.code(), state.code());
    assert_eq!(back.modules(), state.modules());

    bank.applied("a", &[1], Request::Upgrade(deployment));
    for _ in 0..5 {
        block(&mut bank.bench.ledger, &[]);
    }
    bank.applied("b", &[2], hello.clone());
    // Rows are shared, and the first version still works: who signs a hash gets what it names.
    bank.applied("a", &[1], call(&bank, &v2, "save", &[&"a", &"A", &5u128]));
    let entry = bank.applied("a", &[1], Request::Call(bank.call("save", &[&"a", &"A", &5u128])));
    assert_eq!(entry.receipt.result, 10u128.to_be_bytes()[4..]);

    // Sealing: less and less, never more.
    let seal = |module: &Module, status| Request::Seal { module: module.id(), status };
    let first = bank.module.clone();
    bank.refused("b", &[2], seal(&first, Status::Blessed), Code::GovernanceMustSign);
    bank.refused("a", &[1], seal(&first, Status::Live), Code::StatusRefused);
    bank.applied("a", &[1], seal(&first, Status::Blessed));
    let save = Request::Call(bank.call("save", &[&"a", &"A", &5u128]));
    bank.refused("a", &[1], save.clone(), Code::NotInForce);
    bank.applied("a", &[1], seal(&first, Status::Sealed));
    bank.refused("a", &[1], seal(&first, Status::Blessed), Code::StatusRefused);
    bank.refused("a", &[1], save, Code::NotInForce);
    bank.applied("b", &[2], hello);
}

#[test]
fn what_imports_a_sealed_module_stops() {
    let mut bank = Bank::new();
    bank.applied("a", &[1], Request::Call(bank.call("begin", &[&"a"])));
    let seal = |status| Request::Seal { module: cash::id(), status };
    bank.refused("admin", &[ADMIN_KEY], seal(Status::Sealed), Code::GovernanceMustSign);
    bank.applied("admin", &[ADMIN_KEY, TREASURY_KEY], seal(Status::Blessed));
    bank.bench.refused("a", &[1], "transfer(A->B, 1%1)", Code::NotInForce);
    bank.applied("a", &[1], Request::Call(bank.call("save", &[&"a", &"A", &5u128])));
    bank.applied("admin", &[ADMIN_KEY, TREASURY_KEY], seal(Status::Sealed));
    bank.refused("a", &[1], Request::Call(bank.call("save", &[&"a", &"A", &5u128])), Code::NotInForce);
    let (_, other) = assembled(&bank.bench.library(), &BANK.replace("savings", "other"));
    let deploy = Request::Deploy(Deployment { roles: vec![name("a"), name("b")], ..other });
    bank.refused("a", &[1], deploy, Code::NotInForce);
}

/// Who applies diffs comes to the code that whoever executed the commands has, with all that is stopped.
#[test]
fn what_is_stopped_follows_from_the_rows() {
    let mut bank = Bank::new();
    let (_, deployment) = second(&bank);
    bank.applied("a", &[1], Request::Upgrade(deployment));
    let v2 = bank.bench.ledger.state().code().head(&Lineage(bank.module.id().0)).unwrap().id;
    let before = bank.bench.ledger.state().clone();
    let seal = Request::Seal { module: cash::id(), status: Status::Sealed };
    let sealed = bank.applied("admin", &[ADMIN_KEY, TREASURY_KEY], seal);
    let mut follower = before;
    follower.apply(&sealed.diff).unwrap();
    assert!(follower.code().is_stopped(&bank.module.id()), "it imports what was sealed");
    assert_eq!(follower.code(), bank.bench.ledger.state().code());
    // An announced version that imports what was sealed, and is taken back, leaves nothing behind.
    let back = bank.applied("a", &[1], Request::Seal { module: v2, status: Status::Sealed });
    follower.apply(&back.diff).unwrap();
    assert_eq!(follower.code(), bank.bench.ledger.state().code());
}

#[test]
fn keys_rotate_and_everything_stays_with_the_party() {
    let mut bank = Bank::new();
    let guard = |keys: &[u8]| {
        let mut keys: Vec<_> = keys.iter().map(|n| key(*n)).collect();
        keys.sort();
        Guard::Threshold { k: 2, keys }
    };
    let rotate = |keys: &[u8]| Request::RotateKeys { guard: guard(keys) };
    bank.refused("a", &[1, 21], rotate(&[21, 22]), Code::NewGuardMustSign);
    bank.refused("a", &[1, 21], rotate(&[21]), Code::GuardRefused);
    bank.refused("a", &[21, 22], rotate(&[21, 22]), Code::GuardNotSatisfied);
    bank.applied("a", &[1, 21, 22], rotate(&[21, 22, 23]));
    bank.bench.refused("a", &[1], "transfer(A->B, 1%1)", Code::GuardNotSatisfied);
    bank.bench.applied("a", &[21, 23], "transfer(A->B, 1%1)");
    bank.applied("a", &[21, 22], Request::Call(bank.call("begin", &[&"a"])));
    bank.bench.applied("a", &[21, 22, 24], &format!("RotateKeys {}", key(24)));
    bank.bench.applied("a", &[24], "transfer(A->B, 1%1)");
    // Both in one block: the second is judged by the new guard.
    let entries = [
        command("b", 7001, &[2, 31], &operation(&format!("RotateKeys {}", key(31)))),
        command("b", 7002, &[2], &operation("transfer(B->A, 1%1)")),
        command("b", 7003, &[31], &operation("transfer(B->A, 1%1)")),
    ];
    let codes: Vec<u16> =
        block(&mut bank.bench.ledger, &entries).entries.iter().map(|e| e.receipt.outcome.code.0).collect();
    assert_eq!(codes, [0, 8, 0]);
}

#[test]
fn a_scoped_signature_is_good_for_what_it_says_and_no_more() {
    let mut bank = Bank::new();
    bank.applied("a", &[1], Request::Call(bank.call("begin", &[&"a"])));
    let (savings, money) = (Lineage(bank.module.id().0), cash::lineage());
    let permit = |lineage: Lineage, function: &str, most: Option<(u8, u128)>| Permit {
        lineage,
        function: Label::new(function).unwrap(),
        most: most.map(|(parameter, amount)| Most { parameter, amount }),
    };
    let save = |bank: &Bank, n: u128, permits: Vec<Permit>| {
        let call = bank.call("save", &[&"a", &"A", &n]);
        Request::Call(Call { scopes: vec![Scope { signer: 0, permits }], ..call })
    };
    let action = || permit(savings, "save", None);

    let request = save(&bank, 5, vec![]);
    bank.refused("a", &[1], request, Code::Unauthorized);
    let request = save(&bank, 5, vec![action()]);
    let why = bank.refused("a", &[1], request, Code::ContractFault);
    assert_eq!(why, "savings.save: a signer's scope does not allow this use of its signature");
    let request = save(&bank, 5, vec![action(), permit(money, "withdraw", Some((2, 4)))]);
    bank.refused("a", &[1], request, Code::ContractFault);
    let request = save(&bank, 5, vec![action(), permit(money, "deposit", None)]);
    bank.refused("a", &[1], request, Code::ContractFault);
    let request = save(&bank, 5, vec![action(), permit(money, "withdraw", Some((0, 100)))]);
    bank.refused("a", &[1], request, Code::ContractFault);
    let request = save(&bank, 5, vec![action(), permit(money, "withdraw", Some((2, 5)))]);
    bank.applied("a", &[1], request);
    let request = save(&bank, 5, vec![permit(savings, "save", Some((2, 4))), permit(money, "withdraw", None)]);
    bank.refused("a", &[1], request, Code::Unauthorized);
    let request = save(&bank, 5, vec![permit(savings, "save", Some((2, 5))), permit(money, "withdraw", None)]);
    bank.applied("a", &[1], request);

    // Another signer's scope takes nothing from those who set none.
    let call = bank.call("save", &[&"a", &"A", &1u128]);
    let mut keys = [key(1), key(2)];
    keys.sort();
    let other = keys.iter().position(|k| *k == key(2)).unwrap() as u8;
    let scopes = vec![Scope { signer: other, permits: vec![] }];
    bank.applied("a", &[1, 2], Request::Call(Call { scopes, ..call.clone() }));
    let scopes = vec![Scope { signer: 1 - other, permits: vec![] }];
    bank.refused("a", &[1, 2], Request::Call(Call { scopes, ..call }), Code::Unauthorized);
}

/// A budget is spent over all uses in one command.
#[test]
fn a_scopes_budget_is_one_for_all_uses() {
    let mut bank = Bank::new();
    let twice = "
module twice
import cash = #CASH
upgrade immutable
action both(owner: Party, account: Party, to: Party, n: Nat96) -> Unit
  by owner
{
  let c = call cash.withdraw(account, owner, n)
  call cash.deposit(to, c)
  let c = call cash.withdraw(account, owner, n)
  call cash.deposit(to, c)
  let u = unit
  yield u
}
";
    let (module, deployment) = assembled(&bank.bench.library(), twice);
    bank.applied("c", &[3, 4], Request::Deploy(deployment));
    bank.module = module;
    let request = |bank: &Bank, most: u128| {
        let permit = |lineage, function: &str, most| Permit { lineage, function: Label::new(function).unwrap(), most };
        let permits = vec![
            permit(Lineage(bank.module.id().0), "both", None),
            permit(cash::lineage(), "withdraw", Some(Most { parameter: 2, amount: most })),
        ];
        let call = bank.call("both", &[&"a", &"A", &"B", &5u128]);
        Request::Call(Call { scopes: vec![Scope { signer: 0, permits }], ..call })
    };
    let short = request(&bank, 9);
    bank.refused("a", &[1], short, Code::ContractFault);
    let enough = request(&bank, 10);
    bank.applied("a", &[1], enough);
    assert_eq!(bank.bench.balance("B"), "1%100000");
}

#[test]
fn quotas_are_by_the_bound_for_admission_and_by_the_meter_for_what_is_spent() {
    let mut bank = Bank::new();
    let transfer = operation("transfer(A->B, 1%1000000)");
    let cost = {
        let probe = command("a", 900, &[1], &transfer);
        block(&mut bank.bench.ledger, &[probe]).entries.remove(0).receipt.cost
    };
    bank.bench.refused("a", &[1], "SetQuota a off", Code::NotAdministrator);
    bank.bench.refused("admin", &[ADMIN_KEY], "SetQuota nobody off", Code::UnknownParty);
    let steps = cost[0] * 3;
    let quota = format!("SetQuota a 60000 {steps},1000,1000000,1000,1000000,1000");
    bank.bench.applied("admin", &[ADMIN_KEY], &quota);
    let mut codes = Vec::new();
    for n in 0..5 {
        let entry = command("a", 2000 + n, &[1], &transfer);
        codes.push(block(&mut bank.bench.ledger, &[entry]).entries.remove(0).receipt.outcome.code.0);
    }
    assert_eq!(codes[0], 0);
    assert_eq!(codes[4], Code::QuotaExceeded as u16, "{codes:?}");
    let spent = bank.bench.ledger.state().usage(&name("a")).spent;
    assert!(spent.0[0] <= steps, "{spent:?}");
    // The same command in the next window: it was not recorded.
    for _ in 0..60 {
        block(&mut bank.bench.ledger, &[]);
    }
    let entry = command("a", 2004, &[1], &transfer);
    assert!(block(&mut bank.bench.ledger, &[entry]).entries.remove(0).receipt.outcome.is_applied());
    bank.bench.applied("admin", &[ADMIN_KEY], "SetQuota a off");
    for n in 0..5 {
        let entry = command("a", 3000 + n, &[1], &transfer);
        assert!(block(&mut bank.bench.ledger, &[entry]).entries.remove(0).receipt.outcome.is_applied());
    }
}

#[test]
fn allowances_and_freezing() {
    let mut bank = Bank::new();
    bank.module = cash::unit().module.clone();
    let call = |bank: &Bank, function: &str, args: &[&dyn ToBytes]| Request::Call(bank.call(function, args));
    let approve = call(&bank, "approve", &[&"a", &"A", &"b", &10u128]);
    bank.refused("b", &[2], approve.clone(), Code::Unauthorized);
    bank.applied("a", &[1], approve);
    let spend = |bank: &Bank, n: u128| call(bank, "transfer_from", &[&"b", &"A", &"C", &n]);
    let request = spend(&bank, 6);
    bank.refused("a", &[1], request.clone(), Code::Unauthorized);
    bank.applied("b", &[2], request.clone());
    let why = bank.refused("b", &[2], request, Code::ContractError);
    assert_eq!(why, "bank.cash: OverAllowance { limit: 10, used: 6, need: 6 }");
    // Nobody gives allowances for somebody else's account.
    let request = call(&bank, "approve", &[&"b", &"A", &"c", &10u128]);
    let why = bank.refused("b", &[2], request, Code::ContractError);
    assert_eq!(why, "bank.cash: NotItsOwner { account: A, owner: a }");

    struct Flag(bool);
    impl ToBytes for Flag {
        fn to(&self, out: &mut Vec<u8>) {
            self.0.encode(out);
        }
    }
    let freeze = |bank: &Bank, frozen| call(bank, "freeze", &[&"A", &Flag(frozen)]);
    let request = freeze(&bank, true);
    bank.refused("treasury", &[TREASURY_KEY], request.clone(), Code::Unauthorized);
    bank.applied("admin", &[ADMIN_KEY], request);
    assert_eq!(
        bank.bench.refused("a", &[1], "transfer(A->B, 1%1)", Code::ContractError),
        "bank.cash: Frozen { account: A }"
    );
    let request = spend(&bank, 1);
    bank.refused("b", &[2], request, Code::ContractError);
    bank.bench.applied("treasury", &[TREASURY_KEY], "AdjustAccount A 1%1");
    let request = freeze(&bank, false);
    bank.applied("admin", &[ADMIN_KEY], request);
    let request = call(&bank, "revoke", &[&"a", &"A", &"b"]);
    bank.applied("a", &[1], request);
    let request = spend(&bank, 1);
    bank.refused("b", &[2], request, Code::ContractFault);
}

#[test]
fn views_and_dry_runs_change_nothing() {
    let mut bank = Bank::new();
    bank.applied("a", &[1], Request::Call(bank.call("begin", &[&"a"])));
    bank.applied("a", &[1], Request::Call(bank.call("save", &[&"a", &"A", &7u128])));
    let ledger = &bank.bench.ledger;
    let run = |call: Call, signers| match ledger.query(&Query::Run { party: name("a"), signers, call }) {
        Answer::Ran(ran) => *ran,
        other => panic!("{other:?}"),
    };
    let ran = run(bank.call("held", &[&"a"]), Some(vec![]));
    assert_eq!((ran.result_text.as_str(), ran.diff.is_empty()), ("some(7)", true));
    let save = bank.call("save", &[&"a", &"A", &3u128]);
    let root = ledger.state_root();
    let ran = run(save.clone(), None);
    assert!(ran.outcome.is_applied() && ran.result_text == "10" && ran.diff.contract().changes.len() == 2);
    assert!(ran.cost.0[0] > 0);
    assert_eq!(run(save.clone(), Some(vec![key(2)])).outcome.code, Code::Unauthorized.number());
    assert!(run(save, Some(vec![key(1)])).outcome.is_applied());
    assert_eq!(ledger.state_root(), root);
}

#[test]
fn notes_with_a_call_are_one() {
    let mut bank = Bank::new();
    let call = bank.call("begin", &[&"a"]);
    let note = |call: &Call| Request::Note { data: b"why".to_vec(), then: Some(call.clone()) };
    bank.refused("b", &[2], note(&call), Code::Unauthorized);
    assert!(bank.bench.ledger.state().notes().is_empty());
    bank.applied("a", &[1], note(&call));
    assert_eq!(bank.bench.ledger.state().notes().len(), 1);
}

#[test]
fn every_row_is_proven_against_the_state_root() {
    let mut bank = Bank::new();
    bank.applied("a", &[1], Request::Call(bank.call("begin", &[&"a"])));
    bank.bench.applied("admin", &[ADMIN_KEY], "SetQuota a 60000 9999,1000,1000000,1000,1000000,1000");
    bank.bench.applied("a", &[1], "transfer(A->B, 1%1)");
    let ledger = &bank.bench.ledger;
    let mut tables = std::collections::BTreeSet::new();
    for (table, key, value) in ledger.state().rows() {
        assert!(ledger.prove(table, &key).verify(&ledger.state_root(), table, &key, Some(&value)), "{table:?}");
        tables.insert(table);
    }
    assert_eq!(tables.len(), ledger::Table::ALL.len() - 1, "all but notes: {tables:?}");
    assert_eq!(ledger::root::Tree::of(ledger.state()).root(), ledger.state_root());
}
