//! HTTP API, version 1: JSON for people and tools, one binary form for bulk submission, metrics as text.
//!
//! `docs/http.md` lists every endpoint with examples. Commands are signed, so sending one needs no token. Whatever
//! tells balances or results needs a read token where the node has any; health, status, evidence and metrics tell
//! neither.

mod answers;
mod commands;
mod contracts;
mod error;
mod reads;
mod server;

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::routing::{get, post};
use tokio::sync::{Semaphore, watch};
use wire::{ClusterId, Membership};

use crate::node::desk::Desk;
use crate::node::inbox::Inbox;
use crate::node::metrics::Metrics;
use crate::node::options::ReadAccess;
use crate::node::submit::Submitter;
use crate::node::thread::Stage;

pub use answers::cost as cost_json;
pub use error::ApiError;
pub use server::serve;

/// What the handlers work with. Nothing in it blocks: the replica is asked through bounded queues.
#[derive(Debug)]
pub struct Api {
    /// Which cluster.
    pub cluster: ClusterId,
    /// Its voters, for their names.
    pub membership: Arc<Membership>,
    /// Who may read.
    pub access: ReadAccess,
    /// Where commands go.
    pub submitter: Submitter,
    /// What became of them.
    pub desk: Arc<Desk>,
    /// Questions to the replica.
    pub inbox: Arc<Inbox>,
    /// The replica's status.
    pub stage: watch::Receiver<Stage>,
    /// What bodies draw on, shared with the streams.
    pub budget: Arc<Semaphore>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Api {
    /// Refuses a reader without a token.
    fn check_reader(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        match self.access.admits(bearer(headers)) {
            true => Ok(()),
            false => Err(ApiError::unauthorized()),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// All endpoints.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/v1/commands", post(commands::submit))
        .route("/v1/commands/{id}", get(commands::poll))
        .route("/v1/commands/{id}/wait", get(commands::wait_one))
        .route("/v1/wait", post(commands::wait_many))
        .route("/v1/accounts", get(reads::accounts))
        .route("/v1/accounts/{name}", get(reads::account))
        .route("/v1/parties/{name}", get(reads::party))
        .route("/v1/notes/{index}", get(reads::note))
        .route("/v1/supply", get(reads::supply))
        .route("/v1/modules", get(contracts::modules))
        .route("/v1/modules/{id}", get(contracts::module))
        .route("/v1/run", post(contracts::run))
        .route("/v1/totals", get(reads::totals))
        .route("/v1/status", get(reads::status))
        .route("/v1/evidence", get(reads::evidence))
        .route("/v1/health", get(reads::health))
        .route("/metrics", get(reads::metrics))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::wrong_method)
        .with_state(api)
}

#[cfg(test)]
mod tests;
