//! The mounts that a process sees: /proc/PID/mountinfo (proc_pid_mountinfo(5)), which everyone may read.

use std::io;

use super::process::{Fields, Reader, number};

/// How much of the table is read: a host with thousands of containers stays below it.
const LIMIT: usize = 4 << 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What of the file system is mounted here: `/`, or the directory or file of a bind mount.
    pub root: Vec<u8>,
    pub point: Vec<u8>,
    /// Here, or the file system everywhere.
    pub read_only: bool,
    pub filesystem: Vec<u8>,
    pub source: Vec<u8>,
    /// The file system's own options.
    pub options: Vec<u8>,
}

impl Mount {
    /// `None` for what is not such a line.
    pub fn parse(line: &[u8]) -> Option<Mount> {
        let mut fields = Fields(line);
        fields.number::<u64>()?;
        fields.pass(2)?;
        let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
        let here = fields.next()?;
        // Optional fields (propagation) up to a lone hyphen.
        fields.find(|field| *field == b"-")?;
        let filesystem = unescape(fields.next()?);
        let source = unescape(fields.next()?);
        let options = fields.next().unwrap_or_default().to_vec();
        let read_only = option(here, b"ro").is_some() || option(&options, b"ro").is_some();
        Some(Mount { root, point, read_only, filesystem, source, options })
    }

    /// Whether it covers a part of /proc or /sys, as engines do with what a container is not to see or to change.
    pub fn is_cover(&self) -> bool {
        self.point.starts_with(b"/proc/") || self.point.starts_with(b"/sys/")
    }

    /// The value of one of the file system's own options; nothing for one that has none.
    pub fn option(&self, name: &[u8]) -> Option<&[u8]> {
        option(&self.options, name)
    }
}

fn option<'a>(options: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    options.split(|byte| *byte == b',').find_map(|option| match option.strip_prefix(name)? {
        [] => Some(&[][..]),
        value => value.strip_prefix(b"="),
    })
}

/// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| matches!(d, b'0'..=b'7')));
        match digits.map(|digits| digits.iter().fold(0u32, |sum, digit| sum * 8 + u32::from(digit - b'0'))) {
            Some(code @ 0..=255) => {
                out.push(code as u8);
                rest = &after[3..];
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// All of them, in the order in which they were mounted.
pub fn of(reader: &Reader, pid: i32) -> io::Result<Vec<Mount>> {
    Ok(parse(&reader.text(&format!("{pid}/mountinfo"), LIMIT)?))
}

pub fn parse(table: &[u8]) -> Vec<Mount> {
    table.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect()
}

/// The mount that an absolute path lies in.
pub fn covering<'a>(mounts: &'a [Mount], path: &[u8]) -> Option<&'a Mount> {
    let below = |mount: &&Mount| {
        let point = mount.point.strip_suffix(b"/").unwrap_or(&mount.point);
        path.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    // Of several at one place the last one covers the others.
    mounts.iter().filter(below).max_by_key(|mount| mount.point.len())
}

/// The engine's number of the container that a process runs in, 64 hexadecimal digits: engines keep the files that they
/// mount over /etc in a directory of that name, and name the cgroup so.
pub fn container(reader: &mut Reader, pid: i32, mounts: &[Mount]) -> Option<String> {
    let cgroup = reader.read(&format!("{pid}/cgroup")).unwrap_or_default();
    named(mounts, cgroup)
}

fn named(mounts: &[Mount], cgroup: &[u8]) -> Option<String> {
    let known: [&[u8]; 4] = [b"/etc/hostname", b"/etc/hosts", b"/etc/resolv.conf", b"/run/.containerenv"];
    let theirs = mounts.iter().filter(|mount| known.contains(&mount.point.as_slice()));
    theirs.map(|mount| mount.root.as_slice()).chain([cgroup]).find_map(identifier)
}

fn identifier(text: &[u8]) -> Option<String> {
    let mut runs = text.split(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let run = runs.find(|run| run.len() == 64)?;
    Some(run.iter().map(|digit| char::from(*digit)).collect())
}

/// Whether the kernel hides other users' processes in our /proc: the value of its option hidepid, and the group that
/// sees all.
pub fn hidden(mounts: &[Mount]) -> (Option<Vec<u8>>, Option<u32>) {
    let Some(proc) = mounts.iter().rfind(|mount| mount.filesystem == b"proc") else { return (None, None) };
    let value = proc.option(b"hidepid").filter(|value| !matches!(*value, b"0" | b"off"));
    (value.map(<[u8]>::to_vec), proc.option(b"gid").and_then(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn table() -> Vec<Mount> {
        let text = format!(
            "1 0 0:30 / / rw,relatime - overlay overlay rw,lowerdir=/a\\040b:/c\n\
             2 1 0:31 / /proc rw,nosuid shared:5 - proc proc rw,hidepid=invisible,gid=7\n\
             3 1 8:1 /containers/{ID}/hosts /etc/hosts ro,relatime master:1 - ext4 /dev/sda1 rw\n\
             4 1 0:40 / /with\\040space rw - tmpfs tmpfs ro,size=8k\n\
             not a line\n5 1 0:1 /\n"
        );
        parse(text.as_bytes())
    }

    #[test]
    fn lines_of_mountinfo() {
        let mounts = table();
        assert_eq!(mounts.len(), 4);
        assert_eq!(mounts[3].point, b"/with space");
        let read_only: Vec<bool> = mounts.iter().map(|mount| mount.read_only).collect();
        assert_eq!(read_only, [false, false, true, true]);
        assert_eq!(mounts[3].option(b"size"), Some(&b"8k"[..]));
        assert_eq!((mounts[3].option(b"ro"), mounts[3].option(b"siz")), (Some(&b""[..]), None));
    }

    #[test]
    fn a_path_lies_in_the_longest_of_the_latest() {
        let mounts = table();
        let point = |path: &str| covering(&mounts, path.as_bytes()).map(|mount| mount.point.clone());
        assert_eq!(point("/with space/x"), Some(b"/with space".to_vec()));
        assert_eq!(point("/with spaces"), Some(b"/".to_vec()));
        assert_eq!(point("/etc/hosts"), Some(b"/etc/hosts".to_vec()));
        assert_eq!(point("relative"), None);
    }

    #[test]
    fn the_engines_number() {
        assert_eq!(named(&table(), b""), Some(String::from(ID)));
        let cgroup = format!("0::/machine.slice/libpod-{ID}.scope\n");
        assert_eq!(named(&[], cgroup.as_bytes()), Some(String::from(ID)));
        assert_eq!(named(&[], format!("0::/{ID}0\n").as_bytes()), None);
        assert_eq!(named(&[], b"0::/\n"), None);
    }

    #[test]
    fn hidden_processes() {
        assert_eq!(hidden(&table()), (Some(b"invisible".to_vec()), Some(7)));
        assert_eq!(hidden(&parse(b"2 1 0:31 / /proc rw - proc proc rw,hidepid=0\n")), (None, None));
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"a\\040b\\134\\011\\"), b"a b\\\t\\");
        assert_eq!(unescape(b"\\777\\08"), b"\\777\\08");
    }
}
