//! What an etcd was told: by its flags, its environment, or its configuration file, which alone counts where there is one.

use std::borrow::Cow;

/// A setting: its flag, whose variable is `ETCD_` and the same in capitals, and its key in the configuration file.
const NAMES: [(&str, &str); 11] = [
    ("config-file", ""),
    ("listen-client-urls", "listen-client-urls"),
    ("advertise-client-urls", "advertise-client-urls"),
    ("listen-metrics-urls", "listen-metrics-urls"),
    ("quota-backend-bytes", "quota-backend-bytes"),
    ("cert-file", "client-transport-security.cert-file"),
    ("key-file", "client-transport-security.key-file"),
    ("trusted-ca-file", "client-transport-security.trusted-ca-file"),
    ("peer-cert-file", "peer-transport-security.cert-file"),
    ("peer-trusted-ca-file", "peer-transport-security.trusted-ca-file"),
    ("auto-tls", "client-transport-security.auto-tls"),
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<(&'static str, Vec<u8>)>);

impl Settings {
    /// Flags, and where one is missing its variable.
    pub fn of_process(args: &[Vec<u8>], environment: &[Vec<u8>]) -> Settings {
        let told = |flag: &'static str| {
            let variable = format!("ETCD_{}=", flag.to_ascii_uppercase().replace('-', "_"));
            let given = || environment.iter().find_map(|pair| pair.strip_prefix(variable.as_bytes()));
            Some((flag, value(args, flag.as_bytes()).or_else(given)?.to_vec()))
        };
        Settings(NAMES.iter().filter_map(|(flag, _)| told(flag)).collect())
    }

    /// What a configuration file says.
    pub fn of_file(text: &[u8]) -> Settings {
        let pairs = pairs(text);
        let told = |flag: &'static str, key: &str| {
            let (_, value) = pairs.iter().rev().find(|(found, _)| found == key.as_bytes())?;
            Some((flag, value.clone()))
        };
        Settings(NAMES.iter().filter_map(|(flag, key)| told(flag, key)).collect())
    }

    pub fn get(&self, flag: &str) -> Option<&[u8]> {
        let (_, value) = self.0.iter().find(|(found, _)| *found == flag)?;
        (!value.is_empty()).then_some(value)
    }

    /// The URLs of a list.
    pub fn urls(&self, flag: &str) -> impl Iterator<Item = &[u8]> {
        let list = self.get(flag).unwrap_or_default().split(|byte| *byte == b',');
        list.map(<[u8]>::trim_ascii).filter(|url| !url.is_empty())
    }

    pub fn number(&self, flag: &str) -> Option<i64> {
        std::str::from_utf8(self.get(flag)?).ok()?.parse().ok().filter(|number| *number > 0)
    }
}

/// A flag's value; it may have one dash or two.
fn value<'a>(args: &'a [Vec<u8>], flag: &[u8]) -> Option<&'a [u8]> {
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        let name = arg.strip_prefix(b"--").or_else(|| arg.strip_prefix(b"-")).unwrap_or_default();
        match name.strip_prefix(flag) {
            Some([]) => return args.next().map(Vec::as_slice),
            Some([b'=', value @ ..]) => return Some(value),
            _ => {}
        }
    }
    None
}

/// How deep a file's mappings are nested.
const DEEPEST: usize = 8;

/// Keys and values of a file, those of inner mappings as `outer.inner`. YAML as people write it for etcd: mappings by
/// their indentation, plain and quoted scalars, comments; also JSON of one mapping in another. No anchors, no lists.
pub fn pairs(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    if text.trim_ascii_start().starts_with(b"{") {
        let mut found = Vec::new();
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(text) {
            flatten(&value, &[], &mut found);
        }
        return found;
    }
    let mut found = Vec::new();
    // The mappings that a line stands in: by how much they are indented, and their keys.
    let mut open: Vec<(usize, Vec<u8>)> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        let start = line.iter().take_while(|byte| **byte == b' ').count();
        let content = line.get(start..).unwrap_or_default();
        if content.is_empty() || content.starts_with(b"#") || content.starts_with(b"---") {
            continue;
        }
        let Some((key, rest)) = key(content) else { continue };
        while open.last().is_some_and(|(indent, _)| *indent >= start) {
            open.pop();
        }
        let mut path = Vec::new();
        for (_, outer) in &open {
            path.extend_from_slice(outer);
            path.push(b'.');
        }
        path.extend_from_slice(&key);
        match scalar(rest) {
            Some(value) => found.push((path, value.into_owned())),
            None if open.len() < DEEPEST => open.push((start, key.into_owned())),
            None => {}
        }
    }
    found
}

fn flatten(value: &serde_json::Value, path: &[u8], found: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    use serde_json::Value;
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let dot: &[u8] = if path.is_empty() { b"" } else { b"." };
                flatten(value, &[path, dot, key.as_bytes()].concat(), found);
            }
        }
        Value::String(text) => found.push((path.to_vec(), text.clone().into_bytes())),
        Value::Bool(_) | Value::Number(_) => found.push((path.to_vec(), value.to_string().into_bytes())),
        Value::Null | Value::Array(_) => {}
    }
}

