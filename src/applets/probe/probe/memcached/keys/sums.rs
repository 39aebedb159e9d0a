//! What the keys are in sum: by size, by time to live, and by how they begin.

use std::io::Write;

use super::super::Outcome;
use super::{Keys, List};
use crate::applet::Context;
use crate::inspect::memcached::frequent::Tally;
use crate::inspect::memcached::keyspace::{Bucket, Prefixes, Summary};
use crate::output::table::{self, Cell, Column};
use crate::output::{json::Object, units};

impl Keys {
    pub(super) fn histograms(&self, cx: &mut Context<'_>, list: &List<'_>, data: &mut Object) -> Outcome<()> {
        let Summary { all, told, .. } = &list.summary;
        let sizes: Vec<_> = list.summary.sizes().collect();
        let lives: Vec<_> = list.summary.lives().collect();
        let counted = |object: &mut Object, bucket: &Bucket| {
            object.number("items", Some(bucket.items)).number("bytes", Some(bucket.bytes));
        };
        data.objects(
            "sizes",
            sizes.iter().map(|(from, to, bucket)| {
                let mut object = Object::new();
                object.number("from_bytes", Some(*from)).number("to_bytes", Some(*to));
                counted(&mut object, bucket);
                object
            }),
        );
        data.objects(
            "ttl",
            lives.iter().map(|(name, bucket)| {
                let mut object = Object::new();
                object.text("span", name);
                counted(&mut object, bucket);
                object
            }),
        );
        if self.shared.json || list.matched == 0 {
            return Ok(());
        }
        if *told > 0 {
            writeln!(cx.io.out, "fetched since they were stored: {} ({}%)", all.hits, units::percent(all.hits, *told))?;
        }
        for title in ["size", "ttl"] {
            let columns = [
                Column::left(title, "span", 8),
                Column::right("items", "items", 0),
                Column::right("%", "items", 0),
                Column::right("bytes", "bytes", 0),
                Column::right("%", "bytes", 0),
            ];
            let row = |name: String, bucket: &Bucket| {
                vec![
                    Cell::Text(name),
                    Cell::Number(bucket.items),
                    Cell::Text(units::percent(bucket.items, all.count)),
                    Cell::Text(units::short(bucket.bytes)),
                    Cell::Text(units::percent(bucket.bytes, all.bytes)),
                ]
            };
            let rows: Vec<Vec<Cell>> = match title {
                "size" => {
                    sizes.iter().map(|(_, to, bucket)| row(format!("<{}", units::short(to + 1)), bucket)).collect()
                }
                _ => lives.iter().map(|(name, bucket)| row(String::from(*name), bucket)).collect(),
            };
            if !rows.is_empty() {
                table::fitted(&mut cx.io.out, &columns, &rows)?;
            }
        }
        Ok(())
    }

    pub(super) fn beginnings(
        &self,
        cx: &mut Context<'_>,
        all: &Tally,
        prefixes: &Prefixes,
        data: &mut Object,
    ) -> Outcome<()> {
        let largest = prefixes.found.largest(self.top);
        let object = |(prefix, tally): &(&[u8], &Tally)| {
            let mut object = Object::new();
            object
                .bytes("prefix", prefix)
                .number("items", Some(tally.count))
                .number("bytes", Some(tally.bytes))
                .number("mean_ttl_seconds", tally.mean_left())
                .number("never_expire", Some(tally.forever))
                .number("fetched", Some(tally.hits));
            object
        };
        let missing = prefixes.found.missing();
        data.objects("prefixes", largest.iter().map(object)).number("missing_bytes_at_most", Some(missing));
        if self.shared.json || largest.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::right("items", "items", 0),
            Column::right("%", "items", 0),
            Column::right("bytes", "bytes", 0),
            Column::right("%", "bytes", 0),
            Column::right("mean", "mean_bytes", 0),
            Column::right("ttl", "mean_ttl_seconds", 0),
            Column::right("never", "never_expire", 0),
            Column::right("fetched", "fetched", 0),
            Column::left("prefix", "prefix", 0),
        ];
        let row = |name: Cell, tally: &Tally| {
            vec![
                Cell::Number(tally.count),
                Cell::Text(units::percent(tally.count, all.count)),
                Cell::Text(units::short(tally.bytes)),
                Cell::Text(units::percent(tally.bytes, all.bytes)),
                Cell::Text(units::short(tally.bytes / tally.count.max(1))),
                tally.mean_left().map_or(Cell::Unknown, |left| Cell::Text(units::duration(left))),
                Cell::Text(units::percent(tally.forever, tally.count)),
                Cell::Text(units::percent(tally.hits, tally.count)),
                name,
            ]
        };
        let mut rest = *all;
        let mut rows = Vec::new();
        for (prefix, tally) in &largest {
            rest = Tally {
                count: rest.count.saturating_sub(tally.count),
                bytes: rest.bytes.saturating_sub(tally.bytes),
                hits: rest.hits.saturating_sub(tally.hits),
                forever: rest.forever.saturating_sub(tally.forever),
                left: rest.left.saturating_sub(tally.left),
            };
            let name =
                if prefix.is_empty() { Cell::Text(String::from("(none)")) } else { Cell::Bytes(prefix.to_vec()) };
            rows.push(row(name, tally));
        }
        if rest.count > 0 {
            rows.push(row(Cell::Text(String::from("(others)")), &rest));
        }
        table::fitted(&mut cx.io.out, &columns, &rows)?;
        if missing > 0 {
            let text = format!(
                "more prefixes than memory is used for: each may lack up to {} (a smaller --depth, or -p)",
                units::bytes(missing)
            );
            writeln!(cx.io.out, "{text}")?;
        }
        Ok(())
    }
}
