//! The libraries that a dynamic program is loaded with, as they are found in the target's root: the search of ld.so(8),
//! and of musl's loader, on files instead of in a process.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::Files;
use super::program::Elf;

/// More libraries than any program has.
const MOST: usize = 400;

/// Directories of one search; a longer list is cut off there.
const DIRECTORIES: usize = 64;

/// The most that is read of a list of directories or of the loader's cache.
const LIMIT: usize = 1 << 20;

/// One name that the program or one of its libraries asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    pub name: Vec<u8>,
    /// Where it is; `None` where it is nowhere.
    pub path: Option<Vec<u8>>,
}

/// Which loader reads them: they look in other places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    Glibc,
    Musl,
}

impl Loader {
    pub fn of(interpreter: &[u8]) -> Loader {
        let name = interpreter.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if name.starts_with(b"ld-musl-") { Loader::Musl } else { Loader::Glibc }
    }

    /// Names that the loader itself answers to.
    fn is_itself(self, name: &[u8], interpreter: &[u8]) -> bool {
        let own = interpreter.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let musl: [&[u8]; 7] =
            [b"libc.so", b"libm.so", b"libpthread.so", b"librt.so", b"libdl.so", b"libutil.so", b"libcrypt.so"];
        name == own || self == Loader::Musl && (musl.contains(&name) || name.starts_with(b"libc.musl-"))
    }
}

/// Where libraries are looked for, whoever asks.
struct Places {
    loader: Loader,
    environment: Vec<Vec<u8>>,
    /// ld.so.cache, in which glibc's loader looks before its usual directories.
    cache: Vec<u8>,
    usual: Vec<Vec<u8>>,
}

/// All libraries of a program, each name once, in the order in which the loader meets them. `program` is its path in
/// its own root, `path` its LD_LIBRARY_PATH.
pub fn of(files: &Files, elf: &Elf, program: &[u8], path: Option<&[u8]>) -> Vec<Library> {
    let Some(interpreter) = &elf.interpreter else { return Vec::new() };
    let loader = Loader::of(interpreter);
    let read = |path: &str| files.text(Path::new(path), LIMIT).unwrap_or_default();
    let places = Places {
        loader,
        environment: path.map(|path| directories(path, program)).unwrap_or_default(),
        cache: if loader == Loader::Glibc { read("@/etc/ld.so.cache") } else { Vec::new() },
        usual: match loader {
            Loader::Glibc => usual(elf),
            Loader::Musl => {
                let own = format!("@/etc/ld-musl-{}.path", elf.machine_name().unwrap_or("x86_64"));
                musl(&read(&own))
            }
        },
    };
    let mut found: Vec<Library> = Vec::new();
    // Those that ask, each behind what it was asked by.
    let mut open: Vec<(Vec<u8>, Elf)> = vec![(program.to_vec(), elf.clone())];
    let mut next = 0;
    while let Some((origin, asking)) = open.get(next).cloned() {
        next += 1;
        for name in &asking.needed {
            let known = found.iter().any(|library| library.name == *name);
            if found.len() >= MOST || known || loader.is_itself(name, interpreter) {
                continue;
            }
            let place = places.find(files, name, &asking, &origin, elf);
            found.push(Library { name: name.clone(), path: place.as_ref().map(|(path, _)| path.clone()) });
            open.extend(place);
        }
    }
    found
}

impl Places {
    /// The first file of that name that is a library for the program's machine.
    fn find(&self, files: &Files, name: &[u8], asking: &Elf, origin: &[u8], program: &Elf) -> Option<(Vec<u8>, Elf)> {
        let fits = |path: Vec<u8>| {
            let library = open(files, &path).ok()??;
            ((library.bits, library.machine) == (program.bits, program.machine)).then_some((path, library))
        };
        if name.contains(&b'/') {
            return fits(name.to_vec());
        }
        let list = |list: &Option<Vec<u8>>| list.as_deref().map(|list| directories(list, origin)).unwrap_or_default();
        // musl knows no difference between the two.
        let (before, after) = match (self.loader, &asking.runpath) {
            (Loader::Glibc, None) => (list(&asking.rpath), Vec::new()),
            (Loader::Glibc, Some(_)) => (Vec::new(), list(&asking.runpath)),
            (Loader::Musl, None) => (Vec::new(), list(&asking.rpath)),
            (Loader::Musl, Some(_)) => (Vec::new(), list(&asking.runpath)),
        };
        let within = |directories: &[Vec<u8>]| {
            directories.iter().find_map(|directory| fits([directory.as_slice(), b"/", name].concat()))
        };
        within(&before)
            .or_else(|| within(&self.environment))
            .or_else(|| within(&after))
            .or_else(|| cached(&self.cache, name).and_then(fits))
            .or_else(|| within(&self.usual))
    }
}

