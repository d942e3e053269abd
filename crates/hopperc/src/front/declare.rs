//! Declarations: names first, then what they are made of, then what holds of them. So the order in a file does not matter.

use std::collections::{BTreeMap, BTreeSet};

use hopper::ir::{Asset, Enum, GuardNode, Protocol, Record, Signal, State, Table, Upgrade, Variant, limits};

use super::module::{Front, R, duration};
use super::props::{Names, Val};
use super::types::{AssetDecl, ProtocolDecl, Shape, StateDecl, TableDecl, Ty};
use crate::diagnostic::Diagnostic;
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast};

/// What of a file declares what.
#[derive(Default)]
pub(super) struct Items {
    records: Vec<Node>,
    enums: Vec<Node>,
    assets: Vec<Node>,
    tables: Vec<Node>,
    pub protocols: Vec<Node>,
    errors: Vec<Node>,
    events: Vec<Node>,
}

/// The name that a declaration gives: the first name token after its head word.
pub(super) fn name_of(node: &Node) -> String {
    let at = usize::from(!matches!(node.kind(), K::Variant | K::Signal));
    ast::word(node, at).map(|w| w.text().to_owned()).unwrap_or_default()
}

/// Collects what can go wrong in several places.
pub(super) fn gather(told: &mut Vec<Diagnostic>, done: R<()>) {
    if let Err(error) = done {
        told.push(*error);
    }
}

impl Front {
    /// All declarations but functions.
    pub fn declare(&mut self, root: &Node, told: &mut Vec<Diagnostic>) -> Items {
        let items = Items::of(root);
        self.names(root, &items, told);
        if told.is_empty() {
            self.contents(&items, told);
        }
        if told.is_empty() {
            self.tables_of_types(&items, told);
        }
        if told.is_empty() {
            self.invariants(&items, told);
        }
        items
    }

    fn names(&mut self, root: &Node, items: &Items, told: &mut Vec<Diagnostic>) {
        for node in ast::children(root, K::ConstItem) {
            let plain = |n: &Node| {
                let n = ast::bare(n);
                let inner = if n.kind() == K::PrefixExpr { ast::expr(&n, 0).map(|i| ast::bare(&i)) } else { Some(n) };
                inner.is_some_and(|i| i.kind() == K::Literal)
            };
            if let Some(value) = ast::expr(&node, 0).filter(|v| !plain(v)) {
                told.push(Diagnostic::new(self.at(&value), "a constant is a literal", "this is computed"));
                continue;
            }
            let ty = ast::ty(&node, 0).map(|t| self.ty(&t));
            if let (Some(Ok(ty)), Some(value)) = (ty, ast::expr(&node, 0)) {
                self.consts.insert(name_of(&node), (ty, value));
            } else {
                told.push(Diagnostic::new(
                    self.at(&node),
                    "a constant has a type that is built in",
                    "of this one it is not known",
                ));
            }
        }
        let mut seen: BTreeMap<(&str, String), Node> = BTreeMap::new();
        let types = items.records.iter().chain(&items.enums).chain(&items.assets);
        let groups = [
            ("type", types.collect::<Vec<_>>()),
            ("table or protocol", items.tables.iter().chain(&items.protocols).collect()),
            ("error", items.errors.iter().collect()),
            ("event", items.events.iter().collect()),
        ];
        for (what, nodes) in groups {
            for node in nodes {
                let name = name_of(node);
                if let Some(first) = seen.insert((what, name.clone()), node.clone()) {
                    told.push(
                        Diagnostic::new(self.at(node), format!("there are two of the name `{name}`"), "declared again")
                            .also(self.at(&first), "declared first"),
                    );
                }
            }
        }
        let shape = |node: &Node| Shape { name: name_of(node), fields: Vec::new() };
        let own = &mut self.world.scopes[0];
        own.records = items.records.iter().map(shape).collect();
        let variants = |node: &Node| -> Vec<Shape> {
            ast::child(node, K::VariantList)
                .map(|l| ast::children(&l, K::Variant).map(|v| shape(&v)).collect())
                .unwrap_or_default()
        };
        own.enums = items.enums.iter().map(|e| (name_of(e), variants(e))).collect();
        let measured = |node: &Node| !ast::clauses(node, "conserves").is_empty();
        own.assets =
            items.assets.iter().map(|a| AssetDecl { shape: shape(a), measured: measured(a), signed: None }).collect();
        own.protocols = items
            .protocols
            .iter()
            .map(|p| ProtocolDecl { name: name_of(p), params: Vec::new(), states: Vec::new() })
            .collect();
        own.errors = items.errors.iter().map(shape).collect();
        own.events = items.events.iter().map(shape).collect();
    }

