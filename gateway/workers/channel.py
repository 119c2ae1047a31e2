"""What the supervisor and a worker say to each other, over a socket pair that nobody else can reach.

Every message is its length in four bytes and JSON. The end of the stream is a message, too: whoever is
left alone stops. The first thing a worker gets is its assignment (`gateway.workers.assignment`).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MESSAGE_MAX = 256 * 1024 * 1024
"""Bytes; a million exchanges would fit. A larger number is no length."""

LENGTH_BYTES = 4

What = Literal["ready", "metrics", "exchanges"]


class Stop(msgspec.Struct, tag=True):
    """To a worker: take nothing new and finish, or (`at_once`) break off what is left; said twice, it is once."""

    at_once: bool


class Question(msgspec.Struct, tag=True):
    """To a worker: what operators want to know; `number` comes back with the answer."""

    number: int
    what: What


class Listening(msgspec.Struct, tag=True):
    """From a worker: it serves."""


class Refused(msgspec.Struct, tag=True):
    """From a worker: it cannot work with these settings, and ends."""

    reason: str


class Answer(msgspec.Struct, tag=True):
    """From a worker: the answer to one question."""

    number: int
    value: Any


Message = Stop | Question | Listening | Refused | Answer

_decoder = msgspec.json.Decoder(Message)


def pack(message: Message) -> bytes:
    """Return a message as it travels."""
    body = msgspec.json.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


async def messages(reader: asyncio.StreamReader) -> AsyncIterator[Message]:
    """Yield what comes, until the other side is gone.

    Raises:
        ValueError: it is no message.
    """
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
            if size > MESSAGE_MAX:
                raise ValueError(f"a message of {size} bytes")
            try:
                yield _decoder.decode(await reader.readexactly(size))
            except msgspec.DecodeError as error:
                raise ValueError(f"no message: {error}") from error
