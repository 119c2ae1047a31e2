"""Certificates and token keys: read from files, and again when they change."""

from __future__ import annotations

import asyncio
import os
import resource
import ssl
import time
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from typing_extensions import override

from gateway.config import GatewaySettings, from_environment
from gateway.config_checks import check
from gateway.credentials import Credentials, read_credentials
from gateway.crowds import Crowd
from gateway.errors import ConfigError
from gateway.tokens import TokenError, Tokens
from gateway.watched_files import WatchedFiles
from tests.certificates import trusting, write_certificate

OLD, NEW = "o" * 40, "n" * 40


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    chain, key, token_key = (tmp_path / name for name in ("chain.pem", "key.pem", "token-key"))
    write_certificate(chain, key)
    token_key.write_text(OLD)
    return GatewaySettings(edge_certificate=chain, edge_key=key, token_keys=(token_key,))


def key_file(settings: GatewaySettings) -> Path:
    file = settings.token_keys[0]
    assert isinstance(file, Path)
    return file


class Echo(asyncio.Protocol):
    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def look(credentials: Credentials) -> None:
    for files in credentials.files:
        await files.look()


def serial(writer: asyncio.StreamWriter) -> str:
    found: str = writer.get_extra_info("peercert")["serialNumber"]
    return found


async def test_a_new_certificate_is_shown_to_new_connections_and_disturbs_no_open_one(
    settings: GatewaySettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    credentials = read_credentials(settings)
    loop = asyncio.get_running_loop()
    assert settings.edge_certificate is not None and settings.edge_key is not None
    listener = await loop.create_server(
        credentials.secured("edge", Echo, Crowd("edge", 10)), "127.0.0.1", 0
    )
    port = listener.sockets[0].getsockname()[1]
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
        await look(credentials)
        assert caplog.text == ""

        write_certificate(settings.edge_certificate, settings.edge_key)
        await look(credentials)
        assert "certificate of the edge listener: changed, and read again" in caplog.text
        _, second = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
        assert serial(second) != serial(writer)

        settings.edge_key.write_text("no key")
        await look(credentials)
        await look(credentials)  # what was told is not told again
        assert caplog.text.count("the old one stays in use") == 1
        _, third = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
        assert serial(third) == serial(second)

        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        for one in (writer, second, third):
            one.transport.abort()
    finally:
        listener.close()
    await asyncio.sleep(0)


def test_a_listener_without_a_certificate_stays_as_it_is(settings: GatewaySettings) -> None:
    assert read_credentials(settings).secured("callback", Echo, Crowd("callback", 1)) is Echo


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("other key", "the key is not that of the certificate"),
        ("no pem", "no certificate and key in PEM; the certificate comes first"),
        ("encrypted", "the key is encrypted; write it without a pass phrase"),
        ("unreadable", "Is a directory"),
    ],
)
def test_a_certificate_that_is_of_no_use_is_one_line(
    settings: GatewaySettings, tmp_path: Path, content: str, problem: str
) -> None:
    key = tmp_path / "wrong.pem"
    match content:
        case "other key":
            trustme.CA().issue_cert("x").private_key_pem.write_to_path(key)
        case "no pem":
            key.write_text("secret")
        case "encrypted":
            assert settings.edge_key is not None
            private = load_pem_private_key(settings.edge_key.read_bytes(), None)
            shut = BestAvailableEncryption(b"pass phrase")
            key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, shut))
        case _:
            key.mkdir()
    with pytest.raises(ConfigError) as caught:
        read_credentials(replace(settings, edge_key=key))
    assert str(caught.value).startswith("gateway.edge_certificate: ")
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_key_may_be_in_the_certificates_file_but_not_alone(settings: GatewaySettings) -> None:
    assert settings.edge_certificate is not None and settings.edge_key is not None
    with settings.edge_certificate.open("ab") as file:
        file.write(settings.edge_key.read_bytes())
    context = read_credentials(replace(settings, edge_key=None)).certificates["edge"].value
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    with pytest.raises(ConfigError, match=r"edge_key: without gateway\.edge_certificate"):
        read_credentials(replace(settings, edge_certificate=None))


async def test_a_new_token_key_signs_and_what_the_old_one_signed_stays_good(
    settings: GatewaySettings, caplog: pytest.LogCaptureFixture
) -> None:
    credentials = read_credentials(settings)
    tokens, now = credentials.tokens, time.time()
    token = tokens.mint(bytes(16), 1, now=now, lifetime=60)
    key_file(settings).write_text(NEW)
    await look(credentials)
    assert tokens.verify(token, now=now).inv == 1
    fresh = tokens.mint(bytes(16), 2, now=now, lifetime=60)
    with pytest.raises(TokenError, match="unknown key"):
        Tokens([OLD.encode()]).verify(fresh, now=now)

    key_file(settings).write_text("short1234")
    await look(credentials)
    assert "token keys: the old one stays in use: gateway.token_keys: " in caplog.text
    assert "short1234" not in caplog.text
    assert tokens.verify(fresh, now=now).inv == 2


async def test_what_could_not_be_read_is_tried_again_though_the_files_stay_as_they_are(
    settings: GatewaySettings, caplog: pytest.LogCaptureFixture
) -> None:
    credentials = read_credentials(settings)
    key_file(settings).write_text(NEW)
    await look(credentials)  # its thread is there before descriptors are short
    key_file(settings).write_text(OLD + OLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        await look(credentials)
        await look(credentials)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caplog.text.count("Too many open files") == 1
    await look(credentials)
    now = time.time()
    token = credentials.tokens.mint(bytes(16), 1, now=now, lifetime=60)
    assert Tokens([(OLD + OLD).encode()]).verify(token, now=now).inv == 1


async def test_what_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")

    def read() -> str:
        content = file.read_text()
        file.write_text("what came meanwhile")
        return content

    watched = WatchedFiles("a file", [file], read)
    told: list[str] = []
    watched.on_change = told.append
    assert watched.value == "old"
    await watched.look()
    assert watched.value == "what came meanwhile"
    assert told == [watched.value]


def test_a_token_key_may_be_in_a_variable(
    settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = ["env:DIALBACK_SECRET_KEY", str(settings.token_keys[0])]
    settings = replace(settings, token_keys=check("token_keys", named, Path()))
    with pytest.raises(
        ConfigError, match=r"token_keys: env:DIALBACK_SECRET_KEY: no such variable; "
    ):
        read_credentials(settings)
    monkeypatch.setenv("DIALBACK_SECRET_KEY", NEW)
    now = time.time()
    token = Tokens([NEW.encode()]).mint(bytes(16), 1, now=now, lifetime=60)
    assert read_credentials(settings).tokens.verify(token, now=now).inv == 1
    assert from_environment(settings, os.environ) == settings  # which is no setting of its own
    monkeypatch.setenv("DIALBACK_SECRET_KEY", "short1234")
    with pytest.raises(ConfigError, match="32 bytes") as caught:
        read_credentials(settings)
    assert "short1234" not in str(caught.value)


def test_a_key_that_cannot_be_read_is_named_once(settings: GatewaySettings) -> None:
    file = key_file(settings)
    file.unlink()
    file.mkdir()
    with pytest.raises(ConfigError) as told:
        read_credentials(settings)
    assert str(told.value) == f"gateway.token_keys: {file}: cannot be read (Is a directory)"
