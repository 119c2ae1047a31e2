"""Exceptions at any moment: a timeout's signal in the main thread, Ctrl-C, no stack left."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import dial, loop, streamify_response
from lambda_client.dial import Dial, DialError
from lambda_client.invocation import read_invocation
from lambda_client.loop import IoThread
from lambda_client.pump import Pump
from lambda_client.reactor import Reactor
from lambda_client.session import Session
from lambda_client.waiting import Gate, Waiters
from protocol.limits import Limits
from tests.lambda_client.gateway import context, event, eventually, receipt_of, silent_address
from tests.lambda_client.handlers import warm
from tests.lambda_client.interrupting import InterruptionError, interrupted_at, respond
from tests.lambda_client.test_fork import sockets
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

    from tests.lambda_client.gateway import Gateway

pytestmark = pytest.mark.usefixtures("parting")

STRIDE = 7
"""Every so many points in one test, from an offset that is the test's own: all of them are tried by all tests."""

LONGEST = 4.0
"""Seconds: a response that is left to its deadline (8 s) takes longer, any other one some milliseconds."""


@dataclass(frozen=True)
class Play:
    """A response: the size of its chunks, what the gateway takes at a time, whether a connection is parked.

    And whether an async handler writes it.
    """

    size: int
    window: int
    warm: bool
    asynchronous: bool = False


PLAYS = [
    pytest.param(Play(100, 262_144, warm=False), id="small-cold"),
    pytest.param(Play(100, 262_144, warm=True), id="small-warm"),
    pytest.param(Play(3000, 4096, warm=False), id="waits-for-credit-cold"),
    pytest.param(Play(3000, 4096, warm=True), id="waits-for-credit-warm"),
    pytest.param(Play(3000, 4096, warm=True, asynchronous=True), id="suspends-for-credit"),
]


def cool() -> None:
    """Forget the parked connections."""
    thread = loop.io_thread()
    parked, thread._parked = thread._parked, {}
    for one in parked.values():
        thread.submit(one.connection.abort)


def interrupt_everywhere(
    gateway: Gateway, play: Play, error: type[BaseException], first: int, *, goes_on: bool
) -> str | None:
    """Return what went wrong first, and where."""
    point, tried = first, 0
    while True:
        cool()
        if play.warm:
            warm(gateway)
        exchange = gateway.exchange(window=play.window)
        told = respond(exchange, point, error, size=play.size, asynchronous=play.asynchronous)
        if not told.where:
            break  # there are no more
        wrong = told.problem(exchange, goes_on=goes_on)
        if wrong or told.seconds > LONGEST:
            return (
                f"{point}, {told.where}: {wrong}, after {told.seconds:.1f} s ({told.raised!r:.80})"
            )
        point, tried = point + STRIDE, tried + 1
    assert tried > 10
    return None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("first", range(1, STRIDE + 1))
@pytest.mark.parametrize("play", PLAYS)
def test_a_timeout_that_user_code_takes_breaks_no_response(
    gateway: Gateway, play: Play, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = threading.get_ident()
    monkeypatch.setattr(Reactor, "_may_be_interrupted", lambda _: threading.get_ident() == main)
    assert interrupt_everywhere(gateway, play, InterruptionError, first, goes_on=True) is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("first", [1, 4])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RecursionError])
@pytest.mark.parametrize("play", PLAYS)
def test_what_is_broken_off_within_a_turn_ends_soon_and_is_never_taken_for_whole(
    gateway: Gateway, play: Play, error: type[BaseException], first: int
) -> None:
    assert interrupt_everywhere(gateway, play, error, first, goes_on=False) is None


def test_a_connection_that_waits_is_not_forgotten_while_it_is_looked_at(gateway: Gateway) -> None:
    io, point, where = loop.io_thread(), 0, [""]
    while where:
        point += 1
        cool()
        warm(gateway)
        eventually(lambda: gateway.url in io._parked)
        connection = io._parked[gateway.url].connection
        looking = interrupted_at(point, InterruptionError, loop.Io.take_parked.__code__)
        with suppress(InterruptionError), looking as where:
            io.take_parked((gateway.url,), 60.0, within_turn=False)
        if where:
            eventually(lambda: connection.closed or gateway.url in io._parked)  # noqa: B023
        else:
            io.submit(connection.abort)
    assert point > 10


