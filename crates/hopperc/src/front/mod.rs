//! From contracts to modules with proofs.
//!
//! ```text
//! tree --declare--> names, types, invariants --functions--> bodies in A-normal form --prove--> module, proofs
//!                                                                                  \--explain--> diagnostics
//! ```
//!
//! What the verifier would refuse is told before, where the text can be shown: assets lost or used twice, types, names. What only the
//! verifier knows, proofs above all, is told with the place, numbers for which it fails, and the line that would mend it.
//! `docs/hopper/reference.md` is the language for its users.

mod body;
mod cost;
mod declare;
mod explain;
mod expr;
mod flow;
mod functions;
mod literal;
mod module;
mod natives;
mod outline;
mod props;
mod records;
mod search;
mod state;
mod types;

use hopper::ir::{Label, Module, ModuleId, Proofs};
use hopper::library::Library;
use hopper::verify::deploy;

pub use cost::{Cost, costs};
pub use outline::outline;

use crate::asm::blank;
use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast, parse};
use declare::roles;
use explain::explain;
use module::Front;
pub(crate) use module::duration;
use types::{Scope, World};

/// Bytes of a file: several times what becomes the longest module.
pub(crate) const SOURCE_BYTES_MAX: usize = 256 * 1024;

/// Where functions stand in the text, for tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionPlace {
    /// The function.
    pub name: String,
    /// All of it.
    pub span: Span,
    /// For each block, the text that each operation, and then the end, comes from, in bytes.
    pub blocks: Vec<Vec<std::ops::Range<usize>>>,
}

/// A module that was compiled, proved and verified.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The module.
    pub module: Module,
    /// Its proofs.
    pub proofs: Proofs,
    /// Where its functions stand.
    pub debug: Vec<FunctionPlace>,
    /// What its functions cost.
    pub costs: Vec<Cost>,
    /// Where its text gives names to values in bodies, in bytes, and the types of these values. One place may come several times: a
    /// block that stands for several variants is read for each.
    pub bindings: Vec<(std::ops::Range<usize>, String)>,
}

/// What a file says of itself before it is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// The module's name.
    pub name: String,
    /// The modules that it imports by name alone; those with an id are pinned.
    pub imports: Vec<String>,
}

/// Reads the heading of a file, right or wrong.
pub fn heading(text: &str) -> Heading {
    let root = parse(text).root();
    let unpinned = imports(&root).into_iter().filter(|import| import.id.is_none());
    Heading { name: name_of(&root), imports: unpinned.map(|import| import.name).collect() }
}

/// Compiles files, one module each. A file may import another of them, whatever the order, or a module of the library.
///
/// Modules come out in an order in which each may be deployed.
///
/// # Errors
/// What is wrong with the first file in which something is.
pub fn compile(sources: &[SourceFile], library: &Library) -> Result<Vec<Compiled>, Vec<Diagnostic>> {
    let mut library = library.clone();
    let trees = trees(sources)?;
    let names: Vec<String> = trees.iter().map(name_of).collect();
    let mut done = vec![false; trees.len()];
    let mut all = Vec::new();
    while all.len() < trees.len() {
        let ready = (0..trees.len()).find(|n| {
            let open = |name: &String| names.iter().zip(&done).any(|(other, done)| other == name && !done);
            !done[*n] && !imports(&trees[*n]).iter().any(|i| open(&i.name))
        });
        let Some(next) = ready else {
            let stuck = done.iter().position(|done| !done).unwrap_or_default();
            let at = Span { file: stuck, range: 0..0 };
            return Err(vec![Diagnostic::new(
                at,
                "modules import one another in a circle",
                "this one waits for itself",
            )]);
        };
        done[next] = true;
        all.push(one(next, &trees[next], &mut library)?);
    }
    Ok(all)
}

