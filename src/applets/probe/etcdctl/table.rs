//! The commands and their flags: what is parsed, and what help is made of. Sorted.
//!
//! Longer than most, because it is a table.

use super::flags::{
    Flag,
    Kind::{Bool, List, Number, Text, Time},
    flag,
};
use super::{
    Session, check, completion, concurrency, endpoint, kv, lease, maintenance, member, mirror, txn, users, watch,
};
use crate::applet::{Exit, Result};

/// A command.
pub struct Command {
    /// Its name, in one word or two.
    pub path: &'static [&'static str],
    /// What stands behind the name.
    pub usage: &'static str,
    pub about: &'static str,
    pub flags: &'static [Flag],
    pub run: fn(&mut Session<'_, '_>) -> Result<Exit>,
}

/// What all of them have, on the command line or as variables.
pub const GLOBAL: &[Flag] = &[
    flag("cacert", Text, "", "verify servers by the CAs in this file"),
    flag("cert", Text, "", "show this certificate to servers"),
    flag("command-timeout", Time, "5s", "limit for one answer, without the connection"),
    flag("debug", Bool, "false", "has no effect"),
    flag("dial-timeout", Time, "2s", "limit for a connection"),
    flag("discovery-srv", Text, "", "domain whose SRV records name the endpoints").short('d'),
    flag("discovery-srv-name", Text, "", "name of the service there"),
    flag("endpoints", List, "127.0.0.1:2379", "the servers: HOST:PORT, http://, https://, unix://, unixs://"),
    flag("hex", Bool, "false", "print bytes in hexadecimal"),
    flag("insecure-discovery", Bool, "true", "accept SRV records of servers without TLS"),
    flag("insecure-skip-tls-verify", Bool, "false", "believe any server"),
    flag("insecure-transport", Bool, "true", "no TLS, where nothing else asks for it"),
    flag("keepalive-time", Time, "2s", "silence after which a server is asked whether it lives, at least 10s"),
    flag("keepalive-timeout", Time, "6s", "limit for its answer"),
    flag("key", Text, "", "the certificate's key"),
    flag("max-recv-bytes", Number, "0", "limit for one message (0: 2 GiB)"),
    flag("max-request-bytes", Number, "0", "has no effect: the server has a limit of its own"),
    flag("password", Text, "", "the user's password"),
    flag("user", Text, "", "NAME[:PASSWORD]; asks for a password that is not given"),
    flag("write-out", Text, "simple", "fields, json, protobuf, simple or table").short('w'),
];

const PREFIX: Flag = flag("prefix", Bool, "false", "all keys that begin with the key");
const FROM_KEY: Flag = flag("from-key", Bool, "false", "all keys from the key on");
const PREV_KV: Flag = flag("prev-kv", Bool, "false", "also the pair from before");
const AUTO_COMPACT: Flag = flag("auto-compact", Bool, "false", "compact afterwards");
const AUTO_DEFRAG: Flag = flag("auto-defrag", Bool, "false", "defragment afterwards");
const CLUSTER: Flag = flag("cluster", Bool, "false", "all members that the endpoints know of");
const INTERACTIVE: Flag = flag("interactive", Bool, "false", "read standard input with prompts").short('i');
const TYPED: Flag = flag("interactive", Bool, "true", "ask at the terminal, else read standard input");
const PEER_URLS: Flag = flag("peer-urls", Text, "", "the member's peer URLs, separated by commas");
const CONSISTENCY: Flag = flag("consistency", Text, "l", "linearizable (l) or serializable (s)");
const REV: Flag = flag("rev", Number, "0", "the revision");

const fn command(
    path: &'static [&'static str],
    usage: &'static str,
    about: &'static str,
    flags: &'static [Flag],
    run: fn(&mut Session<'_, '_>) -> Result<Exit>,
) -> Command {
    Command { path, usage, about, flags, run }
}

