//! `juno contract`: modules on the ledger, and calls of them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use client::{Done, Verdict};
use hopper::cost::Cost;
use hopper::ir::{FunctionKind, ModuleId};
use hopper::library::{Library, Unit};
use hopper::types::Universe;
use hopper::value;
use hopperc::diagnostic::SourceFile;
use ledger::request::{Call, Deployment, Request, Status};
use ledger::{Operation, cash, show};
use serde_json::{Value, json};
use wire::hash::{decode_hex_bytes, encode_hex};
use wire::{Decode, Encode, Name};

use crate::node::http::cost_json;

use super::{CliError, ClientArgs, Connection, REFUSED, SignArgs, answer, diff, runtime, style};

mod local;
mod lock;
mod lsp;
mod modules;
mod repl;
mod source;
mod test;

/// Contracts: check, deploy, upgrade and seal modules; call actions, ask views, try actions without effect.
#[derive(Subcommand)]
pub(crate) enum Contract {
    /// Compile, prove and verify modules; print what each function costs at most, touches, and rests on.
    #[command(visible_alias = "cost")]
    Check(Check),
    /// Print what contracts declare, ask for, promise and cost, as Markdown.
    Doc(Check),
    /// Lay out contracts.
    Fmt(Fmt),
    /// Run the tests in contracts; print what fails, and which lines ran.
    Test(test::RunTests),
    /// Try contracts by hand, on a ledger in memory.
    Repl(repl::Repl),
    /// Deploy the first version of a module.
    Deploy(Deploy),
    /// Announce a version that replaces the newest one; it is in force after the delay that the one in force promises.
    Upgrade(Deploy),
    /// Let less of a version be used, or take back one that is not in force yet.
    Seal(Seal),
    /// Call an action.
    Call(CallArgs),
    /// Ask a view, or try an action without effect.
    Try(CallArgs),
    /// List the modules that are deployed, or print one.
    Show(Show),
    /// Serve an editor: diagnostics, hover, definitions and layout, over stdio.
    Lsp,
}

#[derive(Args)]
pub(crate) struct Check {
    /// Contracts (.hop), or modules as textual IR (.hir). They may import each other.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Look up anew what imports mean, instead of what hopper.lock says.
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args)]
pub(crate) struct Fmt {
    /// Contracts.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Change nothing; exit with 1 if something would be changed.
    #[arg(long)]
    check: bool,
}

#[derive(Args)]
pub(crate) struct Deploy {
    /// Contracts (.hop), or modules as textual IR (.hir); each is deployed, those that others import first.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Look up anew what imports mean, instead of what hopper.lock says.
    #[arg(long)]
    update: bool,
    /// Who has a role, ROLE=PARTY; once for each role that is new.
    #[arg(long = "role", value_name = "ROLE=PARTY")]
    roles: Vec<String>,
    #[command(flatten)]
    sign: SignArgs,
}

#[derive(Args)]
pub(crate) struct Seal {
    /// The version: its id, the beginning of it, or its name.
    module: String,
    /// How much of it may still be used.
    status: SealTo,
    #[command(flatten)]
    sign: SignArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum SealTo {
    /// By modules that import it, not by commands.
    Blessed,
    /// Not at all, nor what imports it.
    Sealed,
}

#[derive(Args)]
pub(crate) struct CallArgs {
    /// The module: its id, the beginning of it, or its name.
    module: String,
    /// The action or view.
    function: String,
    /// The arguments, as their types have them: 5, 1.50, alice, "a text", 2026-11-21, [1, 2], { n: 1 }, some(3).
    #[arg(allow_hyphen_values = true)]
    args: Vec<String>,
    /// Steps that it may take at most.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    #[command(flatten)]
    sign: SignArgs,
}

#[derive(Args)]
pub(crate) struct Show {
    /// The module: its id, the beginning of it, or its name. All are listed without one.
    module: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Contract {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        runtime()?.block_on(async {
            match self {
                Contract::Test(tests) => tests.run(),
                Contract::Repl(repl) => repl.run(),
                Contract::Check(check) => check.run(false).await,
                Contract::Doc(check) => check.run(true).await,
                Contract::Fmt(fmt) => fmt.run(),
                Contract::Deploy(deploy) => deploy.run(false).await,
                Contract::Upgrade(deploy) => deploy.run(true).await,
                Contract::Seal(seal) => seal.run().await,
                Contract::Call(call) => call.call().await,
                Contract::Try(call) => call.dry_run().await,
                Contract::Show(show) => show.run().await,
                Contract::Lsp => lsp::run(),
            }
        })
    }
}

impl SignArgs {
    async fn open(&self) -> Result<Connection, CliError> {
        Connection::open(self.client.read()?, self.client.passphrase.source()).await
    }

