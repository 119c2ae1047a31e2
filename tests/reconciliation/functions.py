"""What functions do, each for the requests of one kind, and how it is entered in the books."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from typing import TYPE_CHECKING, Any

from gateway.errors import FunctionUnreachable, InvokeNotSent, Throttled
from gateway.invoke.base import InvokeOutcomeUnknown, InvokeResult
from protocol.errors import CancelCode, ResetCode
from protocol.frames import Attached, Data, Frame
from tests.gateway.exchange.peer import inline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.exchange.peer import Behaviour, Peer
    from tests.reconciliation.books import Books

    Act = Callable[[Peer, Books], Awaitable[Any]]

IGNORES_SECONDS = 0.3
FAILURES = (Throttled, InvokeNotSent, FunctionUnreachable)
ERRORS = {"Sandbox.Timedout": "timed_out", "ValueError": "function_failed"}


def function_of(acts: dict[str, Act], books: Books) -> Behaviour:
    """Return a function that does what the path of its request names, and books it."""

    async def function(peer: Peer) -> Any:
        path = peer.event["rawPath"]
        books.called.add(path)
        _count_frames(peer, books)
        try:
            value = await acts[path.split("/")[2]](peer, books)
        except FAILURES as error:
            books.results[error.reason] += 1
            raise
        except InvokeOutcomeUnknown:
            books.results["unknown"] += 1
            raise
        finally:
            attaches = sum(isinstance(frame, Attached) for frame in peer.received)
            books.attached += bool(attaches)
            books.resumed += max(attaches - 1, 0)
            if peer.stream.cancelled is not None:
                books.cancels[CancelCode(peer.stream.cancelled.code)] += 1
        books.results[_result(value)] += 1
        return value

    return function


def _count_frames(peer: Peer, books: Books) -> None:
    send = peer.send

    async def counted(frame: Frame) -> None:
        if isinstance(frame, Data):
            books.frames += 1
            books.sent += len(frame.data)
        await send(frame)

    peer.send = counted  # type: ignore[method-assign]


def _result(value: Any) -> str:
    if isinstance(value, InvokeResult):
        return next(result for kind, result in ERRORS.items() if kind in str(value.payload))
    return "receipt" if "dialback" in value else "answer"


def some(most: int = 3000) -> bytes:
    return bytes(random.randrange(1, most))


async def begun(peer: Peer, books: Books) -> None:
    """Have the client see a head and some bytes."""
    await peer.dial()
    await peer.start()
    await peer.write(some())
    await peer.attached()
    await books.signs[peer.event["rawPath"]].wait()


async def until_cancelled(peer: Peer) -> Any:
    await peer.until(lambda: peer.stream.cancelled is not None)
    peer.stream.reset(ResetCode.CANCELLED, "as told")
    await peer.flush()
    return peer.receipt()


# ---------------------------------------------------------------- that end well


async def streamed(peer: Peer, books: Books) -> Any:
    await peer.dial()
    await peer.start()
    for _ in range(random.randrange(1, 4)):
        await peer.write(some())
        await asyncio.sleep(0)
    return await peer.end()


async def inlined(peer: Peer, books: Books) -> Any:
    body = some()
    books.sent += len(body)
    books.taken += len(base64.b64decode(peer.event.get("body", "")))
    return inline(peer, 200, body)


async def answered(peer: Peer, books: Books) -> Any:
    body = some().decode()
    books.sent += len(body)
    return {"statusCode": 200, "body": body}


async def resumed(peer: Peer, books: Books) -> Any:
    await begun(peer, books)
    for _ in range(random.randrange(1, 4)):
        await peer.cut()
        await peer.dial()
        await peer.attached()
    await peer.write(some())
    return await peer.end()


async def tailed(peer: Peer, books: Books) -> Any:
    await begun(peer, books)
    await peer.cut()
    rest = some()
    books.sent += len(rest)
    peer.stream.write(rest)
    peer.stream.end()
    return peer.receipt()


async def uploaded(peer: Peer, books: Books) -> Any:
    await peer.dial()
    got = bytearray()
    while not (peer.stream.upload_ended and not peer.stream.upload_waiting):
        await peer.receive()
        got += b"".join(peer.stream.read())
        await peer.flush()
    books.taken += len(got)
    await peer.start()
    await peer.write(b"thanks")
    return await peer.end()


async def headed(peer: Peer, books: Books) -> Any:
    await peer.dial()
    await peer.start()
    return await until_cancelled(peer)


async def hiccuped(peer: Peer, books: Books) -> Any:
    sign = books.signs[peer.event["rawPath"]]
    if not sign.is_set():
        sign.set()
        raise InvokeNotSent("refused, once")
    return await inlined(peer, books)


# ---------------------------------------------------------------- that do not


async def crashed(peer: Peer, books: Books) -> Any:
    return InvokeResult(b'{"errorType": "ValueError"}', "Unhandled", "r")


async def timed_out(peer: Peer, books: Books) -> Any:
    return InvokeResult(b'{"errorType": "Sandbox.Timedout"}', "Unhandled", "r")


async def throttled(peer: Peer, books: Books) -> Any:
    raise Throttled("429")


async def unreachable(peer: Peer, books: Books) -> Any:
    raise FunctionUnreachable("no such function")


async def broken(peer: Peer, books: Books) -> Any:
    await begun(peer, books)
    peer.stream.reset(ResetCode.HANDLER_ERROR, "it raised")
    await peer.flush()
    return peer.receipt()


async def lost(peer: Peer, books: Books) -> Any:
    await begun(peer, books)
    await peer.cut()
    raise InvokeOutcomeUnknown("the network is gone")


async def vanished(peer: Peer, books: Books) -> Any:
    raise InvokeOutcomeUnknown("the network is gone")


async def left(peer: Peer, books: Books) -> Any:
    """Its client leaves in the middle."""
    await begun(peer, books)
    return await until_cancelled(peer)


async def waiting(peer: Peer, books: Books) -> Any:
    """It says nothing until it is told to stop."""
    await peer.dial()
    await peer.attached()
    books.signs[peer.event["rawPath"]].set()
    return await until_cancelled(peer)


async def stubborn(peer: Peer, books: Books) -> Any:
    """It goes on for a while after it was told."""
    await begun(peer, books)
    receipt = await until_cancelled(peer)
    told = time.monotonic()
    await asyncio.sleep(IGNORES_SECONDS)
    books.ignored += time.monotonic() - told
    return receipt


async def occupied(peer: Peer, books: Books) -> Any:
    """It answers once all the others have been refused."""
    await books.signs["others"].wait()
    return await answered(peer, books)
