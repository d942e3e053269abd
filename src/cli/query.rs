//! `juno query`

use std::process::ExitCode;

use clap::Args;
use client::{HttpClient, HttpError};
use ledger::query::Account;
use ledger::{Answer, Classic, Query as Question, classic};
use serde_json::{Value, json};
use wire::{CommandId, Membership, Name, NodeId};

use super::{CliError, ClientArgs, FAILED, diff, runtime};

/// Pages of accounts that one answer follows, at most.
const PAGES_MAX: usize = 10_000;

/// Read accounts, parties and results. Not ordered: the answer is what the asked nodes have executed so far.
#[derive(Args)]
pub(crate) struct Query {
    /// Queries: ObserveAccount NAME, ObserveAccounts, ObserveParty NAME, ObserveSupply.
    #[arg(value_name = "QUERY", required_unless_present = "command")]
    queries: Vec<String>,
    /// Ask what became of a command.
    #[arg(long, value_name = "ID")]
    command: Option<CommandId>,
    /// Believe only what nodes of weight above F say alike, instead of the first that answers.
    #[arg(long)]
    agreed: bool,
    /// Ask this node first.
    #[arg(long, value_name = "ID", conflicts_with = "agreed")]
    node: Option<u16>,
    /// Print the nodes' JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// How much an answer must be worth.
pub(crate) enum Trust<'a> {
    /// The word of the first node that answers.
    Local,
    /// The same word from nodes of weight above `F`.
    Agreed(&'a Membership),
}

impl Query {
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let questions = self.queries.iter().map(|text| question(text)).collect::<Result<Vec<_>, _>>()?;
        let file = self.client.read()?;
        let mut http = file.http_client()?;
        if let Some(node) = self.node {
            if !file.nodes.iter().any(|n| n.id == node) {
                return Err(HttpError::UnknownNode(NodeId(node)).into());
            }
            http.prefer(NodeId(node));
        }
        let membership = file.genesis.membership();
        let trust = if self.agreed { Trust::Agreed(&membership) } else { Trust::Local };
        runtime()?.block_on(async {
            for question in &questions {
                let raw = ask(&http, question, &trust).await?;
                if self.json {
                    println!("{}", raw.unwrap_or(Value::Null));
                } else {
                    println!("{}", classic::answer_text(&read(question, raw)?));
                }
            }
            match self.command {
                None => Ok(ExitCode::SUCCESS),
                Some(id) => command(&http, &id, &trust).await,
            }
        })
    }
}

fn question(text: &str) -> Result<Question, CliError> {
    match classic::parse(text) {
        Ok(Classic::Query(query)) => Ok(query),
        Ok(Classic::Operation(_)) => {
            Err(CliError::new(format!("`{text}` changes something; use: juno submit '{text}'")))
        }
        Err(e) => Err(CliError::new(format!("`{text}`: {e}"))),
    }
}

/// What became of a command, as the nodes tell it.
async fn command(http: &HttpClient, id: &CommandId, trust: &Trust<'_>) -> Result<ExitCode, CliError> {
    // Each node's own signature differs, and so may what it still holds of the block; the receipt must not.
    let path = format!("/v1/commands/{id}");
    let told = fetch(http, &path, trust, |mut value| {
        if let (Trust::Agreed(_), Some(fields)) = (trust, value.as_object_mut()) {
            fields.retain(|name, _| {
                ["id", "state", "index", "height", "outcome", "diff_hash", "cost", "result"].contains(&name.as_str())
            });
        }
        value
    });
    match told.await? {
        Some(value) => {
            println!("{value}");
            Ok(ExitCode::SUCCESS)
        }
        None => {
            println!("{}", json!({ "id": id.to_string(), "state": "unknown" }));
            Ok(ExitCode::from(FAILED))
        }
    }
}

