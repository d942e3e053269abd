//! A disk in memory that loses what a real one may lose, from a seed.
//!
//! Each file remembers every content its sectors (512 bytes) and every length it has had since its last sync. A crash
//! picks, for each sector and for the length, one of these: so unsynced writes survive whole, torn, out of order or
//! not at all, and synced ones always survive. Faults are given by the number of the operation (`create`, `write`,
//! `allocate`, `sync` and `remove` count; reads do not), so that a test can stop at each in turn.
//!
//! Clones of a [`MemDisk`] are handles on one disk. After [`MemDisk::crash`] only the handle that crashed it, and
//! clones taken from that later, still work: a process that lost its power cannot go on writing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::{Disk, DiskError, Usage};

/// Bytes that reach the medium together or not at all.
pub const SECTOR_BYTES: usize = 512;

/// A deterministic disk in memory. See the module documentation.
#[derive(Debug, Clone)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
    /// Crashes this handle has lived through; one behind the disk's own count is a dead process.
    life: u64,
}

/// What goes wrong while the disk is in use. Operations count from 0, see [`MemDisk::operations`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// This operation and all later ones fail. What it was writing may still reach the medium.
    pub fail_from: Option<u64>,
    /// This one operation fails, the later ones work.
    pub fail_once: Option<u64>,
    /// Bytes that all files together may hold.
    pub capacity: Option<u64>,
    /// The write that is this operation lands this many bytes too far on.
    pub misdirect: Option<(u64, u64)>,
}

/// Which of the unsynced writes a crash keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// Each sector on its own, by the seed.
    #[default]
    Some,
    /// None of them.
    None,
    /// All of them: the process died, the machine did not.
    All,
}

/// How the power goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crash {
    /// Seed of every choice.
    pub seed: u64,
    /// Which unsynced writes survive.
    pub keep: Keep,
    /// Bits flipped anywhere on the disk, synced or not.
    pub bit_flips: u32,
}

#[derive(Debug, Clone)]
struct MemFile {
    data: Vec<u8>,
    identity: u64,
    /// Earlier contents of sectors since the last sync, oldest (the synced one) first.
    sectors: BTreeMap<usize, Vec<Vec<u8>>>,
    /// Earlier lengths since the last sync, oldest first.
    lengths: Vec<usize>,
}

#[derive(Debug, Clone)]
struct State {
    files: BTreeMap<String, MemFile>,
    seed: u64,
    created: u64,
    operations: u64,
    life: u64,
    faults: Faults,
    usage: Usage,
}

/// A seeded generator (splitmix64): small, fast, the same everywhere, and no secret.
#[derive(Debug, Clone)]
pub struct SplitMix(u64);

