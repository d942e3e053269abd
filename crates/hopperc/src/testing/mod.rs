//! The runner of `test` blocks.
//!
//! ```text
//! files --front--> modules, tree --steps--> the machine that replicas run, rows in memory --> results, diffs, coverage
//! ```
//!
//! Each test begins without rows. What there is comes out of actions, since assets come out of nothing else: also actions of imports,
//! as `cash.open(@alice)`. Signers are parties by name; a role is the party of its name unless the test gives it to another. Every
//! action's diff is checked to conserve assets, whatever the test expects. `docs/hopper/reference.md` has the form.

mod coverage;
mod expect;
mod stage;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use hopper::abort::Abort;
use hopper::cost::Cost;
use hopper::diff::Diff;
use hopper::ir::{FunctionKind, ModuleId};
use hopper::library::{Library, Unit};
use hopper::show;
use hopper::types::Ty;
use hopper::value::Value;
use hopper::verify::deploy;
use wire::Name;

use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::front::{self, Compiled, compile, duration};
use crate::literal;
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast, parse};
pub use coverage::FunctionCoverage;
use stage::{Record, Stage};
use values::{Values, party, path};

/// With a place to show; boxed, since it is the rare end.
type R<T> = Result<T, Box<Diagnostic>>;

/// The time at which tests begin unless they say: 2026-01-01.
const BEGIN: &str = "2026-01-01";

/// What came of all tests of some files.
#[derive(Debug, Clone)]
pub struct Report {
    /// In the order of the files.
    pub tests: Vec<Test>,
    /// What of each function ran, in the order of the files.
    pub functions: Vec<FunctionCoverage>,
}

impl Report {
    /// True if no test failed.
    pub fn passed(&self) -> bool {
        self.tests.iter().all(|test| test.told.is_empty())
    }
}

/// What came of a test.
#[derive(Debug, Clone)]
pub struct Test {
    /// What it shows, as its text says.
    pub name: String,
    /// All of it.
    pub span: Span,
    /// The actions that were tried.
    pub steps: Vec<Step>,
    /// What was not as expected; nothing if the test passed.
    pub told: Vec<Diagnostic>,
}

/// An action that was tried.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it stands.
    pub span: Span,
    /// As it stands there.
    pub text: String,
    /// Its result, or why it was refused.
    pub ended: Result<String, String>,
    /// What it changed, field by field, and what it told.
    pub changes: Vec<String>,
    /// What it cost.
    pub cost: Cost,
}

