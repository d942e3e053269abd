//! What the verifier refuses, told in the author's words: where it is in the text, for which numbers it fails, and what to write.
//!
//! The verifier speaks of unknowns by number. To find out which is which, the module is judged once more with assertions about every
//! value that has a name put before the operation in question: what the verifier would have to show of each says how it sees it.

use std::collections::{BTreeMap, BTreeSet};

use hopper::ir::{Function, FunctionKind, Linear, Measure, Module, Monomial, Op, Place, Prop, Ref};
use hopper::lia::{Atom, Facts, Line};
use hopper::library::Library;
use hopper::verify::{Evidence, Goal, Reason, Reject, judge};

use super::body::Origin;
use super::functions::FnDebug;
use super::module::Front;
use super::props::{Repr, Val};
use super::types::{Ty, World};
use crate::diagnostic::{Diagnostic, Span};
use crate::prove::counterexample;
use crate::syntax::SyntaxKind as K;
use crate::syntax::ast;

/// Numbers that no contract uses mark the beginning of what is found out.
const MARK: i128 = 0x5eed_0000_0000_0000;
/// Where a function has authority from.
const AUTHORITY: &str = "authority comes from `by` where all must agree, from `requires auth(p)`, from `require p`, \
                         or from a signed asset at hand";
/// Assignments tried for a counterexample.
const TRIES: usize = 20_000;
/// Values that are asked about.
const ASKED_MAX: usize = 64;

/// What the author is told of one obligation or refusal.
pub(super) struct Told {
    pub diagnostic: Diagnostic,
    /// What would have to hold, in the author's words.
    pub wanted: Vec<String>,
    /// There are no words for some of it.
    pub vague: bool,
}

/// A number that has a name at some place: its text, where it is, what of it.
struct Asked {
    text: String,
    linear: Linear,
    /// The type, if an expression of this text has one.
    ty: Option<Ty>,
}

/// How the verifier sees what has a name.
struct Seen {
    text: String,
    line: Line,
    ty: Option<Ty>,
}

/// Everything with a number that names at a place lead to.
fn asked(front: &Front, origin: &Origin) -> Vec<Asked> {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for (name, val) in origin.names.iter().rev() {
        if name.starts_with("self.") || seen.contains(&name) {
            continue;
        }
        seen.push(name);
        numbers_in(front, name, val, &mut found);
    }
    found.truncate(ASKED_MAX);
    found
}

fn numbers_in(front: &Front, text: &str, val: &Val, found: &mut Vec<Asked>) {
    match &val.repr {
        Repr::Unit => {}
        Repr::Parts(parts) => {
            let fields = front.world.fields(&val.ty).unwrap_or_default();
            for ((field, _), part) in fields.iter().zip(parts) {
                numbers_in(front, &format!("{text}.{field}"), part, found);
            }
        }
        Repr::Var(var) => numbers_at(front, text, *var, &mut Vec::new(), &val.ty, found),
    }
}

fn numbers_at(front: &Front, text: &str, var: u16, path: &mut Vec<u8>, ty: &Ty, found: &mut Vec<Asked>) {
    let term = |measure: Measure| {
        let place = Place { var, path: path.clone() };
        Linear { constant: 0, terms: vec![Monomial { factor: 1, place, measure }] }
    };
    match ty {
        Ty::Bool | Ty::Ghost => found.push(Asked { text: text.to_owned(), linear: term(Measure::Value), ty: None }),
        ty if ty.is_number() => {
            found.push(Asked { text: text.to_owned(), linear: term(Measure::Value), ty: Some(ty.clone()) });
        }
        Ty::Text(_) | Ty::Bytes(_) => {
            found.push(Asked { text: format!("len({text})"), linear: term(Measure::Length), ty: Some(Ty::NAT32) })
        }
        Ty::List(of, _) | Ty::Map(_, of, _) => {
            found.push(Asked { text: format!("len({text})"), linear: term(Measure::Length), ty: Some(Ty::NAT32) });
            if of.is_number() {
                found.push(Asked { text: format!("sum({text})"), linear: term(Measure::Sum(Vec::new())), ty: None });
            }
            for (n, (field, ty)) in front.world.fields(of).unwrap_or_default().iter().enumerate() {
                if ty.is_number() {
                    found.push(Asked {
                        text: format!("sum({text}.{field})"),
                        linear: term(Measure::Sum(vec![n as u8])),
                        ty: None,
                    });
                }
            }
        }
        _ => {
            if path.len() > 3 || found.len() > ASKED_MAX {
                return;
            }
            for (n, (field, ty)) in front.world.fields(ty).unwrap_or_default().iter().enumerate() {
                path.push(n as u8);
                numbers_at(front, &format!("{text}.{field}"), var, path, ty, found);
                path.pop();
            }
        }
    }
}

