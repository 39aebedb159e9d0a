//! auth, user, role. Longer than most: seventeen calls, each a few lines.

use prost::Message;

use super::show::{Fields, Json, Manner, Views};
use super::{Session, prompt, status};
use crate::applet::{Exit, Result};
use crate::output::{Safe, shown};
use crate::protocol::etcd::message::{
    AuthDisableRequest, AuthEnableRequest, AuthStatusRequest, Permission, PermissionType, RoleAddRequest,
    RoleDeleteRequest, RoleGetRequest, RoleGetResponse, RoleGrantPermissionRequest, RoleListRequest,
    RoleRevokePermissionRequest, UserAddOptions, UserAddRequest, UserChangePasswordRequest, UserDeleteRequest,
    UserGetRequest, UserGrantRoleRequest, UserListRequest, UserRevokeRoleRequest,
};
use crate::protocol::etcd::range::prefix_end;
use crate::protocol::etcd::{Client, Failure};

/// A name from a server or an argument, in a line for people.
fn name(text: &str) -> Safe<'_> {
    Safe(text.as_bytes())
}

// --- auth

pub fn enable(session: &mut Session<'_, '_>) -> Result<Exit> {
    session.expect(session.given.words.is_empty(), "auth enable command does not accept any arguments")?;
    let mut client = session.client()?;
    let refused = |failure: &Failure| {
        failure.status().is_some_and(|status| status.message == "etcdserver: root user does not have root role")
    };
    match client.ask(&AuthEnableRequest {}) {
        // etcdctl gives it to whom it is missing.
        Err(failure) if refused(&failure) => {
            let root = || String::from("root");
            session.ask(&mut client, &RoleAddRequest { name: root() })?;
            session.ask(&mut client, &UserGrantRoleRequest { user: root(), role: root() })?;
            session.ask(&mut client, &AuthEnableRequest {})?;
        }
        Err(failure) => return Err(session.failed(&failure)),
        Ok(_) => {}
    }
    session.write("Authentication Enabled\n")?;
    Ok(Exit(0))
}

pub fn disable(session: &mut Session<'_, '_>) -> Result<Exit> {
    session.expect(session.given.words.is_empty(), "auth disable command does not accept any arguments")?;
    let mut client = session.client()?;
    session.ask(&mut client, &AuthDisableRequest {})?;
    session.write("Authentication Disabled\n")?;
    Ok(Exit(0))
}

pub fn auth_status(session: &mut Session<'_, '_>) -> Result<Exit> {
    session.expect(session.given.words.is_empty(), "auth status command does not accept any arguments")?;
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &AuthStatusRequest {})?;
    session.show(&Views {
        simple: &|_| {
            format!("Authentication Status: {}\nAuthRevision: {}\n", reply.enabled, reply.auth_revision).into_bytes()
        },
        fields: None,
        json: &|| {
            let mut json = Json::headed(reply.header.as_ref());
            json.bool("enabled", reply.enabled).number("authRevision", reply.auth_revision).finish()
        },
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

// --- user

pub fn user_add(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    session.expect(words.len() == 1, "user add command requires user name as its argument")?;
    let word = words.first().cloned().unwrap_or_default();
    let from_flag = session.text("new-user-password");
    let (user, password) = if session.bool("no-password") {
        (word, String::new())
    } else if !from_flag.is_empty() {
        (word, from_flag)
    } else if let Some((user, password)) = word.split_once(':') {
        session.expect(!user.is_empty(), "empty user name is not allowed")?;
        (user.to_string(), password.to_string())
    } else {
        let password = new_password(session, &word)?;
        (word, password)
    };
    let options = Some(UserAddOptions { no_password: session.bool("no-password") });
    let mut client = session.client()?;
    let request = UserAddRequest { name: user.clone(), password, options };
    let reply = session.ask(&mut client, &request)?;
    session.show_header(reply.header.as_ref(), &format!("User {} created\n", name(&user)), true)
}

fn new_password(session: &mut Session<'_, '_>, user: &str) -> Result<String> {
    match session.bool("interactive") {
        true => prompt::new_password(session, user),
        false => Ok(prompt::line(session)?.split_whitespace().next().unwrap_or_default().to_string()),
    }
}

pub fn user_passwd(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    session.expect(words.len() == 1, "user passwd command requires user name as its argument")?;
    let user = words.first().cloned().unwrap_or_default();
    let password = new_password(session, &user)?;
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &UserChangePasswordRequest { name: user, password })?;
    session.show_header(reply.header.as_ref(), "Password updated\n", true)
}

pub fn user_delete(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    session.expect(words.len() == 1, "user delete command requires user name as its argument")?;
    let user = words.first().cloned().unwrap_or_default();
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &UserDeleteRequest { name: user.clone() })?;
    session.show_header(reply.header.as_ref(), &format!("User {} deleted\n", name(&user)), true)
}

