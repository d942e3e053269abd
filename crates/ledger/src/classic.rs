//! The classic command language, as text.
//!
//! ```text
//! CreateAccount NAME                      opens an account
//! AdjustAccount NAME n%d                  mints; with -n%d burns
//! transfer(A->B, n%d)                     moves an amount; transfer(A->I->B, n%d) through I
//! DATA##CODE                              keeps DATA; CODE is a transfer or empty
//! RegisterParty NAME KEY                  registers a party with one key (64 hexadecimal digits)
//! RegisterParty NAME k KEY,KEY,...        registers a party of which k of the keys must sign
//! RotateKeys KEY                          gives the party that sends it another key, or k of several as above
//! SetQuota NAME MS S,R,RB,W,WB,C          limits what a party may spend in MS milliseconds: steps, rows and bytes to read,
//!                                         rows and bytes to write, steps of cryptography
//! SetQuota NAME off                       lifts the limit
//! PassThrough NAME on|off                 says whether others may pass amounts through an account
//! (#transfer "A" "B" (% n d) "")          programs of Juno, which come to transfers: [`crate::transmatic`]
//! ObserveAccount NAME                     queries
//! ObserveAccounts
//! ObserveParty NAME
//! ObserveSupply
//! ```
//!
//! The first four commands and the first two queries are Juno's; the rest is in the same spirit. Words are case
//! sensitive. Blanks are allowed between the parts. A text that holds `##` is a `DATA##CODE`, split at the last `##`
//! (no `CODE` holds one), and its `DATA` is kept byte for byte, blanks included.
//!
//! What is read here can be printed again ([`print()`]) and reads back the same.

use std::fmt;

use hopper::cost::Cost;
use hopper::ir::Module;
use thiserror::Error;
use wire::limits::{GUARD_KEYS_MAX, PAYLOAD_BYTES_MAX};
use wire::{Guard, Name, Outcome, PublicKey};

use crate::amount::{Amount, AmountError, SignedAmount};
use crate::call::DIMENSIONS;
use crate::cash;
use crate::operation::{Operation, PATH_ACCOUNTS_MAX, Transfer};
use crate::query::{ACCOUNTS_PAGE_MAX, Answer, Query};
use crate::request::{Quota, Request};
use crate::transmatic;

/// What a text asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classic {
    /// Something to sign and order.
    Operation(Operation),
    /// Something to read.
    Query(Query),
}

/// Why a text was not understood, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at character {position}: {problem}; write: {instead}")]
pub struct ClassicError {
    /// Where, counting characters from 1.
    pub position: usize,
    /// What was expected, or what is wrong.
    pub problem: String,
    /// A form that would be understood.
    pub instead: String,
}

/// Each word a command can begin with, and its form.
const FORMS: [(&str, &str); 11] = [
    ("CreateAccount", "CreateAccount NAME"),
    ("AdjustAccount", "AdjustAccount NAME n%d, for example: AdjustAccount Acct1 100%1"),
    ("ObserveAccount", "ObserveAccount NAME"),
    ("ObserveAccounts", "ObserveAccounts"),
    ("transfer", "transfer(A->B, n%d), for example: transfer(Acct1->Acct2, 5%1)"),
    ("RegisterParty", "RegisterParty NAME KEY, or: RegisterParty NAME k KEY,KEY,..."),
    ("RotateKeys", "RotateKeys KEY, or: RotateKeys k KEY,KEY,..."),
    ("SetQuota", "SetQuota NAME MS STEPS,ROWS,BYTES,ROWS,BYTES,CRYPTO, or: SetQuota NAME off"),
    ("PassThrough", "PassThrough NAME on, or: PassThrough NAME off"),
    ("ObserveParty", "ObserveParty NAME"),
    ("ObserveSupply", "ObserveSupply"),
];
const ANY_FORM: &str = "CreateAccount NAME, AdjustAccount NAME n%d, transfer(A->B, n%d), DATA##CODE, \
                        RegisterParty NAME KEY, RotateKeys KEY, SetQuota NAME off, PassThrough NAME on|off, ObserveAccount NAME, ObserveAccounts, \
                        ObserveParty NAME or ObserveSupply";

