//! free: memory, the target's first, with procps' columns and units.
//!
//! Where the target's control group can be read, a line `Target:` comes before the machine's: total is its limit, or the
//! machine's memory if it has none; used is what it could not give back (without inactive files, as engines count it);
//! buff/cache are its files; shared is its shared memory. Kernel and engine end processes by that line, not by the machine's.

use std::io::Write;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
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
#[derive(clap::Parser)]
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
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let memory = Memory::read().map_err(|error| Error::message(format_args!("memory: {}", reason(&error))))?;
    let shown = |bytes: u64| match () {
        () if options.bytes => bytes.to_string(),
        () if options.mebi => (bytes >> 20).to_string(),
        () if options.gibi => (bytes >> 30).to_string(),
        // Without the space: a cell is a word.
        () if options.human => units::bytes(bytes).replace(' ', ""),
        () => (bytes >> 10).to_string(),
    };
    let line = |name: &str, cells: &[u64]| {
        let cells: String = cells.iter().map(|bytes| format!(" {:>11}", shown(*bytes))).collect();
        format!("{name:<8}{cells}\n")
    };
    let mut text = format!(
        "{:>20} {:>11} {:>11} {:>11} {:>11} {:>11}\n",
        "total", "used", "free", "shared", "buff/cache", "available"
    );
    if let Some(target) = of_target(cx, &memory) {
        text += &line("Target:", &target);
    }
    let used = memory.total.saturating_sub(memory.available);
    let cache = memory.buffers.saturating_add(memory.cache);
    text += &line("Mem:", &[memory.total, used, memory.free, memory.shared, cache, memory.available]);
    let swapped = memory.swap_total.saturating_sub(memory.swap_free);
    text += &line("Swap:", &[memory.swap_total, swapped, memory.swap_free]);
    if options.total {
        let sums = [memory.total + memory.swap_total, used + swapped, memory.free + memory.swap_free];
        text += &line("Total:", &sums);
    }
    cx.io.out.write_all(text.as_bytes())?;
    Ok(Exit(0))
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
