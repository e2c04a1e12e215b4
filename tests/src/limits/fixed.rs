//! Fixed limits: each names the test that goes beyond it, wherever that is.
//!
//! Most are too large to be met in a deployment of a test, and nobody can lower them.
//! So their tests stand next to the code that counts, some with a lower value of the
//! same. [`HELD`] and [`UNTESTED`] are held against the limits there are: a new one
//! fails here until it has a test, or a reason.

use std::collections::BTreeSet;

use keyway_model::limit::{
    CREDENTIAL_BYTES_MAX, CREDENTIAL_BYTES_MIN, Level, TOKEN_SECONDS_MAX, table,
};
use serde_json::json;

use crate::harness::{Stage, root};
use crate::requirements::fault_of;
use crate::routes::Api;
use crate::tidy::sources;

/// Each fixed limit, in the order in which they are declared, and the test that goes
/// beyond it and looks at what happens.
const HELD: [(&str, &str); 131] = [
    (
        "FRAME_BODY_BYTES_MAX",
        "host/runtime/tests/http.rs::a_large_body_is_streamed_no_faster_than_credit_allows",
    ),
    (
        "FRAME_BYTES_MAX",
        "host/ipc/src/frame.rs::a_frame_that_announces_too_much_is_refused",
    ),
    (
        "FRAMED_BYTES_MAX",
        "host/model/src/limit/tests.rs::what_travels_in_a_frame_is_raised_no_further_than_a_frame_holds",
    ),
    (
        "RETAINED_BYTES_MAX",
        "host/gate/src/lane/tests/flood.rs::host_calls_under_way_hold_no_more_than_one_call_and_one_worker_may",
    ),
    (
        "STREAM_WINDOW_BYTES",
        "host/gate/src/body.rs::of_a_body_that_a_guest_does_not_read_a_window_goes_out_and_the_rest_waits",
    ),
    (
        "SCRATCH_CHUNK_BYTES_MAX",
        "host/store/src/tests/scratch.rs::each_limit_is_refused_with_its_name_and_value",
    ),
    (
        "SCRATCH_WORKSPACE_BYTES_MAX",
        "host/store/src/tests/scratch.rs::a_workspace_and_the_deployment_hold_only_so_much_and_an_end_gives_it_back",
    ),
    (
        "SCRATCH_TOTAL_BYTES_MAX",
        "host/store/src/tests/scratch.rs::a_workspace_and_the_deployment_hold_only_so_much_and_an_end_gives_it_back",
    ),
    (
        "STACK_BYTES_MAX",
        "host/runtime/tests/hostile.rs::endless_recursion_ends_at_the_limit_of_the_stack",
    ),
    (
        "CORE_MODULES_MAX",
        "host/runtime/tests/compile.rs::a_component_of_too_many_modules_is_refused",
    ),
    (
        "NESTED_COMPONENTS_MAX",
        "host/runtime/tests/compile.rs::a_component_of_many_instances_is_refused",
    ),
    (
        "INSTANCES_MAX",
        "host/runtime/tests/compile.rs::a_component_of_many_instances_is_refused",
    ),
    (
        "COMPONENT_INSTANCES_MAX",
        "host/runtime/tests/compile.rs::a_component_of_many_instances_is_refused",
    ),
    (
        "IMPORTS_MAX",
        "host/runtime/tests/compile.rs::what_takes_a_compiler_more_than_its_bytes_is_counted",
    ),
    (
        "EXPORTS_MAX",
        "host/runtime/tests/compile.rs::more_exports_than_a_connector_can_need_and_names_without_an_end_are_refused",
    ),
    (
        "IMPORT_NAME_BYTES_MAX",
        "host/runtime/tests/compile.rs::more_exports_than_a_connector_can_need_and_names_without_an_end_are_refused",
    ),
    (
        "FUNCTIONS_MAX",
        "host/runtime/tests/compile.rs::what_takes_a_compiler_more_than_its_bytes_is_counted",
    ),
    (
        "FUNCTION_BYTES_MAX",
        "host/runtime/tests/compile.rs::what_takes_a_compiler_more_than_its_bytes_is_counted",
    ),
    (
        "SEGMENTS_MAX",
        "host/runtime/tests/compile.rs::what_takes_a_compiler_more_than_its_bytes_is_counted",
    ),
    (
        "CORE_INSTANCES_MAX",
        "host/runtime/tests/compile.rs::a_component_of_many_instances_is_refused",
    ),
    (
        "MEMORIES_MAX",
        "host/runtime/tests/compile.rs::a_component_of_many_instances_is_refused",
    ),
    (
        "TABLES_MAX",
        "host/runtime/tests/compile.rs::a_component_of_many_instances_is_refused",
    ),
    (
        "GUEST_CALLS_PER_WORKER_MAX",
        "host/runtime/tests/hostile.rs::a_call_that_a_worker_has_no_room_for_waits_until_another_has_ended",
    ),
    (
        "ACTIVE_PER_CORE_MAX",
        "host/gate/src/active.rs::beside_others_few_of_a_tenant_are_active_at_once",
    ),
    (
        "ACTIVE_MS_MAX",
        "host/gate/src/active.rs::a_call_that_computes_for_long_is_not_counted_and_a_short_one_is",
    ),
    (
        "COMPANY_SECONDS_MAX",
        "host/gate/src/active.rs::company_lasts_for_a_while",
    ),
    (
        "WORKER_MEMORY_BYTES_MAX",
        "host/runtime/tests/hostile.rs::calls_of_one_group_that_hold_memory_leave_another_group_as_much",
    ),
    (
        "COMPONENTS_HELD_MAX",
        "tests/src/code.rs::components_beyond_the_room_are_let_go_and_run_again_when_they_are_called",
    ),
    (
        "CODE_READS_MAX",
        "host/keyway/src/artifacts/stock/tests.rs::while_so_many_pieces_are_read_those_of_further_workspaces_wait_their_turn",
    ),
    (
        "CODE_CACHED_BYTES_MAX",
        "host/keyway/src/artifacts/cache/tests.rs::code_on_the_disk_stays_within_its_bytes_and_what_was_used_longest_ago_goes",
    ),
    (
        "CODE_BYTES_MAX",
        "host/keyway/src/artifacts/tests.rs::a_compiler_that_answers_for_ever_or_never_is_ended",
    ),
    (
        "COMPILE_CPU_SECONDS_MAX",
        "tests/src/code.rs::a_bomb_for_the_compiler_ends_at_each_limit_and_is_refused_by_its_name_and_value",
    ),
    (
        "COMPILE_WALL_SECONDS_MAX",
        "tests/src/code.rs::a_bomb_for_the_compiler_ends_at_each_limit_and_is_refused_by_its_name_and_value",
    ),
    (
        "COMPILE_MEMORY_BYTES_MAX",
        "tests/src/code.rs::a_bomb_for_the_compiler_ends_at_each_limit_and_is_refused_by_its_name_and_value",
    ),
    (
        "INSTALLS_WAITING_MAX",
        "host/keyway/src/artifacts/turns.rs::all_workspaces_together_have_an_end_too",
    ),
    (
        "INSTALLS_WAITING_PER_WORKSPACE_MAX",
        "host/keyway/src/artifacts/turns.rs::a_workspaces_flood_of_installs_leaves_room_for_anothers_single_one",
    ),
    (
        "COMPONENT_CRASHES_MAX",
        "host/keyway/src/workers/suspicion.rs::a_component_that_ended_its_own_workers_is_quarantined",
    ),
    (
        "COMPONENT_CRASHES_SECONDS_MAX",
        "host/keyway/src/workers/suspicion.rs::crashes_that_lie_far_apart_do_not_count_together",
    ),
    (
        "SUSPECTS_MAX",
        "host/keyway/src/workers/tests/suspects.rs::further_suspects_than_may_be_alone_at_once_stay_with_the_others",
    ),
    (
        "SUSPECT_SECONDS_MAX",
        "host/keyway/src/workers/suspicion.rs::nothing_in_a_shared_worker_is_held_against_whoever_was_there",
    ),
    (
        "COMPONENT_RAN_SECONDS_MAX",
        "host/gate/src/lane/ran.rs::a_component_is_remembered_for_so_long_after_its_last_call_and_no_longer",
    ),
    (
        "CONFINED_ERROR_LINES_MAX",
        "host/keyway/src/confined.rs::a_process_that_says_much_puts_so_many_lines_into_the_log_and_no_more",
    ),
    (
        "REDIRECTS_MAX",
        "host/gate/src/redirect/tests.rs::five_redirects_are_followed_and_a_sixth_is_not",
    ),
    (
        "REFUSAL_MS_MIN",
        "host/gate/src/pace.rs::a_refusal_waits_for_its_moment",
    ),
    (
        "TLS_ROOTS_MAX",
        "host/egress/tests/egress/tls_own.rs::more_roots_or_pins_than_a_connection_may_bring_are_refused_by_name",
    ),
    (
        "TLS_ROOTS_BYTES_MAX",
        "host/egress/tests/egress/tls_own.rs::more_roots_or_pins_than_a_connection_may_bring_are_refused_by_name",
    ),
    (
        "TLS_PINS_MAX",
        "host/egress/tests/egress/tls_own.rs::more_roots_or_pins_than_a_connection_may_bring_are_refused_by_name",
    ),
    (
        "TLS_CLIENT_BYTES_MAX",
        "host/egress/tests/egress/tls_own.rs::more_roots_or_pins_than_a_connection_may_bring_are_refused_by_name",
    ),
    (
        "ARTIFACT_BYTES_MAX",
        "tests/src/coverage/routes.rs::every_route_refuses_a_body_that_is_longer_than_documented_and_records_it",
    ),
    (
        "DOCUMENT_BYTES_MAX",
        "host/model/src/recipe/tests.rs::size_and_steps_are_limited",
    ),
    (
        "SEEN_ENTRIES_MAX",
        "host/gate/src/seen.rs::what_a_guest_asks_for_is_kept_only_as_far_as_people_read",
    ),
    (
        "SEEN_TEXT_CHARS_MAX",
        "host/gate/src/seen.rs::what_a_guest_asks_for_is_kept_only_as_far_as_people_read",
    ),
    (
        "RECIPE_STEPS_MAX",
        "host/model/src/recipe/tests.rs::size_and_steps_are_limited",
    ),
    (
        "RECIPE_DEPTH_MAX",
        "host/model/src/recipe/tests.rs::depth_is_limited_in_both_formats",
    ),
    (
        "JOB_STEPS_MAX",
        "host/jobs/src/machine/tests/limits.rs::a_job_completes_so_many_steps_and_fails_with_one_more",
    ),
    (
        "JOURNAL_BYTES_MAX",
        "host/jobs/src/machine/tests/limits.rs::a_journal_holds_so_many_bytes_and_a_job_with_one_more_fails",
    ),
    (
        "ITERATIONS_MAX",
        "host/jobs/src/machine/tests.rs::too_many_items_fail_the_job_with_the_limit_s_name",
    ),
    (
        "JOBS_MAX",
        "host/jobs/src/live.rs::workspaces_that_fill_what_there_is_leave_room_for_another",
    ),
    (
        "JOB_BYTES_MAX",
        "host/jobs/src/live.rs::what_jobs_hold_is_bounded_by_workspace_and_in_all_and_is_given_back",
    ),
    (
        "READS_MAX",
        "host/keyway/src/deployment/reads.rs::all_workspaces_together_have_so_many_long_reads_at_once",
    ),
    (
        "READS_PER_WORKSPACE_MAX",
        "host/keyway/src/deployment/reads.rs::a_workspace_that_reads_much_waits_and_another_does_not",
    ),
    (
        "ANSWER_STALL_MS_MAX",
        "host/keyway/src/api/sent.rs::an_answer_of_which_nothing_is_taken_is_cut_off_with_its_place_and_no_other",
    ),
    (
        "POLL_EVENTS_MAX",
        "host/runtime/src/convert.rs::a_poll_that_brings_more_events_than_one_may_is_ended_by_name",
    ),
    (
        "POLL_KEY_BYTES_MAX",
        "host/ipc/src/outcome.rs::cursors_keys_and_words_of_traps_are_held_to_limits_of_their_own",
    ),
    (
        "POLL_CURSOR_BYTES_MAX",
        "host/ipc/src/outcome.rs::cursors_keys_and_words_of_traps_are_held_to_limits_of_their_own",
    ),
    (
        "WEBHOOK_BODY_BYTES_MAX",
        "tests/src/coverage/routes.rs::every_route_refuses_a_body_that_is_longer_than_documented_and_records_it",
    ),
    (
        "WEBHOOK_BODIES_MAX",
        "tests/src/bodies.rs::bodies_of_one_workspace_that_do_not_arrive_leave_as_many_places_to_others",
    ),
    (
        "WEBHOOK_BODIES_PER_RECIPE_MAX",
        "tests/src/bodies.rs::bodies_of_one_recipe_that_do_not_arrive_take_their_places_and_no_others",
    ),
    (
        "WEBHOOK_REPLY_MS_MAX",
        "tests/src/jobs.rs::an_event_that_is_acknowledged_before_its_answer_is_durable",
    ),
    (
        "LISTENER_CONNECTIONS_MAX",
        "host/keyway/src/connections.rs::addresses_that_open_all_they_can_leave_some_for_another",
    ),
    (
        "SOCKET_CONNECTIONS_MAX",
        "host/keyway/src/serve/tests/room.rs::further_connections_to_the_socket_wait_until_one_of_those_before_is_closed",
    ),
    (
        "API_CALLERS_KEPT_MAX",
        "host/keyway/src/api/turnstile.rs::callers_that_have_nothing_to_remember_are_forgotten",
    ),
    (
        "APPROVALS_PER_CONNECTOR_MAX",
        "host/gate/src/approvals/tests.rs::approvals_that_each_count_after_the_next_are_refused_when_they_are_too_many",
    ),
    (
        "ADDRESSES_KEPT_MAX",
        "host/keyway/src/strangers.rs::a_flood_from_many_addresses_is_counted_in_bounded_memory_and_shares_one_rate",
    ),
    (
        "UNKNOWN_CALLS_RECORD_SECONDS_MIN",
        "tests/src/limits/api.rs::whoever_has_no_token_has_a_rate_and_takes_nothing_from_whoever_has_one",
    ),
    (
        "API_BODY_BYTES_MAX",
        "tests/src/coverage/routes.rs::every_route_refuses_a_body_that_is_longer_than_documented_and_records_it",
    ),
    (
        "API_BODIES_MAX",
        "host/keyway/src/api/bodies.rs::all_workspaces_together_have_so_many_bodies_at_once_and_artifacts_have_their_own",
    ),
    (
        "API_BODIES_PER_CALLER_MAX",
        "host/keyway/src/api/bodies.rs::one_caller_has_so_many_bodies_at_once_and_leaves_the_rest_to_others",
    ),
    (
        "ARTIFACT_BODIES_MAX",
        "host/keyway/src/api/bodies.rs::all_workspaces_together_have_so_many_bodies_at_once_and_artifacts_have_their_own",
    ),
    (
        "ARTIFACT_BODIES_PER_CALLER_MAX",
        "tests/src/bodies.rs::artifacts_of_one_caller_that_do_not_arrive_take_its_places_and_no_others",
    ),
    (
        "LISTENER_STREAMS_MAX",
        "host/keyway/src/serve/tests/room.rs::one_connection_has_so_many_requests_at_once_and_a_further_one_is_refused",
    ),
    (
        "LISTENER_STREAM_WINDOW_BYTES",
        "host/keyway/src/serve/tests/room.rs::a_body_that_nobody_reads_leaves_others_of_its_connection_room",
    ),
    (
        "LISTENER_BUFFER_BYTES_MAX",
        "host/keyway/src/serve/tests/room.rs::a_head_that_is_longer_than_it_may_be_is_refused",
    ),
    (
        "LISTENER_HEAD_MS_MAX",
        "tests/src/bad_input.rs::a_connection_that_says_nothing_or_half_of_a_version_is_cut_off",
    ),
    (
        "LISTENER_IDLE_MS_MAX",
        "host/keyway/src/serve.rs::a_connection_that_answers_pings_and_asks_nothing_is_closed",
    ),
    (
        "RESPONSE_EXPANSION_FREE_BYTES",
        "host/egress/tests/egress/coding.rs::a_short_text_may_repeat_as_it_likes_and_with_one_byte_more_the_ratio_holds",
    ),
    (
        "FIELD_BYTES_MAX",
        "tests/src/hostile/beside.rs::every_case_ends_as_its_row_says",
    ),
    (
        "BODY_CHUNKS_MAX",
        "host/runtime/tests/http.rs::a_guest_writes_so_many_pieces_before_it_sends_its_request_and_then_waits",
    ),
    (
        "BODY_CHUNK_BYTES_MAX",
        "tests/src/hostile/beside.rs::every_case_ends_as_its_row_says",
    ),
    (
        "PRINT_BYTES_MAX",
        "host/runtime/src/host/cli.rs::what_is_printed_at_once_has_an_end_and_one_byte_more_ends_the_guest",
    ),
    (
        "SCRATCH_NAME_BYTES_MAX",
        "host/model/src/scratch.rs::every_trick_with_a_path_is_refused_for_its_reason",
    ),
    (
        "SCRATCH_NAME_DEPTH_MAX",
        "host/model/src/scratch.rs::every_trick_with_a_path_is_refused_for_its_reason",
    ),
    (
        "CREDENTIAL_BYTES_MIN",
        "tests/src/limits/fixed.rs::a_credential_is_neither_too_short_to_be_masked_nor_too_long_to_be_looked_for",
    ),
    (
        "CREDENTIAL_BYTES_MAX",
        "tests/src/limits/fixed.rs::a_credential_is_neither_too_short_to_be_masked_nor_too_long_to_be_looked_for",
    ),
    (
        "MASKS_HELD_BYTES_MAX",
        "host/gate/src/mask/tests.rs::where_all_masks_are_too_many_bytes_those_of_the_largest_holder_go",
    ),
    (
        "MASKS_HELD_BYTES_PER_WORKSPACE_MAX",
        "host/gate/src/mask/tests.rs::masks_of_one_workspace_stay_within_their_bytes",
    ),
    (
        "TOKEN_SECONDS_MAX",
        "tests/src/limits/fixed.rs::a_token_has_a_longest_life_and_one_second_more_is_refused",
    ),
    (
        "LISTED_MAX",
        "host/keyway/src/deployment/alarms.rs::an_open_alarm_is_listed_before_all_that_somebody_has_looked_at",
    ),
    (
        "SCHEMA_DEPTH_MAX",
        "host/model/src/manifest/tests/bounds.rs::a_schema_that_nests_too_deeply_is_refused",
    ),
    (
        "SCHEMA_NODES_MAX",
        "host/model/src/manifest/tests/bounds.rs::schemas_over_their_number_are_refused_by_name",
    ),
    (
        "SCHEMA_PATHS_BYTES_MAX",
        "host/model/src/manifest/tests/bounds.rs::long_names_far_down_are_counted_for_each_keyword_below_them",
    ),
    (
        "SCHEMA_NAME_BYTES_MAX",
        "host/model/src/manifest/tests/bounds.rs::a_propertys_name_and_a_pattern_over_their_bytes_are_refused_by_name",
    ),
    (
        "SCHEMA_PATTERNS_MAX",
        "host/model/src/manifest/tests/bounds.rs::patterns_over_their_number_are_refused_by_name",
    ),
    (
        "SCHEMA_PATTERN_BYTES_MAX",
        "host/model/src/manifest/tests/bounds.rs::a_propertys_name_and_a_pattern_over_their_bytes_are_refused_by_name",
    ),
    (
        "SCHEMA_PATTERN_TABLES_BYTES_MAX",
        "host/gate/src/schema/tests.rs::a_pattern_that_may_be_slow_is_refused_with_its_place",
    ),
    (
        "ENUM_VALUES_MAX",
        "host/model/src/manifest/tests/bounds.rs::values_of_enums_over_their_number_are_refused_by_name",
    ),
    (
        "ENUM_MIXED_VALUES_MAX",
        "host/model/src/manifest/tests/bounds.rs::values_of_enums_over_their_number_are_refused_by_name",
    ),
    (
        "SCHEMA_VALUES_MAX",
        "host/model/src/manifest/tests/bounds.rs::values_of_all_keywords_together_over_their_number_are_refused_by_name",
    ),
    (
        "SCHEMA_STEPS_MAX",
        "host/gate/src/schema/tests.rs::a_check_of_too_many_steps_ends_at_their_limit_by_name",
    ),
    (
        "SCHEMA_PLACES_STEPS_MAX",
        "host/gate/src/schema/tests.rs::of_a_large_input_that_does_not_fit_one_place_is_told_or_none",
    ),
    (
        "USES_MAX",
        "host/model/src/manifest/tests/bounds.rs::uses_and_paths_over_their_number_are_refused_by_name",
    ),
    (
        "USE_PATHS_MAX",
        "host/model/src/manifest/tests/bounds.rs::uses_and_paths_over_their_number_are_refused_by_name",
    ),
    (
        "DOCUMENT_LEVELS_MAX",
        "host/model/src/recipe/tests.rs::depth_is_limited_in_both_formats",
    ),
    (
        "DOCUMENT_NODES_MAX",
        "host/model/src/recipe/tests.rs::the_values_of_a_recipe_are_limited",
    ),
    (
        "ACTION_ATTEMPTS_MAX",
        "tests/src/workers.rs::an_action_under_which_workers_end_is_tried_so_often_and_then_its_job_fails",
    ),
    (
        "SEGMENT_ATTEMPTS_MAX",
        "tests/src/workers.rs::expressions_under_which_workers_end_are_tried_so_often_and_then_their_job_fails",
    ),
    (
        "UPSTREAM_STREAM_WINDOW_BYTES",
        "host/egress/tests/egress/http2.rs::of_a_reply_that_nobody_reads_a_window_may_come_and_one_byte_more_ends_it",
    ),
    (
        "TRAP_BYTES_MAX",
        "host/gate/src/lane/tests/answers.rs::a_worker_that_answers_with_more_than_a_guest_may_is_given_up",
    ),
    (
        "FRAME_HEADERS_MAX",
        "host/ipc/src/bounded.rs::a_message_holds_some_headers_and_events_and_layers_and_not_millions",
    ),
    (
        "FRAME_HEADER_BYTES_MAX",
        "host/gate/src/lane/tests/flood.rs::a_worker_that_sends_what_no_guest_could_is_given_up",
    ),
    (
        "METHOD_BYTES_MAX",
        "host/gate/src/lane/tests/flood.rs::a_worker_that_sends_what_no_guest_could_is_given_up",
    ),
    (
        "URL_BYTES_MAX",
        "host/gate/src/lane/tests/flood.rs::a_worker_that_sends_what_no_guest_could_is_given_up",
    ),
    (
        "UPSTREAM_CONTROL_FRAMES_MAX",
        "host/egress/src/frames.rs::what_a_request_or_content_allows_for_has_an_end",
    ),
    (
        "LANE_UNDER_WAY_BYTES_MAX",
        "host/gate/src/lane/tests/flood.rs::host_calls_under_way_hold_no_more_than_one_call_and_one_worker_may",
    ),
    (
        "STRAY_BYTES_PER_SECOND_MAX",
        "host/gate/src/lane/stray.rs::a_few_strays_each_second_are_let_pass_and_a_flood_is_not",
    ),
    (
        "CALL_EVENTS_MAX",
        "host/gate/src/lane/tests/flood.rs::a_worker_is_told_to_end_a_call_that_says_too_much",
    ),
    (
        "LANE_EVENT_BYTES_MAX",
        "host/gate/src/lane/tests/flood.rs::a_worker_that_fills_the_broker_is_given_up",
    ),
    (
        "CALL_END_GRACE_MS_MAX",
        "host/gate/src/lane/tests.rs::a_worker_that_does_not_end_a_cancelled_call_is_given_up",
    ),
    (
        "WORKER_LANES_MAX",
        "host/keyway/src/worker.rs::a_worker_takes_so_many_lanes_and_no_more",
    ),
    (
        "WORKER_CPU_SECONDS_MAX",
        "tests/src/workers.rs::a_worker_that_uses_up_its_time_is_ended_and_its_call_is_made_again_in_another",
    ),
    (
        "WORKER_LEAVING_SECONDS_MAX",
        "host/keyway/src/workers/age.rs::an_old_worker_whose_calls_do_not_end_is_ended_when_the_time_for_that_is_over",
    ),
];

