//! The list of all cases, and the macro that makes one test of each case for an engine.
//!
//! The compiler reports a case that is missing in the list as unused code.

/// Makes a module with one test for each case of the suite, run on the named harness.
macro_rules! conformance {
    ($engine:ident, $harness:ty) => {
        mod $engine {
            cases! { $harness;
                commit: reads_back_what_was_committed,
                    a_stale_commit_gets_the_newer_lane_and_writes_nothing,
                    a_repeated_commit_finds_its_own_version,
                    one_of_several_concurrent_commits_succeeds,
                    a_job_with_a_record_is_not_admitted_again,
                    an_empty_lane_has_no_document,
                    tenants_and_sessions_are_separate;
                jobs: a_record_shows_each_state_of_its_job,
                    a_record_is_visible_to_its_tenant_only,
                    a_large_outcome_is_not_read,
                    a_record_expires,
                    a_record_is_kept_at_least_until_keep_until,
                    a_repaired_job_is_live_again,
                    a_repair_belongs_to_one_outcome,
                    a_repaired_record_does_not_expire,
                    a_removed_job_cannot_be_read_and_does_not_come_back,
                    only_an_ended_job_of_the_tenant_is_removed,
                    a_removed_job_is_known_as_long_as_its_record_had_to_be_kept,
                    outcomes_are_loaded_for_ended_jobs_only;
                listing: shows_the_jobs_of_a_tenant_in_the_order_of_their_creation,
                    is_read_in_pages_without_gaps_or_repeats_while_jobs_come_and_go,
                    is_bounded_by_times,
                    of_a_session_is_read_from_its_partition;
                run_inputs: contain_the_request_and_the_turns,
                    exist_for_live_jobs_only,
                    are_returned_with_a_conflict,
                    are_returned_by_the_commit_that_needs_them,
                    if_large_are_returned_by_no_commit,
                    are_left_out_of_a_load_if_they_are_large_or_the_head_runs,
                    without_a_session_have_no_turns;
                deferred: are_indexed_until_a_worker_may_run_them,
                    leave_the_index_when_they_end,
                    leave_the_index_when_others_take_their_position,
                    come_oldest_first_and_within_the_limit,
                    are_found_beyond_the_first_query,
                    are_apart_by_account_and_class,
                    are_counted_with_the_jobs_behind_them,
                    show_whether_they_were_claimed,
                    survive_a_restart;
                accounts: are_written_and_removed,
                    keep_a_newer_state,
                    accept_a_repeated_swap,
                    accept_one_of_several_concurrent_swaps,
                    are_limited_in_number,
                    send_a_notice_for_each_swap;
                api_keys: are_added_and_removed,
                    have_a_version_that_each_change_replaces,
                    record_their_last_use,
                    are_limited_in_number,
                    keep_what_a_newer_release_wrote,
                    survive_a_restart;
                timers: every_live_job_has_one,
                    of_many_partitions_move_in_one_call,
                    come_due_in_order_and_within_the_limit,
                    move_only_if_they_have_not_changed,
                    are_removed_only_if_their_lane_does_not_have_the_job;
                heads: are_found_by_their_state,
                    are_paged_without_gaps_or_repeats;
                sessions: keep_their_turns_in_order,
                    are_not_changed_by_a_claim,
                    are_trimmed_to_the_number_of_turns,
                    are_trimmed_to_the_bytes_of_turns,
                    are_read_in_pages_while_turns_are_dropped,
                    expire,
                    start_empty_after_they_expired,
                    expire_later_after_a_read,
                    with_live_jobs_never_expire,
                    are_evicted_by_last_use,
                    are_removed_when_idle,
                    are_removed_with_the_hold_of_their_lane,
                    have_ids_of_any_text;
                replaced_turns: are_removed_in_the_commit_that_appends_others,
                    that_are_gone_make_the_commit_fail,
                    have_numbers_that_no_other_turn_gets;
                session_listing: shows_sessions_in_the_order_of_their_creation,
                    shows_the_present_state_of_sessions,
                    does_not_show_sessions_that_are_gone;
                session_writes: create_sessions_that_jobs_continue,
                    replace_sessions_as_a_whole,
                    wait_for_the_end_of_live_jobs,
                    remove_the_hold_of_the_lane,
                    start_the_time_to_live,
                    have_one_result_when_they_are_repeated,
                    create_a_session_once,
                    are_separate_by_tenant,
                    of_many_bytes_are_left_out_of_reads,
                    swap_settings_that_are_as_expected,
                    swap_settings_once;
                keys: are_set_once,
                    are_set_once_by_concurrent_requests,
                    can_be_set_again_after_they_expired,
                    are_read_without_a_write,
                    are_replaced_only_if_they_have_the_expected_entry;
                presence: expires_unless_it_is_renewed,
                    ends_on_request,
                    elects_one_sweeper,
                    ends_the_term_of_a_sweeper_that_does_not_renew_it;
                tenant_limits: usage_is_replaced_only_if_it_has_the_expected_version,
                    usage_is_replaced_by_one_of_several_concurrent_swaps,
                    usage_expires,
                    live_jobs_are_counted_by_tenant,
                    limits_are_stored_and_removed_and_have_a_version,
                    limits_are_stored_for_a_bounded_number_of_tenants;
                counts: equal_the_sums_over_all_lanes,
                    that_are_recent_catch_up_with_new_commits,
                    include_the_oldest_waiting_job;
                notices: report_the_end_of_a_job,
                    report_a_cancelled_call_to_its_worker,
                    are_not_sent_for_a_refused_commit;
                queue: delivers_published_wakes,
                    delivers_a_wake_to_consumers_of_its_class_only,
                    bounds_unsettled_deliveries,
                    delivers_a_requeued_wake_again,
                    delivers_the_wake_of_a_dropped_delivery_again,
                    loses_no_wake_when_next_is_dropped,
                    refuses_wakes_beyond_its_capacity;
                restart: keeps_all_commits,
                    does_not_turn_the_clock_back,
                    keeps_wakes_if_survives_restart_is_true;
            }
        }
    };
}

/// Makes one test for each case, grouped by topic.
macro_rules! cases {
    ($harness:ty; $($topic:ident: $($case:ident),+;)+) => {
        $(mod $topic {
            $(#[tokio::test]
            async fn $case() {
                let engine = <$harness as crate::harness::Harness>::start().await;
                crate::$topic::$case(engine).await;
            })+
        })+
    };
}