pub const COMMANDS: &[Command] = &[
    command(&["alarm", "disarm"], "", "Disarms all alarms", &[], maintenance::alarm_disarm),
    command(&["alarm", "list"], "", "Lists all alarms", &[], maintenance::alarm_list),
    command(&["auth", "disable"], "", "Disables authentication", &[], users::disable),
    command(&["auth", "enable"], "", "Enables authentication", &[], users::enable),
    command(&["auth", "status"], "", "Says whether authentication is enabled", &[], users::auth_status),
    command(
        &["check", "datascale"],
        "[options]",
        "Writes many keys and tells how much memory that takes the first endpoint's server",
        &[
            AUTO_COMPACT,
            AUTO_DEFRAG,
            flag("load", Text, "s", "s, m, l or xl: 10000, 100000, 1000000 or 3000000 keys of 1 KiB"),
            flag("prefix", Text, "/etcdctl-check-datascale/", "the prefix of the keys, which has to be empty"),
        ],
        check::datascale,
    ),
    command(
        &["check", "perf"],
        "[options]",
        "Writes for a minute and judges how fast that is",
        &[
            AUTO_COMPACT,
            AUTO_DEFRAG,
            flag("load", Text, "s", "s, m, l or xl: 150, 1000, 8000 or 15000 writes a second"),
            flag("prefix", Text, "/etcdctl-check-perf/", "the prefix of the keys, which has to be empty"),
        ],
        check::perf,
    ),
    command(
        &["compaction"],
        "[options] <revision>",
        "Forgets what was before a revision",
        &[flag("physical", Bool, "false", "wait until the space is free")],
        kv::compaction,
    ),
    command(&["completion"], "<bash|zsh|fish>", "Prints a completion script", &[], completion::completion),
    command(&["defrag"], "", "Defragments the members' databases, one by one", &[CLUSTER], maintenance::defrag),
    command(
        &["del"],
        "[options] <key> [range_end]",
        "Removes a key or a range of keys",
        &[FROM_KEY, PREFIX, PREV_KV, flag("range", Bool, "false", "a range is meant, without a warning")],
        kv::del,
    ),
    command(&["downgrade", "cancel"], "", "Ends a downgrade", &[], maintenance::downgrade_cancel),
    command(&["downgrade", "enable"], "<version>", "Starts a downgrade", &[], maintenance::downgrade_enable),
    command(
        &["downgrade", "validate"],
        "<version>",
        "Says whether a downgrade is possible",
        &[],
        maintenance::downgrade_validate,
    ),
    command(
        &["elect"],
        "[options] <election-name> [proposal]",
        "Observes an election, or takes part in it",
        &[flag("listen", Bool, "false", "observe").short('l')],
        concurrency::elect,
    ),
    command(
        &["endpoint", "hashkv"],
        "[options]",
        "Prints the hash of the keys' history for each endpoint",
        &[CLUSTER, REV],
        endpoint::hashkv,
    ),
    command(&["endpoint", "health"], "", "Checks each endpoint", &[CLUSTER], endpoint::health),
    command(&["endpoint", "status"], "", "Prints the status of each endpoint", &[CLUSTER], endpoint::status),
    command(
        &["get"],
        "[options] <key> [range_end]",
        "Gets the key or a range of keys",
        &[
            CONSISTENCY,
            flag("count-only", Bool, "false", "only the count"),
            FROM_KEY,
            flag("keys-only", Bool, "false", "only the keys"),
            flag("limit", Number, "0", "the most results"),
            flag("max-create-rev", Number, "0", "created at this revision or before"),
            flag("max-mod-rev", Number, "0", "changed at this revision or before"),
            flag("min-create-rev", Number, "0", "created at this revision or after"),
            flag("min-mod-rev", Number, "0", "changed at this revision or after"),
            flag("order", Text, "", "ASCEND or DESCEND"),
            PREFIX,
            flag("print-value-only", Bool, "false", "only the values, in simple format"),
            REV,
            flag("sort-by", Text, "", "CREATE, KEY, MODIFY, VALUE or VERSION"),
        ],
        kv::get,
    ),
    command(&["lease", "grant"], "<ttl>", "Creates a lease", &[], lease::grant),
    command(
        &["lease", "keep-alive"],
        "[options] <leaseID>",
        "Renews a lease for as long as it runs",
        &[flag("once", Bool, "false", "renew it once")],
        lease::keep_alive,
    ),
    command(&["lease", "list"], "", "Lists all leases", &[], lease::list),
    command(&["lease", "revoke"], "<leaseID>", "Ends a lease and deletes its keys", &[], lease::revoke),
    command(
        &["lease", "timetolive"],
        "<leaseID> [options]",
        "Prints what is left of a lease",
        &[flag("keys", Bool, "false", "also its keys")],
        lease::time_to_live,
    ),
    command(
        &["lock"],
        "[options] <lockname> [command argument ...]",
        "Acquires a named lock, for as long as it or the command runs",
        &[flag("ttl", Number, "10", "seconds after which the lock of a client that is gone is free")],
        concurrency::lock,
    ),
    command(
        &["make-mirror"],
        "[options] <destination>",
        "Copies keys, and all that happens to them, to another cluster",
        &[
            flag("dest-cacert", Text, "", "verify the destination by the CAs in this file"),
            flag("dest-cert", Text, "", "show this certificate to the destination"),
            flag("dest-insecure-transport", Bool, "true", "no TLS to the destination"),
            flag("dest-key", Text, "", "the certificate's key"),
            flag("dest-password", Text, "", "the user's password there"),
            flag("dest-prefix", Text, "", "the keys' prefix there"),
            flag("dest-user", Text, "", "NAME[:PASSWORD] there"),
            flag("max-txn-ops", Number, "128", "the most changes in one transaction"),
            flag("no-dest-prefix", Bool, "false", "no prefix there"),
            flag("prefix", Text, "", "the prefix of the keys"),
            flag("rev", Number, "0", "begin with the changes of this revision"),
        ],
        mirror::make_mirror,
    ),
    command(
        &["member", "add"],
        "<name> [options]",
        "Adds a member",
        &[flag("learner", Bool, "false", "as a learner, which does not vote"), PEER_URLS],
        member::add,
    ),
    command(&["member", "list"], "", "Lists the members", &[CONSISTENCY], member::list),
    command(&["member", "promote"], "<memberID>", "Lets a learner vote", &[], member::promote),
    command(&["member", "remove"], "<memberID>", "Removes a member", &[], member::remove),
    command(
        &["member", "update"],
        "<memberID> [options]",
        "Changes a member's peer URLs",
        &[PEER_URLS],
        member::update,
    ),
    command(&["move-leader"], "<memberID>", "Makes another member the leader", &[], maintenance::move_leader),
    command(
        &["put"],
        "[options] <key> <value> (<value> can also be given from stdin)",
        "Puts the given key into the store",
        &[
            flag("ignore-lease", Bool, "false", "keep the key's lease"),
            flag("ignore-value", Bool, "false", "keep the key's value"),
            flag("lease", Text, "0", "lease ID in hexadecimal"),
            PREV_KV,
        ],
        kv::put,
    ),
    command(&["role", "add"], "<role>", "Adds a role", &[], users::role_add),
    command(&["role", "delete"], "<role>", "Deletes a role", &[], users::role_delete),
    command(&["role", "get"], "<role>", "Prints what a role permits", &[], users::role_get),
    command(
        &["role", "grant-permission"],
        "[options] <role> <read|write|readwrite> <key> [endkey]",
        "Permits a role a key or a range",
        &[FROM_KEY, PREFIX],
        users::role_grant,
    ),
    command(&["role", "list"], "", "Lists all roles", &[], users::role_list),
    command(
        &["role", "revoke-permission"],
        "[options] <role> <key> [endkey]",
        "Takes a permission from a role",
        &[FROM_KEY, PREFIX],
        users::role_revoke,
    ),
    command(
        &["snapshot", "save"],
        "<file>",
        "Saves the database of one endpoint in a file",
        &[],
        maintenance::snapshot_save,
    ),
    command(&["txn"], "[options]", "Does all the requests of standard input at once", &[INTERACTIVE], txn::txn),
    command(
        &["user", "add"],
        "<user or user:password> [options]",
        "Adds a user",
        &[
            TYPED,
            flag("new-user-password", Text, "", "the password"),
            flag("no-password", Bool, "false", "a user who is known by a certificate only"),
        ],
        users::user_add,
    ),
    command(&["user", "delete"], "<user>", "Deletes a user", &[], users::user_delete),
    command(
        &["user", "get"],
        "<user> [options]",
        "Prints a user's roles",
        &[flag("detail", Bool, "false", "and what they permit")],
        users::user_get,
    ),
    command(&["user", "grant-role"], "<user> <role>", "Gives a role to a user", &[], users::user_grant_role),
    command(&["user", "list"], "", "Lists all users", &[], users::user_list),
    command(&["user", "passwd"], "<user> [options]", "Changes a user's password", &[TYPED], users::user_passwd),
    command(&["user", "revoke-role"], "<user> <role>", "Takes a role from a user", &[], users::user_revoke_role),
    command(&["version"], "", "Prints the version of etcdctl", &[], maintenance::version),
    command(
        &["watch"],
        "[options] [key or prefix] [range_end] [--] [command argument ...]",
        "Prints the events of keys",
        &[
            INTERACTIVE,
            PREFIX,
            PREV_KV,
            flag("progress-notify", Bool, "false", "also the server's notes that nothing happened"),
            REV,
        ],
        watch::watch,
    ),
];
