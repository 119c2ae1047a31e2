"""What each of several workers gets: its callback address, and its share of what is limited.

What a setting promises to the machine or to the function's account holds for all workers together:
`memory_budget`, and `concurrency` and `queue` of a route. So it is divided, and the shares add up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.address import Address
from gateway.callback_url import PLACES, tells_workers_apart
from gateway.config_checks import MEMORY_MIN
from gateway.errors import ConfigError
from gateway.routes import RouteTable

if TYPE_CHECKING:
    from gateway.config import GatewaySettings

PORT_MAX = 65535


def check(settings: GatewaySettings, routes: RouteTable) -> None:
    """See whether so many workers can share what there is.

    Raises:
        ConfigError: they cannot; the message says what to change.
    """
    count = settings.workers
    if count == 1:
        return
    url = settings.callback_url
    if url is not None and not tells_workers_apart(url):
        raise ConfigError(
            f"gateway.callback_url: {url} is the same for {count} workers, and a function must reach the"
            f" one that called it; write {' or '.join(PLACES)} into it"
        )
    if settings.callback.port + count - 1 > PORT_MAX:
        raise ConfigError(
            f"gateway.callback: {count} workers need the ports from {settings.callback.port} on, and"
            f" the last one is {PORT_MAX}; choose a smaller one"
        )
    if settings.memory_budget < count * MEMORY_MIN:
        raise ConfigError(
            f"gateway.memory_budget: {settings.memory_budget} bytes are too few for {count} workers;"
            f" write at least {count * MEMORY_MIN}"
        )
    for route in routes:
        if route.concurrency < count:
            raise ConfigError(
                f"route {route.label}: a concurrency of {route.concurrency} cannot be divided among"
                f" {count} workers; raise it, or start fewer"
            )


def callback_addresses(settings: GatewaySettings) -> list[Address]:
    """Return where each worker listens for functions: one port after the other, or each at any free one."""
    first = settings.callback
    step = 1 if first.port else 0
    return [Address(first.host, first.port + step * worker) for worker in range(settings.workers)]


def callback_urls(settings: GatewaySettings) -> list[str]:
    """Return what functions dial, by worker."""
    addresses = enumerate(callback_addresses(settings))
    return [settings.dialled_at(address, worker) for worker, address in addresses]


def share_of(number: int, worker: int, count: int) -> int:
    """Return what a worker gets of so many places; the first ones get what cannot be divided."""
    return number // count + (worker < number % count)


def divide(
    settings: GatewaySettings, routes: RouteTable, worker: int
) -> tuple[GatewaySettings, RouteTable]:
    """Return the settings and routes of one worker."""
    count = settings.workers
    mine = RouteTable(
        replace(
            route,
            concurrency=share_of(route.concurrency, worker, count),
            queue=share_of(route.queue, worker, count),
        )
        for route in routes
    )
    return replace(settings, memory_budget=settings.memory_budget // count), mine
