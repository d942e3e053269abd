//! `hopper.lock`: which version of a module an import means. Kept beside the contract, to be kept under version control with it: a
//! module's id depends on those of its imports, so that only pinned imports give everybody the same module.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hopper::ir::ModuleId;
use serde::Deserialize;

use crate::cli::CliError;

/// The file's name.
pub(crate) const NAME: &str = "hopper.lock";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    imports: BTreeMap<String, String>,
}

/// Names of modules and the ids they stand for.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    imports: BTreeMap<String, ModuleId>,
    changed: bool,
}

impl Lock {
    /// The lock file beside a contract; an empty one if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn beside(contract: &Path) -> Result<Lock, CliError> {
        let path = contract.with_file_name(NAME);
        let wrong = |e: String| CliError::new(format!("{}: {e}", path.display()));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(wrong(e.to_string())),
        };
        let written: Written = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let id = |(name, id): (String, String)| match id.parse() {
            Ok(id) => Ok((name, ModuleId(id))),
            Err(_) => Err(wrong(format!("{name} = {id:?}: a module's id has 64 hexadecimal digits"))),
        };
        let imports = written.imports.into_iter().map(id).collect::<Result<_, _>>()?;
        Ok(Lock { path, imports, changed: false })
    }

    /// What a name stands for, if that was settled.
    pub(crate) fn get(&self, name: &str) -> Option<ModuleId> {
        self.imports.get(name).copied()
    }

    /// Settles what a name stands for.
    pub(crate) fn pin(&mut self, name: &str, id: ModuleId) {
        self.changed |= self.imports.insert(name.to_owned(), id) != Some(id);
    }

    /// Writes the file if anything was settled.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn save(&self) -> Result<(), CliError> {
        if !self.changed {
            return Ok(());
        }
        let mut text = "# Which version each import means; written by juno contract.\n[imports]\n".to_owned();
        // Names of modules are letters, digits, `_` and `.`.
        self.imports.iter().for_each(|(name, id)| text += &format!("\"{name}\" = \"{}\"\n", id.0));
        std::fs::write(&self.path, text).map_err(|e| CliError::new(format!("{}: {e}", self.path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pinned_stays() {
        let dir = tempfile::tempdir().unwrap();
        let contract = dir.path().join("a.hop");
        let id = ModuleId("ab".repeat(32).parse().unwrap());
        let mut lock = Lock::beside(&contract).unwrap();
        assert_eq!(lock.get("bank.cash"), None);
        lock.save().unwrap();
        assert!(!dir.path().join(NAME).exists(), "nothing to say");
        lock.pin("bank.cash", id);
        lock.save().unwrap();
        assert_eq!(Lock::beside(&contract).unwrap().get("bank.cash"), Some(id));
        std::fs::write(dir.path().join(NAME), "[imports]\na = \"x\"\n").unwrap();
        let error = Lock::beside(&contract).unwrap_err().to_string();
        assert!(error.contains("64 hexadecimal digits"), "{error}");
    }
}
