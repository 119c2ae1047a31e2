"""One connection on its way, when a name has several addresses, or none, and when nobody waits any more."""

from __future__ import annotations

import errno
import socket
import threading
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import address
from lambda_client.address import Connecting
from tests.lambda_client.gateway import eventually
from tests.lambda_client.test_fork import no_answer
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lambda_client.reactor import Reactor

NAME = "several.example"

FOREIGN, FOREIGN_ENTRY = "foreign", (socket.AF_UNSPEC, socket.SOCK_STREAM, 0, "", ("foreign",))
"""An address of a family that this machine does not have."""


def resolve_to(monkeypatch: pytest.MonkeyPatch, found: Callable[[], list[str]]) -> None:
    """Answer as a name server would that knows these addresses of `NAME`."""
    original = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, **how: int) -> list[object]:
        if host != NAME or how.get("flags"):
            return [*original(host, port, **how)]
        return [
            entry
            for one in found()
            for entry in (original(one, port, **how) if one != FOREIGN else [FOREIGN_ENTRY])
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@contextmanager
def listener(host: str, port: int = 0, backlog: int = 8) -> Iterator[socket.socket]:
    with socket.create_server((host, port), backlog=backlog) as made:
        yield made


class Attempt:
    """One attempt, and what it told."""

    def __init__(
        self, reactor: Reactor, port: int, host: str = NAME, seconds: float = PATIENCE
    ) -> None:
        self.told: list[socket.socket | Exception] = []
        self._reactor = reactor
        self._made: list[Connecting] = []
        self.do(
            lambda: self._made.append(Connecting(reactor, host, port, seconds, self.told.append))
        )

    @property
    def connecting(self) -> Connecting:
        return self._made[0]

    def do(self, what: Callable[[], object]) -> None:
        """Have it done within a turn."""
        done = threading.Event()
        self._reactor.call_soon_threadsafe(what)
        self._reactor.call_soon_threadsafe(done.set)
        assert done.wait(PATIENCE)

    def peer(self) -> str:
        """Where it got to."""
        eventually(lambda: self.told)
        (found,) = self.told
        assert isinstance(found, socket.socket), found
        with found:
            return str(found.getpeername()[0])

    def error(self) -> Exception:
        eventually(lambda: self.told)
        (found,) = self.told
        assert isinstance(found, Exception)
        return found


@pytest.fixture
def left(reactor: Reactor) -> Iterator[None]:
    """Whatever happens, nothing of an attempt is left in the loop."""
    yield
    eventually(lambda: not reactor._watches)


pytestmark = pytest.mark.usefixtures("left")


def test_an_address_that_refuses_is_followed_by_the_next(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, lambda: ["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    with listener("127.0.0.1") as good:
        assert Attempt(reactor, good.getsockname()[1]).peer() == "127.0.0.1"


def test_an_address_that_stays_silent_is_followed_by_the_next(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, lambda: ["127.0.0.1", "127.0.0.2"])
    monkeypatch.setattr(address, "TURN_MIN", 0.05)
    with no_answer() as port, listener("127.0.0.2", port):
        assert Attempt(reactor, port, seconds=0.1).peer() == "127.0.0.2"


def test_after_one_that_answers_no_other_one_is_tried(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, lambda: ["127.0.0.1", "127.0.0.2"])
    monkeypatch.setattr(address, "TURN_MIN", 0.05)
    with listener("127.0.0.1") as first:
        port = first.getsockname()[1]
        with listener("127.0.0.2", port):
            attempt = Attempt(reactor, port, seconds=0.1)
            assert attempt.peer() == "127.0.0.1"
            passed = threading.Event()
            attempt.do(lambda: reactor.call_later(0.06, passed.set))
            assert passed.wait(PATIENCE)
            attempt.do(lambda: None)
    assert len(attempt.told) == 1


def test_the_last_of_them_says_why_there_is_none(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, lambda: ["127.0.0.2", "127.0.0.3"])
    with listener("127.0.0.1") as elsewhere:
        error = Attempt(reactor, elsewhere.getsockname()[1]).error()
    assert isinstance(error, ConnectionRefusedError)


@pytest.mark.parametrize("bad", ["255.255.255.255", FOREIGN])
def test_an_address_that_cannot_even_be_tried_is_followed_by_the_next(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    resolve_to(monkeypatch, lambda: [bad, "127.0.0.1"])
    with listener("127.0.0.1") as good:
        assert Attempt(reactor, good.getsockname()[1]).peer() == "127.0.0.1"


def test_a_name_without_an_address(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, list)
    error = Attempt(reactor, 1).error()
    assert isinstance(error, OSError)
    assert error.errno == errno.EADDRNOTAVAIL


def test_a_name_that_nobody_knows(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    resolve_to(monkeypatch, unknown)
    assert isinstance(Attempt(reactor, 1).error(), socket.gaierror)


def test_a_process_that_may_have_no_more_threads_is_told_at_once(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, lambda: ["127.0.0.1"])

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert "thread" in str(Attempt(reactor, 1).error())


def test_nothing_is_told_after_a_cancel_while_the_name_is_looked_up(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = threading.Event(), threading.Event()

    def slow() -> list[str]:
        asked.set()
        assert answered.wait(PATIENCE)
        return ["127.0.0.1"]

    resolve_to(monkeypatch, slow)
    with listener("127.0.0.1") as good:
        attempt = Attempt(reactor, good.getsockname()[1])
        assert asked.wait(PATIENCE)
        attempt.do(attempt.connecting.cancel)
        answered.set()
        for thread in threading.enumerate():
            if thread.name == "dialback-dns":
                thread.join(PATIENCE)
        attempt.do(lambda: None)
        good.setblocking(False)
        with pytest.raises(BlockingIOError):
            good.accept()
    assert attempt.told == []


@pytest.mark.parametrize("what", ["cancel", "abort"])
def test_a_socket_on_its_way_is_closed_with_its_attempt(reactor: Reactor, what: str) -> None:
    with no_answer() as port:
        attempt = Attempt(reactor, port, "127.0.0.1")
        eventually(lambda: attempt.connecting._socket)
        on_its_way = attempt.connecting._socket
        assert on_its_way is not None
        attempt.do(getattr(attempt.connecting, what))
        attempt.do(attempt.connecting.abort)
    assert on_its_way.fileno() < 0
    assert [type(one) for one in attempt.told] == [ConnectionAbortedError] * (what == "abort")


def test_after_a_cancel_in_the_midst_of_several_no_other_one_is_tried(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, lambda: ["127.0.0.1", "127.0.0.2"])
    with ExitStack() as stack:
        port = stack.enter_context(no_answer())
        second = stack.enter_context(listener("127.0.0.2", port))
        attempt = Attempt(reactor, port)
        eventually(lambda: attempt.connecting._turn)
        turn: Any = attempt.connecting._turn
        attempt.do(attempt.connecting.cancel)
        assert turn.job is None, "nothing comes when its time is over"
        second.setblocking(False)
        with pytest.raises(BlockingIOError):
            second.accept()
    assert attempt.told == []


def test_a_receiver_that_closes_the_socket_at_once_leaves_nothing_behind(reactor: Reactor) -> None:
    with listener("127.0.0.1") as good:
        host, port = good.getsockname()
        made: list[Connecting] = []
        closed = threading.Event()

        def take(found: socket.socket | Exception) -> None:
            assert isinstance(found, socket.socket)
            with closing(found):
                made[0].cancel()
            closed.set()

        def begin() -> None:
            made.append(Connecting(reactor, host, port, PATIENCE, take))

        reactor.call_soon_threadsafe(begin)
        assert closed.wait(PATIENCE)
