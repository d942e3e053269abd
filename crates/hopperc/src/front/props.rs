//! Names of values, places, propositions, guards.

use std::collections::BTreeMap;

use hopper::ir::{Guard, GuardNode, Linear, Measure, Monomial, Place, Prop};

use super::module::{Front, R, nearest, number};
use super::types::{Ty, World};
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast};

/// A value at hand: its type, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Val {
    pub ty: Ty,
    pub repr: Repr,
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repr {
    /// The only value of its type: nowhere.
    Unit,
    /// In a variable.
    Var(u16),
    /// In parts: of a tuple or record, in order.
    Parts(Vec<Val>),
}

impl Val {
    pub fn unit() -> Val {
        Val { ty: Ty::Unit, repr: Repr::Unit }
    }

    pub fn never() -> Val {
        Val { ty: Ty::Never, repr: Repr::Unit }
    }

    pub fn var(ty: Ty, var: u16) -> Val {
        Val { ty, repr: Repr::Var(var) }
    }
}

/// Names in scope, the innermost last.
pub(super) type Names = Vec<(String, Val)>;

pub(super) fn lookup<'n>(names: &'n Names, name: &str) -> Option<&'n Val> {
    names.iter().rev().find(|n| n.0 == name).map(|n| &n.1)
}

/// A place in the making: a variable and fields, or a value in parts.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub val: Val,
    pub path: Vec<u8>,
    /// The type at the path.
    pub ty: Ty,
}

impl Spot {
    fn of(val: Val) -> Spot {
        Spot { ty: val.ty.clone(), val, path: Vec::new() }
    }

    fn field(self, world: &World, name: &str) -> Option<Spot> {
        let (n, ty) = world.field(&self.ty, name)?;
        if let (Repr::Parts(parts), true) = (&self.val.repr, self.path.is_empty()) {
            return parts.get(usize::from(n)).cloned().map(Spot::of);
        }
        let mut path = self.path;
        path.push(n);
        Some(Spot { val: self.val, path, ty })
    }

    /// As a place of the intermediate representation, unless the value is in parts or nowhere.
    pub fn place(&self) -> Option<Place> {
        match self.val.repr {
            Repr::Var(var) => Some(Place { var, path: self.path.clone() }),
            _ => None,
        }
    }
}

/// The names of fields that a node adds to what stands before: one, or two for `.0.1`.
pub(super) fn field_names(node: &Node) -> Vec<String> {
    let last = ast::tokens(node).last();
    last.map(|t| t.text().split('.').map(str::to_owned).collect()).unwrap_or_default()
}

impl Front {
    /// The place that an expression names, if it names one.
    pub fn spot(&self, names: &Names, node: &Node) -> R<Option<Spot>> {
        let node = ast::bare(node);
        match node.kind() {
            K::NameExpr => Ok(ast::word(&node, 0).and_then(|w| lookup(names, w.text()).cloned()).map(Spot::of)),
            K::FieldExpr => {
                let Some(base) = ast::expr(&node, 0) else { return Ok(None) };
                let Some(mut spot) = self.spot(names, &base)? else { return Ok(None) };
                for name in field_names(&node) {
                    let ty = spot.ty.clone();
                    spot = match spot.field(&self.world, &name) {
                        Some(spot) => spot,
                        None => return self.no_field(&node, &ty, &name),
                    };
                }
                Ok(Some(spot))
            }
            _ => Ok(None),
        }
    }

    pub fn no_field<T>(&self, node: &Node, ty: &Ty, name: &str) -> R<T> {
        let fields = self.world.fields(ty).unwrap_or_default();
        let names: Vec<&str> = fields.iter().map(|f| f.0.as_str()).collect();
        let message = format!("{} has no field `{name}`", self.world.show(ty));
        let label = if names.is_empty() {
            "it has no fields".to_owned()
        } else {
            format!("its fields are {}", names.join(", "))
        };
        match nearest(name, names.iter().copied()) {
            Some(near) => self.fail_help(node, message, label, format!("did you mean `{near}`?")),
            None => self.fail(node, message, label),
        }
    }

    /// The place that an expression must name.
    pub fn place(&self, names: &Names, node: &Node) -> R<(Place, Ty)> {
        if let Some(spot) = self.spot(names, node)? {
            match spot.place() {
                Some(place) => return Ok((place, spot.ty)),
                None => return self.fail(node, "this value is in parts here", "name one of its fields"),
            }
        }
        let bare = ast::bare(node);
        if bare.kind() == K::NameExpr {
            return self.unknown_name(names, &bare);
        }
        self.fail_help(node, "a name or field is wanted here", "this is computed", "give it a name with `let` first")
    }

