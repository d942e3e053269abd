//! What became of a command, for people and for scripts.

use client::{Done, Verdict};
use ledger::{Code, Diff, Operation, classic};
use serde_json::{Value, json};
use wire::{NodeId, Outcome};

use super::{diff, style};

/// True if the command took effect.
pub(crate) fn is_applied(done: &Done) -> bool {
    matches!(&done.verdict, Verdict::Accepted(receipt) if receipt.outcome.is_applied())
}

/// The name of an outcome's code.
pub(crate) fn code_name(outcome: &Outcome) -> &'static str {
    Code::of(outcome.code).map_or("Refused", Code::name)
}

/// A few lines: the result, where it stands in the log, who vouches for it, what changed.
pub(crate) fn describe(operation: &Operation, done: &Done, diff: Option<&Diff>) -> String {
    let ms = done.latency.as_secs_f64() * 1000.0;
    let nodes = |nodes: &[NodeId]| nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ");
    let (text, detail) = match &done.verdict {
        Verdict::Accepted(receipt) => (
            classic::result_text(operation, &receipt.outcome),
            format!(
                "index {}, height {}, receipt {}, nodes {}, {ms:.1} ms",
                receipt.index,
                receipt.height,
                receipt.digest().short(),
                nodes(&done.nodes)
            ),
        ),
        Verdict::Refused(outcome) => {
            (classic::result_text(operation, outcome), format!("not ordered, say nodes {}", nodes(&done.nodes)))
        }
        Verdict::Unanswered => (
            "No answer before the command expired".to_owned(),
            format!("it took effect before, or never will; look with: juno query --command {}", done.id),
        ),
    };
    let style = if is_applied(done) { style::RESULT } else { style::REFUSAL };
    let mut lines = vec![style::paint(style, text), style::paint(style::FAINT, detail)];
    lines.extend(diff.map(diff::render).unwrap_or_default().into_iter().map(|line| format!("  {line}")));
    lines.join("\n")
}

/// One object per command.
pub(crate) fn to_json(command: &str, done: &Done, diff: Option<&Diff>) -> Value {
    let outcome = |o: &Outcome| {
        let text = if o.is_applied() && o.text.is_empty() { "applied" } else { &o.text };
        json!({ "code": o.code.0, "name": code_name(o), "applied": o.is_applied(), "text": text })
    };
    let mut value = json!({
        "command": command,
        "id": done.id.to_string(),
        "latency_ms": done.latency.as_secs_f64() * 1000.0,
        "attempts": done.attempts,
        "nodes": done.nodes.iter().map(|n| n.0).collect::<Vec<_>>(),
    });
    match &done.verdict {
        Verdict::Accepted(receipt) => {
            value["state"] = "executed".into();
            value["outcome"] = outcome(&receipt.outcome);
            value["index"] = receipt.index.0.into();
            value["height"] = receipt.height.0.into();
            value["receipt"] = receipt.digest().to_string().into();
            value["diff_hash"] = receipt.diff.to_string().into();
        }
        Verdict::Refused(why) => {
            value["state"] = "refused".into();
            value["outcome"] = outcome(why);
        }
        Verdict::Unanswered => value["state"] = "unanswered".into(),
    }
    if let Some(diff) = diff {
        let lines = diff::render(diff).iter().map(|l| anstream::adapter::strip_str(l).to_string()).collect::<Vec<_>>();
        value["diff"] = lines.into();
    }
    value
}