/// Those without a test, and why. There may only be fewer of them.
const UNTESTED: [(&str, &str); 11] = [
    (
        "CODE_HELD_BYTES_MAX",
        "half a gigabyte of code; the shelf is tested with less room, and nothing looks at how much it has",
    ),
    (
        "JOBS_AT_ONCE_MAX",
        "hundreds of jobs at once; turns are tested with fewer places, and nothing looks at how many there are",
    ),
    (
        "READ_WAIT_MS_MAX",
        "ten seconds, which no argument of the wait makes less",
    ),
    (
        "WEBHOOK_BODY_MS_MAX",
        "half a minute, which no argument of the wait makes less",
    ),
    (
        "TOKENS_ENDED_KEPT_MAX",
        "a thousand tokens; that the oldest are forgotten is tested with one",
    ),
    (
        "API_BODY_MS_MAX",
        "half a minute, which no argument of the wait makes less",
    ),
    (
        "LISTENER_LEAVING_MS_MAX",
        "a quarter of an hour, which no argument of the wait makes less",
    ),
    (
        "POLLS_IN_A_ROW_MAX",
        "it takes a connector that has more a hundred times, and there is none",
    ),
    (
        "UPSTREAM_CONNECTION_WINDOW_BYTES",
        "it takes an upstream by hand that answers five requests of one connection at once, and that of the tests answers one",
    ),
    (
        "LANE_SENDING_MS_MAX",
        "five seconds, which no argument of the wait makes less",
    ),
    (
        "WORKER_READY_SECONDS_MAX",
        "twenty seconds, which no argument of the wait makes less",
    ),
];

