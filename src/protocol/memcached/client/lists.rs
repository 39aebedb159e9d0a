//! The client's half that listens: lists of keys, and what a server tells while it works. Only the text protocol has them.
//! Neither waits for more than one piece of what comes, so that the caller can do something else in between.

use std::io::{Read, Write};

use super::{Client, Error, Login, Result};
use crate::protocol::memcached::dump::{self, Form, Item};
use crate::protocol::memcached::text::Refusal;
use crate::protocol::memcached::watch::{self, Event};

/// What is done with an item; false ends the list.
pub type TakeItem<'a> = &'a mut dyn FnMut(&Item<'_>) -> Result<bool>;

/// What somebody who watches hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    Begin,
    Event(&'a Event<'a>),
    Skipped(u64),
}

/// What is done with it; false leaves the rest for the next time.
pub type TakeHeard<'a> = &'a mut dyn FnMut(Heard<'_>) -> Result<bool>;

impl<S: Read + Write> Client<S> {
    /// The items that have come; whether the list has ended. Where none has come, waits for more first.
    pub fn items(&mut self, form: Form, take: TakeItem<'_>) -> Result<bool> {
        let held = self.wire.held();
        let mut used = 0;
        let mut ended = Ok(false);
        while let Ok(false) = ended {
            match dump::line(form, &held[used..]).map_err(Error::Malformed)? {
                None => break,
                Some((line, length)) => {
                    used += length;
                    ended = match line {
                        dump::Line::Begin => Ok(false),
                        dump::Line::Item(item) => take(&item).map(|more| !more),
                        dump::Line::End => Ok(true),
                        dump::Line::Refused(refusal) => Err(refused(refusal)),
                    };
                }
            }
        }
        self.wire.used(used);
        if used == 0 && matches!(ended, Ok(false)) {
            self.wire.receive()?;
        }
        ended
    }

    /// What has been heard. Where nothing was, waits for more first.
    pub fn hear(&mut self, take: TakeHeard<'_>) -> Result<()> {
        let held = self.wire.held();
        let mut used = 0;
        let mut more = Ok(true);
        while let Ok(true) = more {
            match watch::line(&held[used..]).map_err(Error::Malformed)? {
                None => break,
                Some((line, length)) => {
                    used += length;
                    more = match line {
                        watch::Line::Begin => take(Heard::Begin),
                        watch::Line::Event(event) => take(Heard::Event(&event)),
                        watch::Line::Skipped(count) => take(Heard::Skipped(count)),
                        watch::Line::Refused(refusal) => Err(refused(refusal)),
                    };
                }
            }
        }
        self.wire.used(used);
        if used == 0 && more.is_ok() {
            self.wire.receive()?;
        }
        more.map(|_| ())
    }
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Client(text) if text.starts_with(b"unauthenticated") => Error::Login(Login::Text),
        refusal => Error::Refused(refusal),
    }
}
