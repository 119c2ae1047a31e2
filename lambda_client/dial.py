"""Opening a connection: which address, how often, how long."""

from __future__ import annotations

import asyncio
import random
import ssl
from itertools import chain, repeat
from typing import TYPE_CHECKING

from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.uri import parse_uri

from lambda_client.connection import Connection
from protocol.limits import ATTACH_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.uri import WebSocketURI

    from protocol.envelope import Envelope
    from protocol.limits import Limits

ATTEMPT_SECONDS = 5.0
"""For one attempt: name, TCP, TLS and upgrade (protocol SPEC, attach and resume)."""

BACKOFF_FIRST, BACKOFF_MAX = 0.1, 5.0
"""Seconds between attempts, doubled each time; with full jitter, so that thousands of functions do
not come back in step."""

REFUSED_FOR_GOOD = frozenset({400, 401, 403, 404})
"""HTTP statuses of an upgrade that the same question will get again."""


class DialError(Exception):
    """No connection could be opened; the text says at which URL and why.

    Attributes:
        final: asking the same address again is of no use.
    """

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.final = final


async def dial(
    envelope: Envelope, limits: Limits, patience: float, wanted: Callable[[], bool]
) -> Connection | None:
    """Open a connection to one of the envelope's addresses, trying again with backoff.

    Args:
        envelope: addresses and token.
        limits: what messages may come before the gateway has said its own limits.
        patience: seconds after which no further attempt begins.
        wanted: asked before each attempt; False: return None.

    Raises:
        DialError: the last attempt's, once patience is over or every address refused for good.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    refused: set[str] = set()
    urls = address_order(envelope.urls)
    attempt = 0
    while wanted():
        url = next(url for url in urls if url not in refused)
        try:
            return await open_connection(url, envelope.token, limits, until)
        except DialError as error:
            refused |= {url} if error.final else set()
            pause = random.uniform(0, min(BACKOFF_MAX, BACKOFF_FIRST * 2**attempt))  # noqa: S311
            attempt += 1
            if len(refused) == len(set(envelope.urls)) or loop.time() + pause >= until:
                raise
            await asyncio.sleep(pause)
    return None


def address_order(urls: tuple[str, ...]) -> Iterator[str]:
    """Yield addresses without end: the direct one twice, then each of the others, and again."""
    while True:
        yield from chain(repeat(urls[0], 2), urls[1:])


async def open_connection(url: str, token: str, limits: Limits, until: float) -> Connection:
    """Open one connection.

    Raises:
        DialError: TCP, TLS or the upgrade failed, or took too long.
    """
    try:
        async with asyncio.timeout_at(
            min(asyncio.get_running_loop().time() + ATTEMPT_SECONDS, until)
        ):
            return await _open(parse_uri(url.rstrip("/") + ATTACH_PATH), token, limits)
    except Exception as error:  # whatever it was: user code waits to hear of it
        raise _dial_error(url, error) from error


async def _open(uri: WebSocketURI, token: str, limits: Limits) -> Connection:
    connection = Connection(uri, token, limits)
    tls = ssl.create_default_context() if uri.secure else None
    loop = asyncio.get_running_loop()
    try:
        await loop.create_connection(lambda: connection, uri.host, uri.port, ssl=tls)
        await connection.opened
    except BaseException:
        connection.abort()
        raise
    return connection


def _dial_error(url: str, error: Exception) -> DialError:
    status = error.response.status_code if isinstance(error, InvalidStatus) else None
    wrong = isinstance(
        error, InvalidURI | ValueError
    )  # a URL, name or certificate that is not valid
    final = status in REFUSED_FOR_GOOD or wrong
    why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
    if isinstance(error, InvalidStatus) and error.response.body:
        why += f": {bytes(error.response.body[:200]).decode(errors='replace')}"
    return DialError(f"could not dial back to {url}: {why}", final=final)