/// The JSON answer to a question; `None` if what it asks for does not exist. Follows the pages of a list of accounts.
pub(crate) async fn ask(http: &HttpClient, question: &Question, trust: &Trust<'_>) -> Result<Option<Value>, CliError> {
    let path = match question {
        Question::Account(name) => format!("/v1/accounts/{name}"),
        Question::Party(name) => format!("/v1/parties/{name}"),
        Question::Supply => "/v1/supply".to_owned(),
        Question::Accounts { .. } => return accounts(http, trust).await.map(Some),
        _ => return Err(CliError::new("this cannot be asked over the HTTP API")),
    };
    fetch(http, &path, trust, |value| value).await
}

async fn accounts(http: &HttpClient, trust: &Trust<'_>) -> Result<Value, CliError> {
    let mut all = Vec::new();
    let mut path = "/v1/accounts".to_owned();
    for _ in 0..PAGES_MAX {
        let mut page = fetch(http, &path, trust, |value| value).await?.unwrap_or_default();
        if let Some(accounts) = page.get_mut("accounts").and_then(Value::as_array_mut) {
            all.append(accounts);
        }
        match page.get("next").and_then(Value::as_str).map(Name::new) {
            Some(Ok(next)) => path = format!("/v1/accounts?after={next}"),
            _ => break,
        }
    }
    Ok(json!({ "accounts": all }))
}

async fn fetch(
    http: &HttpClient,
    path: &str,
    trust: &Trust<'_>,
    what: impl Fn(Value) -> Value,
) -> Result<Option<Value>, CliError> {
    match trust {
        Trust::Agreed(membership) => Ok(http.get_agreed(path, membership, what).await?.0),
        Trust::Local => match http.get_any(path).await {
            Ok((_, value)) => Ok(Some(what(value))),
            Err(HttpError::Status { status: 404, .. }) => Ok(None),
            Err(e) => Err(e.into()),
        },
    }
}

/// The answer as the ledger has it, for its printer.
pub(crate) fn read(question: &Question, raw: Option<Value>) -> Result<Answer, CliError> {
    let answer = match question {
        Question::Account(_) => raw
            .map(|value| account(&value))
            .map_or(Some(Answer::Account(None)), |account| account.map(|account| Answer::Account(Some(account)))),
        Question::Accounts { .. } => raw.and_then(|value| {
            let accounts = value.get("accounts")?.as_array()?.iter().map(account).collect::<Option<Vec<_>>>()?;
            Some(Answer::Accounts { accounts, more: false })
        }),
        Question::Party(_) => raw.map_or(Some(Answer::Party(None)), |value| {
            let name = Name::new(value.get("name")?.as_str()?).ok()?;
            Some(Answer::Party(Some((name, diff::guard(value.get("guard")?)?))))
        }),
        Question::Supply => raw.and_then(|value| Some(Answer::Supply(diff::amount(value.get("supply")?)?))),
        _ => None,
    };
    answer.ok_or_else(|| CliError::new("a node's answer makes no sense; is it of another version?"))
}

fn account(value: &Value) -> Option<Account> {
    Some(Account { name: Name::new(value.get("name")?.as_str()?).ok()?, row: diff::account_row(value)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_print_as_juno_did() {
        let account = json!({"name":"A","owner":"alice","balance":{"exact":"201%2","decimal":"100.5"},"pass_through":false,"frozen":false});
        let name = Name::new("A").unwrap();
        let one = read(&Question::Account(name.clone()), Some(account.clone())).unwrap();
        assert_eq!(classic::answer_text(&one), "Just (201 % 2)");
        let none = read(&Question::Account(name), None).unwrap();
        assert_eq!(classic::answer_text(&none), "Nothing");
        let all = Question::Accounts { after: None, limit: 10 };
        let all = read(&all, Some(json!({ "accounts": [account] }))).unwrap();
        assert_eq!(classic::answer_text(&all), "\nAccount: Amount\n----------------------\nA: 100.5");
        assert!(read(&Question::Supply, Some(json!({"supply": "many"}))).is_err());
    }

    #[test]
    fn only_questions_are_asked() {
        let error = question("transfer(A->B, 1%1)").unwrap_err().to_string();
        assert_eq!(error, "`transfer(A->B, 1%1)` changes something; use: juno submit 'transfer(A->B, 1%1)'");
        assert!(question("Observe").is_err());
    }
}
