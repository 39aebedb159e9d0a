//! What a container's root is made of: files in memory, so that nothing is ever left on the disk.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The files of an image, all of them programs and their libraries.
pub struct Image {
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Image {
    /// An image of one file.
    pub fn of(file: &Path, at: &str) -> Result<Image, String> {
        Ok(Image { files: vec![(PathBuf::from(at), read(file)?)] })
    }

    /// Writes the files below a directory.
    pub fn unpack(&self, root: &Path) -> io::Result<()> {
        for (path, bytes) in &self.files {
            let path = root.join(path.strip_prefix("/").unwrap_or(path));
            if let Some(parent) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
            }
            fs::write(&path, bytes)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A server, and the image that it runs in.
pub struct Server {
    pub image: Image,
    /// Where it is on this machine, and in the image.
    pub program: PathBuf,
    pub name: &'static str,
    pub about: String,
}

impl Server {
    /// The machine's memcached with the libraries it needs, if there is one.
    pub fn memcached() -> Option<Server> {
        let path = env::var_os("PATH")?;
        let program =
            env::split_paths(&path).map(|directory| directory.join("memcached")).find(|path| path.is_file())?;
        let listed = Command::new("ldd").arg(&program).stderr(Stdio::null()).output().ok()?;
        let mut files = vec![(program.clone(), read(&program).ok()?)];
        // A line is `name => /path (address)`, or `/path (address)` for the loader.
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            if let Some(path) = line.split_whitespace().find(|word| word.starts_with('/')) {
                files.push((PathBuf::from(path), read(Path::new(path)).ok()?));
            }
        }
        let about = format!("this machine's {} and the {} libraries it needs", program.display(), files.len() - 1);
        Some(Server { image: Image { files }, program, name: "memcached", about })
    }

    /// The example's own server, one static file.
    pub fn tiny(program: &Path) -> Result<Server, String> {
        Ok(Server {
            image: Image::of(program, &program.to_string_lossy())?,
            program: program.to_path_buf(),
            name: "tiny-memcached",
            about: String::from("tiny-memcached, a small stand-in, because this machine has no memcached"),
        })
    }
}
