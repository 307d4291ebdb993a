//! An exhaustive check of the lane protocol: of `lane::apply` itself, in every small world around it.
//!
//! Each world has one session's lane, two or three jobs, two workers, gateways, sweepers, a broker and a
//! store, all of which may die, lose, double, repeat and misjudge within a budget; whoever publishes may
//! die at any moment without one. The search visits every state that can be reached. Whenever a step
//! changes the lane, it is `lane::apply` that says how ([`protocol`]).
//!
//! **Safety**: no outcome of an older attempt takes effect (a ghost marks the newest attempt, apart from
//! fences); a job commits once, in its turn, with the newest context; two attempts never hold one fence;
//! each live job has exactly one timer; only the head runs; a repeat has no effect, and no outcome is
//! taken for a repeat. **Liveness**: from every state every accepted job can end, without the help of a
//! cancel, a deadline, a failure or anybody's decision.
//!
//! A search of our own, not a model checker's: that liveness is not about paths but about what can be
//! reached from each state, which takes a pass backwards over the very edges of the search, and which
//! `eventually` of stateright (for acyclic paths) does not answer. What is left, a breadth-first search
//! over states made equal where nobody could tell them apart ([`normal`]), is a page ([`search`]).
//!
//! In reading order: [`state`], [`configuration`], [`protocol`], [`steps`], [`check`], [`normal`],
//! [`search`]; then [`worlds`], the tests, and [`faults`], the tests that each planted fault
//! ([`mutation`]) is found. The larger worlds are ignored unless asked for (`cargo test -p
//! forebay-shared --test model -- --ignored`); the others take about a minute on two cores and less than 1 GiB,
//! since the workspace's manifest has this package optimised in every build, and fail beyond their [`budget`].

mod budget;
mod check;
mod configuration;
mod faults;
mod hash;
mod mutation;
mod normal;
mod protocol;
mod search;
mod state;
mod steps;
mod worlds;
