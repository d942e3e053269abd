//! The language server: diagnostics, hover, definitions and layout for editors, over the Language Server Protocol 3.17.
//!
//! ```text
//! client --message--> Server --answer--> client
//!                       |--family--> compile --check--> diagnostics
//!                       |--resolve--> declaration --hover--> text
//! ```
//!
//! * [`Server`] is a value without I/O: messages in, messages out. [`serve`] turns the wheel, [`serve_stdio`] does it over stdio.
//! * A document is compiled along with its imports. A module is looked for among documents that are open and contracts in the
//!   document's folder, which [`Files`] reads, then in the library.
//! * Names are found in the syntax tree, so they are found in a file with faults, too. What the tree does not say comes from the
//!   compiler: types of `let`s, costs. Of a module that is there in its deployed form only, declarations are shown, and a
//!   definition is where it is imported.
//! * Columns are UTF-16 units. Changes come as ranges or whole texts.
//!
//! Left out on purpose: completion and renaming, which want types while a text is wrong.

mod check;
mod declarations;
mod documents;
mod hover;
mod resolve;
mod server;
mod text;

use std::io;

use hopper::library::Library;
use lsp_server::Connection;

pub(crate) use declarations::comment;
pub use documents::{Disk, Files};
pub(crate) use hover::{signature, text};
pub use server::Server;

/// Serves a client until it says `exit` or is gone. True if it took its leave in order, with `shutdown` and then `exit`.
pub fn serve(connection: &Connection, server: &mut Server) -> bool {
    let mut next = connection.receiver.recv().ok();
    while let Some(message) = next {
        if let Some(answer) = server.on_message(message)
            && connection.sender.send(answer).is_err()
        {
            return false;
        }
        if let Some(orderly) = server.ended() {
            return orderly;
        }
        // While more comes, what is typed now would be compiled for nothing.
        next = connection.receiver.try_recv().ok();
        if next.is_none() {
            for told in server.diagnostics() {
                if connection.sender.send(told).is_err() {
                    return false;
                }
            }
            next = connection.receiver.recv().ok();
        }
    }
    false
}

/// Serves a client over standard input and output; imports are found on disk and in a library.
///
/// # Errors
/// If what comes in is no message, or standard output cannot be written.
pub fn serve_stdio(library: Library) -> io::Result<bool> {
    let (connection, threads) = Connection::stdio();
    let orderly = serve(&connection, &mut Server::new(library, Box::new(Disk)));
    // The thread that writes ends once nobody sends to it any more.
    drop(connection);
    threads.join()?;
    Ok(orderly)
}