def test_what_is_broken_off_as_it_is_made_leaves_no_alarm(gateway: Gateway) -> None:
    io, point, where = loop.io_thread(), 0, [""]
    before = set(io.ticker.clocks)
    while where:
        point += 1
        exchange = gateway.exchange()
        invocation = read_invocation(event(exchange), context(exchange), now=0.0)
        session = Session(invocation, exchange.envelope)
        looking = interrupted_at(point, InterruptionError, Pump.__init__.__code__)
        with suppress(InterruptionError), looking as where:
            Pump(io, session)
        assert not set(io.ticker.clocks) - before, where
    assert point > 5


def block(io: IoThread) -> None:
    gate = Gate()
    gate.open()
    io.block(gate)


def suspend(io: IoThread) -> None:
    waiters, ready = Waiters(threading.Lock()), list[bool]()

    def go_on() -> None:
        ready.append(True)
        waiters.notify()

    async def run() -> None:
        asyncio.get_running_loop().call_soon(go_on)
        await waiters.suspend(lambda: bool(ready), io)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("wait", "within"),
    [(block, IoThread.block), (suspend, Waiters.suspend)],
    ids=["block", "suspend"],
)
def test_whoever_is_broken_off_as_he_begins_to_wait_has_the_thread_listen_no_more(
    wait: Callable[[IoThread], None], within: FunctionType, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = threading.get_ident()
    monkeypatch.setattr(Reactor, "_may_be_interrupted", lambda _: threading.get_ident() == main)
    io, point, where = IoThread(), 0, [""]
    while where:
        point += 1
        with io._reactor._turn:
            io._reactor._deafen()  # so that there is more to be done
        looking = interrupted_at(point, InterruptionError, within.__code__)
        with suppress(InterruptionError), looking as where:
            wait(io)
        assert not io._reactor._attending, where
    assert point > 10


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_what_is_broken_off_ends_a_connection_on_its_way(scheme: str) -> None:
    io, made, told = loop.io_thread(), list[Dial](), list[object]()

    def begin(url: str) -> None:
        made.append(Dial(io, url.replace("ws", scheme), "token", Limits(), PATIENCE))
        made[0].tell = told.append

    with silent_address() as url:
        io.submit(lambda: begin(url))
        eventually(lambda: made and made[0]._connection)
        io.submit(no_memory)
        eventually(lambda: told)
    assert isinstance(told[0], DialError)


@pytest.mark.parametrize("where", ["Connection", "TlsTransport", "TcpTransport"])
def test_a_dial_that_is_broken_off_leaves_no_socket_open(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    io, broken = loop.io_thread(), threading.Event()

    def break_off(*_: object) -> None:
        broken.set()
        no_memory()

    monkeypatch.setattr(dial, where, break_off)
    with silent_address() as url:
        before = sockets()
        secure = url.replace("ws", "wss")
        io.submit(lambda: Dial(io, secure, "token", Limits(), PATIENCE))
        assert broken.wait(PATIENCE)
        eventually(lambda: not sockets() - before)


def no_memory() -> None:
    raise MemoryError


def test_no_memory_in_a_turn_of_the_thread_ends_the_response_and_the_next_one_is_whole(
    gateway: Gateway,
) -> None:
    exchange = gateway.exchange()

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        stream.write(b"before")
        eventually(lambda: exchange.body == b"before")
        failed = threading.Event()

        def fail() -> None:
            failed.set()
            no_memory()

        loop.io_thread().submit(fail)
        assert failed.wait(PATIENCE)  # on no other thread: this one waits
        eventually(lambda: stream.write(b"x"))

    returned = handler(event(exchange), context(exchange, seconds=2 * LONGEST))
    assert receipt_of(returned).status == "reset"
    assert not exchange.stream.ended
    warm(gateway)


@pytest.mark.parametrize("where", ["_doze", "_serve_sockets", "_ring_timers", "_do"])
def test_the_thread_outlives_what_its_turns_break_off_by(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    ran, told = threading.Event(), threading.Event()
    made = Reactor(told.set)
    original, failed = getattr(made, where), list[bool]()

    def fail_once(*args: Any) -> Any:
        if not failed:
            failed.append(True)
            raise MemoryError
        return original(*args)

    setattr(made, where, fail_once)

    def run() -> None:
        with suppress(SystemExit):
            made.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    made.call_soon_threadsafe(lambda: None)
    eventually(lambda: failed)
    made.call_soon_threadsafe(ran.set)
    assert ran.wait(PATIENCE)
    assert told.is_set() or where == "_doze"  # which touches nothing
    assert "out of memory" in caplog.text
    made.call_soon_threadsafe(sys.exit)
    thread.join(PATIENCE)