/// Reads one command or query.
///
/// # Errors
/// Where the text stops making sense, and what to write instead. Never panics, whatever the text.
pub fn parse(text: &str) -> Result<Classic, ClassicError> {
    if text.len() > PAYLOAD_BYTES_MAX {
        return Err(ClassicError {
            position: 1,
            problem: format!("the text has {} bytes, a command takes at most {PAYLOAD_BYTES_MAX}", text.len()),
            instead: "a shorter one".to_owned(),
        });
    }
    if let Some(at) = text.rfind("##") {
        return data(text, at).map(Classic::Operation);
    }
    let mut scan = Scan { text, at: 0, form: ANY_FORM };
    scan.blanks();
    if scan.rest().starts_with('(') {
        return transmatic::reduce(text).map(Classic::Operation);
    }
    let start = scan.at;
    let word = scan.word();
    let Some((word, form)) = FORMS.iter().find(|(known, _)| *known == word) else {
        return Err(unknown(&Scan { at: start, ..scan }, word));
    };
    scan.form = form;
    let operation = match *word {
        "transfer" => Operation::Transfer(transfer(&mut scan)?),
        "ObserveAccounts" => {
            scan.end()?;
            return Ok(Classic::Query(Query::Accounts { after: None, limit: ACCOUNTS_PAGE_MAX }));
        }
        "ObserveSupply" => {
            scan.end()?;
            return Ok(Classic::Query(Query::Supply));
        }
        "RotateKeys" => Operation::Other(Request::RotateKeys { guard: guard(&mut scan)? }),
        word => {
            let party = word.ends_with("Party") || word == "SetQuota";
            let name = scan.name(if party { "the name of a party" } else { "the name of an account" })?;
            match word {
                "CreateAccount" => Operation::CreateAccount { name },
                "AdjustAccount" => {
                    let SignedAmount { negative, amount } = scan.amount(text.len())?;
                    scan.at = text.len();
                    Operation::Adjust { account: name, negative, amount }
                }
                "PassThrough" => Operation::SetPassThrough { account: name, allowed: switch(&mut scan)? },
                "RegisterParty" => Operation::RegisterParty { name, guard: guard(&mut scan)? },
                "SetQuota" => Operation::Other(Request::SetQuota { party: name, quota: quota(&mut scan)? }),
                query => {
                    scan.end()?;
                    return Ok(Classic::Query(match query {
                        "ObserveParty" => Query::Party(name),
                        _ => Query::Account(name),
                    }));
                }
            }
        }
    };
    scan.end()?;
    Ok(Classic::Operation(operation))
}

/// The error for a text that begins with no known word.
fn unknown(scan: &Scan<'_>, word: &str) -> ClassicError {
    if let Some((known, form)) = FORMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) {
        return Scan { form, ..*scan }.error(format!("`{word}` is written `{known}`"));
    }
    let problem = match scan.text[scan.at..].chars().next() {
        None => "the text is empty".to_owned(),
        Some('{') => "JSON is no command here".to_owned(),
        Some(_) if word == "CommandInputQuery" => "CommandInputQuery was never supported".to_owned(),
        Some(_) => "expected a command".to_owned(),
    };
    scan.error(problem)
}

/// `DATA##CODE`, with the last `##` at byte `at`.
fn data(text: &str, at: usize) -> Result<Operation, ClassicError> {
    let form = "DATA##, or: DATA##transfer(A->B, n%d)";
    let mut scan = Scan { text, at: at + 2, form };
    scan.blanks();
    let code_at = scan.at;
    let then = match scan.word() {
        "" if scan.at == text.len() => None,
        "transfer" => {
            let transfer = transfer(&mut scan)?;
            scan.end()?;
            Some(transfer)
        }
        _ => {
            scan.at = code_at;
            return Err(scan.error("expected a transfer or nothing after `##`".to_owned()));
        }
    };
    Ok(Operation::Data { data: text.as_bytes()[..at].to_vec(), then })
}

/// What follows the word `transfer`.
fn transfer(scan: &mut Scan<'_>) -> Result<Transfer, ClassicError> {
    scan.expect("(")?;
    let mut path = vec![scan.name("the account to debit")?];
    scan.expect("->")?;
    loop {
        let before = scan.at;
        path.push(scan.name("the name of an account")?);
        if path.len() > PATH_ACCOUNTS_MAX {
            scan.at = before;
            return Err(scan.error(format!("a path has at most {PATH_ACCOUNTS_MAX} accounts")));
        }
        if !scan.eat("->") {
            break;
        }
    }
    scan.expect(",")?;
    // The amount may have parentheses of its own, so it reaches to the last one.
    let Some(close) = scan.text.rfind(')').filter(|close| *close >= scan.at) else {
        scan.at = scan.text.len();
        return Err(scan.error("expected `)` after the amount".to_owned()));
    };
    let SignedAmount { negative, amount } = scan.amount(close)?;
    if negative {
        return Err(scan.error(AmountError::Negative.to_string()));
    }
    scan.at = close + 1;
    Ok(Transfer { path, amount })
}

