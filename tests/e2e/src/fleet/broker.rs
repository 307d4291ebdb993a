//! The RabbitMQ node of a fleet: the node that the tests share, or a node for this fleet only.

use std::ops::Deref;

use servers::rabbit::Rabbit;

/// The RabbitMQ node of a fleet.
pub enum Broker {
    /// The node that the tests of this binary share. Tests must not change the node.
    Shared(&'static Rabbit),
    /// A node that only this fleet uses. The test may stop and restart the node and raise its alarms.
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
