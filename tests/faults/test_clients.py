"""Clients that leave, stall, vanish half-way or mean harm, in front of a real gateway and real functions."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import pytest

from protocol.errors import CancelCode, RejectCode
from protocol.frames import Cancel, Reject
from tests.faults import wire
from tests.faults.behind import dialback_behind_proxy
from tests.faults.browser import ABORT, Browser
from tests.faults.functions import body_of
from tests.faults.kinds import PAUSE, UP, Point
from tests.faults.stage import FUNCTIONS, TIMERS, Stage
from tests.patience import PATIENCE
from tests.system.running import Dialback, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.proxy import Proxy

MIB = 1 << 20
STALL = 1.0
"""Seconds that a client of this file may take nothing."""

GIVEN_UP = {"failed": CancelCode.WRITE_STALL, "cancelled": CancelCode.CLIENT_GONE}
"""How the exchange of a client that takes nothing ends: the gateway's clock and the kernel's run equally long,
and either may be first."""


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[Dialback, Proxy]]:
    env = {**TIMERS, "DIALBACK_WRITE_STALL": str(STALL)}
    with dialback_behind_proxy(f"{FUNCTIONS}:handler", "--concurrency=2", env=env) as both:
        yield both


def connect(stage: Stage) -> socket.socket:
    parts = urlsplit(stage.dialback.url)
    return socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=PATIENCE)


def target(stage: Stage, name: str, **query: object) -> str:
    return f"/{name}?" + urlencode({"room": stage.room.path, **query})


def read_all(client: socket.socket) -> bytes:
    """What comes until the connection ends, in whatever way."""
    got = bytearray()
    with suppress(ConnectionResetError):
        while data := client.recv(65_536):
            got += data
    return bytes(got)


# ---------------------------------------------------------------- clients that go, or stand


@pytest.mark.fault(27)
def test_a_client_that_takes_nothing_any_more_is_given_up(stage: Stage) -> None:
    browser = stage.browse("stream", buffer=16 * 1024, reading=False, total=32 * MIB)
    link = stage.link(0)
    exchange = stage.wait_state(*GIVEN_UP)
    assert 0 < exchange["bytes"] < 32 * MIB
    assert exchange["age"] >= STALL
    stage.said("over")
    assert [one.code for one in wire.frames(link.down) if isinstance(one, Cancel)] == [
        GIVEN_UP[exchange["state"]]
    ]
    browser.go_on_reading()
    assert browser.wait_end() == "broken"
    assert bytes(browser.body) == body_of(32 * MIB)[: len(browser.body)]
    stage.assert_over()


@pytest.mark.fault(28)
def test_a_client_that_leaves_before_the_head_stops_the_function(stage: Stage) -> None:
    browser = stage.browse("silent", total=1000)
    stage.at("head")
    eventually(lambda: stage.grown("dialback_attaches_total", result="accepted") == 1)
    assert (browser.status, stage.exchange["state"]) == (0, "streaming")
    browser.leave()
    stage.wait_state("cancelled")
    link = stage.link(0)
    stage.proxy.wait(
        lambda: (
            [one.code for one in wire.frames(link.down) if isinstance(one, Cancel)]
            == [CancelCode.CLIENT_GONE]
        )
    )
    stage.open("head")
    stage.assert_over()


@pytest.mark.fault(28)
def test_a_client_that_left_before_the_attach_is_told_by_the_answer_to_it(stage: Stage) -> None:
    stage.proxy.plan(Point(UP, 0, PAUSE))
    browser = stage.browse("silent", total=1000)
    stage.at("head", attached=False)
    link = stage.link(0)
    stage.proxy.wait(lambda: link.up.received > 0)
    assert stage.exchange["state"] == "invoking"
    browser.leave()
    stage.wait_state("cancelled")
    link.resume()
    stage.proxy.wait(
        lambda: (
            [one.code for one in wire.frames(link.down) if isinstance(one, Reject)]
            == [RejectCode.CANCELLED]
        )
    )
    stage.open("head")
    stage.assert_over()


# ---------------------------------------------------------------- uploads


def post(stage: Stage, name: str, length: int, **query: object) -> bytes:
    """The head of a POST."""
    return (
        f"POST {target(stage, name, **query)} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


@pytest.mark.fault(31)
def test_a_client_that_leaves_in_mid_upload_is_no_short_body(stage: Stage) -> None:
    sent = 5 * MIB
    with connect(stage) as client:
        client.sendall(post(stage, "hash_upload", 12 * MIB) + bytes(sent))
        eventually(lambda: stage.room.said("size") == str(sent))
        assert stage.exchange["state"] == "streaming"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    stage.wait_state("cancelled", "failed")
    assert stage.said("raised") == "ClientGone"
    assert stage.room.said("whole") is None
    eventually(lambda: stage.grown("dialback_invokes_total") == 1)


@pytest.mark.fault(33)
def test_an_upload_that_the_function_never_reads_does_not_hold_its_response_up(
    stage: Stage,
) -> None:
    total = 200_000
    with connect(stage) as client:

        def send() -> None:
            with suppress(OSError):  # the gateway closes on it
                client.sendall(post(stage, "stream", 64 * MIB, total=total) + bytes(64 * MIB))

        sending = threading.Thread(target=send)
        sending.start()
        answer = read_all(client)
        sending.join(PATIENCE)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body.endswith(b"0\r\n\r\n")
    assert total < len(body) < total + 10_000  # chunk headers
    stage.wait_state("completed")
    eventually(lambda: stage.grown("dialback_invokes_total") == 1)


# ---------------------------------------------------------------- what is no clean HTTP


@pytest.mark.fault(68)
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_body_bytes_where_none_belong_reach_nobody(stage: Stage, method: str, status: int) -> None:
    parts = urlsplit(stage.dialback.url)
    client = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE)
    asked = target(stage, "stream", total=300_000, status=status, gates=1000)
    try:
        client.request(method, asked)
        response = client.getresponse()
        assert (response.status, response.read()) == (status, b"")
        stage.wait_state("completed")
        link = stage.link(0)
        stage.proxy.wait(
            lambda: (
                [one.code for one in wire.frames(link.down) if isinstance(one, Cancel)]
                == [CancelCode.NO_BODY]
            )
        )
        stage.open(1000)  # before, it cannot have written all of it
        client.request("GET", target(stage, "stream", total=300_000))  # it is still good
        assert client.getresponse().read() == body_of(300_000)
    finally:
        client.close()
    eventually(lambda: stage.grown("dialback_invokes_total") == 2)


@pytest.mark.fault(54)
def test_a_header_that_would_split_the_response_is_a_502(stage: Stage) -> None:
    bad = json.dumps({"x-split": "a\r\nset-cookie: b=c"})
    browser = stage.browse("stream", total=100_000, headers=bad)
    stage.assert_clean(browser)
    assert (browser.status, "set-cookie" in browser.headers) == (502, False)
    stage.assert_over()


@pytest.mark.fault(55)
@pytest.mark.parametrize("promised", [99_999, 100_001])
def test_a_body_of_another_length_than_promised_never_ends_cleanly(
    stage: Stage, promised: int
) -> None:
    headers = json.dumps({"content-length": str(promised)})
    browser = stage.browse("stream", total=100_000, headers=headers, gates=1000)
    browser.wait_bytes(1000)  # before its head it could still become a 502
    stage.open(1000)
    assert browser.wait_end() == "broken"
    assert bytes(browser.body) == body_of(100_000)[: len(browser.body)]
    assert len(browser.body) < promised
    stage.wait_state("failed")
    stage.assert_over()


@pytest.mark.fault(55)
def test_a_transfer_encoding_of_the_function_is_dropped(stage: Stage) -> None:
    headers = json.dumps(
        {"transfer-encoding": "gzip, chunked", "connection": "x-hop", "x-hop": "1"}
    )
    browser = stage.browse("stream", total=100_000, headers=headers)
    stage.assert_clean(browser)
    assert bytes(browser.body) == body_of(100_000)
    assert browser.headers["transfer-encoding"] == "chunked"
    assert "x-hop" not in browser.headers
    stage.assert_over()


SMUGGLED = b"GET /stream?room=nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
HOST = b"POST /stream HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.fault(56)
@pytest.mark.parametrize(
    "request_bytes",
    [
        HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HOST + b"Content-Length: 0\r\nContent-Length: 45\r\n\r\n",
        HOST + b"Content-Length: 0, 45\r\n\r\n",
        HOST + b"Content-Length: +0\r\n\r\n",
        HOST + b"X-A: b\r\n folded: c\r\nContent-Length: 0\r\n\r\n",
        HOST + b"Transfer-Encoding: xchunked\r\n\r\n",
        HOST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["both", "two lengths", "list", "signed", "folded", "unknown coding", "space"],
)
def test_what_two_parsers_could_read_in_two_ways_is_refused(
    stage: Stage, request_bytes: bytes
) -> None:
    with connect(stage) as client:
        client.sendall(request_bytes + SMUGGLED)
        answer = read_all(client)
    assert answer.split(b" ", 2)[1] in (b"400", b"501")
    assert answer.count(b"HTTP/1.") == 1  # closed: the second request was never one
    assert stage.grown("dialback_exchanges_total") == 0
    assert stage.grown("dialback_invokes_total") == 0


def test_a_browser_knows_a_broken_end(stage: Stage) -> None:
    """The tests' own client tells a clean end from a broken one, or nothing here means anything."""
    browser = Browser(stage.dialback.url + target(stage, "stream", total=10))
    try:
        assert browser.wait_end() == "clean"
    finally:
        browser.close()
