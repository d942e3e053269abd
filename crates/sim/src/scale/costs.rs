//! What one step of work costs on one core, measured or read back.

use std::fmt;
use std::str::FromStr;

macro_rules! costs {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// Costs of single steps on one core, each in nanoseconds.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Costs {
            $($(#[$doc])* pub $field: f64,)*
        }

        impl Costs {
            /// Names of all costs, in the order of a saved set.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Name and value of each cost, in the order of [`Costs::NAMES`].
            pub fn values(&self) -> Vec<(&'static str, f64)> {
                vec![$((stringify!($field), self.$field)),*]
            }

            /// All costs from a function of their names, and the first name for which there is none.
            fn collect(mut value: impl FnMut(&'static str) -> Option<f64>) -> Result<Costs, String> {
                Ok(Costs { $($field: value(stringify!($field))
                    .ok_or_else(|| format!("there is no cost {}", stringify!($field)))?,)* })
            }
        }
    };
}

costs! {
    /// Signing one statement.
    sign_ns,
    /// Checking one signature by itself.
    verify_ns,
    /// Checking one signature in a batch of 256, each batch signed by 64 keys.
    verify_batch_ns,
    /// SHA-256, per byte of a long text.
    hash_byte_ns,
    /// Reading one command of a block's frame and finding its signature remembered, without the hashing of its bytes.
    check_command_ns,
    /// Reading one vote's frame and finding its signature remembered.
    check_statement_ns,
    /// Taking one command into the pool.
    admit_command_ns,
    /// A leader's work for one command on the replica thread, but for admission, execution and the log's bytes.
    lead_command_ns,
    /// Another voter's work for one command on the replica thread, but for admission, execution and the log's bytes.
    vote_command_ns,
    /// Executing one transfer, roots included.
    execute_command_ns,
    /// Appending one byte to the log: checksum and copy, without the medium.
    append_byte_ns,
    /// A turn of the replica in which nothing happens.
    turn_ns,
    /// A vote in a turn, whatever the number of voters.
    message_ns,
    /// What a vote in a turn costs more for each voter of the cluster.
    message_voter_ns,
    /// Making a certificate of votes, checking it and writing it into the safety record, whatever the number of voters.
    certificate_ns,
    /// What a certificate costs more for each voter of the cluster.
    certificate_voter_ns,
}

impl fmt::Display for Costs {
    /// One `name = value` in a line; [`FromStr`] reads it back without loss.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# nanoseconds on one core")?;
        self.values().iter().try_for_each(|(name, value)| writeln!(f, "{name} = {value}"))
    }
}

impl FromStr for Costs {
    type Err = String;

    fn from_str(text: &str) -> Result<Costs, String> {
        let mut found = std::collections::BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.split_once('=').ok_or_else(|| format!("not `name = value`: {line}"))?;
            let value: f64 = value.trim().parse().map_err(|_| format!("not a number: {line}"))?;
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!("a cost is at least zero: {line}"));
            }
            let name = name.trim();
            if !Costs::NAMES.contains(&name) || found.insert(name.to_owned(), value).is_some() {
                return Err(format!("unknown or repeated: {line}"));
            }
        }
        Costs::collect(|name| found.get(name).copied())
    }
}

/// What a node is made of, and its links. Chosen, not measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Threads that check messages and signatures, each with a core of its own.
    pub cores: usize,
    /// Threads that encrypt, decrypt and pass bytes to and from the kernel, each with a core of its own.
    pub io_threads: usize,
    /// One sync of a file, nanoseconds. The store does two for every safety record.
    pub sync_ns: f64,
    /// Time of the medium for one byte, nanoseconds.
    pub disk_byte_ns: f64,
    /// Time of the uplink for one byte, nanoseconds.
    pub wire_byte_ns: f64,
    /// One way on a link, nanoseconds, where no matrix of delays is given.
    pub delay_ns: f64,
    /// TLS and TCP for a message written by itself, nanoseconds, at each end.
    pub tls_message_ns: f64,
    /// TLS and TCP for a small message that is written together with one before it, nanoseconds, at each end.
    pub tls_coalesced_ns: f64,
    /// TLS and TCP for one byte of a long message, nanoseconds, at each end.
    pub tls_byte_ns: f64,
    /// Most commands in a block.
    pub block_commands: usize,
}

impl Default for Machine {
    fn default() -> Machine {
        Machine {
            cores: 4,
            io_threads: 2,
            sync_ns: 500_000.0,
            disk_byte_ns: 1.0,
            wire_byte_ns: 0.8,
            delay_ns: 50_000.0,
            tls_message_ns: 8_000.0,
            tls_coalesced_ns: 160.0,
            tls_byte_ns: 78_000.0 / 65_536.0,
            block_commands: 2000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_set_reads_back() {
        let mut next = 0.1;
        let costs = Costs::collect(|_| {
            next *= 3.0;
            Some(next)
        });
        let costs = costs.unwrap();
        assert_eq!(costs.to_string().parse::<Costs>().unwrap(), costs);
        assert!("sign_ns = 1".parse::<Costs>().is_err(), "all are needed");
        assert!(costs.to_string().replace("sign_ns", "sing_ns").parse::<Costs>().is_err());
        assert!("sign_ns = -1".parse::<Costs>().is_err());
    }
}