    pub fn unknown_name<T>(&self, names: &Names, node: &Node) -> R<T> {
        let name = ast::text(node);
        let known = names.iter().map(|n| n.0.as_str()).chain(self.consts.keys().map(String::as_str));
        let message = format!("there is no `{name}` here");
        match nearest(&name, known) {
            Some(near) => self.fail_help(node, message, "not known", format!("did you mean `{near}`?")),
            None => self.fail(node, message, "not known"),
        }
    }

    // ---- propositions

    /// The propositions that a conjunction states.
    pub fn props(&self, names: &Names, node: &Node) -> R<Vec<Prop>> {
        let mut props = Vec::new();
        for part in ast::conjuncts(node) {
            self.prop(names, &part, &mut props)?;
        }
        Ok(props)
    }

    fn prop(&self, names: &Names, node: &Node, props: &mut Vec<Prop>) -> R<()> {
        match node.kind() {
            K::BinExpr => return self.comparison(names, node, props),
            K::PrefixExpr if ast::operator(node) == Some(K::Bang) => {
                if let Some(inner) = ast::expr(node, 0)
                    && let Some(spot) = self.spot(names, &inner)?
                    && spot.ty == Ty::Bool
                {
                    props.push(Prop::Zero { linear: self.linear(names, &inner)? });
                    return Ok(());
                }
            }
            K::CallExpr => {
                let callee = ast::expr(node, 0).map(|c| ast::text(&c)).unwrap_or_default();
                if callee == "distinct" {
                    let places: Vec<(Place, Ty)> =
                        ast::args(node).iter().map(|a| self.place(names, a)).collect::<R<_>>()?;
                    for (n, (a, _)) in places.iter().enumerate() {
                        props.extend(places[..n].iter().map(|(b, _)| Prop::Differ { a: b.clone(), b: a.clone() }));
                    }
                    return Ok(());
                }
            }
            K::Literal | K::NameExpr | K::FieldExpr => {
                if let Some(spot) = self.spot(names, node)?
                    && spot.ty == Ty::Bool
                {
                    let mut linear = self.linear(names, node)?;
                    linear.constant -= 1;
                    props.push(Prop::Zero { linear });
                    return Ok(());
                }
            }
            _ => {}
        }
        self.fail_help(
            node,
            "this is no proposition that can be proved",
            "comparisons of sums, and of parties, ids, digests and texts, are",
            "join several with `&&`; what is more than that is checked at run time: `check ... else ...`",
        )
    }

    fn comparison(&self, names: &Names, node: &Node, props: &mut Vec<Prop>) -> R<()> {
        let (Some(left), Some(right), Some(op)) = (ast::expr(node, 0), ast::expr(node, 1), ast::operator(node)) else {
            return self.fail(node, "a comparison is not complete", "here");
        };
        if matches!(op, K::EqEq | K::NotEq)
            && let (Some(a), Some(b)) = (self.spot(names, &left)?, self.spot(names, &right)?)
            && a.ty.is_symbol()
        {
            if a.ty != b.ty {
                let types = format!("{} and {}", self.world.show(&a.ty), self.world.show(&b.ty));
                return self.fail(node, "two things of different types are compared", types);
            }
            let (a, b) = (self.place(names, &left)?.0, self.place(names, &right)?.0);
            props.push(if op == K::EqEq { Prop::Same { a, b } } else { Prop::Differ { a, b } });
            return Ok(());
        }
        let (a, b) = (self.sum(names, &left)?, self.sum(names, &right)?);
        let (less, more, gap) = match op {
            K::LtEq | K::EqEq => (a, b, 0),
            K::Lt => (a, b, 1),
            K::GtEq => (b, a, 0),
            K::Gt => (b, a, 1),
            K::NotEq => {
                return self.fail_help(
                    node,
                    "that two numbers differ is two cases, and no proposition",
                    "`<=`, `<`, `==` are",
                    "say which is less, as `a < b`; above 0 is `n > 0`",
                );
            }
            _ => return self.fail(node, "this is no proposition", "a comparison is wanted"),
        };
        let sum = less.plus(&more, -1).and_then(|mut sum| {
            sum.constant = sum.constant.checked_add(gap)?;
            Some(sum)
        });
        let Some(sum) = sum else { return self.fail(node, "the numbers are beyond 2^127", "in this sum") };
        let linear = sum.linear();
        props.push(if op == K::EqEq { Prop::Zero { linear } } else { Prop::AtMostZero { linear } });
        Ok(())
    }

    /// The sum that an expression is.
    pub fn linear(&self, names: &Names, node: &Node) -> R<Linear> {
        Ok(self.sum(names, node)?.linear())
    }

