//! The bytes on the disk. All integers are big-endian; `docs/disk.md` says the same in prose.
//!
//! * A **segment** is `log-<number, 8 digits>.seg`: a 512-byte header, then records, then zeros.
//! * A **record** is a 22-byte header and its payload. Its checksum covers the log offset it belongs at and the
//!   checksum of the record before it, so a record is valid in one place of one log only.
//! * The **safety file** is four slots of equal size; see [`crate::safety`].

use crate::error::Stamp;

/// Bytes of a segment's header; the first record follows.
pub const SEGMENT_HEADER_BYTES: u64 = 512;
/// Bytes of a record's header.
pub const RECORD_HEADER_BYTES: u64 = 22;
/// The largest payload of one record.
pub const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The safety file.
pub const SAFETY_FILE: &str = "safety.dat";
/// Bytes of a safety slot that are not payload.
pub const SLOT_OVERHEAD: usize = SLOT_FIXED + 4;

const SEGMENT_MAGIC: [u8; 8] = *b"JUNOLOG\0";
const SLOT_MAGIC: [u8; 8] = *b"JUNOSAFE";
const VERSION: u32 = 1;
/// First byte of every record: tells a record from the zeros after the last one.
pub(crate) const RECORD_MARK: u8 = 0xa7;
const SLOT_FIXED: usize = 121;

/// The file name of segment `number`.
pub(crate) fn segment_name(number: u64) -> String {
    format!("log-{number:08}.seg")
}

/// The number of a segment file, or `None` for any other name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-")?.strip_suffix(".seg")?;
    let number = digits.parse().ok()?;
    // One name per number: no sign, no missing or extra zeros.
    (segment_name(number) == name).then_some(number)
}

/// A place between two records of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Log bytes before it: record headers and payloads, segment headers not counted.
    pub offset: u64,
    /// Records before it.
    pub records: u64,
    /// Checksum of the record before it, or [`Stamp::chain`] at the start.
    pub chain: u32,
}

impl Position {
    pub fn start(stamp: &Stamp) -> Self {
        Position { offset: 0, records: 0, chain: stamp.chain() }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

fn array_at(bytes: &[u8], at: usize) -> [u8; 32] {
    bytes[at..at + 32].try_into().expect("32 bytes")
}

/// A segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub stamp: Stamp,
    pub number: u64,
    /// Where in the log its first record stands. Everything before was synced before this header was written.
    pub start: Position,
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES as usize] {
        let mut out = [0; SEGMENT_HEADER_BYTES as usize];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_be_bytes());
        out[12..44].copy_from_slice(&self.stamp.cluster);
        out[44..76].copy_from_slice(&self.stamp.node);
        out[76..84].copy_from_slice(&self.number.to_be_bytes());
        out[84..92].copy_from_slice(&self.start.offset.to_be_bytes());
        out[92..100].copy_from_slice(&self.start.records.to_be_bytes());
        out[100..104].copy_from_slice(&self.start.chain.to_be_bytes());
        let crc = crc32c::crc32c(&out[..104]);
        out[104..108].copy_from_slice(&crc.to_be_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() < SEGMENT_HEADER_BYTES as usize {
            return Err("the segment header is cut short");
        }
        if u32_at(bytes, 104) != crc32c::crc32c(&bytes[..104]) {
            return Err("the segment header's checksum does not match");
        }
        if u32_at(bytes, 8) != VERSION {
            return Err("the segment is of a format version that this build does not know");
        }
        let header = SegmentHeader {
            stamp: Stamp { cluster: array_at(bytes, 12), node: array_at(bytes, 44) },
            number: u64_at(bytes, 76),
            start: Position { offset: u64_at(bytes, 84), records: u64_at(bytes, 92), chain: u32_at(bytes, 100) },
        };
        // Catches the magic and the padding: there is one encoding.
        if header.encode()[..] != bytes[..SEGMENT_HEADER_BYTES as usize] {
            return Err("the segment header is not in its one encoding");
        }
        Ok(header)
    }
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub kind: u8,
    pub length: u32,
    /// Checksum of the record before.
    pub previous: u32,
    /// Generation of the safety record that was durable when this one was written.
    pub generation: u64,
    pub crc: u32,
}

impl RecordHeader {
    /// Fills the first [`RECORD_HEADER_BYTES`] of `record`, whose payload follows them, and returns its checksum.
    pub fn seal(kind: u8, generation: u64, at: &Position, record: &mut [u8]) -> u32 {
        let (header, payload) = record.split_at_mut(RECORD_HEADER_BYTES as usize);
        header[0] = RECORD_MARK;
        header[1] = kind;
        header[2..6].copy_from_slice(&(payload.len() as u32).to_be_bytes());
        header[6..10].copy_from_slice(&at.chain.to_be_bytes());
        header[10..18].copy_from_slice(&generation.to_be_bytes());
        let crc = record_crc(at.offset, &header[..18], payload);
        header[18..22].copy_from_slice(&crc.to_be_bytes());
        crc
    }

