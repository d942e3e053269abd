//! Modules, views, and runs without effect.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use hopper::ir::ModuleId;
use ledger::request::{Call, Status};
use ledger::{Answer, Query as Question};
use serde::Deserialize;
use serde_json::{Value, json};
use wire::hash::{decode_hex_bytes, encode_hex};
use wire::limits::SIGNERS_MAX;
use wire::{Encode, PublicKey};

use crate::node::http::reads::{mismatch, parse_name};
use crate::node::http::{Api, ApiError, answers};

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Live => "live",
        Status::Blessed => "blessed",
        Status::Sealed => "sealed",
    }
}

fn parse_id(text: &str) -> Result<ModuleId, ApiError> {
    let id = text.parse().map(ModuleId);
    id.map_err(|_| ApiError::bad_request("bad_module", "a module's id has 64 hexadecimal digits"))
}

fn parse_hex(what: &str, text: &str) -> Result<Vec<u8>, ApiError> {
    decode_hex_bytes(text).map_err(|_| ApiError::bad_request("bad_hex", format!("{what} must be hexadecimal digits")))
}

#[derive(Deserialize)]
pub struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /v1/modules`
pub async fn modules(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Query(page): Query<Page>,
) -> Result<Json<Value>, ApiError> {
    let after = page.after.as_deref().map(parse_id).transpose()?;
    let limit = page.limit.unwrap_or(ledger::query::MODULES_PAGE_MAX);
    match api.query(&headers, Question::Modules { after, limit }).await? {
        Answer::Modules { modules, more } => {
            let next = modules.last().filter(|_| more).map(|m| m.id.0.to_string());
            let module = |m: &ledger::query::ModuleSummary| {
                json!({
                    "id": m.id.0.to_string(),
                    "name": m.name,
                    "lineage": m.lineage.0.to_string(),
                    "newest": m.newest,
                    "live_from_ms": m.live_from.0,
                    "status": status_name(m.status),
                })
            };
            Ok(Json(json!({ "modules": modules.iter().map(module).collect::<Vec<_>>(), "next": next })))
        }
        _ => Err(mismatch()),
    }
}

/// `GET /v1/modules/{id}`
pub async fn module(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    match api.query(&headers, Question::Module(parse_id(&id)?)).await? {
        Answer::Module(Some((row, lineage))) => {
            let roles = lineage.roles.iter().map(|b| (b.role.to_string(), Value::from(b.party.as_str())));
            Ok(Json(json!({
                "id": id,
                "status": status_name(row.status),
                "live_from_ms": row.live_from.0,
                "deployed_at_index": row.deployed.0,
                "roles": roles.collect::<serde_json::Map<_, _>>(),
                "module": encode_hex(&row.module),
                "proofs": encode_hex(&row.proofs),
            })))
        }
        Answer::Module(None) => {
            Err(ApiError::not_found("unknown_module", format!("module {id} is not deployed; check the id")))
        }
        _ => Err(mismatch()),
    }
}

/// What to run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    party: String,
    /// The keys that sign; everyone's agreement is taken for granted if there is no such list.
    signers: Option<Vec<String>>,
    module: String,
    function: u16,
    /// The arguments' canonical bytes.
    args: String,
}

/// `POST /v1/run`: a view, or what an action would do if it came next.
pub async fn run(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Json(run): Json<Run>,
) -> Result<Json<Value>, ApiError> {
    let key = |text: &String| {
        text.parse::<PublicKey>().map_err(|_| ApiError::bad_request("bad_key", "a key has 64 hexadecimal digits"))
    };
    if run.signers.as_ref().is_some_and(|keys| keys.len() > SIGNERS_MAX) {
        return Err(ApiError::bad_request("too_many_signers", format!("a command has at most {SIGNERS_MAX} signers")));
    }
    let signers = run.signers.as_ref().map(|keys| keys.iter().map(key).collect::<Result<Vec<_>, _>>()).transpose()?;
    let call = Call {
        module: parse_id(&run.module)?,
        function: run.function,
        args: parse_hex("args", &run.args)?,
        limit: None,
        scopes: Vec::new(),
    };
    match api.query(&headers, Question::Run { party: parse_name(&run.party)?, signers, call }).await? {
        Answer::Ran(ran) => Ok(Json(json!({
            "outcome": answers::outcome(&ran.outcome),
            "result": encode_hex(&ran.result),
            "result_text": ran.result_text,
            "cost": answers::cost(&ran.cost.0),
            "diff": answers::changes(&ran.diff),
            "diff_bytes": encode_hex(&ran.diff.to_bytes()),
            "effects": answers::effects(&ran.diff),
        }))),
        _ => Err(mismatch()),
    }
}
