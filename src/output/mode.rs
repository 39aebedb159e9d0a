//! File modes as `ls -l` and `stat` show them.

/// The letter of a file's kind.
pub fn letter(mode: u32) -> char {
    match mode & libc::S_IFMT {
        libc::S_IFREG => '-',
        libc::S_IFDIR => 'd',
        libc::S_IFLNK => 'l',
        libc::S_IFCHR => 'c',
        libc::S_IFBLK => 'b',
        libc::S_IFIFO => 'p',
        libc::S_IFSOCK => 's',
        _ => '?',
    }
}

/// `drwxr-xr-x`, `-rwsr-sr-t`.
pub fn string(mode: u32) -> String {
    let mut text = String::from(letter(mode));
    for (shift, special, marks) in [(6, libc::S_ISUID, "sS"), (3, libc::S_ISGID, "sS"), (0, libc::S_ISVTX, "tT")] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => char::from(marks.as_bytes()[0]),
            (true, false) => char::from(marks.as_bytes()[1]),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::string;

    #[test]
    fn modes() {
        for (mode, text) in [
            (0o040755, "drwxr-xr-x"),
            (0o100644, "-rw-r--r--"),
            (0o104755, "-rwsr-xr-x"),
            (0o106644, "-rwSr-Sr--"),
            (0o041777, "drwxrwxrwt"),
            (0o041776, "drwxrwxrwT"),
            (0o120777, "lrwxrwxrwx"),
            (0o140000, "s---------"),
            (0o020620, "crw--w----"),
        ] {
            assert_eq!(string(mode), text);
        }
    }
}
