//! The lines above the rows of top: the machine's numbers and the target's next to each other.

use std::ffi::OsStr;

use crate::output::units;
use crate::sys::time::local;
use crate::target::activity::Usage;
use crate::target::machine::{self, Clock};
use crate::target::{Whose, access};

use super::{Eye, Look, View};

/// `before` is the look that intervals are measured from; without it they begin with the machine.
pub fn lines(eye: &Eye<'_>, look: &Look, before: Option<&Look>, zone: Option<&OsStr>) -> Vec<String> {
    let clock = Clock::now();
    let time = local(clock.now, zone)
        .map_or_else(String::new, |now| format!("{:02}:{:02}:{:02} ", now.hour, now.minute, now.second));
    let load = machine::load()
        .map_or_else(|_| String::from("unknown"), |[one, five, fifteen]| format!("{one:.2}, {five:.2}, {fifteen:.2}"));
    let up = units::duration(clock.since_boot as u64);
    let shares = look.machine.shares(&before.map(|before| before.machine).unwrap_or_default());
    let names = ["us", "sy", "ni", "id", "wa", "hi", "si", "st"];
    let shares: Vec<String> = shares.iter().zip(names).map(|(share, name)| format!("{share:.1} {name}")).collect();
    let memory = &look.memory;
    let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1_048_576.0);
    let used = memory.total.saturating_sub(memory.available);
    let mut lines = vec![
        format!("top - {time}up {up}, load average: {load}"),
        tasks(look),
        format!("%Cpu(s): {}", shares.join(", ")),
        format!(
            "MiB Mem: {} total, {} free, {} used, {} buff/cache, {} avail, {} swap used",
            mebibytes(memory.total),
            mebibytes(memory.free),
            mebibytes(used),
            mebibytes(memory.buffers.saturating_add(memory.cache)),
            mebibytes(memory.available),
            mebibytes(memory.swap_total.saturating_sub(memory.swap_free)),
        ),
    ];
    lines.push(match (eye.target, &look.usage) {
        (Some(pid), Some(usage)) if usage.is_unknown() => match access::allowed(&eye.reader, pid) {
            Err(_) => format!("Target: its control group is denied: {}", access::explain(pid, "control group")),
            Ok(()) => String::from("Target: the files of its control group are mounted neither there nor here"),
        },
        (Some(_), Some(usage)) => {
            let then = before.and_then(|before| Some((before.usage?, before.moment)));
            let seconds = then.map_or(0.0, |(_, moment)| look.moment - moment);
            target(usage, then.map(|(usage, _)| usage).as_ref(), seconds)
        }
        (Some(pid), None) => format!("Target: process {pid} has ended"),
        (None, _) => String::from("Target: none (start with --pid container:NAME)"),
    });
    lines
}

fn tasks(look: &Look) -> String {
    let count = |is: &dyn Fn(u8) -> bool| look.tasks.iter().filter(|task| is(task.stat.state)).count();
    let of_target = look.tasks.iter().filter(|task| task.whose == Whose::Target).count();
    format!(
        "Tasks: {} total, {} running, {} sleeping, {} stopped, {} zombie; {of_target} of the target",
        look.tasks.len(),
        count(&|state| state == b'R'),
        count(&|state| matches!(state, b'S' | b'D' | b'I')),
        count(&|state| matches!(state, b'T' | b't')),
        count(&|state| state == b'Z'),
    )
}

/// `Target: memory 12.3 MiB of 256 MiB (5 %), CPU 35 % of 200 %, throttled in 12 % of periods, pids 12 of 100`
fn target(usage: &Usage, before: Option<&Usage>, seconds: f64) -> String {
    let memory = match (usage.memory, usage.memory_limit) {
        (None, _) => String::from("memory unknown"),
        (Some(used), None) => format!("memory {}, no limit", units::bytes(used)),
        (Some(used), Some(limit)) => {
            let share = used as f64 * 100.0 / (limit.max(1)) as f64;
            format!("memory {} of {} ({share:.0} %)", units::bytes(used), units::bytes(limit))
        }
    };
    let share = before.and_then(|before| usage.cpu_share(before, seconds));
    let share = share.map_or_else(|| String::from("?"), |share| format!("{share:.1}"));
    let quota = match usage.quota {
        None => String::from("no quota"),
        Some(quota) => format!("of {:.0} %", quota * 100.0),
    };
    let throttled = before.and_then(|before| usage.throttled_share(before));
    let throttled = throttled.map_or_else(String::new, |share| format!(", throttled in {share:.0} % of periods"));
    let pids = match (usage.tasks, usage.tasks_limit) {
        (None, _) => String::from("pids unknown"),
        (Some(tasks), None) => format!("pids {tasks}, no limit"),
        (Some(tasks), Some(limit)) => format!("pids {tasks} of {limit}"),
    };
    let comma = if usage.quota.is_none() { "," } else { "" };
    format!("Target: {memory}; CPU {share} %{comma} {quota}{throttled}; {pids}")
}

/// What can be typed, and what has been.
pub fn keys(view: &View) -> String {
    let order = if view.descending { "" } else { "+" };
    let on = |set: bool, text: &'static str| if set { text } else { "" };
    format!(
        "by {order}{}{}{}{} | q quit, sort P cpu M memory T time N pid R turn, H threads, t target, c commands, i idle\n",
        view.field.names[0],
        on(view.threads, ", threads"),
        on(view.target_only, ", target only"),
        on(view.idle, ", no idle"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_line() {
        let before = Usage { cpu: Some(0), periods: Some(0), throttled: Some(0), quota: Some(2.0), ..Usage::default() };
        let usage = Usage {
            memory: Some(64 << 20),
            memory_limit: Some(256 << 20),
            cpu: Some(700_000),
            periods: Some(20),
            throttled: Some(5),
            tasks: Some(12),
            tasks_limit: Some(100),
            ..before
        };
        assert_eq!(
            target(&usage, Some(&before), 2.0),
            "Target: memory 64.0 MiB of 256 MiB (25 %); CPU 35.0 % of 200 %, throttled in 25 % of periods; pids 12 of 100"
        );
        let free = Usage { memory_limit: None, quota: None, tasks_limit: None, ..usage };
        assert_eq!(target(&free, None, 0.0), "Target: memory 64.0 MiB, no limit; CPU ? %, no quota; pids 12, no limit");
        assert_eq!(
            target(&Usage { cpu: Some(1), ..Usage::default() }, None, 0.0),
            "Target: memory unknown; CPU ? %, no quota; pids unknown"
        );
    }
}
