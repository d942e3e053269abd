//! A ledger of one's own, in memory, with contracts deployed on it: what `juno contract repl` talks to.
//!
//! It is the ledger that nodes run. Commands are signed with keys made for the occasion and executed in blocks of one; the clock is
//! set by hand. A party comes into being when it is first named, and so does the party of each role.

use std::collections::{BTreeMap, BTreeSet};

use hopper::cost::Cost;
use hopper::ir::FunctionKind;
use hopper::library::{Library, Unit};
use hopper::types::Kind;
use hopper::{show, value};
use hopperc::diagnostic::{SourceFile, render};
use hopperc::front::compile;
use hopperc::syntax::{SyntaxKind, ast, parse};
use ledger::request::{Call, Deployment, Request};
use ledger::{Answer, BlockResult, Executed, Ledger, Operation, Query};
use wire::{
    ClusterId, Command, Encode, FaultModel, Genesis, Guard, Name, NodeId, Parameters, SecretKey, SignedCommand, Signer,
    Time, Voter,
};

use super::{call_of, cost_text};
use crate::cli::CliError;

/// When the ledger begins: 2026-01-01.
const BEGIN_MS: u64 = 20_454 * DAY_MS;
const DAY_MS: u64 = 86_400_000;
/// Commands that can be undone, one after the other.
const UNDO_MAX: usize = 50;

/// What `help` prints.
pub(crate) const HELP: &str = "\
  as PARTY, PARTY...        these sign from now on; the first one's name is the command's
  local CALL                a view, or what an action would do; nothing changes. `local` may be left out
  exec CALL                 a command in a block of its own
  time +2d, time 2026-02-01 the next block's time
  show TABLE                rows of a table, or instances of a protocol
  modules                   what is deployed, with actions and views
  parties                   who there is
  accounts                  accounts of the ledger's own module
  undo                      takes the last command back
  help, quit
CALL is name(arguments) or module.name(arguments): transfer(alice, bob, 30), offer(bob, now + 7d), fund(it, 5).
`it` is the result before, `now` the time.";

/// The first words of lines.
pub(crate) const WORDS: [&str; 12] =
    ["accounts", "as ", "exec ", "exit", "help", "local ", "modules", "parties", "quit", "show ", "time ", "undo"];

/// The ledger, and who speaks to it.
pub(crate) struct Local {
    ledger: Ledger,
    cluster: ClusterId,
    keys: BTreeMap<Name, SecretKey>,
    signers: Vec<Name>,
    sequence: u64,
    /// The result before.
    it: Option<String>,
    /// The ledger before each command, and what the command changed.
    before: Vec<(Ledger, ledger::Diff)>,
}

fn name(text: &str) -> Result<Name, CliError> {
    let text = text.trim();
    Name::new(text.strip_prefix('@').unwrap_or(text)).map_err(|e| CliError::new(format!("{text}: {e}")))
}

