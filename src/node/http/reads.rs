//! Reading balances and parties; status, health and metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ledger::{Answer, Query as Question};
use replica::{Role, Status};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::{Index, Name, NodeId};

use crate::node::http::{Api, ApiError, answers};
use crate::node::inbox::Request;
use crate::node::limits::{REPLICA_TIMEOUT, STATUS_AGE_MAX};
use crate::node::thread::Stage;

impl Api {
    /// Refuses what needs the replica while there is none yet.
    pub fn check_started(&self) -> Result<(), ApiError> {
        match &*self.stage.borrow() {
            Stage::Opening { progress } => {
                Err(ApiError::unavailable(format!("the node is starting: {progress}; try again shortly")))
            }
            _ => Ok(()),
        }
    }

    /// Puts a question to the replica and waits for the answer.
    pub async fn ask<T>(&self, request: Request, answer: oneshot::Receiver<T>) -> Result<T, ApiError> {
        self.check_started()?;
        if self.inbox.try_push_request(request).is_err() {
            return Err(ApiError::busy("too many questions wait for the replica"));
        }
        match timeout(REPLICA_TIMEOUT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(ApiError::unavailable("the node is stopping; use another node")),
            Err(_) => Err(ApiError::unavailable("the replica does not keep up; try again, or use another node")),
        }
    }

    /// Puts a question to the replica, for somebody who may read.
    pub async fn query(&self, headers: &HeaderMap, question: Question) -> Result<Answer, ApiError> {
        self.check_reader(headers)?;
        let (sender, receiver) = oneshot::channel();
        self.ask(Request::Query(Box::new(question), sender), receiver).await
    }

    fn node_name(&self, id: NodeId) -> String {
        self.membership.voter(id).map_or_else(|| id.to_string(), |v| v.name.to_string())
    }
}

/// The ledger answers each question with the variant of its name.
pub fn mismatch() -> ApiError {
    ApiError::unavailable("the replica gave an answer to another question; report this as a fault of the program")
}

pub fn parse_name(text: &str) -> Result<Name, ApiError> {
    Name::new(text).map_err(|why| ApiError::bad_request("bad_name", why.to_string()))
}

