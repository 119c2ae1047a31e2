from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.address import Address
from gateway.config import (
    ENVIRONMENT,
    GatewaySettings,
    Settings,
    from_environment,
    load,
)
from gateway.errors import ConfigError
from gateway.timing import Timing

ROUTE = '[[routes]]\npath = "/"\ntarget = "local:app.py:handler"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dialback.toml"


def read(file: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    file.write_text(text, encoding="utf-8")
    return load(file, environ or {})


def complaint(file: Path, text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(file, text, environ)
    message = str(caught.value)
    assert "\n" not in message
    message = re.sub(r" \(line \d+\)", "", message)
    return message.replace(f"{file}: ", "FILE: ").replace(str(file.parent), "DIR")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"[gateway]\nedge = 7\n{ROUTE}", "gateway.edge (line 2): "),
        (f"{ROUTE}\n{ROUTE}timeout = 0\n", "routes[1].timeout (line 8): "),
        (f"{ROUTE}\n[[routes]]\npath = '/x'\n", "routes[1].target (line 5): is required"),
        (f"[gateway.timing]\npink = 1\n{ROUTE}", "gateway.timing.pink (line 2): no such key"),
        (f"[gateway]\nedge = '80'\n{ROUTE}", "gateway.edge (line 2): "),
    ],
)
def test_an_error_names_the_line(file: Path, text: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(file, text)
    assert str(caught.value).startswith(f"{file}: {place}")


def test_defaults(file: Path) -> None:
    settings = read(file, ROUTE)
    assert settings.gateway == GatewaySettings()
    (route,) = settings.routes
    assert (route.timeout, route.function_timeout) == (40, 30)
    assert (route.request_body, route.inline_body_max) == ("inline", 4 * 1024 * 1024)
    assert (route.concurrency, route.queue) == (16, 128)
    assert (route.sse_error_event, route.sse_heartbeat) == (True, 15)
    assert (route.head_timeout, route.on_disconnect) == (None, "cancel")
    assert route.compress is False


@pytest.mark.parametrize(
    ("given", "function", "route"),
    [
        ("timeout = 910", 900, 910),
        ("timeout = 2000", 900, 2000),
        ("timeout = 6", 3, 6),
        ("function_timeout = 60", 60, 70),
    ],
)
def test_one_timeout_sets_the_other(file: Path, given: str, function: float, route: float) -> None:
    (settings,) = read(file, ROUTE + given).routes
    assert (settings.function_timeout, settings.timeout) == (function, route)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "FILE: there are no routes; add a [[routes]] table: path and target"),
        ("gateway = 1\n" + ROUTE, "FILE: gateway: expected a table, got a whole number; write [gateway]"),
        ("[routes]\npath = '/'\n", "FILE: routes: expected a list, got a table; write [[routes]]"),
        ("[gatway]\n" + ROUTE, "FILE: gatway: no such key; did you mean gateway?"),
        ("[gateway]\nedg = ':1'\n" + ROUTE, "FILE: gateway.edg: no such key; did you mean edge?"),
        ("[gateway]\nedge = 8080\n" + ROUTE, "FILE: gateway.edge: expected a string in quotes, got a whole number"),
        (ROUTE + "concurency = 1", "FILE: routes[0].concurency: no such key; did you mean concurrency?"),
        (ROUTE + 'timeout = "30"', "FILE: routes[0].timeout: expected a number, got a string in quotes"),
        (ROUTE + "timeout = 0", "FILE: routes[0].timeout: expected a number > 0.0"),
        (ROUTE + "timeout = 99999999", "FILE: routes[0].timeout: expected a number <= 86400.0"),
        (ROUTE + "sse_heartbeat = -1", "FILE: routes[0].sse_heartbeat: expected a number >= 0.0"),
        (ROUTE + "concurrency = true", "FILE: routes[0].concurrency: expected a whole number, got true or false"),
        (ROUTE + "concurrency = 0", "FILE: routes[0].concurrency: expected a whole number >= 1"),
        (ROUTE + "inline_body_max = 5000000", "FILE: routes[0].inline_body_max: expected a whole number <= 4194304"),
        (ROUTE + 'request_body = "no"', "FILE: routes[0].request_body: 'no' is none of inline, spill, stream"),
        (ROUTE + 'payload = "3.0"', "FILE: routes[0].payload: '3.0' is none of 2.0, 1.0"),
        (ROUTE + 'match = "glob"', "FILE: routes[0].match: 'glob' is none of prefix, exact"),
        (ROUTE + 'on_disconnect = "go"', "FILE: routes[0].on_disconnect: 'go' is none of cancel, continue"),
        (ROUTE + 'auth = "x"', "FILE: routes[0].auth: 'x' is none of none, iam"),
        (ROUTE + "cors = {}", "FILE: routes[0].cors.allow_origins: is required; add it"),
        (ROUTE + "cors = { allow_origin = '*' }", "FILE: routes[0].cors.allow_origin: no such key; did you mean allow_origins?"),
        (ROUTE + "cors = { str = 1 }", "FILE: routes[0].cors.str: no such key; there are allow_origins, allow_methods, allow_headers, expose_headers, max_age, allow_credentials"),
        (ROUTE + "cors = { 'allow origins' = 1 }", "FILE: routes[0].cors.allow origins: no such key; did you mean allow_origins?"),
        (ROUTE + "cors = { allow_origins = ['*'], max_age = 86401 }", "FILE: routes[0].cors.max_age: expected a whole number <= 86400"),
        (ROUTE + "require_header = { name = 'x' }", "FILE: routes[0].require_header.secret_file: is required; add it"),
        ('[[routes]]\npath = "/"', "FILE: routes[0].target: is required; add it"),
        ("[gateway]\nedge = 'x'\n" + ROUTE, "FILE: gateway.edge: 'x' is not HOST:PORT; write it like 127.0.0.1:8080"),
        ("[gateway]\nedge = '::1:80'\n" + ROUTE, "FILE: gateway.edge: '::1:80' is not HOST:PORT; write it like 127.0.0.1:8080"),
        ("[gateway]\nedge = 'a:99999'\n" + ROUTE, "FILE: gateway.edge: '99999' is not a port; write a number from 0 to 65535"),
        ("[gateway]\ncallback_url = 'https://x'\n" + ROUTE, "FILE: gateway.callback_url: 'https://x' is not a WebSocket address; write ws://HOST:PORT or wss://HOST"),
        ("[gateway]\ncallback_url = 'ws://b\u00fccher'\n" + ROUTE, "FILE: gateway.callback_url: 'ws://b\u00fccher' is not a WebSocket address; write ws://HOST:PORT or wss://HOST"),
        ("[gateway]\ncallback_url = 'ws://u@x?q'\n" + ROUTE, "FILE: gateway.callback_url: 'ws://u@x?q' has a query, a fragment or a user name; write ws://HOST:PORT or wss://HOST"),
        ("[gateway]\ncallback_url = 'ws://x/{workr}'\n" + ROUTE, "FILE: gateway.callback_url: 'ws://x/{workr}' has braces; only {host}, {worker} and {port} are filled in"),
        ("[gateway]\nworkers = 0\n" + ROUTE, "FILE: gateway.workers: 0 is not a number of workers from 1 to 64"),
        ("[gateway]\nworkers = 65\n" + ROUTE, "FILE: gateway.workers: 65 is not a number of workers from 1 to 64"),
        ("[gateway]\ntoken_keys = ['gone']\n" + ROUTE, "FILE: gateway.token_keys: DIR/gone: no such file; write the path of a file that holds a secret"),
        ("[gateway]\ntoken_keys = ['env:KEY']\n" + ROUTE, "FILE: gateway.token_keys: env:KEY: no variable for a secret; write env:DIALBACK_SECRET_..., which no function inherits"),
        ("[gateway]\nconnections = 0\n" + ROUTE, "FILE: gateway.connections: 0 is not a number of connections from 1 to 1000000"),
        ("[gateway]\nadmin_names = ['ops:9090']\n" + ROUTE, "FILE: gateway.admin_names: 'ops:9090' is not a host name; write it like ops.example.com, without a port"),
        ("[gateway]\nedge_key = 'gone'\n" + ROUTE, "FILE: gateway.edge_key: DIR/gone: no such file; write the path of a file that holds PEM"),
        ("[gateway]\ntrusted_proxies = ['10.0.0.1/8']\n" + ROUTE, "FILE: gateway.trusted_proxies: 10.0.0.1/8 has host bits set; write a network like 10.0.0.0/8, or one address"),
        ("[gateway]\nlog_level = 'loud'\n" + ROUTE, "FILE: gateway.log_level: 'loud' is none of debug, info, warning, error"),
        ("[gateway]\ndrain_deadline = -1\n" + ROUTE, "FILE: gateway.drain_deadline: -1 is not a number of seconds from 0 to 86400"),
        ("[gateway]\nmemory_budget = 1000\n" + ROUTE, "FILE: gateway.memory_budget: 1000 is not a number of bytes from 1048576 to 1099511627776"),
        ("[gateway.timing]\npong = 1\n" + ROUTE, "FILE: gateway.timing.pong: no such key; did you mean ping?"),
        ("[gateway.timing]\nping = 0\n" + ROUTE, "FILE: gateway.timing.ping: expected a number >= 0.01"),
        ("=", "FILE: is not TOML: Invalid statement (at line 1, column 1)"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line_that_names_it(file: Path, text: str, message: str) -> None:
    assert complaint(file, text) == message


@pytest.mark.parametrize("text", ["workers = " + "9" * 5_000, "x = " + "[" * 5_000])
def test_what_python_itself_refuses_to_read_is_a_mistake_in_the_file(file: Path, text: str) -> None:
    assert complaint(file, text).startswith("FILE: is not TOML: ")


def test_files_that_cannot_be_read(file: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; name an existing TOML file"):
        load(file, {})
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\); name a TOML file"):
        load(file.parent, {})
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"is not UTF-8 text .*; save it as UTF-8"):
        load(file, {})


