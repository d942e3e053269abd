//! Key files: one secret key each, readable by its owner only, encrypted if a passphrase was given.
//!
//! ```text
//! juno secret key 1                         juno secret key 1
//! public: 64 hexadecimal digits             public: 64 hexadecimal digits
//! seed: 64 hexadecimal digits               kdf: argon2id memory=65536 passes=3 lanes=1
//!                                           salt: 32 hexadecimal digits
//!                                           sealed: 120 hexadecimal digits
//! ```
//!
//! `sealed` is a nonce of 12 bytes and the seed under ChaCha20-Poly1305, with the lines above as associated data, so
//! that neither the public key nor the cost of the key derivation can be changed unseen.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use wire::hash::{decode_hex, decode_hex_bytes, encode_hex};
use wire::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::{ConfigError, read_text, write_new};

const FIRST_LINE: &str = "juno secret key 1";
/// The most memory (KiB) and passes that a file may ask of whoever opens it.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 16;

/// Where a passphrase comes from.
#[derive(Debug, Clone, Default)]
pub struct PassphraseSource {
    /// A file, readable by its owner only, whose first line it is.
    pub file: Option<PathBuf>,
    /// The value of `JUNO_PASSPHRASE`.
    pub variable: Option<Zeroizing<String>>,
    /// Whether somebody sits at a terminal to be asked.
    pub may_ask: bool,
}

impl PassphraseSource {
    /// The file if given, else the environment, else the terminal if there is one.
    pub fn new(file: Option<PathBuf>) -> PassphraseSource {
        use std::io::IsTerminal;
        let variable = std::env::var("JUNO_PASSPHRASE").ok().map(Zeroizing::new);
        PassphraseSource { file, variable, may_ask: std::io::stdin().is_terminal() }
    }

    /// The passphrase that opens `path`.
    fn for_opening(&self, path: &Path) -> Result<Zeroizing<String>, ConfigError> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        if !self.may_ask {
            return Err(ConfigError::PassphraseWanted(path.to_owned()));
        }
        ask(&format!("Passphrase of {}: ", path.display()))
    }

    /// The passphrase for a new key file.
    ///
    /// # Errors
    /// If there is none to be had, or the two that were typed differ.
    pub fn for_sealing(&self) -> Result<Zeroizing<String>, ConfigError> {
        let passphrase = match self.given()? {
            Some(given) => given,
            None if self.may_ask => {
                let first = ask("New passphrase: ")?;
                if *first != *ask("The same again: ")? {
                    return Err(ConfigError::Passphrase("the two differ; nothing was written".into()));
                }
                first
            }
            None => {
                let why = "set JUNO_PASSPHRASE, give --passphrase-file FILE, or run it at a terminal";
                return Err(ConfigError::Passphrase(why.into()));
            }
        };
        if passphrase.is_empty() {
            return Err(ConfigError::Passphrase("it must not be empty".into()));
        }
        Ok(passphrase)
    }

    fn given(&self) -> Result<Option<Zeroizing<String>>, ConfigError> {
        let Some(file) = &self.file else { return Ok(self.variable.clone()) };
        check_secret_mode(file)?;
        let text = Zeroizing::new(read_text(file)?);
        Ok(Some(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())))
    }
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, ConfigError> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|e| ConfigError::Passphrase(e.to_string()))
}

/// Refuses a file that its group or everyone can read.
///
/// # Errors
/// With the command that repairs it.
pub fn check_secret_mode(path: &Path) -> Result<(), ConfigError> {
    let read = |e: std::io::Error| ConfigError::Read { path: path.to_owned(), why: e.to_string() };
    let mode = std::fs::metadata(path).map_err(read)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 { Err(ConfigError::Open { path: path.to_owned(), mode }) } else { Ok(()) }
}

/// A key file as it lies on disk, not opened yet.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    /// The public key.
    pub public: PublicKey,
    secret: Secret,
}

