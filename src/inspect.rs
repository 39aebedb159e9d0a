//! Checks: facts in, findings out. Prints nothing.

pub mod etcd;
pub mod memcached;
pub mod reach;
pub mod relaunch;
pub mod report;
pub mod secrets;
pub mod service;
pub mod sockets;

/// How bad it is. Ordered: the worst of several stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Ok,
    /// Worth knowing, nothing to be done.
    Note,
    /// Could not be checked; the text says why, and what would help.
    Unknown,
    Warn,
    Fail,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Unknown => "unknown",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }

    /// The exit status of a probe with this verdict.
    pub fn status(self) -> u8 {
        u8::from(self >= Level::Warn)
    }
}

/// One checked fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// What was looked at, in one word.
    pub subject: &'static str,
    pub text: String,
}

impl Finding {
    pub fn new(level: Level, subject: &'static str, text: impl Into<String>) -> Finding {
        Finding { level, subject, text: text.into() }
    }
}

/// The worst level.
pub fn verdict(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_level_is_the_verdict() {
        let finding = |level| Finding::new(level, "x", "");
        assert_eq!(verdict(&[]), Level::Ok);
        assert_eq!(verdict(&[finding(Level::Unknown), finding(Level::Ok)]).status(), 0);
        assert_eq!(verdict(&[finding(Level::Warn), finding(Level::Note)]).status(), 1);
        assert_eq!(verdict(&[finding(Level::Fail), finding(Level::Warn)]).name(), "fail");
    }
}
