//! Bounds: polynomials with non-negative coefficients in the sizes of a function's arguments.

use std::collections::BTreeMap;

use crate::cost::Cost;

/// What a bound's variable stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// The length of parameter `n`: elements, entries, bytes.
    Length(u16),
    /// The value of parameter `n`, a number that is not negative.
    Value(u16),
}

/// Monomials allowed in one polynomial.
pub const MONOMIALS_MAX: usize = 64;
/// Degree allowed.
pub const DEGREE_MAX: usize = 4;

/// A polynomial: monomials (ascending list of variables, with repetition) with their factors, by ascending monomial. Saturating.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Poly<V> {
    terms: Vec<(Vec<V>, u64)>,
}

/// The polynomial is larger than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl<V: Copy + Ord> Poly<V> {
    /// Zero.
    pub fn zero() -> Poly<V> {
        Poly { terms: Vec::new() }
    }

    /// A constant.
    pub fn constant(n: u64) -> Poly<V> {
        Poly { terms: if n == 0 { Vec::new() } else { vec![(Vec::new(), n)] } }
    }

    /// A variable.
    pub fn variable(v: V) -> Poly<V> {
        Poly { terms: vec![(vec![v], 1)] }
    }

    /// A polynomial of these terms, which ascend.
    pub fn from_terms(terms: Vec<(Vec<V>, u64)>) -> Poly<V> {
        Poly { terms }
    }

    /// The terms.
    pub fn terms(&self) -> &[(Vec<V>, u64)] {
        &self.terms
    }

    /// True if no variable occurs.
    pub fn is_constant(&self) -> bool {
        self.terms.iter().all(|(vars, _)| vars.is_empty())
    }

    /// True if the variable occurs.
    pub fn mentions(&self, v: V) -> bool {
        self.terms.iter().any(|(vars, _)| vars.contains(&v))
    }

    fn merge(&self, other: &Poly<V>, join: fn(u64, u64) -> u64) -> Result<Poly<V>, TooLarge> {
        let mut terms = Vec::with_capacity(self.terms.len() + other.terms.len());
        let (mut a, mut b) = (self.terms.iter().peekable(), other.terms.iter().peekable());
        loop {
            let take = match (a.peek(), b.peek()) {
                (None, None) => break,
                (Some(x), Some(y)) => x.0.cmp(&y.0),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
            };
            match take {
                std::cmp::Ordering::Less => terms.extend(a.next().cloned()),
                std::cmp::Ordering::Greater => terms.extend(b.next().cloned()),
                std::cmp::Ordering::Equal => {
                    if let (Some(x), Some(y)) = (a.next(), b.next()) {
                        terms.push((x.0.clone(), join(x.1, y.1)));
                    }
                }
            }
        }
        if terms.len() > MONOMIALS_MAX { Err(TooLarge) } else { Ok(Poly { terms }) }
    }

    /// The sum.
    ///
    /// # Errors
    /// If it has too many monomials.
    pub fn plus(&self, other: &Poly<V>) -> Result<Poly<V>, TooLarge> {
        self.merge(other, u64::saturating_add)
    }

    /// A polynomial at least as large as both wherever variables are not negative: factor by factor the larger one.
    ///
    /// # Errors
    /// If it has too many monomials.
    pub fn max(&self, other: &Poly<V>) -> Result<Poly<V>, TooLarge> {
        self.merge(other, u64::max)
    }

    /// The product.
    ///
    /// # Errors
    /// If it has too many monomials or too high a degree.
    pub fn times(&self, other: &Poly<V>) -> Result<Poly<V>, TooLarge> {
        let mut sum: BTreeMap<Vec<V>, u64> = BTreeMap::new();
        for (x, n) in &self.terms {
            for (y, m) in &other.terms {
                let mut vars = [x.as_slice(), y.as_slice()].concat();
                if vars.len() > DEGREE_MAX {
                    return Err(TooLarge);
                }
                vars.sort_unstable();
                let factor = sum.entry(vars).or_default();
                *factor = factor.saturating_add(n.saturating_mul(*m));
            }
        }
        if sum.len() > MONOMIALS_MAX { Err(TooLarge) } else { Ok(Poly { terms: sum.into_iter().collect() }) }
    }

    /// Times a number.
    pub fn scale(&self, by: u64) -> Poly<V> {
        if by == 0 {
            return Poly::zero();
        }
        Poly { terms: self.terms.iter().map(|(vars, n)| (vars.clone(), n.saturating_mul(by))).collect() }
    }

    /// Divided by a number, each factor rounded up: at least the quotient.
    pub fn divide(&self, by: u64) -> Poly<V> {
        Poly { terms: self.terms.iter().map(|(vars, n)| (vars.clone(), n.div_ceil(by.max(1)))).collect() }
    }

    /// With a polynomial in place of each variable.
    ///
    /// # Errors
    /// If it has too many monomials or too high a degree.
    pub fn substitute<W: Copy + Ord>(&self, mut by: impl FnMut(V) -> Poly<W>) -> Result<Poly<W>, TooLarge> {
        let mut sum = Poly::zero();
        for (vars, n) in &self.terms {
            let mut product = Poly::constant(*n);
            for v in vars {
                product = product.times(&by(*v))?;
            }
            sum = sum.plus(&product)?;
        }
        Ok(sum)
    }

    /// The value, saturating.
    pub fn evaluate(&self, mut at: impl FnMut(V) -> u64) -> u64 {
        self.terms.iter().fold(0u64, |sum, (vars, n)| {
            sum.saturating_add(vars.iter().fold(*n, |product, v| product.saturating_mul(at(*v))))
        })
    }
}

/// What a function costs at most, by dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound(pub [Poly<Size>; 6]);

impl Default for Bound {
    fn default() -> Self {
        Bound(std::array::from_fn(|_| Poly::zero()))
    }
}

impl Bound {
    /// The bound for arguments of these sizes.
    pub fn evaluate(&self, mut at: impl FnMut(Size) -> u64) -> Cost {
        Cost(std::array::from_fn(|n| self.0[n].evaluate(&mut at)))
    }
}
