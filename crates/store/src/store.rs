//! The store: opening with recovery, group commit, reading back.

use crate::batch::{Batch, Durable, RecordAt};
use crate::disk::{Disk, Usage};
use crate::error::{Stamp, StoreError};
use crate::format::{
    Position, RECORD_BYTES_MAX, RECORD_HEADER_BYTES, RecordHeader, SAFETY_FILE, SEGMENT_HEADER_BYTES, SLOT_OVERHEAD,
    SegmentHeader, Superblock, segment_name, segment_number,
};
use crate::log::{self, Log, Progress};
use crate::safety;

/// Bytes moved at once while recovering.
const CHUNK: u64 = 1 << 20;

/// Sizes, and one decision of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of records after which a new segment is begun. A larger record gets a segment of its own.
    pub segment_bytes: u64,
    /// Space is reserved this many bytes at a time, so that no commit waits for a whole segment to be zeroed.
    pub reserve_bytes: u64,
    /// The largest safety record; decides the size of `safety.dat` when it is created, and nothing later.
    pub safety_bytes_max: usize,
    /// Open a directory whose safety file is not the file that was written here (`--accept-moved-directory`), and
    /// take it as the original from now on. Only after the original was stopped for good; see [`StoreError::Copied`].
    pub accept_moved: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes: 64 * 1024 * 1024,
            reserve_bytes: 1024 * 1024,
            safety_bytes_max: 1024 * 1024 - SLOT_OVERHEAD,
            accept_moved: false,
        }
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The newest safety record, or `None` if none was ever set.
    pub safety: Option<Vec<u8>>,
    /// Whose data it is.
    pub stamp: Stamp,
    /// Generation of the safety record found.
    pub generation: u64,
    /// Good copies of that generation: 2, or 1 after a torn write or damage.
    pub safety_copies: u32,
    /// Slots of the safety file that do not check out: a write cut off by a crash, or damage.
    pub safety_damaged: u32,
    /// Records in the log.
    pub records: u64,
    /// Records of these that were beyond the synced length: complete, though never promised.
    pub records_unsynced: u64,
    /// Bytes after the last whole record, left by a crash during a write. The store discards them; a reader does not.
    pub torn_bytes: u64,
    /// The directory had been copied or restored.
    pub moved: bool,
}

/// A durable log and safety record on disk `D`.
///
/// Invariants:
/// * everything below `synced` in the log is on the medium, and so are both copies of `safety`;
/// * bytes after the end of the log are zero in the last segment, or lie beyond its length;
/// * all segments but the last are wholly synced;
/// * once `poisoned` is set, nothing is written any more.
#[derive(Debug)]
pub struct Store<D: Disk> {
    disk: D,
    options: Options,
    log: Log,
    /// Length of the last segment's file: up to here space is reserved.
    reserved: u64,
    /// The safety record as last written.
    safety: Superblock,
    slot_bytes: u64,
    poisoned: Option<StoreError>,
}

impl<D: Disk> Store<D> {
    /// Makes a new store on an empty disk and opens it.
    ///
    /// Only for a node key that has never voted: a node that lost its directory and begins anew would vote again on
    /// what it has voted on. A creation that was interrupted may be repeated.
    pub fn create(mut disk: D, stamp: Stamp, options: Options) -> Result<(Self, Recovered), StoreError> {
        clear_unfinished(&mut disk)?;
        let slot_bytes = safety::slot_bytes(options.safety_bytes_max);
        disk.create(SAFETY_FILE)?;
        disk.allocate(SAFETY_FILE, safety::file_bytes(slot_bytes))?;
        disk.sync(SAFETY_FILE)?;
        let start = Position::start(&stamp);
        create_segment(&mut disk, &SegmentHeader { stamp, number: 0, start })?;
        let identity = disk.identity(SAFETY_FILE)?;
        let first = Superblock { generation: 1, stamp, identity, synced: start, payload: None };
        safety::write(&mut disk, slot_bytes, &first)?;
        Self::open(disk, stamp, options, &mut |_| {})
    }

    /// Opens a store, checks every record, and discards what a crash tore.
    ///
    /// What was complete but not synced is made durable before this returns, so that whatever is built on it
    /// survives the next crash too. `progress` is told how far the check has come, once a segment.
    pub fn open(
        mut disk: D,
        stamp: Stamp,
        options: Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Self, Recovered), StoreError> {
        let found = inspect(&disk, Some(stamp), progress)?;
        if found.recovered.moved && !options.accept_moved {
            return Err(StoreError::Copied { file: SAFETY_FILE.to_owned() });
        }
        settle_log(&mut disk, &stamp, &found)?;
        let last = found.scan.log.segments.len() as u64 - 1;
        let reserved = disk.length(&segment_name(last))?;
        let identity = disk.identity(SAFETY_FILE)?;
        let mut store = Store {
            disk,
            options,
            log: found.scan.log,
            reserved,
            safety: Superblock { identity, ..found.safety.newest },
            slot_bytes: found.safety.slot_bytes,
            poisoned: None,
        };
        store.write_safety(None)?;
        Ok((store, found.recovered))
    }

