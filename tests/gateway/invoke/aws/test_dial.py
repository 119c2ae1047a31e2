"""Connections of the invoke leg: names, TLS, and who hangs up before anything was sent."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
import trustme
from typing_extensions import override

from gateway.errors import InvokeNotSent
from gateway.invoke.aws import dial, http
from gateway.invoke.aws.http import HttpClient, Origin
from gateway.invoke.base import InvokeOutcomeUnknown
from gateway.tls.client import TlsClient
from tests.gateway.invoke.aws.talks import OK, ask, request, says, serving
from tests.settling import settle

if TYPE_CHECKING:
    from collections.abc import Iterator


async def test_a_name_is_asked_for_once_for_all_who_come_together() -> None:
    asked = []
    loop = asyncio.get_running_loop()

    class Counting(dial.Dialler):
        @override
        async def _look_up(self) -> None:
            asked.append(loop.time())
            await super()._look_up()

    async with serving(says(OK)) as url:
        port = int(url.rpartition(":")[2])
        origin = Origin("localhost", Counting("localhost", port, None))
        answers = await asyncio.gather(*(ask(origin) for _ in range(20)))
        origin.close()
    assert [answer.status for answer in answers] == [200] * 20
    assert len(asked) == 1


async def test_a_name_that_is_none_is_not_reached() -> None:
    unreached = pytest.raises(InvokeNotSent, match=r"nowhere\.invalid was not reached")
    with closing(HttpClient()) as client, unreached:
        await ask(client.origin("http://nowhere.invalid/"))


# ---------------------------------------------------------------- TLS


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The one that every client of this test trusts."""
    made, trust = trustme.CA(), ssl.create_default_context()
    made.configure_trust(trust)
    monkeypatch.setattr(ssl, "create_default_context", lambda: trust)
    return made


def proof(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_tls_is_spoken_with_who_proves_its_name(authority: trustme.CA) -> None:
    async with serving(says(OK), proof(authority, "localhost")) as url:
        with closing(HttpClient()) as client:
            origin = client.origin(url)
            for body in (b"", bytes(1 << 20)):
                assert (await ask(origin, body=body)).payload == b"{}"
            assert len(origin.idle) == 1


async def test_nothing_is_sent_to_who_proves_another_name(authority: trustme.CA) -> None:
    async with serving(says(OK), proof(authority, "other.example")) as url:
        unproven = pytest.raises(InvokeNotSent, match="CERTIFICATE_VERIFY_FAILED")
        with closing(HttpClient()) as client, unproven:
            await ask(client.origin(url))


async def test_nothing_is_sent_to_who_speaks_no_tls_or_hangs_up() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()

    for talk, why in ((greet, "WRONG_VERSION_NUMBER"), (hang_up, "TLS handshake|reset")):
        async with serving(talk) as url:
            unproven = pytest.raises(InvokeNotSent, match=why)
            with closing(HttpClient()) as client, unproven:
                await ask(client.origin(url.replace("http:", "https:")))


@pytest.mark.parametrize("clean", [True, False])
async def test_an_answer_up_to_the_end_of_tls_is_whole_if_tls_ended(
    authority: trustme.CA, *, clean: bool
) -> None:
    async def until_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nto the end")
        await writer.drain()
        if not clean:
            raw = writer.get_extra_info("socket")
            with socket.socket(fileno=os.dup(raw.fileno())) as same:
                same.shutdown(socket.SHUT_WR)

    async with serving(until_the_end, proof(authority, "localhost")) as url:
        with closing(HttpClient()) as client:
            if clean:
                assert (await ask(client.origin(url))).payload == b"to the end"
            else:
                with pytest.raises(InvokeOutcomeUnknown, match="without its end"):
                    await ask(client.origin(url))


async def test_a_lookup_that_fails_when_nobody_waits_any_more_is_no_bug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A resolver that is down takes longer to say so than a connection may take to be made."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    async def late(*_: object, **__: object) -> None:
        await told.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(loop, "getaddrinfo", late)
    monkeypatch.setattr(http, "CONNECT_SECONDS", 0.01)

    async def give_up() -> None:
        with closing(HttpClient()) as client:
            with pytest.raises(InvokeNotSent, match=r"not within 0\.01 s"):
                await ask(client.origin("http://localhost:1"))
            told.set()
            await settle()

    with bugs() as logged:
        await give_up()
    assert logged == []


async def test_nothing_is_sent_to_who_hangs_up_as_soon_as_hands_are_shaken(
    authority: trustme.CA,
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    tls = proof(authority, "localhost")
    tls.maximum_version = (
        ssl.TLSVersion.TLSv1_2
    )  # there the server's side is the last to say something
    async with serving(hang_up, tls) as url:
        unsent = pytest.raises(InvokeNotSent, match="hung up at once")
        with closing(HttpClient()) as client, unsent:
            await ask(client.origin(url))


async def test_a_handshake_that_is_given_up_is_no_bug(authority: trustme.CA) -> None:
    with bugs() as logged:
        protocol = TlsClient(asyncio.Protocol, ssl.create_default_context(), "localhost")
        protocol.connection_lost(None)
        del protocol
    assert logged == []


@contextmanager
def bugs() -> Iterator[list[str]]:
    """What the loop is told that nobody else was."""
    loop, logged = asyncio.get_running_loop(), list[str]()
    loop.set_exception_handler(lambda _, context: logged.append(context["message"]))
    try:
        yield logged
        gc.collect()
    finally:
        loop.set_exception_handler(None)