def test_the_environment_overrides_the_file(file: Path) -> None:
    (file.parent / "a").touch()
    (file.parent / "b").touch()
    settings = read(
        file,
        "[gateway]\nedge = '127.0.0.1:1'\nadmin = '127.0.0.1:2'\n[gateway.timing]\ndead = 0.5\n"
        + ROUTE,
        {
            "DIALBACK_EDGE": "127.0.0.1:9",
            "DIALBACK_CALLBACK": "127.0.0.1:8",
            "DIALBACK_CALLBACK_URL": "ws://127.0.0.1:{port}/w{worker}/",
            "DIALBACK_WORKERS": "3",
            "DIALBACK_TOKEN_KEYS": f"{file.parent / 'a'},{file.parent / 'b'}",
            "DIALBACK_CALLBACK_CERTIFICATE": str(file.parent / "a"),
            "DIALBACK_TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.1",
            "DIALBACK_DRAIN_DEADLINE": "1.5",
            "DIALBACK_MEMORY_BUDGET": "2000000",
            "DIALBACK_LOG_LEVEL": "error",
            "DIALBACK_LOG_FORMAT": "text",
            "DIALBACK_PING": "7",
            "PATH": "/bin",
        },
    ).gateway
    assert settings == GatewaySettings(
        edge=Address("127.0.0.1", 9),
        callback=Address("127.0.0.1", 8),
        admin=Address("127.0.0.1", 2),
        callback_url="ws://127.0.0.1:{port}/w{worker}",
        workers=3,
        token_keys=(file.parent / "a", file.parent / "b"),
        callback_certificate=file.parent / "a",
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("192.0.2.1")),
        memory_budget=2_000_000,
        drain_deadline=1.5,
        log_level="error",
        log_format="text",
        timing=Timing(ping=7.0, dead=0.5),
    )


