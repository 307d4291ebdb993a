//! The attributes of spans that send and handle wakes. OpenTelemetry semantic conventions for messaging, version 1.44.0 (in
//! development).

/// The messaging system.
pub const SYSTEM: &str = "messaging.system";
/// The queue of jobs, whichever engine carries its messages.
pub const FOREBAY: &str = "forebay";
/// The name of what is done with the message: [`SEND`] or [`PROCESS`].
pub const OPERATION_NAME: &str = "messaging.operation.name";
/// The kind of what is done with the message: [`SEND`] or [`PROCESS`].
pub const OPERATION_TYPE: &str = "messaging.operation.type";
/// A message is sent.
pub const SEND: &str = "send";
/// A message is handled.
pub const PROCESS: &str = "process";
/// The queue: the class of its jobs.
pub const DESTINATION: &str = "messaging.destination.name";