impl Local {
    /// A ledger with the contracts in some files. `key` makes keys.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(crate) fn new(
        sources: &[SourceFile],
        mut key: impl FnMut() -> Result<SecretKey, CliError>,
    ) -> Result<Local, CliError> {
        let (node, admin, treasury) = (key()?, key()?, key()?);
        let genesis = Genesis {
            name: name("local")?,
            created: Time(BEGIN_MS),
            fault_model: FaultModel::Byzantine,
            faulty_weight: 0,
            voters: vec![Voter { id: NodeId(1), name: name("local")?, key: node.public(), weight: 1 }],
            administrators: Guard::Key(admin.public()),
            treasury: Guard::Key(treasury.public()),
            parameters: Parameters::default(),
        };
        let keys = BTreeMap::from([(name("admin")?, admin), (name("treasury")?, treasury)]);
        let mut local = Local {
            ledger: Ledger::new(&genesis),
            cluster: genesis.cluster_id(),
            keys,
            signers: vec![name("alice")?],
            sequence: 0,
            it: None,
            before: Vec::new(),
        };
        local.party(&name("alice")?, &mut key)?;
        local.deploy(sources, &mut key)?;
        Ok(local)
    }

    fn deploy(
        &mut self,
        sources: &[SourceFile],
        key: &mut impl FnMut() -> Result<SecretKey, CliError>,
    ) -> Result<(), CliError> {
        // Files that bring the module which every ledger has mean their own.
        let library = match sources.iter().any(|file| module_name(file) == "bank.cash") {
            true => Library::default(),
            false => self.library().clone(),
        };
        let compiled = compile(sources, &library);
        let compiled = compiled.map_err(|told| CliError::new(format!("refused\n{}", render(sources, &told, false))))?;
        for one in compiled {
            let roles: Vec<Name> = one.module.roles.iter().map(|r| name(r.as_str())).collect::<Result<_, _>>()?;
            for role in &roles {
                self.party(role, key)?;
            }
            let deployment = Deployment { module: one.module.to_bytes(), proofs: one.proofs.to_bytes(), roles };
            let done = self.send(&[self.speaker()], Request::Deploy(deployment))?;
            if !done.receipt.outcome.is_applied() {
                return Err(CliError::new(format!("{}: {}", one.module.name, done.receipt.outcome)));
            }
        }
        Ok(())
    }

    /// Registers a party that is not there yet.
    fn party(&mut self, party: &Name, key: &mut impl FnMut() -> Result<SecretKey, CliError>) -> Result<(), CliError> {
        if self.keys.contains_key(party) {
            return Ok(());
        }
        let secret = key()?;
        self.register(party, &secret)?;
        self.keys.insert(party.clone(), secret);
        Ok(())
    }

    fn register(&mut self, party: &Name, secret: &SecretKey) -> Result<(), CliError> {
        let guard = Guard::Key(secret.public());
        let done = self.send(&[name("admin")?], Request::RegisterParty { name: party.clone(), guard })?;
        match done.receipt.outcome.is_applied() {
            true => Ok(()),
            false => Err(CliError::new(done.receipt.outcome.to_string())),
        }
    }

    fn speaker(&self) -> Name {
        self.signers[0].clone()
    }

    /// Those who sign, for the prompt.
    pub(crate) fn prompt(&self) -> String {
        self.signers.iter().map(Name::as_str).collect::<Vec<_>>().join("+")
    }

    /// A block of one command.
    fn send(&mut self, signers: &[Name], request: Request) -> Result<Executed, CliError> {
        self.sequence += 1;
        let keys = signers.iter().filter_map(|s| self.keys.get(s)).map(|k| k as &dyn Signer).collect::<Vec<_>>();
        let command = Command {
            party: signers.first().cloned().ok_or_else(|| CliError::new("nobody signs"))?,
            session: 1,
            sequence: self.sequence,
            expiry: self.ledger.time().plus_ms(60_000),
            payload: Operation::from(request).to_payload(),
            signers: Vec::new(),
        };
        let command = SignedCommand::sign(&self.cluster, command, &keys)?.verify(&self.cluster)?;
        let time = self.ledger.time().plus_ms(1);
        let entry = self.block(time, &[command]).entries.into_iter().next();
        entry.ok_or_else(|| CliError::new("the block is empty"))
    }

    fn block(&mut self, time: Time, commands: &[wire::VerifiedCommand]) -> BlockResult {
        let (height, index) = (self.ledger.height().plus(1), self.ledger.next_index());
        self.ledger.execute_block(height, time, index, commands)
    }

    fn library(&self) -> &Library {
        self.ledger.state().code().library()
    }

    /// Names for completion.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.keys.keys().map(Name::to_string).collect();
        for unit in self.library().units.values() {
            let offered = unit.module.functions.iter().filter(|f| is_offered(f.kind)).map(|f| f.name.to_string());
            names.extend(offered.chain(unit.module.tables.iter().map(|t| t.name.to_string())));
            names.extend(unit.module.protocols.iter().map(|p| p.name.to_string()));
        }
        names
    }

    /// Does what a line says, and gives what there is to show.
    ///
    /// # Errors
    /// What is wrong with the line, or why it was refused.
    pub(crate) fn obey(
        &mut self,
        line: &str,
        mut key: impl FnMut() -> Result<SecretKey, CliError>,
    ) -> Result<String, CliError> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "" => Ok(String::new()),
            "help" | "?" => Ok(HELP.to_owned()),
            "as" => {
                let signers = rest.split(',').map(name).collect::<Result<Vec<_>, _>>()?;
                for party in &signers {
                    self.party(party, &mut key)?;
                }
                self.signers = signers;
                Ok(String::new())
            }
            "time" => self.time(rest.trim()),
            "local" => self.local(rest),
            "exec" => self.exec(rest),
            "show" => self.show(rest.trim()),
            "modules" => Ok(self.modules()),
            "parties" => Ok(self.keys.keys().map(Name::as_str).collect::<Vec<_>>().join("\n")),
            "accounts" => {
                let answer: Answer = self.ledger.query(&Query::Accounts { after: None, limit: 1000 });
                Ok(ledger::classic::answer_text(&answer))
            }
            "undo" => self.undo(),
            _ => self.local(line),
        }
    }

    fn time(&mut self, text: &str) -> Result<String, CliError> {
        if !text.is_empty() {
            let now = self.ledger.time().0;
            let time = match text.strip_prefix('+') {
                Some(more) => duration(more).and_then(|ms| now.checked_add(ms)),
                None => date_ms(text),
            };
            let time = time.filter(|t| *t > now);
            let time =
                time.ok_or_else(|| CliError::new("write: time +2d (ms s min h d), or a later date: time 2026-02-01"))?;
            self.block(Time(time), &[]);
        }
        Ok(format!("{} ms, {} days after 2026-01-01", self.ledger.time().0, (self.ledger.time().0 - BEGIN_MS) / DAY_MS))
    }

    fn undo(&mut self) -> Result<String, CliError> {
        let (ledger, diff) = self.before.pop().ok_or_else(|| CliError::new("there is nothing to undo"))?;
        self.ledger = ledger;
        // Who came since stays.
        let state = self.ledger.state();
        let lost: Vec<_> = self.keys.iter().filter(|(party, _)| state.party(party).is_none()).collect();
        let lost: Vec<(Name, SecretKey)> = lost.into_iter().map(|(party, key)| (party.clone(), key.clone())).collect();
        for (party, key) in &lost {
            self.register(party, key)?;
        }
        Ok(show::changes_text(
            self.library(),
            &hopper::diff::Diff { events: Vec::new(), ..diff.invert().contract().clone() },
        )
        .join("\n"))
    }

    fn modules(&self) -> String {
        let mut lines = Vec::new();
        for unit in self.library().units.values() {
            lines.push(format!("{} #{}", unit.module.name, &unit.id.0.to_string()[..8]));
            for function in unit.module.functions.iter().filter(|f| is_offered(f.kind)) {
                let params: Vec<&str> = function.params.iter().map(|p| p.name.as_str()).collect();
                let kind = if function.kind == FunctionKind::View { "view" } else { "action" };
                lines.push(format!("  {kind} {}({})", function.name, params.join(", ")));
            }
        }
        lines.join("\n")
    }

    /// The modules of a name, and the rest of the name; all modules for a name alone.
    fn units<'n>(&self, text: &'n str) -> (Vec<&Unit>, &'n str) {
        let (module, last) = text.rsplit_once('.').map_or((None, text), |(m, l)| (Some(m), l));
        let of = |unit: &&Unit| {
            let name = unit.module.name.as_str();
            module.is_none_or(|m| m == name || name.rsplit('.').next() == Some(m))
        };
        (self.library().units.values().map(AsRef::as_ref).filter(of).collect(), last)
    }

    fn show(&self, text: &str) -> Result<String, CliError> {
        let (units, last) = self.units(text);
        let mut lines = Vec::new();
        let mut known = false;
        for unit in units {
            let tables = unit.module.tables.iter().map(|t| &t.name).zip(&unit.tables);
            for (_, info) in tables
                .chain(unit.module.protocols.iter().map(|p| &p.name).zip(&unit.protocols))
                .filter(|t| t.0.as_str() == last)
            {
                known = true;
                let universe = &self.library().universe;
                for (key, row) in self.ledger.state().contract_rows().table_after(&unit.lineage, info.of.index, None) {
                    let key = value::from_bytes(universe, info.key, key)?;
                    let (key, row) =
                        (show::value_text(universe, info.key, &key), show::value_text(universe, info.row, &row.value));
                    lines.push(format!("{} {last}[{key}]: {row}", unit.module.name));
                }
            }
        }
        if known { Ok(lines.join("\n")) } else { Err(CliError::new(format!("there is no table or protocol {text}"))) }
    }

    /// `name(arguments)`
    fn call(&self, text: &str) -> Result<Call, CliError> {
        let form = || CliError::new("write a call: name(arguments), or `help`");
        let (path, args) = text.trim().strip_suffix(')').and_then(|t| t.split_once('(')).ok_or_else(form)?;
        let (units, last) = self.units(path.trim());
        let place =
            |unit: &Unit| unit.module.functions.iter().position(|f| f.name.as_str() == last && is_offered(f.kind));
        let found: Vec<(&Unit, usize)> = units.into_iter().filter_map(|u| Some((u, place(u)?))).collect();
        // A file's own module is meant rather than the one that every ledger has.
        let own: Vec<_> = found.iter().filter(|(u, _)| u.id != ledger::cash::id()).copied().collect();
        let (unit, at) = match (&own[..], &found[..]) {
            ([one], _) | ([], [one]) => *one,
            ([], []) => return Err(CliError::new(format!("there is no action or view {path}; `modules` lists them"))),
            (many, _) => {
                let names: Vec<String> = many.iter().map(|(u, _)| format!("{}.{last}", u.module.name)).collect();
                return Err(CliError::new(format!("which one: {}?", names.join(", "))));
            }
        };
        let info = &unit.functions[at];
        let universe = &self.library().universe;
        let texts: Vec<String> = split(args)
            .into_iter()
            .enumerate()
            .map(|(n, text)| match (info.params.get(n).map(|ty| universe.kind(*ty)), &self.it) {
                (_, Some(it)) if text == "it" => it.clone(),
                (Some(Kind::Time), _) => time_text(&text, self.ledger.time().0),
                _ => text,
            })
            .collect();
        call_of(universe, unit, at, path, &texts)
    }

    fn result(&self, call: &Call, bytes: &[u8]) -> Option<String> {
        let unit = self.library().units.get(&call.module)?;
        let ty = unit.functions.get(usize::from(call.function))?.result;
        let value = value::from_bytes(&self.library().universe, ty, bytes).ok()?;
        (value != hopper::value::Value::Unit).then(|| show::value_text(&self.library().universe, ty, &value))
    }

    fn told(&self, result: Option<&String>, cost: &Cost, diff: &ledger::Diff) -> String {
        let mut lines: Vec<String> = result.iter().map(|r| format!("= {r}")).collect();
        lines.extend(show::changes_text(self.library(), diff.contract()).into_iter().map(|line| format!("  {line}")));
        lines.push(format!("({})", cost_text(cost)));
        lines.join("\n")
    }

    fn local(&self, text: &str) -> Result<String, CliError> {
        let call = self.call(text)?;
        let keys = self.signers.iter().filter_map(|s| self.keys.get(s)).map(SecretKey::public).collect();
        let query = Query::Run { party: self.speaker(), signers: Some(keys), call: call.clone() };
        let Answer::Ran(ran) = self.ledger.query(&query) else { return Err(CliError::new("no answer")) };
        if !ran.outcome.is_applied() {
            return Err(CliError::new(ran.outcome.to_string()));
        }
        Ok(self.told(self.result(&call, &ran.result).as_ref(), &ran.cost, &ran.diff))
    }

    fn exec(&mut self, text: &str) -> Result<String, CliError> {
        let call = self.call(text)?;
        let before = self.ledger.clone();
        let done = self.send(&self.signers.clone(), Request::Call(call.clone()))?;
        if !done.receipt.outcome.is_applied() {
            return Err(CliError::new(done.receipt.outcome.to_string()));
        }
        self.before.push((before, done.diff.clone()));
        if self.before.len() > UNDO_MAX {
            self.before.remove(0);
        }
        let result = self.result(&call, &done.receipt.result);
        let head = format!("executed at index {}", done.receipt.index.get());
        let told = self.told(result.as_ref(), &Cost(done.receipt.cost), &done.diff);
        self.it = result.or_else(|| self.it.take());
        Ok(format!("{head}\n{told}"))
    }
}

