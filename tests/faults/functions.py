"""Functions of the fault tests. They say where they are, and wait there, through files in a room.

A test names the room in the query, waits until the function is `at` a gate, lets its fault happen, and
opens the gate.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambda_client import request_body, streaming
from lambda_client.running import running_session
from protocol.function_stream import FunctionState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Event = dict[str, Any]

SEED = 20
PIECE = 10_007
"""Bytes written at a time: a prime, so that pieces and frames never agree."""

LOOK_SECONDS = 0.002

NOTED = 50
"""Pieces after which it is noted how much is written: half a megabyte."""


class Room:
    """What a function and its test know of each other: files in one directory."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def note(self, name: str, text: str = "") -> None:
        """Say something; whoever reads it reads all of it."""
        draft = self.path / f".{name}.{os.getpid()}"
        draft.write_text(text)
        draft.rename(self.path / name)

    def said(self, name: str) -> str | None:
        """What was noted under a name; None before."""
        try:
            return (self.path / name).read_text()
        except FileNotFoundError:
            return None

    def wait_at(self, gate: str) -> None:
        """Say that one is here, and once the gateway's ATTACHED is, and wait until the gate is opened."""
        self.note(f"at-{gate}")
        while self.said(f"open-{gate}") is None:
            if self.said(f"attached-{gate}") is None and is_attached():
                self.note(f"attached-{gate}")
            time.sleep(LOOK_SECONDS)


def is_attached() -> bool:
    """Tell whether the library has read the answer to its ATTACH.

    Until then it knows none of the gateway's timers. A write that meets a reset connection loses what
    came before the reset, so it is not enough that the answer has arrived.
    """
    session = running_session()
    return session is not None and session.stream.state is FunctionState.ATTACHED


class Ask:
    """What the query asks for."""

    def __init__(self, event: Event) -> None:
        self._query: dict[str, str] = event.get("queryStringParameters", {})
        self.room = Room(self._query["room"])
        self.total = int(self._query.get("total", 0))
        self.gates = [gate for gate in self._query.get("gates", "").split(",") if gate]
        self.seconds = float(self._query.get("seconds", 0))
        self.status = int(self._query.get("status", 200))
        self.headers = {
            "content-type": "application/octet-stream",
            **json.loads(self._query.get("headers", "{}")),
        }
        self.room.note("pid", str(os.getpid()))


def body_of(total: int) -> bytes:
    """So many bytes, always the same ones."""
    return random.Random(SEED).randbytes(total)


def digest_of(total: int) -> str:
    """Their SHA-256."""
    return hashlib.sha256(body_of(total)).hexdigest()


def pieces(body: bytes) -> Iterator[bytes]:
    return (body[start : start + PIECE] for start in range(0, len(body), PIECE))


@streaming
def stream(event: Event, context: object) -> Iterator[Event | bytes]:
    """`total` bytes; waits at each of `gates`: an offset, or ``end`` before it ends."""
    ask = Ask(event)
    body, sent = body_of(ask.total), 0
    try:
        yield {"statusCode": ask.status, "headers": ask.headers}
        for gate in ask.gates:
            upto = ask.total if gate == "end" else int(gate)
            yield from pieces(body[sent:upto])
            sent = upto
            ask.room.wait_at(gate)
        for number, piece in enumerate(pieces(body[sent:])):
            yield piece
            sent += len(piece)
            if number % NOTED == 0:
                ask.room.note("written", str(sent))
    finally:
        ask.room.note("over", str(sent))


@streaming
def silent(event: Event, context: object) -> Iterator[bytes]:
    """Gives no head before its gate opens."""
    ask = Ask(event)
    ask.room.wait_at("head")
    yield body_of(ask.total)


@streaming
async def busy(event: Event, context: object) -> AsyncIterator[bytes]:
    """Keeps its event loop, and the interpreter, busy in the middle."""
    ask = Ask(event)
    body = body_of(ask.total)
    yield body[:1000]
    until = time.monotonic() + ask.seconds
    while time.monotonic() < until:
        sum(range(1000))
    yield body[1000:]


@streaming
def deaf(event: Event, context: object) -> Iterator[bytes]:
    """Goes on although it is told to stop."""
    ask = Ask(event)
    try:
        yield b"begun"
        ask.room.wait_at("first")
        while True:
            yield b"more"
            time.sleep(LOOK_SECONDS)
    except BaseException as error:
        ask.room.note("told", type(error).__name__)
        ask.room.wait_at("deaf")
        raise


@streaming
async def polite(event: Event, context: object) -> AsyncIterator[bytes]:
    """Waits for what never comes, and cleans up when it is cancelled."""
    ask = Ask(event)
    try:
        yield b"begun"
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        ask.room.note("cancelled")
        raise
    finally:
        ask.room.note("over")


@streaming
def hash_upload(event: Event, context: object) -> Event:
    """What came, as its digest."""
    ask, digest, size = Ask(event), hashlib.sha256(), 0
    try:
        for chunk in request_body(event):
            digest.update(chunk)
            size += len(chunk)
            ask.room.note("size", str(size))
    except Exception as error:
        ask.room.note("raised", type(error).__name__)
        raise
    ask.room.note("whole")
    return {"statusCode": 200, "body": json.dumps([size, digest.hexdigest()])}


@streaming
def events(event: Event, context: object) -> Iterator[Event | str]:
    """Server-sent events, one at each gate."""
    ask = Ask(event)
    yield {"statusCode": 200, "headers": {"content-type": "text/event-stream"}}
    for gate in ask.gates:
        yield f"data: {gate}\n\n"
        ask.room.wait_at(gate)


def early(event: Event, context: Any) -> Event:
    """Returns while its stream is under way: a bug."""
    ask = Ask(event)
    threading.Thread(target=stream, args=(event, context), daemon=True).start()
    ask.room.wait_at("early")
    return {"statusCode": 200, "body": "early"}


def handler(event: Event, context: Any) -> Any:
    """Run the function that the path names: one pool of workers serves all of them."""
    return FUNCTIONS[event["rawPath"].strip("/")](event, context)


FUNCTIONS = {
    one.__name__: one for one in (stream, silent, busy, deaf, polite, hash_upload, events, early)
}
