//! The table of commands against everything that repeats it: file names, help, the README, the links.

use std::collections::BTreeSet;
use std::fs;

use sidebox::applet::{Applet, Table, about, help};
use sidebox::applets::TABLE;

use crate::program::{Directory, Program, run, sources};

fn applets(table: Table) -> impl Iterator<Item = (&'static str, &'static Applet)> {
    table.iter().flat_map(|group| group.applets.iter().map(|applet| (group.name, *applet)))
}

fn names() -> BTreeSet<&'static str> {
    applets(TABLE).flat_map(|(_, applet)| applet.names).copied().collect()
}

#[test]
fn the_table_is_sorted_and_has_no_name_twice() {
    for group in TABLE {
        let names: Vec<&str> = group.applets.iter().map(|applet| applet.names[0]).collect();
        assert!(names.is_sorted(), "{}: {names:?}", group.name);
    }
    let all = applets(TABLE).flat_map(|(_, applet)| applet.names).count();
    assert_eq!(all, names().len());
}

#[test]
fn a_name_is_a_file_name() {
    let mut files = BTreeSet::new();
    let top = sources().join("src/applets");
    for group in fs::read_dir(&top).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in fs::read_dir(&group).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            let (group, file) = (group.file_name().unwrap(), file.file_stem().unwrap());
            files.insert(format!("{}/{}", group.to_string_lossy(), file.to_string_lossy()));
        }
    }
    let rows: BTreeSet<String> = applets(TABLE).map(|(group, applet)| format!("{group}/{}", applet.names[0])).collect();
    assert_eq!(files, rows, "files below src/applets, and rows of the table");
}

#[test]
fn every_applet_has_help() {
    let program = Program::new();
    for (_, applet) in applets(TABLE) {
        let name = applet.names[0];
        let line = about(applet);
        assert!(!line.is_empty() && !line.contains('\n') && !line.ends_with('.'), "{name}: {line:?}");
        for called in applet.names {
            let help = help(applet);
            assert!(help.starts_with(&line), "{name}: the help starts with the line of the list:\n{help}");
            let asked = program.sidebox(&["help", called]);
            assert_eq!((asked.status, asked.out.as_str(), asked.err.as_str()), (0, help.as_str(), ""), "help {called}");
            let option = program.sidebox(&[called, "--help"]);
            assert_eq!((option.status, option.out.as_str(), option.err.as_str()), (0, help.as_str(), ""), "{called}");
        }
    }
}

#[test]
fn the_list_names_every_command() {
    let program = Program::new();
    let list = program.sidebox(&[]);
    assert_eq!((list.status, list.err.as_str()), (0, ""));
    for (_, applet) in applets(TABLE) {
        // Rows are indented; a group's heading may begin with the same word.
        let row = format!("  {}", applet.names.join(" "));
        let line = list.out.lines().find(|line| line.starts_with(&row));
        assert!(line.is_some_and(|line| line.ends_with(&about(applet))), "{}:\n{}", applet.names[0], list.out);
    }
    let bare = program.sidebox(&["--list"]);
    assert_eq!(bare.out.lines().collect::<Vec<_>>(), names().into_iter().collect::<Vec<_>>());
}

#[test]
fn links_are_relative_and_one_per_name() {
    let program = Program::new();
    let directory = Directory::new("install");
    let path = directory.path().to_str().unwrap();
    for _ in 0..2 {
        let installed = program.sidebox(&["--install", path]);
        assert_eq!((installed.status, installed.err.as_str()), (0, ""));
    }
    let links: BTreeSet<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            assert_eq!(fs::read_link(entry.path()).unwrap().to_str(), Some("sidebox"));
            entry.file_name().into_string().unwrap()
        })
        .collect();
    assert_eq!(links, names().into_iter().map(String::from).collect());
}

#[test]
fn an_unknown_name_ends_with_127_and_the_nearest_name() {
    let program = Program::new();
    let outcome = program.sidebox(&["ture"]);
    assert_eq!(outcome.status, 127);
    assert_eq!(outcome.err, "sidebox: ture: no such command, did you mean 'true'?\n");
    assert_eq!(outcome.out, "");
    let outcome = program.sidebox(&["help", "\x1b[31mxyzzy"]);
    assert_eq!(outcome.status, 127);
    assert!(!outcome.err.contains('\x1b') && outcome.err.lines().count() == 1, "{:?}", outcome.err);
}

#[test]
fn a_wrong_option_is_one_line_and_status_2() {
    let program = Program::new();
    // What reads any word as an argument, or complains in its own way, as its standard has it.
    let raw = ["[", "echo", "etcdctl", "false", "printf", "test", "true"];
    for name in names().into_iter().filter(|name| !raw.contains(name)) {
        let outcome = program.sidebox(&[name, "--no-such-option"]);
        assert_eq!((outcome.status, outcome.out.as_str()), (2, ""), "{name}: {}", outcome.err);
        assert_eq!(outcome.err.lines().count(), 1, "{name}: {}", outcome.err);
        assert!(outcome.err.starts_with(&format!("{name}: ")), "{name}: {}", outcome.err);
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let program = Program::new();
    let script = format!("'{}' --list | true; '{}' help sidebox 2>&1 | true", binary(&program), binary(&program));
    let outcome = run(std::process::Command::new("/bin/sh").args(["-c", &script]), std::time::Duration::from_secs(10));
    assert_eq!((outcome.status, outcome.err.as_str()), (0, ""));
}

fn binary(program: &Program) -> String {
    program.links().join("sidebox").to_str().unwrap().to_string()
}

/// The README's list of commands, between two marks, as the table has it.
#[test]
fn the_readme_lists_the_table() {
    let readme = fs::read_to_string(sources().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- commands -->\n").expect("the mark where the list starts");
    let (list, _) = rest.split_once("<!-- end of commands -->").expect("the mark where the list ends");
    let mut expected = String::from("| group | commands |\n|---|---|\n");
    for group in TABLE.iter().filter(|group| !group.applets.is_empty()) {
        let names = group.applets.iter().flat_map(|applet| applet.names);
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        expected.push_str(&format!("| {} | {} |\n", group.name, names.join(" ")));
    }
    assert!(list == expected, "The list in README.md is not the table. It should be\n\n{expected}");
}
