//! The language server, asked by a client through the message loop.

use std::collections::BTreeMap;
use std::thread::JoinHandle;

use hopper::library::Library;
use hopper::verify::deploy;
use hopperc::diagnostic::SourceFile;
use hopperc::front::compile;
use hopperc::lsp::{Disk, Files, Server, serve};
use hopperc::syntax::{RESERVED, SyntaxKind, lex};
use lsp_server::{Connection, Message, Notification, Request, RequestId, Response};
use serde_json::{Value, json};

/// Files that are made up.
#[derive(Clone, Default)]
struct Beside(BTreeMap<String, String>);

impl Files for Beside {
    fn beside(&self, _: &str) -> Vec<(String, String)> {
        self.0.clone().into_iter().collect()
    }
}

/// A client, with what it was told of its documents.
struct Client {
    connection: Connection,
    server: JoinHandle<bool>,
    next: i32,
    diagnostics: BTreeMap<String, Vec<Value>>,
}

impl Client {
    fn new(library: Library, files: impl Files + Send + 'static) -> Client {
        let (connection, other) = Connection::memory();
        let server = std::thread::spawn(move || serve(&other, &mut Server::new(library, Box::new(files))));
        Client { connection, server, next: 0, diagnostics: BTreeMap::new() }
    }

    fn started(library: Library, files: impl Files + Send + 'static) -> Client {
        let mut client = Client::new(library, files);
        let answer = client.ask("initialize", json!({ "capabilities": {} })).unwrap();
        assert_eq!(answer["capabilities"]["hoverProvider"], true);
        client.tell("initialized", json!({}));
        client
    }

    fn tell(&self, method: &str, params: Value) {
        let notification = Notification { method: method.to_owned(), params };
        self.connection.sender.send(notification.into()).unwrap();
    }

    fn ask(&mut self, method: &str, params: Value) -> Result<Value, i32> {
        self.next += 1;
        let id = RequestId::from(self.next);
        let request = Request { id: id.clone(), method: method.to_owned(), params };
        self.connection.sender.send(request.into()).unwrap();
        loop {
            match self.connection.receiver.recv().unwrap() {
                Message::Response(Response { id: of, response_result }) => {
                    assert_eq!(of, id);
                    return response_result.map_err(|e| e.code);
                }
                Message::Notification(told) => self.note(told),
                Message::Request(request) => panic!("asked for {}", request.method),
            }
        }
    }

    fn note(&mut self, told: Notification) {
        assert_eq!(told.method, "textDocument/publishDiagnostics");
        let uri = told.params["uri"].as_str().unwrap().to_owned();
        let list = told.params["diagnostics"].as_array().unwrap().clone();
        self.diagnostics.insert(uri, list);
    }

    /// Waits until the server tells of a document.
    fn told(&mut self, uri: &str) -> Vec<Value> {
        self.diagnostics.remove(uri).unwrap_or_else(|| {
            loop {
                let Message::Notification(told) = self.connection.receiver.recv().unwrap() else { panic!("an answer") };
                self.note(told);
                if let Some(list) = self.diagnostics.remove(uri) {
                    break list;
                }
            }
        })
    }

