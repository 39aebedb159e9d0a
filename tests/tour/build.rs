//! Builds sidebox and the small server as static binaries, with what the machine has.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Built {
    pub sidebox: PathBuf,
    pub server: PathBuf,
}

/// musl where its target is installed, else the C library of this machine, linked statically.
pub fn build() -> Result<Built, String> {
    let arch = env::consts::ARCH;
    let musl = format!("{arch}-unknown-linux-musl");
    let gnu = format!("{arch}-unknown-linux-gnu");
    if installed(&musl) {
        match cargo(&musl, "") {
            Ok(built) => return Ok(built),
            Err(error) => eprintln!("tour: {musl}: {error}; trying {gnu}"),
        }
    }
    cargo(&gnu, "-C target-feature=+crt-static").map_err(|error| {
        format!(
            "{gnu}, linked statically: {error}\n\
             What is missing may be the target that sidebox ships for (rustup target add {musl}),\n\
             or the static C library (libc6-dev on Debian, glibc-static on Fedora)."
        )
    })
}

fn installed(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    asked.is_ok_and(|asked| Path::new(String::from_utf8_lossy(&asked.stdout).trim()).is_dir())
}

fn cargo(target: &str, flags: &str) -> Result<Built, String> {
    eprintln!("tour: building sidebox for {target}");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--bin", "sidebox", "--example", "tiny-memcached", "--target", target]);
    command.args(["--message-format", "json-render-diagnostics"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if !flags.is_empty() {
        command.env("RUSTFLAGS", flags);
    }
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo build: {}", output.status));
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let executables = || messages.lines().filter_map(|line| line.split_once(r#""executable":""#)?.1.split('"').next());
    let find = |name: &str| {
        let found = executables().map(Path::new).find(|path| path.file_name().is_some_and(|file| file == name));
        found.map(Path::to_path_buf).ok_or(format!("cargo built no {name}"))
    };
    Ok(Built { sidebox: find("sidebox")?, server: find("tiny-memcached")? })
}