    /// Reads a header; the checksum is judged by [`RecordHeader::check`], once the payload is there.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes[0] != RECORD_MARK {
            return Err("no record starts here");
        }
        let length = u32_at(bytes, 2);
        if length as usize > RECORD_BYTES_MAX {
            return Err("the record's length is beyond the limit");
        }
        let (previous, generation) = (u32_at(bytes, 6), u64_at(bytes, 10));
        Ok(RecordHeader { kind: bytes[1], length, previous, generation, crc: u32_at(bytes, 18) })
    }

    /// Whether `record` (header and payload) is what was written at log offset `offset`.
    pub fn check(&self, offset: u64, record: &[u8]) -> Result<(), &'static str> {
        let (header, payload) = record.split_at(RECORD_HEADER_BYTES as usize);
        if record_crc(offset, &header[..18], payload) == self.crc {
            Ok(())
        } else {
            Err("the record's checksum does not match")
        }
    }
}

fn record_crc(offset: u64, header: &[u8], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&offset.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, header), payload)
}

/// One generation of the safety record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub generation: u64,
    pub stamp: Stamp,
    /// Identity of the safety file when this was written.
    pub identity: u64,
    /// The log up to here was synced before this was written.
    pub synced: Position,
    pub payload: Option<Vec<u8>>,
}

impl Superblock {
    pub fn encode(&self, slot: u32) -> Vec<u8> {
        let payload = self.payload.as_deref().unwrap_or_default();
        let mut out = Vec::with_capacity(SLOT_OVERHEAD + payload.len());
        out.extend_from_slice(&SLOT_MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&slot.to_be_bytes());
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.stamp.cluster);
        out.extend_from_slice(&self.stamp.node);
        out.extend_from_slice(&self.identity.to_be_bytes());
        out.extend_from_slice(&self.synced.offset.to_be_bytes());
        out.extend_from_slice(&self.synced.records.to_be_bytes());
        out.extend_from_slice(&self.synced.chain.to_be_bytes());
        out.push(u8::from(self.payload.is_some()));
        out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        debug_assert_eq!(out.len(), SLOT_FIXED);
        out.extend_from_slice(payload);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads slot `slot`; bytes after the checksum are left over from an earlier generation and mean nothing.
    pub fn decode(slot: u32, bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() < SLOT_OVERHEAD || bytes[..8] != SLOT_MAGIC {
            return Err("no safety record stands here");
        }
        let length = u32_at(bytes, 117) as usize;
        if length > bytes.len() - SLOT_OVERHEAD {
            return Err("the safety record's length is beyond its slot");
        }
        let end = SLOT_FIXED + length;
        if u32_at(bytes, end) != crc32c::crc32c(&bytes[..end]) {
            return Err("the safety record's checksum does not match");
        }
        if u32_at(bytes, 8) != VERSION {
            return Err("the safety record is of a format version that this build does not know");
        }
        let block = Superblock {
            generation: u64_at(bytes, 16),
            stamp: Stamp { cluster: array_at(bytes, 24), node: array_at(bytes, 56) },
            identity: u64_at(bytes, 88),
            synced: Position { offset: u64_at(bytes, 96), records: u64_at(bytes, 104), chain: u32_at(bytes, 112) },
            payload: (bytes[116] == 1).then(|| bytes[SLOT_FIXED..end].to_vec()),
        };
        // Each generation has its own pair of slots; anything else was written to the wrong place.
        if u32_at(bytes, 12) != slot || block.generation % 2 != u64::from(slot / 2) {
            return Err("the safety record belongs in another slot");
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { cluster: [1; 32], node: [2; 32] };

    #[test]
    fn names() {
        assert_eq!(segment_name(7), "log-00000007.seg");
        assert_eq!(segment_number("log-00000007.seg"), Some(7));
        assert_eq!(segment_number("log-123456789.seg"), Some(123_456_789));
        for wrong in ["log-7.seg", "log-+0000007.seg", "log-000000007.seg", "log-00000007.seg.bak", "safety.dat"] {
            assert_eq!(segment_number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn golden_bytes_of_the_format() {
        let start = Position { offset: 300, records: 4, chain: 0x0102_0304 };
        let header = SegmentHeader { stamp: STAMP, number: 9, start };
        let mut golden = vec![crc32c::crc32c(&header.encode())];
        let mut record = vec![0; 22];
        record.extend_from_slice(b"hello");
        RecordHeader::seal(3, 8, &start, &mut record);
        golden.push(crc32c::crc32c(&record));
        let block =
            Superblock { generation: 6, stamp: STAMP, identity: 77, synced: start, payload: Some(b"vote".to_vec()) };
        golden.push(crc32c::crc32c(&block.encode(1)));
        // Segment header, record, safety slot. Another number here is another format: raise the version.
        assert_eq!(golden, [0xdbbe_2cda, 0x34b7_a631, 0xe885_55dc], "{golden:#x?}");
    }

    #[test]
    fn headers_return_what_was_written_and_nothing_else() {
        let start = Position { offset: 300, records: 4, chain: 0x0102_0304 };
        let header = SegmentHeader { stamp: STAMP, number: 9, start };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for at in 0..bytes.len() {
            let mut flipped = bytes;
            flipped[at] ^= 4;
            assert!(SegmentHeader::decode(&flipped).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_slot_is_valid_in_its_place_only() {
        let synced = Position::start(&STAMP);
        for payload in [None, Some(vec![]), Some(vec![5; 40])] {
            let block = Superblock { generation: 6, stamp: STAMP, identity: 77, synced, payload };
            let mut bytes = block.encode(1);
            bytes.resize(512, 0xee);
            assert_eq!(Superblock::decode(1, &bytes), Ok(block));
            for other in [0, 2, 3] {
                assert!(Superblock::decode(other, &bytes).is_err());
            }
        }
    }
}
