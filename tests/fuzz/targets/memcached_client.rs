//! A whole conversation with a server that answers with these bytes, whatever it is asked.
#![no_main]

use std::io::{self, Read, Write};

use sidebox::inspect::memcached::doctor::{Snapshot, examine};
use sidebox::inspect::memcached::{Facts, Limits, capacity, check, rates, tables};
use sidebox::protocol::memcached::client::{Client, Dialect, Fetch, Heard, collect};
use sidebox::protocol::memcached::dump::Form;

struct Answers<'a>(&'a [u8]);

impl Read for Answers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Answers<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for dialect in [Dialect::Text, Dialect::Binary] {
        let client = || Client::new(Answers(data), dialect);
        let mut items = Vec::new();
        let fetch = Fetch { keys: &[b"k", b"l"], cas: true, touch: None };
        let _ = client().fetch(&fetch, &mut collect(&mut items, 1 << 16));
        let _ = client().meta(b"mg k v", None, 1 << 16);
        let _ = client().login(b"user", b"password");
        let _ = client().flush(0);
        let mut listener = client();
        while listener.items(Form::Meta, &mut |item| Ok(item.facts().size != Some(7))).is_ok_and(|ended| !ended) {}
        while listener.hear(&mut |heard| Ok(heard != Heard::Begin)).is_ok() {}
        if let Ok(stats) = client().stats(None) {
            let _ = check(&Facts::new(&stats), &Limits::default());
            let _ = capacity(&stats, 1024);
            let classes = tables::classes(&stats, &stats);
            classes.iter().for_each(|class| drop((class.full(), class.waste(), tables::mark(class, &classes))));
            let _ = rates::digest(&stats, &stats, 1.0);
            let (now, settings) = (stats.clone(), stats.clone());
            let mut snapshot = Snapshot { now, settings, classes, clock: Some(0), ..Snapshot::default() };
            drop(examine(&snapshot));
            (snapshot.before, snapshot.seconds) = (Some(stats), 0.0);
            drop(examine(&snapshot));
        }
    }
});
