"""What a stranger can hold, for SECURITY.md: numbers from the code, each with the test that reaches it."""

from __future__ import annotations

from typing import NamedTuple

from gateway import crowds, quiet_connection
from gateway.admin import server as admin
from gateway.callback import connections as callbacks
from gateway.callback import reading
from gateway.config import CONNECTIONS, MEMORY_BUDGET
from gateway.edge import pace, refusal
from gateway.edge import server as edge
from gateway.edge.response import WRITE_HIGH_WATER
from gateway.listener import SPARE_MAX
from gateway.timing import Timing
from gateway.tls import connection as tls
from gateway.tls import handshakes
from protocol import limits

TIMES = Timing()
EDGE, TLS_TESTS = "tests/gateway/edge", "tests/gateway/tls/test_connection.py"
CROWDS, SLOW = "tests/gateway/listeners/test_crowds.py", f"{EDGE}/test_slow_clients.py"
RULES, CALLBACK = f"{EDGE}/test_rules.py", "tests/gateway/callback/test_limits.py"
MEMORY = "tests/gateway/exchange/test_memory.py"


class Limit(NamedTuple):
    """One row.

    Attributes:
        where: the listener.
        what: can be held.
        much: how much of it, or how long.
        test: reaches the limit.
        path: of its file.
    """

    where: str
    what: str
    much: str
    test: str
    path: str


def _seconds(value: float) -> str:
    return f"{value:g} s"


def _bytes(value: int) -> str:
    for unit, size in (("MiB", limits.MIB), ("KiB", limits.KIB)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value} bytes"


LIMITS = (
    Limit("edge", "connections", f"{CONNECTIONS:,} (setting)", "more_connections_than_there_may_be_are_reset_until_some_leave", CROWDS),
    Limit("edge", "connections from one address, handshakes too", "off (setting)", "one_address_has_its_share_and_a_trusted_proxy_any", CROWDS),
    Limit("edge", "a connection without a request head", f"{_seconds(TIMES.request_head)} (setting)", "a_connection_without_a_head_is_closed", SLOW),
    Limit("edge", "a kept connection without the next head", _seconds(edge.KEEP_ALIVE_SECONDS), "a_head_that_dribbles_on_a_kept_connection_ends_it", CROWDS),
    Limit("edge", "a request target; one header; all headers", f"{_bytes(edge.TARGET_MAX)}; {_bytes(edge.FIELD_MAX)}; {edge.HEADERS_MAX} and {_bytes(refusal.HEAD_MAX)}", "refused_once_and_closed", RULES),
    Limit("edge", "a request body that is waited for", f"{_seconds(TIMES.upload_grace)} (setting), then {pace.RATE_MIN:,} bytes a second", "a_trickle_is_408_although_it_never_stops", SLOW),
    Limit("edge", "a request body that nobody reads", "what the kernel holds", "an_upload_that_nobody_reads_stays_with_its_client", TLS_TESTS),
    Limit("edge", "a response that is not taken", f"{_bytes(WRITE_HIGH_WATER)} and one window of {_bytes(limits.INITIAL_WINDOW)} to {_bytes(limits.MAX_WINDOW)}", "a_reader_that_takes_nothing_holds_one_window_and_stops_the_producer", MEMORY),
    Limit("edge", "a response of which nothing is taken", f"{_seconds(TIMES.write_stall)} (setting)", "a_client_that_takes_nothing_any_more_is_given_up", "tests/faults/test_clients.py"),
    Limit("edge", "the same once it has ended: what is left of it", "twice that at most", "who_takes_nothing_of_a_response_that_has_ended_is_reset", "tests/gateway/edge/test_ends_by_close.py"),
    Limit("edge", "bytes of all bodies", f"{_bytes(MEMORY_BUDGET)} (setting)", "beyond_the_budget_nothing_new_is_invoked_and_parked_callbacks_go_first", MEMORY),
    Limit("edge, callback", "a TLS handshake", _seconds(tls.HANDSHAKE_SECONDS), "a_handshake_that_is_not_finished_is_cut", TLS_TESTS),
    Limit("edge, callback", "TLS handshakes under way", f"{handshakes.HANDSHAKES_MAX:,}; then the oldest is cut", "silent_handshakes_keep_nobody_out", CROWDS),
    Limit("edge, callback", "connections without a request, where there is no room", "the oldest is cut", "who_sends_no_request_keeps_nobody_out", CROWDS),
    Limit("edge", "connections kept alive and idle, where there is no room", f"{_seconds(crowds.SILENT_SECONDS)}, then the longest idle is closed", "who_idles_for_longest_gives_way_and_reads_a_clean_end", "tests/gateway/listeners/test_idlers.py"),
    Limit("callback", "connections that were refused, where there is no room", "the oldest is cut", "who_is_refused_keeps_no_function_out", CROWDS),
    Limit("callback", "connections", f"twice the edge's, {callbacks.PARKED_MAX:,} and {callbacks.UNATTACHED_MAX:,}", "the_callback_listener_holds_so_many_and_no_more", CROWDS),
    Limit("callback", "a connection without a request head", f"{_seconds(TIMES.request_head)} (setting)", "the_callback_listener_is_left_by_who_says_nothing", CROWDS),
    Limit("callback", "upgraded and not attached", f"{callbacks.UNATTACHED_MAX:,}", "more_that_have_yet_to_attach_are_told_to_come_later", CALLBACK),
    Limit("callback", "refused ATTACHes; RESETs of nothing", f"{limits.MAX_REFUSAL_RATE} in 1 s, {limits.MAX_LATE_RATE:,} of exchanges that are over; {limits.MAX_RESET_RATE} in 10 s", "a_flood_of_attaches_or_resets_ends_its_connection_and_no_other", CALLBACK),
    Limit("callback", "frames in one read that are no whole message", f"{reading.OTHERS_MAX:,}", "a_read_full_of_frames_that_are_no_whole_message_is_not_read_to_its_end", "tests/gateway/callback/test_reading.py"),
    Limit("callback", "parked connections", f"{callbacks.PARKED_MAX:,}, {_seconds(TIMES.park_ttl)} (setting)", "of_too_many_that_are_parked_the_least_recent_are_closed", CALLBACK),
    Limit("admin", "connections", f"{admin.CONNECTIONS_MAX}", "the_admin_listener_holds_few_and_not_for_ever", CROWDS),
    Limit("admin", "connections that ask nothing, or nothing more, where there is no room", "the longest silent is closed", "who_asks_nothing_keeps_no_probe_out", CROWDS),
    Limit("admin", "a connection without a request head", _seconds(admin.IDLE_SECONDS), "the_admin_listener_holds_few_and_not_for_ever", CROWDS),
    Limit("all", "a head, or trailers, that do not end", _bytes(quiet_connection.UNFINISHED_MAX), "a_head_that_does_not_end_is_refused_before_it_is_held", f"{EDGE}/test_request_head.py"),
    Limit("all", "descriptors of the process", f"all but {SPARE_MAX}, or an eighth", "accepting_pauses_while_descriptors_are_short_and_goes_on_after", "tests/gateway/listeners/test_listener.py"),
)  # fmt: skip


def limit_table() -> str:
    """Return the limits as a table."""
    lines = ["| listener | what | how much, how long | reached by |", "|---|---|---|---|"]
    lines += [
        f"| {one.where} | {one.what} | {one.much} | [{one.test}]({one.path}) |" for one in LIMITS
    ]
    return "\n".join([*lines, ""])
