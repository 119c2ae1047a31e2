"""`os.fork` in a handler: two processes with one socket, of which one has the I/O."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import StreamClosed, loop, reach, streamify_response, streaming
from lambda_client.dial import Dial
from lambda_client.main_loop import main_loop
from lambda_client.reconnect import Route
from protocol.limits import Limits
from tests.lambda_client.gateway import eventually
from tests.lambda_client.handlers import call, warm
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.lambda_client.gateway import Gateway

REFUSED, CAME_OUT = 7, 8
"""How a child ends: it could not write; its exception came out of the handler."""

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


class ChildError(Exception):
    """What user code raises in the child."""


def write_on(stream: Any) -> None:
    try:
        stream.write(b"from the child")
    except StreamClosed:
        os._exit(REFUSED)
    os._exit(1)


def fail(stream: Any) -> None:
    raise ChildError


def exit_code_of(pid: int) -> int:
    """How a child ended, once it has."""
    found: list[int] = []

    def over() -> bool:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            found.append(os.waitstatus_to_exitcode(status))
        return bool(gone)

    eventually(over)
    return found[0]


@pytest.mark.parametrize(("child", "ends"), [(write_on, REFUSED), (fail, CAME_OUT)])
@pytest.mark.parametrize("busy", [False, True])
def test_a_fork_in_a_handler_disturbs_no_stream(
    gateway: Gateway, child: Callable[[Any], None], ends: int, *, busy: bool
) -> None:
    """Whoever has the turn when the process forks, the child has no share in the connection."""
    warm(gateway)
    exchange, held, ended = gateway.exchange(), threading.Event(), list[int]()

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        stream.write(b"before ")
        eventually(lambda: exchange.chunks)
        if busy:
            begun = threading.Event()

            def hold() -> None:
                begun.set()
                held.wait(PATIENCE)

            loop.io_thread().submit(hold)
            begun.wait(PATIENCE)
        pid = os.fork()
        if not pid:
            child(stream)
        ended.append(exit_code_of(pid))
        held.set()
        stream.write(b"and after")

    try:
        receipt = call(handler, exchange)
    except ChildError:
        os._exit(CAME_OUT)
    assert ended == [ends]
    assert receipt.status == "end"
    assert exchange.body == b"before and after"
    assert len(gateway.requests) == 1


def test_a_child_finds_its_way_although_its_parents_thread_was_looking_for_one(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lock that thread has at the time, nobody gives it back in the child."""
    ours, theirs = gateway.exchange(), gateway.exchange()
    looks, found = threading.Event(), threading.Event()

    def look(*where: Any) -> Route:
        looks.set()
        found.wait(PATIENCE)
        return Route(*where)

    handler = streaming(lambda event, context: {"statusCode": 200, "body": "x" * 70_000})
    monkeypatch.setattr(reach, "Route", look)
    parent = threading.Thread(target=call, args=(handler, ours))
    parent.start()
    looks.wait(PATIENCE)
    pid = os.fork()
    if not pid:
        signal.alarm(int(PATIENCE / 2))  # it ends, even if it hangs
        found.set()
        os._exit(call(handler, theirs).status != "end")
    code = exit_code_of(pid)
    found.set()
    parent.join(PATIENCE)
    assert code == 0
    assert [len(ours.body), len(theirs.body)] == [70_000, 70_000]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # raised, it would keep it open
def test_a_childs_loop_takes_no_bell_from_its_parents() -> None:
    """Both processes share one epoll set, out of which a loop that is closed takes its bell."""

    async def ring() -> bool:
        running, rung = asyncio.get_running_loop(), asyncio.Event()
        threading.Timer(0.01, lambda: running.call_soon_threadsafe(rung.set)).start()
        before = running.time()
        await asyncio.wait({asyncio.ensure_future(rung.wait())}, timeout=PATIENCE)
        return (
            running.time() - before < PATIENCE
        )  # a dead bell is found when the loop wakes by itself

    main_loop().run_until_complete(asyncio.sleep(0))
    pid = os.fork()
    if not pid:
        main_loop().run_until_complete(asyncio.sleep(0))
        gc.collect()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert main_loop().run_until_complete(ring())


def sockets() -> set[int]:
    """The inodes of this process's sockets: the same in a fork."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that lists them
            link = os.readlink(f"/proc/self/fd/{name}")
            if link.startswith("socket:"):
                found.add(int(link[8:-1]))
    return found


@contextmanager
def no_answer() -> Iterator[int]:
    """The port of a listener whose queue is full: the kernel drops whatever SYN comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as waits:
        waits.connect(full.getsockname())
        yield full.getsockname()[1]


@contextmanager
def no_word() -> Iterator[int]:
    """The port of a listener that accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


@pytest.mark.parametrize(
    ("where", "scheme", "as_far"),
    [
        (no_answer, "ws", "_connecting"),
        (no_word, "wss", "_connection"),
        (no_word, "ws", "_connection"),
    ],
)
def test_a_child_has_no_share_in_a_connection_on_its_way(
    where: Callable[[], AbstractContextManager[int]], scheme: str, as_far: str
) -> None:
    io, made, told = loop.io_thread(), list[Dial](), list[object]()

    def dial(port: int) -> None:
        made.append(Dial(io, f"{scheme}://127.0.0.1:{port}", "token", Limits(), PATIENCE))
        made[0].tell = told.append

    with where() as port:
        theirs = sockets()
        io.submit(lambda: dial(port))
        eventually(lambda: made and getattr(made[0], as_far) and sockets() - theirs)
        ours = sockets() - theirs
        pid = os.fork()
        if not pid:
            os._exit(len(ours & sockets()))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert ours <= sockets()
        assert not told
        io.submit(made[0].drop)
        eventually(lambda: not ours & sockets())
