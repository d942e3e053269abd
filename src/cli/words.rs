//! Completion at a terminal's prompt.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::{Context, Helper};

use super::style;

/// Completes commands, and names within them.
pub(crate) struct Words {
    /// The names that there are.
    pub names: BTreeSet<String>,
    /// Where the word to complete starts in what was typed, and what it could be.
    pub complete: fn(&BTreeSet<String>, &str) -> (usize, Vec<String>),
}

impl Helper for Words {}
impl Highlighter for Words {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(style::paint(style::FAINT, hint))
    }
}
impl Hinter for Words {
    type Hint = String;
}
impl rustyline::validate::Validator for Words {}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok((self.complete)(&self.names, &line[..pos]))
    }
}
