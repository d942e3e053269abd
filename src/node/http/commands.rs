//! Sending commands, and learning what became of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;
use wire::hash::decode_hex_bytes;
use wire::limits::SUBMIT_COMMANDS_MAX;
use wire::peer::Commands;
use wire::{CommandId, Decode, Receipt, SignedCommand};

use crate::node::desk::Verdict;
use crate::node::http::{Api, ApiError, answers, bearer};
use crate::node::inbox::Request;
use crate::node::limits::{
    CLIENT_BYTES_FREE, HTTP_BODY_BYTES_MAX, HTTP_BODY_TIMEOUT, REPLICA_TIMEOUT, WAIT_COMMANDS_MAX, WAIT_MAX,
};
use crate::node::recent::Fate;

/// The content type of the binary form.
const BINARY: &str = "application/octet-stream";

/// `POST /v1/commands`
pub async fn submit(State(api): State<Arc<Api>>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    api.check_started()?;
    let (bytes, permit) = read_body(&api, &headers, body).await?;
    let binary = headers.get(CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(BINARY.as_bytes()));
    let commands = if binary { from_binary(&bytes)? } else { from_json(&bytes)? };
    drop(bytes);
    let ids: Vec<CommandId> = commands.iter().map(|c| c.id(&api.cluster)).collect();
    let heard = timeout(REPLICA_TIMEOUT, api.submitter.submit_and_hear(commands, permit)).await;
    let verdicts = match heard {
        Ok(Some(verdicts)) => verdicts,
        Ok(None) => return Err(ApiError::unavailable("the node is stopping; use another node")),
        Err(_) => {
            let message = "the replica does not keep up; the commands may still be ordered: poll them, or send the \
                           same commands again";
            return Err(ApiError::unavailable(message));
        }
    };
    let may_read = api.access.admits(bearer(&headers));
    Ok(answer_submission(&ids, &verdicts, may_read))
}

/// 202 if anything was taken in; else 429 if anything may be sent again, else 400.
pub(super) fn answer_submission(ids: &[CommandId], verdicts: &HashMap<CommandId, Verdict>, may_read: bool) -> Response {
    let verdict = |id: &CommandId| verdicts.get(id).unwrap_or(&Verdict::Busy);
    let list: Vec<Value> = ids.iter().map(|id| answers::verdict(id, verdict(id), may_read)).collect();
    let taken = ids.iter().any(|id| matches!(verdict(id), Verdict::Accepted | Verdict::Done(_)));
    if taken {
        return (StatusCode::ACCEPTED, Json(json!({ "commands": list }))).into_response();
    }
    let refused = ids.iter().enumerate().find_map(|(n, id)| match verdict(id) {
        Verdict::Refused(why) => Some((n, why)),
        _ => None,
    });
    let error = match refused {
        Some((n, why)) if ids.iter().all(|id| matches!(verdict(id), Verdict::Refused(_))) => {
            ApiError::bad_request("refused", format!("command {n}: {why}"))
        }
        _ => ApiError::busy("too many commands wait to be ordered; none of these was taken"),
    };
    error.into_response_with("commands", list.into())
}

fn check_count(count: usize) -> Result<(), ApiError> {
    match count {
        0 => Err(ApiError::bad_request("no_commands", "the list of commands is empty; send at least one")),
        1..=SUBMIT_COMMANDS_MAX => Ok(()),
        _ => Err(ApiError::bad_request(
            "too_many_commands",
            format!("{count} commands in one request; send at most {SUBMIT_COMMANDS_MAX}"),
        )),
    }
}

#[derive(Deserialize)]
struct SubmitBody {
    commands: Vec<String>,
}

fn from_json(bytes: &[u8]) -> Result<Vec<SignedCommand>, ApiError> {
    let body: SubmitBody = parse(bytes, r#"{"commands": ["<hexadecimal of a signed command>", ...]}"#)?;
    check_count(body.commands.len())?;
    let decode = |(n, text): (usize, &String)| {
        decode_hex_bytes(text)
            .and_then(|bytes| SignedCommand::from_bytes(&bytes))
            .map_err(|why| ApiError::bad_request("undecodable_command", format!("command {n}: {why}")))
    };
    body.commands.iter().enumerate().map(decode).collect()
}

fn from_binary(bytes: &[u8]) -> Result<Vec<SignedCommand>, ApiError> {
    let commands = Commands::from_bytes(bytes).map_err(|why| {
        ApiError::bad_request("undecodable_command", format!("the body is not a list of signed commands: {why}"))
    })?;
    check_count(commands.0.len())?;
    Ok(commands.0)
}

fn parse<T: for<'a> Deserialize<'a>>(bytes: &[u8], shape: &str) -> Result<T, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|why| ApiError::bad_request("bad_json", format!("the body must be {shape}: {why}")))
}

