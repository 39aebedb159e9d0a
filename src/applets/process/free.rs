//! free: memory, the target's first, with procps' columns and units.
//!
//! Where the target's control group can be read, a line `Target:` comes before the machine's: total is its limit, or the
//! machine's memory if it has none; used is what it could not give back (without inactive files, as engines count it);
//! buff/cache are its files; shared is its shared memory. Kernel and engine end processes by that line, not by the machine's.

use std::io::Write;
use std::time::Duration;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::json::Object;
use crate::output::units;
use crate::target::cgroup::{Cgroups, Group};
use crate::target::machine::Memory;
use crate::target::{Reader, mounts};

pub static APPLET: Applet = Applet {
    names: &["free"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Show memory: the target's, by its control group, and the machine's
#[derive(clap::Parser, Default)]
struct Options {
    /// In bytes
    #[arg(short, long, overrides_with_all = ["kibi", "mebi", "gibi", "human"])]
    bytes: bool,
    /// In KiB, which is the default
    #[arg(short, long, overrides_with_all = ["bytes", "mebi", "gibi", "human"])]
    kibi: bool,
    /// In MiB
    #[arg(short, long, overrides_with_all = ["bytes", "kibi", "gibi", "human"])]
    mebi: bool,
    /// In GiB
    #[arg(short, long, overrides_with_all = ["bytes", "kibi", "mebi", "human"])]
    gibi: bool,
    /// With a unit each
    #[arg(short = 'h', long, overrides_with_all = ["bytes", "kibi", "mebi", "gibi"])]
    human: bool,
    /// A line with the sum of memory and swap
    #[arg(short, long)]
    total: bool,
    /// Buffers and cache apart
    #[arg(short, long)]
    wide: bool,
    /// Again after so many seconds
    #[arg(short, long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// So many times
    #[arg(short, long, value_name = "COUNT")]
    count: Option<u64>,
    /// One JSON object a line, in bytes
    #[arg(long)]
    json: bool,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let delay = match options.seconds {
        Some(seconds) if !(seconds > 0.0 && seconds < 1e6) => {
            return Err(Error::usage(format_args!("{seconds}: not a number of seconds")));
        }
        seconds => Duration::from_secs_f64(seconds.unwrap_or(1.0)),
    };
    let count = options.count.or(options.seconds.is_none().then_some(1));
    let mut written = 0;
    loop {
        let memory = Memory::read().map_err(|error| Error::message(format_args!("memory: {}", reason(&error))))?;
        let target = of_target(cx, &memory);
        let text = match options.json {
            true => object(&memory, target).finish() + "\n",
            false => table(&options, &memory, target),
        };
        cx.io.out.write_all(text.as_bytes())?;
        written += 1;
        if count.is_some_and(|count| written >= count) {
            return Ok(Exit(0));
        }
        cx.io.out.write_all(if options.json { b"" } else { b"\n" })?;
        cx.io.out.flush()?;
        std::thread::sleep(delay);
    }
}

/// Of the cells of a line buffers and cache are told as one number, or with `-w` as two.
fn table(options: &Options, memory: &Memory, target: Option<[u64; 6]>) -> String {
    let shown = |bytes: u64| match () {
        () if options.bytes => bytes.to_string(),
        () if options.mebi => (bytes >> 20).to_string(),
        () if options.gibi => (bytes >> 30).to_string(),
        // Without the space: a cell is a word.
        () if options.human => units::bytes(bytes).replace(' ', ""),
        () => (bytes >> 10).to_string(),
    };
    let line = |name: &str, cells: &[u64], buffers: u64| {
        let mut cells: Vec<String> = cells.iter().map(|bytes| shown(*bytes)).collect();
        if options.wide && cells.len() > 4 {
            cells.insert(4, shown(buffers));
        }
        let cells: String = cells.iter().map(|cell| format!(" {cell:>11}")).collect();
        format!("{name:<8}{cells}\n")
    };
    let both = if options.wide { "    buffers       cache" } else { " buff/cache" };
    let mut text =
        format!("{:>20} {:>11} {:>11} {:>11} {both} {:>11}\n", "total", "used", "free", "shared", "available");
    if let Some(target) = target {
        text += &line("Target:", &target, 0);
    }
    let used = memory.total.saturating_sub(memory.available);
    let cache = if options.wide { memory.cache } else { memory.buffers.saturating_add(memory.cache) };
    let cells = [memory.total, used, memory.free, memory.shared, cache, memory.available];
    text += &line("Mem:", &cells, memory.buffers);
    let swapped = memory.swap_total.saturating_sub(memory.swap_free);
    text += &line("Swap:", &[memory.swap_total, swapped, memory.swap_free], 0);
    if options.total {
        let sums = [memory.total + memory.swap_total, used + swapped, memory.free + memory.swap_free];
        text += &line("Total:", &sums, 0);
    }
    text
}

fn object(memory: &Memory, target: Option<[u64; 6]>) -> Object {
    let mut object = Object::new();
    match target {
        None => object.null("target"),
        Some(cells) => {
            let mut group = Object::new();
            for (key, value) in ["total", "used", "free", "shared", "cache", "available"].into_iter().zip(cells) {
                group.number(key, Some(value));
            }
            object.object("target", group)
        }
    };
    let mut host = Object::new();
    host.number("total", Some(memory.total));
    host.number("used", Some(memory.total.saturating_sub(memory.available))).number("free", Some(memory.free));
    host.number("shared", Some(memory.shared)).number("buffers", Some(memory.buffers));
    host.number("cache", Some(memory.cache)).number("available", Some(memory.available));
    host.number("swap_total", Some(memory.swap_total)).number("swap_free", Some(memory.swap_free));
    object.object("host", host);
    object
}

/// The cells of the target's line; `None` where there is no target or its group is not to be read.
fn of_target(cx: &Context<'_>, machine: &Memory) -> Option<[u64; 6]> {
    let target = cx.files.target().ok()?;
    let mut reader = Reader::open().ok()?;
    let own = reader.own_pid()?;
    let theirs = mounts::of(&reader, target.pid).unwrap_or_default();
    let ours = mounts::of(&reader, own).unwrap_or_default();
    let cgroups = Cgroups::of(&mut reader, target.pid, cx.files, &theirs, &ours).ok()?;
    let group = cgroups.group(b"memory")?;
    let (limit, usage, [inactive, files, shared]) = match group.version {
        2 => numbers(&group, "memory.max", "memory.current", ["inactive_file", "file", "shmem"])?,
        _ => {
            let keys = ["total_inactive_file", "total_cache", "total_shmem"];
            numbers(&group, "memory.limit_in_bytes", "memory.usage_in_bytes", keys)?
        }
    };
    Some(cells(limit, usage, inactive, files, shared, machine.total))
}

fn numbers(group: &Group<'_>, limit: &str, usage: &str, keys: [&str; 3]) -> Option<(Option<u64>, u64, [u64; 3])> {
    let value = |key| group.value("memory.stat", key).unwrap_or(0);
    Some((group.number(limit), group.number(usage)?, keys.map(value)))
}

fn cells(limit: Option<u64>, usage: u64, inactive: u64, files: u64, shared: u64, machine: u64) -> [u64; 6] {
    let total = limit.map_or(machine, |limit| limit.min(machine));
    let used = usage.saturating_sub(inactive);
    [total, used, total.saturating_sub(usage), shared, files, total.saturating_sub(used)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn the_targets_line() {
        assert_eq!(cells(Some(1000), 600, 100, 250, 7, 9000), [1000, 500, 400, 7, 250, 500]);
        assert_eq!(cells(None, 600, 100, 250, 7, 9000), [9000, 500, 8400, 7, 250, 8500]);
        assert_eq!(cells(Some(500), 600, 50, 0, 0, 9000), [500, 550, 0, 0, 0, 0]);
    }

    #[test]
    fn keys_of_json_and_wide_lines() {
        let memory = Memory {
            total: 9000,
            free: 5,
            available: 8000,
            shared: 4,
            buffers: 2,
            cache: 3,
            swap_total: 7,
            swap_free: 6,
        };
        assert_eq!(
            object(&memory, Some([1, 2, 3, 4, 5, 6])).finish(),
            "{\"target\":{\"total\":1,\"used\":2,\"free\":3,\"shared\":4,\"cache\":5,\"available\":6},\
             \"host\":{\"total\":9000,\"used\":1000,\"free\":5,\"shared\":4,\"buffers\":2,\"cache\":3,\
             \"available\":8000,\"swap_total\":7,\"swap_free\":6}}"
        );
        assert!(object(&memory, None).finish().starts_with("{\"target\":null,"));
        let options = Options { wide: true, bytes: true, ..Options::default() };
        let lines = table(&options, &memory, Some([1, 2, 3, 4, 5, 6]));
        let words: Vec<Vec<&str>> = lines.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["total", "used", "free", "shared", "buffers", "cache", "available"]);
        assert_eq!(words[1], ["Target:", "1", "2", "3", "4", "0", "5", "6"]);
        assert_eq!(words[2], ["Mem:", "9000", "1000", "5", "4", "2", "3", "8000"]);
    }

    #[test]
    fn repeated_until_the_count() {
        let done = capture(&APPLET, &["-s", "0.01", "-c", "2"], b"");
        assert_eq!((done.status, done.out.matches("Mem:").count()), (0, 2), "{done:?}");
        assert_eq!(capture(&APPLET, &["-s", "0"], b"").status, 2);
    }

    #[test]
    fn units_of_one_machine() {
        let total = |option: &str| -> u64 {
            let out = capture(&APPLET, &[option], b"").out;
            let line = out.lines().find(|line| line.starts_with("Mem:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        assert_eq!((total("-k"), total("-m"), total("-g")), (total("-b") >> 10, total("-b") >> 20, total("-b") >> 30));
        let human = capture(&APPLET, &["-h"], b"").out;
        assert!(human.lines().any(|line| line.starts_with("Mem:") && line.contains("iB")), "{human}");
        assert!(capture(&APPLET, &["-mt"], b"").out.lines().last().unwrap().starts_with("Total:"));
    }
}
