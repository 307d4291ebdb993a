//! The kinds of installations, and the parts whose CPU time and memory are measured.

use std::{collections::BTreeMap, fmt};

use crate::process::usage::Usage;

/// The kinds of installations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A gateway and workers over RabbitMQ and Redis.
    Fleet,
    /// Gateway and worker in one process over the embedded engine.
    OneProcess,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Fleet, Self::OneProcess];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fleet => "fleet",
            Self::OneProcess => "one process",
        })
    }
}

/// A part of an installation, with the CPU time and the memory of its processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Gateway,
    Worker,
    Redis,
    RabbitMq,
    /// Gateway and worker in one process.
    OneProcess,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gateway => "gateway",
            Self::Worker => "worker",
            Self::Redis => "Redis",
            Self::RabbitMq => "RabbitMQ",
            Self::OneProcess => "one process",
        })
    }
}

/// What each part has used so far.
pub(crate) type PartUsage = BTreeMap<Part, Usage>;
