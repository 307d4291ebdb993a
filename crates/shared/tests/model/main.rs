//! An exhaustive check of the lane protocol. The model is a small fleet that calls the real `lane::apply`.
//!
//! The fleet has the lane of one session, two or three jobs, two workers, gateways, sweepers, a broker and a store.
//! Processes die, messages are lost or duplicated, requests are repeated, and live workers count as gone (false absences).
//! A configuration sets how often each of these faults may happen. Only the deaths of gateways and sweepers have no such limit. The
//! search visits every state that can be reached. Every event of the lane goes through `lane::apply` ([`protocol`]).
//!
//! **Safety**: no settlement (finish, retry, deferral or release) by an older attempt takes effect. A job completes once, as the
//! head, with the newest turns of its session. Two attempts never have the same fence. Each live job has exactly one
//! timer. Only the head runs. A repeated settlement has no effect, and a first settlement never counts as a repeat.
//! Ghost variables, which only these checks read, show which attempt is the newest and which turns it has.
//!
//! **Liveness**: from every state, every accepted job can still end. No cancel, deadline or failed try is needed for that.
//!
//! The model has its own breadth-first search ([`search`]) over canonical states ([`canonical`]), because liveness is a
//! property of each state: every job can still end from it. This needs a backward pass over the steps. The
//! crate stateright offers only the property `eventually`, which it checks only on acyclic paths.
//!
//! In reading order: [`state`], [`configuration`], [`protocol`], [`steps`], [`check`], [`canonical`], [`search`].
//!
//! Then the tests. [`guarantees`]: safety and liveness hold in each configuration. [`detection`]: the search finds the
//! failure that each defect of the protocol causes ([`mutation`], [`mutated_apply`]). [`deferrals`]: both, for jobs that wait
//! for their provider. [`large`]: the largest configurations.
//!
//! The larger configurations are ignored by default (`cargo test -p forebay-shared --test model -- --ignored`). The other
//! tests take about a minute on two cores and less than 1 GiB. The workspace's manifest optimises this package in every build
//! for this purpose. A test fails if all searches together exceed the [`budget`].

mod budget;
mod canonical;
mod check;
mod configuration;
mod deferrals;
mod detection;
mod guarantees;
mod hash;
mod large;
mod mutated_apply;
mod mutation;
mod protocol;
mod search;
mod state;
mod steps;
