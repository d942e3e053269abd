//! Reading the log: one walk over a segment, used to check it at opening, to replay it, and to verify it offline.
//!
//! What must check out and what may be torn:
//!
//! * Everything below the synced length of the safety record, and everything below the start of the last segment
//!   (its header was written only after the segment before it had been synced), **must** check out.
//! * After that the log ends at the first record that does not. Whatever follows is discarded, even if it looks like
//!   a record: writes after a lost one were never promised.

use crate::batch::RecordAt;
use crate::disk::{Disk, DiskError};
use crate::error::{Stamp, StoreError};
use crate::format::{
    Position, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name, segment_number,
};

/// Bytes read at once while walking.
const CHUNK: usize = 1 << 20;

/// How far the check of the log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of segment files checked.
    pub checked: u64,
    /// Bytes of segment files there are.
    pub total: u64,
}

/// The segments of a log and where it ends.
///
/// Invariants: `segments[i]` is number `i`; starts increase, the first is 0, and `end` is at or after the last.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub segments: Vec<Position>,
    pub end: Position,
}

/// What checking the log found.
#[derive(Debug)]
pub(crate) struct Scan {
    pub log: Log,
    /// Bytes after the end that are not zero, counted to the last of them.
    pub torn_bytes: u64,
    /// A segment file whose creation was interrupted.
    pub torn_segment: Option<u64>,
    /// The highest safety generation that a record names, and the first record that names it.
    pub generation: (u64, u64),
}

/// A buffered forward reader of one file.
struct Window<'a, D> {
    disk: &'a D,
    file: String,
    buffer: Vec<u8>,
    start: u64,
    filled: usize,
}

impl<'a, D: Disk> Window<'a, D> {
    fn new(disk: &'a D, file: String) -> Self {
        Window { disk, file, buffer: Vec::new(), start: 0, filled: 0 }
    }

    /// The `n` bytes from `offset`, or fewer at the end of the file.
    fn bytes(&mut self, offset: u64, n: usize) -> Result<&[u8], DiskError> {
        let inside = offset >= self.start && offset + n as u64 <= self.start + self.filled as u64;
        if !inside {
            self.buffer.resize(n.max(CHUNK), 0);
            self.start = offset;
            self.filled = self.disk.read(&self.file, offset, &mut self.buffer)?;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.buffer[from..self.filled.min(from + n)])
    }

    /// The offset just after the last byte that is not zero, at or after `from`; `from` if there is none.
    fn last_nonzero(&mut self, from: u64) -> Result<u64, DiskError> {
        let (mut at, mut last) = (from, from);
        loop {
            let bytes = self.bytes(at, CHUNK)?;
            if let Some(i) = bytes.iter().rposition(|b| *b != 0) {
                last = at + i as u64 + 1;
            }
            match bytes.len() as u64 {
                0 => return Ok(last),
                n => at += n,
            }
        }
    }
}

/// A walk over the records of one segment.
struct Walk<'a, D> {
    window: Window<'a, D>,
    segment_start: u64,
    at: Position,
}

enum Step<'a> {
    Record { at: RecordAt, header: RecordHeader, payload: &'a [u8] },
    End { reason: &'static str },
}

impl<'a, D: Disk> Walk<'a, D> {
    fn new(disk: &'a D, number: u64, start: Position) -> Self {
        Walk { window: Window::new(disk, segment_name(number)), segment_start: start.offset, at: start }
    }

    /// Where the walk stands, as a byte offset in the segment file.
    fn file_offset(&self) -> u64 {
        SEGMENT_HEADER_BYTES + self.at.offset - self.segment_start
    }

    fn next(&mut self) -> Result<Step<'_>, DiskError> {
        let offset = self.file_offset();
        let head = self.window.bytes(offset, RECORD_HEADER_BYTES as usize)?;
        if head.len() < RECORD_HEADER_BYTES as usize {
            return Ok(Step::End { reason: "the segment ends here" });
        }
        let header = match RecordHeader::decode(head) {
            Ok(header) => header,
            Err(reason) => return Ok(Step::End { reason }),
        };
        if header.previous != self.at.chain {
            return Ok(Step::End { reason: "the record does not follow the one before it" });
        }
        let length = RECORD_HEADER_BYTES as usize + header.length as usize;
        let record = self.window.bytes(offset, length)?;
        if record.len() < length {
            return Ok(Step::End { reason: "the record is cut short by the end of the segment" });
        }
        if let Err(reason) = header.check(self.at.offset, record) {
            return Ok(Step::End { reason });
        }
        let at = RecordAt { offset: self.at.offset, number: self.at.records, length: header.length };
        self.at = Position { offset: at.end(), records: at.number + 1, chain: header.crc };
        Ok(Step::Record { at, header, payload: &record[RECORD_HEADER_BYTES as usize..] })
    }

    fn corrupt(&self, reason: &str) -> StoreError {
        StoreError::Corrupt {
            file: self.window.file.clone(),
            offset: self.file_offset(),
            record: Some(self.at.records),
            reason: reason.to_owned(),
        }
    }
}

