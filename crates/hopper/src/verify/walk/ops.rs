//! The operations, one by one: what they take, give, oblige and let know.

use super::*;

impl Walk<'_> {
    /// Uses the operands of an operation and binds its results. Of one with blocks, the operands only.
    pub(super) fn operation(&mut self, op: &Op) -> Result<(OpInfo, Costs), Reason> {
        let types: Vec<Ty> = self.vars.iter().map(|v| v.ty).collect();
        self.operands_in_scope(op)?;
        let before = self.vars.len();
        let mut extra = nothing();
        let ty = self.apply(op, &mut extra)?;
        let ty = match ty {
            Some(ty) => ty,
            None if self.vars.len() > before => self.vars[before].ty,
            None => self.kind_of(Kind::Unit)?,
        };
        let charge = self.charge(op, ty, &types)?;
        Ok((OpInfo { ty, charge }, extra))
    }

    fn charge(&mut self, op: &Op, ty: Ty, types: &[Ty]) -> Result<Charge, Reason> {
        let setting = self.setting;
        let known = cost::Known {
            universe: self.universe,
            vars: types,
            ty,
            tables: setting.tables,
            protocols: setting.protocols,
        };
        Ok(cost::charge(op, &known))
    }

    /// Every operand that a charge may look at is a variable that is there.
    fn operands_in_scope(&self, op: &Op) -> Result<(), Reason> {
        op.operands().into_iter().try_for_each(|v| self.var(v).map(drop))
    }

    fn data(&self, ty: Ty) -> Result<(), Reason> {
        let info = self.universe.info(ty);
        if info.linear || info.holds_ghost { Err(Reason::Quantity("data is wanted")) } else { Ok(()) }
    }

    fn resolved(&self, ty: TypeIx) -> Result<Ty, Reason> {
        ty_at(self.setting.types, ty)
    }

    /// Takes operands of these types, in order.
    fn args(&mut self, args: &[Var], types: &[Ty]) -> Result<Vec<Sym>, Reason> {
        count("operands", args.len(), types.len())?;
        args.iter()
            .zip(types)
            .map(|(v, ty)| self.of_type(*v, *ty, "an operand has another type than is wanted"))
            .collect()
    }

    fn bind_bool(&mut self, mut cond: Cond) -> Result<(), Reason> {
        // A condition of conditions would grow without end; what it says beyond this is forgotten.
        for side in [&mut cond.yes, &mut cond.no] {
            let mut left = COND_TERMS_MAX;
            side.retain(|item| {
                let fits = item.terms() <= left;
                left = if fits { left - item.terms() } else { 0 };
                fits
            });
            self.spend(COND_TERMS_MAX - left)?;
        }
        let ty = self.kind_of(Kind::Bool)?;
        self.bind(ty, Sym::Truth(Rc::new(cond)), None, None)
    }

    fn bind_option(&mut self, of: Ty, arms: Option<Vec<Arm>>) -> Result<(), Reason> {
        let ty = self.kind_of(Kind::Option(of))?;
        let sym = arms.map_or(Sym::Opaque, |arms| Sym::Variant(Rc::new(arms)));
        self.bind(ty, sym, None, None)
    }

    fn own_table(&mut self, table: u16, write: bool) -> Result<TableInfo, Reason> {
        let info = there("table", self.setting.tables, table)?.clone();
        self.touch(info.of, write);
        Ok(info)
    }

    fn touch(&mut self, of: Nominal, write: bool) {
        *self.tables.entry(of).or_default() |= write;
        self.writes |= write;
    }

    /// An asset that this module declares: its fields and place.
    fn own_asset(&self, ty: Ty) -> Result<(u16, bool), Reason> {
        match self.universe.kind(ty) {
            Kind::Asset { of, measured, .. }
                if of.lineage == self.setting.lineage || !self.evidence.keeps(Rule::OwnAssets) =>
            {
                Ok((of.index, *measured))
            }
            Kind::Asset { .. } => Err(Reason::NotOwnAsset),
            _ => Err(Reason::Operand("an asset is wanted")),
        }
    }

    /// A measured asset, anybody's: its fields, the amount first.
    fn measured(&mut self, v: Var) -> Result<(Ty, Vec<Sym>, Line), Reason> {
        let (ty, sym) = self.consume(v)?;
        let Kind::Asset { measured: true, .. } = self.universe.kind(ty) else {
            return Err(Reason::WrongAsset("a measured asset is wanted"));
        };
        let types = self.universe.fields(ty).unwrap_or_default();
        let fields = match sym {
            Sym::Fields(fields) => fields.to_vec(),
            _ => types.iter().map(|_| Sym::Opaque).collect(),
        };
        let amount = match fields.first() {
            Some(Sym::Number(line)) => line.clone(),
            _ => match self.know.number(self.universe, types[0])? {
                Sym::Number(line) => line,
                _ => return Err(Reason::WrongAsset("a measured asset is wanted")),
            },
        };
        Ok((ty, fields, amount))
    }

    fn with_amount(fields: &[Sym], amount: Line) -> Sym {
        let mut fields = fields.to_vec();
        if let Some(first) = fields.first_mut() {
            *first = Sym::Number(amount);
        }
        Sym::Fields(Rc::new(fields))
    }

    /// Carries out one operation; gives its [`OpInfo::ty`] where that is not its first result's.
    #[allow(clippy::too_many_lines, reason = "one arm for each operation, in the order of the list")]
    fn apply(&mut self, op: &Op, extra: &mut Costs) -> Result<Option<Ty>, Reason> {
        match op {
            Op::Const { constant: index } => {
                let declared = there("constant", &self.setting.module.constants, *index)?;
                let (ty, value) = (self.resolved(declared.ty)?, &self.setting.constants[usize::from(*index)]);
                let sym = self.know.literal(self.universe, ty, value)?;
                let length = value.length().map(|n| Poly::constant(n as u64));
                let known = value.int().and_then(|n| u64::try_from(n).ok()).map(Poly::constant);
                self.bind(ty, sym, length, known)?;
            }
            Op::Arith { op, a, b } => {
                let ty = self.arith(*op, *a, *b)?;
                return Ok(Some(ty));
            }
            Op::Cast { a, ty } => {
                let value = self.var(*a)?.value.clone();
                let (from, line) = self.number(*a)?;
                let ty = self.resolved(*ty)?;
                let fits = |x: &Kind, y: &Kind| {
                    matches!(
                        (x, y),
                        (Kind::Int { .. }, Kind::Int { .. })
                            | (Kind::Dec { .. }, Kind::Int { .. })
                            | (Kind::Time, Kind::Int { min: 0, bytes: 8, .. })
                            | (Kind::Date, Kind::Int { min: ..0, bytes: 4, .. })
                    )
                };
                let (x, y) = (self.universe.kind(from), self.universe.kind(ty));
                if !fits(x, y) && !fits(y, x) {
                    return Err(Reason::Operand("these types do not turn into one another"));
                }
                self.bind_number(ty, line, value)?;
            }
            Op::MulDiv { a, b, c, rounding: _, ty } => {
                for v in [a, b, c] {
                    let (ty, _) = self.number(*v)?;
                    if !matches!(self.universe.kind(ty), Kind::Int { .. } | Kind::Dec { .. }) {
                        return Err(Reason::Operand("numbers or decimals are wanted"));
                    }
                }
                let ty = self.resolved(*ty)?;
                if !matches!(self.universe.kind(ty), Kind::Int { .. } | Kind::Dec { .. }) {
                    return Err(Reason::Operand("the result is a number or decimal"));
                }
                self.bind_fresh(ty)?;
            }
            Op::Share { a, part, whole } => {
                let value = self.var(*a)?.value.clone();
                let mut lines = Vec::new();
                for v in [a, part, whole] {
                    let (ty, line) = self.number(*v)?;
                    if !matches!(self.universe.kind(ty), Kind::Int { min: 0, .. }) {
                        return Err(Reason::Operand("unsigned numbers are wanted"));
                    }
                    lines.push(line);
                }
                let ty = self.vars[usize::from(*a)].ty;
                self.oblige(at_most(&constant(1), &lines[2], 0)?)?;
                self.oblige(at_most(&lines[1], &lines[2], 0)?)?;
                let share = self.know.atom();
                self.know.assume(&Item::Line(at_most(&share, &lines[0], 0)?))?;
                self.bind_number(ty, share, value)?;
            }
            Op::Compare { op, a, b } => {
                let ty = self.compare(*op, *a, *b)?;
                return Ok(Some(ty));
            }
            Op::And { a, b } => {
                let (a, b) = (self.truth(*a)?, self.truth(*b)?);
                self.spend(2 * COND_TERMS_MAX)?;
                let yes = [a.yes.clone(), b.yes.clone()].concat();
                self.bind_bool(Cond { number: None, yes, no: either(&a.no, &b.no) })?;
            }
            Op::Or { a, b } => {
                let (a, b) = (self.truth(*a)?, self.truth(*b)?);
                self.spend(2 * COND_TERMS_MAX)?;
                let no = [a.no.clone(), b.no.clone()].concat();
                self.bind_bool(Cond { number: None, yes: either(&a.yes, &b.yes), no })?;
            }
            Op::Not { a } => {
                let a = self.truth(*a)?;
                let number = match &a.number {
                    Some(number) => Some(combine(&constant(1), 1, number, -1)?),
                    None => None,
                };
                self.bind_bool(Cond { number, yes: a.no.clone(), no: a.yes.clone() })?;
            }
            Op::Length { a } => {
                let (ty, sym) = self.look(*a)?;
                if !self.has_length(ty) {
                    return Err(Reason::Operand("a text, bytes, list or map is wanted"));
                }
                let length = match sym {
                    Sym::Sized { length, .. } => length,
                    _ => self.know.atom(),
                };
                let value = Some(self.extent(*a));
                let ty = self.int(false, 32)?;
                self.bind_number(ty, length, value)?;
            }
            Op::Concat { a, b, ty } => {
                let length = self.extent(*a).plus(&self.extent(*b))?;
                let ((ta, sa), (tb, sb)) = (self.consume(*a)?, self.consume(*b)?);
                let ty = self.resolved(*ty)?;
                let sort = |ty: Ty| match self.universe.kind(ty) {
                    Kind::Text(_) => Some((0, None)),
                    Kind::Bytes(_) => Some((1, None)),
                    Kind::List(of, _) => Some((2, Some(*of))),
                    _ => None,
                };
                if sort(ta).is_none() || sort(ta) != sort(tb) || sort(ta) != sort(ty) {
                    return Err(Reason::Operand("two texts, two bytes or two lists of the same elements are wanted"));
                }
                let sym = self.know.fresh(self.universe, ty)?;
                self.sized_sum(&sym, &sa, &sb)?;
                self.bind(ty, sym, Some(length), None)?;
            }
            Op::Slice { a, from, to } => {
                let nat = self.int(false, 32)?;
                let length = self.extent(*a);
                let (ty, sym) = self.consume(*a)?;
                match self.universe.kind(ty) {
                    Kind::Text(_) | Kind::Bytes(_) => {}
                    Kind::List(of, _) => self.data(*of)?,
                    _ => return Err(Reason::Operand("a text, bytes or list is wanted")),
                }
                self.of_type(*from, nat, "a Nat32 is wanted")?;
                self.of_type(*to, nat, "a Nat32 is wanted")?;
                let slice = self.know.fresh(self.universe, ty)?;
                if let (Sym::Sized { length: part, .. }, Sym::Sized { length: whole, .. }) = (&slice, &sym) {
                    let line = at_most(part, whole, 0)?;
                    self.know.assume(&Item::Line(line))?;
                }
                self.bind(ty, slice, Some(length), None)?;
            }
            Op::Make { ty, args } => {
                let ty = self.resolved(*ty)?;
                if !matches!(self.universe.kind(ty), Kind::Record(..) | Kind::Tuple(_)) {
                    return Err(Reason::Operand("a record or tuple type is wanted"));
                }
                let types = self.universe.fields(ty).unwrap_or_default();
                let fields = self.args(args, &types)?;
                self.oblige_shape(ty, &types, &fields)?;
                self.bind(ty, Sym::Fields(Rc::new(fields)), None, None)?;
            }
            Op::Get { place } => {
                let (ty, _) = self.look(place.var)?;
                let ty = self.universe.at(ty, &place.path).ok_or(Reason::Operand("there is no such field"))?;
                self.data(ty)?;
                let (_, syms) = self.scope();
                let sym = match self.know.at(&syms, place) {
                    Sym::Opaque => self.know.fresh(self.universe, ty)?,
                    sym => sym,
                };
                let cap = self.has_length(ty) && place.path.is_empty();
                let length = cap.then(|| self.extent(place.var));
                self.bind(ty, sym, length, None)?;
            }
            Op::Unpack { a } => {
                let (ty, sym) = self.consume(*a)?;
                match self.universe.kind(ty) {
                    Kind::Record(..) | Kind::Tuple(_) => {}
                    Kind::Asset { .. } => {
                        let (index, measured) = self.own_asset(ty)?;
                        if measured {
                            return Err(Reason::WrongAsset("a measured asset is burned, not unpacked"));
                        }
                        self.burns.insert(index);
                        self.writes = true;
                    }
                    _ => return Err(Reason::Operand("a record or tuple is wanted")),
                }
                for (n, ty) in self.universe.fields(ty).unwrap_or_default().into_iter().enumerate() {
                    let known = if let Sym::Fields(fields) = &sym { fields.get(n).cloned() } else { None };
                    let sym = match known {
                        Some(sym) => sym,
                        None => self.know.fresh(self.universe, ty)?,
                    };
                    self.bind(ty, sym, None, None)?;
                }
                return Ok(Some(ty));
            }
            Op::With { a, field, value } => {
                let (ty, sym) = self.consume(*a)?;
                if let Kind::Asset { signed, .. } = self.universe.kind(ty) {
                    let signed = *signed;
                    if self.own_asset(ty)?.1 || signed == Some(u16::from(*field)) {
                        return Err(Reason::WrongAsset("neither an amount nor a signed field is changed"));
                    }
                    self.writes = true;
                }
                let types = self.universe.fields(ty).ok_or(Reason::Operand("a record, tuple or asset is wanted"))?;
                let at = usize::from(*field);
                let wanted = *types.get(at).ok_or(Reason::Operand("there is no such field"))?;
                self.data(wanted)?;
                let value = self.of_type(*value, wanted, "the field has another type")?;
                let mut fields = match sym {
                    Sym::Fields(fields) => fields.to_vec(),
                    _ => types.iter().map(|_| Sym::Opaque).collect(),
                };
                fields[at] = value;
                self.oblige_shape(ty, &types, &fields)?;
                self.bind(ty, Sym::Fields(Rc::new(fields)), None, None)?;
            }
            Op::Inject { ty, variant, args } => {
                let ty = self.resolved(*ty)?;
                let variants = self.universe.variants(ty).ok_or(Reason::Operand("an enum or option is wanted"))?;
                let types = there("variant", &variants, *variant)?;
                let fields = self.args(args, types)?;
                if let Kind::Enum(_, _, shapes) = self.universe.kind(ty) {
                    let invariant = shapes[usize::from(*variant)].invariant.clone();
                    self.oblige_props(&invariant, types, &fields)?;
                }
                let sym = known_variant(variants.len(), *variant, fields);
                self.bind(ty, sym, None, None)?;
            }
            Op::Match { a, .. } => {
                let (ty, _) = self.consume(*a)?;
                if self.universe.variants(ty).is_none() {
                    return Err(Reason::Operand("an enum or option is wanted"));
                }
                return Ok(Some(ty));
            }
            Op::If { cond, .. } => {
                self.truth(*cond)?;
            }
            Op::Check { cond, error, args } => {
                let cond = self.truth(*cond)?;
                self.signal("error", &self.setting.module.errors, *error, args)?;
                self.know.assume_all(&cond.yes)?;
                return self.kind_of(Kind::Bool).map(Some);
            }
            Op::Assert { props } => {
                let (types, syms) = self.scope();
                self.props_here(&types, props)?;
                self.oblige_props(props, &types, &syms)?;
                self.know.assume_props(self.universe, props, &types, &syms)?;
            }
            Op::GhostLet { linear } => {
                let (types, syms) = self.scope();
                linear_form(self.universe, &types, linear)?;
                let line = self.know.line(self.universe, linear, &types, &syms)?;
                let ty = self.kind_of(Kind::Ghost)?;
                self.bind(ty, Sym::Number(line), None, None)?;
            }
            Op::List { ty, items } => {
                let ty = self.resolved(*ty)?;
                let Kind::List(of, max) = *self.universe.kind(ty) else {
                    return Err(Reason::Operand("a list type is wanted"));
                };
                if items.len() > max as usize {
                    return Err(Reason::Operand("more elements than the list may have"));
                }
                let fields = self.args(items, &vec![of; items.len()])?;
                let mut sums = BTreeMap::new();
                for (path, _) in summed(self.universe, ty) {
                    let mut sum = constant(0);
                    for field in &fields {
                        sum = combine(&sum, 1, &self.number_at(field, of, &path)?, 1)?;
                    }
                    sums.insert(path, sum);
                }
                let length = constant(items.len() as i128);
                let extent = Some(Poly::constant(items.len() as u64));
                self.bind(ty, Sym::Sized { symbol: None, length, sums: Rc::new(sums) }, extent, None)?;
            }
            Op::At { list, index } => {
                let nat = self.int(false, 32)?;
                let (ty, _) = self.consume(*list)?;
                let Kind::List(of, _) = *self.universe.kind(ty) else {
                    return Err(Reason::Operand("a list is wanted"));
                };
                self.data(of)?;
                self.of_type(*index, nat, "a Nat32 is wanted")?;
                self.bind_option(of, None)?;
            }
            Op::Push { list, item } => {
                let extent = self.extent(*list).plus(&Poly::constant(1))?;
                let (ty, sym) = self.consume(*list)?;
                let Kind::List(of, _) = *self.universe.kind(ty) else {
                    return Err(Reason::Operand("a list is wanted"));
                };
                let item = self.of_type(*item, of, "the element has another type")?;
                let after = self.grown_by(&sym, ty, of, &item)?;
                self.within(ty, &after)?;
                self.bind(ty, after, Some(extent), None)?;
            }
            Op::MapNew { ty } => {
                let ty = self.resolved(*ty)?;
                if !matches!(self.universe.kind(ty), Kind::Map(..)) {
                    return Err(Reason::Operand("a map type is wanted"));
                }
                let sums = summed(self.universe, ty).into_iter().map(|(path, _)| (path, constant(0)));
                let sym = Sym::Sized { symbol: None, length: constant(0), sums: Rc::new(sums.collect()) };
                self.bind(ty, sym, Some(Poly::zero()), None)?;
            }
            Op::MapGet { map, key } => {
                let (_, of) = self.map_and_key(*map, *key, true)?;
                self.data(of)?;
                self.bind_option(of, None)?;
            }
            Op::MapHas { map, key } => {
                self.map_and_key(*map, *key, true)?;
                self.bind_bool(Cond::default())?;
            }
            Op::MapPut { map, key, value } => {
                let extent = self.extent(*map).plus(&Poly::constant(1))?;
                let (ty, of) = self.map_and_key(*map, *key, false)?;
                let sym = self.vars[usize::from(*map)].sym.clone();
                let value = self.of_type(*value, of, "the value has another type")?;
                let without = self.know.fresh(self.universe, ty)?;
                let arms = self.was_there(&sym, &without, of)?;
                let after = self.grown_by(&without, ty, of, &value)?;
                self.within(ty, &after)?;
                self.bind(ty, after, Some(extent), None)?;
                self.bind_option(of, Some(arms))?;
            }
            Op::MapTake { map, key } => {
                let extent = self.extent(*map);
                let (ty, of) = self.map_and_key(*map, *key, false)?;
                let sym = self.vars[usize::from(*map)].sym.clone();
                let without = self.know.fresh(self.universe, ty)?;
                let arms = self.was_there(&sym, &without, of)?;
                self.bind(ty, without, Some(extent), None)?;
                self.bind_option(of, Some(arms))?;
            }
            Op::DropEmpty { a } => {
                let (ty, sym) = self.consume(*a)?;
                if !matches!(self.universe.kind(ty), Kind::List(..) | Kind::Map(..)) {
                    return Err(Reason::Operand("a list or map is wanted"));
                }
                if let Sym::Sized { length, sums, .. } = sym {
                    for number in std::iter::once(&length).chain(sums.values()) {
                        for line in equal(number, &constant(0))? {
                            self.know.assume(&Item::Line(line))?;
                        }
                    }
                }
                return Ok(Some(ty));
            }
            Op::Fold { over, drain, init, .. } => {
                let (ty, _) = if *drain { self.consume(*over)? } else { self.look(*over)? };
                match self.universe.kind(ty) {
                    Kind::List(of, _) | Kind::Map(_, of, _) if !drain => self.data(*of)?,
                    Kind::List(..) | Kind::Map(..) => {}
                    _ => return Err(Reason::Operand("a list or map is wanted")),
                }
                self.accumulators(init)?;
                return Ok(Some(ty));
            }
            Op::Iterate { fuel, init, .. } => {
                let (ty, _) = self.consume(*fuel)?;
                if !matches!(self.universe.kind(ty), Kind::Int { min: 0, bytes: 1 | 2 | 4, .. }) {
                    return Err(Reason::Operand("fuel is a Nat32 or smaller"));
                }
                self.accumulators(init)?;
                return Ok(Some(ty));
            }
            Op::Call { function, args } => self.call(*function, args, extra)?,
            Op::Hash { kind: _, a } => {
                let (ty, _) = self.consume(*a)?;
                if !matches!(self.universe.kind(ty), Kind::Text(_) | Kind::Bytes(_)) {
                    return Err(Reason::Operand("a text or bytes are wanted"));
                }
                let ty = self.kind_of(Kind::Digest)?;
                self.bind_fresh(ty)?;
            }
            Op::VerifySignature { key, message, signature } => {
                for v in [key, message, signature] {
                    let (ty, _) = self.consume(*v)?;
                    if !matches!(self.universe.kind(ty), Kind::Bytes(_)) {
                        return Err(Reason::Operand("bytes are wanted"));
                    }
                }
                self.bind_bool(Cond::default())?;
            }
            Op::DateAdd { date, step: _, count } => {
                let (days, int) = (self.kind_of(Kind::Date)?, self.int(true, 32)?);
                self.of_type(*date, days, "a date is wanted")?;
                self.of_type(*count, int, "an Int32 is wanted")?;
                self.bind_fresh(days)?;
            }
            Op::DateOf { time } => {
                let (from, ty) = (self.kind_of(Kind::Time)?, self.kind_of(Kind::Date)?);
                self.of_type(*time, from, "a time is wanted")?;
                self.bind_fresh(ty)?;
            }
            Op::Authority { guard } => {
                self.guard_form(guard)?;
                self.asks |= asks(guard);
                let yes = self.satisfied(guard);
                self.bind_bool(Cond { number: None, yes, no: Vec::new() })?;
            }
            Op::Require { guard } => {
                self.guard_form(guard)?;
                self.asks |= asks(guard);
                let known = self.satisfied(guard);
                self.know.assume_all(&known)?;
            }
            Op::Sender => {
                // Who sent a command is no business of another module's code, any more than who signed it.
                self.asks = true;
                let ty = self.kind_of(Kind::Party)?;
                self.bind_fresh(ty)?;
            }
            Op::Now => {
                let ty = self.kind_of(Kind::Time)?;
                self.bind_fresh(ty)?;
            }
            Op::CommandDigest => {
                let ty = self.kind_of(Kind::Digest)?;
                self.bind_fresh(ty)?;
            }
            Op::Take { .. }
            | Op::Put { .. }
            | Op::Close { .. }
            | Op::Insert { .. }
            | Op::Has { .. }
            | Op::Peek { .. }
            | Op::Scan { .. }
            | Op::Start { .. }
            | Op::Enter { .. }
            | Op::Become { .. } => return self.state(op),
            Op::Zero { asset, args } => {
                let ty = match asset.scope {
                    0 => *there("asset", self.setting.assets, asset.index)?,
                    n => {
                        let unit = there("import", self.setting.imports, n - 1)?;
                        *there("asset", &unit.assets, asset.index)?
                    }
                };
                let types = self.measured_fields(ty)?;
                let rest = self.args(args, &types[1..])?;
                let fields = std::iter::once(Sym::Number(constant(0))).chain(rest);
                self.bind(ty, Sym::Fields(Rc::new(fields.collect())), None, None)?;
            }
            Op::Mint { asset, args } => {
                let ty = *there("asset", self.setting.assets, *asset)?;
                let types = self.measured_fields(ty)?;
                let fields = self.args(args, &types)?;
                self.mints.insert(*asset);
                self.writes = true;
                self.bind(ty, Sym::Fields(Rc::new(fields)), None, None)?;
            }
            Op::Burn { a } => {
                let (ty, _, _) = self.measured(*a)?;
                let (index, _) = self.own_asset(ty)?;
                self.burns.insert(index);
                self.writes = true;
                return Ok(Some(ty));
            }
            Op::Split { a, n } => {
                let (ty, fields, amount) = self.measured(*a)?;
                let (of, part) = self.number(*n)?;
                if self.universe.fields(ty).and_then(|f| f.first().copied()) != Some(of) {
                    return Err(Reason::Operand("the part has another type than the amount"));
                }
                self.oblige(at_most(&part, &amount, 0)?)?;
                let rest = combine(&amount, 1, &part, -1)?;
                for amount in [part, rest] {
                    self.know.in_range(self.universe, of, &amount)?;
                    self.bind(ty, Self::with_amount(&fields, amount), None, None)?;
                }
            }
            Op::Join { a, b } => {
                let ((ty, fields, x), (other, _, y)) = (self.measured(*a)?, self.measured(*b)?);
                if ty != other {
                    return Err(Reason::Operand("two assets of one type are wanted"));
                }
                let sum = combine(&x, 1, &y, 1)?;
                if let Some(of) = self.universe.fields(ty).and_then(|f| f.first().copied()) {
                    self.know.in_range(self.universe, of, &sum)?;
                }
                self.bind(ty, Self::with_amount(&fields, sum), None, None)?;
            }
            Op::DropZero { a } => {
                let (ty, _, amount) = self.measured(*a)?;
                self.oblige(at_most(&amount, &constant(0), 0)?)?;
                return Ok(Some(ty));
            }
            Op::Create { asset, args } => {
                let ty = *there("asset", self.setting.assets, *asset)?;
                let Kind::Asset { measured: false, signed, .. } = self.universe.kind(ty) else {
                    return Err(Reason::WrongAsset("a measured asset is minted, not created"));
                };
                let signed = *signed;
                let types = self.universe.fields(ty).unwrap_or_default();
                let fields = self.args(args, &types)?;
                self.oblige_shape(ty, &types, &fields)?;
                if let Some(field) = signed {
                    self.need_authority(&fields[usize::from(field)])?;
                }
                self.mints.insert(*asset);
                self.writes = true;
                self.bind(ty, Sym::Fields(Rc::new(fields)), None, None)?;
            }
            Op::Emit { event, args } => {
                self.signal("event", &self.setting.module.events, *event, args)?;
                self.writes = true;
            }
        }
        Ok(None)
    }

    // ---- arithmetic and comparison

    fn arith(&mut self, op: Arith, a: Var, b: Var) -> Result<Ty, Reason> {
        let (x_max, y_max) = (self.var(a)?.value.clone(), self.var(b)?.value.clone());
        let ((ty, x), (other, y)) = (self.number(a)?, self.number(b)?);
        if ty != other {
            return Err(Reason::Operand("two numbers of one type are wanted"));
        }
        let kind = self.universe.kind(ty);
        let good = match op {
            Arith::Add | Arith::Sub => matches!(kind, Kind::Int { .. } | Kind::Dec { .. }),
            Arith::Mul | Arith::DivFloor | Arith::DivCeil | Arith::Mod => matches!(kind, Kind::Int { .. }),
            Arith::Min | Arith::Max => true,
        };
        if !good {
            return Err(Reason::Operand("this arithmetic is not for that type"));
        }
        let unsigned = matches!(kind, Kind::Int { min: 0, .. });
        let both = |join: fn(&Extent, &Extent) -> Result<Extent, TooLarge>| match (&x_max, &y_max) {
            // What is too large for a bound is bounded by its type only.
            (Some(x), Some(y)) if unsigned => join(x, y).ok(),
            _ => None,
        };
        // What does not fit the checker's numbers is some number of the type.
        let mut or_unknown = |sum: Result<Line, Reason>| sum.unwrap_or_else(|_| self.know.atom());
        let (line, value) = match op {
            Arith::Add => (or_unknown(combine(&x, 1, &y, 1)), both(Poly::plus)),
            Arith::Sub => (or_unknown(combine(&x, 1, &y, -1)), x_max.filter(|_| unsigned)),
            Arith::Mul if y.terms.is_empty() => {
                (or_unknown(combine(&x, y.constant, &constant(0), 0)), both(Poly::times))
            }
            Arith::Mul if x.terms.is_empty() => {
                (or_unknown(combine(&y, x.constant, &constant(0), 0)), both(Poly::times))
            }
            Arith::Mul => (self.know.atom(), both(Poly::times)),
            Arith::DivFloor | Arith::DivCeil => {
                let quotient = self.know.atom();
                if y.terms.is_empty() && y.constant > 0 {
                    let back = combine(&quotient, y.constant, &constant(0), 0)?;
                    let rest = y.constant - 1;
                    let (low, high) = if op == Arith::DivFloor { (0, rest) } else { (rest, 0) };
                    self.know.assume(&Item::Line(at_most(&back, &x, low)?))?;
                    self.know.assume(&Item::Line(at_most(&x, &back, high)?))?;
                } else if unsigned {
                    self.know.assume(&Item::Line(at_most(&quotient, &x, 0)?))?;
                }
                (quotient, x_max.filter(|_| unsigned))
            }
            Arith::Mod => {
                let rest = self.know.atom();
                if unsigned {
                    self.know.assume(&Item::Line(at_most(&rest, &x, 0)?))?;
                    self.know.assume(&Item::Line(at_most(&rest, &y, -1)?))?;
                } else if y.terms.is_empty() && y.constant > 0 {
                    self.know.assume(&Item::Line(at_most(&constant(0), &rest, 0)?))?;
                    self.know.assume(&Item::Line(at_most(&rest, &y, -1)?))?;
                }
                (rest, x_max.filter(|_| unsigned))
            }
            Arith::Min | Arith::Max => {
                let chosen = self.know.atom();
                let mut cases = Vec::new();
                for side in [&x, &y] {
                    let [low, high] = equal(&chosen, side)?;
                    let always = if op == Arith::Min { low.clone() } else { high.clone() };
                    let case = if op == Arith::Min { high } else { low };
                    self.know.assume(&Item::Line(always))?;
                    cases.push(vec![case]);
                }
                self.know.assume(&Item::Either(cases))?;
                let value = if op == Arith::Min { x_max.or(y_max) } else { both(Poly::max) };
                (chosen, value)
            }
        };
        self.bind_number(ty, line, value)?;
        Ok(ty)
    }

    fn compare(&mut self, op: Relation, a: Var, b: Var) -> Result<Ty, Reason> {
        let ((ty, x), (other, y)) = (self.consume(a)?, self.consume(b)?);
        if ty != other {
            return Err(Reason::Operand("two values of one type are wanted"));
        }
        self.data(ty)?;
        let mut cond = Cond::default();
        match op {
            Relation::Equal | Relation::NotEqual => {
                if let (Sym::Number(x), Sym::Number(y)) = (&x, &y) {
                    cond.yes = equal(x, y)?.map(Item::Line).into();
                    cond.no = vec![Item::Either(vec![vec![at_most(x, y, -1)?], vec![at_most(y, x, -1)?]])];
                } else {
                    let symbol = |sym: &Sym| match sym {
                        Sym::Symbol(s) | Sym::Sized { symbol: Some(s), .. } => Some(*s),
                        _ => None,
                    };
                    if let (Some(x), Some(y)) = (symbol(&x), symbol(&y)) {
                        (cond.yes, cond.no) = (vec![Item::Same(x, y)], vec![Item::Differ(x, y)]);
                    }
                }
                if op == Relation::NotEqual {
                    std::mem::swap(&mut cond.yes, &mut cond.no);
                }
            }
            Relation::Less | Relation::AtMost => {
                if self.universe.range(ty).is_none() {
                    return Err(Reason::Operand("only numbers, times and dates have an order"));
                }
                if let (Sym::Number(x), Sym::Number(y)) = (&x, &y) {
                    let less = i128::from(op == Relation::Less);
                    cond.yes = vec![Item::Line(at_most(x, y, -less)?)];
                    cond.no = vec![Item::Line(at_most(y, x, less - 1)?)];
                }
            }
        }
        self.bind_bool(cond)?;
        Ok(ty)
    }

    // ---- lists, maps, records

    fn oblige_shape(&mut self, ty: Ty, types: &[Ty], fields: &[Sym]) -> Result<(), Reason> {
        if let Kind::Record(_, shape) | Kind::Asset { shape, .. } = self.universe.kind(ty) {
            let invariant = shape.invariant.clone();
            self.oblige_props(&invariant, types, fields)?;
        }
        Ok(())
    }

    fn measured_fields(&self, ty: Ty) -> Result<Vec<Ty>, Reason> {
        match self.universe.kind(ty) {
            Kind::Asset { measured: true, shape, .. } => Ok(shape.fields.iter().map(|f| f.1).collect()),
            _ => Err(Reason::WrongAsset("a measured asset is wanted")),
        }
    }

    fn accumulators(&mut self, init: &[Var]) -> Result<(), Reason> {
        if init.len() > limits::FIELDS_MAX {
            return Err(Reason::TooMany { what: "accumulators", count: init.len(), max: limits::FIELDS_MAX });
        }
        for v in init {
            let (ty, _) = self.consume_any(*v)?;
            if self.universe.info(ty).holds_hole {
                return Err(Reason::Quantity("a hole does not go round a loop"));
            }
        }
        Ok(())
    }

    fn map_and_key(&mut self, map: Var, key: Var, looks: bool) -> Result<(Ty, Ty), Reason> {
        let (ty, _) = if looks { self.look(map)? } else { self.consume(map)? };
        let Kind::Map(wanted, of, _) = *self.universe.kind(ty) else {
            return Err(Reason::Operand("a map is wanted"));
        };
        self.of_type(key, wanted, "the key has another type")?;
        Ok((ty, of))
    }

    /// The number at a path of an element.
    fn number_at(&mut self, element: &Sym, of: Ty, path: &[u8]) -> Result<Line, Reason> {
        let place = Place { var: 0, path: path.to_vec() };
        match self.know.at(std::slice::from_ref(element), &place) {
            Sym::Number(line) => Ok(line),
            _ => {
                let ty = self.universe.at(of, path).ok_or(Reason::Operand("there is no such field"))?;
                match self.know.number(self.universe, ty)? {
                    Sym::Number(line) => Ok(line),
                    _ => Err(Reason::Operand("a number is wanted")),
                }
            }
        }
    }

    /// It is no longer than its type allows: otherwise the operation aborted.
    fn within(&mut self, ty: Ty, sized: &Sym) -> Result<(), Reason> {
        let (Kind::List(_, max) | Kind::Map(_, _, max)) = *self.universe.kind(ty) else { return Ok(()) };
        let Sym::Sized { length, .. } = sized else { return Ok(()) };
        let line = at_most(length, &constant(max.into()), 0)?;
        self.know.assume(&Item::Line(line))
    }

    /// A list or map with one more element.
    fn grown_by(&mut self, before: &Sym, ty: Ty, of: Ty, element: &Sym) -> Result<Sym, Reason> {
        let Sym::Sized { length, sums, .. } = before else { return self.know.fresh(self.universe, ty) };
        let mut after = BTreeMap::new();
        for (path, sum) in sums.iter() {
            let number = self.number_at(element, of, path)?;
            after.insert(path.clone(), combine(sum, 1, &number, 1)?);
        }
        let length = combine(length, 1, &constant(1), 1)?;
        Ok(Sym::Sized { symbol: None, length, sums: Rc::new(after) })
    }

    /// Either nothing was under a key, and `without` is all; or something was, and `without` is what is left. The arms of an option
    /// of it. What holds of any value of its type is known in the second case only: there need be none.
    fn was_there(&mut self, before: &Sym, without: &Sym, of: Ty) -> Result<Vec<Arm>, Reason> {
        let none = self.know.tie(without, before)?;
        let mark = self.know.mark();
        let old = self.know.fresh(self.universe, of)?;
        let mut facts = self.know.take_since(mark);
        facts.extend(self.removed(before, without, of, &old)?.into_iter().map(Item::Line));
        let some = lines(&facts);
        self.know.assume(&Item::Either(vec![none.clone(), some]))?;
        let none = Arm { fields: Vec::new(), facts: none.into_iter().map(Item::Line).collect() };
        Ok(vec![none, Arm { fields: vec![old], facts }])
    }

    /// What is known if `without` is `before` less one element.
    fn removed(&mut self, before: &Sym, without: &Sym, of: Ty, element: &Sym) -> Result<Vec<Line>, Reason> {
        let (Sym::Sized { length: x, sums: s, .. }, Sym::Sized { length: y, sums: t, .. }) = (before, without) else {
            return Ok(Vec::new());
        };
        let mut lines = equal(x, &combine(y, 1, &constant(1), 1)?)?.to_vec();
        for (path, sum) in s.iter() {
            if let Some(rest) = t.get(path) {
                let number = self.number_at(element, of, path)?;
                lines.extend(equal(sum, &combine(rest, 1, &number, 1)?)?);
            }
        }
        Ok(lines)
    }

    /// `whole` is `a` and then `b`.
    fn sized_sum(&mut self, whole: &Sym, a: &Sym, b: &Sym) -> Result<(), Reason> {
        let sized = |sym: &Sym| match sym {
            Sym::Sized { length, sums, .. } => Some((length.clone(), sums.clone())),
            _ => None,
        };
        let (Some(whole), Some(a), Some(b)) = (sized(whole), sized(a), sized(b)) else { return Ok(()) };
        let mut lines = equal(&whole.0, &combine(&a.0, 1, &b.0, 1)?)?.to_vec();
        for (path, sum) in whole.1.iter() {
            if let (Some(x), Some(y)) = (a.1.get(path), b.1.get(path)) {
                lines.extend(equal(sum, &combine(x, 1, y, 1)?)?);
            }
        }
        lines.into_iter().try_for_each(|line| self.know.assume(&Item::Line(line)))
    }

    // ---- calls

    fn call(&mut self, function: Ref, args: &[Var], extra: &mut Costs) -> Result<(), Reason> {
        let setting = self.setting;
        let (declared, info) = match function.scope {
            0 => {
                let index = usize::from(function.index);
                if index >= self.index {
                    return Err(Reason::CallOrder);
                }
                (&setting.module.functions[index], &setting.functions[index])
            }
            n => {
                let unit = there("import", setting.imports, n - 1)?;
                let declared = there("function", &unit.module.functions, function.index)?;
                if declared.kind != FunctionKind::Public {
                    return Err(Reason::CallOrder);
                }
                (declared, &unit.functions[usize::from(function.index)])
            }
        };
        if !matches!(declared.kind, FunctionKind::Private | FunctionKind::Public) {
            return Err(Reason::CallOrder);
        }
        self.depth = self.depth.max(info.depth + 1);
        if self.depth > limits::CALL_DEPTH_MAX {
            return Err(Reason::CallsTooDeep(limits::CALL_DEPTH_MAX));
        }
        count("arguments", args.len(), info.params.len())?;
        let mut syms = Vec::new();
        let mut sizes = Vec::new();
        for (v, ty) in args.iter().zip(&info.params) {
            sizes.push((self.extent(*v), self.vars[usize::from(*v)].value.clone()));
            let (found, sym) = self.consume_any(*v)?;
            if found != *ty {
                return Err(Reason::Operand("an argument has another type than the parameter"));
            }
            syms.push(sym);
        }
        self.oblige_props(&declared.requires, &info.params, &syms)?;
        for place in &declared.authority {
            let symbol = self.know.symbol_at(&syms, place);
            if !self.know.has_authority(symbol)? && self.evidence.keeps(Rule::Authority) {
                return Err(Reason::NoAuthority);
            }
        }
        if function.scope == 0 {
            self.mints.extend(&declared.mints);
            self.burns.extend(&declared.burns);
        }
        self.writes |= info.writes;
        self.asks |= info.asks;
        for (table, write) in &info.tables {
            self.touch(*table, *write);
        }
        let mut unbounded = false;
        let longest = sizes.iter().map(|s| s.0.terms().len().max(s.1.as_ref().map_or(0, |v| v.terms().len()))).max();
        for (n, poly) in info.bound.0.iter().enumerate() {
            self.spend((poly.terms().len() * 64).saturating_mul(longest.unwrap_or(1).saturating_pow(2)))?;
            let inner = poly.substitute(|size| match size {
                Size::Length(n) => sizes[usize::from(n)].0.clone(),
                Size::Value(n) => match (&sizes[usize::from(n)].1, &syms[usize::from(n)]) {
                    (_, Sym::Number(line)) if line.terms.is_empty() => {
                        Poly::constant(u64::try_from(line.constant.max(0)).unwrap_or(u64::MAX))
                    }
                    (Some(value), _) => value.clone(),
                    (None, _) => match self.universe.range(info.params[usize::from(n)]) {
                        Some((0, max)) if max <= i128::from(u16::MAX) => Poly::constant(max as u64),
                        _ => {
                            unbounded = true;
                            Poly::zero()
                        }
                    },
                },
            })?;
            extra[n] = extra[n].plus(&inner)?;
        }
        if unbounded {
            return Err(Reason::UnboundedFuel);
        }
        let result = self.know.fresh(self.universe, info.result)?;
        let (mut types, mut known) = (info.params.clone(), syms);
        types.push(info.result);
        known.push(result.clone());
        self.know.assume_props(self.universe, &declared.ensures, &types, &known)?;
        self.bind(info.result, result, None, None)
    }

    // ---- tables and protocols

    fn state(&mut self, op: &Op) -> Result<Option<Ty>, Reason> {
        match op {
            Op::Take { table, key } => {
                let info = self.own_table(*table, true)?;
                let key = self.of_type(*key, info.key, "the key has another type")?;
                let row = self.know.fresh(self.universe, info.row)?;
                self.assume_row(*table, &info, &key, &row)?;
                self.bind(info.row, row, None, None)?;
                let hole = self.kind_of(Kind::RowHole(info.of))?;
                self.bind(hole, Sym::Fields(Rc::new(vec![key])), None, None)?;
                return Ok(Some(info.row));
            }
            Op::Put { hole, row } => {
                let (ty, sym) = self.consume(*hole)?;
                let Kind::RowHole(of) = *self.universe.kind(ty) else {
                    return Err(Reason::Operand("the hole of a row is wanted"));
                };
                let info = self.own_table(of.index, true)?;
                let row = self.of_type(*row, info.row, "the row has another type")?;
                let key = if let Sym::Fields(held) = &sym { held[0].clone() } else { Sym::Opaque };
                self.oblige_row(of.index, &info, key, row)?;
                return Ok(Some(info.row));
            }
            Op::Close { hole } => {
                let (ty, _) = self.consume(*hole)?;
                let Kind::RowHole(of) = *self.universe.kind(ty) else {
                    return Err(Reason::Operand("the hole of a row is wanted"));
                };
                return Ok(Some(self.own_table(of.index, true)?.row));
            }
            Op::Insert { table, key, row } => {
                let info = self.own_table(*table, true)?;
                let key = self.of_type(*key, info.key, "the key has another type")?;
                let row = self.of_type(*row, info.row, "the row has another type")?;
                self.oblige_row(*table, &info, key, row)?;
                return Ok(Some(info.row));
            }
            Op::Has { table, key } => {
                let info = self.own_table(*table, false)?;
                self.of_type(*key, info.key, "the key has another type")?;
                self.bind_bool(Cond::default())?;
                return Ok(Some(info.key));
            }
            Op::Peek { table, key, path } => {
                let info = self.own_table(*table, false)?;
                let key = self.of_type(*key, info.key, "the key has another type")?;
                let ty = self.universe.at(info.row, path).ok_or(Reason::Operand("there is no such field"))?;
                self.data(ty)?;
                // What is known of a row is known of the part, in the arm in which there is one.
                let mark = self.know.mark();
                let row = self.know.fresh(self.universe, info.row)?;
                self.assume_row(*table, &info, &key, &row)?;
                let place = Place { var: 0, path: path.clone() };
                let part = match self.know.at(&[row], &place) {
                    Sym::Opaque => self.know.fresh(self.universe, ty)?,
                    sym => sym,
                };
                let facts = self.know.take_since(mark);
                let arms = vec![Arm { fields: vec![], facts: vec![] }, Arm { fields: vec![part], facts }];
                self.bind_option(ty, Some(arms))?;
            }
            Op::Scan { table, after, ty } => {
                let info = self.own_table(*table, false)?;
                let option = self.kind_of(Kind::Option(info.key))?;
                self.of_type(*after, option, "an option of a key is wanted")?;
                let ty = self.resolved(*ty)?;
                match self.universe.kind(ty) {
                    Kind::List(of, _) if *of == info.key => {}
                    _ => return Err(Reason::Operand("the result of a scan is a list of keys")),
                }
                self.bind_fresh(ty)?;
            }
            Op::Start { protocol, state, args } => {
                let info = self.own_protocol(*protocol)?;
                let fields = self.step(*protocol, *state, &info, args)?;
                self.need_signer(*protocol, *state, &fields)?;
                self.moves.insert(Move { protocol: *protocol, from: None, to: *state });
                self.bind_fresh(info.key)?;
                return Ok(Some(info.row));
            }
            Op::Enter { protocol, state, id } => {
                let info = self.own_protocol(*protocol)?;
                self.of_type(*id, info.key, "the id of an instance is wanted")?;
                let declared = &self.setting.module.protocols[usize::from(*protocol)];
                let declared = there("state", &declared.states, *state)?;
                if declared.last {
                    return Err(Reason::Form("no move leads out of a last state"));
                }
                let types = self.universe.variants(info.row).unwrap_or_default().swap_remove(usize::from(*state));
                let mut fields = Vec::new();
                for ty in &types {
                    fields.push(self.know.fresh(self.universe, *ty)?);
                }
                self.know.assume_props(self.universe, &declared.invariant, &types, &fields)?;
                if let Some(param) = declared.signed {
                    let symbol = self.know.symbol_of(&fields[usize::from(param)]);
                    self.know.assume(&Item::Authority(symbol))?;
                }
                for (ty, sym) in types.iter().zip(fields) {
                    self.bind(*ty, sym, None, None)?;
                }
                let of = Nominal { lineage: self.setting.lineage, index: *protocol };
                let hole = self.kind_of(Kind::InstanceHole(of, *state))?;
                self.bind(hole, Sym::Opaque, None, None)?;
                return Ok(Some(info.row));
            }
            Op::Become { hole, state, args } => {
                let (ty, _) = self.consume(*hole)?;
                let Kind::InstanceHole(of, from) = *self.universe.kind(ty) else {
                    return Err(Reason::Operand("the hole of an instance is wanted"));
                };
                let info = self.own_protocol(of.index)?;
                let fields = self.step(of.index, *state, &info, args)?;
                self.need_signer(of.index, *state, &fields)?;
                self.moves.insert(Move { protocol: of.index, from: Some(from), to: *state });
                return Ok(Some(info.row));
            }
            _ => {}
        }
        Ok(None)
    }

    fn own_protocol(&mut self, protocol: u16) -> Result<TableInfo, Reason> {
        let info = there("protocol", self.setting.protocols, protocol)?.clone();
        self.touch(info.of, true);
        Ok(info)
    }

    /// Whoever later finds an instance in a signed state has its party's authority; so that party agrees now.
    fn need_signer(&mut self, protocol: u16, state: u16, fields: &[Sym]) -> Result<(), Reason> {
        let declared = &self.setting.module.protocols[usize::from(protocol)].states[usize::from(state)];
        match declared.signed {
            Some(param) => self.need_authority(&fields[usize::from(param)]),
            None => Ok(()),
        }
    }

    /// Takes the parameters and fields of a state that an instance is put into.
    fn step(&mut self, protocol: u16, state: u16, info: &TableInfo, args: &[Var]) -> Result<Vec<Sym>, Reason> {
        let declared = &self.setting.module.protocols[usize::from(protocol)];
        let declared = there("state", &declared.states, state)?;
        let types = self.universe.variants(info.row).unwrap_or_default().swap_remove(usize::from(state));
        let fields = self.args(args, &types)?;
        self.oblige_props(&declared.invariant, &types, &fields)?;
        Ok(fields)
    }

    fn assume_row(&mut self, table: u16, info: &TableInfo, key: &Sym, row: &Sym) -> Result<(), Reason> {
        let invariant = &self.setting.module.tables[usize::from(table)].invariant;
        self.know.assume_props(self.universe, invariant, &[info.key, info.row], &[key.clone(), row.clone()])
    }

    fn oblige_row(&mut self, table: u16, info: &TableInfo, key: Sym, row: Sym) -> Result<(), Reason> {
        let setting = self.setting;
        let invariant = &setting.module.tables[usize::from(table)].invariant;
        self.oblige_props(invariant, &[info.key, info.row], &[key, row])
    }
}

/// Terms that each side of a condition may have.
const COND_TERMS_MAX: usize = 512;

/// True for a guard that asks who signed, and not only what time it is.
fn asks(guard: &Guard) -> bool {
    guard.iter().any(|n| matches!(n, GuardNode::Party { .. } | GuardNode::Role { .. } | GuardNode::IfSome { .. }))
}

/// What is known if one of two lists of facts holds. Only lines can be told apart.
fn either(a: &[Item], b: &[Item]) -> Vec<Item> {
    let (a, b) = (lines(a), lines(b));
    if a.is_empty() || b.is_empty() { Vec::new() } else { vec![Item::Either(vec![a, b])] }
}

/// The lines among some facts.
fn lines(items: &[Item]) -> Vec<Line> {
    items.iter().filter_map(|i| if let Item::Line(line) = i { Some(line.clone()) } else { None }).collect()
}