#[test]
fn every_fixed_limit_names_the_test_that_goes_beyond_it() {
    let fixed = table().filter(|row| row.level == Level::Nobody);
    let fixed: Vec<&str> = fixed.map(|row| row.name).collect();
    let (held, untested) = (HELD.map(|row| row.0), UNTESTED.map(|row| row.0));
    let all: BTreeSet<&str> = held.iter().chain(&untested).copied().collect();
    assert_eq!(all, fixed.iter().copied().collect());
    assert_eq!(
        held.len() + untested.len(),
        fixed.len(),
        "one is named twice"
    );
    for named in [held.as_slice(), &untested] {
        let is_named = |name: &&str| named.contains(name);
        let in_order: Vec<&str> = fixed.iter().copied().filter(is_named).collect();
        assert_eq!(named, in_order);
    }
    let faults = HELD.iter().filter_map(|(_, test)| fault_of(test));
    assert_eq!(faults.collect::<Vec<_>>(), Vec::<String>::new());
    assert!(UNTESTED.iter().all(|(_, why)| !why.is_empty()));
}

#[test]
fn a_token_has_a_longest_life_and_one_second_more_is_refused() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    let admin = Api::of(&stage, "acme", "admin");
    let create = |seconds: u64| {
        let new = json!({ "workspace": "acme", "role": "analyst", "label": "l", "expires_in_seconds": seconds });
        admin.call("POST", "/tokens", &new)
    };
    let (status, told) = create(TOKEN_SECONDS_MAX);
    assert_eq!(status, 200, "{told}");
    let (status, told) = create(TOKEN_SECONDS_MAX + 1);
    assert_eq!(status, 422, "{told}");
    assert!(told.contains("`TOKEN_SECONDS_MAX` (31622400)"), "{told}");
}

