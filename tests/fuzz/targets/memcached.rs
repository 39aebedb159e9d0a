//! A memcached server's replies, element by element, its lists of keys and what it tells, line by line. None of them changes
//! when more bytes follow it.
#![no_main]

use sidebox::inspect::memcached::keyspace::{Cut, Prefixes, Summary, tally};
use sidebox::protocol::memcached::dump::{self, Form};
use sidebox::protocol::memcached::meta;
use sidebox::protocol::memcached::text::{Element, element};
use sidebox::protocol::memcached::watch;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(Some((found, used))) = element(rest) {
        assert_eq!(element(&rest[..used]), Ok(Some((found.clone(), used))));
        if let Element::Meta(code, line) = found {
            let _ = meta::reply(code, line);
        }
        rest = &rest[used..];
    }
    for form in [Form::Meta, Form::Mg, Form::Cache] {
        let mut summary = Summary::default();
        let mut prefixes = Prefixes::new(Cut { delimiters: b":/".to_vec(), depth: 2 });
        let mut rest = data;
        while let Ok(Some((found, used))) = dump::line(form, rest) {
            assert_eq!(dump::line(form, &rest[..used]), Ok(Some((found.clone(), used))));
            if let dump::Line::Item(item) = found {
                let facts = item.facts();
                let tally = tally(&facts, 1_795_805_582);
                summary.add(&facts, &tally);
                prefixes.add(item.key(&mut Vec::new()), &tally);
            }
            rest = &rest[used..];
        }
        assert_eq!(summary.lives().map(|(_, bucket)| bucket.items).sum::<u64>(), summary.all.count);
        assert!(prefixes.found.len() as u64 <= summary.all.count);
    }
    let mut rest = data;
    while let Ok(Some((found, used))) = watch::line(rest) {
        assert_eq!(watch::line(&rest[..used]), Ok(Some((found.clone(), used))));
        if let watch::Line::Event(event) = found {
            assert!(event.fields().map(|(_, value)| value.len()).sum::<usize>() <= used);
            let _ = event.key(&mut Vec::new());
        }
        rest = &rest[used..];
    }
});