#[derive(Deserialize)]
pub struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /v1/accounts`
pub async fn accounts(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Query(page): Query<Page>,
) -> Result<Json<Value>, ApiError> {
    let after = page.after.as_deref().map(parse_name).transpose()?;
    let limit = page.limit.unwrap_or(ledger::query::ACCOUNTS_PAGE_MAX);
    match api.query(&headers, Question::Accounts { after, limit }).await? {
        Answer::Accounts { accounts, more } => {
            let next = accounts.last().filter(|_| more).map(|a| a.name.to_string());
            Ok(Json(json!({ "accounts": accounts.iter().map(answers::account).collect::<Vec<_>>(), "next": next })))
        }
        _ => Err(mismatch()),
    }
}

/// `GET /v1/accounts/{name}`
pub async fn account(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    match api.query(&headers, Question::Account(parse_name(&name)?)).await? {
        Answer::Account(Some(account)) => Ok(Json(answers::account(&account))),
        Answer::Account(None) => {
            Err(ApiError::not_found("unknown_account", format!("account {name:?} does not exist; check the name")))
        }
        _ => Err(mismatch()),
    }
}

/// `GET /v1/parties/{name}`
pub async fn party(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    match api.query(&headers, Question::Party(parse_name(&name)?)).await? {
        Answer::Party(Some((name, guard))) => {
            Ok(Json(json!({ "name": name.as_str(), "guard": answers::guard(&guard) })))
        }
        Answer::Party(None) => {
            Err(ApiError::not_found("unknown_party", format!("party {name:?} is not registered; check the name")))
        }
        _ => Err(mismatch()),
    }
}

/// `GET /v1/notes/{index}`
pub async fn note(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(index): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let parsed = index.parse().map_err(|_| ApiError::bad_request("bad_index", "a log index is a whole number"))?;
    match api.query(&headers, Question::Note(Index(parsed))).await? {
        Answer::Note(Some(note)) => Ok(Json(answers::note(&note))),
        Answer::Note(None) => {
            Err(ApiError::not_found("unknown_note", format!("the entry at index {index} left no note")))
        }
        _ => Err(mismatch()),
    }
}

/// `GET /v1/supply`
pub async fn supply(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    match api.query(&headers, Question::Supply).await? {
        Answer::Supply(supply) => Ok(Json(json!({ "supply": answers::amount(supply) }))),
        _ => Err(mismatch()),
    }
}

/// `GET /v1/totals`
pub async fn totals(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    match api.query(&headers, Question::Totals).await? {
        Answer::Totals(t) => Ok(Json(json!({
            "height": t.height.0,
            "time_ms": t.time.0,
            "entries": t.entries,
            "parties": t.parties,
            "accounts": t.accounts,
            "notes": t.notes,
            "sessions": t.sessions,
            "results": t.results,
            "supply": answers::amount(t.supply),
            "state_root": t.state_root.to_string(),
            "receipts_root": t.receipts_root.to_string(),
        }))),
        _ => Err(mismatch()),
    }
}

fn running(api: &Api) -> Result<Arc<Status>, ApiError> {
    match &*api.stage.borrow() {
        Stage::Running { status, .. } => Ok(status.clone()),
        Stage::Opening { progress } => Err(ApiError::unavailable(format!("the node is starting: {progress}"))),
        Stage::Stopped => Err(ApiError::unavailable("the node is stopping")),
    }
}

/// `GET /v1/status`
pub async fn status(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    let status = running(&api)?;
    Ok(Json(json!({
        "node": status.node.0,
        "name": api.node_name(status.node),
        "cluster": status.cluster.to_string(),
        "epoch": status.epoch.0,
        "term": status.term.0,
        "leader": status.leader.map(|l| json!({ "node": l.0, "name": api.node_name(l) })),
        "role": status.role.name(),
        "height": status.height.0,
        "height_known": status.height_known.0,
        "time_ms": status.time.0,
        "entries": status.entries,
        "pool_commands": status.pool,
        "uncommitted_blocks": status.uncommitted,
        "log_bytes": status.log_bytes,
        "state_root": status.state_root.to_string(),
        "receipts_root": status.receipts_root.to_string(),
        "log_root": status.log_root.to_string(),
        "halted": status.halted,
        "evidence": evidence_list(&api, &status),
    })))
}

fn evidence_list(api: &Api, status: &Status) -> Vec<Value> {
    let item =
        |(node, offence): &(NodeId, &str)| json!({ "node": node.0, "name": api.node_name(*node), "offence": offence });
    status.evidence.iter().map(item).collect()
}

/// `GET /v1/evidence`
pub async fn evidence(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    let status = running(&api)?;
    Ok(Json(json!({ "evidence": evidence_list(&api, &status) })))
}

/// `GET /v1/health`: 200 if the node can vote and knows a leader, 503 with the reason otherwise.
pub async fn health(State(api): State<Arc<Api>>) -> Response {
    let ill = match &*api.stage.borrow() {
        Stage::Opening { progress } => Some(format!("the node is starting: {progress}")),
        Stage::Stopped => Some("the node is stopping".into()),
        Stage::Running { status, at } => match (&status.halted, status.leader) {
            (Some(reason), _) => Some(format!("the node has stopped voting: {reason}")),
            (None, _) if at.elapsed() > STATUS_AGE_MAX => {
                Some(format!("the replica has been busy for {} s; look at the disk", at.elapsed().as_secs()))
            }
            (None, _) if status.role == Role::Rejoining => {
                Some("the node asks its peers what it signed before it started; it votes after that".into())
            }
            (None, None) => Some("no leader is known; check the links to the other voters".into()),
            (None, Some(_)) => None,
        },
    };
    match ill {
        None => (StatusCode::OK, Json(json!({ "healthy": true }))).into_response(),
        Some(why) => {
            let error = ApiError { status: StatusCode::SERVICE_UNAVAILABLE, code: "unhealthy", message: why };
            error.into_response_with("healthy", false.into())
        }
    }
}

/// `GET /metrics`
pub async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let status = api.stage.borrow().status().cloned();
    api.metrics.waiting("unchecked_commands", api.submitter.checks.commands());
    api.metrics.waiting("checked_commands", api.inbox.commands());
    let text = api.metrics.text(status.as_deref());
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}
