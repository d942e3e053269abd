//! Every bound of the shell, in one place. Bounds on what a frame may hold stand in [`wire::limits`].

use std::time::Duration;

use wire::limits::{FRAME_BYTES_MAX, SUBMIT_COMMANDS_MAX};

/// Time for a TLS handshake, and for a stream's greeting.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Peer connections that may be in their handshake at once.
pub const HANDSHAKES_MAX: usize = 64;
/// Inbound links one identity may hold; past it the oldest is closed.
pub const INBOUND_LINKS_MAX: usize = 4;
/// Time without a byte in the middle of a frame, or to write one buffer, before a connection is given up.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Silence after which the kernel probes the other end of a connection.
pub const KEEPALIVE: Duration = Duration::from_secs(5);
/// Time after which bytes a peer does not acknowledge end its link.
pub const PEER_UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// The same for clients, who may pause.
pub const CLIENT_UNACKNOWLEDGED: Duration = Duration::from_secs(60);
/// Least time between two warnings about connections refused at the peer port.
pub const WARNING_INTERVAL: Duration = Duration::from_secs(5);

/// Shortest wait before dialling a peer again.
pub const REDIAL_MIN: Duration = Duration::from_millis(50);
/// Longest wait before dialling a peer again.
pub const REDIAL_MAX: Duration = Duration::from_secs(2);
/// First wait imposed on a peer whose link was closed for what it sent; doubles up to [`PENALTY_MAX`].
pub const PENALTY_MIN: Duration = Duration::from_millis(200);
/// Longest wait imposed on such a peer.
pub const PENALTY_MAX: Duration = Duration::from_secs(10);
/// Offences on one link before it is closed. Bytes that do not decode close it at once.
pub const OFFENCES_PER_LINK_MAX: u32 = 16;

/// Frames waiting for one connected peer.
pub const OUTBOX_FRAMES_MAX: usize = 4096;
/// Bytes waiting for one connected peer, at most.
pub const OUTBOX_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes waiting for all connected peers, shared equally among them; broadcasts count once for each.
pub const OUTBOXES_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Bytes kept for a peer that is not connected: enough for the messages of a start, too little to go stale.
pub const OUTBOX_OFFLINE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes gathered into one write; larger frames are written by themselves.
pub const WRITE_BYTES: usize = 64 * 1024;

/// Bytes of all peers' frames between their sockets and the replica, shared equally among the voters.
pub const PEERS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of one peer's frames between its sockets and the replica, at least.
pub const PEER_BYTES_MIN: usize = 4 * FRAME_BYTES_MAX;
/// Bytes of commands passed on by one peer that wait to be checked; beyond, they are dropped, for their sender keeps
/// them. Half of a peer's bytes, so that statements find room.
pub const FORWARD_BYTES_MAX: usize = PEER_BYTES_MIN / 2;
/// What a queued frame is counted as beyond its own bytes.
pub const FRAME_OVERHEAD_BYTES: usize = 256;
/// Frames of one peer a worker takes at once.
pub const FRAMES_PER_TAKE: usize = 64;

/// Bytes of all clients' requests between their sockets and the replica.
pub const CLIENTS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes a client's connection may buffer without drawing on [`CLIENTS_BYTES_MAX`].
pub const CLIENT_BYTES_FREE: usize = 16 * 1024;
/// Commands waiting for their signatures to be checked.
pub const UNCHECKED_COMMANDS_MAX: usize = 64 * 1024;
/// Submissions waiting for their signatures to be checked.
pub const SUBMISSIONS_MAX: usize = 16 * 1024;
/// Commands a worker takes at once. Two full batches: a vote that arrives meanwhile waits a few milliseconds.
pub const COMMANDS_PER_TAKE: usize = 512;
/// Takes of peers' statements in a row while commands wait; then commands get one.
pub const PEER_TAKES_IN_A_ROW: u32 = 8;

/// Messages of peers given to the replica in one turn.
pub const TURN_MESSAGES_MAX: usize = 1024;
/// Commands given to the replica in one turn, except that one submission is never split.
pub const TURN_COMMANDS_MAX: usize = 8 * 1024;
/// Checked commands waiting for the replica.
pub const CHECKED_COMMANDS_MAX: usize = 64 * 1024;
/// Queries waiting for the replica.
pub const REQUESTS_MAX: usize = 1024;
/// Queries answered between two turns.
pub const TURN_REQUESTS_MAX: usize = 64;
/// Rows read for queries between two turns, except that one query is never split: a millisecond or two.
pub const TURN_ROWS_MAX: usize = 1024;
/// Turns whose outcome waits to be told to clients.
pub const TOLD_TURNS_MAX: usize = 64;
/// Least time between two published statuses.
pub const STATUS_INTERVAL: Duration = Duration::from_millis(50);
/// Age of the published status past which the replica counts as stuck.
pub const STATUS_AGE_MAX: Duration = Duration::from_secs(10);

/// Commands whose results are held for polling.
pub const RECENT_COMMANDS_MAX: usize = 100_000;
/// Bytes of results held for polling.
pub const RECENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Commands known to be under way; past it the oldest are forgotten and poll as unknown.
pub const PENDING_COMMANDS_MAX: usize = 256 * 1024;
/// Commands that long polls wait for, all together.
pub const WAITED_COMMANDS_MAX: usize = 128 * 1024;
/// Commands one long poll may name.
pub const WAIT_COMMANDS_MAX: usize = 4096;
/// Longest a long poll waits.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a request waits for the replica before it is told to come back.
pub const REPLICA_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams open at once.
pub const STREAMS_MAX: usize = 1024;
/// Sessions one stream may follow.
pub const SESSIONS_PER_STREAM_MAX: usize = 1024;
/// Frames waiting for one stream's client.
pub const STREAM_FRAMES_MAX: usize = 4096;
/// Bytes waiting for one stream's client.
pub const STREAM_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes waiting for all streams' clients. Once reached, a stream with more than its share is cut off.
pub const STREAMS_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of a stream's first frame.
pub const HELLO_BYTES_MAX: usize = 8 * 1024;

/// HTTP connections open at once.
pub const HTTP_CONNECTIONS_MAX: usize = 1024;
/// Bytes of one HTTP request's body.
pub const HTTP_BODY_BYTES_MAX: usize = FRAME_BYTES_MAX;
/// Time to send a request's headers; also how long an idle connection is kept.
pub const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Time to send a request's body.
pub const HTTP_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for connections to end by themselves when the node stops.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(3);

const _: () = assert!(UNCHECKED_COMMANDS_MAX >= SUBMIT_COMMANDS_MAX, "every submission fits the queue");
const _: () = assert!(CHECKED_COMMANDS_MAX >= SUBMIT_COMMANDS_MAX, "every submission fits the queue");
const _: () = assert!(STREAM_BYTES_MAX >= FRAME_BYTES_MAX, "every reply fits a stream's queue");
const _: () = assert!(OUTBOX_BYTES_MAX >= FRAME_BYTES_MAX, "every message fits a peer's queue");
const _: () = assert!(CLIENTS_BYTES_MAX >= 4 * FRAME_BYTES_MAX);
