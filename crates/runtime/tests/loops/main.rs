//! The loops over the ports, held to what they promise while a store or a queue fails around them.
//!
//! Everything runs on tokio's paused clock, so no real time passes: whenever nothing can go on, the clock
//! jumps to whatever is due next. The store's clock follows it. The store is in memory ([`store`]) and
//! keeps the port's contract; in front of it stands one that fails as it is told ([`fickle`]). Whoever
//! changes something behind a process's back (a "third party") does so on the store itself.

mod fickle;
mod gauge;
mod lanes;
mod member;
mod presence;
mod queue;
mod scene;
mod store;
mod sweeper;
mod wakes;
