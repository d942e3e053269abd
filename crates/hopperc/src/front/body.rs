//! A body being put together: blocks, variables, what is used up, names in scope.

use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use hopper::ir::{Block, End, FunctionKind, Move, Op};

use super::module::{Front, R};
use super::props::{Names, Repr, Val};
use super::types::Ty;
use crate::diagnostic::Diagnostic;
use crate::syntax::{Node, ast};

/// A variable of the intermediate representation.
#[derive(Debug, Clone)]
pub(super) struct Local {
    pub ty: Ty,
    /// What the author calls it.
    pub name: String,
    pub born: Range<usize>,
    /// Where it was used up.
    pub gone: Option<Range<usize>>,
}

/// What a place of the program was made of, to tell about it later.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub range: Range<usize>,
    pub names: Rc<Names>,
}

struct Open {
    index: usize,
    base: usize,
    ops: Vec<Op>,
    /// It has ended: what comes after is not reached.
    ended: Option<End>,
}

/// Blocks of one function: more than any that the verifier has the patience for.
const BLOCKS_MAX: usize = 4096;

/// What is out and must be put back.
#[derive(Debug, Clone)]
pub(super) enum Hole {
    Row {
        var: u16,
    },
    Instance {
        var: u16,
        protocol: u16,
        targets: Vec<u16>,
    },
    /// An instance is to be started.
    Fresh {
        protocol: u16,
        targets: Vec<u16>,
    },
}

/// A body being put together.
pub(super) struct Body<'f> {
    pub front: &'f mut Front,
    pub kind: FunctionKind,
    pub vars: Vec<Local>,
    pub names: Rc<Names>,
    blocks: Vec<Option<Block>>,
    pub origins: Vec<Vec<Origin>>,
    open: Vec<Open>,
    pub holes: Vec<Hole>,
    pub mints: BTreeSet<u16>,
    pub burns: BTreeSet<u16>,
    pub moves: BTreeSet<Move>,
    /// Where the operation comes from that is being made.
    pub range: Range<usize>,
}

