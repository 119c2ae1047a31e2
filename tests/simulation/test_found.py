"""What simulations have found, each in the smallest play that shows it."""

from __future__ import annotations

import logging
import random
import sys
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from websockets.uri import parse_uri

from gateway.callback.endpoint import CallbackEndpoint
from gateway.callback.server import CallbackServer
from gateway.edge.hangup import HangupWatch
from gateway.journal.store import JournalStore
from gateway.telemetry import Telemetry
from gateway.tokens import Tokens
from lambda_client.connection import Connection
from lambda_client.dial import Dial
from lambda_client.transport import TcpTransport
from protocol.limits import ATTACH_PATH, SUBPROTOCOL, Limits
from tests.simulation.client import Habits
from tests.simulation.function import VirtualIo
from tests.simulation.network import Listener
from tests.simulation.scenario import BLOB, KIB, Act, Deed, Fate, Scenario
from tests.simulation.world import play

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from aiohttp import web

    from tests.simulation.pair import Pair

URL = "ws://there:1"


async def connected(pair: Pair) -> Connection:
    """A connection that asks for the upgrade."""
    uri, loop = parse_uri(URL + ATTACH_PATH), pair.here
    made = Connection(loop, URL, uri, "token", Limits(), lambda _: None)
    TcpTransport(loop, cast("Any", await pair.network.open(loop, ("there", 1))), made).start()
    return made


def test_a_dial_that_is_dropped_while_tcp_connects_leaves_no_error_behind(pair: Pair) -> None:
    async def dial() -> Dial:
        return Dial(VirtualIo(pair.here, random.Random(1)), URL, "token", Limits(), 5.0)

    dialled = pair.do(dial())
    pair.until(lambda: bool(pair.network.wires))
    dialled.drop()
    pair.accepted[-1].transport.abort() if pair.accepted else pair.network.wires[0].reset()
    pair.scheduler.rest(10)
    dialled = None
    assert pair.errors() == []


def test_a_closed_connection_that_was_flushed_in_time_is_not_aborted_any_more(pair: Pair) -> None:
    connection = pair.do(connected(pair))
    pair.until(lambda: pair.accepted and hasattr(pair.accepted[0], "transport"))
    pair.accepted[0].transport.pause_reading()
    transport = connection._transport
    assert transport is not None
    transport.writelines((bytes(1_000_000),))
    connection._hang_up(transport)
    pair.accepted[0].transport.resume_reading()
    pair.scheduler.rest(10)
    connection.abort()  # by whoever still holds it
    assert pair.accepted[0].end is None
    assert pair.errors() == []


def test_a_connection_may_be_closed_once_it_is_flushed(pair: Pair) -> None:
    connection = pair.do(connected(pair))
    pair.until(lambda: pair.accepted and hasattr(pair.accepted[0], "transport"))
    pair.accepted[0].transport.pause_reading()
    transport = connection._transport
    assert transport is not None
    transport.writelines((bytes(1_000_000),))
    connection.when_flushed(lambda: connection._hang_up(transport))
    pair.accepted[0].transport.resume_reading()
    pair.scheduler.rest(10)
    assert pair.accepted[0].end is None
    assert pair.errors() == []


def test_a_function_that_leaves_in_the_middle_of_the_handshake_is_no_error(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = Tokens()

    async def serve() -> web.Server:
        endpoint = CallbackEndpoint(JournalStore(), tokens, Telemetry(), Limits())

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.close()  # as on the FIN of the peer, which came with the request
            return await endpoint.handle(request)

        return CallbackServer(handle, 10, 30.0)

    server = pair.do(serve(), pair.there)
    pair.network.listen(("there", 1), Listener(pair.there, server, 30.0))
    near = pair.dial()
    token = tokens.mint(bytes(16), 1, now=time.time(), lifetime=60)
    near.transport.write(
        f"GET {ATTACH_PATH} HTTP/1.1\r\nhost: there\r\nauthorization: Bearer {token}\r\n"
        f"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        f"sec-websocket-protocol: {SUBPROTOCOL}\r\n"
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    pair.until(lambda: near.end != "open")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.skipif(sys.platform != "linux", reason="hang-ups are watched on Linux only")
def test_a_client_that_hangs_up_after_its_connection_was_flushed_and_closed_is_not_aborted(
    pair: Pair,
) -> None:
    async def watch() -> tuple[HangupWatch, AbstractContextManager[None]]:
        hangups = HangupWatch()
        return hangups, hangups.watching(far.transport)

    near, far = pair.connect()
    near.transport.pause_reading()
    hangups, watching = pair.do(watch(), pair.there)
    with watching:
        far.transport.write(bytes(1_000_000))
        far.transport.close()
        near.transport.resume_reading()
        pair.until(lambda: far.end != "open" and near.end != "open")
        pair.scheduler.rest(10)
    hangups.close()
    assert pair.errors() == []


@pytest.mark.parametrize("seed", range(4))
def test_a_client_that_drains_a_large_write_slowly_gets_all_of_it(seed: int) -> None:
    """Longer than `write_stall`, and each time it takes a little: the second look was the last."""
    body = BLOB[: 400 * KIB]
    deed = Deed("answer", body)
    act = Act(0, 0.0, False, Habits(rate=4 * KIB), deed, Fate())
    report = play(Scenario(seed, [act]))
    assert report.problems == []
    assert ("client", f"saw 0: 200 {len(body)} Saw.CLEAN") in {line[1:] for line in report.trace}


@pytest.mark.parametrize("seed", range(4))
def test_a_gateway_that_stops_lets_slow_clients_have_what_is_complete(seed: int) -> None:
    """Its exchange is over, since the transport holds the rest; two seconds later it was reset."""
    body = BLOB[: 100 * KIB]
    act = Act(0, 0.0, False, Habits(rate=10 * KIB), Deed("answer", body), Fate())
    report = play(Scenario(seed, [act], stops=(1.0, 60.0)))
    assert report.problems == []
    assert ("client", f"saw 0: 200 {len(body)} Saw.CLEAN") in {line[1:] for line in report.trace}


def test_those_that_are_broken_off_together_are_told_in_order_wherever_they_lie() -> None:
    """Out of a set they came in the order of their addresses, and a seed was played in two ways."""
    slow = Deed("stream", BLOB[:KIB], [(512, 0.0), (512, 50.0)])
    strewn: list[bytes] = []
    for once_more in range(8):
        strewn += [bytes(size) for size in range(once_more, 4000, 7)]
        acts = [Act(number, 0.1, False, Habits(), slow, Fate()) for number in range(4)]
        report = play(Scenario(1, acts, stops=(1.0, 2.0)))
        assert report.problems == []
        cut = [who for _, who, what in report.trace if "drain_expired" in what]
        assert cut == ["exchange1", "exchange2", "exchange3", "exchange4"]
