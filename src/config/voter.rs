//! Voter cards: the public part of one organisation's node, sent to whoever assembles the genesis document.

use std::path::Path;

use serde::Deserialize;
use wire::{Name, PublicKey};

use super::genesis::parse_key;
use super::{ConfigError, from_toml, read_text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoterCard {
    name: String,
    key: String,
    weight: u64,
}

/// Reads a voter card: name, key, weight. The id is given when the document is assembled.
///
/// # Errors
/// Names the field.
pub fn read_voter(path: &Path) -> Result<(Name, PublicKey, u64), ConfigError> {
    let card: VoterCard = from_toml(path, &read_text(path)?)?;
    let name = Name::new(&card.name).map_err(|e| ConfigError::field(path, "name", e))?;
    let key = parse_key(path, "key", &card.key)?;
    key.check_registrable().map_err(|e| ConfigError::field(path, "key", e))?;
    Ok((name, key, card.weight))
}

/// The card as text.
pub fn voter_to_toml(name: &Name, key: &PublicKey, weight: u64) -> String {
    format!(
        "# The public part of one voter, for `juno genesis assemble`. Holds no secret.\n\
         name = \"{name}\"\nkey = \"{key}\"\nweight = {weight}\n"
    )
}