    /// Writes `batch`, waits until it and everything written before is on the medium, and gives out its promise.
    ///
    /// The order is: records, sync of the log, both copies of the safety record with the new synced length, sync of
    /// the safety file. A crash in between leaves either the old safety record or the new one; records without the
    /// safety record may be found after it, never the reverse. Without a safety record in the batch the last one is
    /// written again. If nothing is to be written and everything is durable already, the disk is not touched.
    ///
    /// After any error the store is poisoned and the batch's promise is gone: each later commit returns the same
    /// error. A failed sync may not be repeated, because the system forgets what it failed to write.
    pub fn commit<T>(&mut self, batch: Batch<T>) -> Result<Durable<T>, StoreError> {
        let Batch { bytes, records, safety, promise } = batch;
        let records = self.guarded(|store| store.write_and_sync(bytes, &records, safety))?;
        Ok(Durable { promise, records })
    }

    /// Writes the records of `batch` without waiting for the medium: they become durable with the next
    /// [`Store::commit`], and until then a crash may lose them. A batch that promises something cannot be passed
    /// here, and its safety record, if it has one, makes this a commit.
    pub fn write(&mut self, batch: Batch<()>) -> Result<Vec<RecordAt>, StoreError> {
        let Batch { bytes, records, safety, promise: () } = batch;
        self.guarded(|store| match safety {
            None => store.append(bytes, &records),
            safety => store.write_and_sync(bytes, &records, safety),
        })
    }

