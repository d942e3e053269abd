//! Types as the replicas see them: each stands once in a [`Universe`], whichever module spelled it.
//!
//! Records, enums and assets are nominal: their identity is the lineage that declares them, their place there, and what was
//! declared, fields and invariants. So versions of a module share what they left alone, and nobody else can make one.

use std::collections::BTreeMap;

use crate::ir::{Label, Lineage, Prop, limits};

/// A type of a universe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ty(pub u32);

/// A declaration's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nominal {
    /// Who declared it.
    pub lineage: Lineage,
    /// Its place among the records (or enums, assets, tables, protocols) there.
    pub index: u16,
}

/// Fields with their invariant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// The name.
    pub name: Label,
    /// Names and types.
    pub fields: Vec<(Label, Ty)>,
    /// Over the fields as variables.
    pub invariant: Vec<Prop>,
}

/// What a type is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One value.
    Unit,
    /// Two.
    Bool,
    /// `min..=max`, in so many bytes.
    Int {
        /// The least.
        min: i128,
        /// The greatest.
        max: i128,
        /// Encoded length.
        bytes: u8,
    },
    /// A mantissa.
    Dec {
        /// Digits after the point.
        places: u8,
    },
    /// At most so many bytes.
    Text(u32),
    /// At most so many bytes.
    Bytes(u32),
    /// 32 bytes.
    Digest,
    /// A name.
    Party,
    /// Milliseconds.
    Time,
    /// Days.
    Date,
    /// Of an instance.
    Id(Nominal),
    /// Proofs only.
    Ghost,
    /// One or none.
    Option(Ty),
    /// Elements, how many at most.
    List(Ty, u32),
    /// Key, value, how many at most.
    Map(Ty, Ty, u32),
    /// Several.
    Tuple(Vec<Ty>),
    /// Declared.
    Record(Nominal, Shape),
    /// Declared.
    Enum(Nominal, Label, Vec<Shape>),
    /// Declared.
    Asset {
        /// Which.
        of: Nominal,
        /// The fields.
        shape: Shape,
        /// The first field is the amount.
        measured: bool,
        /// The party whose authority made it.
        signed: Option<u16>,
    },
    /// See [`crate::ir::Type::RowHole`].
    RowHole(Nominal),
    /// See [`crate::ir::Type::InstanceHole`].
    InstanceHole(Nominal, u16),
}

/// What follows from a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// What it is.
    pub kind: Kind,
    /// Quantity 1: an asset, a hole, or something that contains one.
    pub linear: bool,
    /// Contains an asset.
    pub holds_asset: bool,
    /// Contains a ghost.
    pub holds_ghost: bool,
    /// Contains a hole.
    pub holds_hole: bool,
    /// May be a key: no list, map, asset, ghost or hole inside.
    pub key: bool,
    /// Nesting; 1 for a type without parts.
    pub depth: usize,
    /// Bytes of the longest value, encoded; saturating.
    pub bytes_max: u64,
    /// True if all values have `bytes_max` bytes.
    pub fixed: bool,
}

/// All types in use, each once.
#[derive(Debug, Clone, Default)]
pub struct Universe {
    infos: Vec<Info>,
    places: BTreeMap<Kind, Ty>,
}

/// The range of an unsigned or signed number of a width, if there is such a type.
pub fn int_range(signed: bool, bits: u8) -> Option<(i128, i128, u8)> {
    Some(match (signed, bits) {
        (true, 128) => (i128::MIN, i128::MAX, 16),
        (true, 8 | 16 | 32 | 64) => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1, bits / 8),
        (false, 8 | 16 | 32 | 64 | 96) => (0, (1 << bits) - 1, bits / 8),
        (false, 127) => (0, i128::MAX, 16),
        _ => return None,
    })
}

/// Bytes of a name's longest encoding.
const PARTY_BYTES_MAX: u64 = 4 + 64;

