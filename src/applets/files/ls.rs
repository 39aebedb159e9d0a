//! ls: POSIX.1-2024 XCU `ls`, looking like GNU's. Names are escaped on a terminal and raw in a pipe. Owners in the target
//! have the target's names. `-f` writes a directory as it is read, however large; all else sorts and so remembers it.
//!
//! Longer than most because of its options: their declarations are a third of the file.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::dir::Type;
use nix::sys::stat::{FileStat, major, minor};

use crate::applet::{self, Applet, Context, Exit, Place, Reads, Result};
use crate::output::columns::{self, Order};
use crate::output::{Safe, mode, order, shown, units};
use crate::sys::{self, terminal};
use crate::target::files::{Directory, Entry};
use crate::target::{Users, Whose};

pub static APPLET: Applet = Applet {
    names: &["ls"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Guest { reads: Reads::Never },
    trouble: 1,
};

const FORMATS: [&str; 6] = ["long", "one", "columns", "across", "commas", "numeric"];

/// List directories
#[derive(clap::Parser)]
#[command(after_help = "Status: 0 all was listed, 1 something in a directory was not, 2 an operand was not.")]
struct Options {
    /// Also names that begin with a dot
    #[arg(short, long)]
    all: bool,
    /// The same without . and ..
    #[arg(short = 'A', long)]
    almost_all: bool,
    /// Mode, links, owner, group, size, time
    #[arg(short = 'l', overrides_with_all = FORMATS)]
    long: bool,
    /// The same with numbers of owner and group
    #[arg(short = 'n', long = "numeric-uid-gid")]
    numeric: bool,
    /// The same without the owner
    #[arg(short = 'g')]
    no_owner: bool,
    /// The same without the group
    #[arg(short = 'o')]
    no_group: bool,
    /// One name a line, as in a pipe
    #[arg(short = '1', overrides_with_all = ["columns", "across", "commas"])]
    one: bool,
    /// Columns, as on a terminal
    #[arg(short = 'C', overrides_with_all = FORMATS)]
    columns: bool,
    /// Columns, sorted along the lines
    #[arg(short = 'x', overrides_with_all = FORMATS)]
    across: bool,
    /// Names with commas between them
    #[arg(short = 'm', overrides_with_all = FORMATS)]
    commas: bool,
    /// Directories themselves, not what is in them
    #[arg(short, long)]
    directory: bool,
    /// Sizes with units
    #[arg(short = 'h', long)]
    human_readable: bool,
    /// Inode numbers
    #[arg(short, long)]
    inode: bool,
    /// Sizes in blocks of 1024 bytes
    #[arg(short, long)]
    size: bool,
    /// All directories below
    #[arg(short = 'R', long)]
    recursive: bool,
    /// The other way round
    #[arg(short, long)]
    reverse: bool,
    /// Sort by size, largest first
    #[arg(short = 'S', overrides_with_all = ["by_time", "unsorted"])]
    by_size: bool,
    /// Sort by time, newest first
    #[arg(short = 't', overrides_with_all = ["by_size", "unsorted"])]
    by_time: bool,
    /// Do not sort
    #[arg(short = 'U', overrides_with_all = ["by_size", "by_time"])]
    unsorted: bool,
    /// As the directory is read: all names, at once
    #[arg(short = 'f', overrides_with_all = FORMATS)]
    fast: bool,
    /// Directories first
    #[arg(long)]
    group_directories_first: bool,
    /// The time of the last read
    #[arg(short = 'u', overrides_with = "changed")]
    accessed: bool,
    /// The time of the last change of the inode
    #[arg(short = 'c', overrides_with = "accessed")]
    changed: bool,
    /// Times in full
    #[arg(long)]
    full_time: bool,
    /// A mark behind names: / directory * program @ link | pipe = socket
    #[arg(short = 'F', long)]
    classify: bool,
    /// A / behind directories
    #[arg(short = 'p')]
    slash: bool,
    /// Follow all symbolic links
    #[arg(short = 'L', long)]
    dereference: bool,
    /// Follow symbolic links that are operands
    #[arg(short = 'H')]
    dereference_operands: bool,
    /// Escape names also in a pipe
    #[arg(short = 'b', long)]
    escape: bool,
    /// Width of the lines
    #[arg(short = 'w', long, value_name = "COLUMNS")]
    width: Option<usize>,
    /// Accepted and not used: auto, always, never
    #[arg(long = "color", value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    _color: Option<OsString>,
    #[arg(value_name = "FILE", default_value = ".", hide_default_value = true)]
    files: Vec<PathBuf>,
}

/// One name, with what is known of it.
struct Item {
    name: OsString,
    whose: Whose,
    inode: u64,
    /// Only the kind, where the options need no more; 0 where not even that is known.
    mode: u32,
    stat: Option<Box<FileStat>>,
    link: Option<OsString>,
}

impl Item {
    fn is_directory(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let mut options: Options = cx.parse()?;
    let terminal = cx.terminal();
    options.long |= options.numeric || options.no_owner || options.no_group || options.full_time;
    options.long &= !(options.columns || options.across || options.commas);
    options.all |= options.fast;
    options.unsorted |= options.fast;
    options.columns |= terminal && !(options.long || options.one || options.across || options.commas || options.fast);
    let aligned = options.long || options.size || options.inode || options.columns || options.across || options.commas;
    let mut list = List {
        escape: terminal || options.escape,
        stat: options.long || options.by_size || options.by_time || options.size || options.dereference,
        stream: options.unsorted && !(aligned || options.recursive || options.group_directories_first),
        now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64),
        zone: cx.env.get("TZ").map(OsStr::to_os_string),
        users: Users::new(cx.files),
        width: options.width.unwrap_or_else(|| width(cx)),
        options,
        first: true,
        above: Vec::new(),
    };
    list.operands(cx)
}

/// The terminal's, or 80.
fn width(cx: &Context<'_>) -> usize {
    let named = cx.env.get("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok());
    named.or_else(|| cx.terminal().then(|| terminal::columns(&cx.io.out.file)).flatten()).unwrap_or(80)
}

/// How the listing goes, and how far it is.
struct List<'a> {
    options: Options,
    escape: bool,
    /// Whether every name needs its stat.
    stat: bool,
    /// Whether a name can be written before the next one is known.
    stream: bool,
    now: i64,
    zone: Option<OsString>,
    users: Users<'a>,
    width: usize,
    /// Whether nothing was written yet that a heading has to be set apart from.
    first: bool,
    /// The directories that lead to the one being listed, for links that lead back.
    above: Vec<(u64, u64)>,
}

impl List<'_> {
    /// Files first, then the directories with what is in them.
    fn operands(&mut self, cx: &mut Context<'_>) -> Result<Exit> {
        let operands = std::mem::take(&mut self.options.files);
        let mut status = 0;
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for path in &operands {
            match self.operand(cx, path) {
                Ok(item) if item.is_directory() && !self.options.directory => directories.push(item),
                Ok(item) => files.push(item),
                Err(error) => {
                    status = 2;
                    complain(cx, path, &error);
                }
            }
        }
        self.sort(&mut files);
        self.sort(&mut directories);
        self.first = files.is_empty();
        self.write(cx, &files)?;
        let headed = operands.len() > 1 || self.options.recursive;
        for item in directories {
            let path = Path::new(&item.name);
            if let Err(error) = self.directory(cx, path, headed)? {
                status = 2;
                complain(cx, path, &error);
            }
        }
        Ok(Exit(status))
    }

    fn operand(&self, cx: &Context<'_>, path: &Path) -> io::Result<Item> {
        let Options { dereference, dereference_operands, long, classify, directory, .. } = self.options;
        let stat = match dereference || dereference_operands || !(long || classify || directory) {
            // A link that leads nowhere is shown as the link that it is.
            true => cx.files.metadata(path).or_else(|_| cx.files.symlink_metadata(path)),
            false => cx.files.symlink_metadata(path),
        }?;
        let is_link = mode::letter(stat.st_mode) == 'l';
        Ok(Item {
            name: path.as_os_str().to_os_string(),
            whose: cx.files.whose(path),
            inode: stat.st_ino,
            mode: stat.st_mode,
            stat: Some(Box::new(stat)),
            link: if long && is_link { cx.files.read_link(path).ok() } else { None },
        })
    }

    /// Lists a directory. The inner error is why it could not be opened.
    fn directory(&mut self, cx: &mut Context<'_>, path: &Path, headed: bool) -> Result<io::Result<()>> {
        let opened = cx.files.directory(path).and_then(|directory| {
            let stat = nix::sys::stat::fstat(&directory)?;
            Ok((directory.read()?, directory, (stat.st_dev, stat.st_ino)))
        });
        let (entries, directory, own) = match opened {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        if self.above.contains(&own) {
            return Ok(Err(io::Error::other("leads back to a directory above")));
        }
        if headed {
            let before: &[u8] = if self.first { b"" } else { b"\n" };
            let name = shown(path.as_os_str().as_bytes(), self.escape);
            cx.io.out.write_all(&[before, &name, b":\n"].concat())?;
        }
        self.first = false;
        let whose = cx.files.whose(path);
        let mut items = Vec::new();
        let dots = if self.options.all { &[".", ".."][..] } else { &[] };
        let dots =
            dots.iter().map(|dot| Ok(Entry { name: OsString::from(dot), kind: Some(Type::Directory), inode: 0 }));
        for entry in dots.chain(entries) {
            match entry {
                Ok(entry) if self.hidden(&entry.name) => {}
                Ok(entry) => items.push(self.item(cx, &directory, path, whose, entry)),
                Err(error) => {
                    complain(cx, path, &error);
                    break;
                }
            }
            if self.stream && items.len() == 1024 {
                self.write(cx, &items)?;
                items.clear();
            }
        }
        self.sort(&mut items);
        if self.options.long || self.options.size {
            let total = items.iter().map(blocks).sum();
            writeln!(cx.io.out, "total {}", self.kibibytes(total))?;
        }
        self.write(cx, &items)?;
        if self.options.recursive {
            items.retain(|item| item.is_directory() && item.name != "." && item.name != "..");
            let below: Vec<OsString> = items.into_iter().map(|item| item.name).collect();
            drop(directory);
            self.above.push(own);
            for name in below {
                let path = path.join(name);
                if let Err(error) = self.directory(cx, &path, true)? {
                    complain(cx, &path, &error);
                }
            }
            self.above.pop();
        }
        Ok(Ok(()))
    }

    fn hidden(&self, name: &OsStr) -> bool {
        name.as_bytes().starts_with(b".") && !self.options.all && !self.options.almost_all
    }

    /// What the options need to know of an entry. One that cannot be looked at is shown with what is known.
    fn item(&self, cx: &mut Context<'_>, directory: &Directory, path: &Path, whose: Whose, entry: Entry) -> Item {
        let Entry { name, kind, inode } = entry;
        let mut item = Item { name, whose, inode, mode: kind.map_or(0, bits), stat: None, link: None };
        let executable = self.options.classify && matches!(kind, None | Some(Type::File));
        let kinds = self.options.slash || self.options.recursive || self.options.group_directories_first;
        let needed = self.stat || executable || (kinds && kind.is_none()) || (self.options.inode && inode == 0);
        if !needed {
            return item;
        }
        let found = match self.options.dereference {
            true => cx.files.metadata(&path.join(&item.name)).or_else(|_| directory.symlink_metadata(&item.name)),
            // The directory above the target's root is that root, which only the path tells.
            false if item.name == ".." => cx.files.metadata(&path.join("..")),
            false => directory.symlink_metadata(&item.name),
        };
        match found {
            Ok(stat) => {
                if self.options.long && mode::letter(stat.st_mode) == 'l' {
                    item.link = directory.read_link(&item.name).ok();
                }
                item.inode = stat.st_ino;
                item.mode = stat.st_mode;
                item.stat = Some(Box::new(stat));
            }
            Err(error) => complain(cx, &path.join(&item.name), &error),
        }
        item
    }

    fn sort(&self, items: &mut [Item]) {
        let options = &self.options;
        if options.unsorted {
            return;
        }
        let by_name = |a: &Item, b: &Item| a.name.cmp(&b.name);
        order::sort_by(items, |a, b| {
            let order = match options {
                Options { by_size: true, .. } => size(b).cmp(&size(a)).then_with(|| by_name(a, b)),
                Options { by_time: true, .. } => self.time(b).cmp(&self.time(a)).then_with(|| by_name(a, b)),
                _ => by_name(a, b),
            };
            let order = if options.reverse { order.reverse() } else { order };
            match options.group_directories_first {
                true => b.is_directory().cmp(&a.is_directory()).then(order),
                false => order,
            }
        });
    }

    fn time(&self, item: &Item) -> (i64, i64) {
        item.stat.as_ref().map_or((0, 0), |stat| match &self.options {
            Options { accessed: true, .. } => (stat.st_atime, stat.st_atime_nsec),
            Options { changed: true, .. } => (stat.st_ctime, stat.st_ctime_nsec),
            _ => (stat.st_mtime, stat.st_mtime_nsec),
        })
    }

    fn write(&self, cx: &mut Context<'_>, items: &[Item]) -> Result<()> {
        let options = &self.options;
        let out = &mut cx.io.out;
        if options.long {
            return Ok(self.write_long(out, items)?);
        }
        let mut numbers = [0, 0];
        for item in items.iter().filter(|_| !options.commas) {
            numbers[0] = numbers[0].max(item.inode.to_string().len());
            numbers[1] = numbers[1].max(self.kibibytes(blocks(item)).len());
        }
        let cell = |item: &Item| {
            let mut cell = Vec::new();
            if options.inode {
                cell.extend(format!("{:>1$} ", item.inode, numbers[0]).bytes());
            }
            if options.size {
                cell.extend(format!("{:>1$} ", self.kibibytes(blocks(item)), numbers[1]).bytes());
            }
            cell.extend(self.name(item));
            let width = String::from_utf8_lossy(&cell).chars().count();
            (cell, width)
        };
        let width = if self.width == 0 { usize::MAX } else { self.width };
        let cells = || items.iter().map(cell).collect::<Vec<(Vec<u8>, usize)>>();
        match options {
            Options { columns: true, .. } => columns::write(out, &cells(), width, Order::Down)?,
            Options { across: true, .. } => columns::write(out, &cells(), width, Order::Across)?,
            Options { commas: true, .. } => columns::commas(out, &cells(), width)?,
            _ => items.iter().try_for_each(|item| {
                out.write_all(&cell(item).0)?;
                out.write_all(b"\n")
            })?,
        }
        Ok(())
    }

    /// The name with its mark.
    fn name(&self, item: &Item) -> Vec<u8> {
        let mut name = shown(item.name.as_bytes(), self.escape).into_owned();
        name.extend(match mode::letter(item.mode) {
            'd' if self.options.classify || self.options.slash => Some(b'/'),
            _ if !self.options.classify => None,
            'l' if !self.options.long => Some(b'@'),
            'p' => Some(b'|'),
            's' => Some(b'='),
            '-' if item.mode & 0o111 != 0 => Some(b'*'),
            _ => None,
        });
        name
    }

    /// A number of blocks of 512 bytes.
    fn kibibytes(&self, blocks: u64) -> String {
        if self.options.human_readable {
            units::short(blocks.saturating_mul(512))
        } else {
            blocks.div_ceil(2).to_string()
        }
    }

    fn write_long(&self, out: &mut impl Write, items: &[Item]) -> io::Result<()> {
        // Modes and names are left-aligned, numbers right-aligned; an empty column is not there.
        const LEFT: [bool; 8] = [false, false, true, false, true, true, false, false];
        let mut widths = [0; 8];
        for item in items {
            for (width, cell) in widths.iter_mut().zip(self.row(item)) {
                *width = (*width).max(cell.chars().count());
            }
        }
        // Made a second time, because the cells of a large directory would take more room than all that is known of it.
        for item in items {
            let row = self.row(item);
            let mut line = String::new();
            for ((cell, width), left) in row.iter().zip(widths).zip(LEFT).filter(|((_, width), _)| *width > 0) {
                line.push_str(&if left { format!("{cell:<width$} ") } else { format!("{cell:>width$} ") });
            }
            out.write_all(line.as_bytes())?;
            out.write_all(&self.name(item))?;
            if let Some(link) = &item.link {
                out.write_all(&[b" -> ", &*shown(link.as_bytes(), self.escape)].concat())?;
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn row(&self, item: &Item) -> [String; 8] {
        let options = &self.options;
        let stat = item.stat.as_ref();
        let known = |cell: fn(&FileStat) -> String| stat.map_or_else(|| String::from("?"), |stat| cell(stat));
        let named = |name: Option<&[u8]>, id: u32| match name {
            Some(name) if !options.numeric => Safe(name).to_string(),
            _ => id.to_string(),
        };
        let owner = |stat: &FileStat| named(self.users.user(stat.st_uid, item.whose), stat.st_uid);
        let group = |stat: &FileStat| named(self.users.group(stat.st_gid, item.whose), stat.st_gid);
        let unknown = || String::from("?");
        [
            if options.inode { item.inode.to_string() } else { String::new() },
            if options.size { self.kibibytes(blocks(item)) } else { String::new() },
            stat.map_or_else(|| format!("{}?????????", mode::letter(item.mode)), |stat| mode::string(stat.st_mode)),
            known(|stat| stat.st_nlink.to_string()),
            if options.no_owner { String::new() } else { stat.map_or_else(unknown, |stat| owner(stat)) },
            if options.no_group { String::new() } else { stat.map_or_else(unknown, |stat| group(stat)) },
            match mode::letter(item.mode) {
                'c' | 'b' => known(|stat| format!("{}, {:>3}", major(stat.st_rdev), minor(stat.st_rdev))),
                _ if options.human_readable => known(|stat| units::short(stat.st_size.unsigned_abs())),
                _ => known(|stat| stat.st_size.to_string()),
            },
            stat.map_or_else(unknown, |_| self.date(self.time(item))),
        ]
    }

    /// The time of day for the last half year, else the year.
    fn date(&self, (seconds, nanoseconds): (i64, i64)) -> String {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        const HALF_A_YEAR: i64 = 31_556_952 / 2;
        let Some(time) = sys::time::local(seconds, self.zone.as_deref()) else { return seconds.to_string() };
        let sys::time::Local { year, month, day, hour, minute, second, offset, .. } = time;
        if self.options.full_time {
            let (sign, offset) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
            let (hours, minutes) = (offset / 60, offset % 60);
            return format!(
                "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{nanoseconds:09} {sign}{hours:02}{minutes:02}"
            );
        }
        let name = MONTHS[usize::from(month - 1) % 12];
        match self.now - HALF_A_YEAR < seconds && seconds <= self.now {
            true => format!("{name} {day:>2} {hour:02}:{minute:02}"),
            false => format!("{name} {day:>2} {year:>5}"),
        }
    }
}

fn complain(cx: &mut Context<'_>, path: &Path, error: &io::Error) {
    cx.warn(format_args!("{}: {}", Safe::path(path), applet::reason(error)));
}

/// What a directory tells of a file's kind, as the bits of a mode.
fn bits(kind: Type) -> u32 {
    match kind {
        Type::Fifo => libc::S_IFIFO,
        Type::CharacterDevice => libc::S_IFCHR,
        Type::Directory => libc::S_IFDIR,
        Type::BlockDevice => libc::S_IFBLK,
        Type::File => libc::S_IFREG,
        Type::Symlink => libc::S_IFLNK,
        Type::Socket => libc::S_IFSOCK,
    }
}

fn blocks(item: &Item) -> u64 {
    item.stat.as_ref().and_then(|stat| u64::try_from(stat.st_blocks).ok()).unwrap_or(0)
}

fn size(item: &Item) -> i64 {
    item.stat.as_ref().map_or(0, |stat| stat.st_size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::{Captured, capture};
    use std::os::unix::fs::symlink;

    /// A directory for one test, with a file of 2000 bytes, a directory, two links, a hidden file.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let dir = std::env::temp_dir().join(format!("sidebox-ls-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&dir);
            std::fs::create_dir_all(dir.join("sub/deep")).unwrap();
            std::fs::write(dir.join("big"), vec![b'x'; 2000]).unwrap();
            std::fs::write(dir.join("a\nb"), "").unwrap();
            std::fs::write(dir.join(".hidden"), "").unwrap();
            symlink("sub", dir.join("link")).unwrap();
            symlink("none", dir.join("dangling")).unwrap();
            Scratch(dir)
        }

        fn ls(&self, args: &[&str], path: &str) -> Captured {
            let path = self.0.join(path);
            capture(&APPLET, &[args, &[path.to_str().unwrap()]].concat(), b"")
        }

        #[track_caller]
        fn check(&self, args: &[&str], path: &str, out: &str) {
            let expected = Captured { status: 0, out: String::from(out), err: String::new() };
            assert_eq!(self.ls(args, path), expected);
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn names() {
        let dir = Scratch::new("names");
        dir.check(&[], "", "a\nb\nbig\ndangling\nlink\nsub\n");
        dir.check(&["-A"], "", ".hidden\na\nb\nbig\ndangling\nlink\nsub\n");
        dir.check(&["-a"], "sub", ".\n..\ndeep\n");
        dir.check(&["-bF"], "", "a\\nb\nbig\ndangling@\nlink@\nsub/\n");
        dir.check(&["-rp"], "", "sub/\nlink\ndangling\nbig\na\nb\n");
        dir.check(&["-m", "-b"], "", "a\\nb, big, dangling, link, sub\n");
        dir.check(&["-bCw20"], "", "a\\nb  dangling  sub\nbig   link\n");
        dir.check(&["-S", "-1", "-b"], "sub", "deep\n");
        dir.check(&["-b", "--group-directories-first"], "", "sub\na\\nb\nbig\ndangling\nlink\n");
    }

    #[test]
    fn links_that_are_operands() {
        let dir = Scratch::new("links");
        dir.check(&[], "link", "deep\n");
        let long = dir.ls(&["-l"], "link").out;
        assert!(long.starts_with("lrwxrwxrwx 1 ") && long.ends_with("/link -> sub\n"), "{long}");
        assert_eq!(dir.ls(&[], "dangling").status, 0);
        assert!(
            dir.ls(&["-lL"], "link").out.starts_with("total 4\n")
                || dir.ls(&["-lL"], "link").out.starts_with("total 0\n")
        );
    }

    #[test]
    fn the_long_format() {
        let dir = Scratch::new("long");
        let file = std::fs::File::options().write(true).open(dir.0.join("big")).unwrap();
        file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(86400)).unwrap();
        let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
        dir.check(
            &["-nh", "--color=auto"],
            "big",
            &format!("-rw-r--r-- 1 {user} {group} 2.0K Jan  2  1970 {}\n", dir.0.join("big").display()),
        );
        dir.check(
            &["-ng", "--full-time"],
            "big",
            &format!("-rw-r--r-- 1 {group} 2000 1970-01-02 00:00:00.000000000 +0000 {}\n", dir.0.join("big").display()),
        );
    }

    #[test]
    fn directories_below() {
        let dir = Scratch::new("below");
        let sub = dir.0.join("sub");
        let sub = sub.display();
        dir.check(&["-R"], "sub", &format!("{sub}:\ndeep\n\n{sub}/deep:\n"));
    }

    #[test]
    fn what_is_not_there() {
        let done = capture(&APPLET, &["/none", "-d", "/"], b"");
        let err = String::from("ls: /none: No such file or directory\n");
        assert_eq!(done, Captured { status: 2, out: String::from("/\n"), err });
        assert_eq!(capture(&APPLET, &["-Q"], b"").status, 2);
    }
}
