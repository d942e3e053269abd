//! Where the result of each command stands: a map from command ids, for answering "what became of this command".
//!
//! Ids are digests, so their first bits spread them evenly: the map is an array of short sorted lists, which finds its
//! place with one step where a balanced tree over many results would take several, each into cold memory. Derived from
//! the results table, hence bounded as that is; no part of the state root.

use wire::CommandId;

use crate::state::SessionKey;

/// Lists: 2^14.
const BITS: u32 = 14;

/// The result row of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    id: CommandId,
    session: SessionKey,
    sequence: u64,
}

/// The map.
///
/// Invariants: each list ascends strictly by id; `len` is the length of all lists together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLookup {
    lists: Vec<Vec<Entry>>,
    len: usize,
}

impl Default for CommandLookup {
    fn default() -> Self {
        CommandLookup { lists: vec![Vec::new(); 1 << BITS], len: 0 }
    }
}

impl CommandLookup {
    /// The list of an id and the place in it: `Ok` if it is there, else where it belongs.
    fn place(&self, id: &CommandId) -> (usize, Result<usize, usize>) {
        let list = usize::from(u16::from_be_bytes([id.0.0[0], id.0.0[1]]) >> (16 - BITS));
        (list, self.lists[list].binary_search_by(|entry| entry.id.cmp(id)))
    }

    /// Ids held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Where the result of a command stands.
    pub fn find(&self, id: &CommandId) -> Option<(&SessionKey, u64)> {
        let (list, at) = self.place(id);
        let entry = &self.lists[list][at.ok()?];
        Some((&entry.session, entry.sequence))
    }

    /// Puts an id in place.
    pub fn insert(&mut self, id: CommandId, session: SessionKey, sequence: u64) {
        let entry = Entry { id, session, sequence };
        match self.place(&id) {
            (list, Ok(at)) => self.lists[list][at] = entry,
            (list, Err(at)) => {
                self.lists[list].insert(at, entry);
                self.len += 1;
            }
        }
    }

    /// Removes an id.
    pub fn remove(&mut self, id: &CommandId) {
        if let (list, Ok(at)) = self.place(id) {
            self.lists[list].remove(at);
            self.len -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Hash, Name};

    #[test]
    fn what_is_put_is_found_until_it_is_removed() {
        let ids: Vec<CommandId> = (0..5000u32).map(|n| CommandId(Hash::of(&n.to_be_bytes()))).collect();
        let session = (Name::new("p").unwrap(), 1);
        let mut lookup = CommandLookup::default();
        for (n, id) in ids.iter().enumerate() {
            lookup.insert(*id, session.clone(), n as u64);
            lookup.insert(*id, session.clone(), n as u64);
        }
        assert_eq!(lookup.len(), 5000);
        assert!(ids.iter().enumerate().all(|(n, id)| lookup.find(id) == Some((&session, n as u64))));
        for id in ids.iter().chain(&ids) {
            lookup.remove(id);
            assert_eq!(lookup.find(id), None);
        }
        assert_eq!(lookup, CommandLookup::default());
    }
}
