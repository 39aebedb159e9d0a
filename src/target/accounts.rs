//! Accounts by their names, for those who have only a name: passwd(5) for the numbers, group(5) for the groups.

use std::path::Path;

use super::process::number;
use super::{Users, Whose};

/// One line of /etc/passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: Vec<u8>,
    pub uid: u32,
    pub gid: u32,
    pub home: Vec<u8>,
    pub shell: Vec<u8>,
}

impl Users<'_> {
    /// The account of that name, or of that number.
    pub fn account(&self, name: &[u8], whose: Whose) -> Option<Account> {
        let text = self.text(path(whose, "passwd")).unwrap_or_default();
        let uid = number(name);
        find(&text, |account| account.name == name).or_else(|| find(&text, |account| Some(account.uid) == uid))
    }

    /// The number of the group of that name.
    pub fn group_number(&self, name: &[u8], whose: Whose) -> Option<u32> {
        group(&self.text(path(whose, "group")).unwrap_or_default(), name)
    }

    /// The groups that list the account, in the file's order.
    pub fn memberships(&self, name: &[u8], whose: Whose) -> Vec<u32> {
        members(&self.text(path(whose, "group")).unwrap_or_default(), name)
    }
}

fn path(whose: Whose, file: &str) -> &'static Path {
    Path::new(match (whose, file) {
        (Whose::Target, "passwd") => "@/etc/passwd",
        (Whose::Target, _) => "@/etc/group",
        (_, "passwd") => "/etc/passwd",
        _ => "/etc/group",
    })
}

fn find(passwd: &[u8], wanted: impl Fn(&Account) -> bool) -> Option<Account> {
    let account = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?.to_vec();
        let (uid, gid) = (number(fields.nth(1)?)?, number(fields.next()?)?);
        let mut text = |skipped| fields.nth(skipped).unwrap_or_default().to_vec();
        Some(Account { name, uid, gid, home: text(1), shell: text(0) })
    };
    passwd.split(|byte| *byte == b'\n').filter_map(account).find(wanted)
}

fn group(text: &[u8], name: &[u8]) -> Option<u32> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        (fields.next() == Some(name)).then(|| number(fields.nth(1)?)).flatten()
    })
}

fn members(group: &[u8], name: &[u8]) -> Vec<u32> {
    let member = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let listed = fields.get(3)?.split(|byte| *byte == b',').any(|member| member == name);
        listed.then(|| number(fields[2])).flatten()
    };
    group.split(|byte| *byte == b'\n').filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_their_groups() {
        let passwd = b"root:x:0:0::/root:/bin/sh\nbroken\napp:x:10:20::/:\n";
        let app = Account { name: b"app".to_vec(), uid: 10, gid: 20, home: b"/".to_vec(), shell: Vec::new() };
        assert_eq!(find(passwd, |account| account.name == b"app"), Some(app));
        assert_eq!(find(passwd, |account| account.uid == 1), None);
        assert_eq!(group(b"bad:x\na:x:1:app\nb:x:2:\n", b"b"), Some(2));
        assert_eq!(group(b"bad:x\na:x:1:app\n:x:3:\n", b"bad"), None);
        assert_eq!(members(b"a:x:1:app,root\nb:x:2:\nc:x:3:apple\nd:x:4:root,app\nbad:x\n", b"app"), [1, 4]);
    }
}
