"""One gateway process: three listeners, one app, and the signals that end it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import descriptors
from gateway.app import App
from gateway.credentials import read_credentials
from gateway.functions import check_handlers
from gateway.heap import keep_freed_pages
from gateway.serving import Stop, run_loop, serve
from gateway.sockets import (
    CALLBACK_USER_TIMEOUT,
    address_of,
    bind,
    check_listeners,
    page_origins,
    reachable,
    watch_peers,
)
from gateway.targets import LocalTarget

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from gateway.address import Address
    from gateway.config import GatewaySettings
    from gateway.credentials import Credentials
    from gateway.routes import RouteTable


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
    settings = job.settings
    check_listeners(settings.edge, [settings.callback], settings.admin)
    credentials = read_credentials(settings)
    check_handlers(job.routes)
    with ExitStack() as stack:
        sockets = {
            name: stack.enter_context(bind(name, address, job.hints[name]))
            for name, address in (
                ("edge", settings.edge),
                ("callback", settings.callback),
                ("admin", settings.admin),
            )
        }
        watch_peers(sockets["edge"], settings.timing.write_stall)
        watch_peers(sockets["callback"], CALLBACK_USER_TIMEOUT)
        return run_loop(_serve(job, credentials, sockets))


async def _serve(job: Job, credentials: Credentials, sockets: dict[str, socket.socket]) -> int:
    settings = job.settings
    bound = {name: address_of(one) for name, one in sockets.items()}
    app = App(
        job.routes,
        callback_url=settings.dialled_at(reachable(bound["callback"])),
        credentials=credentials,
        settings=settings,
        development=job.development,
        page_origins=page_origins(settings.edge, bound["edge"]) if job.development else (),
    )
    stop = Stop()
    stop.on_signals()

    def ready() -> None:
        for line in _introduction(job, sockets):
            job.say(line)

    return await serve(app, sockets, stop, settings.drain_deadline, ready)


def _introduction(job: Job, sockets: dict[str, socket.socket]) -> list[str]:
    """Return what to tell the user: where everything is, and the word ``ready``."""
    at = {name: reachable(address_of(one)) for name, one in sockets.items()}
    lines = introduction(job, at["edge"], [at["callback"]], at["admin"])
    if job.development:
        for route in job.routes:
            if isinstance(route.target, LocalTarget):
                path = f"/2015-03-31/functions/{route.name}/invocations"
                lines.append(f"invoke    http://{at['admin']}{path}")
    return [*lines, "ready"]


def introduction(job: Job, edge: Address, callbacks: list[Address], admin: Address) -> list[str]:
    """Return the lines that say where everything is; one callback address for each worker."""
    dialled = [job.settings.dialled_at(at, worker) for worker, at in enumerate(callbacks)]
    scheme = "http" if job.settings.edge_certificate is None else "https"
    return [
        f"edge      {scheme}://{edge}",
        *(f"callback  {url}" for url in dialled),
        f"admin     http://{admin}  (/healthz /readyz /metrics /exchanges)",
        *(f"route     {route.label} -> {route.target}" for route in job.routes),
    ]