def test_a_variable_stands_for_the_file() -> None:
    text = f'[gateway]\nedge = "0.0.0.0:80"\nadmin = "127.0.0.1:1"\n{ROUTE}'
    settings = load(None, {"DIALBACK_TOML": text, "DIALBACK_ADMIN": "127.0.0.1:2"})
    assert settings.gateway.edge == Address("0.0.0.0", 80)
    assert settings.gateway.admin == Address("127.0.0.1", 2)
    assert settings.routes[0].base == Path()
    with pytest.raises(ConfigError, match=r"^DIALBACK_TOML: gateway\.edge \(line 2\): '80' is not"):
        load(None, {"DIALBACK_TOML": f"[gateway]\nedge = '80'\n{ROUTE}"})
    with pytest.raises(ConfigError, match="add --config"):
        load(None, {})


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("1", None)])
def test_a_variable_says_true_or_false(text: str, value: bool | None) -> None:
    if value is None:
        with pytest.raises(
            ConfigError, match=r"^DIALBACK_LOG_QUERY: '1' is neither true nor false$"
        ):
            from_environment(GatewaySettings(), {"DIALBACK_LOG_QUERY": text})
    else:
        told = from_environment(GatewaySettings(), {"DIALBACK_LOG_QUERY": text})
        assert told.log_query is value