pub fn user_get(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    session.expect(words.len() == 1, "user get command requires user name as its argument")?;
    let user = words.first().cloned().unwrap_or_default();
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &UserGetRequest { name: user.clone() })?;
    if session.bool("detail") {
        session.write(format!("User: {}\n", name(&user)))?;
        for role in &reply.roles {
            session.write("\n")?;
            show_role(session, &mut client, role)?;
        }
        return Ok(Exit(0));
    }
    session.show(&Views {
        simple: &|_| {
            let roles = reply.roles.iter().map(|role| format!(" {}", name(role))).collect::<String>();
            format!("User: {}\nRoles:{roles}\n", name(&user)).into_bytes()
        },
        fields: None,
        json: &|| Json::headed(reply.header.as_ref()).texts("roles", &reply.roles).finish(),
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

pub fn user_list(session: &mut Session<'_, '_>) -> Result<Exit> {
    session.expect(session.given.words.is_empty(), "user list command requires no arguments")?;
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &UserListRequest {})?;
    session.show(&Views {
        simple: &|_| reply.users.iter().map(|user| format!("{}\n", name(user))).collect::<String>().into_bytes(),
        fields: None,
        json: &|| Json::headed(reply.header.as_ref()).texts("users", &reply.users).finish(),
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

pub fn user_grant_role(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    let need = "user grant command requires user name and role name as its argument";
    session.expect(words.len() == 2, need)?;
    let [user, role] = <[String; 2]>::try_from(words).unwrap_or_default();
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &UserGrantRoleRequest { user: user.clone(), role: role.clone() })?;
    let line = format!("Role {} is granted to user {}\n", name(&role), name(&user));
    session.show_header(reply.header.as_ref(), &line, true)
}

pub fn user_revoke_role(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    session.expect(words.len() == 2, "user revoke-role requires user name and role name as its argument")?;
    let [user, role] = <[String; 2]>::try_from(words).unwrap_or_default();
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &UserRevokeRoleRequest { name: user.clone(), role: role.clone() })?;
    let line = format!("Role {} is revoked from user {}\n", name(&role), name(&user));
    session.show_header(reply.header.as_ref(), &line, true)
}

// --- role

pub fn role_add(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    session.expect(words.len() == 1, "role add command requires role name as its argument")?;
    let role = words.first().cloned().unwrap_or_default();
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &RoleAddRequest { name: role.clone() })?;
    session.show_header(reply.header.as_ref(), &format!("Role {} created\n", name(&role)), true)
}

pub fn role_delete(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    session.expect(words.len() == 1, "role delete command requires role name as its argument")?;
    let role = words.first().cloned().unwrap_or_default();
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &RoleDeleteRequest { role: role.clone() })?;
    session.show_header(reply.header.as_ref(), &format!("Role {} deleted\n", name(&role)), true)
}

pub fn role_get(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    session.expect(words.len() == 1, "role get command requires role name as its argument")?;
    let mut client = session.client()?;
    show_role(session, &mut client, words.first().map(String::as_str).unwrap_or_default())
}