impl SplitMix {
    /// Starts from `seed`.
    pub fn new(seed: u64) -> Self {
        SplitMix(seed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        finish(self.0)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
}

/// Spreads the bits of `x`.
pub(crate) fn mix(x: u64) -> u64 {
    finish(x.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl MemDisk {
    /// An empty disk; `seed` decides the identities of its files.
    pub fn new(seed: u64) -> Self {
        let state = State {
            files: BTreeMap::new(),
            seed,
            created: 0,
            operations: 0,
            life: 0,
            faults: Faults::default(),
            usage: Usage::default(),
        };
        MemDisk { state: Arc::new(Mutex::new(state)), life: 0 }
    }

    /// Sets what goes wrong from now on, replacing earlier faults.
    pub fn fail(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Operations done so far: the number the next one will have.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Bytes that all files hold together.
    pub fn bytes_held(&self) -> u64 {
        self.lock().held()
    }

    /// Loses the power: unsynced writes survive as `crash` says, faults end, all other handles are dead.
    pub fn crash(&mut self, crash: &Crash) {
        let mut state = self.lock();
        state.life += 1;
        state.faults = Faults::default();
        let mut random = SplitMix::new(crash.seed);
        for file in state.files.values_mut() {
            file.crash(crash.keep, &mut random);
        }
        for _ in 0..crash.bit_flips {
            state.flip_any(&mut random);
        }
        let life = state.life;
        drop(state);
        self.life = life;
    }

    /// Flips bit `bit` (0 to 7) of byte `offset` of `file`; nothing if there is no such byte.
    pub fn flip_bit(&self, file: &str, offset: u64, bit: u8) {
        let mut state = self.lock();
        if let Some(byte) = state.files.get_mut(file).and_then(|f| f.data.get_mut(offset as usize)) {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// All bytes of `file`, or `None` if there is no such file.
    pub fn contents(&self, file: &str) -> Option<Vec<u8>> {
        self.lock().files.get(file).map(|f| f.data.clone())
    }

    /// A copy of every file on another disk, as `cp -a` makes it: same bytes, other identities.
    pub fn copied(&self, seed: u64) -> MemDisk {
        let copy = self.snapshot();
        {
            let mut state = copy.lock();
            state.seed = seed;
            let mut random = SplitMix::new(mix(seed));
            state.files.values_mut().for_each(|f| f.identity = random.draw());
        }
        copy
    }

    /// An image of the whole volume: same bytes, same identities. Restoring one cannot be seen from inside.
    pub fn snapshot(&self) -> MemDisk {
        let mut state = self.lock().clone();
        state.faults = Faults::default();
        MemDisk { life: state.life, state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere leaves the files as they are: nothing here is half done under the lock.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Locks the state for a live process.
    fn alive(&self, file: &str) -> Result<MutexGuard<'_, State>, DiskError> {
        let state = self.lock();
        if state.life == self.life { Ok(state) } else { Err(fault(file, "the power is gone")) }
    }
}

impl State {
    fn held(&self) -> u64 {
        self.files.values().map(|f| f.data.len() as u64).sum()
    }

    /// Counts an operation; `Err` if it is to fail, with whether its effect may still reach the medium.
    fn begin(&mut self) -> Result<u64, bool> {
        let operation = self.operations;
        self.operations += 1;
        match self.faults {
            Faults { fail_from: Some(k), .. } if operation >= k => Err(operation == k),
            Faults { fail_once: Some(k), .. } if operation == k => Err(true),
            _ => Ok(operation),
        }
    }

    fn file(&mut self, name: &str) -> Result<&mut MemFile, DiskError> {
        self.files.get_mut(name).ok_or_else(|| DiskError::NotFound { file: name.to_owned() })
    }

    /// Bytes by which `name` may still grow.
    fn room(&self) -> u64 {
        self.faults.capacity.map_or(u64::MAX, |c| c.saturating_sub(self.held()))
    }

    fn flip_any(&mut self, random: &mut SplitMix) {
        let held = self.held();
        if held == 0 {
            return;
        }
        let mut at = random.below(held);
        let bit = random.below(8);
        for file in self.files.values_mut() {
            let length = file.data.len() as u64;
            if at < length {
                file.data[at as usize] ^= 1 << bit;
                return;
            }
            at -= length;
        }
    }

    /// Writes as much of `bytes` as there is room for.
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let room = self.room();
        let file = self.file(name)?;
        let end = offset as usize + bytes.len();
        let fits = (file.data.len() as u64).saturating_add(room).min(end as u64) as usize;
        let kept = fits.saturating_sub(offset as usize).min(bytes.len());
        file.write(offset as usize, &bytes[..kept]);
        if kept < bytes.len() { Err(DiskError::Full { file: name.to_owned() }) } else { Ok(()) }
    }

    fn allocate(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        let room = self.room();
        let file = self.file(name)?;
        let fits = (file.data.len() as u64).saturating_add(room).min(length) as usize;
        file.grow(fits);
        if (fits as u64) < length { Err(DiskError::Full { file: name.to_owned() }) } else { Ok(()) }
    }
}

impl MemFile {
    fn grow(&mut self, length: usize) {
        if length > self.data.len() {
            self.lengths.push(self.data.len());
            self.data.resize(length, 0);
        }
    }

    fn sector(&self, sector: usize) -> Vec<u8> {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.data.len());
        let mut content = self.data[start..end].to_vec();
        content.resize(SECTOR_BYTES, 0);
        content
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.grow(offset + bytes.len());
        for sector in offset / SECTOR_BYTES..=(offset + bytes.len() - 1) / SECTOR_BYTES {
            let before = self.sector(sector);
            self.sectors.entry(sector).or_default().push(before);
        }
        self.data[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn sync(&mut self) {
        self.sectors.clear();
        self.lengths.clear();
    }

    fn crash(&mut self, keep: Keep, random: &mut SplitMix) {
        let pick = |versions: usize, random: &mut SplitMix| match keep {
            Keep::None => 0,
            Keep::All => versions,
            // `versions` itself stands for the present content.
            Keep::Some => random.below(versions as u64 + 1) as usize,
        };
        for (sector, versions) in std::mem::take(&mut self.sectors) {
            if let Some(content) = versions.get(pick(versions.len(), random)) {
                let start = sector * SECTOR_BYTES;
                let end = (start + SECTOR_BYTES).min(self.data.len());
                self.data[start..end].copy_from_slice(&content[..end - start]);
            }
        }
        let lengths = std::mem::take(&mut self.lengths);
        if let Some(length) = lengths.get(pick(lengths.len(), random)) {
            self.data.truncate(*length);
        }
    }
}

fn fault(file: &str, text: &str) -> DiskError {
    DiskError::Io { file: file.to_owned(), text: text.to_owned() }
}

const INJECTED: &str = "injected fault";

impl Disk for MemDisk {
    fn list(&self) -> Result<Vec<String>, DiskError> {
        Ok(self.alive("")?.files.keys().cloned().collect())
    }

    fn length(&self, file: &str) -> Result<u64, DiskError> {
        Ok(self.alive(file)?.file(file)?.data.len() as u64)
    }

    fn read(&self, file: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let mut state = self.alive(file)?;
        let data = &state.file(file)?.data;
        let start = (offset as usize).min(data.len());
        let n = buffer.len().min(data.len() - start);
        buffer[..n].copy_from_slice(&data[start..start + n]);
        Ok(n)
    }

    fn create(&mut self, file: &str) -> Result<(), DiskError> {
        let mut state = self.alive(file)?;
        let verdict = state.begin();
        if state.files.contains_key(file) {
            return Err(fault(file, "exists already"));
        }
        if verdict == Err(false) || (verdict == Err(true) && mix(state.operations).is_multiple_of(2)) {
            return Err(fault(file, INJECTED));
        }
        state.created += 1;
        let identity = mix(state.seed ^ mix(state.created));
        let made = MemFile { data: Vec::new(), identity, sectors: BTreeMap::new(), lengths: Vec::new() };
        state.files.insert(file.to_owned(), made);
        verdict.map(drop).map_err(|_| fault(file, INJECTED))
    }

    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.alive(file)?;
        match state.begin() {
            Ok(operation) => {
                let stray = match state.faults.misdirect {
                    Some((k, by)) if k == operation => by,
                    _ => 0,
                };
                state.usage.bytes_written += bytes.len() as u64;
                state.write(file, offset + stray, bytes)
            }
            Err(in_flight) => {
                if in_flight {
                    state.write(file, offset, bytes)?;
                }
                Err(fault(file, INJECTED))
            }
        }
    }

    fn allocate(&mut self, file: &str, length: u64) -> Result<(), DiskError> {
        let mut state = self.alive(file)?;
        match state.begin() {
            Ok(_) => state.allocate(file, length),
            Err(in_flight) => {
                if in_flight {
                    state.allocate(file, length)?;
                }
                Err(fault(file, INJECTED))
            }
        }
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        let mut state = self.alive(file)?;
        state.usage.syncs += 1;
        state.begin().map_err(|_| fault(file, INJECTED))?;
        state.file(file)?.sync();
        Ok(())
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        let mut state = self.alive(file)?;
        let verdict = state.begin();
        state.file(file)?;
        if verdict == Err(false) || (verdict == Err(true) && mix(state.operations).is_multiple_of(2)) {
            return Err(fault(file, INJECTED));
        }
        state.files.remove(file);
        verdict.map(drop).map_err(|_| fault(file, INJECTED))
    }

    fn identity(&self, file: &str) -> Result<u64, DiskError> {
        Ok(self.alive(file)?.file(file)?.identity)
    }

    fn usage(&self) -> Usage {
        self.lock().usage
    }
}