impl Universe {
    /// Puts a type in place, or finds it.
    ///
    /// # Errors
    /// Says what no type may be.
    pub fn intern(&mut self, kind: Kind) -> Result<Ty, &'static str> {
        if let Some(ty) = self.places.get(&kind) {
            return Ok(*ty);
        }
        let info = self.describe(kind.clone())?;
        let ty = Ty(u32::try_from(self.infos.len()).map_err(|_| "too many types")?);
        self.infos.push(info);
        self.places.insert(kind, ty);
        Ok(ty)
    }

    /// How many types there are.
    pub fn len(&self) -> usize {
        self.infos.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.infos.is_empty()
    }

    /// Forgets the types that were put in place after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        for info in self.infos.drain(len.min(self.infos.len())..) {
            self.places.remove(&info.kind);
        }
    }

    /// A type that is in place already.
    pub fn find(&self, kind: &Kind) -> Option<Ty> {
        self.places.get(kind).copied()
    }

    /// What follows from a type.
    pub fn info(&self, ty: Ty) -> &Info {
        &self.infos[ty.0 as usize]
    }

    /// What a type is.
    pub fn kind(&self, ty: Ty) -> &Kind {
        &self.info(ty).kind
    }

    /// The range of the numbers of a type: numbers, decimals, times, dates.
    pub fn range(&self, ty: Ty) -> Option<(i128, i128)> {
        match self.kind(ty) {
            Kind::Int { min, max, .. } => Some((*min, *max)),
            Kind::Dec { .. } => Some((i128::MIN, i128::MAX)),
            Kind::Time => Some((0, i128::from(u64::MAX))),
            Kind::Date => Some((i32::MIN.into(), i32::MAX.into())),
            _ => None,
        }
    }

    /// The fields of a record, tuple or asset.
    pub fn fields(&self, ty: Ty) -> Option<Vec<Ty>> {
        match self.kind(ty) {
            Kind::Tuple(items) => Some(items.clone()),
            Kind::Record(_, shape) | Kind::Asset { shape, .. } => Some(shape.fields.iter().map(|f| f.1).collect()),
            _ => None,
        }
    }

    /// The fields of each variant of an enum or option.
    pub fn variants(&self, ty: Ty) -> Option<Vec<Vec<Ty>>> {
        match self.kind(ty) {
            Kind::Option(of) => Some(vec![vec![], vec![*of]]),
            Kind::Enum(_, _, variants) => {
                Some(variants.iter().map(|v| v.fields.iter().map(|f| f.1).collect()).collect())
            }
            _ => None,
        }
    }

    /// The type at a path of fields.
    pub fn at(&self, mut ty: Ty, path: &[u8]) -> Option<Ty> {
        for field in path {
            ty = match self.kind(ty) {
                Kind::Tuple(items) => *items.get(usize::from(*field))?,
                Kind::Record(_, shape) | Kind::Asset { shape, .. } => shape.fields.get(usize::from(*field))?.1,
                _ => return None,
            };
        }
        Some(ty)
    }

    fn describe(&self, kind: Kind) -> Result<Info, &'static str> {
        let mut info = Info {
            linear: false,
            holds_asset: false,
            holds_ghost: false,
            holds_hole: false,
            key: true,
            depth: 1,
            bytes_max: 0,
            fixed: true,
            kind,
        };
        let mut parts: Vec<(Ty, u64)> = Vec::new();
        match info.kind.clone() {
            Kind::Unit => {}
            Kind::Bool => info.bytes_max = 1,
            Kind::Int { bytes, .. } => info.bytes_max = bytes.into(),
            Kind::Dec { places } if places <= 18 => info.bytes_max = 16,
            Kind::Dec { .. } => return Err("a decimal has at most 18 places"),
            Kind::Text(max) | Kind::Bytes(max) => {
                if u64::from(max) > limits::VALUE_BYTES_MAX {
                    return Err("a text or bytes longer than a value may be");
                }
                (info.bytes_max, info.fixed) = (4 + u64::from(max), false);
            }
            Kind::Digest | Kind::Id(_) => info.bytes_max = 32,
            Kind::Party => (info.bytes_max, info.fixed) = (PARTY_BYTES_MAX, false),
            Kind::Time => info.bytes_max = 8,
            Kind::Date => info.bytes_max = 4,
            Kind::Ghost => (info.holds_ghost, info.key) = (true, false),
            Kind::Option(of) => {
                (info.bytes_max, info.fixed) = (1, false);
                parts.push((of, 1));
            }
            Kind::List(of, max) => {
                if max > limits::ELEMENTS_MAX {
                    return Err("a list with more elements than there may be");
                }
                if self.info(of).bytes_max == 0 {
                    // A few bytes could claim any number of them.
                    return Err("the elements of a list have at least one byte");
                }
                (info.bytes_max, info.fixed, info.key) = (4, false, false);
                parts.push((of, max.into()));
            }
            Kind::Map(key, value, max) => {
                if max > limits::ELEMENTS_MAX {
                    return Err("a map with more entries than there may be");
                }
                if !self.info(key).key {
                    return Err("a key must be data without lists and maps");
                }
                (info.bytes_max, info.fixed, info.key) = (4, false, false);
                parts.extend([(key, max.into()), (value, max.into())]);
            }
            Kind::Tuple(items) => {
                if items.len() < 2 || items.len() > limits::FIELDS_MAX {
                    return Err("a tuple has 2 to 64 items");
                }
                parts.extend(items.into_iter().map(|ty| (ty, 1)));
            }
            Kind::Record(_, shape) => {
                if shape.fields.is_empty() {
                    return Err("a record has at least one field");
                }
                parts.extend(shape.fields.iter().map(|f| (f.1, 1)));
            }
            Kind::Asset { shape, .. } => {
                (info.linear, info.holds_asset, info.key) = (true, true, false);
                parts.extend(shape.fields.iter().map(|f| (f.1, 1)));
            }
            Kind::Enum(_, _, variants) => {
                if variants.is_empty() {
                    return Err("an enum has at least one variant");
                }
                info.fixed = false;
                for ty in variants.iter().flat_map(|v| v.fields.iter().map(|f| f.1)) {
                    let part = self.info(ty).clone();
                    absorb(&mut info, &part);
                }
                let size = |v: &Shape| v.fields.iter().fold(2u64, |n, f| n.saturating_add(self.info(f.1).bytes_max));
                info.bytes_max = variants.iter().map(size).max().unwrap_or(2);
            }
            Kind::RowHole(_) | Kind::InstanceHole(..) => {
                (info.linear, info.holds_hole, info.key) = (true, true, false);
            }
        }
        for (ty, times) in parts {
            let part = self.info(ty).clone();
            absorb(&mut info, &part);
            info.fixed &= part.fixed;
            info.bytes_max = info.bytes_max.saturating_add(part.bytes_max.saturating_mul(times));
        }
        if info.depth > limits::TYPE_DEPTH_MAX {
            return Err("types nested too deep");
        }
        Ok(info)
    }
}

/// What a part says about the whole.
fn absorb(whole: &mut Info, part: &Info) {
    whole.linear |= part.linear;
    whole.holds_asset |= part.holds_asset;
    whole.holds_ghost |= part.holds_ghost;
    whole.holds_hole |= part.holds_hole;
    whole.key &= part.key;
    whole.depth = whole.depth.max(part.depth + 1);
}
