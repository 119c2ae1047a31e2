"""TLS itself, on real sockets: who is let in, how much is kept, and how a connection ends."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

import pytest

from gateway.edge.response import WRITE_HIGH_WATER
from gateway.tls import connection, handshakes
from tests.certificates import authority, trusting
from tests.gateway.edge.serving import PLAIN, Client, answer, connect, edge, get, over_tls
from tests.gateway.exchange.asking import eventually
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.messages import EdgeRequest, ResponseSink


LINGER_RESET = struct.pack("ii", 1, 0)  # closing is a TCP reset (socket(7))


@pytest.fixture(autouse=True)
def tls() -> Iterator[None]:
    token = over_tls.set(True)
    yield
    over_tls.reset(token)


async def plainly(port: int, sent: bytes) -> bytes:
    """What a TCP client gets that sends these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(PATIENCE):
        received = await reader.read()
    writer.close()
    return received


# ---------------------------------------------------------------- who is let in


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_are_spoken(version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with edge(answer(b"yes")) as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port, ssl=context)
        writer.write(get())
        assert b"yes" in await reader.read()
        assert it.driver.requests[0].scheme == "https"
        writer.close()


async def test_what_is_older_than_1_2_is_refused() -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(old)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with edge(answer(b"no")) as it:
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            await asyncio.open_connection("127.0.0.1", it.port, ssl=old)


async def test_plain_http_is_told_to_speak_tls() -> None:
    async with edge(answer(b"no")) as it:
        head, _, body = (await plainly(it.port, get())).partition(b"\r\n\r\n")
        assert it.driver.requests == []
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"error": "this port speaks TLS: write https:// or wss://"}


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "a piece"])
async def test_a_handshake_that_is_not_finished_is_cut(
    sent: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dialback.tls")
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS", 0.1)
    async with edge(answer(b"no")) as it:
        assert await plainly(it.port, sent) == b""
    assert ("it took too long" in caplog.text) is bool(sent)  # health checks say nothing


async def test_noise_is_no_handshake(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "dialback.tls")
    async with edge(answer(b"no")) as it:
        received = await plainly(it.port, bytes(range(100, 200)))
        assert received == b"" or received[0] == 0x15  # an alert (RFC 8446 section 5.1)
    assert "edge listener: TLS handshake with 127.0.0.1 failed: " in caplog.text


async def test_a_client_that_does_not_trust_us_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "dialback.tls")
    distrusting = ssl.create_default_context()

    def connect_and_say_why() -> None:
        with socket.create_connection(("127.0.0.1", it.port), PATIENCE) as plain:
            distrusting.wrap_socket(plain, server_hostname="127.0.0.1")

    async with edge(answer(b"no")) as it:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(connect_and_say_why)
        await eventually(lambda: "with 127.0.0.1 failed: TLSV1_ALERT_UNKNOWN_CA" in caplog.text)
        with pytest.raises(ssl.SSLCertVerificationError):  # asyncio closes without an alert
            await asyncio.open_connection("127.0.0.1", it.port, ssl=distrusting)
        await eventually(lambda: "broke it off: it may not trust the certificate" in caplog.text)


async def test_who_breaks_off_before_it_is_accepted_leaves_no_handshake_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dialback.tls")
    monkeypatch.setattr(handshakes, "HANDSHAKES_MAX", 1)
    async with edge(answer(b"yes")) as it:
        # Nobody accepts meanwhile: this blocks the event loop of the edge.
        with socket.create_connection(("127.0.0.1", it.port)) as client:
            client.sendall(b"noise")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        await eventually(lambda: "failed: WRONG_VERSION_NUMBER" in caplog.text)
        assert b"yes" in await it.ask(get())
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


# ---------------------------------------------------------------- how much is kept