#[test]
fn a_credential_is_neither_too_short_to_be_masked_nor_too_long_to_be_looked_for() {
    let stage = Stage::empty();
    stage.ok("workspace create acme");
    stage.install("orders.wasm", "orders");
    let admin = Api::of(&stage, "acme", "admin");
    let parameters =
        json!({ "host": "localhost", "port": stage.upstream.port.to_string(), "scheme": "http" });
    let create = |bytes: usize| {
        let (name, credential) = (format!("of-{bytes}"), "x".repeat(bytes));
        let body = json!({ "name": name, "connector": "orders", "parameters": parameters, "credential": credential });
        admin.call("POST", "/workspaces/acme/development/connections", &body)
    };
    for bytes in [CREDENTIAL_BYTES_MIN, CREDENTIAL_BYTES_MAX] {
        let (status, told) = create(bytes);
        assert_eq!(status, 200, "{told}");
    }
    for (bytes, why) in [
        (
            CREDENTIAL_BYTES_MIN - 1,
            "fewer than `CREDENTIAL_BYTES_MIN` (8) bytes",
        ),
        (
            CREDENTIAL_BYTES_MAX + 1,
            "more than `CREDENTIAL_BYTES_MAX` (65536) bytes",
        ),
    ] {
        let (status, told) = create(bytes);
        assert_eq!(status, 422, "{told}");
        assert!(told.contains(why), "{told}");
    }
}

/// Lower case is what somebody may set: whoever reads such a name would try to.
#[test]
fn an_error_names_a_fixed_limit_as_it_is_declared() {
    let (mut files, config) = (Vec::new(), root().join("host/keyway/src/config.rs"));
    sources(&root().join("host"), &mut files);
    let settings = std::fs::read_to_string(config).unwrap();
    let fixed = table().filter(|row| row.level == Level::Nobody);
    let names: Vec<String> = fixed
        .map(|row| row.name.to_lowercase())
        .filter(|name| !settings.contains(&format!("pub {name}:")))
        .collect();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for name in &names {
            let is_told = ['"', '`'].iter().any(|quote| {
                let begin = format!("{quote}{name}");
                let begun = text.match_indices(&begin);
                begun
                    .map(|(at, begun)| text[at + begun.len()..].chars().next())
                    .any(|next| next.is_some_and(|next| [*quote, ' '].contains(&next)))
            });
            assert!(!is_told, "{}: {name}", file.display());
        }
    }
}
