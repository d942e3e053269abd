//! Proofs in linear integer arithmetic, checked and never searched for.
//!
//! An obligation says that facts imply a goal. Whoever made the module has found a proof; a replica only does the sums.
//! So nobody has to agree on a solver, and a better solver changes nothing that is agreed on.
//!
//! A [`Line`] is a sum that is at most zero. A proof refutes the negated goal: each step adds positive multiples of two
//! lines, and the last line says that a positive number is at most zero. Over the rationals such a proof exists whenever
//! the lines have no solution (Farkas' lemma). Over the integers lines may also be rounded, as below (Gomory's cuts;
//! Chvátal's rank bounds how many are needed), and cases may be told apart.
//!
//! **Rounding.** Let `d >= 1` divide every factor of `sum + c <= 0`. Then `sum = d*s` with an integer `s`, and
//! `d*s + c <= 0` says `s <= -c/d`, so `s <= floor(-c/d) = -ceil(c/d)`, that is `s + ceil(c/d) <= 0`. So the constant is
//! rounded **up**. Rounding down would be right as well, but only weaker; up is right because `s` is whole.
//!
//! **Numbers of lines.** `0..n` are the facts, `n` is the negated goal, then come, in order, the lines of the alternatives
//! that hold in the present case and the lines made by steps. When a case ends, lines are forgotten back to its split.
//!
//! **Bounds.** A step costs at most the length of two lines, or the number of lines of an alternative; their sum is
//! counted, returned, and at most [`WORK_MAX`]. No line has more terms than were paid for, so this bounds memory too. All
//! sums are checked: one that does not fit rejects the proof.
//!
//! Soundness does not rest on the order of a line's terms: adding up, scaling and dividing treat each term on its own, so
//! lines in disorder can make a proof fail and cannot make a false one pass.
//!
//! Sources: G. Necula, Proof-carrying code, POPL 1997 (the maker proves, the host checks). A. Schrijver, Theory of Linear
//! and Integer Programming, 1986 (Farkas' lemma, chapter 7; Chvátal-Gomory cuts, chapter 23). K. Cheung, A. Gleixner,
//! D. Steffy, Verifying integer programming results, IPCO 2017 (VIPR: certificates made of sums, roundings and splits).

use std::borrow::Cow;
use std::cmp::Ordering;

use thiserror::Error;

use crate::ir::{Proof, Step};

/// Terms of one line.
pub const TERMS_MAX: usize = 128;
/// Splits inside splits.
pub const DEPTH_MAX: usize = 8;
/// Units of work for one proof: terms and lines touched, at least one for each step.
pub const WORK_MAX: usize = 1 << 18;

/// An unknown integer. What it stands for is the caller's business.
pub type Atom = u32;

/// A sum `constant + factor * atom + ...`; as a fact or goal it means that the sum is **at most zero**.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Line {
    /// What is added to the terms.
    pub constant: i128,
    /// Atoms with their factors: atoms ascending, each once, no factor zero.
    pub terms: Vec<(Atom, i128)>,
}

impl Line {
    /// A number.
    pub fn number(constant: i128) -> Line {
        Line { constant, terms: Vec::new() }
    }

    /// An atom.
    pub fn atom(atom: Atom) -> Line {
        Line { constant: 0, terms: vec![(atom, 1)] }
    }

    /// A sum of these parts in any order. `None` if it does not fit.
    pub fn from_parts(constant: i128, parts: &[(Atom, i128)]) -> Option<Line> {
        let mut parts = parts.to_vec();
        parts.sort_by_key(|(atom, _)| *atom);
        let mut terms: Vec<(Atom, i128)> = Vec::with_capacity(parts.len());
        for (atom, factor) in parts {
            match terms.last_mut() {
                Some((last, sum)) if *last == atom => *sum = sum.checked_add(factor)?,
                _ => terms.push((atom, factor)),
            }
        }
        terms.retain(|(_, factor)| *factor != 0);
        (terms.len() <= TERMS_MAX).then_some(Line { constant, terms })
    }

