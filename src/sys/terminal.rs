//! What a terminal says of itself.

use std::os::fd::{AsFd, AsRawFd};

/// The width in columns (ioctl_tty(2), TIOCGWINSZ). `None` for what is no terminal or does not know.
pub fn columns(file: impl AsFd) -> Option<usize> {
    size(file).map(|(columns, _)| columns).filter(|columns| *columns > 0)
}

/// Columns and lines, either of which may be 0 where the terminal does not know.
pub fn size(file: impl AsFd) -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel fills the structure that it is given, or fails.
    let asked = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &mut size) };
    (asked == 0).then_some((usize::from(size.ws_col), usize::from(size.ws_row)))
}
