//! Juno's programs in parentheses, reduced by the client to one command: all its transfers happen, or none.
//!
//! ```text
//! form = integer | "text" | name
//!      | (% n d)                           a ratio
//!      | (let ((name form) ...) form ...)  each form sees the names before it; the last is the value
//!      | (lambda (name ...) form)          a function
//!      | (form form ...)                   a call
//!      | (#transfer from to amount text)   moves an amount; the text was Juno's place for a signature, and is not looked at
//!      | (#+ a b) (#- a b) (#* a b) (#/ a b)
//! ```
//!
//! Arguments are evaluated first, from left to right. A program takes [`STEPS_MAX`] steps at most, as it did in Juno ("Juno: Byzantine
//! Fault Tolerant Raft With Smart Contracts", 2016). Numbers are exact ratios. Who signs the command is asked for each transfer.

use std::rc::Rc;

use wire::Name;

use crate::amount::Amount;
use crate::cash::{self, PAYMENTS_MAX, Payment};
use crate::classic::ClassicError;
use crate::operation::{Operation, Transfer};
use crate::request::Request;

/// Steps of one program, at most.
pub const STEPS_MAX: usize = 10_000;
/// Forms inside forms, and calls inside calls, at most.
const DEPTH_MAX: usize = 64;

const FORM: &str = "(#transfer \"A\" \"B\" (% 5 1) \"\"), or: (let ((x (% 5 1))) (#transfer \"A\" \"B\" x \"\"))";

/// A form, with the character where it begins.
#[derive(Debug)]
struct Form {
    at: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Int(i128),
    Text(String),
    Name(String),
    List(Vec<Form>),
}

/// What a form comes to.
#[derive(Debug, Clone)]
enum Value<'f> {
    Unit,
    /// In lowest terms, above zero below the line.
    Ratio(i128, i128),
    Text(&'f str),
    Function(Rc<Function<'f>>),
}

#[derive(Debug)]
struct Function<'f> {
    params: Vec<&'f str>,
    body: &'f Form,
    scope: Scope<'f>,
}

/// Names, the newest first.
type Scope<'f> = Option<Rc<Bound<'f>>>;

#[derive(Debug)]
struct Bound<'f> {
    name: &'f str,
    value: Value<'f>,
    next: Scope<'f>,
}

fn error(at: usize, problem: impl Into<String>) -> ClassicError {
    ClassicError { position: at + 1, problem: problem.into(), instead: FORM.to_owned() }
}

/// Reduces a program to the command it stands for.
///
/// # Errors
/// Where it makes no sense, takes too long, or transfers nothing. Never panics, whatever the text.
pub fn reduce(text: &str) -> Result<Operation, ClassicError> {
    let mut reader = Reader { chars: text.chars().collect(), at: 0 };
    let form = reader.form(0)?;
    reader.blanks();
    if reader.at < reader.chars.len() {
        return Err(error(reader.at, "expected the end of the program"));
    }
    let mut run = Run { steps: 0, payments: Vec::new() };
    run.value(&form, &None, 0)?;
    match run.payments.as_slice() {
        [] => Err(error(0, "the program transfers nothing")),
        [Payment { from, to, amount }] => {
            Ok(Operation::Transfer(Transfer { path: vec![from.clone(), to.clone()], amount: *amount }))
        }
        several => Ok(Operation::Other(Request::Call(cash::payments_call(several)))),
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn form(&mut self, depth: usize) -> Result<Form, ClassicError> {
        self.blanks();
        let at = self.at;
        if depth > DEPTH_MAX {
            return Err(error(at, format!("forms nest more than {DEPTH_MAX} deep")));
        }
        let kind = match self.peek() {
            None => return Err(error(at, "expected a form, the text ends")),
            Some(')') => return Err(error(at, "expected a form, not `)`")),
            Some('(') => {
                self.at += 1;
                let mut parts = Vec::new();
                loop {
                    self.blanks();
                    match self.peek() {
                        None => return Err(error(self.at, "expected `)`")),
                        Some(')') => break,
                        Some(_) => parts.push(self.form(depth + 1)?),
                    }
                }
                self.at += 1;
                Kind::List(parts)
            }
            Some('"') => Kind::Text(self.text()?),
            Some(_) => {
                let end = |c: &char| c.is_whitespace() || "()\"".contains(*c);
                let word: String = self.chars[at..].iter().take_while(|c| !end(c)).collect();
                self.at += word.chars().count();
                let digits = word.strip_prefix('-').unwrap_or(&word);
                if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
                    Kind::Int(word.parse().map_err(|_| error(at, "the number is too large"))?)
                } else {
                    Kind::Name(word)
                }
            }
        };
        Ok(Form { at, kind })
    }

    fn text(&mut self) -> Result<String, ClassicError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '"' => return Ok(text),
                '\\' => {
                    text.extend(self.peek());
                    self.at += 1;
                }
                c => text.push(c),
            }
        }
        Err(error(start, "expected `\"` at the end of the text"))
    }
}