    /// The number that this is, if it has no terms.
    pub fn as_number(&self) -> Option<i128> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// True if it holds whatever the atoms are, and that can be seen without a proof: no terms, and at most zero.
    pub fn is_trivial(&self) -> bool {
        self.terms.is_empty() && self.constant <= 0
    }

    /// True if it holds for no atoms: no terms, and above zero.
    pub fn is_absurd(&self) -> bool {
        self.terms.is_empty() && self.constant > 0
    }

    /// The sum of both. `None` if it does not fit.
    pub fn plus(&self, other: &Line) -> Option<Line> {
        combine(self, 1, other, 1)
    }

    /// The difference. `None` if it does not fit.
    pub fn minus(&self, other: &Line) -> Option<Line> {
        combine(self, 1, other, -1)
    }

    /// So many times. `None` if it does not fit.
    pub fn times(&self, factor: i128) -> Option<Line> {
        combine(self, factor, &Line::default(), 0)
    }

    /// With a number added. `None` if it does not fit.
    pub fn plus_number(&self, number: i128) -> Option<Line> {
        Some(Line { constant: self.constant.checked_add(number)?, terms: self.terms.clone() })
    }

    /// The opposite of `self <= 0`: for integers `1 - self <= 0`. `None` if it does not fit.
    pub fn negated(&self) -> Option<Line> {
        self.times(-1)?.plus_number(1)
    }

    /// Divided by a `d` that divides every factor; the constant is rounded up (see the module's text). `None` if it does
    /// not divide one, or is below 1.
    pub fn rounded(mut self, d: i128) -> Option<Line> {
        if d < 1 {
            return None;
        }
        if d > 1 {
            for (_, factor) in &mut self.terms {
                if *factor % d != 0 {
                    return None;
                }
                *factor /= d;
            }
            let up = i128::from(self.constant.rem_euclid(d) != 0);
            self.constant = self.constant.div_euclid(d).checked_add(up)?;
        }
        Some(self)
    }

    /// The value for given atoms. `None` if it does not fit.
    pub fn value(&self, of: impl Fn(Atom) -> i128) -> Option<i128> {
        let mut sum = self.constant;
        for (atom, factor) in &self.terms {
            sum = sum.checked_add(factor.checked_mul(of(*atom))?)?;
        }
        Some(sum)
    }
}

/// `p*a + q*b`, or `None` if a number does not fit or there are too many terms.
fn combine(a: &Line, p: i128, b: &Line, q: i128) -> Option<Line> {
    let constant = p.checked_mul(a.constant)?.checked_add(q.checked_mul(b.constant)?)?;
    let mut terms = Vec::with_capacity(a.terms.len().saturating_add(b.terms.len()).min(TERMS_MAX));
    let (mut left, mut right) = (a.terms.iter().peekable(), b.terms.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return Some(Line { constant, terms }),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((x, _)), Some((y, _))) => x.cmp(y),
        };
        let (x, f) = if order.is_le() { *left.next()? } else { (0, 0) };
        let (y, g) = if order.is_ge() { *right.next()? } else { (0, 0) };
        let atom = if order.is_le() { x } else { y };
        let factor = p.checked_mul(f)?.checked_add(q.checked_mul(g)?)?;
        if factor != 0 {
            if terms.len() == TERMS_MAX {
                return None;
            }
            terms.push((atom, factor));
        }
    }
}

/// Something known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The line is at most zero.
    Line(Line),
    /// All lines of at least one of the alternatives are at most zero.
    Either(Vec<Vec<Line>>),
}

/// What is known at one place of a function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    lines: Vec<Line>,
    eithers: Vec<Vec<Vec<Line>>>,
}

/// How much was known at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    lines: usize,
    eithers: usize,
}

impl Facts {
    /// Nothing.
    pub fn new() -> Facts {
        Facts::default()
    }