    fn sum(&self, names: &Names, node: &Node) -> R<Sum> {
        let node = ast::bare(node);
        let beyond = || self.fail(&node, "the numbers are beyond 2^127", "in this sum");
        match node.kind() {
            K::Literal => {
                let token = ast::tokens(&node).next();
                let n = token.and_then(|t| match t.kind() {
                    K::Number => number(t.text()),
                    K::Duration => super::module::duration(t.text()).map(i128::from),
                    K::Ident => Some(i128::from(t.text() == "true")),
                    _ => None,
                });
                match n {
                    Some(n) => Ok(Sum::number(n)),
                    None => self.fail(&node, "a whole number is wanted in a proposition", "here"),
                }
            }
            K::BinExpr => {
                let (Some(a), Some(b)) = (ast::expr(&node, 0), ast::expr(&node, 1)) else { return beyond() };
                let (a, b) = (self.sum(names, &a)?, self.sum(names, &b)?);
                let sum = match ast::operator(&node) {
                    Some(K::Plus) => a.plus(&b, 1),
                    Some(K::Minus) => a.plus(&b, -1),
                    Some(K::Star) if a.terms.is_empty() => Sum::default().plus(&b, a.constant),
                    Some(K::Star) if b.terms.is_empty() => Sum::default().plus(&a, b.constant),
                    _ => {
                        return self.fail_help(
                            &node,
                            "propositions are about sums",
                            "a product of two unknowns, or a quotient, is none",
                            "give it a name with `let` in the body, and check what you need of it",
                        );
                    }
                };
                sum.map_or_else(beyond, Ok)
            }
            K::PrefixExpr => {
                let inner = ast::expr(&node, 0);
                let inner = inner.map_or_else(|| Ok(Sum::default()), |i| self.sum(names, &i))?;
                Sum::default().plus(&inner, -1).map_or_else(beyond, Ok)
            }
            // The number is the same in another type.
            K::CastExpr => ast::expr(&node, 0).map_or_else(beyond, |i| self.sum(names, &i)),
            K::CallExpr => self.measure(names, &node),
            K::NameExpr if self.spot(names, &node)?.is_none() => {
                let name = ast::text(&node);
                match self.constant_number(&name) {
                    Some(n) => Ok(Sum::number(n)),
                    None => self.unknown_name(names, &node),
                }
            }
            _ => {
                let (place, ty) = self.place(names, &node)?;
                if !ty.is_number() && !matches!(ty, Ty::Bool | Ty::Ghost) {
                    let label = format!("this is {}", self.world.show(&ty));
                    return self.fail(&node, "a number is wanted in a proposition", label);
                }
                Ok(Sum::of(place, Measure::Value))
            }
        }
    }

    /// `len(x)` or `sum(x.field)`.
    fn measure(&self, names: &Names, node: &Node) -> R<Sum> {
        let callee = ast::expr(node, 0).map(|c| ast::text(&c)).unwrap_or_default();
        let args = ast::args(node);
        match (callee.as_str(), args.as_slice()) {
            ("len", [of]) => Ok(Sum::of(self.place(names, of)?.0, Measure::Length)),
            ("sum", [of]) => {
                // Fields up to the list or map, then those in its elements.
                let mut fields = Vec::new();
                let mut base = ast::bare(of);
                let mut spot = self.spot_or_list(names, &base)?;
                while spot.is_none() && base.kind() == K::FieldExpr {
                    let mut more = field_names(&base);
                    more.extend(std::mem::take(&mut fields));
                    fields = more;
                    match ast::expr(&base, 0) {
                        Some(inner) => base = ast::bare(&inner),
                        None => break,
                    }
                    spot = self.spot_or_list(names, &base)?;
                }
                let Some(spot) = spot else { return self.fail(of, "a list or map is wanted", "a sum is over one") };
                let (Some(place), Ty::List(element, _) | Ty::Map(_, element, _)) = (spot.place(), &spot.ty) else {
                    return self.fail(of, "a list or map is wanted", format!("this is {}", self.world.show(&spot.ty)));
                };
                let (mut path, mut ty) = (Vec::new(), (**element).clone());
                for name in fields {
                    match self.world.field(&ty, &name) {
                        Some((n, next)) => {
                            path.push(n);
                            ty = next;
                        }
                        None => return self.no_field(of, &ty, &name),
                    }
                }
                Ok(Sum::of(place, Measure::Sum(path)))
            }
            _ => self.fail_help(
                node,
                "a proposition does not call functions",
                "only len(...) and sum(...)",
                "what is to be known of a result stands in the `ensures` of its function",
            ),
        }
    }

    /// The place named, if a list or map is there.
    fn spot_or_list(&self, names: &Names, node: &Node) -> R<Option<Spot>> {
        let found = match self.spot(names, node) {
            Ok(found) => found,
            // A field of the elements, perhaps.
            Err(_) if node.kind() == K::FieldExpr => None,
            Err(told) => return Err(told),
        };
        Ok(found.filter(|s| matches!(s.ty, Ty::List(..) | Ty::Map(..)) || node.kind() == K::NameExpr))
    }

