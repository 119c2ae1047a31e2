"""Every key that a file may have, and what becomes of it."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from gateway.address import Address
from gateway.config import GatewaySettings
from gateway.route_settings import RequiredHeader
from gateway.rules import Cors
from gateway.timing import Timing
from tests.gateway.test_config import ROUTE, read

if TYPE_CHECKING:
    from pathlib import Path

OF_THE_GATEWAY = """
[gateway]
edge = "0.0.0.0:8080"
callback = "[::]:8081"
admin = "localhost:0"
admin_names = ["ops.example.com"]
callback_url = "wss://callback.example.com/"
token_keys = ["key"]
edge_certificate = "key"
edge_key = "key"
callback_certificate = "key"
callback_key = "key"
trusted_proxies = ["10.0.0.0/8", "2001:db8::1"]
connections = 7
connections_per_address = 8
memory_budget = 100_000_000
drain_deadline = 5
log_level = "debug"
log_format = "json"
log_query = true
"""

TIMERS = """
[gateway.timing]
attach_timeout = 1
resume_grace = 2.5
write_stall = 3
request_head = 7
upload_grace = 8
retry_pause = 9
cancel_grace = 10
breaker_pause = 11
ping = 4
dead = 5
park_ttl = 6
"""

OF_A_ROUTE = """
[[routes]]
path = "/chat"
target = "local:app.py:handler"
timeout = 910
function_timeout = 60.5
request_body = "stream"
inline_body_max = 1000
request_body_max = 2000
concurrency = 2
queue = 0
head_timeout = 2.5
sse_error_event = false
sse_heartbeat = 0
compress = true
on_disconnect = "continue"
env = { STAGE = "test" }
host = "*.example.com"
methods = ["GET", "POST"]
match = "exact"
payload = "1.0"
headers_add = { x-a = "1" }
headers_remove = ["server"]
request_headers_add = { x-b = "2" }
request_headers_remove = ["x-c"]
require_header = { name = "x-key", secret_file = "key" }

[routes.cors]
allow_origins = ["https://example.com"]
allow_methods = ["GET"]
allow_headers = ["x-d"]
expose_headers = ["x-e"]
max_age = 600
allow_credentials = true
"""


def test_every_key_of_the_gateway(tmp_path: Path) -> None:
    file = tmp_path / "dialback.toml"
    (tmp_path / "key").write_text("secret")
    settings = read(file, OF_THE_GATEWAY + ROUTE)
    assert settings.gateway == GatewaySettings(
        edge=Address("0.0.0.0", 8080),
        callback=Address("::", 8081),
        admin=Address("localhost", 0),
        admin_names=("ops.example.com",),
        callback_url="wss://callback.example.com",
        token_keys=(tmp_path / "key",),
        edge_certificate=tmp_path / "key",
        edge_key=tmp_path / "key",
        callback_certificate=tmp_path / "key",
        callback_key=tmp_path / "key",
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128")),
        connections=7,
        connections_per_address=8,
        memory_budget=100_000_000,
        drain_deadline=5.0,
        log_level="debug",
        log_format="json",
        log_query=True,
    )


def test_every_timer(tmp_path: Path) -> None:
    settings = read(tmp_path / "dialback.toml", TIMERS + ROUTE)
    assert settings.gateway.timing == Timing(
        attach_timeout=1,
        resume_grace=2.5,
        request_head=7,
        upload_grace=8,
        write_stall=3,
        ping=4,
        dead=5,
        park_ttl=6,
        retry_pause=9,
        cancel_grace=10,
        breaker_pause=11,
    )


def test_every_key_of_a_route(tmp_path: Path) -> None:
    file = tmp_path / "dialback.toml"
    (tmp_path / "key").write_text("secret")
    settings = read(file, OF_A_ROUTE)
    (route,) = settings.routes
    assert route.where.startswith(f"{file}: routes[0] (line ")
    assert (route.path, route.target, route.base) == (
        "/chat",
        "local:app.py:handler",
        tmp_path,
    )
    assert (route.timeout, route.function_timeout) == (910, 60.5)
    assert (route.request_body, route.inline_body_max) == ("stream", 1000)
    assert route.request_body_max == 2000
    assert (route.concurrency, route.queue, route.env) == (2, 0, {"STAGE": "test"})
    assert (route.sse_error_event, route.sse_heartbeat) == (False, 0)
    assert (route.host, route.methods) == ("*.example.com", ("GET", "POST"))
    assert (route.match, route.payload) == ("exact", "1.0")
    assert (route.headers_add, route.headers_remove) == ({"x-a": "1"}, ("server",))
    assert (route.request_headers_add, route.request_headers_remove) == ({"x-b": "2"}, ("x-c",))
    assert route.require_header == RequiredHeader("x-key", "key")
    assert route.cors == Cors(
        ("https://example.com",), ("GET",), ("x-d",), ("x-e",), 600, allow_credentials=True
    )
    assert (route.head_timeout, route.on_disconnect) == (2.5, "continue")
    assert route.compress is True