    /// Adds a fact. An `Either` of exactly one alternative is the same as its lines, but stays as it is: numbers of facts
    /// should be plain to see from what was pushed.
    pub fn push(&mut self, fact: Fact) {
        match fact {
            Fact::Line(line) => self.lines.push(line),
            Fact::Either(alternatives) => self.eithers.push(alternatives),
        }
    }

    /// How much is known now.
    pub fn mark(&self) -> Mark {
        Mark { lines: self.lines.len(), eithers: self.eithers.len() }
    }

    /// Forgets what came after the mark.
    pub fn truncate(&mut self, mark: Mark) {
        self.lines.truncate(mark.lines);
        self.eithers.truncate(mark.eithers);
    }

    /// The lines, by number.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The facts with alternatives, by number: for each of them the alternatives, each a list of lines.
    pub fn eithers(&self) -> &[Vec<Vec<Line>>] {
        &self.eithers
    }
}

/// Why a proof is not one. Steps are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Flaw {
    /// The negated goal does not fit.
    #[error("the goal's numbers are too large")]
    Goal,
    /// A step names a line that does not exist, or exists no longer.
    #[error("step {step}: there is no line {line}")]
    NoLine {
        /// The step.
        step: usize,
        /// The number.
        line: u32,
    },
    /// A step names a fact that does not exist.
    #[error("step {step}: there is no fact {fact} with alternatives")]
    NoFact {
        /// The step.
        step: usize,
        /// The number.
        fact: u32,
    },
    /// A step adds nothing up.
    #[error("step {step}: both factors are 0")]
    Empty {
        /// The step.
        step: usize,
    },
    /// A sum does not fit, or has too many terms.
    #[error("step {step}: the sum does not fit")]
    Overflow {
        /// The step.
        step: usize,
    },
    /// The divisor is zero or does not divide a factor.
    #[error("step {step}: {d} does not divide every factor")]
    Divisor {
        /// The step.
        step: usize,
        /// The divisor.
        d: u64,
    },
    /// The last line of a case can be true.
    #[error("step {step}: the last line is not false")]
    NotAbsurd {
        /// The step.
        step: usize,
    },
    /// Splits inside splits inside splits ...
    #[error("step {step}: more than {DEPTH_MAX} splits inside each other")]
    Depth {
        /// The step.
        step: usize,
    },
    /// More than [`WORK_MAX`].
    #[error("step {step}: the proof is too long")]
    Work {
        /// The step.
        step: usize,
    },
    /// Steps after the end.
    #[error("step {step}: all cases are closed, but the proof goes on")]
    Leftover {
        /// The step.
        step: usize,
    },
    /// No steps left, but a case is open.
    #[error("the proof ends, but a case is open")]
    Open,
}

/// A split whose cases are not all closed.
struct Pending<'a> {
    /// The alternatives after the present one.
    rest: std::slice::Iter<'a, Vec<Line>>,
    /// Lines at the split.
    keep: usize,
}

/// What is charged for touching this line.
fn length(line: &Line) -> usize {
    line.terms.len().saturating_add(1)
}

