//! Modules as a client has them: fetched from any node, believed by their hash, and verified here.

use client::HttpClient;
use hopper::ir::{Module, ModuleId, Proofs};
use hopper::library::{Library, Unit};
use hopper::verify;
use ledger::cash;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::Membership;
use wire::hash::decode_hex_bytes;

use crate::cli::CliError;

/// Modules below one, at most.
const MODULES_MAX: usize = 500;

/// A module in a node's list.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub id: ModuleId,
    pub name: String,
    pub lineage: String,
    pub newest: bool,
    pub live_from_ms: u64,
    pub status: String,
}

fn listed(value: &Value) -> Option<Listed> {
    let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
    Some(Listed {
        id: ModuleId(text("id")?.parse().ok()?),
        name: text("name")?,
        lineage: text("lineage")?,
        newest: value.get("newest")?.as_bool()?,
        live_from_ms: value.get("live_from_ms")?.as_u64()?,
        status: text("status")?,
    })
}

/// All modules, as nodes of weight above F list them alike.
pub(crate) async fn list(http: &HttpClient, membership: &Membership) -> Result<Vec<Listed>, CliError> {
    let mut all = Vec::new();
    let mut path = "/v1/modules".to_owned();
    loop {
        let (page, _) = http.get_agreed(&path, membership, |value| value).await?;
        let page = page.unwrap_or_default();
        let modules = page.get("modules").and_then(Value::as_array);
        all.extend(modules.into_iter().flatten().filter_map(listed));
        match page.get("next").and_then(Value::as_str) {
            Some(next) if all.len() < 100 * MODULES_MAX => path = format!("/v1/modules?after={next}"),
            _ => return Ok(all),
        }
    }
}

/// The module that a person means: by its id, the beginning of it, or its name.
///
/// A name stands for the newest version of the one lineage that has it. Anybody can deploy a module of any name; where several
/// have, the id must be given. `bank.cash` is always the one from genesis.
pub(crate) async fn resolve(http: &HttpClient, membership: &Membership, text: &str) -> Result<ModuleId, CliError> {
    if let Ok(id) = text.parse() {
        return Ok(ModuleId(id));
    }
    let all = list(http, membership).await?;
    let hex = text.len() >= 6 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let mut found: Vec<&Listed> =
        all.iter().filter(|m| (m.name == text && m.newest) || (hex && m.id.0.to_string().starts_with(text))).collect();
    if text == "bank.cash" {
        found.retain(|m| m.lineage == cash::lineage().0.to_string());
    }
    match found.as_slice() {
        [one] => Ok(one.id),
        [] => Err(CliError::new(format!("no module {text:?} is deployed; list them with: juno contract show"))),
        several => {
            let ids: Vec<String> = several.iter().map(|m| m.id.0.to_string()).collect();
            Err(CliError::new(format!("several modules are called {text:?}; give the id: {}", ids.join(", "))))
        }
    }
}

/// A module with all that it imports, and what else a node says of it.
pub(crate) struct Fetched {
    pub library: Library,
    pub unit: Arc<Unit>,
    /// Role and party.
    pub roles: BTreeMap<String, String>,
}

/// Fetches modules with all that they import, and what they replace, from whichever node answers.
///
/// # Errors
/// If a node gives other bytes than the id says, or what the verifier refuses.
pub(crate) async fn fetch(
    http: &HttpClient,
    ids: &[ModuleId],
) -> Result<(Library, BTreeMap<ModuleId, Value>), CliError> {
    let mut answers: BTreeMap<ModuleId, (Module, Proofs)> = BTreeMap::new();
    let mut raw = BTreeMap::new();
    let mut todo: Vec<ModuleId> = ids.to_vec();
    while let Some(id) = todo.pop() {
        if answers.contains_key(&id) {
            continue;
        }
        if answers.len() >= MODULES_MAX {
            return Err(CliError::new(format!("more than {MODULES_MAX} modules are imported")));
        }
        let (node, value) = http.get_any(&format!("/v1/modules/{}", id.0)).await?;
        let bytes = |name: &str| value.get(name).and_then(Value::as_str).and_then(|hex| decode_hex_bytes(hex).ok());
        let module = bytes("module").and_then(|b| Module::read(&b).ok());
        let proofs = bytes("proofs").and_then(|b| Proofs::read(&b).ok());
        let (Some(module), Some(proofs)) = (module, proofs) else {
            return Err(CliError::new(format!("node {node} gave no module for id {}; ask another with --node", id.0)));
        };
        if module.id() != id {
            return Err(CliError::new(format!("node {node} gave another module than {}; do not trust it", id.0)));
        }
        todo.extend(&module.imports);
        todo.extend(&module.replaces);
        answers.insert(id, (module, proofs));
        raw.insert(id, value);
    }
    let mut library = Library::default();
    let mut left: BTreeSet<ModuleId> = answers.keys().copied().collect();
    while !left.is_empty() {
        let ready = |id: &&ModuleId| {
            let module = &answers[id].0;
            module.imports.iter().chain(&module.replaces).all(|i| library.units.contains_key(i))
        };
        let Some(id) = left.iter().find(ready).copied() else {
            return Err(CliError::new("the modules import each other; a node lies"));
        };
        left.remove(&id);
        let (module, proofs) = &answers[&id];
        verify::deploy(&mut library, module.clone(), proofs)
            .map_err(|e| CliError::new(format!("the verifier refuses module {}: {e}", id.0)))?;
    }
    Ok((library, raw))
}

/// One module, by whatever a person calls it.
pub(crate) async fn one(http: &HttpClient, membership: &Membership, text: &str) -> Result<Fetched, CliError> {
    let id = resolve(http, membership, text).await?;
    let (library, raw) = fetch(http, &[id]).await?;
    let unit = library.units[&id].clone();
    let roles = raw[&id].get("roles").and_then(Value::as_object);
    let party = |(role, party): (&String, &Value)| Some((role.clone(), party.as_str()?.to_owned()));
    let roles = roles.into_iter().flatten().filter_map(party).collect();
    Ok(Fetched { library, unit, roles })
}
