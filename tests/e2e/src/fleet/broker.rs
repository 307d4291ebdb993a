//! The RabbitMQ node of a fleet: shared with other tests, or its own.

use std::ops::Deref;

use servers::rabbit::Rabbit;

/// A node, whoever it belongs to.
pub enum Broker {
    /// The node of all tests of this test binary, which must be left as it is.
    Shared(&'static Rabbit),
    /// A node of the fleet's own, to be stopped, restarted and alarmed at will.
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