/// Checks that the proof shows `goal <= 0` from the facts. Returns the work that it took.
///
/// A goal that [`Line::is_trivial`] needs no proof; callers look at that first.
///
/// # Errors
/// Names the first step that is wrong.
pub fn check(facts: &Facts, goal: &Line, proof: &Proof) -> Result<usize, Flaw> {
    let negated = goal.negated().ok_or(Flaw::Goal)?;
    let known = facts.lines.len();
    // Lines after the facts: the negated goal, those of alternatives (borrowed), those made (owned).
    let mut lines: Vec<Cow<'_, Line>> = vec![Cow::Owned(negated)];
    let mut open: Vec<Pending<'_>> = Vec::new();
    let mut work = 0usize;
    let mut done = false;
    for (step, what) in proof.steps.iter().enumerate() {
        if done {
            return Err(Flaw::Leftover { step });
        }
        let charge = |work: &mut usize, units: usize| {
            *work = work.saturating_add(units);
            if *work > WORK_MAX { Err(Flaw::Work { step }) } else { Ok(()) }
        };
        charge(&mut work, 1)?;
        let closed = match what {
            Step::Combine { i, p, j, q, d } => {
                let line = |number: &u32| -> Result<&Line, Flaw> {
                    let missing = Flaw::NoLine { step, line: *number };
                    let at = usize::try_from(*number).map_err(|_| missing)?;
                    match at.checked_sub(known) {
                        None => facts.lines.get(at).ok_or(missing),
                        Some(at) => lines.get(at).map(Cow::as_ref).ok_or(missing),
                    }
                };
                let (a, b) = (line(i)?, line(j)?);
                if *p == 0 && *q == 0 {
                    return Err(Flaw::Empty { step });
                }
                charge(&mut work, length(a).saturating_add(length(b)))?;
                let sum = combine(a, i128::from(*p), b, i128::from(*q)).ok_or(Flaw::Overflow { step })?;
                let made = sum.rounded(i128::from(*d)).ok_or(Flaw::Divisor { step, d: *d })?;
                lines.push(Cow::Owned(made));
                false
            }
            Step::Split { fact } => {
                let missing = Flaw::NoFact { step, fact: *fact };
                let at = usize::try_from(*fact).map_err(|_| missing)?;
                let alternatives = facts.eithers.get(at).ok_or(missing)?;
                if open.len() == DEPTH_MAX {
                    return Err(Flaw::Depth { step });
                }
                // The first case begins below, as the next case of every split does. Without alternatives there is none,
                // and the split closes the case in which it stands: one of no alternatives would have to hold.
                open.push(Pending { rest: alternatives.iter(), keep: lines.len() });
                true
            }
            Step::Absurd => {
                if !lines.last().is_some_and(|line| line.is_absurd()) {
                    return Err(Flaw::NotAbsurd { step });
                }
                true
            }
        };
        if closed {
            done = loop {
                let Some(top) = open.last_mut() else { break true };
                lines.truncate(top.keep);
                if let Some(next) = top.rest.next() {
                    charge(&mut work, next.len())?;
                    lines.extend(next.iter().map(Cow::Borrowed));
                    break false;
                }
                open.pop();
            };
        }
    }
    if done { Ok(work) } else { Err(Flaw::Open) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64, so that every run tries the same proofs.
    struct Random(u64);

    impl Random {
        fn draw(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn below(&mut self, bound: u64) -> u64 {
            self.draw() % bound
        }

        fn between(&mut self, low: i128, high: i128) -> i128 {
            low + i128::from(self.below(u64::try_from(high - low + 1).unwrap()))
        }
    }

    fn line(constant: i128, terms: &[(Atom, i128)]) -> Line {
        Line::from_parts(constant, terms).unwrap()
    }

    fn facts(lines: &[Line], eithers: &[Vec<Vec<Line>>]) -> Facts {
        let mut facts = Facts::new();
        for line in lines {
            facts.push(Fact::Line(line.clone()));
        }
        for either in eithers {
            facts.push(Fact::Either(either.clone()));
        }
        facts
    }

    fn add(i: u32, p: u64, j: u32, q: u64, d: u64) -> Step {
        Step::Combine { i, p, j, q, d }
    }

    fn proof(steps: &[Step]) -> Proof {
        Proof { steps: steps.to_vec() }
    }

    #[test]
    fn lines_add_up() {
        let l = line(3, &[(2, 5), (1, -1), (2, -5), (7, 2)]);
        assert_eq!(l.terms, vec![(1, -1), (7, 2)]);
        assert_eq!(l.plus(&line(1, &[(1, 1), (3, 4)])), Some(line(4, &[(3, 4), (7, 2)])));
        assert_eq!(l.minus(&l), Some(Line::number(0)));
        assert_eq!(l.times(-2), Some(line(-6, &[(1, 2), (7, -4)])));
        assert_eq!(l.times(0), Some(Line::number(0)));
        assert_eq!(l.negated(), Some(line(-2, &[(1, 1), (7, -2)])));
        assert_eq!(l.value(i128::from), Some(16));
        assert!(Line::number(0).is_trivial() && !Line::number(0).is_absurd());
        assert!(Line::number(1).is_absurd() && !Line::atom(1).is_trivial());
    }

    #[test]
    fn what_does_not_fit_is_none() {
        let big = line(i128::MAX, &[(0, i128::MAX)]);
        assert_eq!(big.plus(&big), None);
        assert_eq!(big.plus_number(1), None);
        assert_eq!(big.times(2), None);
        assert_eq!(Line::number(i128::MIN).negated(), None);
        assert_eq!(line(0, &[(0, i128::MIN)]).negated(), None);
        assert_eq!(Line::from_parts(0, &[(0, i128::MAX), (0, 1)]), None);
        assert_eq!(big.value(|_| 2), None);
        let many: Vec<(Atom, i128)> = (0..200).map(|atom| (atom, 1)).collect();
        assert_eq!(Line::from_parts(0, &many), None);
        let (left, right) = (line(0, &many[..100]), line(0, &many[100..]));
        assert_eq!(left.plus(&right), None);
    }

    #[test]
    fn the_constant_is_rounded_up_whatever_its_sign() {
        for c in -20..=20i128 {
            for d in 1..=5i128 {
                let rounded = line(c, &[(0, d)]).rounded(d).unwrap();
                // Both say the same about every whole number, and nothing stronger would be true.
                for s in -30..=30 {
                    assert_eq!(d * s + c <= 0, s + rounded.constant <= 0, "{c} {d} {s}");
                }
            }
        }
        assert_eq!(line(1, &[(0, 3)]).rounded(2), None);
        assert_eq!(line(1, &[(0, 3)]).rounded(0), None);
        assert_eq!(line(i128::MIN, &[(0, i128::MIN)]).rounded(2), Some(line(i128::MIN / 2, &[(0, i128::MIN / 2)])));
        assert_eq!(Line::number(i128::MAX).rounded(2), Some(Line::number(i128::MAX / 2 + 1)));
    }

    #[test]
    fn good_proofs_pass() {
        // n <= have, and so have - n >= 0.
        let goal = line(0, &[(0, 1), (1, -1)]);
        assert!(
            check(&facts(std::slice::from_ref(&goal), &[]), &goal, &proof(&[add(0, 1, 1, 1, 1), Step::Absurd])).is_ok()
        );

        // 2x = 2y + 1 has no solution: rounding twice.
        let odd = [line(-1, &[(0, 2), (1, -2)]), line(1, &[(0, -2), (1, 2)])];
        let never = Line::number(1);
        let steps = [add(0, 1, 0, 0, 2), add(1, 1, 1, 0, 2), add(3, 1, 4, 1, 1), Step::Absurd];
        assert!(check(&facts(&odd, &[]), &never, &proof(&steps)).is_ok());

        // A goal that cannot fail may be proved as well: its negation is false at once.
        assert!(check(&facts(&[], &[]), &Line::number(0), &proof(&[Step::Absurd])).is_ok());
    }

    /// `x != y` as a fact, `x <= y`; the goal is `x < y`.
    fn apart() -> (Facts, Line) {
        let (under, over) = (line(1, &[(0, 1), (1, -1)]), line(1, &[(0, -1), (1, 1)]));
        (facts(&[line(0, &[(0, 1), (1, -1)])], &[vec![vec![under.clone()], vec![over]]]), under)
    }

    #[test]
    fn splits_need_every_case() {
        let (facts, goal) = apart();
        // Lines: 0 the fact, 1 the negated goal, 2 the alternative's.
        let one = [add(1, 1, 2, 1, 1), Step::Absurd];
        let two = [add(0, 1, 2, 1, 1), Step::Absurd];
        let mut steps = vec![Step::Split { fact: 0 }];
        steps.extend(one.clone());
        assert_eq!(check(&facts, &goal, &proof(&steps)), Err(Flaw::Open));
        // Lines of the first case are gone in the second.
        let mut stale = steps.clone();
        stale.extend([add(0, 1, 3, 1, 1), Step::Absurd]);
        assert_eq!(check(&facts, &goal, &proof(&stale)), Err(Flaw::NoLine { step: 3, line: 3 }));
        // The first case's reason is no reason in the second.
        let mut wrong = steps.clone();
        wrong.extend(one);
        assert_eq!(check(&facts, &goal, &proof(&wrong)), Err(Flaw::NotAbsurd { step: 4 }));
        steps.extend(two);
        assert!(check(&facts, &goal, &proof(&steps)).is_ok());
        steps.push(Step::Absurd);
        assert_eq!(check(&facts, &goal, &proof(&steps)), Err(Flaw::Leftover { step: 5 }));
    }

    #[test]
    fn splits_inside_splits() {
        // x is 0 or 1, y is 0 or 1, so x + y <= 2: four cases.
        let is = |atom, n: i128| vec![line(-n, &[(atom, 1)]), line(n, &[(atom, -1)])];
        let facts = facts(&[], &[vec![is(0, 0), is(0, 1)], vec![is(1, 0), is(1, 1)]]);
        let goal = line(-2, &[(0, 1), (1, 1)]);
        // Line 0 is 3 - x - y, 1 and 2 are of x, 3 and 4 of y.
        let close = [add(0, 1, 1, 1, 1), add(5, 1, 3, 1, 1), Step::Absurd];
        let mut steps = vec![Step::Split { fact: 0 }];
        for _ in 0..2 {
            steps.push(Step::Split { fact: 1 });
            steps.extend(close.clone());
            steps.extend(close.clone());
        }
        assert!(check(&facts, &goal, &proof(&steps)).is_ok());
        for end in 0..steps.len() {
            assert_eq!(check(&facts, &goal, &proof(&steps[..end])), Err(Flaw::Open), "{end}");
        }
        let tight = line(-1, &[(0, 1), (1, 1)]);
        assert_eq!(check(&facts, &tight, &proof(&steps)), Err(Flaw::NotAbsurd { step: 14 }));
    }

    #[test]
    fn no_alternative_is_absurd_and_one_is_a_fact() {
        let goal = line(0, &[(0, 1)]);
        let split = Step::Split { fact: 0 };
        assert!(check(&facts(&[], &[vec![]]), &goal, &proof(std::slice::from_ref(&split))).is_ok());
        assert_eq!(
            check(&facts(&[], &[vec![]]), &goal, &proof(&[split.clone(), Step::Absurd])),
            Err(Flaw::Leftover { step: 1 })
        );
        let one = facts(&[], &[vec![vec![goal.clone()]]]);
        assert!(check(&one, &goal, &proof(&[split.clone(), add(0, 1, 1, 1, 1), Step::Absurd])).is_ok());
        // An alternative that says nothing helps nothing.
        assert_eq!(
            check(&facts(&[], &[vec![vec![]]]), &goal, &proof(&[split, Step::Absurd])),
            Err(Flaw::NotAbsurd { step: 1 })
        );
    }

    #[test]
    fn forged_proofs_fail() {
        let fact = line(0, &[(0, 2), (1, -2)]);
        let known = facts(&[fact], &[]);
        let goal = line(0, &[(0, 1), (1, -1)]);
        let run = |steps: &[Step]| check(&known, &goal, &proof(steps)).unwrap_err();
        assert_eq!(run(&[]), Flaw::Open);
        assert_eq!(run(&[Step::Absurd]), Flaw::NotAbsurd { step: 0 });
        assert_eq!(run(&[add(0, 1, 2, 1, 1)]), Flaw::NoLine { step: 0, line: 2 });
        assert_eq!(run(&[add(u32::MAX, 1, 0, 1, 1)]), Flaw::NoLine { step: 0, line: u32::MAX });
        // A factor of 0 does not make a line exist.
        assert_eq!(run(&[add(0, 1, 9, 0, 1)]), Flaw::NoLine { step: 0, line: 9 });
        assert_eq!(run(&[add(0, 0, 1, 0, 1)]), Flaw::Empty { step: 0 });
        assert_eq!(run(&[add(0, 1, 0, 1, 0)]), Flaw::Divisor { step: 0, d: 0 });
        assert_eq!(run(&[add(0, 1, 0, 0, 4)]), Flaw::Divisor { step: 0, d: 4 });
        assert_eq!(run(&[Step::Split { fact: 0 }]), Flaw::NoFact { step: 0, fact: 0 });
        assert_eq!(run(&[add(0, 1, 1, 1, 1), Step::Absurd]), Flaw::NotAbsurd { step: 1 });
        assert_eq!(run(&[add(0, 1, 1, 2, 1), Step::Absurd, Step::Absurd]), Flaw::Leftover { step: 2 });
        assert_eq!(
            run(&[add(0, u64::MAX, 0, 0, 1), add(2, u64::MAX, 2, 0, 1), add(3, u64::MAX, 3, 0, 1)]),
            Flaw::Overflow { step: 1 }
        );
        assert_eq!(check(&known, &Line::number(i128::MIN), &Proof::default()), Err(Flaw::Goal));
    }

    #[test]
    fn depth_and_work_have_an_end() {
        let known = facts(&[], &[vec![vec![Line::atom(0)]], vec![vec![Line::atom(0); 1 << 15]]]);
        let deep = vec![Step::Split { fact: 0 }; DEPTH_MAX + 1];
        assert_eq!(check(&known, &Line::atom(0), &proof(&deep)), Err(Flaw::Depth { step: DEPTH_MAX }));
        let wide = vec![Step::Split { fact: 1 }; DEPTH_MAX];
        assert_eq!(check(&known, &Line::atom(0), &proof(&wide)), Err(Flaw::Work { step: DEPTH_MAX - 1 }));
        let long = vec![add(0, 1, 0, 0, 1); WORK_MAX];
        assert!(matches!(check(&known, &Line::atom(0), &proof(&long)), Err(Flaw::Work { .. })));
    }

    #[test]
    fn facts_go_out_of_scope() {
        let mut facts = Facts::new();
        facts.push(Fact::Line(Line::atom(0)));
        let mark = facts.mark();
        let before = facts.clone();
        facts.push(Fact::Line(Line::atom(1)));
        facts.push(Fact::Either(vec![vec![Line::atom(2)], vec![]]));
        assert_eq!((facts.lines().len(), facts.eithers().len()), (2, 1));
        facts.truncate(mark);
        assert_eq!(facts, before);
    }

    const ATOMS: u32 = 4;

    /// A line that this solution satisfies, often just so.
    fn satisfied(random: &mut Random, solution: &[i128]) -> Line {
        let parts: Vec<(Atom, i128)> = (0..ATOMS).map(|atom| (atom, random.between(-3, 3))).collect();
        let open = Line::from_parts(0, &parts).unwrap();
        let value = open.value(|atom| solution[atom as usize]).unwrap();
        let slack = random.below(3);
        open.plus_number(-value - i128::from(slack)).unwrap()
    }

    /// Facts with a known solution, and a goal that the solution violates: nothing proves it.
    fn unprovable(random: &mut Random) -> (Facts, Line, Vec<i128>) {
        let solution: Vec<i128> = (0..ATOMS).map(|_| random.between(-9, 9)).collect();
        let mut facts = Facts::new();
        for _ in 0..random.below(6) {
            facts.push(Fact::Line(satisfied(random, &solution)));
        }
        for _ in 0..random.below(3) {
            let mut alternatives = vec![vec![satisfied(random, &solution)]];
            for _ in 0..random.below(3) {
                alternatives.push(vec![Line::number(i128::from(random.below(2)))]);
            }
            let turn = random.below(3) as usize % alternatives.len();
            alternatives.rotate_left(turn);
            facts.push(Fact::Either(alternatives));
        }
        let goal = satisfied(random, &solution).negated().unwrap();
        (facts, goal, solution)
    }

    fn garbage(random: &mut Random) -> Step {
        let small = |random: &mut Random| random.below(12) as u32;
        match random.below(10) {
            0 => Step::Split { fact: random.below(3) as u32 },
            1 | 2 => Step::Absurd,
            _ => add(
                small(random),
                random.below(4),
                small(random),
                random.below(4),
                if random.below(3) == 0 { random.below(4) } else { 1 },
            ),
        }
    }

    /// Random proofs of what is not so: none passes. To give them a chance each step that is a flaw at once is drawn anew,
    /// so that most proofs are long, and the false alternatives among the facts let them close cases.
    #[test]
    fn nothing_false_is_ever_proved() {
        let mut random = Random(1);
        let (mut proofs, mut closed) = (0, 0);
        while proofs < 200_000 {
            let (facts, goal, _) = unprovable(&mut random);
            for _ in 0..10 {
                let mut steps = Vec::new();
                for _ in 0..random.below(12) {
                    for _ in 0..8 {
                        steps.push(garbage(&mut random));
                        match check(&facts, &goal, &Proof { steps: steps.clone() }) {
                            Ok(_) => panic!("{facts:?} {goal:?} {steps:?}"),
                            Err(Flaw::Open) => {
                                closed += usize::from(matches!(steps.last(), Some(Step::Absurd)));
                                break;
                            }
                            Err(_) => steps.pop(),
                        };
                    }
                }
                proofs += 1;
            }
        }
        // The test would say nothing if no case were ever closed.
        assert!(closed > 1000, "{closed}");
    }

    /// What is made from lines that a solution satisfies, it satisfies.
    #[test]
    fn every_step_keeps_every_solution() {
        let mut random = Random(2);
        let mut made = 0;
        for _ in 0..20_000 {
            let solution: Vec<i128> = (0..ATOMS).map(|_| random.between(-9, 9)).collect();
            let mut lines: Vec<Line> = (0..4).map(|_| satisfied(&mut random, &solution)).collect();
            for _ in 0..20 {
                let (a, b) = (random.below(lines.len() as u64) as usize, random.below(lines.len() as u64) as usize);
                let (p, q) = (random.between(0, 3), random.between(0, 3));
                let d = random.between(1, 4);
                let Some(sum) = combine(&lines[a], p, &lines[b], q) else { continue };
                let Some(new) = sum.rounded(d) else { continue };
                let Some(value) = new.value(|atom| solution[atom as usize]) else { continue };
                assert!(value <= 0, "{new:?} from {:?} and {:?} at {solution:?}", lines[a], lines[b]);
                lines.push(new);
                made += 1;
            }
        }
        assert!(made > 100_000, "{made}");
    }

    /// Lines whose terms are in disorder, doubled or zero prove nothing false either.
    #[test]
    fn disorder_proves_nothing() {
        let mut random = Random(3);
        for _ in 0..50_000 {
            let solution: Vec<i128> = (0..ATOMS).map(|_| random.between(-9, 9)).collect();
            let messy = |random: &mut Random| {
                let terms = (0..random.below(6)).map(|_| (random.below(4) as u32, random.between(-2, 2))).collect();
                let open = Line { constant: 0, terms };
                let value = open.value(|atom| solution[atom as usize]).unwrap();
                Line { constant: -value - i128::from(random.below(2)), ..open }
            };
            let (a, b) = (messy(&mut random), messy(&mut random));
            let Some(sum) = combine(&a, 1, &b, random.between(0, 2)) else { continue };
            let Some(new) = sum.rounded(random.between(1, 3)) else { continue };
            assert!(new.value(|atom| solution[atom as usize]).unwrap() <= 0, "{a:?} {b:?} {new:?}");
        }
    }
}