    // ---- guards

    /// The tree of a guard, its leaves first.
    pub fn guard(&self, names: &Names, node: &Node) -> R<Guard> {
        let mut nodes = Vec::new();
        self.guard_node(names, node, &mut nodes)?;
        Ok(nodes)
    }

    fn guard_node(&self, names: &Names, node: &Node, nodes: &mut Guard) -> R<()> {
        let node = ast::bare(node);
        let head = || ast::expr(&node, 0).map(|h| ast::text(&h)).unwrap_or_default();
        let many = |front: &Front, k: Option<u16>, parts: &[Node], nodes: &mut Guard| -> R<()> {
            for part in parts {
                front.guard_node(names, part, nodes)?;
            }
            let of = parts.len() as u16;
            let k = k.unwrap_or(of);
            if of == 0 || k == 0 || k > of {
                return front.fail(&node, "nobody or more than all would have to agree", format!("{k} of {of}"));
            }
            nodes.push(GuardNode::AtLeast { k, of });
            Ok(())
        };
        match node.kind() {
            K::RoleExpr => {
                let name = ast::text(&node);
                let at = self.module.roles.iter().position(|r| r.as_str() == name.trim_start_matches('@'));
                nodes.push(GuardNode::Role { role: at.unwrap_or_default() as u16 });
                Ok(())
            }
            K::IndexExpr if head() == "All" => many(self, None, &ast::args(&node), nodes),
            K::IndexExpr if head() == "Any" => many(self, Some(1), &ast::args(&node), nodes),
            K::CallExpr => {
                let args = ast::args(&node);
                match (head().as_str(), args.as_slice()) {
                    ("AtLeast", [k, list]) if list.kind() == K::ListExpr => {
                        let k = number(&ast::text(k)).or_else(|| self.constant_number(&ast::text(k)));
                        let Some(k) = k.and_then(|k| u16::try_from(k).ok()) else {
                            return self.fail(&args[0], "a number is wanted", "how many must agree");
                        };
                        many(self, Some(k), &ast::exprs(list), nodes)
                    }
                    ("After" | "Before", [time]) => {
                        let (place, ty) = self.place(names, time)?;
                        if ty != Ty::Time {
                            return self.fail(time, "a time is wanted", format!("this is {}", self.world.show(&ty)));
                        }
                        let after = head() == "After";
                        nodes.push(if after { GuardNode::After { place } } else { GuardNode::Before { place } });
                        Ok(())
                    }
                    _ => self.no_guard(&node),
                }
            }
            K::TryExpr => {
                let Some(inner) = ast::expr(&node, 0) else { return self.no_guard(&node) };
                let (place, ty) = self.place(names, &inner)?;
                if ty != Ty::Option(Box::new(Ty::Party)) {
                    return self.fail(
                        &inner,
                        "an option of a party is wanted before `?`",
                        format!("this is {}", self.world.show(&ty)),
                    );
                }
                nodes.push(GuardNode::IfSome { place });
                Ok(())
            }
            K::NameExpr | K::FieldExpr => {
                let (place, ty) = self.place(names, &node)?;
                if ty != Ty::Party {
                    let label = format!("this is {}", self.world.show(&ty));
                    return self.fail(&node, "only a party can agree", label);
                }
                nodes.push(GuardNode::Party { place });
                Ok(())
            }
            _ => self.no_guard(&node),
        }
    }

    fn no_guard<T>(&self, node: &Node) -> R<T> {
        self.fail_help(
            node,
            "this is no guard",
            "who must agree?",
            "a party, @role, All[..], Any[..], AtLeast(k, [..]), After(time), Before(time), or party? for an option",
        )
    }
}

/// A sum in the making.
#[derive(Debug, Clone, Default)]
struct Sum {
    constant: i128,
    terms: BTreeMap<(Place, Measure), i128>,
}

impl Sum {
    fn number(constant: i128) -> Sum {
        Sum { constant, terms: BTreeMap::new() }
    }

    fn of(place: Place, measure: Measure) -> Sum {
        Sum { constant: 0, terms: BTreeMap::from([((place, measure), 1)]) }
    }

    /// This and so many times another.
    fn plus(&self, other: &Sum, times: i128) -> Option<Sum> {
        let mut sum = self.clone();
        sum.constant = sum.constant.checked_add(other.constant.checked_mul(times)?)?;
        for (key, factor) in &other.terms {
            let term = sum.terms.entry(key.clone()).or_default();
            *term = term.checked_add(factor.checked_mul(times)?)?;
        }
        Some(sum)
    }

    fn linear(self) -> Linear {
        let terms = self.terms.into_iter().filter(|(_, factor)| *factor != 0);
        let terms = terms.map(|((place, measure), factor)| Monomial { factor, place, measure }).collect();
        Linear { constant: self.constant, terms }
    }
}
