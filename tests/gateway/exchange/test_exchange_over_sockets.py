"""Whole exchanges over real sockets, with the function's side driven frame by frame."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from gateway.exchange.timing import Timing
from gateway.invoke.base import InvokeOutcomeUnknown, InvokeResult
from gateway.tokens import Tokens
from protocol.errors import CancelCode, CloseCode, RejectCode, ResetCode
from protocol.frames import Cancel, Data, End, Head, Ping, Pong, Reject, Reset
from protocol.limits import INITIAL_WINDOW
from tests.gateway.exchange.peer import Behaviour, GatewayUnderTest, Peer, gateway, inline


async def get(url: str, method: str = "GET", **kwargs: Any) -> tuple[aiohttp.ClientResponse, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, **kwargs) as response,
    ):
        return response, await response.read()


async def fetch(behaviour: Behaviour, method: str = "GET", **kwargs: Any) -> tuple[int, bytes]:
    async with gateway(behaviour) as running:
        response, body = await get(running.url, method, **kwargs)
        return response.status, body


async def eventually(done: Any) -> None:
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0.005)


# ---------------------------------------------------------------- the clean ways


async def test_a_stream_arrives_chunk_by_chunk() -> None:
    go_on = asyncio.Event()

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"first")
        await go_on.wait()
        await peer.write(b"second")
        return await peer.end()

    async with gateway(function) as running, aiohttp.ClientSession() as session:
        async with session.get(running.url) as response:
            assert await response.content.readany() == b"first"
            assert running.states == ["streaming"]
            go_on.set()
            assert await response.read() == b"second"
        assert running.states == ["completed"]
        assert running.data_frames == 2
        assert len(running.store) == 0


async def test_a_body_of_many_windows_is_whole_and_flow_controlled() -> None:
    body = bytes(range(256)) * 4 * 1024 * 8

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(body)
        return await peer.end()

    status, got = await fetch(function)
    assert (status, got == body) == (200, True)


async def test_a_client_that_reads_nothing_stops_the_function() -> None:
    stopped = asyncio.Event()
    sent = 0

    async def function(peer: Peer) -> Any:
        nonlocal sent
        await peer.dial()
        await peer.start()
        piece = bytes(64 * 1024)
        while True:
            try:
                async with asyncio.timeout(1):
                    await peer.write(piece)
            except TimeoutError:
                sent = peer.stream.receipt().final
                stopped.set()
                raise InvokeOutcomeUnknown("the test is over") from None

    async with gateway(function) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(20):
            await stopped.wait()
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    kernel_buffers = 12 * 1024 * 1024  # send and receive buffers of loopback
    assert sent < kernel_buffers + 2 * INITIAL_WINDOW


async def test_an_inline_receipt_is_served_without_a_socket() -> None:
    async def function(peer: Peer) -> Any:
        return inline(peer, 203, b"small")

    async with gateway(function) as running:
        response, body = await get(running.url)
        assert (response.status, body) == (203, b"small")
        assert response.headers["content-length"] == "5"
        assert running.data_frames == 0


async def test_an_inline_receipt_beats_an_attach_without_a_head() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        return {"statusCode": 200, "body": "ordinary"}

    assert await fetch(function) == (200, b"ordinary")


async def test_a_connection_is_reused_by_the_next_exchange() -> None:
    first: Peer | None = None

    async def function(peer: Peer) -> Any:
        nonlocal first
        if first is None:
            first = peer
            await peer.dial()
        else:
            peer.socket, peer._connection = first.socket, first._connection
            await peer.attach()
        await peer.start()
        await peer.write(b"hello")
        receipt = await peer.end()
        peer._connection.release(peer.stream._sid, 0)
        await peer.park()
        return receipt

    async def keep_open(peer: Peer) -> Any:
        peer_close, peer.close = peer.close, _nothing  # type: ignore[method-assign]
        if first is not None:
            await peer_close()
        return await function(peer)

    async with gateway(keep_open) as running:
        for _ in range(3):
            assert (await get(running.url))[1] == b"hello"
        assert running.telemetry.attaches["accepted"] == 3
        assert first is not None
        await first.socket.close()
        await first._session.close()


async def _nothing() -> None: ...


async def test_a_cut_stream_goes_on_where_it_was() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"before ")
        await peer.attached()
        await peer.cut()
        await peer.dial()
        await peer.attached()
        await peer.write(b"and after")
        return await peer.end()

    assert await fetch(function) == (200, b"before and after")


async def test_a_tail_in_the_receipt_completes_a_cut_stream() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"before ")
        await peer.attached()
        await peer.cut()
        peer.stream.write(b"and the tail")
        peer.stream.end()
        return peer.receipt()

    assert await fetch(function) == (200, b"before and the tail")


async def test_an_upload_goes_to_the_function_with_its_end() -> None:
    body = bytes(range(256)) * 4096

    async def function(peer: Peer) -> Any:
        await peer.dial()
        got = bytearray()
        while not (peer.stream.upload_ended and len(got) == len(body)):
            await peer.receive()
            got += peer.stream.read()
            await peer.flush()
        await peer.start()
        await peer.write(str(got == body).encode())
        return await peer.end()

    assert await fetch(function, "POST", data=body) == (200, b"True")


# ---------------------------------------------------------------- bodies that are none


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_where_no_body_belongs_the_function_is_told_to_stop(method: str, status: int) -> None:
    cancelled: list[int] = []

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start(status, ((b"content-length", b"400"),))
        await peer.until(lambda: peer.stream.cancelled is not None)
        assert peer.stream.cancelled is not None
        cancelled.append(peer.stream.cancelled.code)
        peer.stream.reset(ResetCode.CANCELLED, "no body wanted")
        await peer.flush()
        return peer.receipt()

    async with gateway(function) as running:
        response, body = await get(running.url, method)
        assert (response.status, body) == (status, b"")
        await eventually(lambda: cancelled == [CancelCode.NO_BODY])
        assert running.states == ["completed"]


# ---------------------------------------------------------------- the visible failures


async def expect_broken(running: GatewayUnderTest) -> None:
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
        await get(running.url)
    await eventually(lambda: running.states == ["failed"])


async def test_a_cut_that_is_reported_lost_breaks_the_response() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"before ")
        await peer.attached()
        await peer.cut()
        return peer.receipt()

    async with gateway(function) as running:
        await expect_broken(running)


async def test_a_cut_that_nobody_reports_breaks_the_response_in_time() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.attached()
        await peer.cut()
        await asyncio.Event().wait()

    async with gateway(function, timing=Timing(resume_grace=0.1)) as running:
        await expect_broken(running)


@pytest.mark.parametrize(
    "end", [lambda p: End(p.stream._sid, 5, 1), lambda p: End(p.stream._sid, 4, 0)]
)
async def test_an_end_that_does_not_match_is_never_a_clean_end(end: Any) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"hello")
        await peer.attached()
        await peer.send(end(peer))
        await peer.closed()
        return peer.receipt()

    async with gateway(function) as running:
        await expect_broken(running)


async def test_a_function_that_returns_in_the_middle_breaks_the_response() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"hello")
        await peer.attached()
        return {"statusCode": 200, "body": "ordinary"}

    async with gateway(function) as running:
        await expect_broken(running)


async def test_a_function_error_after_the_head_breaks_the_response() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.attached()
        return InvokeResult(b'{"errorType": "Runtime.ExitError"}', "Unhandled", "r")

    async with gateway(function) as running:
        await expect_broken(running)


async def answer_of(behaviour: Behaviour, **kwargs: Any) -> tuple[int, str]:
    async with gateway(behaviour, **kwargs) as running:
        response, _ = await get(running.url)
        described = await response.json()
        assert [one.status for one in running.driver.exchanges()] == [response.status]
        assert described["exchange"] == response.headers["x-dialback-exchange"]
        return response.status, described["error"]


async def test_a_reset_before_the_head_is_a_502() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        peer.stream.reset(ResetCode.HANDLER_ERROR, "a secret of the function")
        await peer.flush()
        return peer.receipt()

    status, error = await answer_of(function)
    assert (status, "secret" in error) == (502, False)


async def test_a_deadline_before_the_head_is_a_504() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        peer.stream.reset(ResetCode.DEADLINE, "")
        await peer.flush()
        return peer.receipt()

    assert (await answer_of(function))[0] == 504


async def test_a_function_that_could_not_dial_says_so() -> None:
    async def function(peer: Peer) -> Any:
        return peer.receipt(dial="connection refused")

    status, error = await answer_of(function)
    assert (status, "dial back" in error) == (502, True)


async def test_a_function_that_neither_answers_nor_attaches_is_a_504() -> None:
    async def function(peer: Peer) -> Any:
        raise InvokeOutcomeUnknown("the network failed")

    assert (await answer_of(function, timing=Timing(attach_timeout=0.1)))[0] == 504


async def test_the_routes_timeout_is_a_504_and_reaches_the_function() -> None:
    codes: list[int] = []

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.until(lambda: peer.stream.cancelled is not None)
        assert peer.stream.cancelled is not None
        codes.append(peer.stream.cancelled.code)
        return peer.receipt()

    assert (await answer_of(function, timeout=0.3))[0] == 504
    assert codes == [CancelCode.TIMEOUT]


async def test_a_bad_head_is_a_502_that_never_reaches_the_client() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        await peer.send(Head(peer.stream._sid, 200, ((b"x", b"a\r\nset-cookie: b"),)))
        await peer.closed()
        return peer.receipt()

    assert (await answer_of(function))[0] == 502


# ---------------------------------------------------------------- the client leaves


async def test_a_client_that_leaves_cancels_the_function() -> None:
    codes: list[int] = []

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"hello")
        await peer.until(lambda: peer.stream.cancelled is not None)
        assert peer.stream.cancelled is not None
        codes.append(peer.stream.cancelled.code)
        peer.stream.reset(ResetCode.CANCELLED, "as told")
        await peer.flush()
        return peer.receipt()

    async with gateway(function) as running:
        async with aiohttp.ClientSession() as session, session.get(running.url) as response:
            await response.content.readany()
            response.close()
        await eventually(lambda: codes == [CancelCode.CLIENT_GONE])
        assert running.states == ["cancelled"]


async def test_a_client_that_left_before_the_attach_is_told_by_a_reject() -> None:
    dialled, left = asyncio.Event(), asyncio.Event()
    codes: list[int] = []

    async def function(peer: Peer) -> Any:
        await peer.dial(attach=False)
        dialled.set()
        await left.wait()
        await peer.attach()
        await peer.until(lambda: peer.stream.rejected is not None)
        assert peer.stream.rejected is not None
        codes.append(peer.stream.rejected.code)
        return peer.receipt()

    async with gateway(function) as running:
        request = asyncio.create_task(get(running.url))
        await dialled.wait()
        request.cancel()
        await eventually(lambda: running.states == ["cancelled"])
        left.set()
        await eventually(lambda: codes == [RejectCode.CANCELLED])


# ---------------------------------------------------------------- who may attach, and how


async def attach_answer(spoil: Any) -> tuple[Any, int | None]:
    """Let a peer send an ATTACH spoilt by the test; the REJECT or None, and the close code."""
    seen: list[Any] = []

    async def function(peer: Peer) -> Any:
        await peer.dial(attach=False)
        await spoil(peer)
        message = await peer.socket.receive(timeout=10)
        if message.type is aiohttp.WSMsgType.BINARY:
            from protocol.codec import decode

            seen.append((decode(message.data), None))
        else:
            seen.append((None, peer.socket.close_code))
        return {"statusCode": 200}

    assert (await fetch(function))[0] == 200
    return seen[0]  # type: ignore[no-any-return]


async def test_an_attach_for_another_exchange_is_refused() -> None:
    async def spoil(peer: Peer) -> None:
        frame = peer.stream.attach(1)
        await peer.send(type(frame)(**{**_fields(frame), "xid": bytes(16)}))

    frame, _ = await attach_answer(spoil)
    assert isinstance(frame, Reject)
    assert frame.code == RejectCode.UNKNOWN


@pytest.mark.parametrize("change", [{"token": "nonsense"}, {"inv": 2}])
async def test_an_attach_without_its_own_token_is_refused(change: dict[str, Any]) -> None:
    async def spoil(peer: Peer) -> None:
        frame = peer.stream.attach(1)
        await peer.send(type(frame)(**{**_fields(frame), **change}))

    frame, _ = await attach_answer(spoil)
    assert isinstance(frame, Reject)
    assert frame.code == RejectCode.BAD_TOKEN


def _fields(frame: Any) -> dict[str, Any]:
    return {name: getattr(frame, name) for name in frame.__dataclass_fields__}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("text", CloseCode.UNSUPPORTED_DATA),
        (b"\x80", CloseCode.PROTOCOL),
        (b"\x91\x1e", CloseCode.PROTOCOL),
        (Data(1, 0, b"x"), CloseCode.PROTOCOL),
        (Reset(1, 1, 0, ""), CloseCode.PROTOCOL),
        (Cancel(1, 1, ""), CloseCode.PROTOCOL),
        (bytes(70_000), CloseCode.MESSAGE_TOO_BIG),
    ],
    ids=["text", "no frame", "unknown type", "unbound data", "unbound reset", "wrong way", "huge"],
)
async def test_what_is_no_frame_of_a_function_closes_the_connection(
    message: Any, code: int
) -> None:
    async def spoil(peer: Peer) -> None:
        if isinstance(message, str):
            await peer.socket.send_str(message)
        elif isinstance(message, bytes):
            await peer.socket.send_bytes(message)
        else:
            await peer.send(message)

    assert await attach_answer(spoil) == (None, code)


async def test_a_ping_is_answered() -> None:
    async def spoil(peer: Peer) -> None:
        await peer.send(Ping(7))

    assert await attach_answer(spoil) == (Pong(7), None)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/attach", {}, 401),
        ("/v1/attach", {"authorization": "Bearer x"}, 401),
        ("/elsewhere", {}, 404),
    ],
)
async def test_strangers_are_refused_before_the_upgrade(
    path: str, headers: Any, status: int
) -> None:
    async def function(peer: Peer) -> Any:
        return None

    async with gateway(function) as running, aiohttp.ClientSession() as session:
        url = f"ws://127.0.0.1:{running.callback_port}{path}"
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(url, protocols=["dialback.v1"], headers=headers)
        assert caught.value.status == status


async def test_a_foreign_or_expired_token_is_a_401() -> None:
    async def function(peer: Peer) -> Any:
        return None

    tokens = Tokens([b"k" * 32])
    foreign = Tokens([b"o" * 32]).mint(bytes(16), 1, now=2e9, lifetime=60)
    expired = tokens.mint(bytes(16), 1, now=1e9, lifetime=60)
    async with gateway(function, tokens=tokens) as running, aiohttp.ClientSession() as session:
        for token in (foreign, expired):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(
                    f"ws://127.0.0.1:{running.callback_port}/v1/attach",
                    protocols=["dialback.v1"],
                    headers={"authorization": f"Bearer {token}"},
                )
            assert caught.value.status == 401


async def test_another_version_of_the_protocol_is_a_400_that_names_ours() -> None:
    async def function(peer: Peer) -> Any:
        return None

    async with gateway(function) as running, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{running.callback_port}/v1/attach"
        headers = {
            "connection": "upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-protocol": "dialback.v9",
        }
        async with session.get(url, headers=headers) as response:
            assert response.status == 400
            assert "dialback.v1" in (await response.json())["error"]
