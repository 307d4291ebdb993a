//! The file that holds space on the disk.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, StatVfs, fallocate, fstatvfs},
    io::Errno,
};

use crate::embedded::data_folder;

/// The most bytes of the reserve.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// On a small disk, the reserve is the size of the disk divided by this number.
const DISK_PARTS: u64 = 8;
/// The reserve is released in this many steps.
const STEPS: u64 = 16;
/// The fewest bytes of a step.
const STEP_BYTES_MIN: u64 = 128 * 1024;
/// How many zeros are written at a time, on a file system that cannot allocate space otherwise.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// The reserve, and the disk that it is on.
pub(super) struct Reserve {
    folder: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl Reserve {
    /// Opens the reserve without filling it.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let file = data_folder::open_private(&folder.join("reserve"))?;
        let disk = fstatvfs(&file)?;
        let disk_bytes = disk.f_blocks.saturating_mul(disk.f_frsize);
        Ok(Self {
            folder: folder.to_owned(),
            bytes: file.metadata()?.len(),
            bytes_max: BYTES_MAX.min(disk_bytes / DISK_PARTS),
            file,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Whether at most half of the reserve is left.
    pub(super) const fn is_low(&self) -> bool {
        self.bytes <= self.bytes_max / 2
    }

    /// The free bytes of the disk.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        let StatVfs {
            f_bavail, f_frsize, ..
        } = fstatvfs(&self.file)?;
        Ok(f_bavail.saturating_mul(f_frsize))
    }

    /// Allocates what is missing. After an error the reserve is as before.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        if self.bytes >= self.bytes_max {
            return Ok(());
        }
        let missing = self.bytes_max - self.bytes;
        let allocated = match fallocate(&self.file, FallocateFlags::empty(), self.bytes, missing) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeros(missing),
            result => result.map_err(io::Error::from),
        };
        match allocated {
            Ok(()) => self.bytes = self.bytes_max,
            // The system may have allocated a part.
            Err(_) => self.file.set_len(self.bytes)?,
        }
        allocated
    }

    /// Releases a part. Returns `false` if nothing was left.
    pub(super) fn release_step(&mut self) -> io::Result<bool> {
        if self.bytes == 0 {
            return Ok(false);
        }
        let step = (self.bytes_max / STEPS).max(STEP_BYTES_MIN);
        let bytes = self.bytes.saturating_sub(step);
        self.file.set_len(bytes)?;
        self.bytes = bytes;
        Ok(true)
    }

    fn write_zeros(&mut self, bytes: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.bytes))?;
        let mut missing = bytes;
        while missing > 0 {
            let count = usize::try_from(missing)
                .unwrap_or(usize::MAX)
                .min(ZEROS.len());
            self.file.write_all(&ZEROS[..count])?;
            missing -= count as u64;
        }
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_reserve_occupies_its_space_until_it_is_released_in_steps() {
        let folder = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::open(folder.path()).unwrap();
        assert_eq!(reserve.bytes(), 0);
        reserve.fill().unwrap();
        assert_eq!(reserve.bytes(), reserve.bytes_max());
        assert!(!reserve.is_low());
        let allocated = reserve.file.metadata().unwrap().blocks() * 512;
        assert!(allocated >= reserve.bytes_max(), "{allocated} bytes");
        // A later process finds the filled reserve.
        let mut reserve = Reserve::open(folder.path()).unwrap();
        let mut steps = 0;
        while reserve.release_step().unwrap() {
            steps += 1;
        }
        assert!((STEPS..=STEPS + 1).contains(&steps), "{steps} steps");
        assert_eq!(reserve.file.metadata().unwrap().len(), 0);
        assert!(reserve.is_low());
    }

    #[test]
    fn zeros_occupy_space_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::open(folder.path()).unwrap();
        reserve.write_zeros(100_000).unwrap();
        assert_eq!(reserve.file.metadata().unwrap().len(), 100_000);
    }
}
