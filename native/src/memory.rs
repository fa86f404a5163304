//! Memory that goes back to the system.

/// Give back what was let go of and only the allocator keeps.
///
/// After large work, such as reading a zone, it keeps tens of megabytes for more of the same,
/// which comes once a day.  Other threads may answer meanwhile, as they allocate nothing.
#[allow(unsafe_code)]
pub fn give_back() {
    // SAFETY: it takes no pointer, and what it returns to the system nobody points to.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}