#[derive(Debug)]
enum Secret {
    Plain(Zeroizing<[u8; 32]>),
    Sealed { kdf: Kdf, salt: [u8; 16], sealed: Vec<u8> },
}

/// The cost of turning a passphrase into a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kdf {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// 64 MiB, three passes: RFC 9106's second recommendation.
const KDF: Kdf = Kdf { memory_kib: 64 * 1024, passes: 3, lanes: 1 };

impl KeyFile {
    /// Reads a key file. Needs no passphrase; [`KeyFile::open`] does.
    ///
    /// # Errors
    /// If it can be read by others, or is no key file.
    pub fn read(path: &Path) -> Result<KeyFile, ConfigError> {
        check_secret_mode(path)?;
        let text = Zeroizing::new(read_text(path)?);
        KeyFile::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<KeyFile, ConfigError> {
        let form = |why: &str| ConfigError::Form { path: path.to_owned(), why: why.to_owned() };
        let mut lines = text.lines();
        match lines.next() {
            Some(FIRST_LINE) => {}
            Some(line) if line.starts_with("juno secret key ") => {
                return Err(form(&format!("this format (\"{line}\") is not known to this build; use a newer one")));
            }
            _ => return Err(form(&format!("this is no key file; its first line must be \"{FIRST_LINE}\""))),
        }
        let mut field = |name: &str| -> Result<Option<&str>, ConfigError> {
            match lines.next() {
                None => Ok(None),
                Some(line) => line
                    .strip_prefix(name)
                    .and_then(|rest| rest.strip_prefix(": "))
                    .map(Some)
                    .ok_or_else(|| form(&format!("expected the line \"{name}: ...\""))),
            }
        };
        let missing = |name: &str| form(&format!("the line \"{name}: ...\" is missing"));
        let hex = |name: &str| form(&format!("{name}: wrong hexadecimal digits"));
        let public = field("public")?.ok_or_else(|| missing("public"))?.parse().map_err(|_| hex("public"))?;
        let third = text.lines().nth(2).unwrap_or_default();
        let secret = if third.starts_with("kdf: ") {
            let kdf = field("kdf")?.ok_or_else(|| missing("kdf"))?;
            let kdf = Kdf::parse(kdf).ok_or_else(|| form("kdf: not one this build knows, or too costly"))?;
            let salt = decode_hex(field("salt")?.ok_or_else(|| missing("salt"))?).map_err(|_| hex("salt"))?;
            let sealed = field("sealed")?.ok_or_else(|| missing("sealed"))?;
            Secret::Sealed { kdf, salt, sealed: decode_hex_bytes(sealed).map_err(|_| hex("sealed"))? }
        } else {
            let seed = decode_hex(field("seed")?.ok_or_else(|| missing("seed"))?).map_err(|_| hex("seed"))?;
            Secret::Plain(Zeroizing::new(seed))
        };
        if lines.next().is_some() {
            return Err(form("there are lines after the key"));
        }
        Ok(KeyFile { path: path.to_owned(), public, secret })
    }

    /// True if opening it takes a passphrase.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.secret, Secret::Sealed { .. })
    }

    /// The secret key.
    ///
    /// # Errors
    /// If the passphrase is missing or wrong, or the secret is not the one of the public key.
    pub fn open(&self, source: &PassphraseSource) -> Result<SecretKey, ConfigError> {
        let seed = match &self.secret {
            Secret::Plain(seed) => seed.clone(),
            Secret::Sealed { kdf, salt, sealed } => {
                let passphrase = source.for_opening(&self.path)?;
                let header = header(&self.public, *kdf, salt);
                unseal(&passphrase, *kdf, salt, &header, sealed)
                    .ok_or_else(|| ConfigError::PassphraseWrong(self.path.clone()))?
            }
        };
        let key = SecretKey::from_seed(*seed);
        if key.public() != self.public {
            let why = "the seed does not belong to the public key; the file is damaged".to_owned();
            return Err(ConfigError::Form { path: self.path.clone(), why });
        }
        Ok(key)
    }
}