fn module_name(file: &SourceFile) -> String {
    let head = ast::child(&parse(&file.text).root(), SyntaxKind::ModuleHead);
    let path = head.map(|head| ast::path(&head)).unwrap_or_default();
    path.iter().map(|t| t.text()).collect::<Vec<_>>().join(".")
}

fn is_offered(kind: FunctionKind) -> bool {
    matches!(kind, FunctionKind::Action | FunctionKind::View)
}

/// `48h`, in milliseconds.
fn duration(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// The beginning of a day.
fn date_ms(text: &str) -> Option<u64> {
    let mut universe = hopper::types::Universe::default();
    let ty = universe.intern(Kind::Date).ok()?;
    let days = hopperc::literal::read(&universe, ty, text).ok()?.int()?;
    u64::try_from(days).ok()?.checked_mul(DAY_MS)
}

/// `now`, `now + 2d` or a date in milliseconds; anything else as it is.
fn time_text(text: &str, now: u64) -> String {
    let time = match text.strip_prefix("now").map(str::trim) {
        Some("") => Some(now),
        Some(more) => more.strip_prefix('+').and_then(duration).and_then(|ms| now.checked_add(ms)),
        None => date_ms(text),
    };
    time.map_or_else(|| text.to_owned(), |time| time.to_string())
}

/// Arguments: at commas outside brackets and quotes. Parties may be written with `@`.
fn split(text: &str) -> Vec<String> {
    let (mut args, mut depth, mut quoted, mut escaped) = (vec![String::new()], 0usize, false, false);
    for c in text.chars() {
        match c {
            '"' if !escaped => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                args.push(String::new());
                continue;
            }
            '@' if !quoted => continue,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = args.last_mut() {
            last.push(c);
        }
    }
    let args: Vec<String> = args.iter().map(|a| a.trim().to_owned()).collect();
    if args == [""] { Vec::new() } else { args }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> impl FnMut() -> Result<SecretKey, CliError> {
        let mut n = 0u8;
        move || {
            n += 1;
            Ok(SecretKey::from_seed([n; 32]))
        }
    }

    fn local(files: &[&str]) -> (Local, impl FnMut(&mut Local, &str) -> Result<String, CliError>) {
        let read = |name: &&str| {
            let path = format!("{}/crates/hopperc/lib/{name}.hop", env!("CARGO_MANIFEST_DIR"));
            SourceFile { name: path.clone(), text: std::fs::read_to_string(path).unwrap() }
        };
        let sources: Vec<SourceFile> = files.iter().map(read).collect();
        let mut key = keys();
        let local = Local::new(&sources, &mut key).unwrap();
        (local, move |local, line| local.obey(line, &mut key))
    }

    #[test]
    fn a_conversation() {
        let (mut l, mut say) = local(&["cash", "escrow"]);
        let mut good = |l: &mut Local, line: &str| say(l, line).unwrap_or_else(|e| panic!("{line}: {e}"));
        for line in ["as buyer", "exec open(buyer)", "as seller", "exec open(@seller)", "as treasury"] {
            good(&mut l, line);
        }
        let tried = good(&mut l, "local issue(buyer, 100)");
        assert!(tried.contains("bank.cash accounts[buyer].bal.amount: 0 -> 100"), "{tried}");
        assert!(good(&mut l, "local balance(buyer)").contains("= some(0)"), "nothing has changed");
        assert!(good(&mut l, "exec issue(buyer, 100)").contains("executed at index"));
        assert!(good(&mut l, "balance(buyer)").contains("= some(100)"));
        // Whoever comes in between stays.
        good(&mut l, "as carol");
        good(&mut l, "as treasury, carol");
        assert_eq!(good(&mut l, "undo"), "bank.cash accounts[buyer].bal.amount: 100 -> 0");
        good(&mut l, "exec issue(buyer, 100)");
        good(&mut l, "as carol");
        good(&mut l, "exec open(carol)");

        good(&mut l, "as arbiter");
        good(&mut l, "as seller");
        good(&mut l, "exec offer(buyer, seller, arbiter, now + 7d, 250)");
        good(&mut l, "as buyer");
        good(&mut l, "exec fund(it, 80, buyer)");
        assert!(good(&mut l, "show Escrow").contains("Funded"));
        // `it` was the offer's id; a command without a result leaves it.
        good(&mut l, "time +7d");
        assert!(good(&mut l, "local refund(it, buyer)").contains("accounts[buyer].bal.amount: 20 -> 100"));
        assert!(good(&mut l, "modules").contains("action transfer(from, to, n)"));
        assert!(good(&mut l, "parties").contains("arbiter"));
        assert!(good(&mut l, "show accounts").contains("bank.cash accounts[buyer]"));
        assert!(good(&mut l, "help").contains("exec CALL") && l.names().contains("transfer"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let (mut l, mut say) = local(&["cash"]);
        let mut bad = |line: &str| say(&mut l, line).unwrap_err().to_string();
        assert!(bad("exec issue(alice, 5)").contains("not those whom bank.cash.issue asks for"));
        assert!(bad("exec issue(alice)").contains("takes 2 (to, n), 1 are given"));
        assert!(bad("exec nothing()").contains("no action or view"));
        assert!(bad("hello").contains("write a call"));
        assert!(bad("time 2020-01-01").contains("a later date"));
        assert!(bad("show nothing").contains("no table"));
        assert!(bad("as a b").contains("a b"));
        assert!(bad("exec open(1 2)").contains("argument p"));
    }
}
