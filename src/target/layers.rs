//! Which layers of an image a root is made of, as its overlay mount names them, and whether two roots are made of the same.

use super::mounts::Mount;

/// The root of a mount namespace.
fn root(mounts: &[Mount]) -> Option<&Mount> {
    mounts.iter().rfind(|mount| mount.point == b"/")
}

/// The layers below the one that can be written, topmost first; `None` for what is no overlay, or hides them.
pub fn of(mounts: &[Mount]) -> Option<Vec<&[u8]>> {
    let root = root(mounts).filter(|root| root.filesystem == b"overlay")?;
    let mut layers = Vec::new();
    for option in root.options.split(|byte| *byte == b',') {
        // The newer way to mount has an option for each.
        if let Some(list) = option.strip_prefix(b"lowerdir=").or(option.strip_prefix(b"lowerdir+=")) {
            layers.extend(list.split(|byte| *byte == b':').filter(|layer| !layer.is_empty()));
        }
    }
    // Docker's storage has a layer of the container's own on top, with the files that it mounts something over.
    if layers.len() > 1 && layers[0].windows(10).any(|part| part == b"/overlay2/") {
        layers.remove(0);
    }
    (!layers.is_empty()).then_some(layers)
}

/// What two roots have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They are made of the same layers, and so of the same image.
    Same,
    /// Of others, or of some that are the same.
    Different,
    /// They do not tell.
    Unknown,
    /// They are not even on the same kind of file system, so they are no containers of the same engine.
    Unrelated,
}

pub fn relation(ours: &[Mount], theirs: &[Mount]) -> Relation {
    if root(ours).map(|root| &root.filesystem) != root(theirs).map(|root| &root.filesystem) {
        return Relation::Unrelated;
    }
    match (of(ours), of(theirs)) {
        (Some(ours), Some(theirs)) if ours == theirs => Relation::Same,
        (Some(_), Some(_)) => Relation::Different,
        _ => Relation::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::mounts::parse;

    fn overlay(options: &str) -> Vec<Mount> {
        parse(format!("1 0 0:30 / / rw - overlay overlay rw,{options},upperdir=/u,workdir=/w\n").as_bytes())
    }

    #[test]
    fn layers() {
        assert_eq!(of(&overlay("lowerdir=/c/l/A:/c/l/B")).unwrap(), [&b"/c/l/A"[..], b"/c/l/B"]);
        assert_eq!(of(&overlay("lowerdir+=/a,lowerdir+=/b")).unwrap(), [&b"/a"[..], b"/b"]);
        let docker = "lowerdir=/var/lib/docker/overlay2/l/INIT:/var/lib/docker/overlay2/l/A";
        assert_eq!(of(&overlay(docker)).unwrap(), [b"/var/lib/docker/overlay2/l/A"]);
        assert_eq!(of(&parse(b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n")), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn relations() {
        let ext4 = parse(b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n");
        let (one, two) = (overlay("lowerdir=/a:/b"), overlay("lowerdir=/c:/b"));
        assert_eq!(relation(&one, &overlay("lowerdir=/a:/b")), Relation::Same);
        assert_eq!(relation(&one, &two), Relation::Different);
        assert_eq!(relation(&one, &ext4), Relation::Unrelated);
        assert_eq!(relation(&ext4, &ext4), Relation::Unknown);
    }
}
