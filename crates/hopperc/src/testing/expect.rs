//! What tests expect of the action before.

use hopper::abort::Abort;
use hopper::ir::{FunctionKind, Label, Signal};
use hopper::library::{INSTANCES, Unit};
use hopper::show::{self, FieldChange};
use hopper::state::RowKey;
use hopper::types::Kind;
use hopper::value::{self, Value};
use wire::Reader;

use super::values::path;
use super::{Last, R, Run};
use crate::diagnostic::Diagnostic;
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast};

/// A change that is expected.
struct Expected {
    node: Node,
    key: RowKey,
    path: Vec<String>,
}

impl<'l> Run<'_, 'l> {
    pub(super) fn expectation(&mut self, node: &Node) -> R<Vec<Diagnostic>> {
        let what = ast::word(node, 1).map(|t| t.text().to_owned()).unwrap_or_default();
        if what == "view" {
            return self.expect_view(node).map(|told| told.into_iter().collect());
        }
        let Some(last) = &self.last else {
            return self.scope.fail(node, "no action came before", "this is asked of the action before");
        };
        let told = match what.as_str() {
            "diff" => return self.expect_diff(node, last),
            "result" => self.expect_result(node, last)?,
            "event" => self.expect_event(node, last)?,
            _ => self.expect_conserved(node, last)?,
        };
        Ok(told.into_iter().collect())
    }

    fn text(&self, ty: hopper::types::Ty, value: &Value) -> String {
        show::value_text(&self.scope.library.universe, ty, value)
    }

    fn expect_result(&self, node: &Node, last: &Last) -> R<Option<Diagnostic>> {
        let Some(wanted) = ast::expr(node, 0) else { return Ok(None) };
        match &last.result {
            Ok(value) if self.values().fits(&wanted, last.ty, value)? => Ok(None),
            Ok(value) => {
                let message = format!("the result is {}", self.text(last.ty, value));
                Ok(Some(Diagnostic::new(self.scope.at(&wanted), message, "this was expected")))
            }
            Err(_) => self.scope.fail(node, "the action before was refused", "there is no result"),
        }
    }

    fn expect_view(&mut self, node: &Node) -> R<Option<Diagnostic>> {
        let Some(claim) = ast::expr(node, 0) else { return Ok(None) };
        let operator = if claim.kind() == K::BinExpr { ast::operator(&claim) } else { None };
        let asked = if operator.is_some() { ast::expr(&claim, 0) } else { Some(claim.clone()) };
        let Some(asked) = asked else { return Ok(None) };
        let (unit, function, args) = self.scope.call(&self.values(), &asked, FunctionKind::View)?;
        let ty = unit.functions[usize::from(function)].result;
        let value = match self.stage.run(self.record, unit, function, &[], args) {
            Ok(ended) => ended.outcome.result,
            Err(why) => return self.scope.fail(&asked, why, "here"),
        };
        let value = match value {
            Ok(value) => value,
            Err(abort) => {
                let why = show::abort_text(self.scope.library, &abort);
                return self.scope.fail(&asked, format!("the view gave nothing: {why}"), "asked here");
            }
        };
        let true_ = match (operator, ast::expr(&claim, 1)) {
            (Some(K::EqEq), Some(wanted)) => self.values().fits(&wanted, ty, &value)?,
            (Some(K::NotEq), Some(wanted)) => !self.values().fits(&wanted, ty, &value)?,
            (Some(operator), Some(wanted)) => {
                let (Some(a), Some(b)) = (value.int(), self.values().read(&wanted, ty)?.int()) else {
                    return self.scope.fail(&claim, "only numbers are more or less", "compared here");
                };
                match operator {
                    K::Lt => a < b,
                    K::LtEq => a <= b,
                    K::Gt => a > b,
                    K::GtEq => a >= b,
                    _ => return self.scope.fail(&claim, "a comparison is wanted, as view(@a) == 5", "this is none"),
                }
            }
            _ if *self.scope.library.universe.kind(ty) == Kind::Bool => value == Value::Bool(true),
            _ => return self.scope.fail(&claim, "a comparison is wanted, as view(@a) == 5", "this is none"),
        };
        let message = format!("the view gives {}", self.text(ty, &value));
        Ok((!true_).then(|| Diagnostic::new(self.scope.at(&claim), message, "this was expected")))
    }

    fn expect_conserved(&self, node: &Node, last: &Last) -> R<Option<Diagnostic>> {
        let words = ast::path(node);
        let name = words.iter().map(|t| t.text()).collect::<Vec<_>>().join(".");
        let place = |unit: &Unit, name: &str| unit.module.assets.iter().position(|a| a.name.as_str() == name);
        let Some((unit, name)) = self.scope.find(&name, |unit, name| place(unit, name).is_some()) else {
            return self.scope.fail(node, format!("there is no asset `{name}`"), "named here");
        };
        let at = place(unit, &name).unwrap_or_default();
        let Some(Kind::Asset { of, .. }) = unit.assets.get(at).map(|ty| self.scope.library.universe.kind(*ty)) else {
            return Ok(None);
        };
        let sum = |all: &[(hopper::types::Nominal, u128)]| all.iter().filter(|a| a.0 == *of).map(|a| a.1).sum::<u128>();
        let (minted, burned) = (sum(&last.diff.minted), sum(&last.diff.burned));
        let message = format!("{minted} of {name} came into being, {burned} ended");
        let told = || Diagnostic::new(self.scope.at(node), message, "as much as before was expected");
        Ok((minted != burned).then(told))
    }

    // ---- errors and events

    /// Was it refused for this reason?
    pub(super) fn reason(&self, node: &Node, abort: &Abort, why: &str) -> R<()> {
        let name = path(node).unwrap_or_default();
        let good = match abort {
            Abort::Fault(fault) => format!("{fault:?}").split('(').next() == Some(name.as_str()),
            Abort::Error { module, error, args } => {
                let unit = self.scope.library.units.get(module);
                match unit.and_then(|u| Some((u, u.module.errors.get(usize::from(*error))?))) {
                    Some((unit, signal)) => {
                        self.is_called(&name, unit, &signal.name) && self.fields_fit(node, unit, signal, args)?
                    }
                    None => false,
                }
            }
        };
        if good { Ok(()) } else { self.scope.fail(node, format!("refused: {why}"), "this reason was expected") }
    }

    /// Does a name, with or without its module's, mean this one of a module?
    fn is_called(&self, name: &str, unit: &Unit, label: &Label) -> bool {
        let (module, last) = name.rsplit_once('.').map_or((None, name), |(m, l)| (Some(m), l));
        let module_fits = module.is_none_or(|module| {
            let imported = self.scope.imports.iter().any(|(alias, _, u)| alias == module && u.id == unit.id);
            imported || unit.module.name.as_str() == module
        });
        module_fits && last == label.as_str()
    }

    /// Are the fields that stand there those of the signal? Fields that are not there may have any value.
    fn fields_fit(&self, node: &Node, unit: &Unit, signal: &Signal, bytes: &[u8]) -> R<bool> {
        let given = ast::struct_fields(node);
        let known = |name: &str| signal.fields.iter().any(|f| f.name.as_str() == name);
        if let Some((token, _)) = given.iter().find(|(token, _)| !known(token.text())) {
            return self.scope.fail(node, format!("`{}` has no field `{}`", signal.name, token.text()), "here");
        }
        let mut reader = Reader::new(bytes);
        for field in &signal.fields {
            let Some(ty) = unit.types.get(usize::from(field.ty)) else { return Ok(false) };
            let Ok(value) = value::decode(&self.scope.library.universe, *ty, &mut reader) else { return Ok(false) };
            match given.iter().find(|(token, _)| token.text() == field.name.as_str()) {
                Some((_, Some(wanted))) if !self.values().fits(wanted, *ty, &value)? => return Ok(false),
                Some((token, None)) if self.names.get(token.text()) != Some(&(*ty, value)) => return Ok(false),
                _ => {}
            }
        }
        Ok(true)
    }

    fn expect_event(&self, node: &Node, last: &Last) -> R<Option<Diagnostic>> {
        let Some(wanted) = ast::expr(node, 0) else { return Ok(None) };
        let name = path(&wanted).unwrap_or_default();
        for event in &last.diff.events {
            let unit = self.scope.library.units.get(&event.module);
            if let Some((unit, signal)) = unit.and_then(|u| Some((u, u.module.events.get(usize::from(event.event))?)))
                && self.is_called(&name, unit, &signal.name)
                && self.fields_fit(&wanted, unit, signal, &event.args)?
            {
                return Ok(None);
            }
        }
        let events = hopper::diff::Diff { events: last.diff.events.clone(), ..Default::default() };
        let told = Diagnostic::new(self.scope.at(&wanted), "no such event was told", "this was expected");
        let seen = show::changes_text(self.scope.library, &events);
        Ok(Some(seen.into_iter().fold(told, |told, line| told.note(format!("there was {line}")))))
    }

    // ---- diffs

    /// The changes are these, and no others unless `..` stands there.
    fn expect_diff(&self, node: &Node, last: &Last) -> R<Vec<Diagnostic>> {
        let Some(list) = ast::child(node, K::ChangeList) else { return Ok(Vec::new()) };
        let mut actual: Vec<(&RowKey, FieldChange)> = Vec::new();
        for change in &last.diff.changes {
            let fields = show::field_changes(self.scope.library, change).unwrap_or_default();
            actual.extend(fields.into_iter().map(|field| (&change.key, field)));
        }
        let (mut told, mut open) = (Vec::new(), false);
        for line in ast::children(&list, K::ChangeLine) {
            if ast::token(&line, K::DotDot).is_some() {
                open = true;
                continue;
            }
            let wanted = self.expected(&line)?;
            let same = |(key, field): &(&RowKey, FieldChange)| {
                **key == wanted.key && field.path.iter().map(Label::as_str).eq(wanted.path.iter().map(String::as_str))
            };
            match actual.iter().position(same) {
                Some(at) => {
                    let (_, field) = actual.remove(at);
                    told.extend(self.compare(&wanted.node, &field)?);
                }
                None => told.push(self.unchanged(&wanted, &actual)),
            }
        }
        if !open && !actual.is_empty() {
            let word = if actual.len() == 1 { "a change" } else { "changes" };
            let message = format!("the action made {word} that the test does not expect");
            let mut one = Diagnostic::new(self.scope.at(node), message, "these were expected");
            for (key, field) in &actual {
                one = one.note(self.change_text(key, field));
            }
            told.push(one.help("name them, or write `..` for any others"));
        }
        Ok(told)
    }

    fn unchanged(&self, wanted: &Expected, actual: &[(&RowKey, FieldChange)]) -> Diagnostic {
        let told = Diagnostic::new(self.scope.at(&wanted.node), "this did not change", "a change was expected");
        let near = actual.iter().filter(|(key, _)| **key == wanted.key);
        near.fold(told, |told, (key, field)| told.note(self.change_text(key, field)))
    }

    fn change_text(&self, key: &RowKey, field: &FieldChange) -> String {
        let side = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), |v| self.text(field.ty, v));
        let path: String = field.path.iter().map(|name| format!(".{name}")).collect();
        let row = show::row_text(self.scope.library, key);
        format!("{row}{path}: {} -> {}", side(&field.before), side(&field.after))
    }

    fn compare(&self, line: &Node, field: &FieldChange) -> R<Option<Diagnostic>> {
        let words: Vec<String> = ast::tokens(line).filter(|t| t.kind() == K::Ident).map(|t| t.text().into()).collect();
        let is = |word: &str| words.iter().any(|w| w == word);
        let fits = |node: Option<Node>, value: &Option<Value>| match (node, value) {
            (Some(node), Some(value)) => self.values().fits(&node, field.ty, value),
            (None, value) => Ok(value.is_some()),
            (Some(_), None) => Ok(false),
        };
        let good = if is("gone") {
            field.after.is_none()
        } else if is("new") {
            field.before.is_none() && fits(ast::expr(line, 1), &field.after)?
        } else {
            fits(ast::expr(line, 1), &field.before)? && fits(ast::expr(line, 2), &field.after)?
        };
        let side = |value: &Option<Value>| value.as_ref().map_or("no row".to_owned(), |v| self.text(field.ty, v));
        let message = format!("it changed from {} to {}", side(&field.before), side(&field.after));
        Ok((!good).then(|| Diagnostic::new(self.scope.at(line), message, "another change was expected")))
    }

    /// `cash.accounts[@alice].bal.amount`
    fn expected(&self, line: &Node) -> R<Expected> {
        let Some(mut node) = ast::expr(line, 0) else {
            return self.scope.fail(line, "a field of a row is wanted", "here");
        };
        let whole = node.clone();
        let mut fields = Vec::new();
        while node.kind() == K::FieldExpr {
            let (Some(inner), Some(field)) = (ast::expr(&node, 0), ast::tokens(&node).last()) else { break };
            fields.push(field.text().to_owned());
            node = inner;
        }
        fields.reverse();
        let name = if node.kind() == K::IndexExpr { ast::expr(&node, 0).and_then(|t| path(&t)) } else { None };
        let Some(name) = name else {
            return self.scope.fail(&whole, "a row is wanted, as accounts[@alice].bal.amount", "this is none");
        };
        let place = |unit: &Unit, name: &str| {
            let tables = unit.module.tables.iter().position(|t| t.name.as_str() == name);
            let protocols = || unit.module.protocols.iter().position(|p| p.name.as_str() == name);
            let n = tables.or_else(|| protocols().map(|n| n + usize::from(INSTANCES)))?;
            u16::try_from(n).ok()
        };
        let found = self.scope.find(&name, |unit, name| place(unit, name).is_some());
        let found = found.and_then(|(unit, name)| place(unit, &name).map(|table| (unit.lineage, table)));
        let Some((lineage, table)) = found else {
            return self.scope.fail(&whole, format!("there is no table or protocol `{name}`"), "named here");
        };
        let library = self.scope.library;
        let Some((_, info, _)) = show::table(library, &lineage, table) else {
            return self.scope.fail(&whole, format!("there is no table `{name}`"), "named here");
        };
        let keys = ast::args(&node);
        let key = match (&keys[..], library.universe.kind(info.key)) {
            ([key], _) => self.values().read(key, info.key)?,
            (keys, Kind::Tuple(types)) if keys.len() == types.len() => {
                let parts = keys.iter().zip(types).map(|(key, ty)| self.values().read(key, *ty));
                Value::fields(parts.collect::<R<Vec<_>>>()?)
            }
            _ => return self.scope.fail(&whole, "the key of the table has another number of parts", "here"),
        };
        let key = value::to_bytes(&library.universe, info.key, &key);
        Ok(Expected { node: line.clone(), key: RowKey { lineage, table, key }, path: fields })
    }
}