    fn open(&mut self, uri: &str, text: &str) -> Vec<Value> {
        let document = json!({ "uri": uri, "languageId": "hopper", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
        self.told(uri)
    }

    fn hover(&mut self, uri: &str, at: Value) -> String {
        let found = self.ask("textDocument/hover", json!({ "textDocument": { "uri": uri }, "position": at })).unwrap();
        found["contents"]["value"].as_str().unwrap_or_default().to_owned()
    }

    /// Where something is declared: the document and the text there.
    fn definition(&mut self, uri: &str, at: Value) -> Option<(String, Value)> {
        let params = json!({ "textDocument": { "uri": uri }, "position": at });
        let found = self.ask("textDocument/definition", params).unwrap();
        Some((found["uri"].as_str()?.to_owned(), found["range"].clone()))
    }

    /// `shutdown` and `exit`, after which the server is gone.
    fn leave(mut self) {
        assert_eq!(self.ask("shutdown", Value::Null), Ok(Value::Null));
        assert_eq!(self.ask("textDocument/hover", json!({})), Err(-32600));
        self.tell("exit", Value::Null);
        assert!(self.server.join().unwrap());
    }
}

const CASH: &str = include_str!("../lib/cash.hop");
const CASH_URI: &str = "file:///c/cash.hop";

/// The position of the `n`-th time that a text occurs, at `into` characters of it.
fn nth(text: &str, what: &str, n: usize, into: usize) -> Value {
    let at = text.match_indices(what).nth(n).unwrap_or_else(|| panic!("no {what}")).0 + into;
    position(text, at)
}

fn first(text: &str, what: &str) -> Value {
    nth(text, what, 0, 0)
}

/// What stands in a range.
fn at<'t>(text: &'t str, range: &Value) -> &'t str {
    let line = text.lines().nth(range["start"]["line"].as_u64().unwrap() as usize).unwrap();
    let units: Vec<u16> = line.encode_utf16().collect();
    let place = |end: &str| range[end]["character"].as_u64().unwrap() as usize;
    let part = String::from_utf16(&units[place("start")..place("end")]).unwrap();
    &line[line.find(&part).unwrap()..][..part.len()]
}

const SHOP: &str = r#"-- 𝄞 A till.
module shop.till

import bank.cash (Coin, debit, credit)

const MOST: Nat96 = 1_000

record Sale { what: Text<20>, price: Nat96 } invariant price <= MOST

table sales: Id<Order> -> Sale

error Dear, Late { by: Time }
event Sold { to: Party, n: Nat96 }

protocol Order(buyer: Party, seller: Party) where buyer != seller {
  state Open { pot: Coin }
  state Closed final

  start order(n: Nat96): Open by buyer
  = { let 𝄞 = 1
    Open { pot: debit(buyer, n) }
  }

  move settle: Open -> Closed by seller
  = {
    credit(seller, pot)
    Closed
  }
}

-- What two things cost.
-- Both of them.
public fn both(a: Nat96, b: Nat96) -> Nat96
  requires a <= MOST && b <= MOST
  ensures result <= 2_000
= {
  let total = a + b
  check total <= 2 * MOST else Dear
  total
}
"#;

