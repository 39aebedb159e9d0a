//! What a terminal says of itself.

use std::os::fd::{AsFd, AsRawFd};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

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

/// A terminal that does not show what is typed, for as long as this lives. What is no terminal stays as it is.
pub struct Hidden<F: AsFd> {
    terminal: F,
    shown: Option<Termios>,
    when: SetArg,
}

impl<F: AsFd> Hidden<F> {
    /// `when`: whether what has been typed already is dropped (`TCSAFLUSH`) or kept (`TCSADRAIN`).
    pub fn new(terminal: F, when: SetArg) -> Hidden<F> {
        let shown = tcgetattr(terminal.as_fd()).ok();
        if let Some(mut hidden) = shown.clone() {
            hidden.local_flags.remove(LocalFlags::ECHO);
            let _ = tcsetattr(terminal.as_fd(), when, &hidden);
        }
        Hidden { terminal, shown, when }
    }

    pub fn is_terminal(&self) -> bool {
        self.shown.is_some()
    }
}

impl<F: AsFd> Drop for Hidden<F> {
    fn drop(&mut self) {
        if let Some(shown) = &self.shown {
            let _ = tcsetattr(self.terminal.as_fd(), self.when, shown);
        }
    }
}
