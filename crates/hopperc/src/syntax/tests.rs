//! Every text has a tree, which is that text; the formatter settles it once; errors say what was expected.

use proptest::prelude::*;
use rowan::NodeOrToken;

use super::*;
use crate::diagnostic::{Diagnostic, SourceFile, Span, render};

/// What is kept when a text is laid out anew.
fn significant(text: &str) -> Vec<(SyntaxKind, String)> {
    let tokens = lex(text).into_iter().filter(|t| t.kind != SyntaxKind::Whitespace);
    tokens.map(|t| (t.kind, t.text.trim_end().to_owned())).collect()
}

fn check(text: &str) {
    let parsed = parse(text);
    assert_eq!(parsed.root().text().to_string(), text);
    let once = format(&parsed.root());
    assert_eq!(significant(&once), significant(text), "{once}");
    let again = parse(&once);
    assert_eq!(parsed.errors.is_empty(), again.errors.is_empty(), "{once}");
    if parsed.errors.is_empty() {
        assert_eq!(format(&again.root()), once);
    }
}

const SOME: &str = r#"
module   bank.cash
governed by AtLeast(2,[@ops,@risk , @audit])
   upgrade additive after 48h
import std.money as money = #ab01 (share,  pct)
-- a coin
asset Coin { amount: Nat96 } conserves amount
enum Holding { Sole { a: Party }, -- one
  Joint { a: Party, b: Party, sa: Nat8 } where a != b && sa <= 100,


  Nobody }
table accounts: Party -> Account invariant row.bal.amount <= 5
protocol Escrow(buyer: Party, fee: Nat16) where fee <= 10_000 {
state Offered signed buyer
state Funded{pot: Coin} invariant pot.amount > 0
state Done final
start offer: Offered by buyer
= Offered
move fund(n: Nat96): Offered -> Funded by buyer
requires n > 0
= {
Funded { pot: debit(buyer, n) } with { fee: -3 }
}
}
error Frozen, Insufficient { have: Nat96 }
const DAY: Time = 5
fn f(m: Map<Party, [Coin; <= 9]; 500>, ghost g: Nat8) -> (Coin, Bool) ensures result.0.amount == g
= fold (p, u) in drain m from (acc: zero(), ghost sent: 0) invariant acc.amount == sent {
let (a, b) = if x then 1 else 2; let _ = 3
match who { Sole { a, .. } if a == b => { check !a else Frozen
put t with { x: 1, y } }
Joint { a: (q, _) } => abort Insufficient { have: a as Nat96 }
_ => t.lien?
}
a
  + b * -c.0.1
}
test "moves" { given time   2026-01-01
given role treasury=@carol
let id = as @alice,@bob do cash.pay(@alice , R { a: -1 })
as @bob do pay(5) fails  Insufficient { have: 1 }
as @bob do pay(5) fails
wait 2d; expect result Some(id)
expect view balance(@alice)==Some(70)
expect diff { accounts[@alice].bal.amount: 100->70, allowed[@a, @b]: gone,
accounts[@bob]: new -- empty
, Escrow[id]: new Offered, .. }
  expect conserved cash.Coin
expect event Sold { n: 1 } }
"#;

#[test]
fn a_text_is_laid_out() {
    let parsed = parse(SOME);
    assert_eq!(parsed.errors, Vec::new());
    check(SOME);
    insta::assert_snapshot!(format(&parsed.root()));
}

/// A number, a dot and a number are not a decimal, even if nobody means that.
#[test]
fn numbers_do_not_grow_together() {
    let text = "module m2.5. 1";
    assert_eq!(significant(&format(&parse(text).root())), significant(text));
}

#[test]
fn the_tree_of_a_statement() {
    let parsed = parse("module m\nfn f() = { let (a, b) = split(c, 1 + 2 * n) ; a }");
    assert_eq!(parsed.errors, Vec::new());
    insta::assert_snapshot!(format!("{:#?}", parsed.root()));
}

#[test]
fn errors_say_what_was_expected() {
    let cases = [
        "fn f() = 1",
        "module m\nrecord R { a Nat8, b: }",
        "module m\nfn f(a: Nat8 -> Nat8 = a",
        "module m\nfn f() = {\n  let = 5\n  check a <= b\n  put\n  a b\n}\nrecord R { a: Nat8 }",
        "module m\nfn f() { 1 }",
        "module m\nfn if() = 1\naction g() by = 2",
        "module m\nenum E { A { x: Nat8 } B }\ntable t Party -> Nat8",
        "module m\nfn f() = match x { Some(y) -> y, None => }",
        "module m\nfn f() = fold x list { x }\nfn g() = a <= b <= c",
        "module m\nprotocol P() { state A fn g() = 1 }",
        "module m\nasset Coin { amount: Nat96 \nfn f() = \"open\n",
        "module m\ntest \"t\" {\n  given accounts = { @a: 1 }\n  do pay(5)\n  as @a pay(5)\n  expect diff { a[1]: 5 }\n}\nfn f() = 1",
        "module m\n???\nfn f() = §",
    ];
    let mut all = String::new();
    for case in cases {
        let errors = parse(case).errors;
        assert!(!errors.is_empty(), "{case}");
        let files = [SourceFile { name: "m.hop".to_owned(), text: case.to_owned() }];
        let told: Vec<Diagnostic> = errors
            .into_iter()
            .map(|e| {
                let mut told = Diagnostic::new(Span { file: 0, range: e.range }, e.message, "here");
                told.help = e.help;
                told
            })
            .collect();
        all.push_str(&render(&files, &told, false));
        all.push('\n');
    }
    insta::assert_snapshot!(all);
}