#[test]
fn a_session() {
    let beside = Beside([(CASH_URI.to_owned(), CASH.to_owned())].into());
    let mut client = Client::new(Library::default(), beside);
    assert_eq!(client.ask("textDocument/hover", json!({})), Err(-32002));
    assert!(client.ask("initialize", json!({ "capabilities": {} })).is_ok());
    assert_eq!(client.ask("initialize", json!({})), Err(-32600));
    let uri = "file:///c/shop.hop";

    // A wrong contract.
    let told = client.open(uri, SHOP);
    assert!(told[0]["range"]["start"] == first(SHOP, "𝄞 = 1"), "{told:#?}");
    // Made right by a change that counts in UTF-16 units.
    let start = first(SHOP, "let 𝄞 = 1");
    let end = json!({ "line": start["line"], "character": start["character"].as_u64().unwrap() + 10 });
    let change = json!([{ "range": { "start": start, "end": end }, "text": "" }]);
    let version = json!({ "uri": uri, "version": 2 });
    client.tell("textDocument/didChange", json!({ "textDocument": version, "contentChanges": change }));
    assert_eq!(client.told(uri), Vec::<Value>::new());
    let text = SHOP.replace("let 𝄞 = 1", "");

    // Hover.
    let both = client.hover(uri, nth(&text, "both(", 0, 2));
    for part in [
        "public fn both(a: Nat96, b: Nat96) -> Nat96\n  requires a <= MOST && b <= MOST\n  ensures result <= 2_000\n```",
        "What two things cost. Both of them.",
        "Costs: `steps <= ",
        "Proved: ",
    ] {
        assert!(both.contains(part), "{part}: {both}");
    }
    assert!(client.hover(uri, first(&text, "total <=")).contains("total: Nat96"));
    assert!(client.hover(uri, first(&text, "debit(")).contains("Touches accounts"));
    assert!(client.hover(uri, first(&text, "pot)")).contains("pot: Coin"));
    assert!(client.hover(uri, first(&text, "Dear\n")).contains("error Dear"));
    assert!(client.hover(uri, first(&text, "Sold")).contains("event Sold { to: Party, n: Nat96 }"));
    assert!(client.hover(uri, first(&text, "sales")).contains("table sales: Id<Order> -> Sale"));
    assert!(client.hover(uri, first(&text, "MOST &&")).contains("const MOST: Nat96 = 1_000"));
    assert!(client.hover(uri, nth(&text, "order(", 0, 5)).contains("start order(n: Nat96): Open by buyer"));
    assert_eq!(client.hover(uri, json!({ "line": 900, "character": 0 })), "");

    // Definitions: where they are asked for, and where they are.
    let own = [
        ("Order> ->", "Order(buyer"),
        ("Sale\n", "Sale {"),
        ("MOST\n\ntable", "MOST:"),
        ("Open by", "Open {"),
        ("Closed\n  }", "Closed final"),
        ("Dear\n  total", "Dear, Late"),
        ("total <=", "total = a"),
        ("b\n  check", "b: Nat96) ->"),
        ("buyer, n)", "buyer: Party, seller"),
        ("pot)", "pot: Coin"),
    ];
    for (asked, there) in own {
        let found = client.definition(uri, first(&text, asked)).unwrap_or_else(|| panic!("{asked}"));
        assert_eq!((found.0.as_str(), &found.1["start"]), (uri, &first(&text, there)), "{asked}");
    }
    for (asked, there) in [("debit(", "debit(p"), ("Coin }", "Coin {"), ("debit, ", "debit(p")] {
        let found = client.definition(uri, first(&text, asked)).unwrap();
        assert_eq!((found.0.as_str(), &found.1["start"]), (CASH_URI, &first(CASH, there)), "{asked}");
    }
    assert_eq!(client.definition(uri, first(&text, "bank.cash")).unwrap().0, CASH_URI);

    // Layout: the line that lost its text, and the brace.
    let params = json!({ "textDocument": { "uri": uri }, "options": { "tabSize": 2, "insertSpaces": true } });
    let edits = client.ask("textDocument/formatting", params.clone()).unwrap();
    assert_eq!(edits[0]["newText"], text.replace("{ \n", "{\n"));
    let (lines, whole) = (text.matches('\n').count(), json!({ "line": 0, "character": 0 }));
    assert_eq!(edits[0]["range"], json!({ "start": whole, "end": { "line": lines, "character": 0 } }));
    let change = json!({ "textDocument": version, "contentChanges": [{ "text": edits[0]["newText"] }] });
    client.tell("textDocument/didChange", change);
    assert_eq!(client.ask("textDocument/formatting", params.clone()), Ok(json!([])));
    // With faults it is left alone.
    let change = json!({ "textDocument": version, "contentChanges": [{ "text": "module a.b\nfn f( = 1" }] });
    client.tell("textDocument/didChange", change);
    assert_eq!(client.ask("textDocument/formatting", params), Ok(Value::Null));

    // What nobody knows, and what cannot be read.
    assert_eq!(client.ask("textDocument/rename", json!({})), Err(-32601));
    assert_eq!(client.ask("textDocument/hover", json!({ "position": 5 })), Err(-32602));
    client.tell("textDocument/didChange", json!({ "x": 1 }));
    client.tell("$/setTrace", json!({ "value": "off" }));
    client.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    while !client.told(uri).is_empty() {}
    client.leave();
}