fn show_role<'c>(session: &mut Session<'_, 'c>, client: &mut Client<'c>, role: &str) -> Result<Exit> {
    let reply = session.ask(client, &RoleGetRequest { role: role.to_string() })?;
    session.show(&Views {
        simple: &|manner| role_text(role, &reply, manner),
        fields: Some(&|fields: &mut Fields| {
            fields.header(reply.header.as_ref());
            for permission in &reply.perm {
                fields.line("PermType", format_args!(" {}", type_name(permission.perm_type)));
                fields.quoted("Key", &permission.key);
                fields.quoted("RangeEnd", &permission.range_end);
            }
        }),
        json: &|| {
            let permission = |permission: &Permission| {
                let mut json = Json::new();
                json.number("permType", permission.perm_type).bytes("key", &permission.key);
                json.bytes("range_end", &permission.range_end).finish()
            };
            Json::headed(reply.header.as_ref()).list("perm", reply.perm.iter().map(permission)).finish()
        },
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

fn type_name(perm_type: i32) -> String {
    match PermissionType::try_from(perm_type) {
        Ok(PermissionType::Read) => String::from("READ"),
        Ok(PermissionType::Write) => String::from("WRITE"),
        Ok(PermissionType::ReadWrite) => String::from("READWRITE"),
        Err(_) => perm_type.to_string(),
    }
}

fn role_text(role: &str, reply: &RoleGetResponse, manner: Manner) -> Vec<u8> {
    let mut out = format!("Role {}\n", name(role)).into_bytes();
    let mut part = |title: &str, other: PermissionType| {
        out.extend_from_slice(title.as_bytes());
        if role == "root" && reply.perm.is_empty() {
            out.extend_from_slice(b"\t[, <open ended>\n");
        }
        for permission in &reply.perm {
            if permission.perm_type == other as i32 {
                continue;
            }
            let key = shown(&permission.key, manner.terminal);
            let end = shown(&permission.range_end, manner.terminal);
            out.push(b'\t');
            match permission.range_end.as_slice() {
                b"" => out.extend_from_slice(&key),
                b"\0" => out.extend_from_slice(&[b"[", &key[..], b", <open ended>"].concat()),
                _ => out.extend_from_slice(&[b"[", &key[..], b", ", &end[..], b")"].concat()),
            }
            if !permission.key.is_empty() && permission.range_end == prefix_end(&permission.key) {
                out.extend_from_slice(&[b" (prefix ", &key[..], b")"].concat());
            }
            out.push(b'\n');
        }
    };
    part("KV Read:\n", PermissionType::Write);
    part("KV Write:\n", PermissionType::Read);
    out
}

pub fn role_list(session: &mut Session<'_, '_>) -> Result<Exit> {
    session.expect(session.given.words.is_empty(), "role list command requires no arguments")?;
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &RoleListRequest {})?;
    session.show(&Views {
        simple: &|_| reply.roles.iter().map(|role| format!("{}\n", name(role))).collect::<String>().into_bytes(),
        fields: Some(&|fields| {
            fields.header(reply.header.as_ref());
            let roles = reply.roles.iter().map(|role| format!(" {}", super::golang::quote(role.as_bytes())));
            let line = format!("\"Roles\" :{}\n", roles.collect::<String>());
            fields.out.push_str(&line);
        }),
        json: &|| Json::headed(reply.header.as_ref()).texts("roles", &reply.roles).finish(),
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

/// Key and end of a permission: words behind the role's name and, for a grant, the type.
fn permission_range(session: &mut Session<'_, '_>, words: &[Vec<u8>]) -> Result<(Vec<u8>, Vec<u8>)> {
    let (prefix, from_key) = (session.bool("prefix"), session.bool("from-key"));
    let key = words.first().cloned().unwrap_or_default();
    if words.len() > 1 {
        let many = |flag: &str| format!("unexpected endkey argument with {flag} flag");
        session.expect(!prefix, &many("--prefix"))?;
        session.expect(!from_key, &many("--from-key"))?;
    }
    session.expect(!(prefix && from_key), "--from-key and --prefix flags are mutually exclusive")?;
    Ok(super::kv::range_of(words, prefix, from_key)).map(|range| match (prefix || from_key, key.is_empty()) {
        (true, _) | (false, false) => range,
        (false, true) => (key, range.1),
    })
}

pub fn role_grant(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.given.words.clone();
    let need = "role grant command requires role name, permission type, and key [endkey] as its argument";
    session.expect(words.len() >= 3, need)?;
    let role = session.texts_of(&words, 0)?;
    let kind = match words.get(1).map(|word| word.to_ascii_lowercase()).unwrap_or_default().as_slice() {
        b"read" => PermissionType::Read,
        b"write" => PermissionType::Write,
        b"readwrite" => PermissionType::ReadWrite,
        _ => {
            let complaint = format!("invalid permission type: {}", Safe(words.get(1).map_or(b"", Vec::as_slice)));
            return Err(session.fail(status::BAD_ARGS, complaint));
        }
    };
    let (key, range_end) = permission_range(session, words.get(2..).unwrap_or_default())?;
    let perm = Some(Permission { perm_type: kind as i32, key, range_end });
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &RoleGrantPermissionRequest { name: role.clone(), perm })?;
    session.show_header(reply.header.as_ref(), &format!("Role {} updated\n", name(&role)), true)
}

pub fn role_revoke(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.given.words.clone();
    let need = "role revoke-permission command requires role name and key [endkey] as its argument";
    session.expect(words.len() >= 2, need)?;
    let role = session.texts_of(&words, 0)?;
    let (key, range_end) = permission_range(session, words.get(1..).unwrap_or_default())?;
    let mut client = session.client()?;
    let request = RoleRevokePermissionRequest { role: role.clone(), key: key.clone(), range_end: range_end.clone() };
    let reply = session.ask(&mut client, &request)?;
    let what = match range_end.as_slice() {
        b"" => format!("key {}", Safe(&key)),
        b"\0" => format!("range [{}, <open ended>", Safe(&key)),
        end => format!("range [{}, {})", Safe(&key), Safe(end)),
    };
    let line = format!("Permission of {what} is revoked from role {}\n", name(&role));
    session.show_header(reply.header.as_ref(), &line, true)
}

impl Session<'_, '_> {
    /// One word as text.
    fn texts_of(&mut self, words: &[Vec<u8>], index: usize) -> Result<String> {
        let word = words.get(index).cloned().unwrap_or_default();
        String::from_utf8(word)
            .map_err(|error| self.fail(status::BAD_ARGS, format_args!("{}: not UTF-8", Safe(error.as_bytes()))))
    }
}