    /// Signs a request, has it ordered, and prints what became of it.
    async fn send(
        &self,
        connection: &mut Connection,
        text: &str,
        request: Request,
        library: &Library,
        result: impl Fn(&[u8]) -> Option<String>,
    ) -> Result<ExitCode, CliError> {
        let operation = Operation::from(request);
        let command = connection.sign(self.party.as_deref(), &self.cosign, operation.to_payload())?;
        let done = connection.execute(&[command]).await?.into_iter().next();
        let done = done.ok_or_else(|| CliError::new("no answer"))?;
        let diff = if answer::is_applied(&done) { connection.diff(&done).await } else { None };
        if self.json {
            let mut value = answer::to_json(text, &done, diff.as_ref());
            if let Verdict::Accepted(receipt) = &done.verdict {
                value["result"] = encode_hex(&receipt.result).into();
                value["cost"] = cost_json(&receipt.cost);
            }
            println!("{value}");
        } else {
            anstream::println!("{}", describe(&operation, &done, diff.as_ref(), library, result));
        }
        Ok(if answer::is_applied(&done) { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
    }
}

fn cost_text(cost: &Cost) -> String {
    let [steps, reads, _, writes, _, crypto] = cost.0;
    let crypto = if crypto > 0 { format!(", cryptography {crypto}") } else { String::new() };
    format!("{steps} steps, {reads} reads, {writes} writes{crypto}")
}

/// What became of a command, with its result, its cost, and what it changed field by field.
fn describe(
    operation: &Operation,
    done: &Done,
    diff: Option<&ledger::Diff>,
    library: &Library,
    result: impl Fn(&[u8]) -> Option<String>,
) -> String {
    let mut lines = vec![answer::describe(operation, done, None)];
    if let Verdict::Accepted(receipt) = &done.verdict {
        lines.push(style::paint(style::FAINT, cost_text(&Cost(receipt.cost))));
        if receipt.outcome.is_applied()
            && let Some(result) = result(&receipt.result)
        {
            lines.push(format!("  = {result}"));
        }
    }
    if let Some(diff) = diff {
        let rows = show::changes_text(library, diff.contract());
        lines.extend(rows.into_iter().chain(diff::render_own(diff)).map(|line| format!("  {line}")));
    }
    lines.join("\n")
}

/// The modules that files import from the ledger: pinned in the lock file, or settled now and pinned.
async fn imports(
    files: &[SourceFile],
    update: bool,
    nodes: Option<(&client::HttpClient, &wire::Membership)>,
) -> Result<(Library, std::collections::BTreeMap<ModuleId, Value>), CliError> {
    let Some(first) = files.first() else { return Ok(Default::default()) };
    let mut lock = lock::Lock::beside(std::path::Path::new(&first.name))?;
    let mut ids: Vec<ModuleId> = files.iter().flat_map(|f| source::mentioned(&f.text)).collect();
    let headings: Vec<_> = files.iter().map(source::heading_of).collect();
    for name in headings.iter().flat_map(|h| h.imports.clone()) {
        if headings.iter().any(|h| h.name == name) {
            continue;
        }
        let id = match (lock.get(&name).filter(|_| !update), nodes) {
            (Some(id), _) => id,
            (None, _) if name == "bank.cash" => cash::id(),
            (None, Some((http, membership))) => modules::resolve(http, membership, &name).await?,
            (None, None) => {
                let why = format!("import {name}: a module of the ledger; give --config to look it up");
                return Err(CliError::new(why));
            }
        };
        lock.pin(&name, id);
        ids.push(id);
    }
    lock.save()?;
    ids.sort_unstable();
    ids.dedup();
    match (ids.as_slice(), nodes) {
        ([], _) => Ok(Default::default()),
        ([one], _) if *one == cash::id() => Ok((cash::library(), Default::default())),
        (ids, Some((http, _))) => modules::fetch(http, ids).await,
        (_, None) => Err(CliError::new("the imports are on the ledger; give --config to fetch them")),
    }
}

impl Check {
    async fn run(self, pages: bool) -> Result<ExitCode, CliError> {
        let files = source::read(&self.files)?;
        // Without a cluster what it imports beside `bank.cash` cannot be looked up; then that is what it says.
        let file = self.client.read();
        let nodes = match &file {
            Ok(file) => Some((file.http_client()?, file.genesis.membership())),
            Err(_) => None,
        };
        let nodes = nodes.as_ref().map(|(http, membership)| (http, membership));
        let (library, _) = imports(&files, self.update, nodes).await?;
        let all = source::build(&files, &library, style::is_watched())?;
        if pages {
            for file in &files {
                let name = source::heading_of(file).name;
                let module = |b: &&source::Built| b.module.name.as_str() == name;
                let costs = all.iter().find(module).map(|b| b.costs.as_slice()).unwrap_or_default();
                print!("{}", hopperc::doc::page(file, costs));
            }
            return Ok(ExitCode::SUCCESS);
        }
        for built in all {
            println!("{} {}", built.module.name, built.module.id().0);
            built.costs.iter().filter(|c| c.kind != FunctionKind::Private).for_each(|cost| println!("  {cost}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Fmt {
    fn run(self) -> Result<ExitCode, CliError> {
        let mut changed = false;
        for path in &self.files {
            let wrong = |e: &dyn std::fmt::Display| CliError::new(format!("{}: {e}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
            let parsed = hopperc::syntax::parse(&text);
            if let Some(error) = parsed.errors.first() {
                let (line, column) = hopperc::diagnostic::position(&text, error.range.start);
                return Err(wrong(&format!("{line}:{column}: {}; nothing was changed", error.message)));
            }
            let laid_out = hopperc::syntax::format(&parsed.root());
            if laid_out == text {
                continue;
            }
            changed = true;
            if self.check {
                println!("{} is not laid out; use: juno contract fmt {0}", path.display());
            } else {
                std::fs::write(path, laid_out).map_err(|e| wrong(&e))?;
                println!("{}", path.display());
            }
        }
        Ok(if self.check && changed { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
    }
}

impl Deploy {
    async fn run(self, upgrade: bool) -> Result<ExitCode, CliError> {
        let files = source::read(&self.files)?;
        let mut connection = self.sign.open().await?;
        let membership = connection.file.genesis.membership();
        let (mut library, raw) = imports(&files, self.update, Some((&connection.http, &membership))).await?;
        let all = source::build(&files, &library, style::is_watched())?;
        let given: Vec<(&str, Name)> = self.roles.iter().map(|text| role(text)).collect::<Result<_, _>>()?;
        if let Some((name, _)) =
            given.iter().find(|(n, _)| !all.iter().any(|b| b.module.roles.iter().any(|r| r.as_str() == *n)))
        {
            return Err(CliError::new(format!("no module has a role {name}")));
        }
        for built in all {
            let old = built.module.replaces.and_then(|id| raw.get(&id)).and_then(|v| v.get("roles"));
            let new = built.module.roles.iter().filter(|r| old.is_none_or(|roles| roles.get(r.as_str()).is_none()));
            let mut roles = Vec::new();
            for role in new {
                let party = given.iter().find(|(name, _)| *name == role.as_str()).map(|(_, party)| party.clone());
                let why = || CliError::new(format!("role {role} needs a party: --role {role}=PARTY"));
                roles.push(party.ok_or_else(why)?);
            }
            let deployment = Deployment { module: built.module.to_bytes(), proofs: built.proofs.to_bytes(), roles };
            let request = if upgrade { Request::Upgrade(deployment) } else { Request::Deploy(deployment) };
            let text = format!("{} {}", if upgrade { "upgrade" } else { "deploy" }, built.module.name);
            let done = self.sign.send(&mut connection, &text, request, &library, |_| None).await?;
            if done != ExitCode::SUCCESS {
                return Ok(done);
            }
            hopper::verify::deploy(&mut library, built.module, &built.proofs)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// `ROLE=PARTY`
fn role(text: &str) -> Result<(&str, Name), CliError> {
    let pair = text.split_once('=').and_then(|(role, party)| Some((role, Name::new(party).ok()?)));
    pair.ok_or_else(|| CliError::new(format!("--role {text}: expected ROLE=PARTY")))
}

impl Seal {
    async fn run(self) -> Result<ExitCode, CliError> {
        let mut connection = self.sign.open().await?;
        let membership = connection.file.genesis.membership();
        let module = modules::resolve(&connection.http, &membership, &self.module).await?;
        let status = match self.status {
            SealTo::Blessed => Status::Blessed,
            SealTo::Sealed => Status::Sealed,
        };
        let request = Request::Seal { module, status };
        self.sign.send(&mut connection, "seal", request, &Library::default(), |_| None).await
    }
}

/// The call of a function, which people call by this name, with arguments as they write them.
///
/// # Errors
/// Which argument is wrong, and what it should be.
pub(crate) fn call_of(
    universe: &Universe,
    unit: &Unit,
    place: usize,
    name: &str,
    texts: &[impl AsRef<str>],
) -> Result<Call, CliError> {
    let (function, info) = (&unit.module.functions[place], &unit.functions[place]);
    if function.params.len() != texts.len() {
        let params: Vec<&str> = function.params.iter().map(|p| p.name.as_str()).collect();
        let why = format!("{name} takes {} ({}), {} are given", params.len(), params.join(", "), texts.len());
        return Err(CliError::new(why));
    }
    let mut args = Vec::new();
    for ((param, ty), text) in function.params.iter().zip(&info.params).zip(texts) {
        let value = hopperc::literal::read(universe, *ty, text.as_ref())
            .map_err(|e| CliError::new(format!("argument {}: {e}", param.name)))?;
        value::encode(universe, *ty, &value, &mut args);
    }
    let function = u16::try_from(place).map_err(|_| CliError::new("too many functions"))?;
    Ok(Call { module: unit.id, function, args, limit: None, scopes: Vec::new() })
}

/// A call as the ledger takes it.
struct Ready {
    library: Library,
    unit: std::sync::Arc<Unit>,
    call: Call,
}

impl Ready {
    /// A result of the function, for people.
    fn result(&self, bytes: &[u8]) -> Option<String> {
        let universe = &self.library.universe;
        let ty = self.unit.functions[usize::from(self.call.function)].result;
        let value = value::from_bytes(universe, ty, bytes).ok()?;
        (value != hopper::value::Value::Unit).then(|| show::value_text(universe, ty, &value))
    }
}

impl CallArgs {
    async fn ready(&self, connection: &Connection) -> Result<Ready, CliError> {
        let membership = connection.file.genesis.membership();
        let modules::Fetched { library, unit, .. } = modules::one(&connection.http, &membership, &self.module).await?;
        let offered = |kind| matches!(kind, FunctionKind::Action | FunctionKind::View);
        let place = unit.module.functions.iter().position(|f| f.name.as_str() == self.function && offered(f.kind));
        let Some(place) = place else {
            let names = unit.module.functions.iter().filter(|f| offered(f.kind)).map(|f| f.name.as_str());
            let names: Vec<&str> = names.collect();
            let why =
                format!("{} has no action or view {}; it has {}", unit.module.name, self.function, names.join(", "));
            return Err(CliError::new(why));
        };
        let limit = self.steps.map(|steps| {
            let mut most = Cost([u64::MAX; 6]);
            most.0[hopper::cost::dimension::STEPS] = steps;
            most
        });
        let call = call_of(&library.universe, &unit, place, &self.function, &self.args)?;
        Ok(Ready { library, unit, call: Call { limit, ..call } })
    }

    async fn call(self) -> Result<ExitCode, CliError> {
        let mut connection = self.sign.open().await?;
        let ready = self.ready(&connection).await?;
        if ready.unit.module.functions[usize::from(ready.call.function)].kind == FunctionKind::View {
            return Err(CliError::new(format!(
                "{} is a view and needs no command; use: juno contract try",
                self.function
            )));
        }
        let text = format!("{}.{}", ready.unit.module.name, self.function);
        let request = Request::Call(ready.call.clone());
        self.sign.send(&mut connection, &text, request, &ready.library, |bytes| ready.result(bytes)).await
    }

    async fn dry_run(self) -> Result<ExitCode, CliError> {
        let mut connection = self.sign.open().await?;
        let ready = self.ready(&connection).await?;
        let party = match &self.sign.party {
            Some(party) => party.clone(),
            None => connection.identity(None)?.party().to_string(),
        };
        let body = json!({
            "party": party,
            "module": ready.unit.id.0.to_string(),
            "function": ready.call.function,
            "args": encode_hex(&ready.call.args),
        });
        let membership = connection.file.genesis.membership();
        let node = connection.http.nodes().first().map(|n| n.id);
        let node = node.or_else(|| membership.voters.first().map(|v| v.id));
        let node = node.ok_or_else(|| CliError::new("the client's configuration names no node"))?;
        let ran = connection.http.post(node, "/v1/run", &body).await?;
        if self.sign.json {
            println!("{ran}");
        }
        let text = |name: &str| ran.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let applied = ran.pointer("/outcome/applied").and_then(Value::as_bool).unwrap_or(false);
        if !self.sign.json {
            if applied {
                let result = decode_hex_bytes(&text("result")).ok().and_then(|bytes| ready.result(&bytes));
                let number = |name: &str| ran.pointer(name).and_then(Value::as_u64).unwrap_or_default();
                let cost = Cost([
                    number("/cost/steps"),
                    number("/cost/reads"),
                    0,
                    number("/cost/writes"),
                    0,
                    number("/cost/crypto"),
                ]);
                anstream::println!(
                    "{}",
                    style::paint(style::RESULT, result.unwrap_or_else(|| "It would apply".to_owned()))
                );
                anstream::println!("{}", style::paint(style::FAINT, cost_text(&cost)));
                let diff = decode_hex_bytes(&text("diff_bytes")).ok().and_then(|b| ledger::Diff::from_bytes(&b).ok());
                let diff = diff.unwrap_or_default();
                let rows = show::changes_text(&ready.library, diff.contract());
                rows.into_iter().chain(diff::render_own(&diff)).for_each(|line| anstream::println!("  {line}"));
            } else {
                let why = ran.pointer("/outcome/text").and_then(Value::as_str).unwrap_or("refused");
                anstream::println!("{}", style::paint(style::REFUSAL, format!("Error: {why}")));
            }
        }
        Ok(if applied { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
    }
}

impl Show {
    async fn run(self) -> Result<ExitCode, CliError> {
        let file = self.client.read()?;
        let (http, membership) = (file.http_client()?, file.genesis.membership());
        let Some(module) = &self.module else {
            for m in modules::list(&http, &membership).await? {
                let newest = if m.newest { "" } else { ", replaced" };
                println!("{} {} {}{newest}, in force from {} ms", m.id.0, m.name, m.status, m.live_from_ms);
            }
            return Ok(ExitCode::SUCCESS);
        };
        let fetched = modules::one(&http, &membership, module).await?;
        let units = &fetched.library.units;
        let known = |id: &ModuleId| units.get(id).map(|u| u.module.clone());
        println!("-- {}", fetched.unit.id.0);
        fetched.roles.iter().for_each(|(role, party)| println!("-- role {role}: {party}"));
        println!("{}", hopperc::asm::print_with(&fetched.unit.module, &known));
        Ok(ExitCode::SUCCESS)
    }
}