    fn shape_fields(&self, node: &Node) -> R<Vec<(String, Ty)>> {
        let mut fields: Vec<(String, Ty)> = Vec::new();
        for field in ast::fields(node) {
            let name = field.name.text().to_owned();
            if fields.iter().any(|f| f.0 == name) {
                return self.fail(&field.node, format!("there are two fields `{name}`"), "declared again");
            }
            let Some(ty) = field.ty else { return self.fail(&field.node, "the type is missing", "here") };
            fields.push((name, self.ty(&ty)?));
        }
        if fields.len() > limits::FIELDS_MAX {
            return self.fail(
                node,
                format!("more than {} fields", limits::FIELDS_MAX),
                "put some of them into a record",
            );
        }
        Ok(fields)
    }

    fn contents(&mut self, items: &Items, told: &mut Vec<Diagnostic>) {
        for (n, node) in items.records.iter().enumerate() {
            let fields = self.shape_fields(node).and_then(|f| {
                if f.is_empty() { self.fail(node, "a record has at least one field", "none here") } else { Ok(f) }
            });
            gather(told, fields.map(|f| self.world.scopes[0].records[n].fields = f));
        }
        for (n, node) in items.enums.iter().enumerate() {
            let list = ast::child(node, K::VariantList);
            for (v, variant) in list.iter().flat_map(|l| ast::children(l, K::Variant)).enumerate() {
                let fields = self.shape_fields(&variant);
                gather(told, fields.map(|f| self.world.scopes[0].enums[n].1[v].fields = f));
            }
        }
        for (n, node) in items.assets.iter().enumerate() {
            let done = self.asset_contents(node).map(|asset| self.world.scopes[0].assets[n] = asset);
            gather(told, done);
        }
        for node in &items.tables {
            let table = self.table_contents(node).map(|table| self.world.scopes[0].tables.push(table));
            gather(told, table);
        }
        for (n, node) in items.protocols.iter().enumerate() {
            let done = self.protocol_contents(node).map(|p| self.world.scopes[0].protocols[n] = p);
            gather(told, done);
        }
        for (n, node) in items.errors.iter().enumerate() {
            let fields = self.shape_fields(node);
            gather(told, fields.map(|f| self.world.scopes[0].errors[n].fields = f));
        }
        for (n, node) in items.events.iter().enumerate() {
            let fields = self.shape_fields(node);
            gather(told, fields.map(|f| self.world.scopes[0].events[n].fields = f));
        }
    }

    fn asset_contents(&self, node: &Node) -> R<AssetDecl> {
        let shape = Shape { name: name_of(node), fields: self.shape_fields(node)? };
        let mut signed = None;
        for clause in ast::clauses(node, "signed") {
            let field = ast::word(&clause, 1).map(|w| w.text().to_owned()).unwrap_or_default();
            let at = shape.fields.iter().position(|f| f.0 == field && f.1 == Ty::Party);
            let Some(at) = at else {
                return self.fail(
                    &clause,
                    format!("`{field}` is no field that holds a party"),
                    "an asset is signed by one of its fields",
                );
            };
            signed = Some(at as u16);
        }
        let conserves = ast::clauses(node, "conserves");
        if let Some(clause) = conserves.first() {
            let field = ast::word(clause, 1).map(|w| w.text().to_owned()).unwrap_or_default();
            let first = shape.fields.first();
            if first.is_none_or(|f| f.0 != field || !matches!(f.1, Ty::Int { signed: false, .. })) {
                return self.fail(clause, "what is conserved is the first field, an unsigned number", "this is not");
            }
            if signed.is_some()
                || !ast::clauses(node, "invariant").is_empty()
                || !ast::clauses(node, "where").is_empty()
            {
                return self.fail(
                    node,
                    "a measured asset has no invariant and no signed field",
                    "splitting and joining would break it",
                );
            }
        }
        Ok(AssetDecl { shape, measured: !conserves.is_empty(), signed })
    }