fn trees(sources: &[SourceFile]) -> Result<Vec<Node>, Vec<Diagnostic>> {
    let mut told = Vec::new();
    let mut trees = Vec::new();
    for (file, source) in sources.iter().enumerate() {
        if source.text.len() > SOURCE_BYTES_MAX {
            let at = Span { file, range: 0..0 };
            let message = format!("a file of more than {SOURCE_BYTES_MAX} bytes");
            told.push(Diagnostic::new(at, message, "no module is so long").help("make several modules of it"));
            continue;
        }
        let parsed = parse(&source.text);
        for error in &parsed.errors {
            let mut one = Diagnostic::new(Span { file, range: error.range.clone() }, &error.message, "here");
            one.help.clone_from(&error.help);
            told.push(one);
        }
        trees.push(parsed.root());
    }
    if told.is_empty() { Ok(trees) } else { Err(told) }
}

/// The name that a file gives its module.
pub(crate) fn name_of(root: &Node) -> String {
    let head = ast::child(root, K::ModuleHead);
    let path = head.map(|h| ast::path(&h)).unwrap_or_default();
    path.iter().map(|t| t.text()).collect::<Vec<_>>().join(".")
}

/// An import as written.
pub(crate) struct Import {
    pub node: Node,
    /// The module's name.
    pub name: String,
    /// What it is called in the file.
    pub alias: String,
    /// The digits that its id begins with.
    pub id: Option<String>,
    /// Names that are used without the alias.
    pub names: Vec<String>,
}

pub(crate) fn imports(root: &Node) -> Vec<Import> {
    let import = |node: Node| {
        let name = ast::path(&node).iter().map(|t| t.text().to_owned()).collect::<Vec<_>>().join(".");
        let last = name.rsplit('.').next().unwrap_or_default().to_owned();
        let alias = ast::tokens(&node).filter(|t| t.kind() == K::Ident).nth(2).map_or(last, |t| t.text().to_owned());
        let id = ast::token(&node, K::Hash).map(|t| t.text().trim_start_matches('#').to_lowercase());
        let names = ast::child(&node, K::ImportNames);
        let names = names.iter().flat_map(ast::tokens).filter(|t| t.kind() == K::Ident).map(|t| t.text().to_owned());
        Import { name, alias, id, names: names.collect(), node }
    };
    ast::children(root, K::ImportItem).map(import).collect()
}

/// The module that an import means: by id, or the newest of that name.
pub(crate) fn find(library: &Library, import: &Import) -> Result<ModuleId, String> {
    let hex = |id: &ModuleId| id.0.0.iter().map(|b| format!("{b:02x}")).collect::<String>();
    if let Some(digits) = &import.id {
        let mut fits = library.units.keys().filter(|id| hex(id).starts_with(digits.as_str()));
        return match (fits.next(), fits.next()) {
            (Some(id), None) => Ok(*id),
            (None, _) => Err("no module with this id is deployed".to_owned()),
            _ => Err("several modules have an id that begins so".to_owned()),
        };
    }
    let mut fits = library
        .heads
        .values()
        .filter(|id| library.units.get(id).is_some_and(|u| u.module.name.as_str() == import.name));
    match (fits.next(), fits.next()) {
        (Some(id), None) => Ok(*id),
        (None, _) => Err(format!("no module `{}` is deployed, nor among the files", import.name)),
        _ => Err(format!("several modules are called `{}`: say which, as `= #12ab...`", import.name)),
    }
}

