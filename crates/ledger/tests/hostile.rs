//! What hostile parties try with commands, modules and scopes; each test states what holds all the same.

mod common;

use std::time::Instant;

use common::{ADMIN_KEY, Bench, assembled, block, command, key, name, operation};
use hopper::ir::{Label, Lineage, Module, ModuleId};
use hopper::library::Library;
use hopperc::asm;
use ledger::request::{Call, Deployment, Most, Permit, Request, Scope, Status};
use ledger::{Code, Operation, cash};
use wire::{Encode, Guard};

struct B {
    bench: Bench,
    sequence: u64,
}

impl B {
    fn new() -> B {
        B { bench: Bench::new(), sequence: 1000 }
    }
    fn library(&self) -> Library {
        self.bench.ledger.state().code().library().clone()
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
    fn deploy(&mut self, party: &str, keys: &[u8], text: &str) -> Module {
        let (module, deployment) = assembled(&self.library(), text);
        self.applied(party, keys, Request::Deploy(deployment));
        module
    }
}

fn call(module: &Module, function: &str, args: Vec<u8>) -> Call {
    let place = module.functions.iter().position(|f| f.name.as_str() == function).unwrap();
    Call { module: module.id(), function: place as u16, args, limit: None, scopes: vec![] }
}

fn names(list: &[&str]) -> Vec<u8> {
    list.iter().flat_map(|n| name(n).to_bytes()).collect()
}

fn nat96(n: u128) -> Vec<u8> {
    n.to_be_bytes()[4..].to_vec()
}

fn permit(lineage: Lineage, function: &str, most: Option<(u8, u128)>) -> Permit {
    let most = most.map(|(parameter, amount)| Most { parameter, amount });
    Permit { lineage, function: Label::new(function).unwrap(), most }
}

/// Five deployments of rubbish, by anybody, do not take the rest of the block.
#[test]
fn five_bad_deployments_do_not_shut_the_block_to_transfers() {
    let mut b = B::new();
    let junk = Request::Deploy(Deployment { module: vec![7], proofs: vec![], roles: vec![] });
    let mut entries: Vec<_> = (0..5).map(|n| command("b", 100 + n, &[2], &Operation::from(junk.clone()))).collect();
    entries.push(command("a", 100, &[1], &operation("transfer(A->B, 1%1)")));
    let result = block(&mut b.bench.ledger, &entries);
    let codes: Vec<u16> = result.entries.iter().map(|e| e.receipt.outcome.code.0).collect();
    assert_eq!(codes[5], 0, "{codes:?}");
}

/// Evidence speaks for its party later on, so making it is a use of the signature.
#[test]
fn a_scope_is_not_got_round_with_evidence_kept_for_later() {
    let mut b = B::new();
    let evil = b.deploy(
        "b",
        &[2],
        "
module evil
import cash = #CASH
upgrade immutable
asset Warrant signed owner { owner: Party }
table warrants : Party -> Warrant
action hello(owner: Party) -> Unit
  by owner
  mints Warrant
{
  let w = create Warrant(owner)
  insert warrants owner w
  let u = unit
  yield u
}
action rob(owner: Party, account: Party, to: Party, n: Nat96) -> Unit
  by anyone()
{
  let w, hole = take warrants owner
  let payer = get w.owner
  let c = call cash.withdraw(account, payer, n)
  call cash.deposit(to, c)
  put hole w
  let u = unit
  yield u
}
",
    );
    let lineage = Lineage(evil.id().0);
    // Alice's signature is good for `hello`, and at most 0 of her money.
    let permits = vec![permit(lineage, "hello", None), permit(cash::lineage(), "withdraw", Some((2, 0)))];
    let hello = |permits: Vec<Permit>| {
        let scopes = vec![Scope { signer: 0, permits }];
        Request::Call(Call { scopes, ..call(&evil, "hello", names(&["a"])) })
    };
    let entry = b.send("a", &[1], hello(permits.clone()));
    assert_eq!(entry.receipt.outcome.code, Code::ContractFault.number(), "{}", entry.receipt.outcome);
    let args = [names(&["a", "A", "B"]), nat96(1_000_000)].concat();
    let entry = b.send("b", &[2], Request::Call(call(&evil, "rob", args)));
    assert!(!entry.receipt.outcome.is_applied(), "B took it: A holds {}", b.bench.balance("A"));
    // Who permits the evidence by its name permits what it is good for.
    b.applied("a", &[1], hello([permits, vec![permit(lineage, "Warrant", None)]].concat()));
}

/// Two signers, each with a budget of its own, trade: each is charged for its own debit.
#[test]
fn a_scope_is_not_charged_for_what_another_signer_pays() {
    let mut b = B::new();
    b.bench.applied("treasury", &[common::TREASURY_KEY], "AdjustAccount B 100%1");
    let swap = b.deploy(
        "c",
        &[3, 4],
        "
module swap
import cash = #CASH
upgrade immutable
action swap(p: Party, x: Party, q: Party, y: Party, n: Nat96) -> Unit
  by all(p, q)
{
  let c = call cash.withdraw(x, p, n)
  let d = call cash.withdraw(y, q, n)
  call cash.deposit(y, c)
  call cash.deposit(x, d)
  let u = unit
  yield u
}
",
    );
    let permits = vec![permit(Lineage(swap.id().0), "swap", None), permit(cash::lineage(), "withdraw", Some((2, 5)))];
    let scopes = vec![Scope { signer: 0, permits: permits.clone() }, Scope { signer: 1, permits }];
    let args = [names(&["a", "A", "b", "B"]), nat96(5)].concat();
    let entry = b.send("a", &[1, 2], Request::Call(Call { scopes, ..call(&swap, "swap", args) }));
    assert!(entry.receipt.outcome.is_applied(), "{}", entry.receipt.outcome);
}

/// Nobody takes the place of an allowance on somebody else's account.
#[test]
fn nobody_else_can_take_the_place_of_an_allowance() {
    let mut b = B::new();
    let module = cash::unit().module.clone();
    let approve = |owner: &str| call(&module, "approve", [names(&[owner, "A", "b"]), nat96(10)].concat());
    let _ = b.send("c", &[3, 4], Request::Call(approve("c")));
    let entry = b.send("a", &[1], Request::Call(approve("a")));
    assert!(entry.receipt.outcome.is_applied(), "{}", entry.receipt.outcome);
}

/// A limit on the administrator could not be lifted.
#[test]
fn the_administrator_cannot_lock_itself_out() {
    let mut b = B::new();
    let (code, why) = b.bench.run("admin", &[ADMIN_KEY], "SetQuota admin 60000 0,0,0,0,0,0");
    assert_eq!(code, Code::QuotaRefused, "{why}");
}

/// A party that may spend nothing adds no rows to the tables.
#[test]
fn a_party_without_any_quota_adds_no_rows() {
    let mut b = B::new();
    b.bench.applied("admin", &[ADMIN_KEY], "SetQuota b 60000 0,0,0,0,0,0");
    let before = b.bench.ledger.state().results_len();
    let bad = Call { module: ModuleId(wire::Hash::of(b"?")), function: 0, args: vec![], limit: None, scopes: vec![] };
    let entries: Vec<_> =
        (0..50).map(|n| command("b", 100 + n, &[2], &Operation::from(Request::Call(bad.clone())))).collect();
    block(&mut b.bench.ledger, &entries);
    assert_eq!(b.bench.ledger.state().results_len(), before);
}

/// A module with many types, named by a number; it may be replaced.
fn bulky(n: usize, replaces: Option<ModuleId>) -> String {
    let replaces = replaces.map(|id| format!("replaces #{}\n", id.0)).unwrap_or_default();
    let mut text =
        format!("module bulky.n{n}\n{replaces}roles guardian\ngoverned by @guardian\nupgrade additive 100000\n");
    for r in 0..200 {
        text += &format!("record Record{r}of{n} {{ first: Nat96, second: Party, third: Bool }}\n");
    }
    text += "action hello(p: Party) -> Unit\n  by p\n{\n  let u = unit\n  yield u\n}\n";
    text
}

/// Taking back an announced version is a small thing, however many modules there are.
#[test]
fn taking_back_costs_no_more_than_it_says() {
    let mut b = B::new();
    let mut first = None;
    let start = Instant::now();
    for n in 0..30 {
        let (module, deployment) = assembled(&b.library(), &bulky(n, None));
        b.applied("a", &[1], Request::Deploy(Deployment { roles: vec![name("a")], ..deployment }));
        first.get_or_insert(module);
    }
    let deploying = start.elapsed();
    let first = first.unwrap();
    let text = bulky(0, Some(first.id())).replace("}\naction", "}\nrecord More { first: Bool }\naction");
    let (_, deployment) = assembled(&b.library(), &text);
    let id = Module::read(&deployment.module).unwrap().id();
    b.applied("a", &[1], Request::Upgrade(deployment));
    let start = Instant::now();
    b.applied("a", &[1], Request::Seal { module: id, status: Status::Sealed });
    let taking_back = start.elapsed();
    assert!(taking_back * 20 < deploying, "{taking_back:?} beside {deploying:?} for deploying");
    assert_eq!(b.bench.ledger.state().code().head(&Lineage(first.id().0)).unwrap().id, first.id());
}

/// Imports nest no deeper than a replica's stack can bear when it lets go of them.
#[test]
fn chains_of_imports_are_short() {
    let mut b = B::new();
    let mut last: Option<Module> = None;
    for n in 0..=65 {
        let import = last.as_ref().map(|m| format!("import x = #{}\n", m.id().0)).unwrap_or_default();
        let text = format!("module link.n{n}\n{import}upgrade immutable\n");
        let library = b.library();
        let known = |id: &ModuleId| library.units.get(id).map(|u| u.module.clone());
        let module = asm::assemble_with(&text, &known).unwrap();
        let proofs = hopper::ir::Proofs { functions: vec![] }.to_bytes();
        let deployment = Deployment { module: module.to_bytes(), proofs, roles: vec![] };
        let entry = b.send("a", &[1], Request::Deploy(deployment));
        assert_eq!(entry.receipt.outcome.is_applied(), n <= 64, "{n}: {}", entry.receipt.outcome);
        last = Some(module);
    }
}

/// Judging whose authority is lent takes looks at guards; there is an end to them.
#[test]
fn lending_scoped_authority_is_charged() {
    let mut b = B::new();
    let params: Vec<String> = (0..60).map(|n| format!("p{n}: Party")).collect();
    let authority: Vec<String> = (0..60).map(|n| format!("p{n}")).collect();
    let x = b.deploy(
        "b",
        &[2],
        &format!(
            "
module callee
upgrade immutable
public fn f({}) -> Unit
  authority {}
{{
  let u = unit
  yield u
}}
",
            params.join(", "),
            authority.join(", ")
        ),
    );
    let args: Vec<&str> = (0..60).map(|_| "p").collect();
    let go = b.deploy(
        "b",
        &[2],
        &format!(
            "
module caller
import x = #{}
upgrade immutable
action go(p: Party, rounds: [Nat8; 1000]) -> Unit
  by p
{{
  let zero = const 0: Nat32
  let n = fold rounds (r, n) init(zero) {{
    call x.f({})
    yield n
  }}
  let u = unit
  yield u
}}
",
            x.id().0,
            args.join(", ")
        ),
    );
    // a: any one of 32 keys; 16 sign.
    let mut keys: Vec<_> = (1..33u8).map(key).collect();
    keys.sort();
    b.applied("a", &[1], Request::RotateKeys { guard: Guard::Threshold { k: 1, keys } });
    let mut args = names(&["a"]);
    args.extend((1000u32).to_be_bytes());
    args.extend(vec![0u8; 1000]);
    let signers: Vec<u8> = (1..17).collect();
    let plain = call(&go, "go", args);
    b.applied("a", &signers, Request::Call(plain.clone()));
    let lineages = [Lineage(go.id().0), Lineage(x.id().0)];
    let permits = || vec![permit(lineages[0], "go", None), permit(lineages[1], "f", None)];
    let scopes = (0..16).map(|signer| Scope { signer, permits: permits() }).collect();
    let entry = b.send("a", &signers, Request::Call(Call { scopes, ..plain }));
    assert_eq!(entry.receipt.outcome.code, Code::ContractFault.number(), "{}", entry.receipt.outcome);
}

/// A dry run with as many signers as fit an HTTP request.
#[test]
fn a_dry_run_takes_no_longer_than_a_command() {
    let mut b = B::new();
    let asks = b.deploy(
        "b",
        &[2],
        "
module asks
upgrade immutable
action go(p: Party, rounds: [Nat8; 8000]) -> Unit
  by anyone()
{
  let zero = const 0: Nat32
  let n = fold rounds (r, n) init(zero) {
    let ok = authority p
    yield n
  }
  let u = unit
  yield u
}
",
    );
    let mut keys: Vec<_> = (1..33u8).map(key).collect();
    keys.sort();
    b.applied("a", &[1], Request::RotateKeys { guard: Guard::Threshold { k: 1, keys } });
    let mut args = names(&["a"]);
    args.extend(8000u32.to_be_bytes());
    args.extend(vec![0u8; 8000]);
    // 1 MB of hexadecimal digits; the same key over and over will do.
    let signers = vec![key(99); 15_000];
    let start = Instant::now();
    let query = ledger::Query::Run { party: name("b"), signers: Some(signers), call: call(&asks, "go", args) };
    let ledger::Answer::Ran(ran) = b.bench.ledger.query(&query) else { panic!() };
    assert!(ran.outcome.is_applied(), "{}", ran.outcome);
    assert!(start.elapsed().as_millis() < 1000, "{:?}", start.elapsed());
}

/// A scan looks at every row that the command has touched; there is an end to that.
#[test]
fn scanning_ones_own_rows_is_charged() {
    let mut b = B::new();
    let module = b.deploy(
        "b",
        &[2],
        "
module scans
upgrade immutable
record Row { n: Bool }
table rows : Nat32 -> Row
action go(keys: [Nat32; 2600], none: Option<Nat32>) -> Unit
  by anyone()
{
  let zero = const 0: Nat32
  let yes = const true
  let n = fold keys (k, n) init(zero) {
    let row = make Row(yes)
    insert rows k row
    yield n
  }
  let n = fold keys (k, n) init(zero) {
    let found = scan rows none: [Nat32; 1]
    yield n
  }
  let u = unit
  yield u
}
",
    );
    let n = 2600u32;
    let mut args = n.to_be_bytes().to_vec();
    (0..n).for_each(|i| args.extend(i.wrapping_mul(2_654_435_761).to_be_bytes()));
    args.push(0);
    let start = Instant::now();
    let entry = b.send("b", &[2], Request::Call(call(&module, "go", args)));
    assert_eq!(entry.receipt.outcome.text, "scans.go: out of reads");
    assert!(start.elapsed().as_millis() < 500, "{:?} for {:?}", start.elapsed(), entry.receipt.cost);
}

/// A scope for a signer that is not there would limit nobody.
#[test]
fn a_scope_for_no_signer_is_refused() {
    let mut b = B::new();
    let module = cash::unit().module.clone();
    let args = [names(&["A", "B"]), nat96(5)].concat();
    let scopes = vec![Scope { signer: 1, permits: vec![] }];
    let entry = b.send("a", &[1], Request::Call(Call { scopes, ..call(&module, "transfer", args) }));
    assert!(!entry.receipt.outcome.is_applied());
}

/// A command says what it may cost at most; the quota reaches for that.
#[test]
fn a_limit_counts_for_the_quota() {
    let mut b = B::new();
    let module = cash::unit().module.clone();
    let transfer = call(&module, "transfer", [names(&["A", "B"]), nat96(5)].concat());
    let cost = b.applied("a", &[1], Request::Call(transfer.clone())).receipt.cost;
    let record = 256 + Operation::from(Request::Call(transfer.clone())).to_payload().len() as u64;
    let [s, r, rb, w, wb, c] = cost;
    // The limit itself takes 48 bytes more in the record.
    b.bench.applied("admin", &[ADMIN_KEY], &format!("SetQuota a 60000 {s},{r},{rb},{w},{},{c}", wb + 48));
    let limit = Some(hopper::cost::Cost([s, r, rb, w - 1, wb - record, c]));
    let entry = b.send("a", &[1], Request::Call(Call { limit, ..transfer }));
    assert!(entry.receipt.outcome.is_applied(), "{}", entry.receipt.outcome);
}

/// No work is done ahead for commands that nobody may send.
#[test]
fn guesses_are_not_made_for_commands_that_cannot_run() {
    use std::sync::atomic::{AtomicU64, Ordering};
    struct Timed(AtomicU64);
    impl ledger::parallel::Workers for Timed {
        fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
            let start = Instant::now();
            (0..count).for_each(job);
            self.0.store(start.elapsed().as_micros() as u64, Ordering::Relaxed);
        }
    }
    let mut b = B::new();
    let module = b.deploy(
        "b",
        &[2],
        "
module burner
upgrade immutable
action go(fuel: Nat32) -> Unit
  by anyone()
{
  let yes = const true
  let n = const 0: Nat32
  let n = iterate fuel (n) init(n) {
    yield yes, n
  }
  let u = unit
  yield u
}
",
    );
    let go = call(&module, "go", 200_000u32.to_be_bytes().to_vec());
    // Key 9 may not send for b.
    let entries: Vec<_> =
        (0..200).map(|n| command("b", 100 + n, &[9], &Operation::from(Request::Call(go.clone())))).collect();
    let workers = Timed(AtomicU64::new(0));
    let l = &mut b.bench.ledger;
    let (height, time, index) = (l.height().plus(1), l.time().plus_ms(1), l.next_index());
    let result = l.execute_block_with(height, time, index, &entries, &workers);
    assert!(result.entries.iter().all(|e| e.receipt.outcome.code == Code::GuardNotSatisfied.number()));
    let spent = workers.0.load(Ordering::Relaxed);
    assert!(spent < 1_000_000, "{spent} us of guesses for commands that nobody may send");
}
