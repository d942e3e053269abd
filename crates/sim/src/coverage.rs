//! What runs have exercised: counts by group and name.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by group, such as "fault", and name, such as "crash".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, BTreeMap<String, u64>>);

impl Coverage {
    /// Counts one.
    pub fn hit(&mut self, group: &'static str, name: &str) {
        self.add(group, name, 1);
    }

    /// Counts some.
    pub fn add(&mut self, group: &'static str, name: &str, count: u64) {
        let names = self.0.entry(group).or_default();
        match names.get_mut(name) {
            Some(known) => *known += count,
            None => {
                names.insert(name.to_owned(), count);
            }
        }
    }

    /// Adds what another run has exercised.
    pub fn merge(&mut self, other: &Coverage) {
        for (group, names) in &other.0 {
            for (name, count) in names {
                self.add(group, name, *count);
            }
        }
    }

    /// How often something was exercised.
    pub fn count(&self, group: &str, name: &str) -> u64 {
        self.0.get(group).and_then(|names| names.get(name)).copied().unwrap_or(0)
    }

    /// The names of `all` that a group lacks.
    pub fn missing<'n>(&self, group: &str, all: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
        all.into_iter().filter(|name| self.count(group, name) == 0).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group, names) in &self.0 {
            let list: Vec<String> = names.iter().map(|(name, count)| format!("{name} {count}")).collect();
            writeln!(f, "  {group}: {}", list.join(", "))?;
        }
        Ok(())
    }
}
