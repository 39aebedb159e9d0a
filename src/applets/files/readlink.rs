//! readlink: POSIX.1-2024 XCU `readlink`, with GNU's ways to a canonical path. A path in the target stays one:
//! `readlink -f @/link` prints `@/…`, by links as the target sees them.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::applet::{self, Applet, Context, Exit, Place, Reads, Result};
use crate::output::{Safe, shown};
use crate::target::Missing;

pub static APPLET: Applet = Applet {
    names: &["readlink"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Guest { reads: Reads::Never },
    trouble: 1,
};

/// Print where symbolic links lead
#[derive(clap::Parser)]
struct Options {
    /// Follow all links to the end; the last name may be missing
    #[arg(short = 'f', long, overrides_with_all = ["canonicalize_existing", "canonicalize_missing"])]
    canonicalize: bool,
    /// The same; everything must be there
    #[arg(short = 'e', long, overrides_with_all = ["canonicalize", "canonicalize_missing"])]
    canonicalize_existing: bool,
    /// The same; anything may be missing
    #[arg(short = 'm', long, overrides_with_all = ["canonicalize", "canonicalize_existing"])]
    canonicalize_missing: bool,
    /// No newline at the end (of a single operand)
    #[arg(short, long)]
    no_newline: bool,
    /// End lines with a NUL byte
    #[arg(short, long)]
    zero: bool,
    /// Say nothing of what is no link (as without -v)
    #[arg(short, long, visible_short_alias = 's', overrides_with = "verbose")]
    quiet: bool,
    /// Say why there is no answer
    #[arg(short, long, overrides_with = "quiet")]
    verbose: bool,
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let missing = match &options {
        Options { canonicalize: true, .. } => Some(Missing::Last),
        Options { canonicalize_existing: true, .. } => Some(Missing::Never),
        Options { canonicalize_missing: true, .. } => Some(Missing::Any),
        _ => None,
    };
    let end: &[u8] = match (options.no_newline && options.files.len() == 1, options.zero) {
        (true, _) => b"",
        (false, true) => b"\0",
        (false, false) => b"\n",
    };
    let terminal = cx.terminal();
    let mut status = 0;
    for path in &options.files {
        let found = match missing {
            Some(missing) => cx.files.canonical(path, missing).map(PathBuf::into_os_string),
            None => cx.files.read_link(path),
        };
        match found {
            Ok(found) => {
                cx.io.out.write_all(&shown(found.as_bytes(), terminal))?;
                cx.io.out.write_all(end)?;
            }
            Err(error) => {
                status = 1;
                if options.verbose {
                    cx.warn(format_args!("{}: {}", Safe::path(path), why(&error)));
                }
            }
        }
    }
    Ok(Exit(status))
}

fn why(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EINVAL) => String::from("not a symbolic link"),
        _ => applet::reason(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::{Captured, capture};

    #[test]
    fn what_is_no_link_is_a_quiet_no() {
        assert_eq!(capture(&APPLET, &["/"], b""), Captured { status: 1, out: String::new(), err: String::new() });
        assert_eq!(capture(&APPLET, &["-v", "/"], b"").err, "readlink: /: not a symbolic link\n");
        assert_eq!(capture(&APPLET, &[], b"").status, 2);
    }

    #[test]
    fn canonical_paths() {
        assert_eq!(capture(&APPLET, &["-f", "/../none", "/.."], b"").out, "/none\n/\n");
        assert_eq!(capture(&APPLET, &["-nm", "/none/x/../y"], b"").out, "/none/y");
        assert_eq!(capture(&APPLET, &["-e", "/none"], b"").status, 1);
        assert_eq!(capture(&APPLET, &["-fz", "/", "/none"], b"").out, "/\0/none\0");
    }
}
