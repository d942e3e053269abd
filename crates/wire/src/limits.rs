//! Every limit on what is read from others, in one place; relations between them are checked at compile time.

/// Voters in one membership.
pub const VOTERS_MAX: usize = 4096;
/// Keys in one threshold guard.
pub const GUARD_KEYS_MAX: usize = 32;
/// Signatures on one command.
pub const SIGNERS_MAX: usize = 16;
/// Bytes of one command's payload.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one signed command: payload, fields and signatures.
pub const COMMAND_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 4096;
/// Commands in one block.
pub const BLOCK_ENTRIES_MAX: usize = 8192;
/// Bytes of all entries of one block.
pub const BLOCK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of all commands that wait at one node to be ordered.
pub const POOL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Commands in one submission.
pub const SUBMIT_COMMANDS_MAX: usize = 16 * 1024;
/// Bytes of one frame on a peer link or a client stream.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Blocks a voter keeps and votes for above its committed height.
pub const WINDOW_HEIGHTS_MAX: u64 = 64;
/// Headers that link the votes of one certificate.
pub const CERTIFICATE_HEADERS_MAX: usize = WINDOW_HEIGHTS_MAX as usize + 1;
/// Blocks in one answer to a fetch.
pub const FETCH_BLOCKS_MAX: usize = 256;
/// Characters of a name of a party, account, node or cluster.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes of the text of an outcome.
pub const OUTCOME_TEXT_BYTES_MAX: usize = 512;
/// Bytes of the result of a command: a value, or an error with its fields.
pub const RESULT_BYTES_MAX: usize = 256;
/// Bytes of any text.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Elements of a list with no tighter bound of its own.
pub const LIST_LEN_MAX: usize = 1 << 20;
/// Sequences of one (party, session) that may be ahead of the lowest unanswered one.
pub const SEQUENCE_WINDOW: u64 = 1 << 16;
/// Milliseconds a command's expiry may lie ahead of the block's time.
pub const EXPIRY_AHEAD_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Milliseconds a block's time may run ahead of a voter's own clock before the voter waits.
pub const BLOCK_TIME_AHEAD_MS_MAX: u64 = 5_000;

const _: () = assert!(COMMAND_BYTES_MAX <= BLOCK_BYTES_MAX, "every command fits a block");
const _: () = assert!(2 * BLOCK_BYTES_MAX <= FRAME_BYTES_MAX, "a full block with its certificates fits a frame");
const _: () = assert!(OUTCOME_TEXT_BYTES_MAX <= TEXT_BYTES_MAX);
const _: () = assert!(
    BLOCK_ENTRIES_MAX * (OUTCOME_TEXT_BYTES_MAX + RESULT_BYTES_MAX + 168) <= FRAME_BYTES_MAX,
    "the receipts of a full block fit a frame"
);
const _: () = assert!(SUBMIT_COMMANDS_MAX >= BLOCK_ENTRIES_MAX);