/// Compiles files over the modules of a library, and runs those of their tests whose names are wanted. What the library's modules keep
/// is empty at first, and each of their roles is the party of its name.
///
/// # Errors
/// What is wrong with the files. Tests that fail are no errors, but in the report.
pub fn run(
    sources: &[SourceFile],
    library: &Library,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Report, Vec<Diagnostic>> {
    let compiled = compile(sources, library)?;
    let mut library = library.clone();
    let mut ids = BTreeMap::new();
    for one in &compiled {
        let name = one.module.name.to_string();
        let whole = |why: String| vec![Diagnostic::new(Span { file: 0, range: 0..0 }, why, "here")];
        let unit = deploy(&mut library, one.module.clone(), &one.proofs).map_err(|e| whole(e.to_string()))?;
        ids.insert(name, unit.id);
    }
    let mut record = Record::new(&library);
    let mut tests = Vec::new();
    let mut functions = Vec::new();
    for (file, source) in sources.iter().enumerate() {
        let root = parse(&source.text).root();
        let name = front::name_of(&root);
        let Some(unit) = ids.get(&name).and_then(|id| library.units.get(id)) else { continue };
        let scope = Scope::new(file, &root, unit, &library, &compiled);
        for item in ast::children(&root, K::TestItem) {
            if wanted(&title(&item)) {
                tests.push(one(&scope, &mut record, &item));
            }
        }
    }
    for (file, source) in sources.iter().enumerate() {
        let name = front::name_of(&parse(&source.text).root());
        let found = compiled.iter().find(|c| c.module.name.as_str() == name);
        functions.extend(found.iter().flat_map(|c| coverage::of(c, file, &source.text, &record)));
    }
    Ok(Report { tests, functions })
}

/// What names mean in the tests of a file.
struct Scope<'l> {
    file: usize,
    library: &'l Library,
    unit: &'l Arc<Unit>,
    /// Imports: their names here, and what is used without those.
    imports: Vec<(String, Vec<String>, &'l Arc<Unit>)>,
    compiled: &'l [Compiled],
}

impl<'l> Scope<'l> {
    fn new(file: usize, root: &Node, unit: &'l Arc<Unit>, library: &'l Library, compiled: &'l [Compiled]) -> Scope<'l> {
        let imports = front::imports(root).into_iter().zip(&unit.imports).map(|(i, unit)| (i.alias, i.names, unit));
        Scope { file, library, unit, imports: imports.collect(), compiled }
    }

    fn at(&self, node: &Node) -> Span {
        Span { file: self.file, range: ast::span(node) }
    }

    fn fail<T>(&self, node: &Node, message: impl Into<String>, label: impl Into<String>) -> R<T> {
        Err(Box::new(Diagnostic::new(self.at(node), message, label)))
    }

    /// The module of a name with dots, and the last part of the name. `has` says whether a module declares it.
    fn find(&self, name: &str, has: impl Fn(&Unit, &str) -> bool) -> Option<(&'l Arc<Unit>, String)> {
        let found = match name.rsplit_once('.') {
            Some((module, last)) => {
                let import = self.imports.iter().find(|(alias, ..)| alias == module).map(|i| i.2);
                let named = || self.library.units.values().find(|u| u.module.name.as_str() == module);
                (import.or_else(named)?, last)
            }
            None if has(self.unit, name) => (self.unit, name),
            None => (self.imports.iter().find(|(_, names, _)| names.iter().any(|n| n == name))?.2, name),
        };
        has(found.0, found.1).then(|| (found.0, found.1.to_owned()))
    }

    /// The action or view that is called, with its arguments.
    fn call(&self, values: &Values<'_>, node: &Node, wanted: FunctionKind) -> R<(&'l Arc<Unit>, u16, Vec<Value>)> {
        let what = if wanted == FunctionKind::View { "view" } else { "action" };
        let name = if node.kind() == K::CallExpr { ast::expr(node, 0).and_then(|c| path(&c)) } else { None };
        let Some(name) = name else {
            return self.fail(node, format!("a call of {what} is wanted, as {what}(@alice, 5)"), "this is none");
        };
        let place = |unit: &Unit, name: &str| {
            unit.module.functions.iter().position(|f| f.name.as_str() == name && f.kind == wanted)
        };
        let Some((unit, last)) = self.find(&name, |unit, name| place(unit, name).is_some()) else {
            return self.fail(node, format!("there is no {what} `{name}`"), "called here");
        };
        let at = place(unit, &last).unwrap_or_default();
        let (function, info) = (&unit.module.functions[at], &unit.functions[at]);
        let args = ast::args(node);
        if args.len() != info.params.len() {
            let params: Vec<&str> = function.params.iter().map(|p| p.name.as_str()).collect();
            let message = format!("`{name}` takes {} ({}), {} are given", params.len(), params.join(", "), args.len());
            return self.fail(node, message, "called here");
        }
        let args = args.iter().zip(&info.params).map(|(arg, ty)| values.read(arg, *ty)).collect::<R<_>>()?;
        Ok((unit, u16::try_from(at).unwrap_or(u16::MAX), args))
    }
}

/// The action that was tried last.
struct Last {
    result: Result<Value, Abort>,
    ty: Ty,
    diff: Diff,
}

/// A test that is running.
struct Run<'s, 'l> {
    scope: &'s Scope<'l>,
    record: &'s mut Record,
    stage: Stage<'l>,
    names: BTreeMap<String, (Ty, Value)>,
    last: Option<Last>,
    steps: Vec<Step>,
}

/// What a test shows.
fn title(item: &Node) -> String {
    ast::token(item, K::Text).and_then(|t| literal::unquote(t.text())).unwrap_or_default()
}

fn one(scope: &Scope<'_>, record: &mut Record, item: &Node) -> Test {
    let mut test = Test { name: title(item), span: scope.at(item), steps: Vec::new(), told: Vec::new() };
    let (Ok(nobody), Some(days)) = (Name::new("nobody"), literal::date(BEGIN)) else { return test };
    let begin = u64::try_from(days).unwrap_or_default() * 86_400_000;
    let stage = Stage::new(scope.library, begin, nobody);
    let mut run = Run { scope, record, stage, names: BTreeMap::new(), last: None, steps: Vec::new() };
    for step in item.children() {
        match run.step(&step) {
            Ok(told) => test.told.extend(told),
            // What comes after an action that did not go as expected would only say so again.
            Err(told) => {
                test.told.push(*told);
                break;
            }
        }
    }
    test.steps = run.steps;
    test
}

impl<'l> Run<'_, 'l> {
    fn values(&self) -> Values<'_> {
        let (universe, file) = (&self.scope.library.universe, self.scope.file);
        Values { universe, names: &self.names, now: self.stage.now, file }
    }

    /// Does a step. What was expected in vain and does not end the test is given back.
    fn step(&mut self, node: &Node) -> R<Vec<Diagnostic>> {
        match node.kind() {
            K::GivenStep => self.given(node)?,
            K::WaitStep => self.wait(node)?,
            K::DoStep => self.action(node)?,
            K::ExpectStep => return self.expectation(node),
            _ => {}
        }
        Ok(Vec::new())
    }

    fn given(&mut self, node: &Node) -> R<()> {
        if let Some(time) = ast::expr(node, 0) {
            let universe = &self.scope.library.universe;
            // Files without times have no such type, and a test of them needs none.
            let Some(ty) = universe.find(&hopper::types::Kind::Time) else { return Ok(()) };
            let ms = self.values().read(&time, ty)?.int().and_then(|ms| u64::try_from(ms).ok());
            self.stage.now = ms.unwrap_or(self.stage.now);
            return Ok(());
        }
        let role = ast::word(node, 2).map(|t| t.text().to_owned()).unwrap_or_default();
        let known = |unit: &Unit| unit.module.roles.iter().any(|r| r.as_str() == role);
        if !known(self.scope.unit) && !self.scope.imports.iter().any(|(.., unit)| known(unit)) {
            return self.scope.fail(node, format!("there is no role @{role}"), "given here");
        }
        match ast::token(node, K::Role).and_then(|t| party(t.text())) {
            Some(party) => drop(self.stage.roles.insert(role, party)),
            None => return self.scope.fail(node, "a party is wanted, as @carol", "here"),
        }
        Ok(())
    }

    fn wait(&mut self, node: &Node) -> R<()> {
        let ms = ast::token(node, K::Duration).and_then(|t| duration(t.text()));
        match ms.and_then(|ms| self.stage.now.checked_add(ms)) {
            Some(now) => self.stage.now = now,
            None => return self.scope.fail(node, "the time would be beyond 2^64 milliseconds", "here"),
        }
        Ok(())
    }

    fn action(&mut self, node: &Node) -> R<()> {
        let signers = ast::child(node, K::Signers).map(|s| ast::tokens(&s).collect::<Vec<_>>()).unwrap_or_default();
        let signers: Vec<Name> = signers.iter().filter_map(|t| party(t.text())).collect();
        let Some(call) = ast::expr(node, 0) else { return self.scope.fail(node, "an action is wanted", "here") };
        let (unit, function, args) = self.scope.call(&self.values(), &call, FunctionKind::Action)?;
        let ended = match self.stage.run(self.record, unit, function, &signers, args) {
            Ok(ended) => ended,
            Err(why) => return self.scope.fail(&call, format!("this changed what no action can: {why}"), "here"),
        };
        let library = self.scope.library;
        let ty = unit.functions[usize::from(function)].result;
        let outcome = ended.outcome;
        let text = match &outcome.result {
            Ok(value) => Ok(show::value_text(&library.universe, ty, value)),
            Err(abort) => Err(show::abort_text(library, abort)),
        };
        self.steps.push(Step {
            span: self.scope.at(node),
            text: ast::text(node),
            ended: text.clone(),
            changes: show::changes_text(library, &outcome.diff),
            cost: outcome.cost,
        });
        let fails = ast::tokens(node).last().is_some_and(|t| t.kind() == K::Ident && t.text() == "fails");
        match (&outcome.result, &text) {
            (Err(abort), Err(why)) if fails => {
                if let Some(reason) = ast::expr(node, 1) {
                    self.reason(&reason, abort, why)?;
                }
            }
            (Err(_), Err(why)) => {
                let mut told = Diagnostic::new(self.scope.at(&call), format!("refused: {why}"), "this was to succeed");
                if let Some(span) = ended.last.and_then(|(key, spot)| self.place(key.0, key.1, spot)) {
                    told = told.also(span, "it ended here");
                }
                return Err(Box::new(told));
            }
            (Ok(_), _) if fails => {
                return self.scope.fail(&call, "this succeeded, and was to fail", "no reason to refuse it was found");
            }
            _ => {}
        }
        let binds = ast::tokens(node).next().is_some_and(|t| t.text() == "let");
        if let (true, Some(name)) = (binds, ast::word(node, 1)) {
            match &outcome.result {
                Ok(value) => drop(self.names.insert(name.text().to_owned(), (ty, value.clone()))),
                Err(_) => return self.scope.fail(node, "what is refused has no result to name", "named here"),
            }
        }
        self.last = Some(Last { result: outcome.result, ty, diff: outcome.diff });
        Ok(())
    }

    /// Where an operation stands in the text.
    fn place(&self, module: ModuleId, function: usize, (block, op): stage::Spot) -> Option<Span> {
        let name = &self.scope.library.units.get(&module)?.module.name;
        let compiled = self.scope.compiled.iter().find(|c| c.module.name == *name)?;
        let place = compiled.debug.get(function)?;
        let range = place.blocks.get(block)?.get(op)?.clone();
        Some(Span { file: place.span.file, range })
    }
}
