//! Names of users and groups: the target's own for its processes, ours for ours. A number that nobody named stays one.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::{Files, Whose, process};

/// The most that is read of a file of names.
const LIMIT: usize = 1 << 20;

/// Names by number, out of /etc/passwd or /etc/group: both have the name first and the number third (passwd(5), group(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(HashMap<u32, Vec<u8>>);

impl Names {
    /// Lines that are not in this form say nothing; of several names for a number the first one counts, as in getpwuid(3).
    pub fn parse(text: &[u8]) -> Names {
        let mut names = HashMap::new();
        for line in text.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b':');
            if let (Some(name @ [_, ..]), Some(id)) = (fields.next(), fields.nth(1).and_then(process::number)) {
                names.entry(id).or_insert_with(|| name.to_vec());
            }
        }
        Names(names)
    }

    pub fn get(&self, id: u32) -> Option<&[u8]> {
        self.0.get(&id).map(Vec::as_slice)
    }
}

/// The names of both containers, read when the first one is asked for.
pub struct Users<'a> {
    files: &'a Files,
    ours: Accounts,
    theirs: Accounts,
}

#[derive(Default)]
struct Accounts {
    users: OnceCell<Names>,
    groups: OnceCell<Names>,
}

impl<'a> Users<'a> {
    pub fn new(files: &'a Files) -> Users<'a> {
        Users { files, ours: Accounts::default(), theirs: Accounts::default() }
    }

    pub fn user(&self, id: u32, whose: Whose) -> Option<&[u8]> {
        let users = match whose {
            Whose::Target => Some(self.theirs.users.get_or_init(|| self.read("@/etc/passwd"))),
            Whose::Sidecar => Some(self.ours.users.get_or_init(|| self.read("/etc/passwd"))),
            Whose::Pause | Whose::Other => None,
        };
        users.and_then(|users| users.get(id)).or(root(id))
    }

    /// Whether `wanted`, a name or a number, means that user.
    pub fn is(&self, wanted: &[u8], id: u32, whose: Whose) -> bool {
        process::number(wanted) == Some(id) || self.user(id, whose) == Some(wanted)
    }

    /// The same of a group.
    pub fn is_group(&self, wanted: &[u8], id: u32, whose: Whose) -> bool {
        process::number(wanted) == Some(id) || self.group(id, whose) == Some(wanted)
    }

    /// Whether `wanted` is a number or a name that anyone has.
    pub fn knows(&self, wanted: &[u8]) -> bool {
        let named = |whose| self.account(wanted, whose).is_some();
        process::number::<u32>(wanted).is_some() || wanted == b"root" || named(Whose::Target) || named(Whose::Sidecar)
    }

    pub fn group(&self, id: u32, whose: Whose) -> Option<&[u8]> {
        let groups = match whose {
            Whose::Target => Some(self.theirs.groups.get_or_init(|| self.read("@/etc/group"))),
            Whose::Sidecar => Some(self.ours.groups.get_or_init(|| self.read("/etc/group"))),
            Whose::Pause | Whose::Other => None,
        };
        groups.and_then(|groups| groups.get(id)).or(root(id))
    }

    fn read(&self, path: &str) -> Names {
        Names::parse(&self.text(Path::new(path)).unwrap_or_default())
    }

    pub(super) fn text(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.text(path, LIMIT)
    }
}

/// The one number that means the same in every container.
fn root(id: u32) -> Option<&'static [u8]> {
    (id == 0).then_some(b"root")
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_by_number() {
        let names = Names::parse(
            b"root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\nalso:x:0:0::/:\n\
            \n#comment\nbad:x:-1:1\nworse:x:zero:0\n:x:5:5\n\xff\x1b:x:6:6\nlast:x:7",
        );
        assert_eq!(names.get(0), Some(&b"root"[..]));
        assert_eq!(names.get(65532), Some(&b"nonroot"[..]));
        assert_eq!(names.get(6), Some(&b"\xff\x1b"[..]));
        assert_eq!(names.get(7), Some(&b"last"[..]));
        assert_eq!((names.get(1), names.get(5)), (None, None));
    }

    #[test]
    fn groups_have_the_same_form() {
        assert_eq!(Names::parse(b"wheel:*:10:a,b\n").get(10), Some(&b"wheel"[..]));
    }
}