async def test_a_client_that_takes_nothing_costs_what_it_costs_without_tls() -> None:
    sinks: list[Any] = []

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sinks.append(sink)
        sink.begin(200, PLAIN, length=None)
        while not sink.blocked:
            sink.write([bytes(65_536)])
        await sink.drained()
        sink.end()

    async with edge(serve) as it:
        client = await asyncio.to_thread(connect, it.port)
        with client:
            await asyncio.to_thread(client.sendall, get())
            await eventually(lambda: bool(sinks) and sinks[0].blocked)
            assert 0 < sinks[0].pending < WRITE_HIGH_WATER + 2 * 65_536
            body = (await asyncio.to_thread(read_all, client)).partition(b"\r\n\r\n")[2]
    assert body.endswith(b"\r\n0\r\n\r\n")


async def test_an_upload_that_nobody_reads_stays_with_its_client() -> None:
    go_on = asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        await request.body.read_up_to(1)
        await go_on.wait()
        sizes = [len(chunk) async for chunk in request.body.chunks()]
        await answer(b"%d" % sum(sizes))(request, sink)

    total = 32 * 1024 * 1024
    async with edge(serve) as it:
        client = await asyncio.to_thread(connect, it.port)
        with client:
            await asyncio.to_thread(
                client.sendall, get("/", f"Content-Length: {total}", method="POST")
            )
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(client.sendall, bytes(total))


# ---------------------------------------------------------------- how a connection ends


def read_all(client: socket.socket) -> bytes:
    """Read to close_notify.

    Raises:
        OSError: there was none.
    """
    received = b""
    while piece := client.recv(65_536):
        received += piece
    return received


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "broken"])
async def test_only_a_whole_response_ends_with_close_notify(version: str, whole: bool) -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        sink.write([b"some of it"])
        if whole:
            sink.end()

    async with edge(serve) as it:
        with await asyncio.to_thread(connect, it.port) as client:
            await asyncio.to_thread(client.sendall, get(version=version))
            if whole:
                assert b"some of it" in await asyncio.to_thread(read_all, client)
            else:
                with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
                    await asyncio.to_thread(read_all, client)


@pytest.mark.parametrize("length", [None, 100], ids=["chunked", "sized"])
async def test_who_says_no_more_gets_no_close_notify_before_the_response_is_whole(
    length: int | None,
) -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=length)
        sink.write([b"some of it"])
        await asyncio.Event().wait()

    async with edge(serve) as it:
        with await asyncio.to_thread(connect, it.port) as client:
            await asyncio.to_thread(client.sendall, get())
            assert await asyncio.to_thread(client.recv, 1)
            socket.socket.shutdown(client, socket.SHUT_WR)
            with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
                await asyncio.to_thread(read_all, client)


async def test_a_client_that_ends_by_close_notify_alone_has_left() -> None:
    """Its TCP connection stays: an asyncio client waits for our own close_notify."""
    cancelled = asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        sink.write([b"x"])
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get())
        await client.head()
        client.writer.close()
        await asyncio.wait_for(cancelled.wait(), PATIENCE)


async def test_a_client_that_leaves_is_noticed_although_nobody_reads_from_it() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with edge(serve) as it:
        client = await asyncio.to_thread(connect, it.port)
        upload = get("/", f"Content-Length: {2**30}", method="POST") + bytes(2**20)
        await asyncio.to_thread(client.sendall, upload)
        await asyncio.wait_for(begun.wait(), PATIENCE)
        client.close()
        await asyncio.wait_for(cancelled.wait(), PATIENCE)
        await asyncio.wait_for(it.handler.idle(), PATIENCE)


async def test_a_damaged_record_ends_the_connection_and_reaches_nobody() -> None:
    begun = asyncio.Event()
    cancelled = asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        begun.set()
        try:
            await request.body.read_up_to(100)
        finally:
            cancelled.set()

    async with edge(serve) as it:
        plain = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", it.port))
        client = await asyncio.to_thread(
            lambda: trusting().wrap_socket(plain, server_hostname="127.0.0.1")
        )
        client.sendall(get("/", "Content-Length: 9", method="POST") + b"abc")
        await asyncio.wait_for(begun.wait(), PATIENCE)
        raw = socket.socket(fileno=client.detach())
        with raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            await asyncio.wait_for(cancelled.wait(), PATIENCE)