/// Hears what the verifier makes of the values asked about.
struct Probe {
    function: usize,
    count: usize,
    now: Option<usize>,
    lines: BTreeMap<usize, Line>,
}

impl Evidence for Probe {
    fn discharge(&mut self, goal: &Goal<'_>) -> Result<(), Reason> {
        if goal.function != self.function {
            return Ok(());
        }
        if goal.line.terms.is_empty() && goal.line.constant >= MARK {
            let at = (goal.line.constant - MARK) as usize;
            self.now = Some(at);
            if at >= self.count {
                return Err(Reason::Unproved(goal.number));
            }
        } else if let Some(at) = self.now.take() {
            self.lines.insert(at, goal.line.clone());
        }
        Ok(())
    }
}

/// How the verifier sees what has a name before an operation.
fn sums(
    front: &Front,
    library: &Library,
    module: &Module,
    function: usize,
    at: (u16, usize),
    origin: &Origin,
) -> Vec<Seen> {
    let asked = asked(front, origin);
    let mark = |n: usize| Prop::AtMostZero { linear: Linear { constant: MARK + n as i128, terms: Vec::new() } };
    let mut module = module.clone();
    let Some(block) = module.functions.get_mut(function).and_then(|f| f.blocks.get_mut(usize::from(at.0))) else {
        return Vec::new();
    };
    let place = at.1.min(block.ops.len());
    let mut ops: Vec<Op> = Vec::new();
    for (n, one) in asked.iter().enumerate() {
        ops.push(Op::Assert { props: vec![mark(n), Prop::AtMostZero { linear: one.linear.clone() }] });
    }
    ops.push(Op::Assert { props: vec![mark(asked.len())] });
    block.ops.splice(place..place, ops);
    let mut probe = Probe { function, count: asked.len(), now: None, lines: BTreeMap::new() };
    let _ = judge(library, module, &mut probe);
    let lines = std::mem::take(&mut probe.lines);
    let seen = |(n, line): (usize, Line)| asked.get(n).map(|a| Seen { text: a.text.clone(), line, ty: a.ty.clone() });
    lines.into_iter().filter_map(seen).collect()
}

/// A sum that is wanted to be at most another, in the author's words.
struct Wanted {
    text: String,
    /// A check at run time can say it.
    checkable: bool,
}

/// A type that all of these fit in, if they are not one.
fn common<'t>(types: impl Iterator<Item = &'t Ty>) -> Option<Ty> {
    let mut common: Option<(bool, u8)> = None;
    let mut differ = false;
    for ty in types {
        let Ty::Int { signed, bits } = ty else { continue };
        differ |= common.is_some_and(|c| c != (*signed, *bits));
        common = Some(match common {
            Some((other, most)) if other == *signed => (other, most.max(*bits)),
            Some(_) => (true, 128),
            None => (*signed, *bits),
        });
    }
    common.filter(|_| differ).map(|(signed, bits)| Ty::Int { signed, bits })
}

/// The goal with what has a name in place of what is known to be the same, or to differ by a number: the amount that a
/// function gives, say, by the one that was asked for.
fn renamed(facts: &Facts, goal: &Line, names: &BTreeMap<Atom, &Seen>) -> Line {
    let known: BTreeSet<&Line> = facts.lines().iter().filter(|line| line.terms.len() == 2).collect();
    let mut goal = goal.clone();
    for (atom, factor) in goal.terms.clone() {
        if names.contains_key(&atom) {
            continue;
        }
        // `atom - other + constant` is at most 0 and at least 0.
        let same = known.iter().find_map(|line| {
            let own = line.terms.iter().find(|t| **t == (atom, 1))?;
            let other = line.terms.iter().find(|t| t.0 != own.0 && t.1 == -1 && names.contains_key(&t.0))?;
            known.contains(&line.times(-1)?).then_some((other.0, line.constant))
        });
        if let Some((other, constant)) = same
            && let Some(line) = Line::from_parts(constant, &[(atom, 1), (other, -1)])
            && let Some(less) = line.times(factor).and_then(|line| goal.minus(&line))
        {
            goal = less;
        }
    }
    goal
}

