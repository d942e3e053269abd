//! What is said of a name.

use hopper::ir::Proofs;
use lsp_types::{Hover, HoverContents, MarkupContent, MarkupKind};

use super::check::Analysis;
use super::declarations::{Declaration, Kind, comment};
use super::resolve::{Found, Resolver};
use crate::front::{Cost, costs, name_of, outline};
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast};

/// Functions of the language, and what they give.
const BUILT_IN: [(&str, &str); 41] = [
    ("min", "min(a, b): the smaller one"),
    ("max", "max(a, b): the larger one"),
    ("div_floor", "div_floor(a, b): the quotient, towards minus infinity"),
    ("div_ceil", "div_ceil(a, b): the quotient, towards plus infinity"),
    ("mul_div", "mul_div(a, b, c): a * b / c, towards minus infinity"),
    ("mul_div_ceil", "mul_div_ceil(a, b, c): a * b / c, towards plus infinity"),
    ("mul_div_half_even", "mul_div_half_even(a, b, c): a * b / c, to the nearest, halves to even"),
    ("share", "share(a, part, whole): a * part / whole, known to be at most a"),
    ("len", "len(x): how many elements or bytes"),
    ("sum", "sum(list.field): in propositions"),
    ("distinct", "distinct(a, b, c): no two are equal; in propositions"),
    ("concat", "concat(a, b): one after the other"),
    ("slice", "slice(a, from, to): a part"),
    ("at", "l.at(n): the element, an option"),
    ("push", "l.push(x): the list with one more"),
    ("empty", "empty(): a list or map without elements"),
    ("get", "m.get(k): the value, an option"),
    ("has", "m.has(k): true if there is a value"),
    ("put", "m.put(k, v): the map, and an option of what was there"),
    ("take", "m.take(k): the map without k, and an option of what was there"),
    ("drop_empty", "drop_empty(m): ends a map that has no elements"),
    ("mint", "mint(Asset, n): makes a measured asset"),
    ("zero", "zero(Asset): a measured asset with amount 0"),
    ("split", "split(c, n): an asset of amount n, and the rest; n is at most the amount"),
    ("join", "join(a, b): two of one kind as one"),
    ("burn", "burn(c): ends a measured asset"),
    ("drop_zero", "drop_zero(c): ends a measured asset of amount 0"),
    ("scan", "scan(t, after, n): keys of a table after an option of one, at most n"),
    ("now", "now(): the command's time"),
    ("add_days", "add_days(d, n): the date n days later"),
    ("add_months", "add_months(d, n): the date n months later"),
    ("date_of", "date_of(t): the day of a time"),
    ("sender", "sender(): the party in whose name the command is"),
    ("command", "command(): the command's digest"),
    ("auth", "auth(guard): true if the guard is met"),
    ("sha256", "sha256(x): the digest"),
    ("verify_signature", "verify_signature(key, message, signature): Ed25519"),
    ("All", "All[..]: every one of the guards"),
    ("Any", "Any[..]: one of the guards"),
    ("AtLeast", "AtLeast(k, [..]): k of the guards"),
    ("result", "result: what the function gives"),
];

/// A text of several parts: code, and what is said of it.
pub(super) struct Said {
    code: String,
    lines: Vec<String>,
}

/// As the client shows it.
pub(super) fn markdown(said: Said, range: lsp_types::Range) -> Hover {
    let mut value = format!("```hopper\n{}\n```", said.code);
    for line in said.lines.iter().filter(|l| !l.is_empty()) {
        value.push_str("\n\n");
        value.push_str(line);
    }
    let contents = HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value });
    Hover { contents, range: Some(range) }
}

/// What there is to say. `before` are the document's costs when it was last right.
pub(super) fn describe(analysis: &Analysis, found: &Found, before: &[Cost]) -> Option<Said> {
    match found {
        Found::Here(file, declaration) => Some(here(analysis, *file, declaration, before)),
        Found::Module(file) => {
            let tree = analysis.family.trees.get(*file)?;
            let head = ast::child(tree, K::ModuleHead);
            let said = head.as_ref().map(comment).unwrap_or_default();
            Some(Said { code: format!("module {}", name_of(tree)), lines: vec![said] })
        }
        Found::Deployed(unit, None, _) => {
            let declared: Vec<String> = outline(unit).into_iter().map(|(_, text)| text).collect();
            let code = format!("module {}\n{}", unit.module.name, declared.join("\n"));
            Some(Said { code, lines: vec![format!("Deployed as #{}", unit.id.0)] })
        }
        Found::Deployed(unit, Some(name), _) => {
            let (_, code) = outline(unit).into_iter().find(|(n, _)| n == name)?;
            let cost = costs(unit, &Proofs::default()).into_iter().find(|c| c.name == *name);
            let mut lines = vec![format!("Of `{}`, deployed as #{}", unit.module.name, unit.id.0)];
            lines.extend(cost.map(|c| bounds(&c)));
            Some(Said { code, lines })
        }
        Found::BuiltIn(name) => {
            let (_, said) = BUILT_IN.iter().find(|(n, _)| n == name)?;
            let (code, what) = said.split_once(": ").unwrap_or((said, ""));
            Some(Said { code: code.to_owned(), lines: vec![what.to_owned()] })
        }
    }
}

