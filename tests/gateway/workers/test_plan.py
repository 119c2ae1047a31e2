"""What each worker gets, and what several cannot share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.address import Address
from gateway.config import GatewaySettings
from gateway.errors import ConfigError
from gateway.route_settings import RouteSettings
from gateway.routes import build_routes
from gateway.workers import plan
from protocol.limits import MIB

if TYPE_CHECKING:
    from gateway.routes import RouteTable

HERE = Path(__file__).parent


def table(**limits: Any) -> RouteTable:
    here: Any = {"where": "a test", "base": HERE, "target": "local:app.py:handler"}
    return build_routes([RouteSettings(path=path, **here, **limits) for path in ("/", "/other")])


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("number", [0, 7, 16, 128])
def test_the_shares_are_even_and_add_up(number: int, count: int) -> None:
    shares = [plan.share_of(number, worker, count) for worker in range(count)]
    assert sum(shares) == number
    assert max(shares) - min(shares) <= 1


def test_limits_are_divided_and_the_rest_is_not() -> None:
    settings = GatewaySettings(workers=2, memory_budget=8 * MIB, drain_deadline=3.0)
    routes = table(concurrency=5, queue=3)
    divided = [plan.divide(settings, routes, worker) for worker in (0, 1)]
    assert [[(r.concurrency, r.queue) for r in mine] for _, mine in divided] == [
        [(3, 2), (3, 2)],
        [(2, 1), (2, 1)],
    ]
    assert [one for one, _ in divided] == [replace(settings, memory_budget=4 * MIB)] * 2
    route = divided[1][1].match("/other/x")
    assert route is not None
    assert (route.label, route.name) == ("/other", [*routes][1].name)


@pytest.mark.parametrize(
    ("url", "port", "dialled"),
    [
        (None, 8081, ["ws://10.0.0.1:8081", "ws://10.0.0.1:8082"]),
        ("wss://cb.example.com:{port}", 8081, ["wss://cb.example.com:8081", "wss://cb.example.com:8082"]),
        ("wss://cb.example.com/w{worker}", 8081, ["wss://cb.example.com/w0", "wss://cb.example.com/w1"]),
        ("wss://w{worker}.example.com", 0, ["wss://w0.example.com", "wss://w1.example.com"]),
    ],
)  # fmt: skip
def test_each_worker_is_dialled_at_an_address_of_its_own(
    url: str | None, port: int, dialled: list[str]
) -> None:
    settings = GatewaySettings(workers=2, callback=Address("10.0.0.1", port), callback_url=url)
    assert plan.callback_urls(settings) == dialled


@pytest.mark.parametrize(
    ("changes", "limits", "said"),
    [
        (
            {"callback_url": "wss://cb.example.com"},
            {},
            "gateway.callback_url: wss://cb.example.com is the same for 4 workers, and a function must"
            " reach the one that called it; write {worker} or {port} into it",
        ),
        (
            {"callback": Address("127.0.0.1", 65533)},
            {},
            "gateway.callback: 4 workers need the ports from 65533 on, and the last one is 65535;"
            " choose a smaller one",
        ),
        (
            {"memory_budget": 3 * MIB},
            {},
            "gateway.memory_budget: 3145728 bytes are too few for 4 workers; write at least 4194304",
        ),
        (
            {},
            {"concurrency": 3},
            "route /: a concurrency of 3 cannot be divided among 4 workers; raise it, or start fewer",
        ),
    ],
)
def test_what_several_workers_cannot_share_is_refused(
    changes: dict[str, Any], limits: dict[str, int], said: str
) -> None:
    settings = GatewaySettings(workers=4, **changes)
    with pytest.raises(ConfigError) as caught:
        plan.check(settings, table(**limits))
    assert str(caught.value) == said
    plan.check(replace(settings, workers=1), table(**limits))


def test_what_several_workers_can_share_is_good() -> None:
    settings = GatewaySettings(workers=4, callback_url="wss://cb.example.com/{worker}")
    plan.check(settings, table(concurrency=4))
