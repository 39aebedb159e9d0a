//! Some of the states that a socket may be in.

use crate::target::sockets::State;

/// The states, by ss's names for filters.
const STATES: [(&str, State); 11] = [
    ("established", State::Established),
    ("syn-sent", State::SynSent),
    ("syn-recv", State::SynReceived),
    ("fin-wait-1", State::FinWait1),
    ("fin-wait-2", State::FinWait2),
    ("time-wait", State::TimeWait),
    ("closed", State::Close),
    ("close-wait", State::CloseWait),
    ("last-ack", State::LastAck),
    ("listening", State::Listen),
    ("closing", State::Closing),
];

/// Some of the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States(u16);

impl States {
    pub const ALL: States = States((1 << STATES.len()) - 1);
    pub const WAITING: States = States(bit(State::Listen) | bit(State::Close));
    /// Those of connections that are made.
    pub const CONNECTED: States = States(
        States::ALL.0 & !(bit(State::Listen) | bit(State::Close) | bit(State::TimeWait) | bit(State::SynReceived)),
    );

    pub fn contains(self, state: State) -> bool {
        self.0 & bit(state) != 0
    }

    pub fn with(self, others: States) -> States {
        States(self.0 | others.0)
    }

    pub fn without(self, others: States) -> States {
        States(self.0 & !others.0)
    }

    /// Whether there is but one, which then needs no column.
    pub fn is_single(self) -> bool {
        self.0.count_ones() == 1
    }

    pub fn named(name: &str) -> Option<States> {
        let without = |states: &[State]| States(states.iter().fold(States::ALL.0, |all, state| all & !bit(*state)));
        Some(match name {
            "all" => States::ALL,
            "connected" => without(&[State::Listen, State::Close]),
            "synchronized" => without(&[State::Listen, State::Close, State::SynSent]),
            "bucket" => States(bit(State::SynReceived) | bit(State::TimeWait)),
            "big" => without(&[State::SynReceived, State::TimeWait]),
            "estab" => States(bit(State::Established)),
            "listen" => States(bit(State::Listen)),
            "close" | "unconnected" => States(bit(State::Close)),
            name => STATES.iter().find(|(known, _)| *known == name).map(|(_, state)| States(bit(*state)))?,
        })
    }
}

const fn bit(state: State) -> u16 {
    match state {
        State::Other => 0,
        state => 1 << state as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_states() {
        for (name, state) in STATES {
            let only = States::named(name).unwrap();
            assert!(only.is_single() && only.contains(state) && States::ALL.contains(state));
        }
        assert!(!States::CONNECTED.contains(State::TimeWait) && States::WAITING.contains(State::Close));
        assert!(!States::ALL.contains(State::Other) && States::named("open").is_none());
        let big = States::named("big").unwrap();
        assert!(big.contains(State::Listen) && !big.contains(State::TimeWait));
    }
}