fn here(analysis: &Analysis, file: usize, declaration: &Declaration, before: &[Cost]) -> Said {
    let node = &declaration.node;
    let name = declaration.name.text();
    let owner = declaration.owner();
    let of = owner.as_ref().map(|o| format!("{} `{}`", noun(o.kind), o.name.text()));
    let of = of.map(|o| format!("Of the {o}")).unwrap_or_default();
    match declaration.kind {
        Kind::Function | Kind::Start | Kind::Move => {
            let mut lines = vec![comment(node)];
            lines.extend(cost_lines(analysis, file, name, before));
            lines.push(of);
            Said { code: signature(node), lines }
        }
        Kind::Field | Kind::Parameter | Kind::Binding => {
            let ty = Resolver::new(analysis).type_of_declaration(file, declaration);
            let code = ty.map_or_else(|| name.to_owned(), |(_, ty)| format!("{name}: {ty}"));
            let code = if ast::has_word(node, "ghost") && name != "ghost" { format!("ghost {code}") } else { code };
            let of = if declaration.kind == Kind::Binding { String::new() } else { of };
            Said { code, lines: vec![of] }
        }
        Kind::Error | Kind::Event => Said {
            code: format!("{} {}", noun(declaration.kind), ast::text(node).trim_end_matches(',').trim()),
            lines: vec![comment(node)],
        },
        Kind::Protocol => {
            // Its states and moves are too many.
            let body = ast::child(node, K::ProtocolBody).map(|b| usize::from(b.text_range().start()));
            Said { code: until(node, body), lines: vec![comment(node)] }
        }
        Kind::Variant | Kind::State => Said { code: text(node), lines: vec![comment(node), of] },
        _ => Said { code: text(node), lines: vec![comment(node)] },
    }
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Record => "record",
        Kind::Enum => "enum",
        Kind::Variant => "variant",
        Kind::Asset => "asset",
        Kind::Table => "table",
        Kind::Protocol => "protocol",
        Kind::State => "state",
        Kind::Start => "start",
        Kind::Move => "move",
        Kind::Error => "error",
        Kind::Event => "event",
        Kind::Const => "constant",
        Kind::Function => "function",
        Kind::Field => "field",
        Kind::Parameter => "parameter",
        Kind::Binding => "name",
    }
}

/// A declaration as its author laid it out.
pub(crate) fn text(node: &Node) -> String {
    until(node, None)
}

fn until(node: &Node, end: Option<usize>) -> String {
    let span = ast::span(node);
    let from = span.start - usize::from(node.text_range().start());
    let to = end.unwrap_or(span.end).saturating_sub(usize::from(node.text_range().start()));
    let whole = node.text().to_string();
    whole.get(from..to.max(from)).unwrap_or_default().trim_end().to_owned()
}

/// A function without its body: what it takes, gives, asks for and promises.
pub(crate) fn signature(node: &Node) -> String {
    let eq = ast::token(node, K::Eq).map(|t| ast::token_span(&t).start);
    until(node, eq)
}

fn cost_lines(analysis: &Analysis, file: usize, name: &str, before: &[Cost]) -> Vec<String> {
    let find = |all: &[Cost]| all.iter().find(|c| c.name == name).cloned();
    let now = analysis.compiled(file).and_then(|c| find(&c.costs));
    let last = || find(before).filter(|_| file == 0 && analysis.outcome.is_err());
    let (cost, stale) = match now {
        Some(cost) => (cost, false),
        None => match last() {
            Some(cost) => (cost, true),
            None => return Vec::new(),
        },
    };
    let when = if stale { " (before the file had errors)" } else { "" };
    vec![bounds(&cost), format!("Proved: {}. Checked at run time: {}{when}", cost.proved, cost.checks)]
}

/// `Costs: steps <= 37, reads <= 1. Touches accounts`
fn bounds(cost: &Cost) -> String {
    let list: Vec<String> = cost.bounds.iter().map(|(what, bound)| format!("{what} <= {bound}")).collect();
    let mut text = if list.is_empty() { "Costs nothing".to_owned() } else { format!("Costs: `{}`", list.join(", ")) };
    if !cost.tables.is_empty() {
        let table = |(name, write): &(String, bool)| if *write { name.clone() } else { format!("{name} (read)") };
        let tables: Vec<String> = cost.tables.iter().map(table).collect();
        text.push_str(&format!(". Touches {}", tables.join(", ")));
    }
    text
}
