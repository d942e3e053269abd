//! A contract's documentation: what it declares, what its functions take, ask for and promise, what they cost, and what its author
//! says of them in comments. As Markdown.

use crate::diagnostic::SourceFile;
use crate::front::Cost;
use crate::lsp::{comment, signature, text};
use crate::syntax::SyntaxKind as K;
use crate::syntax::{Node, ast, parse};

/// The page of one contract. `costs` are those of its functions, if it compiles.
pub fn page(source: &SourceFile, costs: &[Cost]) -> String {
    let root = parse(&source.text).root();
    let mut out = String::new();
    if let Some(head) = ast::child(&root, K::ModuleHead) {
        let name = ast::child(&head, K::Path).map(|p| p.text().to_string()).unwrap_or_default();
        out += &format!("# {}\n", name.trim());
        out += &about(&head);
        out += &code(&text(&head));
    }
    let sections: [(&str, &[K]); 5] = [
        ("Imports", &[K::ImportItem]),
        ("Types", &[K::AssetItem, K::RecordItem, K::EnumItem, K::ConstItem]),
        ("Tables and protocols", &[K::TableItem, K::ProtocolItem]),
        ("Errors and events", &[K::SignalItem]),
        ("Functions", &[K::FnItem]),
    ];
    for (title, kinds) in sections {
        let mut items = root.children().filter(|n| kinds.contains(&n.kind()) && !is_private(n)).peekable();
        if items.peek().is_some() {
            out += &format!("\n## {title}\n");
        }
        for item in items {
            out += &about(&item);
            out += &code(&if item.kind() == K::FnItem { signature(&item) } else { text(&item) });
            let cost = costs.iter().find(|c| item.kind() == K::FnItem && names(&item).any(|n| n == c.name));
            if let Some(cost) = cost {
                out += &format!("\n{cost}\n");
            }
        }
    }
    out
}

/// Functions for the module itself are nobody else's business.
fn is_private(node: &Node) -> bool {
    node.kind() == K::FnItem && signature(node).starts_with("fn ")
}

fn names(node: &Node) -> impl Iterator<Item = String> + use<> {
    ast::tokens(node).filter(|t| t.kind() == K::Ident).map(|t| t.text().to_owned()).collect::<Vec<_>>().into_iter()
}

fn about(node: &Node) -> String {
    let comment = comment(node);
    if comment.is_empty() { String::new() } else { format!("\n{comment}\n") }
}

fn code(text: &str) -> String {
    format!("\n```hopper\n{text}\n```\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::compile;
    use hopper::library::Library;

    #[test]
    fn a_page_has_what_others_need_and_nothing_else() {
        let text = "-- Points.\nmodule a.points\n\n-- Worth one each.\nasset Point { n: Nat64 } conserves n\n\
                    record Row { p: Point }\ntable rows: Party -> Row\n\nfn inner(p: Party)\n= insert rows[p] = Row { p: zero(Point) }\n\n\
                    -- Opens a row.\naction open(p: Party) by p\n= inner(p)\n";
        let source = SourceFile { name: "points.hop".to_owned(), text: text.to_owned() };
        let costs = compile(std::slice::from_ref(&source), &Library::default()).unwrap().remove(0).costs;
        let page = page(&source, &costs);
        for part in [
            "# a.points\n",
            "\nPoints.\n",
            "## Types\n\nWorth one each.\n\n```hopper\nasset Point { n: Nat64 } conserves n\n```\n",
            "## Functions\n\nOpens a row.\n\n```hopper\naction open(p: Party) by p\n```\n\nopen: steps <= ",
        ] {
            assert!(page.contains(part), "{part:?} in {page}");
        }
        assert!(!page.contains("inner("), "{page}");
        // Any text gives some page.
        assert_eq!(
            super::page(&SourceFile { name: String::new(), text: "fn (".to_owned() }, &[]).matches("# ").count(),
            0
        );
    }
}
