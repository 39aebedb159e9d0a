//! The local time of an instant, by the C library's reading of TZ and of the time zone files, where there are any:
//! a container without them keeps UTC.

use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;

/// A broken-down local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    pub year: i64,
    /// From 1.
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    /// From Sunday, 0.
    pub weekday: u8,
    /// Seconds east of UTC.
    pub offset: i64,
}

/// The local time `seconds` after the epoch; `zone` is the value of TZ. `None` for a year beyond every calendar.
pub fn local(seconds: i64, zone: Option<&OsStr>) -> Option<Local> {
    set_zone(zone);
    let mut broken = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: localtime_r reads one time and fills the structure, of which all zeroes is a valid value.
    let broken = unsafe {
        if libc::localtime_r(&seconds, broken.as_mut_ptr()).is_null() {
            return None;
        }
        broken.assume_init()
    };
    Some(Local {
        year: i64::from(broken.tm_year) + 1900,
        month: u8::try_from(broken.tm_mon + 1).ok()?,
        day: u8::try_from(broken.tm_mday).ok()?,
        hour: u8::try_from(broken.tm_hour).ok()?,
        minute: u8::try_from(broken.tm_min).ok()?,
        second: u8::try_from(broken.tm_sec).ok()?,
        weekday: u8::try_from(broken.tm_wday).ok()?,
        offset: broken.tm_gmtoff,
    })
}

/// Whether the machine's clock follows another one (adjtimex(2)); `None` where that may not be asked.
pub fn is_synchronized() -> Option<bool> {
    // SAFETY: adjtimex fills the structure, of which all zeroes is a valid value and means that nothing is to be set.
    let (state, found) = unsafe {
        let mut found = std::mem::zeroed::<libc::timex>();
        (libc::adjtimex(&mut found), found)
    };
    (state >= 0).then_some(found.status & libc::STA_UNSYNC == 0)
}

/// The C library looks into the process's environment, which is not the one that a shell gives to its commands.
fn set_zone(zone: Option<&OsStr>) {
    let zone = zone.and_then(|zone| CString::new(zone.as_bytes()).ok());
    // SAFETY: getenv gives null or a C string; nobody else reads or writes the environment between these lines,
    // because the process has one thread.
    unsafe {
        let now = libc::getenv(c"TZ".as_ptr());
        let now = (!now.is_null()).then(|| CStr::from_ptr(now).to_owned());
        match zone {
            zone if zone == now => {}
            Some(zone) => {
                libc::setenv(c"TZ".as_ptr(), zone.as_ptr(), 1);
            }
            None => {
                libc::unsetenv(c"TZ".as_ptr());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_and_a_zone_without_files() {
        let utc = local(86400 * 365 + 3661, Some(OsStr::new("UTC0"))).unwrap();
        assert_eq!(utc, Local { year: 1971, month: 1, day: 1, hour: 1, minute: 1, second: 1, weekday: 5, offset: 0 });
        assert_eq!(local(i64::MAX, Some(OsStr::new("UTC0"))), None);
    }
}