    fn table_contents(&self, node: &Node) -> R<TableDecl> {
        let (Some(key), Some(row)) = (ast::ty(node, 0), ast::ty(node, 1)) else {
            return self.fail(node, "a table has keys and rows", "as `table accounts: Party -> Account`");
        };
        Ok(TableDecl { name: name_of(node), key: self.ty(&key)?, row: self.ty(&row)? })
    }

    fn protocol_contents(&self, node: &Node) -> R<ProtocolDecl> {
        let params = self.shape_fields(node)?;
        let mut states: Vec<StateDecl> = Vec::new();
        for state in states_of(node) {
            let shape = Shape { name: name_of(&state), fields: self.shape_fields(&state)? };
            if states.iter().any(|s| s.shape.name == shape.name) {
                return self.fail(&state, format!("there are two states `{}`", shape.name), "declared again");
            }
            let last = !ast::clauses(&state, "final").is_empty();
            if last && shape.fields.iter().any(|f| self.world.linear(&f.1)) {
                return self.front_final(&state);
            }
            states.push(StateDecl { shape, last });
        }
        if states.is_empty() {
            return self.fail(node, "a protocol has at least one state", "none here");
        }
        Ok(ProtocolDecl { name: name_of(node), params, states })
    }

    fn front_final<T>(&self, state: &Node) -> R<T> {
        self.fail_help(
            state,
            "a final state holds no asset",
            "nothing leads out of it: what it holds would be lost",
            "pay it out on the way there",
        )
    }

    /// Puts all types into the table, and declarations into the module.
    fn tables_of_types(&mut self, items: &Items, told: &mut Vec<Diagnostic>) {
        let own = self.world.own().clone();
        let empty = |name: &str| hopper::ir::Label::new(name);
        let made = self.skeletons(&own, empty);
        if let Err(error) = made {
            let at = items.records.first().map_or(self.span(0..0), |n| self.at(n));
            told.push(Diagnostic::new(at, error.to_string(), "a name is no name"));
            return;
        }
        type Make = fn(hopper::ir::Ref) -> Ty;
        let all: [(&[Node], Make); 3] =
            [(&items.records, Ty::Record), (&items.enums, Ty::Enum), (&items.assets, Ty::Asset)];
        for (nodes, make) in all {
            for (n, node) in nodes.iter().enumerate() {
                let ty = make(hopper::ir::Ref { scope: 0, index: n as u16 });
                let done = self.intern(&ty, &ast::span(node)).map(drop);
                gather(told, done);
            }
        }
        for (n, node) in items.tables.iter().enumerate() {
            let range = ast::span(node);
            let table = own.tables[n].clone();
            let done = (|| {
                let name = self.label(&table.name, range.clone())?;
                let (key, row) = (self.intern(&table.key, &range)?, self.intern(&table.row, &range)?);
                self.module.tables.push(Table { name, key, row, invariant: Vec::new() });
                Ok(())
            })();
            gather(told, done);
        }
        for (n, node) in items.protocols.iter().enumerate() {
            let done = self.protocol_entry(node, n);
            gather(told, done);
        }
        for (nodes, error) in [(&items.errors, true), (&items.events, false)] {
            for (n, node) in nodes.iter().enumerate() {
                let shape = if error { own.errors[n].clone() } else { own.events[n].clone() };
                let range = ast::span(node);
                let done = (|| {
                    let signal = Signal {
                        name: self.label(&shape.name, range.clone())?,
                        fields: self.fields(&shape.fields, &range)?,
                    };
                    let list = if error { &mut self.module.errors } else { &mut self.module.events };
                    list.push(signal);
                    Ok(())
                })();
                gather(told, done);
            }
        }
    }