def test_the_admin_listener_is_on_loopback_unless_told_otherwise() -> None:
    assert GatewaySettings().admin == Address("127.0.0.1", 9090)
    told = from_environment(GatewaySettings(), {"DIALBACK_ADMIN_NAMES": "a.example,b"})
    assert told.names_of_admin == ("127.0.0.1", "a.example", "b")


def test_functions_dial_wss_where_the_callback_has_a_certificate(file: Path) -> None:
    at = Address("127.0.0.1", 8081)
    assert GatewaySettings().dialled_at(at) == "ws://127.0.0.1:8081"
    secured = GatewaySettings(callback_certificate=file)
    assert secured.dialled_at(at) == "wss://127.0.0.1:8081"
    named = GatewaySettings(callback_certificate=file, callback_url="wss://name")
    assert named.dialled_at(at) == "wss://name"


def test_every_gateway_key_has_a_variable() -> None:
    keys = {*GatewaySettings.__dataclass_fields__, *Timing.__struct_fields__} - {"timing"}
    assert set(ENVIRONMENT.values()) == keys
    assert all(name == f"DIALBACK_{key.upper()}" for name, key in ENVIRONMENT.items())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DIALBACK_EGDE", "x", "DIALBACK_EGDE: no such setting; did you mean DIALBACK_EDGE?"),
        ("DIALBACK_EDGE", "x", "DIALBACK_EDGE: 'x' is not HOST:PORT; write it like"),
        (
            "DIALBACK_MEMORY_BUDGET",
            "512MiB",
            "DIALBACK_MEMORY_BUDGET: '512MiB' is not a number of bytes",
        ),
        ("DIALBACK_WORKERS", "2.5", "DIALBACK_WORKERS: '2.5' is not a number of workers"),
        ("DIALBACK_WORKERS", "65", "DIALBACK_WORKERS: 65 is not a number of workers from 1 to 64"),
        ("DIALBACK_DRAIN_DEADLINE", "x", "DIALBACK_DRAIN_DEADLINE: 'x' is not a number of seconds"),
        ("DIALBACK_PING", "x", "DIALBACK_PING: 'x' is not a number of seconds"),
        ("DIALBACK_PING", "nan", "DIALBACK_PING: expected a number >= 0.01"),
        ("DIALBACK_PING", "1e9", "DIALBACK_PING: expected a number <= 86400.0"),
        ("DIALBACK_DRAIN_DEADLINE", "nan", "DIALBACK_DRAIN_DEADLINE: nan is not a number"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        from_environment(GatewaySettings(), {name: value})


def test_addresses_read_back_as_written() -> None:
    for text in ("127.0.0.1:80", "[::1]:80", "localhost:0"):
        assert str(Address.parse(text)) == text
