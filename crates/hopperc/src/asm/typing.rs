//! What is known of the types of variables: enough to find fields by name and to count results. Nothing is judged here.

use std::collections::BTreeMap;

use hopper::ir::{Field, Label, Module, ModuleId, Op, Ref, Type};

/// A type in [`Env`], if known.
pub(super) type Typ = Option<u16>;
/// A field: its name, if it has one, and its type.
pub(super) type Named = (Option<Label>, Typ);

/// Modules known beyond the direct imports.
const FAR_MAX: usize = 64;

/// A module in sight.
#[derive(Default)]
struct Scope {
    id: Option<ModuleId>,
    module: Option<Module>,
    /// Its table of types.
    types: Vec<Typ>,
    /// The scope of each of its imports.
    imports: Vec<u16>,
}

/// Modules in sight, and types, each once. Scope 0 is the module at hand, its imports follow, then what those import.
#[derive(Default)]
pub(super) struct Env {
    scopes: Vec<Scope>,
    /// Parts are places in here, declarations places in `scopes`.
    all: Vec<Type>,
    places: BTreeMap<Type, u16>,
}

/// Sorts of declarations that have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Record,
    Enum,
    Asset,
    Table,
    Protocol,
    Error,
    Event,
    Function,
}

impl Sort {
    pub fn name(self) -> &'static str {
        match self {
            Sort::Record => "record",
            Sort::Enum => "enum",
            Sort::Asset => "asset",
            Sort::Table => "table",
            Sort::Protocol => "protocol",
            Sort::Error => "error",
            Sort::Event => "event",
            Sort::Function => "function",
        }
    }

    /// The names of a module's declarations, in order.
    pub fn labels(self, module: &Module) -> Vec<&Label> {
        match self {
            Sort::Record => module.records.iter().map(|d| &d.name).collect(),
            Sort::Enum => module.enums.iter().map(|d| &d.name).collect(),
            Sort::Asset => module.assets.iter().map(|d| &d.name).collect(),
            Sort::Table => module.tables.iter().map(|d| &d.name).collect(),
            Sort::Protocol => module.protocols.iter().map(|d| &d.name).collect(),
            Sort::Error => module.errors.iter().map(|d| &d.name).collect(),
            Sort::Event => module.events.iter().map(|d| &d.name).collect(),
            Sort::Function => module.functions.iter().map(|d| &d.name).collect(),
        }
    }

    /// The first declaration of a name.
    pub fn find(self, module: &Module, name: &str) -> Option<u16> {
        let found = self.labels(module).iter().position(|l| l.as_str() == name)?;
        u16::try_from(found).ok()
    }
}

impl Env {
    /// A module and what it imports.
    pub fn new(own: Module, known: &dyn Fn(&ModuleId) -> Option<Module>) -> Env {
        let mut env = Env::default();
        env.scopes.push(Scope::default());
        for id in &own.imports {
            env.scopes.push(Scope { id: Some(*id), module: known(id), ..Scope::default() });
        }
        let last = env.scopes.len() + FAR_MAX;
        env.scopes[0].imports = (1..env.scopes.len()).map(|n| n as u16).collect();
        env.scopes[0].module = Some(own);
        let mut next = 1;
        while next < env.scopes.len() {
            let ids = env.scopes[next].module.as_ref().map(|m| m.imports.clone()).unwrap_or_default();
            let mut imports = Vec::new();
            for id in ids {
                let found = env.scopes.iter().position(|s| s.id == Some(id));
                let place = found.unwrap_or(env.scopes.len());
                if found.is_none() && place < last {
                    env.scopes.push(Scope { id: Some(id), module: known(&id), ..Scope::default() });
                }
                imports.push(u16::try_from(place).unwrap_or(u16::MAX));
            }
            env.scopes[next].imports = imports;
            next += 1;
        }
        for scope in 0..env.scopes.len() {
            let types = env.scopes[scope].module.as_ref().map(|m| m.types.clone()).unwrap_or_default();
            for ty in &types {
                env.note(scope, ty);
            }
        }
        env
    }

    /// One more type in the table of a module.
    pub fn note(&mut self, scope: usize, ty: &Type) {
        let typ = self.translate(scope, ty);
        if let Some(scope) = self.scopes.get_mut(scope) {
            scope.types.push(typ);
        }
    }

