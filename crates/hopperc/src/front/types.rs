//! Types as the checker sees them, and what the modules in sight declare.

use hopper::ir::{FunctionKind, Lineage, Ref, Type, TypeIx};
use hopper::library::Unit;

/// A type. Declared ones are named by scope (0 for this module, `n` for import `n - 1`) and place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ty {
    Unit,
    Bool,
    Int {
        signed: bool,
        bits: u8,
    },
    Dec(u8),
    Text(u32),
    Bytes(u32),
    Digest,
    Party,
    Time,
    Date,
    Ghost,
    Id(Ref),
    Option(Box<Ty>),
    List(Box<Ty>, u32),
    Map(Box<Ty>, Box<Ty>, u32),
    Tuple(Vec<Ty>),
    Record(Ref),
    Enum(Ref),
    Asset(Ref),
    RowHole(u16),
    InstanceHole(u16, u16),
    /// Of what comes after an abort: fits everywhere.
    Never,
    /// Declared by a module that is not imported here.
    Unknown,
}

impl Ty {
    pub const NAT32: Ty = Ty::Int { signed: false, bits: 32 };
    pub const NAT64: Ty = Ty::Int { signed: false, bits: 64 };
    pub const INT32: Ty = Ty::Int { signed: true, bits: 32 };

    /// Has arithmetic order: numbers, decimals, times, dates.
    pub fn is_number(&self) -> bool {
        matches!(self, Ty::Int { .. } | Ty::Dec(_) | Ty::Time | Ty::Date)
    }

    /// Known to proofs by equality only.
    pub fn is_symbol(&self) -> bool {
        matches!(self, Ty::Party | Ty::Digest | Ty::Id(_) | Ty::Text(_))
    }
}

/// A name with fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    pub name: String,
    pub fields: Vec<(String, Ty)>,
}

#[derive(Debug, Clone)]
pub(super) struct AssetDecl {
    pub shape: Shape,
    pub measured: bool,
    pub signed: Option<u16>,
}

#[derive(Debug, Clone)]
pub(super) struct StateDecl {
    pub shape: Shape,
    pub last: bool,
}

#[derive(Debug, Clone)]
pub(super) struct ProtocolDecl {
    pub name: String,
    pub params: Vec<(String, Ty)>,
    pub states: Vec<StateDecl>,
}

#[derive(Debug, Clone)]
pub(super) struct TableDecl {
    pub name: String,
    pub key: Ty,
    pub row: Ty,
}

/// What a caller sees of a function.
#[derive(Debug, Clone)]
pub(super) struct FnDecl {
    pub name: String,
    pub kind: FunctionKind,
    pub params: Vec<(String, Ty)>,
    pub result: Ty,
    pub mints: Vec<u16>,
    pub burns: Vec<u16>,
}

/// What one module declares.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// What it is called here.
    pub alias: String,
    /// Names that may be used without the alias; `None` for all.
    pub names: Vec<String>,
    pub records: Vec<Shape>,
    pub enums: Vec<(String, Vec<Shape>)>,
    pub assets: Vec<AssetDecl>,
    pub tables: Vec<TableDecl>,
    pub protocols: Vec<ProtocolDecl>,
    pub errors: Vec<Shape>,
    pub events: Vec<Shape>,
    pub functions: Vec<FnDecl>,
}

/// All scopes: this module's, then those of its imports.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub scopes: Vec<Scope>,
    pub lineages: Vec<Lineage>,
}

fn at(list: &[Scope], r: Ref) -> Option<&Scope> {
    list.get(usize::from(r.scope))
}

impl World {
    pub fn own(&self) -> &Scope {
        &self.scopes[0]
    }

    pub fn record(&self, r: Ref) -> Option<&Shape> {
        at(&self.scopes, r)?.records.get(usize::from(r.index))
    }

    pub fn enumeration(&self, r: Ref) -> Option<&(String, Vec<Shape>)> {
        at(&self.scopes, r)?.enums.get(usize::from(r.index))
    }

