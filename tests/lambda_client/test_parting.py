"""Small responses, which return without waiting for END_ACK; and the connection that they leave."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from lambda_client import loop, reactor, streamify_response, streaming, transport
from lambda_client.request import request_body
from protocol.codec import encode
from protocol.errors import GoawayCode
from protocol.frames import Attach, Data, End, EndAck, EndFlag, Goaway, Head
from protocol.limits import PARTING_MAX, Limits
from tests.lambda_client.gateway import Exchange, Gateway, eventually
from tests.lambda_client.handlers import call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambda_client.connection import Connection
    from protocol.receipt import Receipt

pytestmark = pytest.mark.usefixtures("parting")

QUIET = Limits(ping_ms=0)
"""A gateway that is to be asked for a sign of life after any silence."""


@streaming
def hello(event: Any, context: Any) -> Iterator[str]:
    yield "hello"


@streaming
def cold_hello(event: Any, context: Any) -> Iterator[str]:
    yield "hello" + " " * 70_000  # is streamed on a connection that is dialled first, too


def warm(gateway: Gateway) -> None:
    """Leave a connection behind that has answered everything."""
    call(cold_hello, gateway.exchange())
    parked_again()


def parked_again() -> None:
    eventually(lambda: loop.io_thread()._parked)


def taken(exchange: Exchange) -> Exchange:
    eventually(lambda: exchange.stream.ended)
    return exchange


def ends(exchange: Exchange) -> list[int]:
    return [frame.flags for frame in exchange.log if isinstance(frame, End)]


def carries_all(receipt: Receipt, body: bytes) -> bool:
    head = receipt.head
    return receipt.status == "end" and head is not None and receipt.tail == (0, body)


def test_a_small_response_returns_although_nobody_answers(gateway: Gateway) -> None:
    warm(gateway)
    gateway.mute = True
    exchange = gateway.exchange()
    receipt = call(hello, exchange)
    assert carries_all(receipt, b"hello")
    assert taken(exchange).body == b"hello"
    assert [type(frame) for frame in exchange.log] == [Attach, Head, Data, End]
    assert ends(exchange) == [EndFlag.PARTING]


def test_one_connection_carries_one_after_the_other(gateway: Gateway) -> None:
    warm(gateway)
    gateway.mute = True  # what it says may have END leave before the handler has returned
    for _ in range(20):
        exchange = gateway.exchange()
        assert carries_all(call(hello, exchange), b"hello")
        assert taken(exchange).body == b"hello"
        assert ends(exchange) == [EndFlag.PARTING]
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("size", [PARTING_MAX, PARTING_MAX + 1])
def test_a_larger_one_waits(gateway: Gateway, size: int) -> None:
    warm(gateway)
    gateway.mute = size == PARTING_MAX
    exchange = gateway.exchange()
    receipt = call(streaming(lambda event, context: iter(["x" * size])), exchange)
    assert (receipt.tail is not None) is (size == PARTING_MAX)
    assert taken(exchange).body == b"x" * size


def test_one_whose_request_body_was_streamed_waits(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=b"body")

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield request_body(event).read()

    assert call(handler, exchange).tail is None
    assert exchange.body == b"body"


def test_one_whose_code_raises_behind_its_end_waits(gateway: Gateway) -> None:
    """No receipt comes that could repeat it, and what comes instead may be quicker than its END."""
    warm(gateway)
    exchange = gateway.exchange()

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        stream.end("hello")
        raise LookupError("behind its end")

    with pytest.raises(LookupError, match="behind its end"):
        call(handler, exchange)
    assert (exchange.stream.ended, exchange.body) == (True, b"hello")
    assert set(ends(exchange)) == {0}  # it may come twice, where somebody was slow


# ---------------------------------------------------------------- a connection that owes an answer


def test_after_a_silence_the_next_one_looks_for_the_answer_to_the_last(gateway: Gateway) -> None:
    gateway.limits = QUIET
    warm(gateway)
    for _ in range(5):
        exchange = gateway.exchange()
        call(hello, exchange)
        assert ends(taken(exchange)) == [0]
        eventually(lambda: all(p.connection.state.reusable for p in parked()))
    assert len(gateway.requests) == 1


def test_a_freeze_that_one_clock_has_not_seen_is_a_silence_too(gateway: Gateway) -> None:
    warm(gateway)
    (waiting,) = parked()
    silence = gateway.limits.ping_ms / 1000
    loop.io_thread()._parked[gateway.url] = waiting._replace(wall=waiting.wall - silence)
    gateway.mute = True  # what it says would prove that it lives
    exchange = gateway.exchange()
    call(hello, exchange)
    assert ends(taken(exchange)) == [0]


def parked() -> list[loop._Parked]:
    return list(loop.io_thread()._parked.values())


def test_a_connection_that_answers_nothing_any_more_carries_nothing_more(gateway: Gateway) -> None:
    gateway.limits = QUIET
    warm(gateway)
    gateway.mute = True
    lost = gateway.exchange()
    assert carries_all(call(hello, lost), b"hello")
    taken(lost)
    gateway.call(lambda: None)  # whatever it had to answer is swallowed by now
    gateway.mute = False
    call(cold_hello, gateway.exchange())
    assert len(gateway.requests) == 2


@pytest.mark.parametrize("within_turn", [True, False])
def test_what_was_left_unread_is_read_by_whoever_comes_next(
    gateway: Gateway, *, within_turn: bool
) -> None:
    connection, io = with_left_over(gateway, encode(EndAck(1, 0))), loop.io_thread()

    def takes() -> bool:
        return io.take_parked((gateway.url,), 60.0, within_turn=within_turn) is connection

    assert io.alone(takes) if within_turn else takes()
    assert connection.untouched()
    io.submit(connection.abort)


def test_a_goaway_that_was_left_unread_ends_it(gateway: Gateway) -> None:
    connection = with_left_over(gateway, encode(Goaway(GoawayCode.DRAINING, 1000, None)))
    assert loop.io_thread().take_parked((gateway.url,), 60.0, within_turn=False) is None
    eventually(lambda: connection.closed)


def test_who_says_more_than_an_answer_or_two_is_not_heard_out(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = with_left_over(gateway, encode(EndAck(1, 0)))
    monkeypatch.setattr(transport, "READ_SIZE", 1)
    assert not loop.io_thread().alone(connection.catch_up)


def test_a_thread_that_may_be_interrupted_leaves_it_to_the_other(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, io = with_left_over(gateway, encode(EndAck(1, 0))), loop.io_thread()
    monkeypatch.setattr(reactor, "INTERRUPTING", (signal.SIGALRM,))
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        assert io.take_parked((gateway.url,), 60.0, within_turn=False) is None
        assert [one.connection for one in parked()] == [connection]
        tcp: Any = connection._transport
        io.submit(lambda: io.loop.add_reader(tcp._fd, tcp.read))
        call(cold_hello, gateway.exchange())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(gateway.requests) == 1


def test_of_two_that_wait_for_one_address_one_is_closed(gateway: Gateway) -> None:
    connection = with_left_over(gateway, encode(EndAck(1, 0)))
    io = loop.Io(cast("Any", loop.io_thread().loop))
    io._keep(connection)
    other: Any = SimpleNamespace(url=gateway.url)

    def meanwhile(_: object) -> None:
        io._keep(other)

    io.alone = meanwhile  # type: ignore[method-assign,assignment]
    assert io.take_parked((gateway.url,), 60.0, within_turn=False) is None
    assert [one.connection for one in io._parked.values()] == [other]
    loop.io_thread().wake()
    eventually(lambda: connection.closed)


def with_left_over(gateway: Gateway, message: bytes) -> Connection:
    """Park a connection, and let a message lie in its socket that the I/O thread does not read."""
    warm(gateway)
    ((connection, *_),) = parked()
    thread, tcp = loop.io_thread(), cast("Any", connection._transport)
    assert thread.alone(lambda: thread.loop.remove_reader(tcp._fd) is None)
    gateway.say_raw(bytes([0x82, len(message)]) + message)
    eventually(tcp.readable)
    return connection
