//! `time` before a pipeline (POSIX.1-2024, XCU time; a reserved word as in bash and mksh).

use std::io::Write;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::super::syntax::tree::{Pipeline, Timed, Written};
use super::super::{Flow, Shell};

/// Processor time of this process and its children so far: in user mode, and in the system.
fn used() -> (Duration, Duration) {
    let mut sum = (Duration::ZERO, Duration::ZERO);
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        if let Ok(usage) = getrusage(who) {
            sum.0 += duration(usage.user_time());
            sum.1 += duration(usage.system_time());
        }
    }
    sum
}

fn duration(time: TimeVal) -> Duration {
    let micros = time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_usec());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn shown(time: Duration, format: Timed) -> String {
    match format {
        Timed::Portable => format!("{:.2}", time.as_secs_f64()),
        Timed::Usual => {
            let seconds = time.as_secs();
            format!("{}m{}.{:03}s", seconds / 60, seconds % 60, time.subsec_millis())
        }
    }
}

impl Shell<'_> {
    pub(in crate::shell) fn run_timed(&mut self, pipeline: &Pipeline, format: Timed, text: &Written) -> Flow {
        let (start, before) = (Instant::now(), used());
        let result = if pipeline.commands.is_empty() {
            self.status = 0;
            Ok(())
        } else {
            self.run_commands(pipeline, text, false)
        };
        let (real, after) = (start.elapsed(), used());
        let (user, system) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
        let (empty, gap) = match format {
            Timed::Portable => ("", ' '),
            Timed::Usual => ("\n", '\t'),
        };
        let [real, user, system] = [real, user, system].map(|time| shown(time, format));
        let _ = self.io.out.flush();
        // What cannot be shown is lost.
        let lines = format!("{empty}real{gap}{real}\nuser{gap}{user}\nsys{gap}{system}\n");
        let _ = self.io.err.write_all(lines.as_bytes());
        result
    }
}