    fn translate(&mut self, scope: usize, ty: &Type) -> Typ {
        let here = self.scopes.get(scope)?;
        let part = |ix: u16| here.types.get(usize::from(ix)).copied().flatten();
        let far = |r: Ref| -> Option<Ref> {
            let scope = match r.scope {
                0 => u16::try_from(scope).ok()?,
                n => *here.imports.get(usize::from(n) - 1)?,
            };
            Some(Ref { scope, index: r.index })
        };
        let found = match ty {
            Type::Id { protocol } => Type::Id { protocol: far(*protocol)? },
            Type::Option { of } => Type::Option { of: part(*of)? },
            Type::List { of, max } => Type::List { of: part(*of)?, max: *max },
            Type::Map { key, value, max } => Type::Map { key: part(*key)?, value: part(*value)?, max: *max },
            Type::Tuple { items } => Type::Tuple { items: items.iter().map(|i| part(*i)).collect::<Option<_>>()? },
            Type::Record { of } => Type::Record { of: far(*of)? },
            Type::Enum { of } => Type::Enum { of: far(*of)? },
            Type::Asset { of } => Type::Asset { of: far(*of)? },
            Type::RowHole { .. } | Type::InstanceHole { .. } if scope != 0 => return None,
            other => other.clone(),
        };
        self.intern(found)
    }

    /// The place of a type whose parts have places.
    pub fn intern(&mut self, ty: Type) -> Typ {
        if let Some(found) = self.places.get(&ty) {
            return Some(*found);
        }
        let place = u16::try_from(self.all.len()).ok()?;
        self.all.push(ty.clone());
        self.places.insert(ty, place);
        Some(place)
    }

    /// What a type is.
    pub fn get(&self, typ: Typ) -> Option<&Type> {
        self.all.get(usize::from(typ?))
    }

    /// A type of the module's own table.
    pub fn own(&self, ix: u16) -> Typ {
        self.at_scope(0, ix)
    }

    fn at_scope(&self, scope: u16, ix: u16) -> Typ {
        self.scopes.get(usize::from(scope))?.types.get(usize::from(ix)).copied().flatten()
    }

    /// A module in sight.
    pub fn module(&self, scope: u16) -> Option<&Module> {
        self.scopes.get(usize::from(scope))?.module.as_ref()
    }

    /// How many scopes this module itself can name.
    pub fn near(&self) -> usize {
        self.scopes.first().map_or(0, |s| s.imports.len() + 1)
    }

    fn named(&self, scope: u16, fields: &[Field]) -> Vec<Named> {
        fields.iter().map(|f| (Some(f.name.clone()), self.at_scope(scope, f.ty))).collect()
    }

    /// Names and types of the fields of a record, tuple or asset.
    pub fn fields(&self, typ: Typ) -> Option<Vec<Named>> {
        match self.get(typ)? {
            Type::Tuple { items } => Some(items.iter().map(|i| (None, Some(*i))).collect()),
            Type::Record { of } => {
                let record = self.module(of.scope)?.records.get(usize::from(of.index))?;
                Some(self.named(of.scope, &record.fields))
            }
            Type::Asset { of } => {
                let asset = self.module(of.scope)?.assets.get(usize::from(of.index))?;
                Some(self.named(of.scope, &asset.fields))
            }
            _ => None,
        }
    }

    /// Names and types of fields of the variants of an enum or option.
    pub fn variants(&self, typ: Typ) -> Option<Vec<(String, Vec<Named>)>> {
        match self.get(typ)? {
            Type::Option { of } => {
                Some(vec![("None".to_owned(), Vec::new()), ("Some".to_owned(), vec![(None, Some(*of))])])
            }
            Type::Enum { of } => {
                let declared = self.module(of.scope)?.enums.get(usize::from(of.index))?;
                let variants = declared.variants.iter();
                Some(variants.map(|v| (v.name.as_str().to_owned(), self.named(of.scope, &v.fields))).collect())
            }
            _ => None,
        }
    }

    /// The first field of a name.
    pub fn field(&self, typ: Typ, name: &str) -> Option<u8> {
        let fields = self.fields(typ)?;
        let found = fields.iter().position(|(l, _)| l.as_ref().is_some_and(|l| l.as_str() == name))?;
        u8::try_from(found).ok()
    }

    /// The type of one field.
    pub fn step(&self, typ: Typ, field: u8) -> Typ {
        self.fields(typ)?.get(usize::from(field))?.1
    }

    /// The type at a path.
    pub fn at(&self, typ: Typ, path: &[u8]) -> Typ {
        path.iter().fold(typ, |typ, field| self.step(typ, *field))
    }

    /// What a list or map holds: its keys, if it has some, and its elements.
    pub fn elements(&self, typ: Typ) -> Option<Vec<Typ>> {
        match self.get(typ)? {
            Type::List { of, .. } => Some(vec![Some(*of)]),
            Type::Map { key, value, .. } => Some(vec![Some(*key), Some(*value)]),
            _ => None,
        }
    }

    fn option(&mut self, of: Typ) -> Typ {
        let of = of?;
        self.intern(Type::Option { of })
    }

