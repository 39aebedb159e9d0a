//! The terminal while a command draws on it: the alternate screen, keys one by one, signals in their order. It is given
//! back however that ends.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use nix::sys::time::TimeSpec;

use super::Out;
use crate::output::{order, table};
use crate::sys::signal::{self, Caught, Disposition};

/// The alternate screen without a cursor, and back.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// What would end or stop the process while the terminal is not as others expect it.
const CAUGHT: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGWINCH];

pub enum Event {
    /// The time is over.
    Time,
    Keys(Vec<u8>),
    /// There is no keyboard any more.
    End,
    Signal(Signal),
}

/// Gives the terminal back when dropped.
pub struct Screen {
    keyboard: File,
    screen: File,
    before: Termios,
    /// Given back after the terminal, so that no signal comes in between.
    _caught: Caught,
}

impl Screen {
    pub fn take(keyboard: &File, screen: &File) -> nix::Result<Screen> {
        let copy = |file: &File| file.try_clone().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)));
        let mut taken = Screen {
            before: termios::tcgetattr(keyboard)?,
            keyboard: copy(keyboard)?,
            screen: copy(screen)?,
            _caught: Caught::new(&CAUGHT),
        };
        taken.enter()?;
        Ok(taken)
    }

    fn enter(&mut self) -> nix::Result<()> {
        let mut raw = self.before.clone();
        raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        termios::tcsetattr(&self.keyboard, SetArg::TCSADRAIN, &raw)?;
        // What cannot be written shows with the first lines.
        let _ = self.screen.write_all(ENTER);
        Ok(())
    }

    fn leave(&mut self) {
        let _ = self.screen.write_all(LEAVE);
        let _ = termios::tcsetattr(&self.keyboard, SetArg::TCSADRAIN, &self.before);
    }

    /// Writes lines over those that are there: no flicker, since nothing is cleared before it is written again.
    pub fn show(&mut self, out: &mut Out, lines: Vec<Vec<u8>>, columns: usize) -> std::io::Result<()> {
        let mut text = b"\x1b[H".to_vec();
        let count = lines.len();
        for (index, mut line) in lines.into_iter().enumerate() {
            table::cut(&mut line, columns);
            text.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(&line));
            text.extend_from_slice(b"\x1b[K");
            text.extend_from_slice(if index + 1 < count { b"\r\n" } else { b"\x1b[J" });
        }
        out.write_all(&text)?;
        out.flush()
    }

    /// Waits for keys, a signal or the end of the time.
    pub fn wait(&self, keyboard: &File, seconds: f64) -> nix::Result<Event> {
        let time = TimeSpec::from_duration(std::time::Duration::from_secs_f64(seconds));
        match signal::wait_readable(keyboard.as_fd(), Some(time)) {
            Ok(false) => Ok(Event::Time),
            Err(Errno::EINTR) => {
                let mut signals: Vec<Signal> = signal::take().collect();
                // Those that end it come first.
                order::sort_by_key(&mut signals, |signal| matches!(signal, Signal::SIGWINCH | Signal::SIGTSTP));
                Ok(signals.first().map_or(Event::Time, |signal| Event::Signal(*signal)))
            }
            Err(error) => Err(error),
            Ok(true) => {
                let mut keys = vec![0; 64];
                let mut keyboard = keyboard;
                Ok(match keyboard.read(&mut keys) {
                    Ok(0) | Err(_) => Event::End,
                    Ok(len) => Event::Keys(keys[..len].to_vec()),
                })
            }
        }
    }

    /// Stops, as Ctrl-Z asks, and takes the terminal again afterwards.
    pub fn suspend(&mut self) -> nix::Result<()> {
        self.leave();
        signal::set(Signal::SIGTSTP, Disposition::Default)?;
        signal::send(nix::unistd::getpid().as_raw(), libc::SIGTSTP)?;
        signal::set(Signal::SIGTSTP, Disposition::Catch)?;
        self.before = termios::tcgetattr(&self.keyboard)?;
        self.enter()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}
