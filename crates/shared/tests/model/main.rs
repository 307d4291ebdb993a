//! An exhaustive check of the lane protocol: of `lane::apply` itself, in every small world around it.
//!
//! A world has the lane of one session, two or three jobs, two workers, gateways, sweepers, a broker and a
//! store. Processes die, messages are lost or duplicated, calls are repeated, and live workers are judged gone. A
//! budget bounds how often each fault happens. A publisher may die at any time without a budget. The search
//! visits every state that can be reached. Every step that changes the lane calls `lane::apply` ([`protocol`]).
//!
//! **Safety**: no outcome of an older attempt takes effect (a ghost variable marks the newest attempt, independent
//! of fences). A job commits once, in its turn, with the newest context. Two attempts never hold the same fence.
//! Each live job has exactly one timer. Only the head runs. A repeated call has no effect, and a first call
//! is never taken for a repeat. **Liveness**: from every state, every accepted job can still end, without the
//! help of a cancel, a deadline, a failure or a decision.
//!
//! The search is our own. This liveness is about what can be reached from each state, so it needs a pass backwards
//! over the edges of the search. `eventually` of stateright answers another question, for acyclic paths. What
//! remains is a breadth-first search over canonical states ([`canonical`]), which is a page ([`search`]).
//!
//! In reading order: [`state`], [`configuration`], [`protocol`], [`steps`], [`check`], [`canonical`],
//! [`search`]. Then the tests: [`worlds`] must hold, and [`faults`] must be found ([`mutation`], [`planted`]). The
//! larger worlds are ignored by default (`cargo test -p forebay-shared --test model -- --ignored`). The
//! others take about a minute on two cores and less than 1 GiB, because the workspace's manifest optimises this
//! package in every build. They fail beyond their [`budget`].

mod budget;
mod canonical;
mod check;
mod configuration;
mod faults;
mod hash;
mod mutation;
mod planted;
mod protocol;
mod search;
mod state;
mod steps;
mod worlds;