/// Compiles one file, and deploys it to the library.
fn one(file: usize, root: &Node, library: &mut Library) -> Result<Compiled, Vec<Diagnostic>> {
    let whole = |message: String| vec![Diagnostic::new(Span { file, range: 0..0 }, message, "here")];
    let name = Label::new(&name_of(root)).map_err(|e| whole(e.to_string()))?;
    let mut module = blank(name);
    let mut told = Vec::new();
    module.roles = roles(root).iter().filter_map(|r| Label::new(r).ok()).collect();
    let (world, ids) = world(file, root, library, &mut told);
    module.imports = ids;
    if let Some(head) = ast::child(root, K::ModuleHead) {
        for clause in ast::clauses(&head, "replaces") {
            let digits = ast::token(&clause, K::Hash).map(|t| t.text().trim_start_matches('#').to_lowercase());
            let import = Import {
                node: clause.clone(),
                name: String::new(),
                alias: String::new(),
                id: digits,
                names: Vec::new(),
            };
            match find(library, &import) {
                Ok(id) => module.replaces = Some(id),
                Err(why) => {
                    told.push(Diagnostic::new(Span { file, range: ast::span(&clause) }, why, "the version before"))
                }
            }
        }
    }
    let mut front = Front::new(file, module, world);
    if let Some(head) = ast::child(root, K::ModuleHead).and_then(|h| ast::child(&h, K::Path)) {
        front.head_span = front.at(&head);
    }
    let items = if told.is_empty() { front.declare(root, &mut told) } else { declare::Items::default() };
    if told.is_empty() {
        front.head(root, &mut told);
    }
    let mut debug = Vec::new();
    if told.is_empty() {
        for source in functions::in_order(&mut front, root, &items.protocols, &mut told) {
            // What calls a function with a fault would be told that there is none.
            let hopeless = !told.is_empty() && front.calls_missing(&source);
            if hopeless {
                continue;
            }
            match front.function_of(&source) {
                Ok(one) => debug.push(one),
                Err(error) => told.push(*error),
            }
        }
    }
    if !told.is_empty() {
        return Err(told);
    }
    front.settle();
    let module = front.module.clone();
    let proofs = search::proofs(&front, library, &module, &debug)?;
    let unit = match deploy(library, module.clone(), &proofs) {
        Ok(unit) => unit,
        Err(reject) => return Err(vec![explain(&front, library, &module, &debug, &reject, None).diagnostic]),
    };
    let places = module.functions.iter().zip(&debug).map(|(function, debug)| FunctionPlace {
        name: function.name.to_string(),
        span: front.at(&debug.node),
        blocks: debug.origins.iter().map(|b| b.iter().map(|o| o.range.clone()).collect()).collect(),
    });
    let costs = costs(&unit, &proofs);
    Ok(Compiled { debug: places.collect(), module, proofs, costs, bindings: std::mem::take(&mut front.bindings) })
}

/// The scopes of a file: its own, still empty, and those of its imports.
fn world(file: usize, root: &Node, library: &Library, told: &mut Vec<Diagnostic>) -> (World, Vec<ModuleId>) {
    let mut world = World { scopes: vec![Scope::default()], lineages: Vec::new() };
    let mut ids = Vec::new();
    let mut found = Vec::new();
    for import in imports(root) {
        let at = Span { file, range: ast::span(&import.node) };
        match find(library, &import) {
            Ok(id) if ids.contains(&id) => told.push(Diagnostic::new(at, "imported twice", "again")),
            Ok(id) => {
                ids.push(id);
                if let Some(unit) = library.units.get(&id) {
                    world.lineages.push(unit.lineage);
                    found.push((import, unit.clone()));
                }
            }
            Err(why) => told.push(
                Diagnostic::new(at, why, "not found").help("compile its file along with this one, or deploy it first"),
            ),
        }
    }
    for (n, (import, unit)) in found.into_iter().enumerate() {
        let scope = types::import(&unit, n as u16 + 1, import.alias.clone(), import.names.clone(), &world.lineages);
        for name in &import.names {
            let declares = scope.records.iter().map(|s| &s.name).chain(scope.enums.iter().map(|e| &e.0));
            let declares = declares
                .chain(scope.assets.iter().map(|a| &a.shape.name))
                .chain(scope.functions.iter().map(|f| &f.name));
            if !declares.chain(scope.protocols.iter().map(|p| &p.name)).any(|n| n == name) {
                let at = Span { file, range: ast::span(&import.node) };
                told.push(Diagnostic::new(at, format!("`{}` declares no `{name}`", import.name), "imported here"));
            }
        }
        world.scopes.push(scope);
    }
    (world, ids)
}

impl Front {
    /// It calls a function of the file that is not there: one with a fault.
    fn calls_missing(&self, source: &functions::Source) -> bool {
        let known = &self.world.own().functions;
        let missing = |name: &str| !known.iter().any(|f| f.name == name);
        let mut calls = source.calls();
        calls.any(|name| self.declared_functions.contains(&name) && missing(&name))
    }
}
