//! The server as a value: messages in, messages out.

use std::collections::BTreeMap;
use std::rc::Rc;

use hopper::library::Library;
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::{
    DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, DocumentFormattingParams,
    GotoDefinitionParams, HoverParams, HoverProviderCapability, InitializeResult, OneOf, PublishDiagnosticsParams,
    ServerCapabilities, ServerInfo, TextDocumentPositionParams, TextDocumentSyncCapability, TextDocumentSyncKind,
    TextDocumentSyncOptions, TextEdit, Uri,
};
use serde_json::Value;

use super::check::Analysis;
use super::documents::{Document, Documents, Files, family};
use super::resolve::Resolver;
use super::{hover, text};
use crate::front::{Cost, SOURCE_BYTES_MAX};
use crate::syntax::{format, parse};

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before `initialize`.
    New,
    Running,
    /// After `shutdown`.
    Down,
    /// After `exit`; true if `shutdown` came before.
    Gone(bool),
}

/// A language server: what it knows of the client's documents.
///
/// Invariant: `published` has an entry for each document whose diagnostics the client was told, until they are taken back.
pub struct Server {
    phase: Phase,
    library: Library,
    files: Box<dyn Files>,
    documents: Documents,
    /// Counts what the client told. Files that are not open are looked at again when it tells something, not at each question.
    revision: u64,
    /// The revision whose diagnostics were given.
    checked: u64,
    /// The last analysis of each document, and the revision in which its texts were last found to be the same.
    analyses: BTreeMap<String, (u64, Rc<Analysis>)>,
    /// Costs of the functions of each document when it was last right: shown while it is not.
    costs: BTreeMap<String, Vec<Cost>>,
    /// What the client was told last of each document.
    published: BTreeMap<String, (i32, Vec<lsp_types::Diagnostic>)>,
}

impl Server {
    /// A server that finds imports among the documents that are open, then `files`, then `library`.
    pub fn new(library: Library, files: Box<dyn Files>) -> Server {
        Server {
            phase: Phase::New,
            library,
            files,
            documents: BTreeMap::new(),
            revision: 0,
            checked: 0,
            analyses: BTreeMap::new(),
            costs: BTreeMap::new(),
            published: BTreeMap::new(),
        }
    }

    /// Once the client has said `exit`: true if it said `shutdown` before, as it should.
    pub fn ended(&self) -> Option<bool> {
        match self.phase {
            Phase::Gone(orderly) => Some(orderly),
            _ => None,
        }
    }

    /// Takes a message, and gives the answer if it wants one.
    ///
    /// Diagnostics are for [`Server::diagnostics`], so that many changes in a row are compiled once.
    pub fn on_message(&mut self, message: Message) -> Option<Message> {
        match message {
            Message::Request(request) => Some(self.on_request(request).into()),
            Message::Notification(notification) => {
                self.on_notification(notification);
                None
            }
            // Nothing is asked of the client.
            Message::Response(_) => None,
        }
    }

    fn on_request(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        let no = |id: RequestId, code: ErrorCode, why: String| Response::new_err(id, code as i32, why);
        match (self.phase, method.as_str()) {
            (Phase::New, "initialize") => {
                self.phase = Phase::Running;
                Response::new_ok(id, initialized())
            }
            (Phase::New, _) => no(id, ErrorCode::ServerNotInitialized, "`initialize` comes first".to_owned()),
            (Phase::Down | Phase::Gone(_), _) => {
                no(id, ErrorCode::InvalidRequest, "the server is shut down".to_owned())
            }
            (Phase::Running, "shutdown") => {
                self.phase = Phase::Down;
                Response::new_ok(id, Value::Null)
            }
            (Phase::Running, "initialize") => no(id, ErrorCode::InvalidRequest, "`initialize` came before".to_owned()),
            (Phase::Running, method) => {
                let answer = match method {
                    "textDocument/hover" => serde_json::from_value(params).map(|p| self.hover(p)),
                    "textDocument/definition" => serde_json::from_value(params).map(|p| self.definition(p)),
                    "textDocument/formatting" => serde_json::from_value(params).map(|p| self.formatting(&p)),
                    _ => return no(id, ErrorCode::MethodNotFound, format!("there is no `{method}` here")),
                };
                match answer {
                    Ok(value) => Response::new_ok(id, value),
                    Err(why) => no(id, ErrorCode::InvalidParams, why.to_string()),
                }
            }
        }
    }

    /// Notifications that cannot be read are passed over, as the protocol has no answer to them.
    fn on_notification(&mut self, notification: Notification) {
        let Notification { method, params } = notification;
        self.revision += 1;
        match (self.phase, method.as_str()) {
            (phase, "exit") => self.phase = Phase::Gone(phase == Phase::Down),
            (Phase::Running, "textDocument/didOpen") => {
                if let Ok(DidOpenTextDocumentParams { text_document: opened }) = serde_json::from_value(params) {
                    let document = Document { text: opened.text, version: opened.version };
                    self.documents.insert(opened.uri.as_str().to_owned(), document);
                }
            }
            (Phase::Running, "textDocument/didChange") => {
                let Ok(changed) = serde_json::from_value::<DidChangeTextDocumentParams>(params) else { return };
                if let Some(document) = self.documents.get_mut(changed.text_document.uri.as_str()) {
                    document.version = changed.text_document.version;
                    changed.content_changes.into_iter().for_each(|change| text::apply(&mut document.text, change));
                }
            }
            (Phase::Running, "textDocument/didClose") => {
                if let Ok(DidCloseTextDocumentParams { text_document }) = serde_json::from_value(params) {
                    let uri = text_document.uri.as_str();
                    self.documents.remove(uri);
                    self.analyses.remove(uri);
                    self.costs.remove(uri);
                }
            }
            _ => {}
        }
    }