#[test]
fn deep_and_tall_texts_end_in_an_error() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("!", ""), ("if a { ", " }"), ("f(", ")"), ("a.b[", "]")]
    {
        for times in [40, 10_000] {
            let text = format!("module m\nfn f() = {}1{}", open.repeat(times), close.repeat(times));
            let parsed = parse(&text);
            assert_eq!(parsed.root().text().to_string(), text);
            assert_eq!(parsed.errors.is_empty(), times == 40, "{open} {:?}", parsed.errors.first());
        }
    }
    for chain in [" + 1", ".a", "(1)", " && b", " with { a: 1 }", " as Nat8", "?"] {
        let text = format!("module m\nfn f() = a{}", chain.repeat(10_000));
        let parsed = parse(&text);
        assert_eq!(parsed.root().text().to_string(), text);
        assert!(!parsed.errors.is_empty(), "{chain}");
        let depth = parsed.root().descendants().map(|n| n.ancestors().count()).max();
        assert!(depth < Some(600), "{depth:?}");
    }
    let types = format!("module m\nconst a: {}Nat8", "Option<".repeat(10_000));
    assert!(!parse(&types).errors.is_empty());
}

/// Pieces of programs, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "module",
        "fn",
        "action",
        "record",
        "enum",
        "asset",
        "table",
        "protocol",
        "state",
        "move",
        "start",
        "error",
        "let",
        "if",
        "else",
        "match",
        "check",
        "abort",
        "change",
        "as",
        "put",
        "insert",
        "fold",
        "in",
        "drain",
        "from",
        "iterate",
        "emit",
        "with",
        "requires",
        "by",
        "a",
        "B",
        "@r",
        "1",
        "2.5",
        "\"t\"",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ";",
        ":",
        ".",
        "..",
        "->",
        "=>",
        "=",
        "==",
        "<=",
        "<",
        ">",
        "+",
        "-",
        "*",
        "&&",
        "||",
        "!",
        "?",
        "\n",
        "-- c\n",
        "é",
        "where",
        "invariant",
        "import",
        "test",
        "Option<",
        "test \"t\" {",
        "as @a do",
        "expect diff {",
        "fails",
        "given",
        "wait",
        "_",
        "ghost",
    ];
    let word = prop::sample::select(words.to_vec());
    prop::collection::vec((word, prop::sample::select(vec!["", " ", "\n"])), 0..80)
        .prop_map(|parts| parts.into_iter().map(|(w, s)| format!("{w}{s}")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_have_a_tree(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(parse(&text).root().text().to_string(), text.as_ref());
        let _ = format(&parse(&text).root());
    }

    #[test]
    fn any_pieces_have_a_tree(text in pieces()) {
        let parsed = parse(&text);
        prop_assert_eq!(parsed.root().text().to_string(), text.as_str());
        prop_assert_eq!(significant(&format(&parsed.root())), significant(&text));
    }

    /// Blanks are the formatter's business.
    #[test]
    fn blanks_do_not_matter(seed in prop::collection::vec(0..4usize, 1..50)) {
        let mut at = 0;
        let messy: String = lex(SOME)
            .iter()
            .map(|token| {
                at += 1;
                let line = token.text.contains('\n');
                match token.kind {
                    SyntaxKind::Whitespace if line => {
                        let lines = token.text.matches('\n').count();
                        format!("{}{}", "\n".repeat(lines), " ".repeat(seed[at % seed.len()]))
                    }
                    SyntaxKind::Whitespace => " ".repeat(1 + seed[at % seed.len()]),
                    _ => token.text.to_owned(),
                }
            })
            .collect();
        prop_assert_eq!(format(&parse(&messy).root()), format(&parse(SOME).root()));
    }

    /// What is cut out of a program leaves a tree, too, and the rest of the declarations in it.
    #[test]
    fn a_program_with_a_hole(from in 0..SOME.len(), len in 0..40usize) {
        let (from, to) = (SOME.floor_char_boundary(from), SOME.floor_char_boundary((from + len).min(SOME.len())));
        let text = format!("{}{}", &SOME[..from], &SOME[to..]);
        check(&text);
    }
}

#[test]
fn one_fault_leaves_the_other_declarations() {
    let text = "module m\nfn f( = { let }\nrecord R { a: Nat8 }\nfn g() = )\nerror E\nfn h() = 1";
    let parsed = parse(text);
    let kinds: Vec<SyntaxKind> = parsed.root().children().map(|n| n.kind()).collect();
    assert!(kinds.contains(&SyntaxKind::RecordItem) && kinds.contains(&SyntaxKind::SignalItem), "{kinds:?}");
    let tokens = parsed.root().descendants_with_tokens().filter_map(NodeOrToken::into_token);
    assert_eq!(tokens.map(|t| t.text().to_owned()).collect::<String>(), text);
}
