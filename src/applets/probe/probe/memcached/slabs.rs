//! slabs, items: the memory by the size of what is in it.

use std::io::Write;
use std::time::{Duration, Instant};

use super::super::duration;
use super::options::Shared;
use super::server::{Server, Session};
use super::stats::fetch;
use super::{Answer, Ask, Outcome};
use crate::applet::Context;
use crate::inspect::memcached::tables::{self, mark, rows};
use crate::output::table::{self, Cell, Column};
use crate::output::{json::Object, units};
use crate::protocol::memcached::client::Stats;

/// Where the column of --interval stands.
const RATE: usize = 8;

fn number(value: Option<u64>) -> Cell {
    value.map_or(Cell::Unknown, Cell::Number)
}

fn size(value: Option<u64>) -> Cell {
    value.map_or(Cell::Unknown, |size| Cell::Shown(size, units::short(size)))
}

fn time(value: Option<u64>) -> Cell {
    value.map_or(Cell::Unknown, |seconds| Cell::Shown(seconds, units::duration(seconds)))
}

fn percent(value: Option<f64>) -> Cell {
    value.map_or(Cell::Unknown, |ratio| Cell::Text(format!("{:.0}%", ratio * 100.0)))
}

/// Show the slab classes: who has the memory, who lacks it
///
/// full: used chunks of all; waste: of the used chunks what nobody asked for; age: since the last access of the oldest item;
/// last-idle: how long the last evicted item had not been used.
#[derive(clap::Parser)]
#[command(name = "memcached slabs", override_usage = "probe memcached [OPTIONS] [ADDRESS] slabs [--interval TIME]")]
pub struct Slabs {
    #[command(flatten)]
    shared: Shared,
    /// Look twice, and tell how many items were evicted in a second
    #[arg(long, value_name = "TIME", value_parser = duration)]
    interval: Option<Duration>,
}

impl Ask for Slabs {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let timeout = self.shared.timeout;
        let mut session = server.open(cx, &self.shared)?;
        let mut slabs = Stats::new();
        let (mut before, mut classes) = (Vec::new(), Vec::new());
        let mut look = |server: &Server, session: &mut Session| {
            slabs = fetch(server, session, Some(b"slabs"), timeout)?;
            let items = fetch(server, session, Some(b"items"), timeout)?;
            before = std::mem::replace(&mut classes, tables::classes(&slabs, &items));
            Ok(())
        };
        look(server, &mut session)?;
        // A class that evicts now lacks pages, whatever happened since the start.
        let mut rates = None;
        if let Some(interval) = self.interval {
            let started = Instant::now();
            session.look_again(cx, server, &self.shared, interval, &mut look)?;
            rates = Some(tables::eviction_rates(&before, &classes, started.elapsed().as_secs_f64()));
        }
        let pages: u64 = classes.iter().filter_map(|class| class.pages).fold(0, u64::saturating_add);
        let mut columns = vec![
            Column::right("cls", "class", 0),
            Column::right("chunk", "chunk_bytes", 0),
            Column::right("pages", "pages", 0),
            Column::right("pages%", "pages_percent", 0),
            Column::right("items", "items", 0),
            Column::right("full", "full", 0),
            Column::right("waste", "waste", 0),
            Column::right("age", "age_seconds", 0),
            Column::right("evicted", "evicted", 0),
            Column::right("last-idle", "evicted_idle_seconds", 0),
            Column::right("oom", "out_of_memory", 0),
            Column::left("", "mark", 0),
        ];
        if rates.is_some() {
            columns.insert(RATE, Column::right("evict/s", "evicted_per_second", 0));
        }
        let mut shown = Vec::new();
        let mut objects = Vec::new();
        for class in &classes {
            let rate = rates.as_ref().map(|rates| rates.get(&class.class).copied());
            let share = class.pages.map(|count| count as f64 / pages.max(1) as f64);
            let mark = mark(class, &classes);
            let mut cells = vec![
                Cell::Number(class.class),
                size(class.chunk),
                number(class.pages),
                percent(share),
                number(class.items),
                percent(class.full()),
                percent(class.waste()),
                time(class.age),
                number(class.evicted),
                time(class.evicted_idle.filter(|_| class.evicted.unwrap_or(0) > 0)),
                number(class.out_of_memory),
                Cell::Text(if mark.is_empty() { String::new() } else { format!("< {mark}") }),
            ];
            if let Some(rate) = rate {
                cells.insert(RATE, rate.map_or(Cell::Unknown, |rate| Cell::Text(format!("{rate:.1}"))));
            }
            shown.push(cells);
            let mut object = Object::new();
            object
                .number("class", Some(class.class))
                .number("chunk_bytes", class.chunk)
                .number("pages", class.pages)
                .float("pages_ratio", share)
                .number("items", class.items)
                .number("used_chunks", class.used)
                .number("total_chunks", class.total)
                .number("requested_bytes", class.requested)
                .float("full_ratio", class.full())
                .float("waste_ratio", class.waste())
                .number("age_seconds", class.age)
                .number("evicted", class.evicted)
                .float("evicted_per_second", rate.flatten())
                .number("evicted_idle_seconds", class.evicted_idle)
                .number("out_of_memory", class.out_of_memory)
                .text("mark", mark);
            objects.push(object);
        }
        let mut data = Object::new();
        let named = |name: &str| {
            let found = slabs.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value);
            found.and_then(|value| crate::protocol::memcached::text::number(value))
        };
        let allocated = named("total_malloced");
        data.number("pages", Some(pages)).number("allocated_bytes", allocated).objects("classes", objects);
        if !self.shared.json {
            if shown.is_empty() {
                writeln!(cx.io.out, "no class has a page: nothing has been stored")?;
            } else {
                table::fitted(&mut cx.io.out, &columns, &shown)?;
                let allocated = allocated.map(|bytes| format!(", {} taken", units::bytes(bytes))).unwrap_or_default();
                writeln!(cx.io.out, "{} classes, {pages} pages{allocated}", shown.len())?;
            }
        }
        Ok(Answer::new(0, data))
    }
}