/// The goal as a comparison of what has names.
fn comparison(facts: &Facts, goal: &Line, sums: &[Seen]) -> Option<Wanted> {
    // One of them as it stands, say the rest of a split.
    if goal.terms.len() > 1
        && let Some(seen) = sums.iter().find(|seen| seen.line.terms == goal.terms)
    {
        let text = format!("{} <= {}", seen.text, seen.line.constant.checked_sub(goal.constant)?);
        return Some(Wanted { text, checkable: seen.ty.is_some() });
    }
    // The shortest name of each unknown; with a number added only if there is no other.
    let mut names: BTreeMap<Atom, &Seen> = BTreeMap::new();
    for seen in sums {
        if let [(atom, 1)] = seen.line.terms[..] {
            let rank = |s: &Seen| (s.line.constant != 0, s.ty.is_none(), s.text.len());
            if names.get(&atom).is_none_or(|old| rank(old) > rank(seen)) {
                names.insert(atom, seen);
            }
        }
    }
    let goal = &renamed(facts, goal, &names);
    let used: Vec<(&Seen, i128)> =
        goal.terms.iter().map(|(atom, factor)| Some((*names.get(atom)?, *factor))).collect::<Option<_>>()?;
    let wide = common(used.iter().filter_map(|(seen, _)| seen.ty.as_ref()));
    let mut constant = goal.constant;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (seen, factor) in &used {
        constant = constant.checked_sub(factor.checked_mul(seen.line.constant)?)?;
        let name = match &wide {
            Some(wide) if seen.ty.as_ref() != Some(wide) => {
                format!("({} as {})", seen.text, World::default().show(wide))
            }
            _ => seen.text.clone(),
        };
        let side = if *factor > 0 { &mut left } else { &mut right };
        side.push(if factor.unsigned_abs() == 1 { name } else { format!("{} * {name}", factor.unsigned_abs()) });
    }
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return None,
        (true, false) => left.push(constant.to_string()),
        (false, true) => right.push(constant.checked_neg()?.to_string()),
        _ if constant > 0 => left.push(constant.to_string()),
        _ if constant < 0 => right.push(constant.checked_neg()?.to_string()),
        _ => {}
    }
    let text = format!("{} <= {}", left.join(" + "), right.join(" + "));
    Some(Wanted { text, checkable: used.iter().all(|(seen, _)| seen.ty.is_some()) })
}