fn switch(scan: &mut Scan<'_>) -> Result<bool, ClassicError> {
    scan.blanks();
    let start = scan.at;
    match scan.word() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Scan { at: start, ..*scan }.error("expected `on` or `off`".to_owned())),
    }
}

/// `off`, or a window and six figures.
fn quota(scan: &mut Scan<'_>) -> Result<Option<Quota>, ClassicError> {
    let number = |scan: &mut Scan<'_>, what: &str| {
        scan.blanks();
        let here = *scan;
        let number = scan.word().parse::<u64>().ok();
        number.ok_or_else(|| here.error(format!("expected {what}")))
    };
    scan.blanks();
    let start = *scan;
    if scan.word() == "off" {
        return Ok(None);
    }
    scan.at = start.at;
    let window_ms = number(scan, "`off`, or a window in milliseconds")?;
    if window_ms == 0 {
        return Err(start.error("a window has at least a millisecond".to_owned()));
    }
    let mut cost = Cost::ZERO;
    for (n, what) in DIMENSIONS.into_iter().enumerate() {
        if n > 0 {
            scan.expect(",")?;
        }
        cost.0[n] = number(scan, &format!("the number of {what}"))?;
    }
    Ok(Some(Quota { window_ms, cost }))
}

/// `KEY`, or `k KEY,KEY,...`.
fn guard(scan: &mut Scan<'_>) -> Result<Guard, ClassicError> {
    scan.blanks();
    let start = scan.at;
    let first = scan.word();
    if first.len() == 64 {
        return Ok(Guard::Key(key(first, &Scan { at: start, ..*scan })?));
    }
    let Some(k) = first.parse::<u16>().ok().filter(|_| !first.starts_with('+')) else {
        let what = "expected a key of 64 hexadecimal digits, or how many of the keys must sign";
        return Err(Scan { at: start, ..*scan }.error(what.to_owned()));
    };
    let mut keys = Vec::new();
    loop {
        scan.blanks();
        let here = Scan { ..*scan };
        let key = key(scan.word(), &here)?;
        match keys.binary_search(&key) {
            Ok(_) => return Err(here.error("the key is listed twice; name each key once".to_owned())),
            Err(at) => keys.insert(at, key),
        }
        if keys.len() > GUARD_KEYS_MAX {
            return Err(here.error(format!("a guard names at most {GUARD_KEYS_MAX} keys")));
        }
        if !scan.eat(",") {
            break;
        }
    }
    if k == 0 || usize::from(k) > keys.len() {
        let problem = format!("{k} of {} keys cannot be; give a number from 1 to {}", keys.len(), keys.len());
        return Err(Scan { at: start, ..*scan }.error(problem));
    }
    Ok(Guard::Threshold { k, keys })
}

fn key(word: &str, here: &Scan<'_>) -> Result<PublicKey, ClassicError> {
    word.parse().map_err(|_| here.error("expected a key of 64 hexadecimal digits".to_owned()))
}

/// A cursor; `at` is a byte offset on a character's boundary.
#[derive(Clone, Copy)]
struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// The form that errors suggest.
    form: &'t str,
}

