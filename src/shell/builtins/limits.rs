//! `ulimit` (POSIX.1-2024, XCU ulimit), with the letters of dash, busybox and bash.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

use super::super::{Flow, Shell, Text};
use super::number;
use crate::output::Safe;
use crate::sys::stack;

struct Limit {
    letter: u8,
    /// In bytes, or whatever the kernel counts in.
    unit: rlim_t,
    name: &'static str,
    resource: Resource,
}

const fn limit(letter: u8, unit: rlim_t, name: &'static str, resource: Resource) -> Limit {
    Limit { letter, unit, name, resource }
}

/// Those that `-a` shows. `-p` and `-w` are dash's letters for `-u` and `-x`.
static LIMITS: [Limit; 16] = [
    limit(b'c', 512, "core file (blocks)", Resource::RLIMIT_CORE),
    limit(b'd', 1024, "data (KiB)", Resource::RLIMIT_DATA),
    limit(b'e', 1, "nice (20 minus priority)", Resource::RLIMIT_NICE),
    limit(b'f', 512, "file size (blocks)", Resource::RLIMIT_FSIZE),
    limit(b'i', 1, "pending signals", Resource::RLIMIT_SIGPENDING),
    limit(b'l', 1024, "locked memory (KiB)", Resource::RLIMIT_MEMLOCK),
    limit(b'm', 1024, "resident memory (KiB)", Resource::RLIMIT_RSS),
    limit(b'n', 1, "open files", Resource::RLIMIT_NOFILE),
    limit(b'q', 1, "message queues (bytes)", Resource::RLIMIT_MSGQUEUE),
    limit(b'r', 1, "real-time priority", Resource::RLIMIT_RTPRIO),
    limit(b'R', 1, "real-time run (microseconds)", Resource::RLIMIT_RTTIME),
    limit(b's', 1024, "stack (KiB)", Resource::RLIMIT_STACK),
    limit(b't', 1, "processor time (seconds)", Resource::RLIMIT_CPU),
    limit(b'u', 1, "processes", Resource::RLIMIT_NPROC),
    limit(b'v', 1024, "address space (KiB)", Resource::RLIMIT_AS),
    limit(b'x', 1, "file locks", Resource::RLIMIT_LOCKS),
];

fn find(letter: u8) -> Option<&'static Limit> {
    let letter = match letter {
        b'p' => b'u',
        b'w' => b'x',
        other => other,
    };
    LIMITS.iter().find(|limit| limit.letter == letter)
}

/// What a command line asks for: each limit with what it is to become, if anything.
#[derive(Default)]
struct Request<'t> {
    hard: bool,
    soft: bool,
    all: bool,
    wanted: Vec<(&'static Limit, Option<&'t [u8]>)>,
}

pub fn ulimit(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let mut request = parse(shell, args)?;
    if request.all {
        request.wanted = LIMITS.iter().map(|limit| (limit, None)).collect();
    }
    let labelled = request.wanted.len() > 1;
    let mut lines = String::new();
    let mut status = 0;
    for (limit, value) in &request.wanted {
        let Some(value) = value else {
            if labelled {
                lines.push_str(&format!("-{}: {:<30} ", char::from(limit.letter), limit.name));
            }
            lines.push_str(&current(limit, request.hard));
            lines.push('\n');
            continue;
        };
        if let Err(message) = change(limit, value, &request) {
            shell.complain(format_args!("ulimit: {message}"));
            status = 1;
        }
    }
    Ok(shell.print(lines.as_bytes()) | status)
}

fn parse<'t>(shell: &mut Shell<'_>, args: &'t [Text]) -> Flow<Request<'t>> {
    let mut request = Request::default();
    let mut words = args.get(1..).unwrap_or_default().iter();
    let mut options = true;
    for word in words.by_ref() {
        match word.as_slice() {
            b"--" if options => options = false,
            [b'-', letters @ ..] if options && !letters.is_empty() => cluster(shell, letters, &mut request)?,
            value => match request.wanted.last_mut() {
                Some((_, wanted @ None)) => *wanted = Some(value),
                // The size of files is meant where nothing is named.
                None => request.wanted.extend(find(b'f').map(|limit| (limit, Some(value)))),
                Some(_) => return Err(shell.abort("ulimit: too many arguments")),
            },
        }
    }
    if request.wanted.is_empty() && !request.all {
        request.wanted.extend(find(b'f').map(|limit| (limit, None)));
    }
    Ok(request)
}

/// The letters of one word, the last of which may have its value attached (`-n64`).
fn cluster<'t>(shell: &mut Shell<'_>, letters: &'t [u8], request: &mut Request<'t>) -> Flow {
    for (index, letter) in letters.iter().enumerate() {
        match (letter, find(*letter)) {
            (b'H', _) => request.hard = true,
            (b'S', _) => request.soft = true,
            (b'a', _) => request.all = true,
            (_, Some(limit)) => {
                let value = Some(&letters[index + 1..]).filter(|rest| rest.first().is_some_and(u8::is_ascii_digit));
                request.wanted.push((limit, value));
                if value.is_some() {
                    return Ok(());
                }
            }
            (_, None) => {
                let letter = std::slice::from_ref(letter);
                return Err(shell.abort(format_args!("ulimit: -{}: no such option", Safe(letter))));
            }
        }
    }
    Ok(())
}

fn current(limit: &Limit, hard: bool) -> String {
    match get(limit.resource) {
        Ok((soft, _)) if soft == RLIM_INFINITY && !hard => String::from("unlimited"),
        Ok((_, RLIM_INFINITY)) if hard => String::from("unlimited"),
        Ok((soft, max)) => (if hard { max } else { soft } / limit.unit).to_string(),
        Err(errno) => String::from(errno.desc()),
    }
}

fn change(limit: &Limit, value: &[u8], request: &Request<'_>) -> Result<(), String> {
    let (soft, hard) = get(limit.resource).map_err(|errno| format!("{}: {}", limit.name, errno.desc()))?;
    let new = match value {
        b"unlimited" => Some(RLIM_INFINITY),
        b"hard" => Some(hard),
        b"soft" => Some(soft),
        text => number(text).and_then(|value| (value as rlim_t).checked_mul(limit.unit)),
    };
    let new = new.ok_or_else(|| format!("{}: bad number", Safe(value)))?;
    let (soft, hard) = match (request.hard, request.soft) {
        (true, false) => (soft, new),
        (false, true) => (new, hard),
        _ => (new, new),
    };
    set(limit.resource, soft, hard).map_err(|errno| format!("{}: {}", limit.name, errno.desc()))
}

/// A limit as programs get it: the shell raises that of its own stack.
fn get(resource: Resource) -> nix::Result<(rlim_t, rlim_t)> {
    if resource == Resource::RLIMIT_STACK { stack::limit() } else { getrlimit(resource) }
}

fn set(resource: Resource, soft: rlim_t, hard: rlim_t) -> nix::Result<()> {
    if resource == Resource::RLIMIT_STACK { stack::set_limit(soft, hard) } else { setrlimit(resource, soft, hard) }
}