    /// Entries with names and nothing else, so that types can refer to them.
    fn skeletons(
        &mut self,
        own: &super::types::Scope,
        label: fn(&str) -> Result<hopper::ir::Label, wire::DecodeError>,
    ) -> Result<(), wire::DecodeError> {
        for record in &own.records {
            self.module.records.push(Record { name: label(&record.name)?, fields: Vec::new(), invariant: Vec::new() });
        }
        for (name, variants) in &own.enums {
            let variants = variants
                .iter()
                .map(|v| Ok(Variant { name: label(&v.name)?, fields: Vec::new(), invariant: Vec::new() }))
                .collect::<Result<_, wire::DecodeError>>()?;
            self.module.enums.push(Enum { name: label(name)?, variants });
        }
        for asset in &own.assets {
            self.module.assets.push(Asset {
                name: label(&asset.shape.name)?,
                fields: Vec::new(),
                measured: asset.measured,
                signed: asset.signed,
                invariant: Vec::new(),
            });
        }
        Ok(())
    }

    fn protocol_entry(&mut self, node: &Node, n: usize) -> R<()> {
        let declared = self.world.own().protocols[n].clone();
        let range = ast::span(node);
        let params = self.fields(&declared.params, &range)?;
        let mut states = Vec::new();
        for (state, of) in states_of(node).iter().zip(&declared.states) {
            let mut signed = None;
            for clause in ast::clauses(state, "signed") {
                let name = ast::word(&clause, 1).map(|w| w.text().to_owned()).unwrap_or_default();
                let at = declared.params.iter().position(|p| p.0 == name && p.1 == Ty::Party);
                let Some(at) = at else {
                    return self.fail(
                        &clause,
                        format!("`{name}` is no parameter that is a party"),
                        "a state is signed by one",
                    );
                };
                signed = Some(at as u16);
            }
            let fields = self.fields(&of.shape.fields, &ast::span(state))?;
            states.push(State {
                name: self.label(&of.shape.name, ast::span(state))?,
                fields,
                last: of.last,
                signed,
                invariant: Vec::new(),
            });
        }
        self.module.protocols.push(Protocol { name: self.label(&declared.name, range)?, params, states });
        Ok(())
    }

    /// The propositions of a declaration's clauses.
    pub fn claims(&self, names: &Names, node: &Node) -> R<Vec<hopper::ir::Prop>> {
        let mut props = Vec::new();
        for clause in ast::clauses(node, "invariant").into_iter().chain(ast::clauses(node, "where")) {
            if let Some(claim) = ast::expr(&clause, 0) {
                props.extend(self.props(names, &claim)?);
            }
        }
        Ok(props)
    }

    fn invariants(&mut self, items: &Items, told: &mut Vec<Diagnostic>) {
        let own = self.world.own().clone();
        for (n, node) in items.records.iter().enumerate() {
            let found = self.claims(&field_names(&own.records[n].fields, 0), node);
            gather(told, found.map(|p| self.module.records[n].invariant = p));
        }
        for (n, node) in items.enums.iter().enumerate() {
            let list = ast::child(node, K::VariantList);
            for (v, variant) in list.iter().flat_map(|l| ast::children(l, K::Variant)).enumerate() {
                let found = self.claims(&field_names(&own.enums[n].1[v].fields, 0), &variant);
                gather(told, found.map(|p| self.module.enums[n].variants[v].invariant = p));
            }
        }
        for (n, node) in items.assets.iter().enumerate() {
            let found = self.claims(&field_names(&own.assets[n].shape.fields, 0), node);
            gather(told, found.map(|p| self.module.assets[n].invariant = p));
        }
        for (n, node) in items.tables.iter().enumerate() {
            let table = &own.tables[n];
            let names = vec![
                ("key".to_owned(), Val::var(table.key.clone(), 0)),
                ("row".to_owned(), Val::var(table.row.clone(), 1)),
            ];
            let found = self.claims(&names, node);
            gather(told, found.map(|p| self.module.tables[n].invariant = p));
        }
        for (n, node) in items.protocols.iter().enumerate() {
            let protocol = &own.protocols[n];
            let params = field_names(&protocol.params, 0);
            // What holds of the parameters holds in every state.
            let all = match self.claims(&params, node) {
                Ok(all) => all,
                Err(error) => {
                    told.push(*error);
                    continue;
                }
            };
            for (s, state) in states_of(node).iter().enumerate() {
                let mut names = params.clone();
                names.extend(field_names(&protocol.states[s].shape.fields, protocol.params.len()));
                let found = self.claims(&names, state);
                gather(told, found.map(|p| self.module.protocols[n].states[s].invariant = [all.clone(), p].concat()));
            }
        }
    }

