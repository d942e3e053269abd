//! The documents that are open, the files beside them, and which of them belong together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hopper::library::Library;

use crate::diagnostic::SourceFile;
use crate::front::{SOURCE_BYTES_MAX, find, imports, name_of};
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast, lex, parse};

/// Files of one folder that are looked at.
const FILES_MAX: usize = 1024;

/// Files that are not open.
pub trait Files {
    /// The contracts in the folder of a document, that one perhaps among them: URI and text of each.
    fn beside(&self, uri: &str) -> Vec<(String, String)>;
}

/// Files on disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn beside(&self, uri: &str) -> Vec<(String, String)> {
        // Other URIs, `untitled:` for instance, have no folder.
        let Some((folder, _)) = uri.strip_prefix("file://").and_then(|_| uri.rsplit_once('/')) else {
            return Vec::new();
        };
        let Some(path) = to_path(folder) else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
        let paths = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "hop"));
        let mut paths: Vec<PathBuf> = paths.take(FILES_MAX).collect();
        paths.sort();
        let read = |path: PathBuf| {
            let name = path.file_name()?.to_str()?;
            let small = std::fs::metadata(&path).ok()?.len() <= SOURCE_BYTES_MAX as u64;
            let text = if small { std::fs::read_to_string(&path).ok()? } else { return None };
            Some((format!("{folder}/{}", encode(name)), text))
        };
        paths.into_iter().filter_map(read).collect()
    }
}

/// The path that a `file:` URI means.
fn to_path(uri: &str) -> Option<PathBuf> {
    let path = decode(uri.strip_prefix("file://")?)?;
    let bytes = path.as_bytes();
    // `/c:/contracts` is `c:/contracts`.
    let drive = bytes.len() > 2 && bytes[0] == b'/' && bytes[1].is_ascii_alphabetic() && bytes[2] == b':';
    let path = if drive { &path[1..] } else { path.as_str() };
    Some(PathBuf::from(if path.is_empty() { "/" } else { path }))
}

/// `%20` and the like, as characters.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn encode(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// One spelling for what clients spell in several ways: `%3A` or `:`.
fn same(uri: &str) -> String {
    decode(uri).unwrap_or_else(|| uri.to_owned())
}

fn folder(uri: &str) -> &str {
    uri.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A document that is open.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub text: String,
    pub version: i32,
}

/// The documents that are open, by URI.
pub(super) type Documents = BTreeMap<String, Document>;

/// A document with all modules that it imports of which there is a text, directly or through others.
#[derive(Debug)]
pub(super) struct Family {
    /// The document itself comes first. Names are URIs.
    pub files: Vec<SourceFile>,
    /// The tree of each.
    pub trees: Vec<Node>,
}

/// The name of a text's module, from its first line that is no comment.
fn module_name(text: &str) -> String {
    let begins = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("--");
    let Some(line) = text.lines().find(begins) else { return String::new() };
    let tokens = lex(line);
    let mut tokens = tokens.iter().filter(|t| !t.kind.is_trivia()).map(|t| (t.kind, t.text));
    if tokens.next() != Some((K::Ident, "module")) {
        return String::new();
    }
    let mut name = String::new();
    // Words with dots between them.
    for (n, (kind, text)) in tokens.enumerate() {
        if kind != if n % 2 == 0 { K::Ident } else { K::Dot } {
            break;
        }
        name.push_str(text);
    }
    name
}

/// The texts of which a document's imports may come: those of its folder, then those of other documents that are open.
fn candidates(documents: &Documents, files: &dyn Files, uri: &str) -> Vec<(String, String)> {
    let open = |near: bool| {
        let fits = move |other: &&String| (folder(&same(other)) == folder(&same(uri))) == near && other.as_str() != uri;
        documents.keys().filter(fits).filter_map(|u| Some((u.clone(), documents.get(u)?.text.clone())))
    };
    let known: Vec<String> = documents.keys().map(|u| same(u)).collect();
    let beside = files.beside(uri).into_iter().filter(|(u, _)| !known.contains(&same(u)));
    open(true).chain(beside).chain(open(false)).collect()
}

/// Gathers a document's family; `None` if it is not open, or is too long to be a contract.
pub(super) fn family(documents: &Documents, files: &dyn Files, library: &Library, uri: &str) -> Option<Family> {
    let document = documents.get(uri)?;
    let mut family = Family { files: Vec::new(), trees: Vec::new() };
    let add = |family: &mut Family, uri: &str, text: &str| {
        family.files.push(SourceFile { name: uri.to_owned(), text: text.to_owned() });
        // Of a text that is too long only that is told.
        family.trees.push(parse(if text.len() > SOURCE_BYTES_MAX { "" } else { text }).root());
    };
    add(&mut family, uri, &document.text);
    let mut rest: Vec<(String, (String, String))> = Vec::new();
    for (uri, text) in candidates(documents, files, uri) {
        let name = module_name(&text);
        if !name.is_empty() && !rest.iter().any(|r| r.0 == name) {
            rest.push((name, (uri, text)));
        }
    }
    let mut done = vec![name_of(&family.trees[0])];
    let mut next = 0;
    while let Some(tree) = family.trees.get(next) {
        next += 1;
        for import in imports(tree) {
            // One that is pinned to a deployed version means that one.
            let pinned = import.id.is_some() && find(library, &import).is_ok();
            if pinned || done.contains(&import.name) {
                continue;
            }
            if let Some(at) = rest.iter().position(|r| r.0 == import.name) {
                let (name, (uri, text)) = rest.swap_remove(at);
                done.push(name);
                add(&mut family, &uri, &text);
            }
        }
    }
    Some(family)
}

/// The library as a family sees it: a text hides deployed modules of its name, but for those that it speaks of by id.
pub(super) fn visible(library: &Library, family: &Family) -> Library {
    let replaces =
        |tree: &Node| ast::child(tree, K::ModuleHead).is_some_and(|h| !ast::clauses(&h, "replaces").is_empty());
    let names: Vec<String> = family.trees.iter().filter(|t| !replaces(t)).map(name_of).collect();
    let pinned: Vec<_> = family.trees.iter().flat_map(imports).filter(|i| i.id.is_some()).collect();
    let pinned: Vec<_> = pinned.iter().filter_map(|i| find(library, i).ok()).collect();
    let mut visible = library.clone();
    visible.units.retain(|id, unit| pinned.contains(id) || !names.iter().any(|n| n == unit.module.name.as_str()));
    let units = &visible.units;
    let named = |name: &str| names.iter().any(|n| n == name);
    visible.heads.retain(|_, id| units.get(id).is_some_and(|u| !named(u.module.name.as_str())));
    visible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_paths() {
        assert_eq!(to_path("file:///a/b%20c%C3%A4"), Some(PathBuf::from("/a/b cä")));
        assert_eq!(to_path("file:///c%3A/x"), Some(PathBuf::from("c:/x")));
        assert_eq!(to_path("untitled:1"), None);
        assert_eq!(to_path("file:///%"), None);
        assert_eq!(to_path("file:///%ff"), None);
        assert_eq!(encode("b cä.hop"), "b%20c%C3%A4.hop");
    }

    #[test]
    fn names_of_modules_are_read_from_the_head() {
        assert_eq!(module_name("-- money\nmodule bank.cash\n  upgrade immutable"), "bank.cash");
        assert_eq!(module_name("module a"), "a");
        assert_eq!(module_name("modul a"), "");
        assert_eq!(module_name(""), "");
    }
}
