"""No secret, no query value and no body in what either side logs, tells operators, or answers in an error.

Every kind of ending happens to a gateway that logs all it can, with functions that do the same; each
secret carries a mark, and what was written is searched for the marks.
"""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from gateway.tokens import Tokens
from tests.certificates import trusting, write_authority, write_certificate
from tests.patience import PATIENCE
from tests.system.running import (
    REPOSITORY,
    Dialback,
    eventually,
    free_port,
    running_dialback,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "token-key-mark-0123456789-0123456789"
TOKEN = Tokens([KEY.encode()]).mint(bytes(16), 1, now=2e9, lifetime=1)[:6]
"""Every token of this key begins so: version and key id (gateway/tokens.py)."""

MARKS = {
    "token key": KEY[:14],
    "token": TOKEN,
    "private key": "PRIVATE KEY",
    "authorization": "authorization-mark",
    "cookie": "cookie-mark",
    "other header": "api-key-mark",
    "query": "query-mark",
    "request body": "request-body-mark",
    "response body": "response-body-mark",
    "response header": "response-header-mark",
    "required header": "from-cdn-mark-012345",
    "AWS secret": "aws-secret-mark",
    "AWS session": "aws-session-mark",
}
AWARE = ("streams", "reads", "raises_before", "raises_after", "slow", "bad_head")
HANDLERS = (*AWARE, "unaware", "nonsense", "exits")
SECRETS = {
    "Authorization": "Bearer authorization-mark",
    "Cookie": "session=cookie-mark",
    "X-Api-Key": "api-key-mark",
}
OPENS = {"X-From-Cdn": "from-cdn-mark-012345"}
QUERY = "?secret=query-mark"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "aws-secret-mark",
    "AWS_SESSION_TOKEN": "aws-session-mark",
    "AWS_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "DIALBACK_LOG_LEVEL": "debug",
}


@dataclass(frozen=True)
class Told:
    """A gateway, and everything that it answered in errors."""

    dialback: Dialback
    errors: list[str]

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> int:
        port = int(self.dialback.url.rpartition(":")[2])
        client = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=PATIENCE, context=trusting()
        )
        client.request(method, path + QUERY, body, {**SECRETS, **(headers or {})})
        response = client.getresponse()
        try:
            answer = response.read()
        except (http.client.IncompleteRead, OSError):
            answer = b""
        if response.status >= 400:
            self.errors.append(answer.decode())
        client.close()
        return response.status

    def say(self, port: int, data: bytes) -> bytes:
        """Send bytes over TLS; what comes back."""
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
            trusting().wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            client.sendall(data)
            received = b""
            try:
                while piece := client.recv(65_536):
                    received += piece
            except OSError:
                pass
        self.errors.append(received.decode(errors="replace"))
        return received


@pytest.fixture(scope="module", params=["json", "text"])
def told(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Told]:
    directory = tmp_path_factory.mktemp("secrets")
    functions = REPOSITORY / "tests/system/functions/secretive.py"
    write_certificate(directory / "chain.pem", directory / "key.pem")
    (directory / "token-key").write_text(KEY)
    (directory / "cdn").write_text("from-cdn-mark-012345")
    ca = write_authority(directory / "ca.pem")
    dead = f"http://127.0.0.1:{free_port()}"
    routes = [
        f'path = "/{name}"\ntarget = "{functions}:{name}"\ntimeout = {12 if name == "slow" else 30}\n'
        f'request_body = "{"stream" if name == "reads" else "spill"}"\nenv = {{ DIALBACK_CA_FILE = "{ca}" }}\n'
        for name in HANDLERS
    ]
    routes += [
        f'path = "/alone"\ntarget = "{functions}:streams"\n',  # does not trust the certificate
        f'path = "/locked"\ntarget = "{functions}:unaware"\nmethods = ["GET"]\n'
        'require_header = { name = "x-from-cdn", secret_file = "cdn" }\n',
        f'path = "/aws"\ntarget = "aws:orders"\nendpoint = "{dead}"\n',
        f'path = "/url"\ntarget = "function_url:{dead}"\nauth = "iam"\n',
    ]
    file = directory / "dialback.toml"
    file.write_text(
        '[gateway]\ntoken_keys = ["token-key"]\n'
        + "".join(
            f'{name}_certificate = "chain.pem"\n{name}_key = "key.pem"\n'
            for name in ("edge", "callback")
        )
        + "".join(f"[[routes]]\n{route}" for route in routes)
    )
    env = {
        **ENVIRONMENT,
        "DIALBACK_LOG_FORMAT": request.param,
    }
    with running_dialback("--config", file, command="serve", env=env) as dialback:
        yield Told(dialback, [])


