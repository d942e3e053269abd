//! What the tools say about a text: where, what was expected, why, and how to mend it.

use std::ops::Range;

use ariadne::{Config, IndexType, Label, Report, ReportKind};

/// A text with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The name that is shown, a path for instance.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A place in a file, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The file: its place among those given.
    pub file: usize,
    /// From, to.
    pub range: Range<usize>,
}

/// Something wrong, with advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What is to be said of that place.
    pub label: String,
    /// Other places that matter, with what is to be said of each.
    pub others: Vec<(Span, String)>,
    /// Why, for instance the numbers for which it fails.
    pub notes: Vec<String>,
    /// How to mend it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A message about a place.
    pub fn new(span: Span, message: impl Into<String>, label: impl Into<String>) -> Diagnostic {
        let (message, label) = (message.into(), label.into());
        Diagnostic { message, span, label, others: Vec::new(), notes: Vec::new(), help: None }
    }

    /// With how to mend it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// With a reason.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// With another place.
    #[must_use]
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.others.push((span, label.into()));
        self
    }
}

/// The diagnostics as text, with the lines they are about. With `color`, for a terminal.
pub fn render(files: &[SourceFile], diagnostics: &[Diagnostic], color: bool) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&render_one(files, diagnostic, color));
    }
    out
}

/// A range that lies in the text and on the borders of characters.
fn clamp(text: &str, range: &Range<usize>) -> Range<usize> {
    let border = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (border(range.start), border(range.end));
    start..end.max(start)
}

fn render_one(files: &[SourceFile], diagnostic: &Diagnostic, color: bool) -> String {
    let place = |span: &Span| {
        let file = files.get(span.file)?;
        Some((file.name.clone(), clamp(&file.text, &span.range)))
    };
    let Some(span) = place(&diagnostic.span) else { return format!("Error: {}\n", diagnostic.message) };
    let config = Config::new().with_color(color).with_index_type(IndexType::Byte).with_compact(false);
    let mut report = Report::build(ReportKind::Error, span.clone()).with_config(config);
    report = report.with_message(&diagnostic.message);
    report = report.with_label(Label::new(span).with_message(&diagnostic.label).with_order(-1));
    for (other, said) in &diagnostic.others {
        if let Some(other) = place(other) {
            report = report.with_label(Label::new(other).with_message(said));
        }
    }
    for note in &diagnostic.notes {
        report = report.with_note(note);
    }
    if let Some(help) = &diagnostic.help {
        report = report.with_help(help);
    }
    let cache = ariadne::sources(files.iter().map(|f| (f.name.clone(), f.text.clone())).collect::<Vec<_>>());
    let mut bytes = Vec::new();
    if report.finish().write(cache, &mut bytes).is_err() {
        return format!("Error: {}\n", diagnostic.message);
    }
    let text = String::from_utf8_lossy(&bytes);
    // Lines do not end in blanks: editors would take them out of what is kept of this.
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Line and character of a byte, both from 1.
pub fn position(text: &str, at: usize) -> (usize, usize) {
    let at = clamp(text, &(at..at)).start;
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (line, column)
}
