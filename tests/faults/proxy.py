"""A TCP proxy that does what networks do: delay, throttle, swallow, cut, refuse.

    with running_proxy(("127.0.0.1", gateway_port)) as proxy:      # a thread of its own
        proxy.plan(Point(UP, 1000, RESET))                         # for the next connection
        ...
        proxy.wait(lambda: proxy.connections[0].up.sent == 1000)

    async with serving_proxy(("127.0.0.1", port)) as proxy:        # or on the running loop
        await proxy.until(lambda: len(proxy.connections) == 1)

UP is what the dialling side sends, DOWN what it gets. Everything is exact: a `Point` cuts after that
very byte, and no fault waits for a clock save delay and throttle, which are clocks. A direction holds
at most `QUEUE` chunks: a side that does not read is felt by the other one.
Every method may be called from any thread; `until` belongs to the proxy's own loop.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tests.faults.kinds import UP, Direction, Fault, Point, Struck
from tests.faults.link import Link
from tests.faults.pipe import ABORT
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

T = TypeVar("T")

Address = tuple[str, int]

CONNECT_SECONDS = 5.0
"""The target is on this machine: it answers at once, or not at all."""


class Proxy:
    """Listens on loopback and forwards to `target`.

    Attributes:
        connections: every one so far, gone ones too.
        faults: what struck so far.
        refused: connections that were accepted only to be reset.
    """

    def __init__(self, target: Address) -> None:
        self.target = target
        self.connections: list[Link] = []
        self.faults: list[Struck] = []
        self.refused = 0
        self._plans: deque[tuple[Point, ...]] = deque()
        self._refusing = False
        self._end_held = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._place = _bound(0)  # while nobody listens there, nobody else may have it
        self.port: int = self._place.getsockname()[1]
        self._listener = _listen(self.port)
        self._accepting = False
        self._opening: set[asyncio.Task[None]] = set()
        self._waiters: list[tuple[Callable[[], object], asyncio.Future[None]]] = []

    @property
    def url(self) -> str:
        """What a gateway tells its functions to dial."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> list[Link]:
        """Those that are not gone."""
        return [link for link in list(self.connections) if not link.closed]

    # ------------------------------------------------------------ faults

    def plan(self, *points: Point) -> None:
        """Say what is to happen to the next connection (after those already planned)."""
        self.call(lambda: self._plans.append(points))

    def forget_plans(self) -> None:
        """Connections to come are plain again."""
        self.call(self._plans.clear)

    def strike(self, fault: Fault, direction: Direction = UP) -> None:
        """Let a fault happen to every open connection now."""

        def apply() -> None:
            for link in self.open_connections:
                link.apply(fault, direction)

        self.call(apply)

    def refuse(self, *, refusing: bool = True) -> None:
        """Reset whatever connects from now on; or take it again."""

        def apply() -> None:
            self._refusing = refusing

        self.call(apply)

    def hold_end(self, *, held: bool = True) -> None:
        """Whoever dialled sees no FIN of the target from now on, on any connection; or he sees it."""

        def apply() -> None:
            self._end_held = held
            for link in self.open_connections:
                link.down.hold_end(held=held)

        self.call(apply)

    def close_listener(self) -> None:
        """Whoever connects from now on gets ECONNREFUSED."""
        self.call(self._stop_accepting)

    def open_listener(self) -> None:
        """Listen again, on the same port."""

        def apply() -> None:
            self._listener = _listen(self.port)
            self.start()

        self.call(apply)

    # ------------------------------------------------------------ waiting

    def wait(self, condition: Callable[[], T], seconds: float = PATIENCE) -> T:
        """Block until `condition`, which is asked whenever a byte moved, is true; return it.

        Raises:
            AssertionError: it was still false after `seconds`.
        """
        return asyncio.run_coroutine_threadsafe(self.until(condition, seconds), self._loop).result()

    async def until(self, condition: Callable[[], T], seconds: float = PATIENCE) -> T:
        """As `wait`, on the proxy's own loop."""
        deadline = self._loop.time() + seconds
        while not (answer := condition()):
            changed: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append((condition, changed))
            try:
                async with asyncio.timeout_at(deadline):
                    await changed
            except TimeoutError:
                raise AssertionError(f"still {condition()!r} after {seconds} s") from None
        return answer

    def changed(self) -> None:
        """Something moved: let the waiting look."""
        waiters, self._waiters = self._waiters, []
        for condition, changed in waiters:
            if changed.done():
                continue
            if condition():
                changed.set_result(None)
            else:
                self._waiters.append((condition, changed))

    def call(self, what: Callable[[], T]) -> T:
        """Do something on the proxy's loop, and return once it is done."""
        if threading.get_ident() == self._thread:
            return what()
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(what())
            except BaseException as error:  # noqa: BLE001 - it is raised where it belongs
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(PATIENCE)

    # ------------------------------------------------------------ on the loop

    def start(self) -> None:
        """Begin to accept."""
        self._accepting = True
        self._loop.add_reader(self._listener.fileno(), self._accept)

    async def close(self) -> None:
        """End every connection, and the listener."""
        self._stop_accepting()
        self._place.close()
        for link in self.open_connections:
            link.hang_up(abort=True)
        for task in [*self._opening]:
            task.cancel()
        await self.until(lambda: not self._opening and all(one.gone for one in self.connections))

    def _stop_accepting(self) -> None:
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()

    def _accept(self) -> None:
        """Take one that waits: a task that did could be cancelled with one in its hands."""
        try:
            near, _ = self._listener.accept()
        except BlockingIOError:  # it has left again
            return
        near.setblocking(False)
        if self._refusing:
            self.refused += 1
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            near.close()
            self.changed()
            return
        task = asyncio.ensure_future(self._open(near))
        self._opening.add(task)
        task.add_done_callback(partial(self._opened, near))

    def _opened(self, near: socket.socket, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if task.cancelled():
            near.close()  # perhaps before it had begun
        self.changed()

    async def _open(self, near: socket.socket) -> None:
        points = self._plans.popleft() if self._plans else ()
        far = socket.socket()
        far.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._loop.sock_connect(far, self.target)
        except BaseException as error:
            far.close()
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            near.close()
            if isinstance(error, OSError):  # the target is gone: so is the proxy, to whoever dials
                self.refused += 1
                return
            raise
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(self, len(self.connections), near, far)
        link.down.hold_end(held=self._end_held)
        self.connections.append(link)
        link.start(points)


def _bound(port: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", port))
    return one


def _listen(port: int) -> socket.socket:
    listener = _bound(port)
    listener.listen(128)
    listener.setblocking(False)
    return listener


@asynccontextmanager
async def serving_proxy(target: Address) -> AsyncIterator[Proxy]:
    """Run a proxy on the running loop."""
    proxy = Proxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()


@contextmanager
def running_proxy(target: Address) -> Iterator[Proxy]:
    """Run a proxy in a thread of its own."""
    started: Future[tuple[Proxy, asyncio.Event]] = Future()

    async def serve() -> None:
        async with serving_proxy(target) as proxy:
            stop = asyncio.Event()
            started.set_result((proxy, stop))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="proxy")
    thread.start()
    proxy, stop = started.result(PATIENCE)
    try:
        yield proxy
    finally:
        proxy.call(stop.set)
        thread.join(PATIENCE)