#[test]
fn what_imports_a_module_hears_of_its_faults() {
    let mut client = Client::started(Library::default(), Beside::default());
    let shop = "module shop.till\n\nimport bank.cash (credit, Coin)\n\nfn pay(p: Party, c: Coin) = credit(p, c)\n";
    let (uri, cash) = ("untitled:shop", "untitled:cash");
    let told = client.open(uri, shop);
    assert!(told[0]["message"].as_str().unwrap().contains("bank.cash"), "{told:#?}");
    assert_eq!(client.open(cash, CASH), Vec::<Value>::new());
    assert_eq!(client.told(uri), Vec::<Value>::new());
    // Wrong in the one, told in both.
    let change = json!([{ "text": CASH.replace("put a with { bal: join(a.bal, c) }", "put a") }]);
    let version = json!({ "uri": cash, "version": 2 });
    client.tell("textDocument/didChange", json!({ "textDocument": version, "contentChanges": change }));
    let told = client.told(cash);
    assert!(told[0]["message"].as_str().unwrap().lines().count() > 1, "{told:#?}");
    let told = client.told(uri);
    assert_eq!(told[0]["range"]["start"], first(shop, "import"));
    assert!(told[0]["message"].as_str().unwrap().contains("there are errors in `bank.cash`"), "{told:#?}");
    assert_eq!(told[0]["relatedInformation"][0]["location"]["uri"], cash);
    // Costs are those from before.
    assert!(client.hover(cash, nth(CASH, "debit(", 0, 1)).contains("(before the file had errors)"));
    client.leave();
}

#[test]
fn other_places_that_matter_are_shown() {
    let mut client = Client::started(Library::default(), Beside::default());
    let text =
        "module a.b\n\nasset Coin { amount: Nat96 } conserves amount\n\nfn f(c: Coin) -> (Coin, Coin)\n= (c, c)\n";
    let told = client.open("untitled:1", text);
    let message = told[0]["message"].as_str().unwrap();
    assert!(told.iter().any(|d| d["relatedInformation"].as_array().is_some_and(|r| !r.is_empty())), "{message}");
    client.leave();
}

/// A library with the money of `lib/`, and no text of it.
fn deployed() -> Library {
    let source = SourceFile { name: "cash.hop".to_owned(), text: CASH.to_owned() };
    let mut library = Library::default();
    for one in compile(&[source], &Library::default()).unwrap() {
        deploy(&mut library, one.module, &one.proofs).unwrap();
    }
    library
}

#[test]
fn modules_without_a_text_come_from_the_library() {
    let mut client = Client::started(deployed(), Beside::default());
    let uri = "untitled:1";
    let text = "module a.b\n\nimport bank.cash as money (Coin)\n\nfn f(p: Party, c: Coin)\n= money.credit(p, c)\n";
    assert_eq!(client.open(uri, text), Vec::<Value>::new());
    let said = client.hover(uri, first(text, "credit"));
    assert!(said.contains("public fn credit(p: Party, c: Coin)\n") && said.contains("steps <="), "{said}");
    assert!(client.hover(uri, first(text, "Coin)\n\n")).contains("asset Coin { amount: Nat96 } conserves amount"));
    assert!(client.hover(uri, first(text, "bank.cash")).contains("action transfer("));
    assert_eq!(client.definition(uri, first(text, "credit")).unwrap().1["start"], first(text, "import"));
    // A text of the same name comes first.
    assert_eq!(client.open("untitled:2", CASH), Vec::<Value>::new());
    assert_eq!(client.definition(uri, first(text, "credit")).unwrap().0, "untitled:2");
    client.leave();
}

/// The contracts of the library with their names.
fn contracts() -> Vec<(String, String)> {
    let folder = format!("{}/lib", env!("CARGO_MANIFEST_DIR"));
    let mut all: Vec<_> = Disk.beside(&format!("file://{folder}/x.hop"));
    let path = format!("{}/tests/features/everything.hop", env!("CARGO_MANIFEST_DIR"));
    all.push((format!("file://{folder}/everything.hop"), std::fs::read_to_string(path).unwrap()));
    all
}

