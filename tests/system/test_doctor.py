"""`dialback doctor` beside a running gateway: real functions, real sockets, and ways that are broken."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from gateway.tokens import Tokens
from protocol.codec import encode
from protocol.frames import Attach
from tests.certificates import write_authority, write_certificate
from tests.faults.kinds import RESET, UP, Point
from tests.faults.proxy import running_proxy
from tests.system.running import COMMAND, REPOSITORY, free_port, running_dialback
from tests.system.test_aws_target import CREDENTIALS

if TYPE_CHECKING:
    from pathlib import Path

FUNCTIONS = """
from lambda_client import streaming

@streaming
def aware(event, context):
    raise AssertionError("user code runs")

def unaware(event, context):
    return {"statusCode": 204}

def asked(event, context):
    raise ValueError(event["rawPath"])

def raises(event, context):
    raise ValueError("no luck")
"""


class Site:
    """A file of settings, and the functions that it names."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "dialback.toml"
        self.port = free_port(followed_by=1)
        (directory / "key").write_text("k" * 40)
        (directory / "app.py").write_text(FUNCTIONS)

    def write(self, *routes: str, gateway: str = "", key: bool = True) -> Site:
        keys = 'token_keys = ["key"]' if key else ""
        text = f'[gateway]\ncallback = "127.0.0.1:{self.port}"\n{keys}\n{gateway}\n'
        self.file.write_text(text + "\n".join(f"[[routes]]\n{route}" for route in routes))
        return self

    def doctor(self, *flags: str, env: dict[str, str] | None = None) -> tuple[int, str]:
        """Run it; return the exit code, and what it says without the times."""
        done = subprocess.run(
            [COMMAND, "doctor", "--config", self.file, *flags],
            cwd=REPOSITORY,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        return done.returncode, re.sub(r" \(\d+ ms\)", "", done.stdout) + done.stderr


def local(name: str) -> str:
    return f'path = "/{name}"\ntarget = "app.py:{name}"\n'


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_all_is_well(site: Site) -> None:
    site.write(local("aware"), local("unaware"))
    with running_dialback("--config", site.file, command="serve", env=listen(site)):
        code, told = site.doctor("--idle", "0.2")
    assert code == 0, told
    legs = re.findall(r"^ +(ok|FAIL) +(\w+) +(.*)$", told, re.MULTILINE)
    assert legs == [
        ("ok", "function", "uses lambda_client"),
        ("ok", "dns", "127.0.0.1 is 127.0.0.1"),
        ("ok", "tcp", f"connected to 127.0.0.1 port {site.port}"),
        ("ok", "upgrade", "the gateway took the token"),
        ("ok", "attach", "the gateway answers"),
        ("ok", "idle", "still open after 0.2 s of silence"),
        (
            "ok",
            "function",
            "answers without lambda_client: it works, buffered; decorate it to stream",
        ),
    ]


def listen(site: Site) -> dict[str, str]:
    return {"DIALBACK_CALLBACK": f"127.0.0.1:{site.port}"}


def test_every_worker_of_several_is_dialled(site: Site) -> None:
    site.write(local("aware"), gateway="workers = 2")
    with running_dialback("--config", site.file, command="serve", env=listen(site)):
        code, told = site.doctor()
    assert code == 0, told
    assert re.findall(r"callback (\S+), as", told) == [
        f"ws://127.0.0.1:{site.port}",
        f"ws://127.0.0.1:{site.port + 1}",
    ]
    assert told.count("the gateway took the token") == 2


def test_a_gateway_that_is_not_there(site: Site) -> None:
    code, told = site.write(local("aware")).doctor()
    assert code == 1
    assert re.search(r"FAIL +tcp .*[Cc]onnect", told)
    assert "try: open the callback port to the function" in told
    assert "upgrade" not in told


@pytest.mark.parametrize(
    ("name", "why"), [("gateway.invalid", ""), ("a" * 64 + ".example", ".*label.* too long")]
)
def test_a_name_that_nobody_knows(site: Site, name: str, why: str) -> None:
    site.write(local("aware"), gateway=f'callback_url = "wss://{name}"')
    code, told = site.doctor()
    assert code == 1
    assert re.search(rf"FAIL +dns {why}", told)
    assert "try: callback_url must be a name that the function's network knows" in told


@pytest.mark.parametrize(
    ("names", "trust", "leg", "why", "hint"),
    [
        ((), "ca", "tls", "TLSv1.3, the certificate is good", None),
        ((), None, "tls", "unable to get local issuer certificate", "DIALBACK_CA_FILE"),
        ((), "gone", "tls", "DIALBACK_CA_FILE: .*gone: No such file", "put that file into"),
        ((), "key", "tls", "DIALBACK_CA_FILE: .*key holds no certificate", "put that file into"),
        (("other.example",), "ca", "tls", "mismatch.*127.0.0.1", "the name in callback_url"),
    ],
)
def test_certificates(
    site: Site,
    tmp_path: Path,
    names: tuple[str, ...],
    trust: str | None,
    leg: str,
    why: str,
    hint: str | None,
) -> None:
    write_certificate(tmp_path / "chain.pem", tmp_path / "key.pem", *names)
    write_authority(tmp_path / "ca")
    tls = 'callback_certificate = "chain.pem"\ncallback_key = "key.pem"'
    env = "" if trust is None else f'env = {{ DIALBACK_CA_FILE = "{tmp_path / trust}" }}\n'
    site.write(local("aware") + env, gateway=tls)
    with running_dialback("--config", site.file, command="serve", env=listen(site)):
        code, told = site.doctor()
    mark = "ok" if hint is None else "FAIL"
    assert re.search(rf"^ +{mark} +{leg} +.*{why}", told, re.MULTILINE), told
    assert code == (0 if hint is None else 1)
    if hint is not None:
        assert re.search(f"try: .*{hint}", told)


def test_a_callback_without_tls_that_is_dialled_with_it(site: Site) -> None:
    site.write(local("aware"), gateway=f'callback_url = "wss://127.0.0.1:{site.port}"')
    with running_dialback("--config", site.file, command="serve", env=listen(site)):
        code, told = site.doctor()
    assert code == 1
    assert re.search(r"FAIL +tls .*WRONG_VERSION_NUMBER", told)
    assert "try: that port speaks no TLS" in told


def test_a_callback_with_tls_that_is_dialled_without(site: Site, tmp_path: Path) -> None:
    write_certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
    tls = 'callback_certificate = "chain.pem"\ncallback_key = "key.pem"'
    site.write(local("aware"), gateway=f'{tls}\ncallback_url = "ws://127.0.0.1:{site.port}"')
    with running_dialback("--config", site.file, command="serve", env=listen(site)):
        code, told = site.doctor()
    assert code == 1
    assert re.search(r"FAIL +upgrade +HTTP 400: .*this port speaks TLS", told)
    assert "try: a 400 about TLS: write wss://" in told


def test_without_keys_in_the_settings_reaching_the_gateway_is_all_that_can_be_seen(
    site: Site,
) -> None:
    site.write(local("aware"), key=False)
    with running_dialback("--config", site.file, command="serve", env=listen(site)):
        code, told = site.doctor()
    assert code == 0, told
    assert re.search(r"ok +upgrade +reached the gateway; set gateway.token_keys", told)


def test_keys_that_are_not_the_gateways(site: Site, tmp_path: Path) -> None:
    site.write(local("aware"))
    (tmp_path / "other-key").write_text("o" * 40)
    with running_dialback("--config", site.file, command="serve", env=listen(site)):
        code, told = site.doctor(env={"DIALBACK_TOKEN_KEYS": str(tmp_path / "other-key")})
    assert code == 1
    assert re.search(r"FAIL +upgrade +HTTP 401", told)
    assert "need the same gateway.token_keys" in told


def test_something_between_that_cuts_quiet_connections(site: Site) -> None:
    with running_proxy(("127.0.0.1", site.port)) as proxy:
        site.write(local("aware"), gateway=f'callback_url = "ws://127.0.0.1:{proxy.port}"')
        proxy.plan()  # that TCP works
        proxy.plan(Point(UP, attach_size() + 1, RESET, upgraded=True))  # the second ATTACH
        with running_dialback("--config", site.file, command="serve", env=listen(site)):
            code, told = site.doctor("--idle", "0.1")
    assert code == 1
    assert re.search(r"ok +attach", told) and re.search(r"FAIL +idle", told)
    assert "raise its idle timeout" in told


def attach_size() -> int:
    """Bytes of an ATTACH on the wire, masked, as the probe sends it."""
    token = Tokens([b"k" * 40]).mint(bytes(16), 1, now=0, lifetime=1)
    frame = Attach(1, bytes(16), 1, 1, token, bytes(16), lo=0, hi=0, flags=0, req_recv=0, req_max=0)
    return len(encode(frame)) + 8  # RFC 6455 section 5.2: two bytes, two of length, four of mask


def test_a_function_that_fails(site: Site) -> None:
    code, told = site.write(local("raises")).doctor()
    assert code == 1
    assert re.search(r"FAIL +function +it failed: .*ValueError.*no luck", told)


def test_a_route_that_is_not_there(site: Site) -> None:
    code, told = site.write(local("aware"), local("unaware")).doctor("--route", "/other")
    assert (code, told) == (
        2,
        "dialback: --route /other: there is none; the file has /aware, /unaware\n",
    )


@pytest.mark.parametrize(
    ("flags", "path"),
    [
        ((), "/users/id/rest"),
        (("--route", "/users/{id}/{rest+}"), "/users/id/rest"),
        (("--route", "/users/42/orders/7"), "/users/42/orders/7"),
    ],
)
def test_a_template_is_asked_for_a_path_that_it_serves(
    site: Site, flags: tuple[str, ...], path: str
) -> None:
    _, told = site.write('path = "/users/{id}/{rest+}"\ntarget = "app.py:asked"\n').doctor(*flags)
    assert re.search(
        rf"^route /users/{{id}}/{{rest\+}} -> .*, asked for {path}$", told, re.MULTILINE
    )
    assert f'"errorMessage": "{path}"' in told


def test_functions_on_aws_permission_and_absence(site: Site, tmp_path: Path) -> None:
    with running_dialback(f"--route=/aware={tmp_path / 'app.py'}:aware") as region:
        there, gone = (
            f'path = "/{name}"\ntarget = "aws:{name}"\nendpoint = "{region.admin_url}"\n'
            for name in ("app-aware", "gone")
        )
        site.write(there, gone)
        with running_dialback(
            "--config", site.file, command="serve", env={**listen(site), **CREDENTIALS}
        ):
            code, told = site.doctor(env=CREDENTIALS)
            _, without = site.doctor(env={**CREDENTIALS, "AWS_ACCESS_KEY_ID": ""})
    assert code == 1
    assert re.search(r"ok +permission +may be invoked \(dry run\)", told)
    assert re.search(r"ok +attach", told)
    assert re.search(r"FAIL +permission +gone: 404 ResourceNotFoundException", told)
    assert re.search(r"FAIL +credentials +no AWS credentials", without)
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in told