impl<'t> Scan<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.blanks();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), ClassicError> {
        if self.eat(token) { Ok(()) } else { Err(self.error(format!("expected `{token}`"))) }
    }

    /// The characters a name may hold, as many as follow, but no `-` that begins an arrow.
    fn word(&mut self) -> &'t str {
        let bytes = self.rest().as_bytes();
        let is_part = |n: usize| match bytes[n] {
            b'-' => bytes.get(n + 1) != Some(&b'>'),
            byte => byte.is_ascii_alphanumeric() || b"_.:@".contains(&byte),
        };
        let len = (0..bytes.len()).find(|n| !is_part(*n)).unwrap_or(bytes.len());
        let word = &self.rest()[..len];
        self.at += len;
        word
    }

    fn name(&mut self, what: &str) -> Result<Name, ClassicError> {
        self.blanks();
        let start = *self;
        match self.word() {
            "" => Err(start.error(format!("expected {what}"))),
            word => Name::new(word).map_err(|e| start.error(format!("expected {what}, but {word:?} is none ({e})"))),
        }
    }

    /// The amount that fills the text up to byte `end`. Stays where it is, for errors of the caller.
    fn amount(&mut self, end: usize) -> Result<SignedAmount, ClassicError> {
        self.blanks();
        let text = self.text.get(self.at..end).unwrap_or("");
        text.parse().map_err(|e: AmountError| {
            let at = if let AmountError::Syntax { at, .. } = e { at } else { 0 };
            Scan { at: self.at + at, ..*self }.error(e.to_string())
        })
    }

    fn end(&mut self) -> Result<(), ClassicError> {
        self.blanks();
        if self.rest().is_empty() { Ok(()) } else { Err(self.error("expected the end of the command".to_owned())) }
    }

    fn error(&self, problem: String) -> ClassicError {
        let position = self.text.char_indices().take_while(|(at, _)| *at < self.at).count() + 1;
        ClassicError { position, problem, instead: self.form.to_owned() }
    }
}

/// The operation as text that reads back the same, or `None` if it has none: bytes that are not UTF-8, modules, calls of them.
pub fn print(operation: &Operation) -> Option<String> {
    Some(match operation {
        Operation::RegisterParty { name, guard } => format!("RegisterParty {name} {}", guard_text(guard)),
        Operation::Other(Request::RotateKeys { guard }) => format!("RotateKeys {}", guard_text(guard)),
        Operation::Other(Request::SetQuota { party, quota: None }) => format!("SetQuota {party} off"),
        Operation::Other(Request::SetQuota { party, quota: Some(quota) }) => {
            let figures: Vec<String> = quota.cost.0.iter().map(u64::to_string).collect();
            format!("SetQuota {party} {} {}", quota.window_ms, figures.join(","))
        }
        Operation::Other(_) => return None,
        Operation::CreateAccount { name } => format!("CreateAccount {name}"),
        Operation::Adjust { account, negative, amount } => {
            format!("AdjustAccount {account} {}", SignedAmount { negative: *negative, amount: *amount })
        }
        Operation::Transfer(transfer) => transfer.to_string(),
        Operation::SetPassThrough { account, allowed } => {
            format!("PassThrough {account} {}", if *allowed { "on" } else { "off" })
        }
        Operation::Data { data, then } => {
            let data = std::str::from_utf8(data).ok()?;
            format!("{data}##{}", then.as_ref().map(Transfer::to_string).unwrap_or_default())
        }
    })
}

fn guard_text(guard: &Guard) -> String {
    match guard {
        Guard::Key(key) => key.to_string(),
        Guard::Threshold { k, keys } => {
            let keys: Vec<String> = keys.iter().map(PublicKey::to_string).collect();
            format!("{k} {}", keys.join(","))
        }
    }
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("transfer(")?;
        for (n, name) in self.path.iter().enumerate() {
            write!(f, "{}{name}", if n == 0 { "" } else { "->" })?;
        }
        write!(f, ", {})", self.amount)
    }
}

/// The line a person sees when a command has ended: Juno's wording where Juno had one, exact where it rounded.
pub fn result_text(operation: &Operation, outcome: &Outcome) -> String {
    if !outcome.is_applied() {
        return format!("Error: {outcome}");
    }
    match operation {
        Operation::RegisterParty { name, .. } => format!("Registered Party: \"{name}\""),
        Operation::CreateAccount { name } => format!("Created Account: \"{name}\""),
        Operation::Adjust { account, negative, amount } => {
            let by = SignedAmount { negative: *negative, amount: *amount };
            format!("Adjusted Account \"{account}\" by {by}")
        }
        Operation::Transfer(transfer) => moved(transfer),
        Operation::SetPassThrough { account, allowed } => {
            format!("Pass-through of Account \"{account}\" is {}", if *allowed { "on" } else { "off" })
        }
        Operation::Other(request) => done(request),
        Operation::Data { data, then: None } => format!("Kept {} bytes", data.len()),
        Operation::Data { data, then: Some(transfer) } => format!("{}; kept {} bytes", moved(transfer), data.len()),
    }
}