/// `key: rest`
fn key(line: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    if let Some(quote @ (b'"' | b'\'')) = line.first() {
        let (key, rest) = quoted(line, *quote)?;
        return Some((key, rest.trim_ascii_start().strip_prefix(b":")?));
    }
    let mut from = 0;
    loop {
        let at = from + memchr::memchr(b':', line.get(from..)?)?;
        // Only one that a blank follows ends a key.
        if matches!(line.get(at + 1), None | Some(b' ' | b'\t')) {
            let (key, rest) = line.split_at(at);
            return Some((Cow::Borrowed(key.trim_ascii_end()), rest.get(1..).unwrap_or_default()));
        }
        from = at + 1;
    }
}

/// A value; none where a mapping follows.
fn scalar(rest: &[u8]) -> Option<Cow<'_, [u8]>> {
    let rest = rest.trim_ascii();
    match rest.first() {
        None | Some(b'#') => None,
        Some(quote @ (b'"' | b'\'')) => Some(quoted(rest, *quote)?.0),
        Some(_) => {
            let comment = rest.windows(2).position(|pair| matches!(pair, [b' ' | b'\t', b'#']));
            let plain = rest.get(..comment.unwrap_or(rest.len())).unwrap_or_default().trim_ascii_end();
            Some(Cow::Borrowed(if matches!(plain, b"null" | b"~") { b"" } else { plain }))
        }
    }
}

/// What stands in quotes at the start, and what follows them.
fn quoted(text: &[u8], quote: u8) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = text.get(1..)?.iter().enumerate();
    while let Some((at, byte)) = rest.next() {
        match *byte {
            b'\\' if quote == b'"' => value.push(*rest.next()?.1),
            byte if byte == quote && quote == b'\'' && text.get(at + 2) == Some(&quote) => {
                rest.next();
                value.push(quote);
            }
            byte if byte == quote => return Some((Cow::Owned(value), text.get(at + 2..).unwrap_or_default())),
            byte => value.push(byte),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    fn told(settings: &Settings) -> Vec<(&str, &str)> {
        settings.0.iter().map(|(flag, value)| (*flag, std::str::from_utf8(value).unwrap())).collect()
    }

    #[test]
    fn a_flag_goes_before_its_variable() {
        let args = words("etcd -listen-client-urls http://a:1,https://b:2 --cert-file=/c --name x");
        let environment = words("ETCD_CERT_FILE=/other ETCD_KEY_FILE=/k ETCD_KEY_FILES=/no X=1 ETCD_AUTO_TLS=");
        let settings = Settings::of_process(&args, &environment);
        let expected = [
            ("listen-client-urls", "http://a:1,https://b:2"),
            ("cert-file", "/c"),
            ("key-file", "/k"),
            ("auto-tls", ""),
        ];
        assert_eq!(told(&settings), expected);
        assert_eq!(settings.urls("listen-client-urls").collect::<Vec<_>>(), [b"http://a:1", &b"https://b:2"[..]]);
        assert_eq!((settings.get("auto-tls"), settings.number("quota-backend-bytes")), (None, None));
    }

    #[test]
    fn a_file() {
        let text = b"# etcd's own sample\nname: 'default'\nlisten-client-urls: http://localhost:2379, https://h:1 # two\n\
            quota-backend-bytes: 8589934592\nclient-transport-security:\n  # Path\n  cert-file: \"/etc/a \\\"b\\\".crt\"\n  \
            key-file: '/it''s'\n  client-cert-auth: true\n  trusted-ca-file:\npeer-transport-security:\n  cert-file: /p.crt\n\
            log-outputs: [stderr]\nlog:\n- x: y\n";
        let settings = Settings::of_file(text);
        let expected = [
            ("listen-client-urls", "http://localhost:2379, https://h:1"),
            ("quota-backend-bytes", "8589934592"),
            ("cert-file", "/etc/a \"b\".crt"),
            ("key-file", "/it's"),
            ("peer-cert-file", "/p.crt"),
        ];
        assert_eq!(told(&settings), expected);
        assert_eq!(settings.number("quota-backend-bytes"), Some(8_589_934_592));
        let json = br#" {"client-transport-security": {"cert-file": "/c"}, "quota-backend-bytes": 7, "x": [1]}"#;
        assert_eq!(told(&Settings::of_file(json)), [("quota-backend-bytes", "7"), ("cert-file", "/c")]);
    }

    #[test]
    fn what_is_no_yaml() {
        for text in [&b"\xff\0: : :\n\t\"a"[..], b"\"a\\", b"'", b"a: 'b", b"{", b":", b"a:b", b"- a", b"  \"a\": b"] {
            let _ = pairs(text);
        }
        assert_eq!(pairs(b"  \"a\": b\n"), [(b"a".to_vec(), b"b".to_vec())]);
        assert_eq!(pairs(b"a:b\nc: ~\n"), [(b"c".to_vec(), Vec::new())]);
    }
}