/// Numbers of the segment files there are, in order; a gap is an error.
pub(crate) fn segment_numbers<D: Disk>(disk: &D) -> Result<u64, StoreError> {
    let mut numbers: Vec<u64> = disk.list()?.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    match numbers.iter().zip(0..).find(|(number, expected)| **number != *expected) {
        Some((_, expected)) => Err(StoreError::Missing { missing: segment_name(expected) }),
        None => Ok(numbers.len() as u64),
    }
}

/// Checks the whole log against the synced position that the safety record names.
pub(crate) fn scan<D: Disk>(
    disk: &D,
    stamp: &Stamp,
    synced: Position,
    progress: &mut dyn FnMut(Progress),
) -> Result<Scan, StoreError> {
    let count = segment_numbers(disk)?;
    if count == 0 {
        return Err(StoreError::Missing { missing: segment_name(0) });
    }
    let mut total = 0;
    let mut headers = Vec::new();
    for number in 0..count {
        total += disk.length(&segment_name(number))?;
        headers.push(read_header(disk, stamp, number)?);
    }
    let mut torn_segment = None;
    if let Err(reason) = headers[count as usize - 1]
        && count > 1
    {
        // The header is synced before any record is written behind it. So a bad header over zeros is a creation that
        // was interrupted, and a bad header over anything else is damage.
        let name = segment_name(count - 1);
        let mut window = Window::new(disk, name.clone());
        if window.last_nonzero(SEGMENT_HEADER_BYTES)? > SEGMENT_HEADER_BYTES {
            return Err(StoreError::Corrupt { file: name, offset: 0, record: None, reason: reason.to_owned() });
        }
        headers.pop();
        torn_segment = Some(count - 1);
    }

    let mut scan = Scan {
        log: Log { segments: Vec::new(), end: Position::start(stamp) },
        torn_bytes: 0,
        torn_segment,
        generation: (0, 0),
    };
    let mut checked = 0;
    for (i, header) in headers.iter().enumerate() {
        let number = i as u64;
        let header = header.map_err(|reason| header_corrupt(number, &scan.log.end, reason))?;
        if header.number != number || header.start != scan.log.end {
            return Err(header_corrupt(number, &scan.log.end, "the segment does not continue the one before it"));
        }
        scan.log.segments.push(header.start);
        let limit = match headers.get(i + 1) {
            Some(Ok(next)) => Some(next.start.offset),
            Some(Err(reason)) => return Err(header_corrupt(number + 1, &scan.log.end, reason)),
            None => None,
        };
        scan_segment(disk, number, limit, synced, &mut scan)?;
        checked += disk.length(&segment_name(number))?;
        progress(Progress { checked, total });
    }
    Ok(scan)
}

