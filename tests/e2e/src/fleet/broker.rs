//! The RabbitMQ node of a fleet: a shared one or its own.

use std::ops::Deref;

use servers::rabbit::Rabbit;

/// A RabbitMQ node.
pub enum Broker {
    /// The node that all tests of this test binary share. Tests must not change it.
    Shared(&'static Rabbit),
    /// A node that only this fleet uses. The test may stop and restart it and raise alarms.
    Own(Box<Rabbit>),
}

impl Deref for Broker {
    type Target = Rabbit;

    fn deref(&self) -> &Rabbit {
        match self {
            Self::Shared(rabbit) => rabbit,
            Self::Own(rabbit) => rabbit,
        }
    }
}