    pub fn asset(&self, r: Ref) -> Option<&AssetDecl> {
        at(&self.scopes, r)?.assets.get(usize::from(r.index))
    }

    pub fn protocol(&self, r: Ref) -> Option<&ProtocolDecl> {
        at(&self.scopes, r)?.protocols.get(usize::from(r.index))
    }

    pub fn function(&self, r: Ref) -> Option<&FnDecl> {
        at(&self.scopes, r)?.functions.get(usize::from(r.index))
    }

    /// Names and types of the fields of a record, asset or tuple.
    pub fn fields(&self, ty: &Ty) -> Option<Vec<(String, Ty)>> {
        match ty {
            Ty::Record(r) => Some(self.record(*r)?.fields.clone()),
            Ty::Asset(r) => Some(self.asset(*r)?.shape.fields.clone()),
            Ty::Tuple(items) => Some(items.iter().enumerate().map(|(n, ty)| (n.to_string(), ty.clone())).collect()),
            _ => None,
        }
    }

    /// Place and type of a field.
    pub fn field(&self, ty: &Ty, name: &str) -> Option<(u8, Ty)> {
        let fields = self.fields(ty)?;
        let at = fields.iter().position(|f| f.0 == name)?;
        Some((u8::try_from(at).ok()?, fields.into_iter().nth(at)?.1))
    }

    /// Of quantity 1. Declarations contain no cycle, so this ends.
    pub fn linear(&self, ty: &Ty) -> bool {
        match ty {
            Ty::Asset(_) | Ty::RowHole(_) | Ty::InstanceHole(..) => true,
            Ty::Option(of) | Ty::List(of, _) => self.linear(of),
            Ty::Map(_, of, _) => self.linear(of),
            Ty::Tuple(items) => items.iter().any(|ty| self.linear(ty)),
            Ty::Record(r) => self.record(*r).is_some_and(|s| s.fields.iter().any(|f| self.linear(&f.1))),
            Ty::Enum(r) => {
                let shapes = self.enumeration(*r).map(|e| e.1.as_slice()).unwrap_or_default();
                shapes.iter().any(|s| s.fields.iter().any(|f| self.linear(&f.1)))
            }
            _ => false,
        }
    }