/// Walks one segment. `limit` is where the next one starts: up to there everything was synced.
fn scan_segment<D: Disk>(
    disk: &D,
    number: u64,
    limit: Option<u64>,
    synced: Position,
    scan: &mut Scan,
) -> Result<(), StoreError> {
    let mut walk = Walk::new(disk, number, scan.log.end);
    let floor = limit.unwrap_or(0).max(synced.offset);
    while limit.is_none_or(|limit| walk.at.offset < limit) {
        let before = walk.at;
        // Positions are compared where the safety record made its promise, before anything after it is believed.
        if before.offset == synced.offset && before != synced {
            return Err(walk.corrupt("the log is not the one that safety.dat was written for"));
        }
        match walk.next()? {
            Step::Record { at, header, .. } => {
                if header.generation > scan.generation.0 {
                    scan.generation = (header.generation, at.number);
                }
                if before.offset < synced.offset && walk.at.offset > synced.offset {
                    return Err(walk.corrupt("a record crosses the synced length"));
                }
            }
            Step::End { reason } if before.offset < floor => return Err(walk.corrupt(reason)),
            Step::End { .. } => {
                let from = walk.file_offset();
                scan.torn_bytes = walk.window.last_nonzero(from)? - from;
                break;
            }
        }
    }
    if limit.is_some_and(|limit| walk.at.offset != limit) {
        return Err(walk.corrupt("a record crosses into the next segment"));
    }
    scan.log.end = walk.at;
    Ok(())
}

type HeaderResult = Result<SegmentHeader, &'static str>;

/// Reads a segment's header. The outer error ends the opening; the inner one is a header that does not check out.
fn read_header<D: Disk>(disk: &D, stamp: &Stamp, number: u64) -> Result<HeaderResult, StoreError> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
    let n = disk.read(&segment_name(number), 0, &mut bytes)?;
    let header = SegmentHeader::decode(&bytes[..n]);
    match header {
        Ok(found) if found.stamp != *stamp => {
            Err(StoreError::WrongOwner { found: Box::new(found.stamp), expected: Box::new(*stamp) })
        }
        header => Ok(header),
    }
}

fn header_corrupt(number: u64, at: &Position, reason: &str) -> StoreError {
    StoreError::Corrupt { file: segment_name(number), offset: 0, record: Some(at.records), reason: reason.to_owned() }
}

impl Log {
    /// The segment that holds log offset `offset`.
    fn segment(&self, offset: u64) -> (u64, Position) {
        let index = self.segments.partition_point(|start| start.offset <= offset) - 1;
        (index as u64, self.segments[index])
    }

    /// Hands every record from `from` (a record's start; 0 for all) to `each`, in order.
    pub fn replay<D: Disk, E: From<StoreError>>(
        &self,
        disk: &D,
        from: Option<RecordAt>,
        mut each: impl FnMut(RecordAt, u8, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let first = from.map_or(0, |at| self.segment(at.offset).0);
        for number in first..self.segments.len() as u64 {
            let index = number as usize;
            let end = self.segments.get(index + 1).unwrap_or(&self.end).offset;
            let mut walk = Walk::new(disk, number, self.segments[index]);
            while walk.at.offset < end {
                let (file_offset, record) = (walk.file_offset(), walk.at.records);
                match walk.next().map_err(StoreError::from)? {
                    Step::Record { at, .. } if from.is_some_and(|from| at.offset < from.offset) => {}
                    Step::Record { at, header, payload } => each(at, header.kind, payload)?,
                    Step::End { reason } => {
                        return Err(record_corrupt(number, file_offset, record, reason).into());
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads one record and checks it.
    pub fn read<D: Disk>(&self, disk: &D, at: RecordAt) -> Result<(u8, Vec<u8>), StoreError> {
        let (number, start) = self.segment(at.offset);
        let offset = SEGMENT_HEADER_BYTES + at.offset - start.offset;
        let mut record = vec![0; RECORD_HEADER_BYTES as usize + at.length as usize];
        let n = disk.read(&segment_name(number), offset, &mut record)?;
        let corrupt = |reason| record_corrupt(number, offset, at.number, reason);
        if n < record.len() {
            return Err(corrupt("the record is cut short by the end of the segment"));
        }
        let header = RecordHeader::decode(&record).map_err(corrupt)?;
        if header.length != at.length {
            return Err(corrupt("the record has another length"));
        }
        header.check(at.offset, &record).map_err(corrupt)?;
        record.drain(..RECORD_HEADER_BYTES as usize);
        Ok((header.kind, record))
    }
}

fn record_corrupt(number: u64, offset: u64, record: u64, reason: &str) -> StoreError {
    StoreError::Corrupt { file: segment_name(number), offset, record: Some(record), reason: reason.to_owned() }
}