impl<'f> Body<'f> {
    pub fn new(front: &'f mut Front, kind: FunctionKind) -> Body<'f> {
        Body {
            front,
            kind,
            vars: Vec::new(),
            names: Rc::default(),
            blocks: Vec::new(),
            origins: Vec::new(),
            open: Vec::new(),
            holes: Vec::new(),
            mints: BTreeSet::new(),
            burns: BTreeSet::new(),
            moves: BTreeSet::new(),
            range: 0..0,
        }
    }

    pub fn linear(&self, ty: &Ty) -> bool {
        self.front.world.linear(ty)
    }

    pub fn show(&self, ty: &Ty) -> String {
        self.front.world.show(ty)
    }

    pub fn fail<T>(&self, node: &Node, message: impl Into<String>, label: impl Into<String>) -> R<T> {
        self.front.fail(node, message, label)
    }

    // ---- blocks and operations

    /// Begins a block with these variables.
    pub fn open(&mut self, params: &[(Ty, String)]) -> u16 {
        let index = self.blocks.len();
        self.blocks.push(None);
        self.origins.push(Vec::new());
        self.open.push(Open { index, base: self.vars.len(), ops: Vec::new(), ended: None });
        for (ty, name) in params {
            self.bind(ty.clone(), name);
        }
        index as u16
    }

    pub fn bind(&mut self, ty: Ty, name: &str) -> u16 {
        let var = self.vars.len() as u16;
        self.vars.push(Local { ty, name: name.to_owned(), born: self.range.clone(), gone: None });
        var
    }

    pub fn ended(&self) -> bool {
        self.open.last().is_some_and(|b| b.ended.is_some())
    }

    /// Makes an operation; its results are new variables, of which the first is given back.
    pub fn emit(&mut self, op: Op, results: &[Ty]) -> u16 {
        let first = self.vars.len() as u16;
        let origin = Origin { range: self.range.clone(), names: self.names.clone() };
        if let Some(open) = self.open.last_mut()
            && open.ended.is_none()
        {
            open.ops.push(op);
            self.origins[open.index].push(origin);
        }
        for ty in results {
            self.bind(ty.clone(), "");
        }
        first
    }

    /// Makes an operation with one result.
    pub fn value(&mut self, op: Op, ty: Ty) -> Val {
        let var = self.emit(op, std::slice::from_ref(&ty));
        Val::var(ty, var)
    }

    /// Refuses what comes after an abort.
    pub fn reached(&self, node: &Node) -> R<()> {
        if self.blocks.len() > BLOCKS_MAX {
            let help = "an arm `_` is there once for each variant that it stands for; make functions of parts";
            return self.front.fail_help(node, "more branches than a function may have", "this is one too many", help);
        }
        if self.ended() { self.fail(node, "this is never reached", "the way ended before") } else { Ok(()) }
    }

    /// Ends the block with an abort.
    pub fn abort(&mut self, end: End) {
        if let Some(open) = self.open.last_mut()
            && open.ended.is_none()
        {
            open.ended = Some(end);
        }
    }

    /// Ends the innermost block, with these values unless it ended before. Its variables of quantity 1 must be used up.
    pub fn close(&mut self, vars: Vec<u16>) -> R<bool> {
        let Some(open) = self.open.pop() else { return Ok(false) };
        let yields = open.ended.is_none();
        if yields && let Some(lost) = (open.base..self.vars.len()).find(|n| self.is_lost(*n)) {
            return Err(self.lost(lost));
        }
        self.vars.truncate(open.base);
        self.origins[open.index].push(Origin { range: self.range.clone(), names: self.names.clone() });
        self.blocks[open.index] = Some(Block { ops: open.ops, end: open.ended.unwrap_or(End::Yield { vars }) });
        Ok(yields)
    }

    fn is_lost(&self, n: usize) -> bool {
        self.vars[n].gone.is_none() && self.linear(&self.vars[n].ty)
    }

    fn lost(&self, n: usize) -> Box<Diagnostic> {
        let var = &self.vars[n];
        let at = |range: &Range<usize>| self.front.span(range.clone());
        let whole = match &var.ty {
            Ty::RowHole(table) => {
                let name = self.front.world.own().tables.get(usize::from(*table)).map_or("?", |t| t.name.as_str());
                let message = format!("a row of `{name}` is taken out and not put back");
                return Box::new(
                    Diagnostic::new(at(&var.born), message, "taken out here")
                        .help("end the block with `put row`, or with `close` if the row is to go"),
                );
            }
            Ty::InstanceHole(..) => {
                return Box::new(
                    Diagnostic::new(at(&self.range), "the move does not reach its next state", "on this way")
                        .help("end with the next state, as `Done` or `Funded { pot }`"),
                );
            }
            ty => self.show(ty),
        };
        let name = if var.name.is_empty() { "this value".to_owned() } else { format!("`{}`", var.name) };
        Box::new(
            Diagnostic::new(
                at(&var.born),
                format!("{name} would be lost"),
                format!("{whole} comes from here, and must go somewhere"),
            )
            .note("an asset is used exactly once on every way through a function")
            .help(self.advice(&var.ty)),
        )
    }

    fn advice(&self, ty: &Ty) -> String {
        match ty {
            Ty::Asset(r) if self.front.world.asset(*r).is_some_and(|a| a.measured) => {
                "put it into a row, hand it to a function, join it, or give it back as the result; \
                 `drop_zero(x)` ends one of amount 0, `burn(x)` one of this module"
                    .to_owned()
            }
            Ty::Option(_) => "open it with `match`, and say what becomes of the asset in it".to_owned(),
            Ty::List(..) | Ty::Map(..) => "put it back, or go through it with `fold x in drain ...`".to_owned(),
            _ => "put it into a row, hand it to a function, or give it back as the result".to_owned(),
        }
    }

    pub fn finish(self) -> (Vec<Block>, Vec<Vec<Origin>>) {
        (self.blocks.into_iter().flatten().collect(), self.origins)
    }

    // ---- using values

    /// Puts a value into one variable, and uses it up if it is of quantity 1.
    pub fn take(&mut self, val: &Val, node: &Node) -> R<u16> {
        self.range = ast::span(node);
        self.take_here(val)
    }

    /// As [`Body::take`], at the place where the last operation came from.
    pub fn take_here(&mut self, val: &Val) -> R<u16> {
        match &val.repr {
            Repr::Var(var) => {
                if self.linear(&val.ty) {
                    self.use_up(*var)?;
                }
                Ok(*var)
            }
            Repr::Unit => {
                let range = self.range.clone();
                let constant = self.front.constant(&Ty::Unit, Vec::new(), &range)?;
                Ok(self.emit(Op::Const { constant }, &[Ty::Unit]))
            }
            Repr::Parts(parts) => {
                let args = parts.iter().map(|p| self.take_here(p)).collect::<R<Vec<u16>>>()?;
                let range = self.range.clone();
                let ty = self.front.intern(&val.ty, &range)?;
                let made = self.emit(Op::Make { ty, args }, std::slice::from_ref(&val.ty));
                // Whoever asked for it uses it.
                if self.linear(&val.ty) {
                    self.use_up(made)?;
                }
                Ok(made)
            }
        }
    }

    fn use_up(&mut self, var: u16) -> R<()> {
        self.still_there(var)?;
        if !self.ended() {
            let range = self.range.clone();
            self.vars[usize::from(var)].gone = Some(range);
        }
        Ok(())
    }

    /// Refuses a variable of quantity 1 that was used up.
    pub fn still_there(&self, var: u16) -> R<()> {
        let Some(local) = self.vars.get(usize::from(var)) else { return Ok(()) };
        let Some(gone) = &local.gone else { return Ok(()) };
        if !self.linear(&local.ty) || self.ended() {
            return Ok(());
        }
        let name = if local.name.is_empty() { "this value".to_owned() } else { format!("`{}`", local.name) };
        Err(Box::new(
            Diagnostic::new(self.front.span(self.range.clone()), format!("{name} was used before"), "used again here")
                .also(self.front.span(gone.clone()), "used up here")
                .note("an asset is used exactly once on every way through a function")
                .help("split it first: `let (part, rest) = split(x, n)`; look at its amount before it is used"),
        ))
    }

    /// Puts a value of quantity 1 that is a record or tuple into its parts, so that they can go different ways.
    pub fn apart(&mut self, val: Val, name: &str) -> Val {
        let compound = matches!(val.ty, Ty::Record(_) | Ty::Tuple(_)) && self.linear(&val.ty);
        let val = match (&val.repr, compound) {
            (Repr::Var(var), true) => {
                let fields = self.front.world.fields(&val.ty).unwrap_or_default();
                let types: Vec<Ty> = fields.iter().map(|f| f.1.clone()).collect();
                let var = *var;
                if !self.ended()
                    && let Some(local) = self.vars.get_mut(usize::from(var))
                {
                    local.gone = Some(self.range.clone());
                }
                let first = self.emit(Op::Unpack { a: var }, &types);
                let parts = types.into_iter().zip(first..).map(|(ty, var)| Val::var(ty, var)).collect();
                Val { ty: val.ty, repr: Repr::Parts(parts) }
            }
            _ => val,
        };
        match val.repr {
            Repr::Parts(parts) => {
                let fields = self.front.world.fields(&val.ty).unwrap_or_default();
                let tuple = matches!(val.ty, Ty::Tuple(_));
                let mut opened = Vec::new();
                for (n, part) in parts.into_iter().enumerate() {
                    let field = fields.get(n).map(|f| f.0.clone()).unwrap_or_default();
                    let inner = if name.is_empty() || tuple { String::new() } else { format!("{name}.{field}") };
                    opened.push(self.apart(part, &inner));
                }
                Val { ty: val.ty, repr: Repr::Parts(opened) }
            }
            Repr::Var(var) => {
                if !name.is_empty()
                    && let Some(local) = self.vars.get_mut(usize::from(var))
                {
                    local.name = name.to_owned();
                }
                val
            }
            Repr::Unit => val,
        }
    }

    /// Gives a value a name.
    pub fn name(&mut self, name: &str, val: Val) {
        let val = self.apart(val, name);
        Rc::make_mut(&mut self.names).push((name.to_owned(), val));
    }

    /// Notes the type of a value where the author gives it a name, for tools.
    pub fn note(&mut self, range: Range<usize>, ty: &Ty) {
        let shown = self.show(ty);
        self.front.bindings.push((range, shown));
    }

    // ---- branches

    /// What is used up among the first variables.
    pub fn gone(&self, base: usize) -> Vec<Option<Range<usize>>> {
        self.vars[..base].iter().map(|v| v.gone.clone()).collect()
    }

    pub fn restore(&mut self, gone: &[Option<Range<usize>>]) {
        for (var, gone) in self.vars.iter_mut().zip(gone) {
            var.gone.clone_from(gone);
        }
    }

    /// Ways that yield must use up the same.
    pub fn agree(&self, ways: &[Vec<Option<Range<usize>>>]) -> R<()> {
        let Some(first) = ways.first() else { return Ok(()) };
        for way in &ways[1..] {
            for (n, (a, b)) in first.iter().zip(way).enumerate() {
                let ((Some(used), None) | (None, Some(used))) = (a, b) else { continue };
                if !self.linear(&self.vars[n].ty) {
                    continue;
                }
                let name = match (&self.vars[n].ty, self.vars[n].name.as_str()) {
                    (Ty::RowHole(_), _) => "the row that is out".to_owned(),
                    (Ty::InstanceHole(..), _) => "the instance".to_owned(),
                    (_, "") => "a value".to_owned(),
                    (_, name) => format!("`{name}`"),
                };
                return Err(Box::new(
                    Diagnostic::new(
                        self.front.span(self.range.clone()),
                        format!("{name} is used on one way and not on another"),
                        "the ways differ",
                    )
                    .also(self.front.span(used.clone()), "used here")
                    .help("use it on every way; a way that ends with `abort` need not"),
                ));
            }
        }
        Ok(())
    }
}