ENDINGS = {
    "/streams": 200,
    "/reads": 200,
    "/unaware": 200,
    "/alone": 200,
    "/raises_before": 502,
    "/raises_after": 200,
    "/nonsense": 502,
    "/exits": 502,
    "/bad_head": 502,
    "/locked": 403,
    "/missing": 404,
    "/aws": 503,
    "/url": 503,
}


UNREAD = {"/locked", "/missing"}
"""Answered without a look at the body, for whose end the gateway waits a second: it must leave in one piece, or a
client that is held up for as long finds the connection closed while it sends."""


def test_no_mark_is_in_logs_errors_or_what_operators_see(told: Told) -> None:
    for path, status in ENDINGS.items():
        body = b"request-body-mark" * (1 if path in UNREAD else 10_000)
        assert told.ask(path, "GET" if path == "/locked" else "POST", body) == status, path
    assert told.ask("/locked", headers=OPENS) == 200
    assert told.ask("/locked", "DELETE", headers=OPENS) in (403, 405)
    assert told.ask("/unaware", headers={"X-Long": "api-key-mark" * 2_000}) == 431
    assert told.ask("/unaware", headers={"Upgrade": "websocket", "Connection": "upgrade"}) == 501
    break_the_rules_of_http(told)
    leave(told)
    knock(told)
    written = look(told)
    found = {name for name, mark in MARKS.items() if mark in written}
    assert found == set(), [
        line for line in written.splitlines() if any(mark in line for mark in MARKS.values())
    ][:5]


def break_the_rules_of_http(told: Told) -> None:
    secrets = "".join(f"{name}: {value}\r\n" for name, value in SECRETS.items())
    edge = int(told.dialback.url.rpartition(":")[2])
    for port in (edge, told.dialback.callback_port):
        for request in (
            f"GET /{QUERY} HTTP/1.1\r\nHost: x\r\n{secrets}broken\r\n\r\n",
            f"GET /{QUERY} HTTP/1.1\r\nHost: x\r\n{secrets}Authorization : cookie-mark\0\r\n\r\n",
            f"GET /{QUERY} HTTP/9.9\r\nHost: x\r\n{secrets}\r\n",
            f"authorization-mark query-mark\r\n{secrets}\r\n",
            f"GET /{QUERY}{'query-mark' * 2000} HTTP/1.1\r\nHost: x\r\n{secrets}\r\n",
            f"POST /reads{QUERY} HTTP/1.1\r\nHost: x\r\n{secrets}Transfer-Encoding: chunked\r\n\r\n"
            "request-body-mark\r\n",
        ):
            assert told.say(port, request.encode()).startswith(b"HTTP/1."), request


def leave(told: Told) -> None:
    """Be a client that goes away in the middle."""
    edge = int(told.dialback.url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", edge), PATIENCE) as plain,
        trusting().wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(
            f"GET /slow{QUERY} HTTP/1.1\r\nHost: x\r\nCookie: cookie-mark\r\n\r\n".encode()
        )
        assert client.recv(100)
    eventually(
        lambda: told.dialback.metric("dialback_exchanges_total", route="/slow", outcome="cancelled")
    )


def knock(told: Told) -> None:
    """Be a function with a token that is no good: foreign, malformed, or of a past exchange."""
    good = Tokens([KEY.encode()]).mint(bytes(16), 1, now=2e9, lifetime=1)
    for token in ("authorization-mark", good[:-4] + "AAAA", "authorization-mark\u00e9"):
        told.say(
            told.dialback.callback_port,
            "GET /v1/attach?x=query-mark HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Sec-WebSocket-Protocol: dialback.v1\r\nAuthorization: Bearer {token}\r\n\r\n".encode(),
        )
    assert "401" in told.errors[-1]


def look(told: Told) -> str:
    """Everything that was written anywhere."""
    dialback = told.dialback
    admin = []
    for path in ("/metrics", "/exchanges", "/healthz", "/readyz", "/nothing"):
        asked = Request(dialback.admin_url + path + QUERY, headers=SECRETS)
        try:
            with urlopen(asked, timeout=PATIENCE) as answer:
                admin.append(answer.read().decode())
        except HTTPError as error:
            admin.append(error.read().decode())
    assert json.loads(admin[1])
    return "\n".join([dialback.stdout, dialback.stderr, *told.errors, *admin])


def test_the_marks_would_be_found(told: Told) -> None:
    """What is searched is what was written: every side has spoken, and tells the exchange."""
    told.ask("/raises_before")
    for word in (
        "RuntimeError: on purpose",  # the function's own log, which comes when it comes
        "[DEBUG]",  # the runtime's form: whatever is said in the function is written
        "/raises_before",
    ):
        eventually(lambda: word in told.dialback.stdout + told.dialback.stderr)  # noqa: B023
    assert "/raises_before" in look(told)
    token = Tokens([KEY.encode()]).mint(bytes(range(16)), 7, now=1e9, lifetime=9)
    assert token.startswith(TOKEN)
