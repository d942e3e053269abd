//! Kinds of tokens and nodes, and the lexer.
//!
//! Words are all [`SyntaxKind::Ident`]: most words of the language mean something in one place only, and are good names elsewhere
//! (`from`, `state`, `to`). Those that begin an expression or statement are reserved, see [`RESERVED`].

use logos::Logos;

/// Words that are never names.
pub const RESERVED: [&str; 19] = [
    "let", "if", "else", "match", "check", "abort", "change", "insert", "put", "close", "fold", "iterate", "emit",
    "assert", "require", "peek", "exists", "true", "false",
];

/// What a token or a node of the tree is.
#[derive(Logos, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it; docs/hopper/grammar.md has the rules")]
#[repr(u16)]
pub enum SyntaxKind {
    // Tokens.
    #[regex(r"[ \t\r\n]+")]
    Whitespace,
    #[regex(r"--[^\n]*", allow_greedy = true)]
    Comment,
    #[regex(r"[A-Za-z_][A-Za-z0-9_]*")]
    Ident,
    #[regex(r"@[A-Za-z_][A-Za-z0-9_]*")]
    Role,
    #[regex(r"#[0-9a-fA-F]+")]
    Hash,
    #[regex(r"[0-9][0-9_]*", priority = 4)]
    Number,
    #[regex(r"[0-9][0-9_]*\.[0-9]+")]
    Decimal,
    #[regex(r"[0-9][0-9_]*(ms|s|min|h|d)")]
    Duration,
    #[regex(r"[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]", priority = 10)]
    Date,
    #[regex(r"0x[0-9a-fA-F]*")]
    HexBytes,
    #[regex(r#""([^"\\\n]|\\[^\n])*""#)]
    Text,
    #[token("(")]
    LParen,
    #[token(")")]
    RParen,
    #[token("[")]
    LBracket,
    #[token("]")]
    RBracket,
    #[token("{")]
    LBrace,
    #[token("}")]
    RBrace,
    #[token(",")]
    Comma,
    #[token(";")]
    Semi,
    #[token(":")]
    Colon,
    #[token(".")]
    Dot,
    #[token("..")]
    DotDot,
    #[token("->")]
    Arrow,
    #[token("=>")]
    FatArrow,
    #[token("=")]
    Eq,
    #[token("==")]
    EqEq,
    #[token("!=")]
    NotEq,
    #[token("<=")]
    LtEq,
    #[token(">=")]
    GtEq,
    #[token("<")]
    Lt,
    #[token(">")]
    Gt,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("%")]
    Percent,
    #[token("&&")]
    AndAnd,
    #[token("||")]
    OrOr,
    #[token("!")]
    Bang,
    #[token("?")]
    Question,
    /// Bytes that are no token.
    Unknown,
    /// The end of the text; in no tree.
    End,

    // Nodes.
    SourceFile,
    ModuleHead,
    Clause,
    Path,
    ImportItem,
    ImportNames,
    RecordItem,
    EnumItem,
    AssetItem,
    TableItem,
    ProtocolItem,
    ProtocolBody,
    StateItem,
    StartItem,
    MoveItem,
    SignalItem,
    Signal,
    ConstItem,
    FnItem,
    TestItem,
    GivenStep,
    DoStep,
    Signers,
    ExpectStep,
    WaitStep,
    ChangeList,
    ChangeLine,
    FieldList,
    Field,
    VariantList,
    Variant,
    ParamList,
    Param,
    NameType,
    TypeArgs,
    TupleType,
    ListType,
    Literal,
    NameExpr,
    RoleExpr,
    FieldExpr,
    TryExpr,
    CallExpr,
    ArgList,
    IndexExpr,
    IndexArgs,
    PrefixExpr,
    BinExpr,
    CastExpr,
    WithExpr,
    StructExpr,
    StructFields,
    StructField,
    ParenExpr,
    TupleExpr,
    ListExpr,
    Block,
    IfExpr,
    MatchExpr,
    MatchArms,
    MatchArm,
    CheckExpr,
    AbortExpr,
    ChangeExpr,
    InsertExpr,
    PutExpr,
    CloseExpr,
    FoldExpr,
    IterateExpr,
    Accumulators,
    Accumulator,
    EmitExpr,
    AssertExpr,
    RequireExpr,
    PeekExpr,
    ExistsExpr,
    LetStmt,
    ExprStmt,
    WildPat,
    NamePat,
    TuplePat,
    VariantPat,
    VariantPatFields,
    RestPat,
    FieldPat,
    Error,
}

use SyntaxKind as K;

impl SyntaxKind {
    /// White space or a comment.
    pub fn is_trivia(self) -> bool {
        matches!(self, K::Whitespace | K::Comment)
    }

    /// An expression.
    pub fn is_expr(self) -> bool {
        matches!(
            self,
            K::Literal
                | K::NameExpr
                | K::RoleExpr
                | K::FieldExpr
                | K::TryExpr
                | K::CallExpr
                | K::IndexExpr
                | K::PrefixExpr
                | K::BinExpr
                | K::CastExpr
                | K::WithExpr
                | K::StructExpr
                | K::ParenExpr
                | K::TupleExpr
                | K::ListExpr
                | K::Block
                | K::IfExpr
                | K::MatchExpr
                | K::CheckExpr
                | K::AbortExpr
                | K::ChangeExpr
                | K::InsertExpr
                | K::PutExpr
                | K::CloseExpr
                | K::FoldExpr
                | K::IterateExpr
                | K::EmitExpr
                | K::AssertExpr
                | K::RequireExpr
                | K::PeekExpr
                | K::ExistsExpr
        )
    }

