//! The order of the rooms, and what each never does. Reads `src` as text: what `src/engine.rs` and then `src/lib.rs`
//! list first, stands lowest, and a module uses only what stands above it in that list.
//!
//! Comments, texts and unit tests are no uses. A unit test is what follows `#[cfg(test)]` and `mod tests`, which ends
//! a file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::sources;

/// One file below `src`.
struct Source {
    /// `applets/files/cat.rs`
    path: String,
    /// Without comments and unit tests.
    code: String,
    lines: usize,
    /// The comment at the top.
    head: String,
}

impl Source {
    /// The room that it belongs to.
    fn room(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap()
    }

    /// `applets/GROUP/NAME` for a file of a command, its submodules included.
    fn applet(&self) -> Option<String> {
        let parts: Vec<&str> = self.path.strip_suffix(".rs")?.split('/').collect();
        (parts[0] == "applets" && parts.len() >= 3).then(|| parts[..3].join("/"))
    }
}

fn read() -> Vec<Source> {
    let top = sources().join("src");
    let mut found = Vec::new();
    let mut open = vec![top.clone()];
    while let Some(directory) = open.pop() {
        for path in fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => open.push(path),
                false => found.push(source(&top, path)),
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn source(top: &Path, path: PathBuf) -> Source {
    let text = fs::read_to_string(&path).unwrap();
    let path = path.strip_prefix(top).unwrap().to_str().unwrap().to_string();
    // Without the unit tests, which may be as long as they like.
    let lines = text.split("#[cfg(test)]").next().unwrap().lines().count();
    let head = text.lines().take_while(|line| line.starts_with("//!")).collect();
    Source { path, lines, head, code: code(&text) }
}

/// What is left without the unit tests and the comments. Texts stay, because a path in one counts.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let without = |line: &str| line.split("// ").next().unwrap().trim_end().to_string() + "\n";
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(without).collect()
}

/// The modules of the library, lowest first.
fn rooms() -> Vec<String> {
    let text = ["src/engine.rs", "src/lib.rs"].map(|path| fs::read_to_string(sources().join(path)).unwrap()).concat();
    text.lines().filter_map(|line| Some(line.strip_prefix("pub mod ")?.trim_end_matches(';').to_string())).collect()
}

/// What is named behind `crate::`, as paths of at most four words: `crate::{a, b::c}` names `a` and `b::c`.
fn uses(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push(path(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (index, character) in group.char_indices() {
                    match character {
                        '}' if depth == 0 => break,
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        character if start && depth == 0 && !character.is_whitespace() => {
                            found.push(path(&group[index..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn path(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_alphanumeric() || "_:#".contains(c))).unwrap_or(text.len());
    text[..end].trim_end_matches(':').replace("r#", "").split("::").take(4).collect::<Vec<_>>().join("::")
}

#[test]
fn a_module_uses_only_what_stands_above_it() {
    let rooms = rooms();
    assert_eq!(rooms.first().map(String::as_str), Some("sys"), "{rooms:?}");
    let place = |name: &str| rooms.iter().position(|room| room == name);
    let mut wrong = Vec::new();
    for source in read() {
        let Some(own) = place(source.room()) else { continue };
        for used in uses(&source.code) {
            let Some(other) = place(used.split("::").next().unwrap()) else { continue };
            if other > own {
                wrong.push(format!("src/{}: crate::{used} stands below {}", source.path, rooms[own]));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn an_applet_uses_no_other_applet() {
    let mut wrong = Vec::new();
    for source in read() {
        let Some(applet) = source.applet() else { continue };
        let own = applet.replace('/', "::");
        for used in uses(&source.code).iter().filter(|used| used.starts_with("applets")) {
            if *used != own && !used.starts_with(&format!("{own}::")) {
                wrong.push(format!("src/{}: crate::{used}", source.path));
            }
        }
        // Upwards only as far as the applet's own file.
        let depth = source.path.matches('/').count() - 1;
        let upwards = "super::".repeat(depth);
        if source.code.contains(&upwards) {
            wrong.push(format!("src/{}: {upwards} leads out of the applet", source.path));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_a_room_never_does() {
    type Rule = (&'static str, &'static [&'static str], fn(&Source) -> bool);
    fn launches(source: &Source) -> bool {
        ["launch", "sys"].contains(&source.room())
    }
    // What, how it shows in the text, and where it is at home.
    let rules: &[Rule] = &[
        ("/proc is spelled", &["\"/proc"], |s| s.room() == "target"),
        ("unsafe is used", &["unsafe ", "allow(unsafe_code)"], |s| s.room() == "sys" || s.path == "main.rs"),
        ("a process is started", &["unistd::fork", "sys::fork(", "execve(", "process::Command"], launches),
        ("a process is waited for", &["waitpid(", "waitid("], launches),
        (
            "a file is reached past cx.files",
            &["use std::fs;", "fs::read", "fs::write", "fs::metadata", "File::open", "File::create", "OpenOptions"],
            |s| s.room() != "applets" || s.path == "applets/multicall.rs",
        ),
        ("something is connected", &["TcpStream", "UnixStream", "connect("], |s| {
            !["sys", "output", "target", "inspect", "applet", "launch"].contains(&s.room())
        }),
        ("something is printed", &["println!", "print!(", "eprint!("], |_| false),
        ("the shell that runs a tree is known to what makes it", &["Shell<", "super::{Flow"], |s| {
            !s.path.starts_with("shell/syntax")
        }),
        ("the text is async", &["async fn", ".await"], |s| s.path.starts_with("protocol/etcd")),
    ];
    let mut wrong = Vec::new();
    for source in read() {
        for (what, signs, at_home) in rules {
            if let Some(sign) = signs.iter().find(|sign| source.code.contains(**sign) && !at_home(&source)) {
                wrong.push(format!("src/{}: {what} ({sign})", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_room_for_leftovers() {
    let leftovers = ["common", "util", "utils", "helper", "helpers", "misc", "mod"];
    for source in read() {
        let mut parts = source.path.trim_end_matches(".rs").split('/');
        assert!(!parts.any(|part| leftovers.contains(&part)), "src/{}: a name that says nothing", source.path);
    }
}

#[test]
fn a_file_is_short_or_says_why_not() {
    const LIMIT: usize = 300;
    let applets: Vec<Source> = read().into_iter().filter(|source| source.applet().is_some()).collect();
    assert!(!applets.is_empty());
    let long = applets.iter().filter(|source| source.lines > LIMIT);
    let silent = long.filter(|source| !source.head.contains("Longer than most"));
    let wrong: Vec<String> = silent.map(|source| format!("src/{}: {} lines", source.path, source.lines)).collect();
    assert!(wrong.is_empty(), "past {LIMIT} lines the head says why (\"Longer than most …\"):\n{}", wrong.join("\n"));
}

#[test]
fn uses_are_found() {
    let code = code("// crate::a\nuse crate::b::{c, d};\nuse crate::{e, f::{g, h}, r#i};\nlet x = crate::j();\n");
    assert_eq!(uses(&code), ["b", "e", "f", "i", "j"]);
}