/// Show the items of each slab class: hot, warm and cold, evicted, expired
#[derive(clap::Parser)]
#[command(name = "memcached items", override_usage = "probe memcached [OPTIONS] [ADDRESS] items")]
pub struct Items {
    #[command(flatten)]
    shared: Shared,
}

/// Title, and the server's name for it.
const ITEMS: [(&str, &str); 12] = [
    ("items", "number"),
    ("hot", "number_hot"),
    ("warm", "number_warm"),
    ("cold", "number_cold"),
    ("age", "age"),
    ("evicted", "evicted"),
    ("noexp", "evicted_nonzero"),
    ("unfetched", "evicted_unfetched"),
    ("expired", "expired_unfetched"),
    ("reclaimed", "reclaimed"),
    ("oom", "outofmemory"),
    ("tail", "tailrepairs"),
];

impl Ask for Items {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let mut session = server.open(cx, &self.shared)?;
        let stats = fetch(server, &mut session, Some(b"items"), self.shared.timeout)?;
        let classes = rows(&stats, "items:");
        let mut columns = vec![Column::right("cls", "class", 0)];
        columns.extend(ITEMS.map(|(title, key)| Column::right(title, key, 0)));
        let mut shown = Vec::new();
        let mut objects = Vec::new();
        for (class, row) in &classes {
            let mut cells = vec![Cell::Number(*class)];
            cells.extend(ITEMS.iter().map(|(_, key)| match *key {
                "age" => time(row.number(key)),
                key => number(row.number(key)),
            }));
            shown.push(cells);
            let mut object = Object::new();
            object.number("class", Some(*class));
            for (field, value) in &row.0 {
                let key = crate::output::Safe(field).to_string();
                match crate::protocol::memcached::text::number(value) {
                    Some(number) => object.number(&key, Some(number)),
                    None => object.bytes(&key, value),
                };
            }
            objects.push(object);
        }
        let mut data = Object::new();
        data.objects("classes", objects);
        if !self.shared.json {
            match shown.is_empty() {
                true => writeln!(cx.io.out, "no items")?,
                false => table::fitted(&mut cx.io.out, &columns, &shown)?,
            }
        }
        Ok(Answer::new(0, data))
    }
}