    /// Hands every record to `each`, in order, without holding more than one in memory.
    pub fn replay<E: From<StoreError>>(&self, each: impl FnMut(RecordAt, u8, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.log.replay(&self.disk, None, each)
    }

    /// The same from the record at `from` on.
    pub fn replay_from<E: From<StoreError>>(
        &self,
        from: RecordAt,
        each: impl FnMut(RecordAt, u8, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.log.replay(&self.disk, Some(from), each)
    }

    /// Reads one record back and checks it: its kind and its payload.
    pub fn read(&self, at: RecordAt) -> Result<(u8, Vec<u8>), StoreError> {
        self.log.read(&self.disk, at)
    }

    /// The safety record last made durable.
    pub fn safety(&self) -> Option<&[u8]> {
        self.safety.payload.as_deref()
    }

    /// Records in the log, durable or not.
    pub fn records(&self) -> u64 {
        self.log.end.records
    }

    /// Bytes of the log, durable or not; segment headers and reserved space not counted.
    pub fn log_bytes(&self) -> u64 {
        self.log.end.offset
    }

    /// Whether everything written is durable.
    pub fn is_synced(&self) -> bool {
        self.safety.synced == self.log.end
    }

    /// The error that ended all writing, if one did.
    pub fn poisoned(&self) -> Option<&StoreError> {
        self.poisoned.as_ref()
    }

    /// Syncs and bytes written since the disk was opened.
    pub fn usage(&self) -> Usage {
        self.disk.usage()
    }

    fn guarded<R>(&mut self, work: impl FnOnce(&mut Self) -> Result<R, StoreError>) -> Result<R, StoreError> {
        if let Some(error) = &self.poisoned {
            return Err(error.clone());
        }
        work(self).inspect_err(|error| self.poisoned = Some(error.clone()))
    }

    fn write_and_sync(
        &mut self,
        bytes: Vec<u8>,
        records: &[(u8, usize)],
        safety: Option<Vec<u8>>,
    ) -> Result<Vec<RecordAt>, StoreError> {
        let max = self.slot_bytes as usize - SLOT_OVERHEAD;
        if let Some(bytes) = safety.as_ref().map(Vec::len).filter(|bytes| *bytes > max) {
            return Err(StoreError::SafetyTooLarge { bytes, max });
        }
        let written = self.append(bytes, records)?;
        if !self.is_synced() {
            self.disk.sync(&segment_name(self.last_segment()))?;
        }
        if safety.is_some() || !self.is_synced() {
            self.write_safety(safety)?;
        }
        Ok(written)
    }

    /// Writes the next generation of the safety record; the log must have been synced.
    fn write_safety(&mut self, payload: Option<Vec<u8>>) -> Result<(), StoreError> {
        let next = Superblock {
            generation: self.safety.generation + 1,
            synced: self.log.end,
            payload: payload.or_else(|| self.safety.payload.clone()),
            ..self.safety
        };
        safety::write(&mut self.disk, self.slot_bytes, &next)?;
        self.safety = next;
        Ok(())
    }

    /// Writes records, as many at once as fit the segment.
    fn append(&mut self, mut bytes: Vec<u8>, records: &[(u8, usize)]) -> Result<Vec<RecordAt>, StoreError> {
        if let Some((_, bytes)) = records.iter().find(|(_, bytes)| *bytes > RECORD_BYTES_MAX) {
            return Err(StoreError::RecordTooLarge { bytes: *bytes, max: RECORD_BYTES_MAX });
        }
        let mut written = Vec::with_capacity(records.len());
        let mut rest = &mut bytes[..];
        let mut records = records;
        while !records.is_empty() {
            let room = self.options.segment_bytes.saturating_sub(self.segment_used());
            let (count, length) = fitting(records, room);
            if count == 0 && self.segment_used() > 0 {
                self.roll()?;
                continue;
            }
            // A record that no segment takes has one to itself.
            let (count, length) = if count == 0 { fitting(&records[..1], u64::MAX) } else { (count, length) };
            let (run, later) = rest.split_at_mut(length as usize);
            self.write_run(run, &records[..count], &mut written)?;
            (rest, records) = (later, &records[count..]);
        }
        Ok(written)
    }

    /// Seals the records of `run` and writes them with one write, into space that is reserved first: a full disk is
    /// met before anything is half written.
    fn write_run(
        &mut self,
        run: &mut [u8],
        records: &[(u8, usize)],
        written: &mut Vec<RecordAt>,
    ) -> Result<(), StoreError> {
        let mut end = self.log.end;
        let mut rest = &mut *run;
        for (kind, length) in records {
            let (record, later) = rest.split_at_mut(RECORD_HEADER_BYTES as usize + length);
            let chain = RecordHeader::seal(*kind, self.safety.generation, &end, record);
            let at = RecordAt { offset: end.offset, number: end.records, length: *length as u32 };
            written.push(at);
            end = Position { offset: at.end(), records: at.number + 1, chain };
            rest = later;
        }
        let name = segment_name(self.last_segment());
        let offset = SEGMENT_HEADER_BYTES + self.segment_used();
        self.reserve(&name, offset + run.len() as u64)?;
        self.disk.write(&name, offset, run)?;
        self.log.end = end;
        Ok(())
    }

    /// Reserves space in the last segment up to `end`, and a little ahead.
    fn reserve(&mut self, name: &str, end: u64) -> Result<(), StoreError> {
        if end > self.reserved {
            let whole = SEGMENT_HEADER_BYTES + self.options.segment_bytes;
            let ahead = self.reserved + self.options.reserve_bytes;
            let length = ahead.min(whole).max(end);
            self.disk.allocate(name, length)?;
            self.reserved = length;
        }
        Ok(())
    }

    /// Begins the next segment. The one before is synced first, so that only the last can ever be torn.
    fn roll(&mut self) -> Result<(), StoreError> {
        let number = self.last_segment();
        self.disk.sync(&segment_name(number))?;
        let header = SegmentHeader { stamp: self.safety.stamp, number: number + 1, start: self.log.end };
        create_segment(&mut self.disk, &header)?;
        self.log.segments.push(self.log.end);
        self.reserved = SEGMENT_HEADER_BYTES;
        Ok(())
    }

    fn last_segment(&self) -> u64 {
        self.log.segments.len() as u64 - 1
    }

    /// Bytes of records in the last segment.
    fn segment_used(&self) -> u64 {
        self.log.end.offset - self.log.segments[self.log.segments.len() - 1].offset
    }
}

/// How many of `records`, from the first on, fit into `room`, and their bytes.
fn fitting(records: &[(u8, usize)], room: u64) -> (usize, u64) {
    let mut total = 0;
    for (count, (_, length)) in records.iter().enumerate() {
        let with = total + RECORD_HEADER_BYTES + *length as u64;
        if with > room {
            return (count, total);
        }
        total = with;
    }
    (records.len(), total)
}

fn create_segment<D: Disk>(disk: &mut D, header: &SegmentHeader) -> Result<(), StoreError> {
    let name = segment_name(header.number);
    disk.create(&name)?;
    disk.allocate(&name, SEGMENT_HEADER_BYTES)?;
    disk.write(&name, 0, &header.encode())?;
    Ok(disk.sync(&name)?)
}

/// Removes what an interrupted creation left; an error if there is more than that.
fn clear_unfinished<D: Disk>(disk: &mut D) -> Result<(), StoreError> {
    let files = disk.list()?;
    let segments: Vec<&String> = files.iter().filter(|name| segment_number(name).is_some()).collect();
    let has_safety = files.iter().any(|name| name == SAFETY_FILE);
    if !has_safety && !segments.is_empty() {
        return Err(StoreError::Missing { missing: SAFETY_FILE.to_owned() });
    }
    if has_safety && !safety::is_unfinished(disk)? {
        return Err(StoreError::Exists);
    }
    for name in segments {
        if disk.length(name)? > SEGMENT_HEADER_BYTES {
            return Err(StoreError::Exists);
        }
        disk.remove(name)?;
    }
    if has_safety {
        disk.remove(SAFETY_FILE)?;
    }
    Ok(())
}

/// Everything that opening learns without writing.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub safety: safety::Safety,
    pub scan: log::Scan,
    pub recovered: Recovered,
}

/// Reads and checks the whole store. `expected` is whose it must be; without it, whoever the safety file names.
pub(crate) fn inspect<D: Disk>(
    disk: &D,
    expected: Option<Stamp>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Inspection, StoreError> {
    let has_log = log::segment_numbers(disk)? > 0;
    let has_safety = disk.list()?.iter().any(|name| name == SAFETY_FILE);
    match (has_safety, has_log) {
        (false, false) => return Err(StoreError::Empty),
        (false, true) => return Err(StoreError::Missing { missing: SAFETY_FILE.to_owned() }),
        (true, false) if safety::is_unfinished(disk)? => return Err(StoreError::Empty),
        (true, _) => {}
    }
    // The safety record first: a node that is running while we read only adds to the log afterwards.
    let safety = safety::load(disk)?;
    let newest = &safety.newest;
    let stamp = newest.stamp;
    if let Some(expected) = expected.filter(|expected| *expected != stamp) {
        return Err(StoreError::WrongOwner { found: Box::new(stamp), expected: Box::new(expected) });
    }
    let moved = newest.identity != disk.identity(SAFETY_FILE)?;
    let scan = log::scan(disk, &stamp, newest.synced, progress)?;
    let (known, record) = scan.generation;
    // A node that is running while we read may have written newer generations since; look again before judging.
    if known > newest.generation && known > safety::load(disk)?.newest.generation {
        return Err(StoreError::Stale { found: newest.generation, known, record });
    }
    let recovered = Recovered {
        safety: newest.payload.clone(),
        stamp,
        generation: newest.generation,
        safety_copies: safety.copies,
        safety_damaged: safety.damaged,
        records: scan.log.end.records,
        records_unsynced: scan.log.end.records - newest.synced.records,
        torn_bytes: scan.torn_bytes,
        moved,
    };
    Ok(Inspection { safety, scan, recovered })
}

/// Makes the log on the medium what the scan has seen: nothing after its end, everything before it synced.
///
/// The part that was not known to be synced is written again, not only synced: after a failed sync the system may hold
/// bytes as clean that never reached the medium, and would not write them for a sync alone.
fn settle_log<D: Disk>(disk: &mut D, stamp: &Stamp, found: &Inspection) -> Result<(), StoreError> {
    if let Some(number) = found.scan.torn_segment {
        disk.remove(&segment_name(number))?;
    }
    let end = found.scan.log.end;
    let number = found.scan.log.segments.len() as u64 - 1;
    let start = found.scan.log.segments[number as usize];
    let name = segment_name(number);
    let file_offset = |offset: u64| SEGMENT_HEADER_BYTES + offset - start.offset;
    let synced = found.safety.newest.synced.offset;
    let mut buffer = vec![0; CHUNK as usize];
    if synced <= start.offset {
        disk.write(&name, 0, &SegmentHeader { stamp: *stamp, number, start }.encode())?;
    }
    let mut at = file_offset(synced.max(start.offset));
    while at < file_offset(end.offset) {
        let n = (file_offset(end.offset) - at).min(CHUNK) as usize;
        let n = disk.read(&name, at, &mut buffer[..n])?;
        disk.write(&name, at, &buffer[..n])?;
        at += n as u64;
    }
    buffer.fill(0);
    let zero_end = at + found.scan.torn_bytes;
    while at < zero_end {
        let n = (zero_end - at).min(CHUNK);
        disk.write(&name, at, &buffer[..n as usize])?;
        at += n;
    }
    Ok(disk.sync(&name)?)
}
