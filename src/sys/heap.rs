//! The allocator: lists of free blocks by size, in front of the C library's, whose bookkeeping takes more than half of
//! the time of a shell's loop (musl's malloc 0.9 of dash's time for an empty loop, dlmalloc 0.8, this 0.5).
//!
//! A block of up to 2 KiB comes from the list of its size class, or is cut off a chunk, and goes back to that list,
//! never to the system. What is larger, or unusually aligned, is the C library's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;

/// The step between size classes, and the alignment of every block.
const UNIT: usize = 16;
const LARGEST: usize = 2048;
const CLASSES: usize = LARGEST / UNIT;
const CHUNK: Layout = match Layout::from_size_align(32 * 1024, UNIT) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two"),
};

pub struct Heap;

struct Blocks {
    /// By size class: the first free block, whose first word is the next one.
    free: [*mut u8; CLASSES],
    /// What is left of the chunk.
    rest: *mut u8,
    left: usize,
}

thread_local! {
    /// Each thread's own: a lock would take a third of the time. A block may be given back to another thread than the one
    /// that took it. Neither made nor dropped at run time, so that an allocator may use it.
    static BLOCKS: UnsafeCell<Blocks> = const {
        UnsafeCell::new(Blocks { free: [ptr::null_mut(); CLASSES], rest: ptr::null_mut(), left: 0 })
    };
}

fn with<T>(change: impl FnOnce(&mut Blocks) -> T) -> T {
    // SAFETY: nobody else has this thread's blocks, and no `change` comes here again.
    BLOCKS.with(|blocks| change(unsafe { &mut *blocks.get() }))
}

/// The size class, where there is one for this layout.
fn class(size: usize, align: usize) -> Option<usize> {
    if size.wrapping_sub(1) < LARGEST && align <= UNIT { Some((size - 1) / UNIT) } else { None }
}

impl Blocks {
    fn take(&mut self, class: usize) -> *mut u8 {
        let head = self.free[class];
        if !head.is_null() {
            // SAFETY: a free block is at least UNIT bytes, aligned, ours, and its first word was written by `give`.
            self.free[class] = unsafe { *head.cast() };
            return head;
        }
        self.cut((class + 1) * UNIT)
    }

    /// A new block from the chunk.
    #[cold]
    #[inline(never)]
    fn cut(&mut self, size: usize) -> *mut u8 {
        if self.left < size {
            // SAFETY: the layout is not empty. What was left of the last chunk is given up.
            self.rest = some(unsafe { System.alloc(CHUNK) });
            self.left = CHUNK.size();
        }
        let block = self.rest;
        self.left -= size;
        // SAFETY: `left` says that the chunk goes on that far.
        self.rest = unsafe { block.add(size) };
        block
    }

    fn give(&mut self, class: usize, block: *mut u8) {
        // SAFETY: the block is of this class, so at least UNIT bytes, aligned, and nobody uses it any more.
        unsafe { *block.cast() = self.free[class] };
        self.free[class] = block;
    }
}

/// No memory is left, and nothing here goes on without it: one line and dash's status, instead of Rust's abort.
#[cold]
#[inline(never)]
fn exhausted() -> ! {
    let message = b"sidebox: out of memory\n";
    // SAFETY: the kernel reads no more than the message.
    unsafe { libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len()) };
    super::exit(2)
}

/// A block that is there.
fn some(block: *mut u8) -> *mut u8 {
    if block.is_null() { exhausted() } else { block }
}

// SAFETY: blocks do not overlap, are as large and aligned as their class, and go back to the same class, which the layout
// alone decides.
unsafe impl GlobalAlloc for Heap {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout.size(), layout.align()) {
            Some(class) => with(|blocks| blocks.take(class)),
            // SAFETY: the caller's promise.
            None => some(unsafe { System.alloc(layout) }),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match class(layout.size(), layout.align()) {
            Some(class) => {
                let block = with(|blocks| blocks.take(class));
                // SAFETY: the block is at least that large.
                unsafe { block.write_bytes(0, layout.size()) };
                block
            }
            // Pages that come from the kernel need not be touched.
            // SAFETY: the caller's promise.
            None => some(unsafe { System.alloc_zeroed(layout) }),
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class(layout.size(), layout.align()) {
            Some(class) => with(|blocks| blocks.give(class, block)),
            // SAFETY: no class: it came from there.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match (class(layout.size(), layout.align()), class(size, layout.align())) {
            // SAFETY: it came from there, and the caller promises the rest.
            (None, None) => some(unsafe { System.realloc(block, layout, size) }),
            (old, new) if old == new => block,
            _ => {
                // SAFETY: the caller promises a size that is not zero and makes a layout; the two blocks are apart.
                unsafe {
                    let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                    ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                    self.dealloc(block, layout);
                    moved
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_and_keep_their_bytes() {
        let heap = Heap;
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: every block is used within its layout, and freed once.
        unsafe {
            let first = heap.alloc(layout(24));
            let second = heap.alloc(layout(32));
            assert_eq!(second.addr() - first.addr(), 32);
            first.write_bytes(7, 24);
            let grown = heap.realloc(first, layout(24), 32);
            assert_eq!(grown, first);
            let moved = heap.realloc(grown, layout(32), 2000);
            assert_eq!(std::slice::from_raw_parts(moved, 24), [7; 24]);
            assert_eq!(heap.alloc(layout(17)), first);
            let back = heap.realloc(moved, layout(2000), 5);
            assert_eq!(std::slice::from_raw_parts(back, 5), [7; 5]);
            heap.dealloc(back, layout(5));
            heap.dealloc(second, layout(32));
            assert_eq!(heap.alloc(layout(32)), second);
        }
    }

    #[test]
    fn unusual_layouts_are_served() {
        let heap = Heap;
        // SAFETY: as above.
        unsafe {
            let layout = Layout::from_size_align(64, 64).unwrap();
            let block = heap.alloc(layout);
            assert_eq!(block.addr() % 64, 0);
            heap.dealloc(block, layout);
        }
    }
}
