//! The names in a directory, with few system calls: getdents64(2) into one large buffer. The C library's readdir(3) asks
//! for 2 KiB at a time, which /proc feels, and a directory of 100,000 descriptors.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Linux's `struct linux_dirent64`: inode, offset, then the length of the entry, its type, its name and a NUL.
const LENGTH: usize = 16;
const NAME: usize = 19;

/// An open directory and what was read of it.
pub struct Names {
    directory: OwnedFd,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl Names {
    pub fn new(directory: OwnedFd) -> Names {
        Names { directory, buffer: vec![0; 32 * 1024], at: 0, end: 0 }
    }

    /// The next one, `.` and `..` too; names end without their NUL.
    #[expect(clippy::should_implement_trait, reason = "what it gives is borrowed from the buffer")]
    pub fn next(&mut self) -> Option<io::Result<&[u8]>> {
        if self.at >= self.end {
            match self.fill() {
                Ok(0) => return None,
                Ok(len) => (self.at, self.end) = (0, len),
                Err(error) => return Some(Err(error)),
            }
        }
        let entry = self.buffer.get(self.at..self.end)?;
        let length = entry.get(LENGTH..LENGTH + 2)?;
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]])).max(NAME + 1);
        self.at += length;
        let name = entry.get(NAME..length)?;
        Some(Ok(&name[..name.iter().position(|byte| *byte == 0).unwrap_or(name.len())]))
    }

    pub fn directory(&self) -> &impl AsFd {
        &self.directory
    }

    fn fill(&mut self) -> io::Result<usize> {
        let (pointer, size) = (self.buffer.as_mut_ptr(), self.buffer.len());
        // SAFETY: the kernel writes at most `size` bytes into a buffer of `size` bytes.
        let len = unsafe { libc::syscall(libc::SYS_getdents64, self.directory.as_raw_fd(), pointer, size) };
        usize::try_from(len).map_err(|_| io::Error::last_os_error())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::Names;

    #[test]
    fn all_names_of_a_directory() {
        let path = std::env::temp_dir().join(format!("sidebox-names-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let mut made: Vec<String> = (0..2000).map(|number| format!("a name of some length {number:04}")).collect();
        for name in &made {
            std::fs::write(path.join(name), "").unwrap();
        }
        let mut names = Names::new(std::fs::File::open(&path).unwrap().into());
        let mut found = Vec::new();
        while let Some(name) = names.next() {
            found.push(String::from_utf8(name.unwrap().to_vec()).unwrap());
        }
        std::fs::remove_dir_all(path).unwrap();
        found.sort();
        made.insert(0, String::from(".."));
        made.insert(0, String::from("."));
        assert_eq!(found, made);
    }
}
