//! The list of all cases, and the macro that makes a test of each for an engine.
//!
//! A case that is missing here is never called, which the compiler reports.

/// Makes a module with one test for each case of the suite, run on the named harness.
macro_rules! conformance {
    ($engine:ident, $harness:ty) => {
        mod $engine {
            cases! { $harness;
                commit: reads_back_what_was_committed,
                    a_stale_commit_gets_the_newer_lane_and_writes_nothing,
                    a_repeated_commit_meets_its_own_token,
                    exactly_one_of_racing_commits_wins,
                    a_job_with_a_record_is_not_admitted_again,
                    an_empty_lane_has_no_document,
                    tenants_and_sessions_are_apart;
                jobs: a_record_follows_its_job,
                    a_record_is_its_tenants_alone,
                    a_record_goes_after_its_time,
                    a_record_stays_while_a_key_leads_to_it,
                    a_reopened_job_is_live_again,
                    marks_tell_of_ended_jobs_only;
                work: comes_with_request_and_turns,
                    is_there_for_live_jobs_only,
                    comes_with_a_conflict,
                    without_a_session_has_no_turns;
                timers: every_live_job_has_one,
                    come_due_in_order_and_within_the_limit,
                    move_only_from_where_they_were_read;
                heads: are_found_by_what_they_do,
                    are_paged_without_gap_or_repeat;
                sessions: keep_their_turns_in_order,
                    are_left_alone_by_a_claim,
                    are_trimmed_to_the_number_of_turns,
                    are_trimmed_to_the_bytes_of_turns,
                    go_after_their_time,
                    begin_anew_after_their_time,
                    live_on_when_they_are_read,
                    with_live_jobs_never_expire,
                    are_evicted_by_last_use,
                    are_removed_when_idle,
                    take_the_hold_on_their_lane_with_them;
                keys: are_set_once,
                    are_set_once_by_many_at_a_time,
                    can_be_set_again_after_their_time;
                presence: lapses_without_renewal,
                    ends_with_a_resignation,
                    elects_one,
                    elections_expire;
                counts: equal_the_sum_over_all_lanes,
                    tell_the_oldest_that_waits;
                notices: tell_that_a_job_ended,
                    tell_a_worker_of_dropped_calls,
                    are_not_sent_for_a_refused_commit;
                queue: delivers_published_wakes,
                    keeps_the_classes_apart,
                    bounds_unsettled_deliveries,
                    delivers_a_requeued_wake_again,
                    delivers_a_dropped_wake_again,
                    loses_nothing_when_next_is_cancelled,
                    refuses_more_than_its_capacity;
                restart: keeps_all_that_was_committed,
                    keeps_wakes_if_it_says_so;
            }
        }
    };
}

/// One test for each case of each theme.
macro_rules! cases {
    ($harness:ty; $($theme:ident: $($case:ident),+;)+) => {
        $(mod $theme {
            $(#[tokio::test]
            async fn $case() {
                let engine = <$harness as crate::harness::Harness>::start().await;
                crate::$theme::$case(engine).await;
            })+
        })+
    };
}