struct Run {
    steps: usize,
    payments: Vec<Payment>,
}

impl Run {
    fn value<'f>(&mut self, form: &'f Form, scope: &Scope<'f>, depth: usize) -> Result<Value<'f>, ClassicError> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(error(form.at, format!("the program takes more than {STEPS_MAX} steps")));
        }
        if depth > DEPTH_MAX {
            return Err(error(form.at, format!("calls nest more than {DEPTH_MAX} deep")));
        }
        let parts = match &form.kind {
            Kind::Int(n) => return Ok(Value::Ratio(*n, 1)),
            Kind::Text(text) => return Ok(Value::Text(text)),
            Kind::Name(name) => {
                let mut next = scope;
                while let Some(bound) = next {
                    if bound.name == name {
                        return Ok(bound.value.clone());
                    }
                    next = &bound.next;
                }
                return Err(error(form.at, format!("nothing is called `{name}` here")));
            }
            Kind::List(parts) => parts,
        };
        let head = match parts.first() {
            None => return Err(error(form.at, "expected a form inside the parentheses")),
            Some(Form { kind: Kind::Name(name), .. }) => name.as_str(),
            Some(_) => "",
        };
        match (head, parts.as_slice()) {
            ("%", [_, Form { kind: Kind::Int(n), .. }, Form { kind: Kind::Int(d), .. }]) => {
                ratio(form, Some(*n), Some(*d))
            }
            ("%", _) => Err(error(form.at, "expected two whole numbers after %")),
            ("let", [_, Form { kind: Kind::List(pairs), .. }, body @ .., last]) => {
                let mut scope = scope.clone();
                for pair in pairs {
                    let Kind::List(pair_parts) = &pair.kind else {
                        return Err(error(pair.at, "expected (name form)"));
                    };
                    let [Form { kind: Kind::Name(name), .. }, to] = pair_parts.as_slice() else {
                        return Err(error(pair.at, "expected (name form)"));
                    };
                    let value = self.value(to, &scope, depth + 1)?;
                    scope = Some(Rc::new(Bound { name, value, next: scope }));
                }
                for form in body {
                    self.value(form, &scope, depth + 1)?;
                }
                self.value(last, &scope, depth + 1)
            }
            ("let", _) => Err(error(form.at, "expected (let ((name form) ...) form ...)")),
            ("lambda", [_, Form { kind: Kind::List(names), .. }, body]) => {
                let name = |f: &'f Form| match &f.kind {
                    Kind::Name(name) => Ok(name.as_str()),
                    _ => Err(error(f.at, "expected a name")),
                };
                let params = names.iter().map(name).collect::<Result<_, _>>()?;
                Ok(Value::Function(Rc::new(Function { params, body, scope: scope.clone() })))
            }
            ("lambda", _) => Err(error(form.at, "expected (lambda (name ...) form)")),
            (primitive, [_, args @ ..]) if primitive.starts_with('#') => {
                let args: Vec<Value<'f>> =
                    args.iter().map(|a| self.value(a, scope, depth + 1)).collect::<Result<_, _>>()?;
                self.primitive(form, primitive, &args)
            }
            (_, [function, args @ ..]) => {
                let Value::Function(function) = self.value(function, scope, depth + 1)? else {
                    return Err(error(form.at, "this is no function"));
                };
                if function.params.len() != args.len() {
                    let why = format!("the function takes {}, {} are given", function.params.len(), args.len());
                    return Err(error(form.at, why));
                }
                let mut inner = function.scope.clone();
                for (name, arg) in function.params.iter().zip(args) {
                    let value = self.value(arg, scope, depth + 1)?;
                    inner = Some(Rc::new(Bound { name, value, next: inner }));
                }
                self.value(function.body, &inner, depth + 1)
            }
            (_, []) => Err(error(form.at, "expected a form inside the parentheses")),
        }
    }

    fn primitive<'f>(&mut self, form: &Form, name: &str, args: &[Value<'f>]) -> Result<Value<'f>, ClassicError> {
        match (name, args) {
            ("#transfer", [Value::Text(from), Value::Text(to), Value::Ratio(n, d), Value::Text(_)]) => {
                let account = |text: &str| {
                    Name::new(text).map_err(|e| error(form.at, format!("{text:?} is the name of no account ({e})")))
                };
                let (from, to) = (account(from)?, account(to)?);
                let (Ok(n), Ok(d)) = (u128::try_from(*n), u128::try_from(*d)) else {
                    return Err(error(form.at, "the amount is negative"));
                };
                let amount = Amount::from_ratio(n, d).map_err(|e| error(form.at, e.to_string()))?;
                if self.payments.len() == PAYMENTS_MAX {
                    return Err(error(form.at, format!("a program makes at most {PAYMENTS_MAX} transfers")));
                }
                self.payments.push(Payment { from, to, amount });
                Ok(Value::Unit)
            }
            ("#transfer", _) => Err(error(form.at, "expected (#transfer \"from\" \"to\" amount \"\")")),
            ("#+", [Value::Ratio(a, b), Value::Ratio(c, d)]) => {
                let sum = a.checked_mul(*d).zip(c.checked_mul(*b)).and_then(|(x, y)| x.checked_add(y));
                ratio(form, sum, b.checked_mul(*d))
            }
            ("#-", [Value::Ratio(a, b), Value::Ratio(c, d)]) => {
                let rest = a.checked_mul(*d).zip(c.checked_mul(*b)).and_then(|(x, y)| x.checked_sub(y));
                ratio(form, rest, b.checked_mul(*d))
            }
            ("#*", [Value::Ratio(a, b), Value::Ratio(c, d)]) => ratio(form, a.checked_mul(*c), b.checked_mul(*d)),
            ("#/", [Value::Ratio(a, b), Value::Ratio(c, d)]) => ratio(form, a.checked_mul(*d), b.checked_mul(*c)),
            ("#+" | "#-" | "#*" | "#/", _) => Err(error(form.at, format!("expected two numbers after {name}"))),
            _ => Err(error(form.at, format!("`{name}` is not built in; there are #transfer, #+, #-, #*, #/"))),
        }
    }
}