    /// What the client does not know yet of what is wrong: a notification for each document of which that changed.
    pub fn diagnostics(&mut self) -> Vec<Message> {
        let mut told = Vec::new();
        if self.checked == self.revision {
            return told;
        }
        self.checked = self.revision;
        let closed: Vec<String> = self.published.keys().filter(|u| !self.documents.contains_key(*u)).cloned().collect();
        for uri in closed {
            self.published.remove(&uri);
            told.extend(publish(&uri, None, Vec::new()));
        }
        // A change of one document may matter to all that import it.
        let open: Vec<(String, i32)> = self.documents.iter().map(|(uri, d)| (uri.clone(), d.version)).collect();
        for (uri, version) in open {
            let Some(analysis) = self.analysis(&uri) else { continue };
            let now = (version, analysis.diagnostics());
            if self.published.get(&uri) != Some(&now) {
                told.extend(publish(&uri, Some(version), now.1.clone()));
                self.published.insert(uri, now);
            }
        }
        told
    }

    /// A document compiled with what it imports, again only if one of the texts has changed.
    fn analysis(&mut self, uri: &str) -> Option<Rc<Analysis>> {
        let last = self.analyses.get(uri).cloned();
        if let Some((revision, analysis)) = &last
            && *revision == self.revision
        {
            return Some(analysis.clone());
        }
        let family = family(&self.documents, &*self.files, &self.library, uri)?;
        if let Some((_, analysis)) = last.filter(|(_, a)| a.family.files == family.files) {
            self.analyses.insert(uri.to_owned(), (self.revision, analysis.clone()));
            return Some(analysis);
        }
        let analysis = Rc::new(Analysis::new(family, &self.library));
        if let Some(compiled) = analysis.compiled(0) {
            self.costs.insert(uri.to_owned(), compiled.costs.clone());
        }
        self.analyses.insert(uri.to_owned(), (self.revision, analysis.clone()));
        Some(analysis)
    }

    fn hover(&mut self, params: HoverParams) -> Value {
        let (uri, at) = place(&params.text_document_position_params);
        let Some(analysis) = self.analysis(&uri) else { return Value::Null };
        let own = &analysis.family.files[0].text;
        let Some((range, found)) = Resolver::new(&analysis).at(text::offset(own, at)) else { return Value::Null };
        let before = self.costs.get(&uri).map(Vec::as_slice).unwrap_or_default();
        let Some(said) = hover::describe(&analysis, &found, before) else { return Value::Null };
        serde_json::to_value(hover::markdown(said, text::range(own, &range))).unwrap_or_default()
    }

    fn definition(&mut self, params: GotoDefinitionParams) -> Value {
        let (uri, at) = place(&params.text_document_position_params);
        let Some(analysis) = self.analysis(&uri) else { return Value::Null };
        let own = &analysis.family.files[0].text;
        let resolver = Resolver::new(&analysis);
        let place = resolver.at(text::offset(own, at)).and_then(|(_, found)| found.place());
        let location = place.and_then(|(file, range)| {
            let file = analysis.family.files.get(file)?;
            let uri: Uri = file.name.parse().ok()?;
            Some(lsp_types::Location { uri, range: text::range(&file.text, &range) })
        });
        serde_json::to_value(location).unwrap_or_default()
    }

    /// The edits that lay a document out: none if it is, `null` if it has faults, for then nobody knows what its lines are parts of.
    fn formatting(&self, params: &DocumentFormattingParams) -> Value {
        let document = self.documents.get(params.text_document.uri.as_str());
        let Some(document) = document.filter(|d| d.text.len() <= SOURCE_BYTES_MAX) else { return Value::Null };
        let parsed = parse(&document.text);
        if !parsed.errors.is_empty() {
            return Value::Null;
        }
        let new_text = format(&parsed.root());
        if new_text == document.text {
            return Value::Array(Vec::new());
        }
        let edit = TextEdit { range: text::range(&document.text, &(0..document.text.len())), new_text };
        serde_json::to_value([edit]).unwrap_or_default()
    }
}

fn place(params: &TextDocumentPositionParams) -> (String, lsp_types::Position) {
    (params.text_document.uri.as_str().to_owned(), params.position)
}

fn publish(uri: &str, version: Option<i32>, diagnostics: Vec<lsp_types::Diagnostic>) -> Option<Message> {
    let uri: Uri = uri.parse().ok()?;
    let params = PublishDiagnosticsParams { uri, diagnostics, version };
    Some(Notification::new("textDocument/publishDiagnostics".to_owned(), params).into())
}

/// The answer to `initialize`. Columns are UTF-16 units, which every client can do.
fn initialized() -> InitializeResult {
    let sync = TextDocumentSyncOptions {
        open_close: Some(true),
        change: Some(TextDocumentSyncKind::INCREMENTAL),
        ..TextDocumentSyncOptions::default()
    };
    let capabilities = ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Options(sync)),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        definition_provider: Some(OneOf::Left(true)),
        document_formatting_provider: Some(OneOf::Left(true)),
        ..ServerCapabilities::default()
    };
    let info = ServerInfo { name: "hopper".to_owned(), version: Some(env!("CARGO_PKG_VERSION").to_owned()) };
    InitializeResult { capabilities, server_info: Some(info) }
}