/// What became of a request that is no classic command.
fn done(request: &Request) -> String {
    let module = |bytes: &[u8]| match Module::read(bytes) {
        Ok(module) => format!("{} {}", module.name, module.id().0),
        Err(_) => "module".to_owned(),
    };
    match request {
        Request::RegisterParty { name, .. } => format!("Registered Party: \"{name}\""),
        Request::RotateKeys { guard } => format!("The party's guard is now {}", guard_text(guard)),
        Request::Call(call) => match cash::payments_of(call) {
            Some(payments) => {
                let one = |p: &cash::Payment| format!("{} from {} to {}", p.amount, p.from, p.to);
                format!("Transferred {}", payments.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            None => "Called".to_owned(),
        },
        Request::Note { data, .. } => format!("Called; kept {} bytes", data.len()),
        Request::Deploy(deployment) => format!("Deployed {}", module(&deployment.module)),
        Request::Upgrade(deployment) => format!("Announced {}", module(&deployment.module)),
        Request::Seal { module, status } => format!("Module {} is {status:?} from now on", module.0.short()),
        Request::SetQuota { party, quota: None } => format!("The quota of Party \"{party}\" is lifted"),
        Request::SetQuota { party, quota: Some(quota) } => {
            format!("The quota of Party \"{party}\" is set for each {} ms", quota.window_ms)
        }
    }
}

fn moved(transfer: &Transfer) -> String {
    let path: Vec<&str> = transfer.path.iter().map(Name::as_str).collect();
    match path.as_slice() {
        [from, hops @ .., to] if !hops.is_empty() => {
            format!("Transferred {} from {from} to {to} through {}", transfer.amount, hops.join(", "))
        }
        [from, .., to] => format!("Transferred {} from {from} to {to}", transfer.amount),
        _ => format!("Transferred {}", transfer.amount),
    }
}

/// The answer to a classic query as text; amounts exact.
pub fn answer_text(answer: &Answer) -> String {
    match answer {
        Answer::Account(None) | Answer::Party(None) => "Nothing".to_owned(),
        Answer::Account(Some(account)) => format!("Just ({})", spaced(account.row.balance)),
        Answer::Accounts { accounts, more } => {
            let mut text = "\nAccount: Amount\n----------------------".to_owned();
            for account in accounts {
                text += &format!("\n{}: {}", account.name, account.row.balance.to_decimal());
            }
            text + if *more { "\n(more)" } else { "" }
        }
        Answer::Party(Some((name, guard))) => format!("{name} {}", guard_text(guard)),
        Answer::Ran(ran) if ran.outcome.is_applied() => ran.result_text.clone(),
        Answer::Ran(ran) => ran.outcome.to_string(),
        Answer::Module(None) => "Nothing".to_owned(),
        Answer::Module(Some((row, _))) => format!("{:?}, {} bytes", row.status, row.module.len()),
        Answer::Modules { modules, .. } => {
            let lines: Vec<String> = modules.iter().map(|m| format!("{} {}", m.name, m.id.0)).collect();
            lines.join("\n")
        }
        Answer::Supply(supply) => spaced(*supply),
        Answer::Note(None) | Answer::Result(None) | Answer::Command(None) => "Nothing".to_owned(),
        Answer::Note(Some(note)) => String::from_utf8_lossy(&note.data).into_owned(),
        Answer::Result(Some(receipt)) | Answer::Command(Some(receipt)) => {
            format!("{} at index {}", receipt.outcome, receipt.index)
        }
        Answer::Totals(totals) => format!(
            "{} entries to height {}, {} parties, {} accounts, supply {}",
            totals.entries, totals.height, totals.parties, totals.accounts, totals.supply
        ),
    }
}

/// `n % d` as Haskell shows a ratio.
fn spaced(amount: Amount) -> String {
    let (n, d) = amount.ratio();
    format!("{n} % {d}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const OTHER: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

    fn operation(text: &str) -> Operation {
        match parse(text) {
            Ok(Classic::Operation(operation)) => operation,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn error(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn every_form_prints_as_it_reads() {
        for text in [
            "CreateAccount Acct1",
            "AdjustAccount Acct1 100%1",
            "AdjustAccount Acct1 -1%2",
            "transfer(A->B, 5%1)",
            "transfer(000->100->101->003, 1%1000000)",
            "transfer(a-b->c.d:e@f, 5%1)",
            "DATA##",
            "##",
            " a##b # ## ",
            "x##transfer(A->B, 5%1)",
            &format!("RegisterParty bank-a {KEY}"),
            &format!("RegisterParty bank-a 2 {OTHER},{KEY}"),
            &format!("RotateKeys {KEY}"),
            &format!("RotateKeys 1 {OTHER},{KEY}"),
            "SetQuota bank-a off",
            "SetQuota bank-a 60000 1,2,3,4,5,6",
            "PassThrough Acct1 on",
            "PassThrough Acct1 off",
        ] {
            let printed = print(&operation(text)).unwrap();
            assert_eq!(printed.trim_end(), text.trim_end(), "{text}");
            assert_eq!(operation(&printed), operation(text));
        }
    }

    #[test]
    fn blanks_and_parentheses() {
        let plain = operation("transfer(A->B, 5%1)");
        for text in
            ["transfer ( A -> B , 5 % 1 )", "  transfer(A->B,5%1)\n", "transfer(A->B, (5%1))", "transfer(A->B, (5)%1)"]
        {
            assert_eq!(operation(text), plain, "{text}");
        }
        for text in ["AdjustAccount A -10%1", "AdjustAccount A (-10)%1", "AdjustAccount A ((-10)%1)"] {
            assert_eq!(print(&operation(text)).unwrap(), "AdjustAccount A -10%1");
        }
    }

    #[test]
    fn queries() {
        let name = Name::new("A").unwrap();
        assert_eq!(parse("ObserveAccount A"), Ok(Classic::Query(Query::Account(name.clone()))));
        assert_eq!(parse("ObserveParty A"), Ok(Classic::Query(Query::Party(name))));
        assert_eq!(parse(" ObserveSupply "), Ok(Classic::Query(Query::Supply)));
        let all = Query::Accounts { after: None, limit: ACCOUNTS_PAGE_MAX };
        assert_eq!(parse("ObserveAccounts"), Ok(Classic::Query(all)));
    }

    #[test]
    fn errors_say_where_and_what_to_write() {
        for (text, expected) in [
            ("", "at character 1: the text is empty; write: CreateAccount NAME, "),
            (
                "createaccount A",
                "at character 1: `createaccount` is written `CreateAccount`; write: CreateAccount NAME",
            ),
            ("CreateAccount", "at character 14: expected the name of an account; write: CreateAccount NAME"),
            ("CreateAccount A B", "at character 17: expected the end of the command"),
            ("CreateAccount ä", "at character 15: expected the name of an account"),
            ("AdjustAccount A 1.5", "at character 18: expected `%`; an amount is written n%d, for example 5%1 or 1%2"),
            ("AdjustAccount A 1%0", "at character 17: zero below the line"),
            ("AdjustAccount A 1%3", "at character 17: 1%3 is not exact"),
            ("transfer(A->B 5%1)", "at character 15: expected `,`"),
            ("transfer(A, 5%1)", "at character 11: expected `->`"),
            ("transfer(A->B, -5%1)", "at character 16: the amount is negative"),
            ("transfer(A->B, 5%1", "at character 19: expected `)` after the amount"),
            ("transfer(A->B, 5%1) x", "at character 21: expected the end"),
            ("ä##CreateAccount B", "at character 4: expected a transfer or nothing after `##`"),
            ("PassThrough A maybe", "at character 15: expected `on` or `off`"),
            ("SetQuota A", "at character 11: expected `off`, or a window"),
            ("SetQuota A 0 1,2,3,4,5,6", "at character 12: a window has at least"),
            ("SetQuota A 1 1,2,3", "at character 19: expected `,`"),
            ("RotateKeys", "at character 11: expected a key of 64"),
            ("RegisterParty A 00", "at character 19: expected a key of 64"),
            ("{\"_swiftText\":1}", "at character 1: JSON is no command here"),
            ("(#transfer \"a\" \"b\" 1)", "at character 1: expected (#transfer"),
        ] {
            assert!(error(text).starts_with(expected), "{text}: {}", error(text));
        }
        let path = vec!["A"; 17].join("->");
        assert!(error(&format!("transfer({path}, 1%1)")).contains("at most 16 accounts"));
        assert!(error(&format!("RegisterParty A 3 {KEY},{OTHER}")).contains("3 of 2 keys cannot be"));
        assert!(error(&format!("RegisterParty A 1 {KEY},{KEY}")).contains("listed twice"));
        assert!(error(&"x".repeat(PAYLOAD_BYTES_MAX + 1)).contains("at most 65536"));
    }

    #[test]
    fn bytes_that_are_no_text_have_none() {
        assert_eq!(print(&Operation::Data { data: vec![0xff], then: None }), None);
    }
}
