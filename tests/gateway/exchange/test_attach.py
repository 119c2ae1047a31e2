"""Who may attach to an exchange, and what a connection may say."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from typing_extensions import override

from gateway.timing import Timing
from gateway.tokens import CLOCK_LEEWAY, Claims, Tokens
from protocol.codec import decode
from protocol.errors import CloseCode, RejectCode
from protocol.frames import Cancel, Data, Ping, Pong, Reject, Reset
from tests.gateway.exchange.asking import fetch, get
from tests.gateway.exchange.peer import Peer, gateway
from tests.patience import PATIENCE

# ---------------------------------------------------------------- who may attach, and how


async def attach_answer(spoil: Any) -> tuple[Any, int | None]:
    """Let a peer send an ATTACH spoilt by the test; the REJECT or None, and the close code."""
    seen: list[Any] = []

    async def function(peer: Peer) -> Any:
        await peer.dial(attach=False)
        await spoil(peer)
        message = await peer.socket.receive(timeout=PATIENCE)
        if message.type is aiohttp.WSMsgType.BINARY:
            seen.append((decode(message.data), None))
        else:
            seen.append((None, peer.socket.close_code))
        return {"statusCode": 200}

    assert (await fetch(function))[0] == 200
    return seen[0]  # type: ignore[no-any-return]


@pytest.mark.fault(67)
async def test_an_attach_for_another_exchange_is_refused() -> None:
    async def spoil(peer: Peer) -> None:
        frame = peer.stream.attach(1)
        await peer.send(type(frame)(**{**_fields(frame), "xid": bytes(16)}))

    frame, _ = await attach_answer(spoil)
    assert isinstance(frame, Reject)
    assert frame.code == RejectCode.UNKNOWN


@pytest.mark.fault(67)
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


@pytest.mark.fault(64)
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


# ---------------------------------------------------------------- time goes on


class LaterTokens(Tokens):
    """Verifies as if it were so many seconds later."""

    ahead = 0.0

    @override
    def verify(self, token: str, *, now: float) -> Claims:
        return super().verify(token, now=now + self.ahead)


@pytest.mark.fault(46, 47)
async def test_a_token_outlives_its_exchange_and_an_open_connection_outlives_its_token() -> None:
    tokens, timing = LaterTokens(), Timing()
    longest = 10.0 + 2 * timing.resume_grace  # the route's timeout, and what comes after it

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"before ")
        await peer.attached()
        tokens.ahead = longest + CLOCK_LEEWAY - 1
        await peer.cut()
        await peer.dial()
        await peer.attached()
        await peer.dial(attach=False)
        tokens.ahead += 3
        again = Peer(peer.invocation)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await again.dial()
        await again.close()
        assert caught.value.status == 401
        peer.stream.detach()
        await peer.attach()
        await peer.attached()
        await peer.write(b"and after")
        return await peer.end()

    async with gateway(function, tokens=tokens, timing=timing, timeout=10.0) as running:
        response, body = await get(running.url)
        assert (response.status, body) == (200, b"before and after")
        assert running.telemetry.attaches == {"accepted": 3, "unauthorized": 1}
