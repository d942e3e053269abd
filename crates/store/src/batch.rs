//! What is made durable together, and the proof that it is.

use crate::format::RECORD_HEADER_BYTES;

/// Where a record stands in the log. A handle for [`crate::Store::read`]; stays valid for the life of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordAt {
    pub(crate) offset: u64,
    pub(crate) number: u64,
    pub(crate) length: u32,
}

impl RecordAt {
    /// Log bytes before the record.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Records before it.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of its payload.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// The log offset just after it.
    pub fn end(&self) -> u64 {
        self.offset + RECORD_HEADER_BYTES + u64::from(self.length)
    }
}

/// Log records and a safety record to be written together, with the promise `T` that depends on them.
///
/// `T` goes in and comes out only through [`crate::Store::commit`]: a vote that is not durable cannot be sent,
/// because there is no way to hold it.
#[derive(Debug)]
pub struct Batch<T> {
    /// Room for each record's header, then its payload.
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: Vec<(u8, usize)>,
    pub(crate) safety: Option<Vec<u8>>,
    pub(crate) promise: T,
}

impl<T: Default> Default for Batch<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Batch<T> {
    /// An empty batch that makes `promise`.
    pub fn new(promise: T) -> Self {
        Batch { bytes: Vec::new(), records: Vec::new(), safety: None, promise }
    }

    /// Adds a log record and returns its number within the batch. `kind` and `payload` mean nothing to the store.
    pub fn append(&mut self, kind: u8, payload: &[u8]) -> usize {
        self.bytes.extend_from_slice(&[0; RECORD_HEADER_BYTES as usize]);
        self.bytes.extend_from_slice(payload);
        self.records.push((kind, payload.len()));
        self.records.len() - 1
    }

    /// Sets the safety record (term, votes, lock). It replaces the one before it as a whole.
    pub fn set_safety(&mut self, payload: Vec<u8>) {
        self.safety = Some(payload);
    }

    /// Adds to what the batch promises.
    pub fn promise<M>(&mut self, messages: impl IntoIterator<Item = M>)
    where
        T: Extend<M>,
    {
        self.promise.extend(messages);
    }

    /// Log records in the batch.
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// Whether a safety record is set.
    pub fn has_safety(&self) -> bool {
        self.safety.is_some()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.safety.is_none()
    }
}

/// A batch that is durable: its records, its safety record, and everything appended before it.
#[derive(Debug)]
#[must_use = "the promise of a durable batch is there to be kept"]
pub struct Durable<T> {
    pub(crate) promise: T,
    pub(crate) records: Vec<RecordAt>,
}

impl<T> Durable<T> {
    /// What the batch promised, now that it may be said.
    pub fn into_inner(self) -> T {
        self.promise
    }

    /// Where its records stand, in the order they were appended.
    pub fn records(&self) -> &[RecordAt] {
        &self.records
    }

    /// Both: the promise and where the records stand.
    pub fn into_parts(self) -> (T, Vec<RecordAt>) {
        (self.promise, self.records)
    }
}