    /// Roles, governance, upgrades.
    pub fn head(&mut self, root: &Node, told: &mut Vec<Diagnostic>) {
        let Some(head) = ast::child(root, K::ModuleHead) else { return };
        for clause in ast::clauses(&head, "governed") {
            let Some(guard) = ast::expr(&clause, 0) else { continue };
            let found = self.guard(&Names::new(), &guard).and_then(|guard_nodes| {
                if guard_nodes.iter().all(|n| matches!(n, GuardNode::Role { .. } | GuardNode::AtLeast { .. })) {
                    Ok(guard_nodes)
                } else {
                    self.fail(&guard, "a module is governed by roles only", "this is none")
                }
            });
            gather(told, found.map(|g| self.module.governance = g));
        }
        for clause in ast::clauses(&head, "upgrade") {
            let delay_ms = ast::token(&clause, K::Duration).and_then(|t| duration(t.text())).unwrap_or_default();
            self.module.upgrade = if ast::has_word(&clause, "additive") {
                Upgrade::Additive { delay_ms }
            } else if ast::has_word(&clause, "governed") {
                Upgrade::Governed { delay_ms }
            } else {
                Upgrade::Immutable
            };
            if self.module.upgrade != Upgrade::Immutable && self.module.governance.is_empty() {
                told.push(
                    Diagnostic::new(
                        self.at(&clause),
                        "nobody could decide on an upgrade",
                        "the module has no governance",
                    )
                    .help("write `governed by @role`, or `upgrade immutable`"),
                );
            }
        }
    }
}

impl Items {
    fn of(root: &Node) -> Items {
        let of = |kind| ast::children(root, kind).collect::<Vec<_>>();
        let signals = |word: &str| {
            let items = ast::children(root, K::SignalItem).filter(|i| ast::has_word(i, word));
            items.flat_map(|i| ast::children(&i, K::Signal).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        Items {
            records: of(K::RecordItem),
            enums: of(K::EnumItem),
            assets: of(K::AssetItem),
            tables: of(K::TableItem),
            protocols: of(K::ProtocolItem),
            errors: signals("error"),
            events: signals("event"),
        }
    }
}

pub(super) fn states_of(protocol: &Node) -> Vec<Node> {
    ast::child(protocol, K::ProtocolBody).map(|b| ast::children(&b, K::StateItem).collect()).unwrap_or_default()
}

/// Fields as names of variables from a number on.
pub(super) fn field_names(fields: &[(String, Ty)], from: usize) -> Names {
    fields.iter().enumerate().map(|(n, (name, ty))| (name.clone(), Val::var(ty.clone(), (from + n) as u16))).collect()
}

/// The roles that a file speaks of, in order.
pub(super) fn roles(root: &Node) -> BTreeSet<String> {
    let tokens = root.descendants_with_tokens().filter_map(rowan::NodeOrToken::into_token);
    let tokens = tokens.filter(|t| t.kind() == K::Role);
    let outside = tokens.filter(|t| !t.parent_ancestors().any(|n| n.kind() == K::TestItem));
    outside.map(|t| t.text().trim_start_matches('@').to_owned()).collect()
}
