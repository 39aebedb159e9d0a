//! member list, add, remove, update, promote.

use prost::Message;

use super::show::{Json, Views, array, table, text};
use super::{Session, golang, status};
use crate::applet::{Exit, Result};
use crate::output::Safe;
use crate::protocol::etcd::message::{
    Header, Member, MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest, MembersResponse,
};

fn json_of(member: &Member) -> String {
    Json::new()
        .number("ID", member.id)
        .text("name", &member.name)
        .texts("peerURLs", &member.peer_urls)
        .texts("clientURLs", &member.client_urls)
        .bool("isLearner", member.is_learner)
        .finish()
}

/// With `--hex`, which only this list knows in JSON, ids are text and nothing is left out.
fn hex_json(reply: &MembersResponse) -> String {
    let header = reply.header.unwrap_or_default();
    let mut head = Json::new();
    head.raw("cluster_id", &text(&format!("{:x}", header.cluster_id)))
        .raw("member_id", &text(&format!("{:x}", header.member_id)))
        .raw("raft_term", &header.raft_term.to_string());
    let urls =
        |urls: &[String]| if urls.is_empty() { String::from("null") } else { array(urls.iter().map(|url| text(url))) };
    let members = reply.members.iter().map(|member| {
        Json::new()
            .raw("ID", &text(&format!("{:x}", member.id)))
            .raw("name", &text(&member.name))
            .raw("peerURLs", &urls(&member.peer_urls))
            .raw("clientURLs", &urls(&member.client_urls))
            .finish()
    });
    Json::new().raw("header", &head.finish()).raw("members", &array(members)).finish()
}

pub fn list(session: &mut Session<'_, '_>) -> Result<Exit> {
    let linearizable = match session.bytes("consistency") {
        b"l" => true,
        b"s" => false,
        other => {
            let complaint = format!("unknown consistency flag {}", golang::quote(other));
            return Err(session.fail(status::BAD_FEATURE, complaint));
        }
    };
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &MemberListRequest { linearizable })?;
    let safe = |text: &str| Safe(text.as_bytes()).to_string();
    let row = |member: &Member| {
        vec![
            format!("{:x}", member.id),
            String::from(if member.name.is_empty() { "unstarted" } else { "started" }),
            safe(&member.name),
            safe(&member.peer_urls.join(",")),
            safe(&member.client_urls.join(",")),
            member.is_learner.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = reply.members.iter().map(row).collect();
    let hex = session.bool("hex");
    session.show(&Views {
        simple: &|_| rows.iter().map(|row| row.join(", ") + "\n").collect::<String>().into_bytes(),
        fields: Some(&|fields| {
            fields.header(reply.header.as_ref());
            for member in &reply.members {
                match hex {
                    true => fields.line("ID", format_args!("{:x}", member.id)),
                    false => fields.line("ID", member.id),
                }
                fields.quoted("Name", member.name.as_bytes());
                member.peer_urls.iter().for_each(|url| fields.quoted("PeerURL", url.as_bytes()));
                member.client_urls.iter().for_each(|url| fields.quoted("ClientURL", url.as_bytes()));
                fields.line("IsLearner", member.is_learner);
                fields.out.push('\n');
            }
        }),
        json: &|| if hex { hex_json(&reply) } else { members_json(&reply) },
        protobuf: Some(&|| reply.encode_to_vec()),
        table: Some(&|| table(&["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"], &rows)),
    })
}

fn members_json(reply: &MembersResponse) -> String {
    Json::headed(reply.header.as_ref()).list("members", reply.members.iter().map(json_of)).finish()
}

pub fn add(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.texts()?;
    session.expect(!words.is_empty(), "member name not provided")?;
    session.expect(words.len() == 1, "too many arguments")?;
    let urls = session.text("peer-urls");
    session.expect(!urls.is_empty(), "member peer urls not provided")?;
    let name = words.first().cloned().unwrap_or_default();
    let is_learner = session.bool("learner");
    let mut client = session.client()?;
    let peer_urls = urls.split(',').map(String::from).collect();
    let reply = session.ask(&mut client, &MemberAddRequest { peer_urls, is_learner })?;
    let header = reply.header.unwrap_or_default();
    let own = reply.member.clone().unwrap_or_default();
    let learner = if own.is_learner { " as learner " } else { " " };
    session.show(&Views {
        simple: &|_| {
            let each = reply.members.iter().flat_map(|member| {
                let name = if member.id == own.id { &name } else { &member.name };
                member.peer_urls.iter().map(move |url| format!("{name}={url}"))
            });
            let all: Vec<String> = each.collect();
            let quote = |text: &str| golang::quote(text.as_bytes());
            format!(
                "Member {:16x} added{learner}to cluster {:16x}\n\nETCD_NAME={}\nETCD_INITIAL_CLUSTER={}\n\
                 ETCD_INITIAL_ADVERTISE_PEER_URLS={}\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
                own.id,
                header.cluster_id,
                quote(&name),
                quote(&all.join(",")),
                quote(&urls)
            )
            .into_bytes()
        },
        fields: None,
        json: &|| {
            let mut json = Json::headed(reply.header.as_ref());
            if let Some(member) = &reply.member {
                json.raw("member", &json_of(member));
            }
            json.list("members", reply.members.iter().map(json_of)).finish()
        },
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

fn member_id(session: &mut Session<'_, '_>) -> Result<u64> {
    let words = session.given.words.clone();
    session.expect(words.len() == 1, "member ID is not provided")?;
    let text = words.first().map(Vec::as_slice).unwrap_or_default();
    golang::parse_radix(text, 16, false)
        .map_err(|why| session.fail(status::BAD_ARGS, format_args!("bad member ID arg ({why}), expecting ID in Hex")))
}

fn show_changed(session: &mut Session<'_, '_>, id: u64, reply: &MembersResponse, what: &str) -> Result<Exit> {
    let cluster = reply.header.map_or(0, |header: Header| header.cluster_id);
    session.show(&Views {
        simple: &|_| format!("Member {id:16x} {what} cluster {cluster:16x}\n").into_bytes(),
        fields: None,
        json: &|| members_json(reply),
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

pub fn remove(session: &mut Session<'_, '_>) -> Result<Exit> {
    let id = member_id(session)?;
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &MemberRemoveRequest { id })?;
    show_changed(session, id, &reply, "removed from")
}

pub fn update(session: &mut Session<'_, '_>) -> Result<Exit> {
    let id = member_id(session)?;
    let urls = session.text("peer-urls");
    session.expect(!urls.is_empty(), "member peer urls not provided")?;
    let mut client = session.client()?;
    let peer_urls = urls.split(',').map(String::from).collect();
    let reply = session.ask(&mut client, &MemberUpdateRequest { id, peer_urls })?;
    show_changed(session, id, &reply, "updated in")
}

pub fn promote(session: &mut Session<'_, '_>) -> Result<Exit> {
    let id = member_id(session)?;
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &MemberPromoteRequest { id })?;
    show_changed(session, id, &reply, "promoted in")
}