/// Reads and opens a key file.
///
/// # Errors
/// As [`KeyFile::read`] and [`KeyFile::open`].
pub fn read_key(path: &Path, source: &PassphraseSource) -> Result<SecretKey, ConfigError> {
    KeyFile::read(path)?.open(source)
}

/// Writes a new key file with mode 0600, encrypted if there is a passphrase.
///
/// # Errors
/// If the file exists or cannot be written.
pub fn write_key(path: &Path, key: &SecretKey, passphrase: Option<&str>) -> Result<(), ConfigError> {
    let text = match passphrase {
        None => {
            let seed = Zeroizing::new(encode_hex(&**key.seed()));
            Zeroizing::new(format!("{FIRST_LINE}\npublic: {}\nseed: {}\n", key.public(), *seed))
        }
        Some(passphrase) => Zeroizing::new(seal(key, passphrase)?),
    };
    write_new(path, &text, 0o600)
}

impl Kdf {
    fn parse(text: &str) -> Option<Kdf> {
        let mut words = text.split(' ');
        if words.next() != Some("argon2id") {
            return None;
        }
        let mut number = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=')?.parse::<u32>().ok();
        let kdf = Kdf { memory_kib: number("memory")?, passes: number("passes")?, lanes: number("lanes")? };
        let fair = kdf.memory_kib <= MEMORY_KIB_MAX && kdf.passes <= PASSES_MAX && kdf.lanes <= 16;
        (fair && words.next().is_none()).then_some(kdf)
    }

    fn derive(self, passphrase: &str, salt: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let params = argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()?;
        let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut key = Zeroizing::new([0; 32]);
        argon2.hash_password_into(passphrase.as_bytes(), salt, &mut *key).ok()?;
        Some(key)
    }
}

fn header(public: &PublicKey, kdf: Kdf, salt: &[u8; 16]) -> String {
    let Kdf { memory_kib, passes, lanes } = kdf;
    let salt = encode_hex(salt);
    format!(
        "{FIRST_LINE}\npublic: {public}\nkdf: argon2id memory={memory_kib} passes={passes} lanes={lanes}\nsalt: {salt}\n"
    )
}

fn seal(key: &SecretKey, passphrase: &str) -> Result<String, ConfigError> {
    let failed = |what: &str| ConfigError::Passphrase(format!("{what} failed; the key was not written"));
    let (mut salt, mut nonce) = ([0; 16], [0; NONCE_LEN]);
    random(&mut salt)?;
    random(&mut nonce)?;
    let header = header(&key.public(), KDF, &salt);
    let derived = KDF.derive(passphrase, &salt).ok_or_else(|| failed("the key derivation"))?;
    let cipher = UnboundKey::new(&CHACHA20_POLY1305, &*derived).map_err(|_| failed("the cipher"))?;
    let mut sealed = key.seed().to_vec();
    LessSafeKey::new(cipher)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header.as_bytes()), &mut sealed)
        .map_err(|_| failed("the cipher"))?;
    Ok(format!("{header}sealed: {}{}\n", encode_hex(&nonce), encode_hex(&sealed)))
}

fn unseal(passphrase: &str, kdf: Kdf, salt: &[u8; 16], header: &str, sealed: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let derived = kdf.derive(passphrase, salt)?;
    let cipher = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &*derived).ok()?);
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let seed =
        cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(header.as_bytes()), &mut sealed).ok()?;
    Some(Zeroizing::new((&*seed).try_into().ok()?))
}

/// Random bytes of the system.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), ConfigError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| ConfigError::Passphrase("the system gave no random bytes".into()))
}

/// A new secret key.
///
/// # Errors
/// If the system has no randomness to give.
pub(crate) fn generate_key() -> Result<SecretKey, ConfigError> {
    let mut seed = Zeroizing::new([0; 32]);
    random(&mut *seed)?;
    Ok(SecretKey::from_seed(*seed))
}