    /// The type as an author writes it.
    pub fn show(&self, ty: &Ty) -> String {
        let declared = |r: &Ref, name: Option<&String>| match (name, at(&self.scopes, *r)) {
            (Some(name), Some(scope)) if r.scope > 0 && !scope.names.contains(name) => {
                format!("{}.{name}", scope.alias)
            }
            (Some(name), _) => name.clone(),
            (None, _) => "?".to_owned(),
        };
        match ty {
            Ty::Unit => "()".to_owned(),
            Ty::Int { signed, bits } => format!("{}{bits}", if *signed { "Int" } else { "Nat" }),
            Ty::Dec(n) => format!("Dec<{n}>"),
            Ty::Text(n) => format!("Text<{n}>"),
            Ty::Bytes(n) => format!("Bytes<{n}>"),
            Ty::Id(r) => format!("Id<{}>", declared(r, self.protocol(*r).map(|p| &p.name))),
            Ty::Option(of) => format!("Option<{}>", self.show(of)),
            Ty::List(of, n) => format!("[{}; {n}]", self.show(of)),
            Ty::Map(k, v, n) => format!("Map<{}, {}; {n}>", self.show(k), self.show(v)),
            Ty::Tuple(items) => format!("({})", items.iter().map(|t| self.show(t)).collect::<Vec<_>>().join(", ")),
            Ty::Record(r) => declared(r, self.record(*r).map(|s| &s.name)),
            Ty::Enum(r) => declared(r, self.enumeration(*r).map(|s| &s.0)),
            Ty::Asset(r) => declared(r, self.asset(*r).map(|a| &a.shape.name)),
            Ty::RowHole(_) => "a row that is out".to_owned(),
            Ty::InstanceHole(..) => "an instance that is out".to_owned(),
            Ty::Never => "nothing".to_owned(),
            Ty::Unknown => "a type of a module that is not imported".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

/// Reads what a deployed module declares, as import `scope`.
pub(super) fn import(unit: &Unit, scope: u16, alias: String, names: Vec<String>, lineages: &[Lineage]) -> Scope {
    let module = &unit.module;
    let reader = Reader { unit, scope, lineages };
    let fields = |fields: &[hopper::ir::Field]| -> Vec<(String, Ty)> {
        fields.iter().map(|f| (f.name.to_string(), reader.ty(f.ty))).collect()
    };
    let shape =
        |name: &hopper::ir::Label, list: &[hopper::ir::Field]| Shape { name: name.to_string(), fields: fields(list) };
    Scope {
        alias,
        names,
        records: module.records.iter().map(|r| shape(&r.name, &r.fields)).collect(),
        enums: module
            .enums
            .iter()
            .map(|e| (e.name.to_string(), e.variants.iter().map(|v| shape(&v.name, &v.fields)).collect()))
            .collect(),
        assets: module
            .assets
            .iter()
            .map(|a| AssetDecl { shape: shape(&a.name, &a.fields), measured: a.measured, signed: a.signed })
            .collect(),
        tables: Vec::new(),
        protocols: module
            .protocols
            .iter()
            .map(|p| ProtocolDecl { name: p.name.to_string(), params: fields(&p.params), states: Vec::new() })
            .collect(),
        errors: Vec::new(),
        events: Vec::new(),
        functions: module
            .functions
            .iter()
            .map(|f| FnDecl {
                name: f.name.to_string(),
                kind: f.kind,
                params: fields(&f.params),
                result: reader.ty(f.result),
                mints: Vec::new(),
                burns: Vec::new(),
            })
            .collect(),
    }
}

struct Reader<'u> {
    unit: &'u Unit,
    scope: u16,
    lineages: &'u [Lineage],
}

impl Reader<'_> {
    /// A type of the import. Types name smaller ones, so this ends.
    fn ty(&self, index: TypeIx) -> Ty {
        let Some(ty) = self.unit.module.types.get(usize::from(index)) else { return Ty::Unknown };
        let here = |r: &Ref| -> Option<Ref> {
            if r.scope == 0 {
                return Some(Ref { scope: self.scope, index: r.index });
            }
            let lineage = self.unit.imports.get(usize::from(r.scope) - 1)?.lineage;
            let at = self.lineages.iter().position(|l| *l == lineage)?;
            Some(Ref { scope: u16::try_from(at + 1).ok()?, index: r.index })
        };
        let declared = |r: &Ref, make: fn(Ref) -> Ty| here(r).map_or(Ty::Unknown, make);
        match ty {
            Type::Unit => Ty::Unit,
            Type::Bool => Ty::Bool,
            Type::Int { signed, bits } => Ty::Int { signed: *signed, bits: *bits },
            Type::Dec { places } => Ty::Dec(*places),
            Type::Text { max } => Ty::Text(*max),
            Type::Bytes { max } => Ty::Bytes(*max),
            Type::Digest => Ty::Digest,
            Type::Party => Ty::Party,
            Type::Time => Ty::Time,
            Type::Date => Ty::Date,
            Type::Ghost => Ty::Ghost,
            Type::Id { protocol } => declared(protocol, Ty::Id),
            Type::Option { of } => Ty::Option(Box::new(self.ty(*of))),
            Type::List { of, max } => Ty::List(Box::new(self.ty(*of)), *max),
            Type::Map { key, value, max } => Ty::Map(Box::new(self.ty(*key)), Box::new(self.ty(*value)), *max),
            Type::Tuple { items } => Ty::Tuple(items.iter().map(|i| self.ty(*i)).collect()),
            Type::Record { of } => declared(of, Ty::Record),
            Type::Enum { of } => declared(of, Ty::Enum),
            Type::Asset { of } => declared(of, Ty::Asset),
            Type::RowHole { .. } | Type::InstanceHole { .. } => Ty::Unknown,
        }
    }
}