/// What the author is told of a refusal.
pub(super) fn explain(
    front: &Front,
    library: &Library,
    module: &Module,
    functions: &[FnDebug],
    reject: &Reject,
    open: Option<&(Facts, Line)>,
) -> Told {
    let debug = functions.get(reject.at.index).filter(|_| reject.at.sort == "function");
    let at = reject.at.op.unwrap_or_default();
    let origin = debug.and_then(|d| d.origins.get(usize::from(at.0))?.get(at.1));
    let span = match (origin, debug) {
        (Some(origin), Some(_)) => front.span(origin.range.clone()),
        (None, Some(debug)) => front.at(&debug.node),
        _ => front.head_span.clone(),
    };
    let header = debug.map(|d| {
        let list = ast::child(&d.node, K::ParamList);
        front.at(list.as_ref().unwrap_or(&d.node))
    });
    let name = module.functions.get(reject.at.index).map_or("", |f| f.name.as_str());
    if let (Reason::Unproved(_), Some(origin), Some((facts, goal))) = (&reject.reason, origin, open) {
        return unproved(front, library, module, reject, at, origin, (facts, goal), span);
    }
    let diagnostic = match (&reject.reason, origin) {
        (reason @ (Reason::NotDifferent | Reason::NotSame), _) => {
            let same = *reason == Reason::NotSame;
            let (message, sign) = match same {
                true => ("two that must be the same may differ", "=="),
                false => ("two that must differ may be the same", "!="),
            };
            let pair = origin.and_then(|o| pair_of(library, module, reject.at.index, at, o, same));
            let label =
                pair.as_ref().map_or_else(|| "not known here".to_owned(), |(a, b)| format!("needs {a} {sign} {b}"));
            let (a, b) = pair.unwrap_or_else(|| ("a".to_owned(), "b".to_owned()));
            let error = plain_error(front);
            Diagnostic::new(span, message, label)
                .help(format!("check it: `check {a} {sign} {b} else {error}`, or say so in `requires {a} {sign} {b}`"))
        }
        (Reason::NoAuthority, _) => {
            let party = origin.and_then(|o| asked_of(library, module, reject.at.index, at, o));
            let label = party.as_ref().map_or_else(
                || "asks for the authority of a party".to_owned(),
                |p| format!("asks for the authority of `{p}`"),
            );
            let party = party.unwrap_or_else(|| "p".to_owned());
            let kind = module.functions.get(reject.at.index).map(|f| f.kind);
            let help = match kind {
                Some(FunctionKind::Action) => {
                    format!("let that party agree: `by {party}`, or `by All[..]` with others")
                }
                _ => format!("ask the caller of `{name}` for it: `requires auth({party})`"),
            };
            Diagnostic::new(span, "a signature is missing: nobody has shown the authority that is needed here", label)
                .note(AUTHORITY)
                .help(help)
        }
        (Reason::AmbientAuthority, _) => Diagnostic::new(
            header.unwrap_or(span),
            "a public function does not ask who signed",
            "it does, itself or through a call",
        )
        .help("say in the signature whose authority is needed: `requires auth(p)`"),
        (Reason::UnboundedFuel, _) => {
            Diagnostic::new(span, "nothing bounds how often this runs", "the number comes from a row or a computation")
                .note("what a command costs at most is known beforehand: from the sizes of its arguments")
                .help("let it be a parameter, a length, or at most a Nat16: `min(n as Nat16, 100)`")
        }
        (Reason::Geometric(_), _) => {
            Diagnostic::new(span, "an accumulator multiplies its size from round to round", "in this loop")
                .help("let it grow by the same in each round: `push` one element, or join something from outside")
        }
        (Reason::Upgrade(why), _) => Diagnostic::new(
            header.unwrap_or(span),
            format!("not allowed as an upgrade: {why}"),
            "differs from the version that it replaces",
        )
        .note("holders were promised this by the `upgrade` policy of the version before")
        .help("keep what was promised, or publish a module of its own"),
        (Reason::ViewWrites, _) => {
            Diagnostic::new(header.unwrap_or(span), "a view changes nothing", "this one does").help("make it an action")
        }
        (reason, _) => {
            let place = if reject.at.name.is_empty() {
                reject.at.sort.to_owned()
            } else {
                format!("{} `{}`", reject.at.sort, reject.at.name)
            };
            Diagnostic::new(span, reason.to_string(), format!("in {place}"))
        }
    };
    Told { diagnostic, wanted: Vec::new(), vague: true }
}

/// The name of the party whose authority an operation asks for.
fn asked_of(library: &Library, module: &Module, function: usize, at: (u16, usize), origin: &Origin) -> Option<String> {
    let op = module.functions.get(function)?.blocks.get(usize::from(at.0))?.ops.get(at.1)?;
    let place = match op {
        Op::Call { function, args } => {
            let callee = callee(library, module, *function)?;
            let place = callee.authority.iter().find(|p| p.path.is_empty())?;
            *args.get(usize::from(place.var))?
        }
        Op::Create { asset, args } => *args.get(usize::from(module.assets.get(usize::from(*asset))?.signed?))?,
        Op::Start { protocol, state, args } => {
            let declared = module.protocols.get(usize::from(*protocol))?.states.get(usize::from(*state))?;
            *args.get(usize::from(declared.signed?))?
        }
        _ => return None,
    };
    name_of(origin, place)
}

