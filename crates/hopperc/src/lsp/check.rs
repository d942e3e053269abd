//! A document compiled with what it imports, and what the client is told of it.

use hopper::library::Library;
use lsp_types::{DiagnosticRelatedInformation, DiagnosticSeverity, Location, Uri};

use super::documents::{Family, visible};
use super::text;
use crate::diagnostic::{Diagnostic, Span};
use crate::front::{Compiled, compile, imports, name_of};
use crate::syntax::ast;

/// A document compiled.
#[derive(Debug)]
pub(super) struct Analysis {
    pub family: Family,
    /// The library without what the family's texts hide.
    pub library: Library,
    /// What became of the family's modules, in an order of the compiler's, or what is wrong.
    pub outcome: Result<Vec<Compiled>, Vec<Diagnostic>>,
}

impl Analysis {
    pub fn new(family: Family, library: &Library) -> Analysis {
        let library = visible(library, &family);
        let outcome = compile(&family.files, &library);
        Analysis { family, library, outcome }
    }

    /// What a file of the family was compiled to.
    pub fn compiled(&self, file: usize) -> Option<&Compiled> {
        let name = name_of(self.family.trees.get(file)?);
        self.outcome.as_ref().ok()?.iter().find(|c| c.module.name.as_str() == name)
    }

    fn location(&self, span: &Span) -> Option<Location> {
        let file = self.family.files.get(span.file)?;
        let uri: Uri = file.name.parse().ok()?;
        Some(Location { uri, range: text::range(&file.text, &span.range) })
    }

    /// What is wrong with the document itself. What is wrong with a module that it imports is told where it is imported.
    pub fn diagnostics(&self) -> Vec<lsp_types::Diagnostic> {
        let Err(told) = &self.outcome else { return Vec::new() };
        let Some(own) = self.family.files.first() else { return Vec::new() };
        let (here, elsewhere): (Vec<_>, Vec<_>) = told.iter().partition(|d| d.span.file == 0);
        let mut all: Vec<_> = here.into_iter().map(|d| self.one(&own.text, d)).collect();
        if let Some(first) = elsewhere.first() {
            let tree = self.family.trees.get(first.span.file);
            let name = tree.map(name_of).unwrap_or_default();
            let list: Vec<_> = self.family.trees.first().map(imports).unwrap_or_default();
            // Another import may have brought it.
            let import = list.iter().find(|i| i.name == name).or(list.first());
            let range = import.map_or(0..0, |i| ast::span(&i.node));
            let related = elsewhere.iter().filter_map(|d| self.related(&d.span, &d.message));
            all.push(lsp_types::Diagnostic {
                range: text::range(&own.text, &range),
                message: format!("there are errors in `{name}`: {}", first.message),
                related_information: Some(related.collect()),
                ..blank()
            });
        }
        all
    }

    fn related(&self, span: &Span, message: &str) -> Option<DiagnosticRelatedInformation> {
        Some(DiagnosticRelatedInformation { location: self.location(span)?, message: message.to_owned() })
    }

    fn one(&self, own: &str, told: &Diagnostic) -> lsp_types::Diagnostic {
        let mut message = told.message.clone();
        // What parsers say of a place is `here`, which a line under it says as well.
        if !told.label.is_empty() && told.label != "here" {
            message.push_str(&format!("\n{}", told.label));
        }
        for note in &told.notes {
            message.push_str(&format!("\nnote: {note}"));
        }
        if let Some(help) = &told.help {
            message.push_str(&format!("\nhelp: {help}"));
        }
        let related: Vec<_> = told.others.iter().filter_map(|(span, said)| self.related(span, said)).collect();
        let related = (!related.is_empty()).then_some(related);
        let range = text::range(own, &told.span.range);
        lsp_types::Diagnostic { range, message, related_information: related, ..blank() }
    }
}

fn blank() -> lsp_types::Diagnostic {
    lsp_types::Diagnostic {
        severity: Some(DiagnosticSeverity::ERROR),
        source: Some("hopper".to_owned()),
        ..lsp_types::Diagnostic::default()
    }
}