/// Reads a body of bounded size in bounded time, drawing on the clients' budget as it arrives.
async fn read_body(
    api: &Api,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), ApiError> {
    let too_large = ApiError::too_large(HTTP_BODY_BYTES_MAX);
    let claimed = headers.get(axum::http::header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if claimed.is_some_and(|len| len > HTTP_BODY_BYTES_MAX as u64) {
        return Err(too_large);
    }
    let mut bytes = Vec::new();
    let mut permit: Option<OwnedSemaphorePermit> = None;
    let reading = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| ApiError::bad_request("broken_body", format!("the body broke off: {e}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > HTTP_BODY_BYTES_MAX {
                return Err(too_large);
            }
            let drawn = permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let need = (bytes.len() + data.len()).saturating_sub(CLIENT_BYTES_FREE + drawn) as u32;
            if need > 0 {
                let more = api.budget.clone().try_acquire_many_owned(need);
                let more = more.map_err(|_| ApiError::busy("too many large requests are being read"))?;
                match &mut permit {
                    None => permit = Some(more),
                    Some(permit) => permit.merge(more),
                }
            }
            bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    timeout(HTTP_BODY_TIMEOUT, reading).await.map_err(|_| ApiError::slow_body())??;
    Ok((bytes, permit))
}

/// `GET /v1/commands/{id}`
pub async fn poll(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    api.check_reader(&headers)?;
    let id = parse_id(&id)?;
    known(look_up(&api, &[id]).await?)
}

#[derive(Deserialize)]
pub struct WaitParameters {
    timeout_ms: Option<u64>,
}

/// `GET /v1/commands/{id}/wait`
pub async fn wait_one(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(parameters): Query<WaitParameters>,
) -> Result<Json<Value>, ApiError> {
    api.check_reader(&headers)?;
    let id = parse_id(&id)?;
    known(wait(&api, &[id], parameters.timeout_ms).await?)
}

#[derive(Deserialize)]
struct WaitBody {
    ids: Vec<String>,
    timeout_ms: Option<u64>,
}

/// `POST /v1/wait`
pub async fn wait_many(State(api): State<Arc<Api>>, headers: HeaderMap, body: Body) -> Result<Json<Value>, ApiError> {
    api.check_reader(&headers)?;
    let (bytes, _permit) = read_body(&api, &headers, body).await?;
    let body: WaitBody = parse(&bytes, r#"{"ids": ["<command id>", ...], "timeout_ms": 1000}"#)?;
    if body.ids.is_empty() || body.ids.len() > WAIT_COMMANDS_MAX {
        let message = format!("{} ids in one request; send 1 to {WAIT_COMMANDS_MAX}", body.ids.len());
        return Err(ApiError::bad_request("too_many_ids", message));
    }
    let ids: Vec<CommandId> = body.ids.iter().map(|id| parse_id(id)).collect::<Result<_, _>>()?;
    let found = wait(&api, &ids, body.timeout_ms).await?;
    let complete = found.commands.iter().all(|c| c["state"] == "executed" || c["state"] == "refused");
    Ok(Json(json!({ "complete": complete, "commands": found.commands, "reply": found.reply })))
}

/// What became of some commands, and this node's signed word on those executed.
struct Found {
    commands: Vec<Value>,
    reply: Value,
}

/// The answer for one command: an error if it is unknown here.
fn known(found: Found) -> Result<Json<Value>, ApiError> {
    let mut command = found.commands.into_iter().next().expect("one id was asked for");
    if command["state"] == "unknown" {
        let message = "this node knows no such command: it was never sent here, or its result is no longer held; send \
                       the same command again to learn its first result";
        return Err(ApiError::not_found("unknown_command", message));
    }
    if command["state"] == "executed" {
        command["reply"] = found.reply;
    }
    Ok(Json(command))
}

async fn wait(api: &Arc<Api>, ids: &[CommandId], timeout_ms: Option<u64>) -> Result<Found, ApiError> {
    let wait = timeout_ms.map_or(WAIT_MAX, Duration::from_millis).min(WAIT_MAX);
    // Registered first, looked up second: nothing can slip through between.
    let waiting = api.desk.wait_for(ids).ok_or_else(|| ApiError::busy("too many commands are waited for"))?;
    if !waiting.missing().is_empty() {
        let older = find_older(api, waiting.missing().to_vec()).await?;
        waiting.missing().iter().zip(&older).filter(|(_, old)| old.is_some()).for_each(|(id, _)| waiting.found(id));
        // What is not done in time is reported as it then stands.
        let _ = timeout(wait, waiting.done()).await;
    }
    drop(waiting);
    look_up(api, ids).await
}

async fn look_up(api: &Api, ids: &[CommandId]) -> Result<Found, ApiError> {
    let fates: Vec<(Option<Arc<Fate>>, bool)> = ids.iter().map(|id| api.desk.find(id)).collect();
    let executed = |fate: &Option<Arc<Fate>>| matches!(fate.as_deref(), Some(Fate::Executed { .. }));
    let unsure: Vec<CommandId> = ids.iter().zip(&fates).filter(|(_, (f, _))| !executed(f)).map(|(id, _)| *id).collect();
    let mut older = find_older(api, unsure).await?.into_iter();
    let mut found = Found { commands: Vec::with_capacity(ids.len()), reply: Value::Null };
    let mut receipts = Vec::new();
    for (id, (fate, pending)) in ids.iter().zip(&fates) {
        let old = if executed(fate) { None } else { older.next().flatten() };
        found.commands.push(answers::fate(id, fate.as_ref(), old.as_ref(), *pending));
        match (fate.as_deref(), old) {
            (Some(Fate::Executed { receipt, .. }), _) => receipts.push((**receipt).clone()),
            (_, Some(receipt)) => receipts.push(receipt),
            _ => {}
        }
    }
    if !receipts.is_empty() {
        found.reply = api.desk.sign(receipts).as_ref().map_or(Value::Null, answers::signed);
    }
    Ok(found)
}

async fn find_older(api: &Api, ids: Vec<CommandId>) -> Result<Vec<Option<Receipt>>, ApiError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (sender, receiver) = oneshot::channel();
    api.ask(Request::Find(ids, sender), receiver).await
}

fn parse_id(text: &str) -> Result<CommandId, ApiError> {
    let shape =
        |why| ApiError::bad_request("bad_id", format!("{text:?} is no command id, 64 hexadecimal digits: {why}"));
    text.parse().map_err(shape)
}