/// A file in the target's root, opened so that neither a FIFO nor a device notices.
fn open(files: &Files, path: &[u8]) -> io::Result<Option<Elf>> {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let path = PathBuf::from(OsStr::from_bytes(&[b"@/", inner].concat()));
    let file = files.open_with(&path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, Mode::empty())?;
    Ok(if file.metadata()?.is_file() { Elf::in_file(&file) } else { None })
}

/// A list with colons, `$ORIGIN` being the directory of the file that has it.
fn directories(list: &[u8], origin: &[u8]) -> Vec<Vec<u8>> {
    let origin = origin.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |slash| &origin[..slash]);
    let parts = list.split(|byte| matches!(byte, b':' | b';')).filter(|part| !part.is_empty()).take(DIRECTORIES);
    let expanded = parts.map(|part| {
        let rest = [&b"$ORIGIN"[..], b"${ORIGIN}"].iter().find_map(|word| part.strip_prefix(*word));
        rest.map_or_else(|| part.to_vec(), |rest| [origin, rest].concat())
    });
    expanded.collect()
}

/// Where glibc's loader looks in the end; distributions name the directories of a machine differently.
fn usual(elf: &Elf) -> Vec<Vec<u8>> {
    let machine = match (elf.machine_name(), elf.bits) {
        (Some("i686"), _) => "i386",
        (Some(name), _) => name,
        (None, _) => "",
    };
    let kind = if machine == "arm" { "gnueabihf" } else { "gnu" };
    let wide = if elf.bits == 64 { "64" } else { "32" };
    ["/lib", "/usr/lib", "/usr/local/lib"]
        .iter()
        .flat_map(|top| [format!("{top}/{machine}-linux-{kind}"), format!("{top}{wide}"), (*top).to_string()])
        .map(String::into_bytes)
        .collect()
}

/// musl's own file, or what stands for it.
fn musl(text: &[u8]) -> Vec<Vec<u8>> {
    let text = if text.trim_ascii().is_empty() { b"/lib:/usr/local/lib:/usr/lib" } else { text };
    let parts = text.split(|byte| matches!(byte, b':' | b'\n')).filter(|part| !part.is_empty());
    parts.take(DIRECTORIES).map(<[u8]>::to_vec).collect()
}

/// ld.so.cache holds, between numbers, the strings `NAME` and `PATH`, each with a NUL behind it: the first path that
/// ends in the name is it. Which machine it is for, its file tells.
fn cached(cache: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let ending = [b"/", name, b"\0"].concat();
    let end = memchr::memmem::find(cache, &ending)? + ending.len() - 1;
    let start = memchr::memrchr(0, &cache[..end])? + 1;
    cache[start..end].starts_with(b"/").then(|| cache[start..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lists: &[Vec<u8>]) -> Vec<&str> {
        lists.iter().map(|list| std::str::from_utf8(list).unwrap()).collect()
    }

    #[test]
    fn lists_of_directories() {
        assert_eq!(texts(&directories(b"/a::$ORIGIN/../l:${ORIGIN}", b"/opt/b/x")), ["/a", "/opt/b/../l", "/opt/b"]);
        assert_eq!(texts(&directories(b"$ORIGIN", b"x")), [""]);
        assert_eq!(directories(&b"/a:".repeat(100_000), b"/x").len(), DIRECTORIES);
        assert_eq!(texts(&musl(b"\n")), ["/lib", "/usr/local/lib", "/usr/lib"]);
        assert_eq!(texts(&musl(b"/a\n/b:/c\n")), ["/a", "/b", "/c"]);
        let elf = Elf { bits: 64, machine: 183, interpreter: None, needed: Vec::new(), rpath: None, runpath: None };
        assert_eq!(texts(&usual(&elf))[..3], ["/lib/aarch64-linux-gnu", "/lib64", "/lib"]);
    }

    #[test]
    fn loaders() {
        assert_eq!(Loader::of(b"/lib/ld-musl-x86_64.so.1"), Loader::Musl);
        assert_eq!(Loader::of(b"/lib64/ld-linux-x86-64.so.2"), Loader::Glibc);
        assert!(Loader::Musl.is_itself(b"libc.musl-x86_64.so.1", b"/lib/ld-musl-x86_64.so.1"));
        assert!(Loader::Glibc.is_itself(b"ld-linux.so.2", b"/lib/ld-linux.so.2"));
        assert!(!Loader::Glibc.is_itself(b"libc.so.6", b"/lib/ld-linux.so.2"));
    }

    #[test]
    fn the_loaders_cache() {
        let cache = b"glibc-ld.so.cache1.1\x01\x02libx.so\0/opt/l/libx.so\0xlib.so\0relative/lib.so\0";
        assert_eq!(cached(cache, b"libx.so"), Some(b"/opt/l/libx.so".to_vec()));
        assert_eq!(cached(cache, b"lib.so"), None);
        assert_eq!(cached(cache, b"x.so"), None);
        assert_eq!(cached(b"", b"x"), None);
        assert_eq!(cached(b"/x\0", b"x"), None);
    }
}
