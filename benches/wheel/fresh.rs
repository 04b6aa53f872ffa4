//! Memory that was never used before, for workloads that begin cold.
//!
//! What an allocator is given back it gives out again, warm; whether and when it returns memory to
//! the system is its own affair. So a cold workload allocates from a region asked of the system for
//! that one time, which is so large that allocators map it and unmap it.

// A bench wraps the allocator; the library forbids this.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};

/// Regions are no smaller: allocators may keep less than this instead of returning it. What is not
/// touched costs nothing.
const SIZE_MIN: usize = 64 << 20;

/// Pages begin at multiples of this.
const ALIGNMENT: usize = 4096;

#[global_allocator]
static ALLOCATOR: Fresh = Fresh;

/// The region there is, or null. Set and reset by `in_fresh_memory` only.
static BASE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static SIZE: AtomicUsize = AtomicUsize::new(0);
/// Bytes of the region given out. None is given out twice.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Allocations in the region that were not freed.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Takes an allocation out of the region while there is one and as long as it suffices, and out of
/// the system's allocator otherwise.
struct Fresh;

/// Runs `work` with `bytes` of memory never used before; what it allocates beyond comes from
/// wherever the system's allocator takes it.
///
/// All that is allocated meanwhile has to be freed when `work` returns, or the process aborts.
pub(crate) fn in_fresh_memory<R>(bytes: usize, work: impl FnOnce() -> R) -> R {
    let size = bytes.max(SIZE_MIN);
    let layout = Layout::from_size_align(size, ALIGNMENT).expect("the size of a region");
    // SAFETY: The layout is not of size zero.
    let base = unsafe { System.alloc(layout) };
    assert!(!base.is_null(), "no memory for a region");
    USED.store(0, SeqCst);
    SIZE.store(size, SeqCst);
    BASE.store(base, SeqCst);

    let result = work();

    USED.store(size, SeqCst);
    if LIVE.load(SeqCst) > 0 {
        // Nothing may be unwound or printed any more: that would free what is in the region.
        process::abort();
    }
    BASE.store(ptr::null_mut(), SeqCst);
    // SAFETY: Allocated above with this layout, and nothing in it is in use.
    unsafe { System.dealloc(base, layout) };
    result
}

/// An allocation in the region. It is zeroed, as fresh memory is.
fn carve(layout: Layout) -> Option<*mut u8> {
    let base = BASE.load(SeqCst);
    if base.is_null() {
        return None;
    }
    LIVE.fetch_add(1, SeqCst);
    let place = USED.try_update(SeqCst, SeqCst, |used| {
        let end = used.next_multiple_of(layout.align()) + layout.size();
        (layout.align() <= ALIGNMENT && end <= SIZE.load(SeqCst)).then_some(end)
    });
    match place {
        // SAFETY: The closure has found that the allocation ends within the region.
        Ok(used) => Some(unsafe { base.add(used.next_multiple_of(layout.align())) }),
        Err(_) => {
            LIVE.fetch_sub(1, SeqCst);
            None
        }
    }
}

fn is_of_region(pointer: *mut u8) -> bool {
    let base = BASE.load(SeqCst);
    !base.is_null() && (base.addr()..base.addr() + SIZE.load(SeqCst)).contains(&pointer.addr())
}

// SAFETY: The region's parts are disjoint and aligned, and freed with it once none is in use; all
// else is the system's allocator.
unsafe impl GlobalAlloc for Fresh {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: The caller's promise.
        carve(layout).unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: The caller's promise.
        carve(layout).unwrap_or_else(|| unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if is_of_region(pointer) {
            LIVE.fetch_sub(1, SeqCst);
        } else {
            // SAFETY: The caller's promise; what is not of the region is the system's.
            unsafe { System.dealloc(pointer, layout) };
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !is_of_region(pointer) {
            // SAFETY: The caller's promise; what is not of the region is the system's.
            return unsafe { System.realloc(pointer, layout, size) };
        }
        // SAFETY: The caller promises that this size, aligned, is no overflow, and that the old
        // allocation is of `layout`; the two are disjoint.
        unsafe {
            let grown = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !grown.is_null() {
                ptr::copy_nonoverlapping(pointer, grown, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            grown
        }
    }
}
