//! The memory allocator of the process: mimalloc, which gives freed memory back to the system at once.
//!
//! The allocator of the C library keeps much of what was freed. With a memory limit of 512 MiB, the kernel killed a process that held at
//! most 358 MiB of large bodies and sessions. mimalloc with its default delay of 1 s also exceeded the limit.
//!
//! On Linux, the process uses no transparent huge pages. The first byte that is used of a huge page takes 2 MiB of memory, so a gateway
//! without requests had 44 MiB, of which 24 MiB were pages of zeros. The feature `no_thp` of libmimalloc-sys stops mimalloc from asking for them.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of `mimalloc.h`: how long freed memory is kept, in milliseconds.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Makes the allocator give freed memory back at once, and the kernel use no huge pages for this process. Call this at the start of the
/// process. The environment variable `MIMALLOC_PURGE_DELAY` has no effect then.
pub fn save_memory() {
    // SAFETY: the function stores a number for a valid option. mimalloc allows this call at any time, from any thread.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
    #[cfg(target_os = "linux")]
    refuse_huge_pages();
}

/// Some systems use huge pages without being asked (`/sys/kernel/mm/transparent_hugepage/enabled` is `always`). If the kernel does not
/// know the option, the process only needs more memory.
#[cfg(target_os = "linux")]
fn refuse_huge_pages() {
    let (set, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: this option reads no memory of the caller and changes only a flag of the process.
    let _result = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, set, unused, unused, unused) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of the option could change with a new version of mimalloc.
    #[test]
    fn the_option_is_the_delay_of_purges() {
        // SAFETY: the function reads a number of a valid option.
        let default_ms = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(default_ms, 1_000);
        save_memory();
        // SAFETY: as above.
        let delay_ms = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(delay_ms, 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_uses_no_huge_pages_for_the_process() {
        refuse_huge_pages();
        let unused: libc::c_ulong = 0;
        // SAFETY: this option reads no memory of the caller.
        let is_refused =
            unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, unused, unused, unused, unused) };
        assert_eq!(is_refused, 1);
    }
}