    /// A type.
    pub fn is_type(self) -> bool {
        matches!(self, K::NameType | K::TupleType | K::ListType)
    }

    /// A pattern.
    pub fn is_pat(self) -> bool {
        matches!(self, K::WildPat | K::NamePat | K::TuplePat | K::VariantPat)
    }
}

/// The language, for the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hopper {}

/// Every kind, in order, so that a number is turned back into a kind without `unsafe`.
const ALL: [SyntaxKind; 128] = [
    K::Whitespace,
    K::Comment,
    K::Ident,
    K::Role,
    K::Hash,
    K::Number,
    K::Decimal,
    K::Duration,
    K::Date,
    K::HexBytes,
    K::Text,
    K::LParen,
    K::RParen,
    K::LBracket,
    K::RBracket,
    K::LBrace,
    K::RBrace,
    K::Comma,
    K::Semi,
    K::Colon,
    K::Dot,
    K::DotDot,
    K::Arrow,
    K::FatArrow,
    K::Eq,
    K::EqEq,
    K::NotEq,
    K::LtEq,
    K::GtEq,
    K::Lt,
    K::Gt,
    K::Plus,
    K::Minus,
    K::Star,
    K::Slash,
    K::Percent,
    K::AndAnd,
    K::OrOr,
    K::Bang,
    K::Question,
    K::Unknown,
    K::End,
    K::SourceFile,
    K::ModuleHead,
    K::Clause,
    K::Path,
    K::ImportItem,
    K::ImportNames,
    K::RecordItem,
    K::EnumItem,
    K::AssetItem,
    K::TableItem,
    K::ProtocolItem,
    K::ProtocolBody,
    K::StateItem,
    K::StartItem,
    K::MoveItem,
    K::SignalItem,
    K::Signal,
    K::ConstItem,
    K::FnItem,
    K::TestItem,
    K::GivenStep,
    K::DoStep,
    K::Signers,
    K::ExpectStep,
    K::WaitStep,
    K::ChangeList,
    K::ChangeLine,
    K::FieldList,
    K::Field,
    K::VariantList,
    K::Variant,
    K::ParamList,
    K::Param,
    K::NameType,
    K::TypeArgs,
    K::TupleType,
    K::ListType,
    K::Literal,
    K::NameExpr,
    K::RoleExpr,
    K::FieldExpr,
    K::TryExpr,
    K::CallExpr,
    K::ArgList,
    K::IndexExpr,
    K::IndexArgs,
    K::PrefixExpr,
    K::BinExpr,
    K::CastExpr,
    K::WithExpr,
    K::StructExpr,
    K::StructFields,
    K::StructField,
    K::ParenExpr,
    K::TupleExpr,
    K::ListExpr,
    K::Block,
    K::IfExpr,
    K::MatchExpr,
    K::MatchArms,
    K::MatchArm,
    K::CheckExpr,
    K::AbortExpr,
    K::ChangeExpr,
    K::InsertExpr,
    K::PutExpr,
    K::CloseExpr,
    K::FoldExpr,
    K::IterateExpr,
    K::Accumulators,
    K::Accumulator,
    K::EmitExpr,
    K::AssertExpr,
    K::RequireExpr,
    K::PeekExpr,
    K::ExistsExpr,
    K::LetStmt,
    K::ExprStmt,
    K::WildPat,
    K::NamePat,
    K::TuplePat,
    K::VariantPat,
    K::VariantPatFields,
    K::RestPat,
    K::FieldPat,
    K::Error,
];

impl rowan::Language for Hopper {
    type Kind = SyntaxKind;

    fn kind_from_raw(raw: rowan::SyntaxKind) -> SyntaxKind {
        ALL.get(usize::from(raw.0)).copied().unwrap_or(K::Error)
    }

    fn kind_to_raw(kind: SyntaxKind) -> rowan::SyntaxKind {
        rowan::SyntaxKind(kind as u16)
    }
}

/// A node of the tree.
pub type Node = rowan::SyntaxNode<Hopper>;
/// A token of the tree.
pub type Token = rowan::SyntaxToken<Hopper>;

/// A token of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lexed<'t> {
    /// What it is.
    pub kind: SyntaxKind,
    /// Its text.
    pub text: &'t str,
    /// Where it begins, in bytes.
    pub start: usize,
}

/// Cuts a text into tokens. Together they are the text.
pub fn lex(text: &str) -> Vec<Lexed<'_>> {
    let mut tokens: Vec<Lexed<'_>> = Vec::new();
    let mut lexer = SyntaxKind::lexer(text);
    while let Some(found) = lexer.next() {
        let span = lexer.span();
        let kind = found.unwrap_or(K::Unknown);
        match tokens.last_mut() {
            // Runs of what is no token are one.
            Some(last) if kind == K::Unknown && last.kind == K::Unknown => last.text = &text[last.start..span.end],
            _ => tokens.push(Lexed { kind, text: &text[span.clone()], start: span.start }),
        }
    }
    tokens
}
