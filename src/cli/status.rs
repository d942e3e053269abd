//! `juno status`

use std::process::ExitCode;

use clap::Args;
use client::{HttpClient, HttpError};
use serde_json::{Value, json};
use wire::NodeId;

use super::{CliError, ClientArgs, FAILED, runtime, style};
use crate::config::ClientFile;

/// Show every node: role, term, height, log, roots, and offences proven.
#[derive(Args)]
pub(crate) struct Status {
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

impl Status {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let file = self.client.read()?;
        let http = file.http_client()?;
        let answers = runtime()?.block_on(http.get_each("/v1/status"));
        if self.json {
            let list: Vec<Value> = answers
                .iter()
                .map(|(node, answer)| match answer {
                    Ok(status) => status.clone(),
                    Err(e) => json!({ "node": node.0, "error": e.to_string() }),
                })
                .collect();
            println!("{}", Value::from(list));
        } else {
            anstream::println!("{}", describe(&file, &answers));
        }
        let anybody = answers.iter().any(|(_, answer)| answer.is_ok());
        Ok(if anybody { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}

/// The table of all nodes, as the REPL shows it too.
pub(crate) async fn table(file: &ClientFile, http: &HttpClient) -> String {
    describe(file, &http.get_each("/v1/status").await)
}

fn describe(file: &ClientFile, answers: &[(NodeId, Result<Value, HttpError>)]) -> String {
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    for (node, answer) in answers {
        match answer {
            Ok(status) => {
                rows.push(row(*node, status));
                notes.extend(problems(file, *node, status));
            }
            Err(e) => {
                rows.push(vec![node.to_string(), name(file, *node), "unreachable".to_owned()]);
                notes.push(e.to_string());
            }
        }
    }
    let head = ["node", "name", "role", "leader", "term", "height", "entries", "waiting", "state", "log"];
    lines.push(style::table(&head, &rows));
    notes.dedup();
    lines.extend(notes.into_iter().map(|note| style::paint(style::REFUSAL, note)));
    lines.join("\n")
}

fn name(file: &ClientFile, node: NodeId) -> String {
    file.genesis.membership().voter(node).map_or_else(String::new, |v| v.name.to_string())
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn row(node: NodeId, status: &Value) -> Vec<String> {
    let short = |field: &str| text(&status[field]).chars().take(8).collect::<String>();
    vec![
        node.to_string(),
        text(&status["name"]),
        text(&status["role"]),
        text(status["leader"].get("node").unwrap_or(&Value::Null)),
        text(&status["term"]),
        text(status.get("height").unwrap_or(&status["executed_height"])),
        text(&status["entries"]),
        text(&status["pool_commands"]),
        short("state_root"),
        short("log_root"),
    ]
}

/// What an operator must know: another cluster, a node that stopped, offences proven.
fn problems(file: &ClientFile, node: NodeId, status: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    let cluster = file.genesis.cluster_id().to_string();
    if status["cluster"].as_str().is_some_and(|said| said != cluster) {
        notes.push(format!("node {node} belongs to another cluster: {}", text(&status["cluster"])));
    }
    if !status["halted"].is_null() {
        notes.push(format!("node {node} has stopped: {}", text(&status["halted"])));
    }
    for item in status["evidence"].as_array().into_iter().flatten() {
        notes.push(format!("evidence against node {}: {}", text(&item["node"]), text(&item["offence"])));
    }
    notes
}