/// Asks for each word of each contract. A definition has the word's own name; the words without one are the language's.
#[test]
fn every_word_of_every_contract_is_found() {
    let mut client = Client::started(Library::default(), Disk);
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    let mut untyped = Vec::new();
    let all = contracts();
    for (uri, text) in &all {
        assert_eq!(client.open(uri, text), Vec::<Value>::new(), "{uri}");
        // What stands in tests is for their runner.
        let end = text.find("\ntest \"").unwrap_or(text.len());
        for token in lex(text).iter().filter(|t| t.kind == SyntaxKind::Ident && t.start < end) {
            let place = position(text, token.start);
            let Some((other, range)) = client.definition(uri, place.clone()) else {
                *unknown.entry(token.text.to_owned()).or_default() += 1;
                continue;
            };
            let (_, there) = all.iter().find(|(u, _)| *u == other).unwrap();
            let module = range["start"] == json!({ "line": 0, "character": 0 });
            assert!(module || at(there, &range) == token.text, "{uri} {place}: {} {other} {range}", token.text);
            let said = client.hover(uri, place.clone());
            assert!(!said.is_empty(), "{uri} {place}");
            if said == format!("```hopper\n{}\n```", token.text) {
                untyped.push(format!("{} {place}", token.text));
            }
        }
    }
    assert_eq!(untyped, Vec::<String>::new());
    let words: Vec<&str> = unknown.keys().map(String::as_str).collect();
    insta::assert_snapshot!(words.join(" "));
    client.leave();
}

fn position(text: &str, at: usize) -> Value {
    let line = text[..at].matches('\n').count();
    let begin = text[..at].rfind('\n').map_or(0, |n| n + 1);
    json!({ "line": line, "character": text[begin..at].encode_utf16().count() })
}

/// Texts with parts left out, doubled, and odd characters in them; and places that are not there.
#[test]
fn no_text_brings_it_down() {
    let mut client = Client::started(deployed(), Disk);
    let mut seed = 7u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below.max(1)
    };
    for (uri, text) in contracts() {
        client.open(&uri, &text);
        let version = json!({ "uri": uri, "version": 2 });
        for _ in 0..20 {
            let tokens = lex(&text);
            let (from, count) = (random(tokens.len()), random(12));
            let start = tokens[from].start;
            let end = tokens.get(from + count).map_or(text.len(), |t| t.start);
            let put = ["", "(", "}", "𝄞", "= {", "\r", "let", "::", "\u{0}", "match x {"][random(10)];
            let changed = format!("{}{put}{}", &text[..start], &text[end..]);
            let content = json!([{ "text": changed }]);
            client.tell("textDocument/didChange", json!({ "textDocument": version, "contentChanges": content }));
            let near = position(&text, start);
            let line = near["line"].as_u64().unwrap();
            for place in [
                near.clone(),
                json!({ "line": line, "character": random(40) }),
                json!({ "line": 5, "character": u32::MAX }),
            ] {
                client.hover(&uri, place.clone());
                client.definition(&uri, place);
            }
        }
    }
    client.leave();
}

/// Words with a meaning in their place, as `docs/hopper/grammar.md` has them between quotes.
fn words_of_the_grammar() -> Vec<String> {
    let grammar =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hopper/grammar.md")).unwrap();
    let rules = grammar.split("```").nth(1).unwrap().to_owned();
    let quoted = rules.split('"').skip(1).step_by(2);
    quoted.filter(|w| w.chars().all(|c| c.is_ascii_lowercase()) && !w.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_grammar_for_editors_has_every_keyword() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../editors/hopper.tmLanguage.json");
    let grammar: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(grammar["scopeName"], "source.hopper");
    let mut patterns = Vec::new();
    gather(&grammar, &mut patterns);
    let words: Vec<String> = patterns
        .iter()
        .flat_map(|p| p.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        // Of `\\bfold` the word is `fold`, whose escape begins it.
        .flat_map(|w| [w.to_owned(), w.strip_prefix('b').unwrap_or(w).to_owned()])
        .collect();
    for word in RESERVED.iter().map(|w| (*w).to_owned()).chain(words_of_the_grammar()) {
        assert!(words.contains(&word), "`{word}` is missing in the grammar");
    }
}

/// Every pattern of a grammar.
fn gather(value: &Value, patterns: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner {
                    Value::String(text) if matches!(key.as_str(), "match" | "begin" | "end") => {
                        patterns.push(text.clone());
                    }
                    _ => gather(inner, patterns),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| gather(inner, patterns)),
        _ => {}
    }
}