/// A ratio in lowest terms.
fn ratio<'f>(form: &Form, n: Option<i128>, d: Option<i128>) -> Result<Value<'f>, ClassicError> {
    let (Some(n), Some(d)) = (n, d) else { return Err(error(form.at, "the number is too large")) };
    if d == 0 {
        return Err(error(form.at, "zero below the line"));
    }
    let (mut a, mut b) = (n.unsigned_abs(), d.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let lowest = i128::try_from(a.max(1)).ok().map(|by| (n / by, d / by));
    let signed =
        lowest.and_then(|(n, d)| if d < 0 { Some((n.checked_neg()?, d.checked_neg()?)) } else { Some((n, d)) });
    match signed {
        Some((n, d)) => Ok(Value::Ratio(n, d)),
        None => Err(error(form.at, "the number is too large")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic;
    use proptest::prelude::*;

    fn text(program: &str) -> String {
        let operation = reduce(program).unwrap_or_else(|e| panic!("{program}: {e}"));
        match &operation {
            Operation::Other(Request::Call(call)) => {
                let payments = cash::payments_of(call).unwrap();
                let one = |p: &Payment| format!("{}->{} {}", p.from, p.to, p.amount);
                payments.iter().map(one).collect::<Vec<_>>().join(", ")
            }
            operation => classic::print(operation).unwrap(),
        }
    }

    #[test]
    fn programs_of_juno() {
        assert_eq!(text("(#transfer \"foo\" \"bar\" (% 110 100) \"baz\")"), "transfer(foo->bar, 11%10)");
        assert_eq!(text("(let ((x (% 1 2)) (y (#+ x 1))) (#transfer \"a\" \"b\" y \"\"))"), "transfer(a->b, 3%2)");
        assert_eq!(
            text(
                "(let ((pay (lambda (to n) (#transfer \"a\" to (#/ n 4) \"s\")))) (pay \"b\" 1) (pay \"c\" (#* 2 3)))"
            ),
            "a->b 1%4, a->c 3%2"
        );
        assert_eq!(
            text("((lambda (f) (f (#- 3 (% 1 2)))) (lambda (n) (#transfer \"a\" \"b\" n \"\")))"),
            "transfer(a->b, 5%2)"
        );
        assert_eq!(text("(let () (#transfer \"a\" \"b\" (#/ -4 -2) \"\"))"), "transfer(a->b, 2%1)");
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_place() {
        let twice = "(let ((w (lambda (x) (x x)))) (w w))";
        for (program, why) in [
            ("(#transfer \"a\" \"b\" 1)", "at character 1: expected (#transfer \"from\" \"to\" amount \"\")"),
            ("(#transfer \"a\" \"b\" (% 1 0) \"\")", "at character 20: zero below the line"),
            ("(#transfer \"a\" \"b\" (% 1 3) \"\")", "1%3 is not exact"),
            ("(#transfer \"a\" \"b\" -1 \"\")", "the amount is negative"),
            ("(#transfer \"a b\" \"b\" 1 \"\")", "is the name of no account"),
            ("(#+ 1 2)", "transfers nothing"),
            ("(f 1)", "at character 2: nothing is called `f` here"),
            ("(1 2)", "this is no function"),
            ("((lambda (x) x))", "the function takes 1, 0 are given"),
            ("(#mint 1)", "`#mint` is not built in"),
            ("(let x 1)", "expected (let"),
            ("(", "at character 2: expected `)`"),
            ("(#transfer \"a", "expected `\"`"),
            ("(#+ 1 2) 3", "expected the end of the program"),
            (twice, "calls nest more than 64 deep"),
        ] {
            let found = reduce(program).unwrap_err().to_string();
            assert!(found.contains(why), "{program}: {found}");
        }
        let deep = "(".repeat(10_000);
        assert!(reduce(&deep).unwrap_err().to_string().contains("nest more than 64"));
        let mut many = "(let ((d (lambda (f) (lambda (x) (f (f x))))) (i (lambda (x) x)))".to_owned();
        many += &format!(" ({}i{} 1))", "(d ".repeat(20), ")".repeat(20));
        assert!(reduce(&many).unwrap_err().to_string().contains("more than"), "steps or depth");
    }

    proptest! {
        #[test]
        fn no_program_panics(text in "(\\(|\\)|#transfer|let|lambda|%|#\\+|#/|\"a\"|x|-?[0-9]{1,40}| ){0,40}") {
            let _ = reduce(&text);
        }
    }
}
