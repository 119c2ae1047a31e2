"""Sockets and signals: binds the three listeners, runs an app, and ends it in order."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import descriptors
from gateway.address import Address
from gateway.app import App, read_tokens
from gateway.errors import ConfigError
from gateway.functions import check_handlers
from gateway.heap import calm_collector, keep_freed_pages
from gateway.listener import Listener
from gateway.targets import LocalTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from gateway.config import GatewaySettings
    from gateway.routes import RouteTable

log = logging.getLogger("dialback.server")

BACKLOG = 1024
"""Connections that wait to be accepted: a burst of clients must not see refusals."""

KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""Seconds of silence before a probe, between probes, and probes: NAT gateways forget after 350 s,
and a peer that vanished without a word is noticed in a minute and a half."""

EDGE_USER_TIMEOUT = 300.0
"""Seconds that sent bytes may stay unacknowledged. Linux counts a client that holds its receive window
closed as well (measured: cut after this time), so this is as long as a client may take nothing."""

CALLBACK_USER_TIMEOUT = 30.0
"""The same for functions: their library always reads, so silence means that they are gone."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to run, and how.

    Attributes:
        settings: of the process.
        routes: what it serves.
        development: reload code, answer the Invoke API, let the edge's own pages read the admin.
        hints: for each listener, what chooses its address; ends an error message.
        say: prints one line for the user.
    """

    settings: GatewaySettings
    routes: RouteTable
    development: bool
    hints: dict[str, str]
    say: Callable[[str], None]


def run(job: Job) -> int:
    """Serve until a signal says to stop; return the exit code.

    Raises:
        ConfigError: a handler is not there, or an address cannot be had; nothing was served.
    """
    keep_freed_pages()
    descriptors.raise_limit()
    tokens = read_tokens(job.settings.token_keys)
    check_handlers(job.routes)
    with ExitStack() as stack:
        sockets = {
            name: stack.enter_context(_bind(name, address, job.hints[name]))
            for name, address in (
                ("edge", job.settings.edge),
                ("callback", job.settings.callback),
                ("admin", job.settings.admin),
            )
        }
        _watch_peers(sockets["edge"], EDGE_USER_TIMEOUT)
        _watch_peers(sockets["callback"], CALLBACK_USER_TIMEOUT)

        async def serve() -> int:
            bound = {name: _address(one) for name, one in sockets.items()}
            origins = _page_origins(job.settings.edge, bound["edge"]) if job.development else ()
            app = App(
                job.routes,
                callback_url=job.settings.callback_url or f"ws://{_reachable(bound['callback'])}",
                tokens=tokens,
                settings=job.settings,
                development=job.development,
                page_origins=origins,
            )
            return await _serve(app, job, sockets)

        return _run_loop(serve())


async def _serve(app: App, job: Job, sockets: dict[str, socket.socket]) -> int:
    stop, stop_now = _signals()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(app.close)
        await _first(app.start(), stop.wait())
        if stop.is_set():
            return 0
        calm_collector()
        factories = {"callback": app.callback, "admin": app.admin, "edge": app.edge}
        listeners = {
            name: Listener(name, sockets[name], factory, app.shed)
            for name, factory in factories.items()
        }
        for listener in listeners.values():
            stack.callback(listener.close)
        app.accepting()
        for line in _introduction(job, sockets):
            job.say(line)
        await stop.wait()
        seconds = job.settings.drain_deadline
        log.info("finishing what is begun; a second signal breaks it off")
        listeners["edge"].close()
        app.refuse(seconds)
        finished = await _first(app.finished(), stop_now.wait(), seconds)
        if finished is not True:
            log.warning("breaking off what is left")
            await app.cut()
    return 0 if finished is True else 1


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Return two events: set by the first and by the second SIGINT or SIGTERM."""
    stop, stop_now = asyncio.Event(), asyncio.Event()

    def told() -> None:
        (stop_now if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told)
    return stop, stop_now


async def _first(
    one: Coroutine[None, None, object],
    other: Coroutine[None, None, object],
    seconds: float | None = None,
) -> object:
    """Wait for the first of two, or for the time to be over; return what `one` returned, or None."""
    tasks = [asyncio.create_task(one), asyncio.create_task(other)]
    done, pending = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return tasks[0].result() if tasks[0] in done else None


def _introduction(job: Job, sockets: dict[str, socket.socket]) -> list[str]:
    """Return what to tell the user: where everything is, and the word ``ready``."""
    urls = {name: f"http://{_reachable(_address(one))}" for name, one in sockets.items()}
    dialled = job.settings.callback_url or urls["callback"].replace("http:", "ws:")
    lines = [
        f"edge      {urls['edge']}",
        f"callback  {dialled}",
        f"admin     {urls['admin']}  (/healthz /readyz /metrics /exchanges)",
    ]
    for route in job.routes:
        lines.append(f"route     {route.label} -> {route.target}")
        if job.development and isinstance(route.target, LocalTarget):
            path = f"/2015-03-31/functions/{route.name}/invocations"
            lines.append(f"invoke    {urls['admin']}{path}")
    return [*lines, "ready"]


# ---------------------------------------------------------------- sockets


def _bind(name: str, address: Address, hint: str) -> socket.socket:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, _, _, _, place = found[0]
        return socket.create_server(place[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        advice = f"choose another with {hint}"
        if error.errno == errno.EADDRINUSE:
            advice = f"stop that program, or {advice}"
        raise ConfigError(f"{name} listener: {address} {_reason(error)}; {advice}") from error


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "names no host that is known here"
    if error.errno == errno.EADDRINUSE:
        return "is in use by another program"
    if error.errno == errno.EADDRNOTAVAIL:
        return "is not an address of this machine"
    if error.errno == errno.EACCES:
        return "may not be used without more rights (ports below 1024 need them)"
    return f"cannot be listened on ({error.strerror})"


def _watch_peers(listener: socket.socket, user_timeout: float) -> None:
    """Have the kernel notice peers that vanish; accepted connections inherit it (tcp(7))."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (*KEEPALIVE, ("TCP_USER_TIMEOUT", int(user_timeout * 1000))):
        option = getattr(socket, name, None)  # other systems lack some of them
        if option is not None:
            listener.setsockopt(socket.IPPROTO_TCP, option, value)


def _address(listener: socket.socket) -> Address:
    host, port = listener.getsockname()[:2]
    return Address(host, port)


def _reachable(address: Address) -> Address:
    """Return where someone on this machine reaches a listener that is bound to every address."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
    return Address(loopback.get(address.host, address.host), address.port)


def _page_origins(wanted: Address, bound: Address) -> Collection[str]:
    """Return the web origins under which a browser on this machine shows the edge's pages."""
    hosts = {wanted.host, bound.host, _reachable(bound).host}
    if hosts & {"127.0.0.1", "::1"}:
        hosts.add("localhost")
    return {f"http://{Address(host, bound.port)}".removesuffix(":80") for host in hosts}


def _run_loop(serving: Coroutine[None, None, int]) -> int:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(serving)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # optional: fewer CPU cycles for each small message
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