    /// The types of an operation's results; `None` if not even their number is known. `constant` is the type of the
    /// constant if it is one.
    pub fn results(&mut self, op: &Op, vars: &[Typ], constant: Typ) -> Option<Vec<Typ>> {
        let var = |v: u16| vars.get(usize::from(v)).copied().flatten();
        let own = |ix: u16| self.own(ix);
        Some(match op {
            Op::Const { .. } => vec![constant],
            Op::Arith { a, .. }
            | Op::Share { a, .. }
            | Op::Slice { a, .. }
            | Op::With { a, .. }
            | Op::Join { a, .. }
            | Op::Push { list: a, .. } => vec![var(*a)],
            Op::Cast { ty, .. }
            | Op::MulDiv { ty, .. }
            | Op::Concat { ty, .. }
            | Op::Make { ty, .. }
            | Op::Inject { ty, .. }
            | Op::List { ty, .. }
            | Op::MapNew { ty }
            | Op::Scan { ty, .. } => vec![own(*ty)],
            Op::Compare { .. }
            | Op::And { .. }
            | Op::Or { .. }
            | Op::Not { .. }
            | Op::MapHas { .. }
            | Op::VerifySignature { .. }
            | Op::Authority { .. }
            | Op::Has { .. } => vec![self.intern(Type::Bool)],
            Op::Length { .. } => vec![self.intern(Type::Int { signed: false, bits: 32 })],
            Op::Get { place } => vec![self.at(var(place.var), &place.path)],
            Op::Unpack { a } => self.fields(var(*a))?.into_iter().map(|f| f.1).collect(),
            Op::Match { results, .. } | Op::If { results, .. } => results.iter().map(|ty| own(*ty)).collect(),
            Op::Check { .. }
            | Op::Assert { .. }
            | Op::DropEmpty { .. }
            | Op::Require { .. }
            | Op::Put { .. }
            | Op::Close { .. }
            | Op::Insert { .. }
            | Op::Become { .. }
            | Op::Burn { .. }
            | Op::DropZero { .. }
            | Op::Emit { .. } => Vec::new(),
            Op::GhostLet { .. } => vec![self.intern(Type::Ghost)],
            Op::At { list, .. } => {
                let of = self.elements(var(*list)).and_then(|e| e.last().copied()).flatten();
                vec![self.option(of)]
            }
            Op::MapGet { map, .. } => {
                let of = self.elements(var(*map)).and_then(|e| e.last().copied()).flatten();
                vec![self.option(of)]
            }
            Op::MapPut { map, .. } | Op::MapTake { map, .. } => {
                let of = self.elements(var(*map)).and_then(|e| e.last().copied()).flatten();
                vec![var(*map), self.option(of)]
            }
            Op::Fold { init, .. } | Op::Iterate { init, .. } => init.iter().map(|v| var(*v)).collect(),
            Op::Call { function, .. } => {
                let module = self.module(function.scope);
                let result = module.and_then(|m| m.functions.get(usize::from(function.index))).map(|f| f.result);
                vec![result.and_then(|ty| self.at_scope(function.scope, ty))]
            }
            Op::Hash { .. } | Op::CommandDigest => vec![self.intern(Type::Digest)],
            Op::DateAdd { .. } | Op::DateOf { .. } => vec![self.intern(Type::Date)],
            Op::Sender => vec![self.intern(Type::Party)],
            Op::Now => vec![self.intern(Type::Time)],
            Op::Take { table, .. } => {
                let row = self.module(0).and_then(|m| m.tables.get(usize::from(*table))).map(|t| t.row);
                vec![row.and_then(own), self.intern(Type::RowHole { table: *table })]
            }
            Op::Peek { table, path, .. } => {
                let row = self.module(0).and_then(|m| m.tables.get(usize::from(*table))).map(|t| t.row);
                let at = self.at(row.and_then(own), path);
                vec![self.option(at)]
            }
            Op::Start { protocol, .. } => {
                vec![self.intern(Type::Id { protocol: Ref { scope: 0, index: *protocol } })]
            }
            Op::Enter { protocol, state, .. } => {
                let declared = self.module(0)?.protocols.get(usize::from(*protocol))?;
                let fields = &declared.states.get(usize::from(*state))?.fields;
                let mut all: Vec<Typ> = declared.params.iter().chain(fields).map(|f| own(f.ty)).collect();
                all.push(self.intern(Type::InstanceHole { protocol: *protocol, state: *state }));
                all
            }
            Op::Zero { asset, .. } => vec![self.intern(Type::Asset { of: *asset })],
            Op::Mint { asset, .. } | Op::Create { asset, .. } => {
                vec![self.intern(Type::Asset { of: Ref { scope: 0, index: *asset } })]
            }
            Op::Split { a, .. } => vec![var(*a), var(*a)],
        })
    }
}
