"""What the edge promises holds over TLS: its own tests of responses, bodies and ends, once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gateway.edge import (
    test_broken_ends,
    test_broken_events,
    test_draining,
    test_ends_by_close,
    test_request,
    test_response,
    test_server,
    test_slow_clients,
)
from tests.gateway.edge.serving import over_tls

if TYPE_CHECKING:
    from collections.abc import Iterator

ONCE_MORE = {
    test_broken_ends: (
        "a_client_that_leaves_cancels_the_exchange",
        "a_client_that_leaves_while_the_sink_is_blocked_cancels_the_exchange",
        "a_driver_that_forgets_the_end_is_no_clean_end",
        "curl_sees_a_whole_response_as_whole",
        "curl_sees_an_aborted_response_as_an_error",
        "stopping_at_once_breaks_what_has_begun_and_refuses_the_rest",
    ),
    test_broken_events: (
        "a_reader_that_takes_nothing_is_not_waited_for",
        "an_event_that_would_complete_the_promised_length_is_not_sent",
        "in_the_middle_of_an_event_nothing_is_added",
        "readers_are_told_when_the_gateway_stops_at_once",
        "the_event_arrives_although_the_client_is_still_sending",
        "what_is_no_plain_event_stream_is_reset_as_ever",
        "where_a_close_would_look_like_an_end_a_reset_follows_the_event",
    ),
    test_draining: ("the_connection_of_a_response_that_is_under_way_closes_after_it",),
    test_ends_by_close: (
        "a_gateway_that_stops_waits_no_longer_and_yet_resets_nobody_who_takes_the_rest",
        "what_is_not_taken_when_the_time_is_over_looks_cut_off",
        "who_reads_late_gets_all",
    ),
    test_request: (
        "a_body_nobody_reads_is_never_asked_for",
        "a_body_of_known_length_arrives_byte_for_byte",
        "a_chunked_body_arrives_byte_for_byte",
        "a_client_that_leaves_in_its_body_cancels_the_exchange",
        "a_large_unread_body_ends_the_connection_and_the_answer_arrives",
        "a_small_unread_body_keeps_the_connection",
        "pipelined_requests_are_answered_in_order",
        "what_cannot_be_parsed_is_400_json_and_the_end",
    ),
    test_response: (
        "a_body_shorter_than_promised_ends_broken",
        "a_known_length_is_content_length_and_no_chunks",
        "every_write_is_one_chunk_and_the_end_is_the_terminator",
        "http_1_0_bodies_are_delimited_by_close",
    ),
    test_server: (
        "a_transport_holds_as_much_for_every_request_of_its_connection",
        "connections_that_are_left_over_at_the_end_are_reset",
    ),
    test_slow_clients: (
        "a_body_that_does_not_come_is_408",
        "a_body_that_stops_after_the_head_breaks_the_response",
        "a_connection_without_a_head_is_closed",
        "the_byte_that_completes_a_body_waits_if_the_head_fills_the_transport",
    ),
}
globals().update(
    {
        f"test_{name}": getattr(module, f"test_{name}")
        for module, names in ONCE_MORE.items()
        for name in names
    }
)


@pytest.fixture(autouse=True)
def tls() -> Iterator[None]:
    token = over_tls.set(True)
    yield
    over_tls.reset(token)
