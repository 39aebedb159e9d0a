//! The environment that the target was started with. Values that look like secrets are not shown unless asked for.

use super::{Scene, Section, shortened};
use crate::output::Safe;
use crate::output::json::Object;

/// More variables than this are counted only.
const LIMIT: usize = 1000;

/// What people see: as many variables, and as much of each.
const SHOWN: usize = 12;
const LENGTH: usize = 60;

/// Parts of names that promise a secret.
const SECRET: [&str; 13] = [
    "PASS",
    "SECRET",
    "TOKEN",
    "KEY",
    "CREDENTIAL",
    "AUTH",
    "PRIVATE",
    "CERT",
    "COOKIE",
    "SIGNATURE",
    "SALT",
    "DSN",
    "PIN",
];

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("environment");
    let pairs = match &scene.environment {
        Ok(pairs) => pairs,
        Err(error) => {
            section.unread("count", error);
            section.object.null("count").null("redacted").null("variables");
            return section;
        }
    };
    let mut rows = Vec::new();
    let mut shown = Vec::new();
    let mut redacted = 0;
    for pair in pairs.iter().take(LIMIT) {
        let split = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (&pair[..split], pair.get(split + 1..).unwrap_or_default());
        let hidden = !scene.secrets && is_secret(name, value);
        redacted += u64::from(hidden);
        if shown.len() < SHOWN {
            let value = if hidden { String::from("(secret)") } else { Safe(value).to_string() };
            shown.push(shortened(format!("{}={value}", Safe(name)), LENGTH));
        }
        let mut row = Object::new();
        row.bytes("name", name);
        match hidden {
            true => row.null("value"),
            false => row.bytes("value", value),
        };
        rows.push(row);
    }
    let more = match pairs.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(", {more} of them not shown"),
    };
    let hint = match redacted {
        0 => String::new(),
        count => format!(", {count} secret (--show-secrets)"),
    };
    section.fact("count", format_args!("{}{more}{hint}", pairs.len()));
    shown.iter().for_each(|variable| section.fact("variable", variable));
    section.object.number("count", u64::try_from(pairs.len()).ok()).number("redacted", Some(redacted));
    section.object.objects("variables", rows);
    section
}

/// By its name, or because the value is an address with a password in it.
fn is_secret(name: &[u8], value: &[u8]) -> bool {
    let name = name.to_ascii_uppercase();
    let named = SECRET.iter().any(|part| name.windows(part.len()).any(|window| window == part.as_bytes()));
    named || has_password(value)
}

/// `scheme://user:password@host`.
fn has_password(value: &[u8]) -> bool {
    let Some(start) = value.windows(3).position(|window| window == b"://") else { return false };
    let rest = &value[start + 3..];
    let authority = rest.split(|byte| matches!(byte, b'/' | b'?' | b'#')).next().unwrap_or_default();
    authority.contains(&b'@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_by_name_and_by_value() {
        for (name, value) in [
            ("API_TOKEN", "x"),
            ("db_password", "x"),
            ("PGPASSWORD", ""),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("DATABASE", "postgres://u:p@h/db"),
            ("X", "https://token@h"),
        ] {
            assert!(is_secret(name.as_bytes(), value.as_bytes()), "{name}");
        }
        for (name, value) in [("PATH", "/bin"), ("PWD", "/"), ("URL", "http://h/a@b"), ("MODE", "\u{1b}://"), ("", "")]
        {
            assert!(!is_secret(name.as_bytes(), value.as_bytes()), "{name}");
        }
    }
}