#[allow(clippy::too_many_arguments, reason = "what is known of one refusal")]
fn unproved(
    front: &Front,
    library: &Library,
    module: &Module,
    reject: &Reject,
    at: (u16, usize),
    origin: &Origin,
    (facts, goal): (&Facts, &Line),
    span: Span,
) -> Told {
    let function = &module.functions[reject.at.index];
    let op = function.blocks.get(usize::from(at.0)).and_then(|b| b.ops.get(at.1));
    let what = match op {
        Some(Op::Split { .. }) => "the part may be more than there is",
        Some(Op::DropZero { .. }) => "there may be something left",
        Some(Op::Share { .. }) => "the part may be more than the whole, or the whole nothing",
        Some(Op::Call { .. }) => "what the function requires is not known to hold",
        Some(Op::Make { .. } | Op::With { .. } | Op::Inject { .. } | Op::Create { .. }) => {
            "what holds of every value of this type may not hold of this one"
        }
        Some(Op::Put { .. } | Op::Insert { .. }) => "what holds of every row may not hold of this one",
        Some(Op::Start { .. } | Op::Become { .. }) => "what holds in that state may not hold here",
        Some(Op::Fold { .. } | Op::Iterate { .. }) => "the invariant may not hold before the first round",
        Some(Op::Assert { .. }) => "this may not hold",
        Some(_) => "this is not known to hold",
        None if at.0 == 0 => "what the function ensures may not hold of its result",
        None => "the invariant may not hold after a round",
    };
    let sums = sums(front, library, module, reject.at.index, at, origin);
    let wanted = comparison(facts, goal, &sums);
    let mut told = Diagnostic::new(span, what, "not known here");
    match counterexample(facts, goal, TRIES) {
        Some(found) => {
            let values: BTreeMap<Atom, i128> = found.into_iter().collect();
            let mut shown = Vec::new();
            for Seen { text, line, .. } in &sums {
                // Those that have to do with it, in the author's words.
                let part = |c: char| !c.is_alphanumeric() && c != '_' && c != '.';
                let said = wanted.as_ref().is_some_and(|w| w.text.split(part).any(|word| word == text));
                let matters = said || line.terms.iter().any(|(atom, _)| goal.terms.iter().any(|(g, _)| g == atom));
                let value = line.value(|atom| values.get(&atom).copied().unwrap_or_default());
                if let (true, Some(value)) = (matters, value) {
                    shown.push(format!("{text} = {value}"));
                }
            }
            shown.reverse();
            shown.truncate(8);
            told = told.note(match shown.is_empty() {
                true => "nothing that is known here excludes it".to_owned(),
                false => format!("it fails for {}", shown.join(", ")),
            });
        }
        None => told = told.note("no proof was found, and no numbers for which it fails: it may be true and too hard"),
    }
    Told {
        diagnostic: told,
        vague: wanted.as_ref().is_none_or(|w| !w.checkable),
        wanted: wanted.into_iter().map(|w| w.text).collect(),
    }
}

/// An error without fields, for advice.
pub(super) fn plain_error(front: &Front) -> &str {
    let plain = front.world.own().errors.iter().find(|e| e.fields.is_empty());
    plain.map_or("Refused", |e| e.name.as_str())
}

/// The names of the two that a call wants to be the same, or to differ, if it wants that of one pair only.
fn pair_of(
    library: &Library,
    module: &Module,
    function: usize,
    at: (u16, usize),
    origin: &Origin,
    same: bool,
) -> Option<(String, String)> {
    let op = module.functions.get(function)?.blocks.get(usize::from(at.0))?.ops.get(at.1)?;
    let Op::Call { function, args } = op else { return None };
    let callee = callee(library, module, *function)?;
    let pairs: Vec<(&Place, &Place)> = callee
        .requires
        .iter()
        .filter_map(|prop| match prop {
            Prop::Same { a, b } if same => Some((a, b)),
            Prop::Differ { a, b } if !same => Some((a, b)),
            _ => None,
        })
        .collect();
    let [(a, b)] = pairs[..] else { return None };
    let name = |place: &Place| name_of(origin, *args.get(usize::from(place.var))?).filter(|_| place.path.is_empty());
    Some((name(a)?, name(b)?))
}

fn callee<'m>(library: &'m Library, module: &'m Module, function: Ref) -> Option<&'m Function> {
    match function.scope {
        0 => module.functions.get(usize::from(function.index)),
        n => {
            let import = module.imports.get(usize::from(n) - 1)?;
            library.units.get(import)?.module.functions.get(usize::from(function.index))
        }
    }
}

/// What the author calls a variable.
fn name_of(origin: &Origin, var: u16) -> Option<String> {
    let named = |(name, val): &&(String, Val)| !name.starts_with("self.") && val.repr == Repr::Var(var);
    origin.names.iter().rev().find(named).map(|(name, _)| name.clone())
}
