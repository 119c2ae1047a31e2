"""Opening one connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.uri import parse_uri

from lambda_client.connection import Connection
from lambda_client.trust import client_context
from protocol.limits import ATTACH_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.limits import Limits

REFUSED_FOR_GOOD = frozenset({301, 302, 303, 307, 308, 400, 401, 403, 404})
"""HTTP statuses of an upgrade that the same question will get again. Redirects are not followed: the token is
for nobody but whom the envelope names, and might go on without TLS."""


class DialError(Exception):
    """No connection could be opened; the text says at which URL and why.

    Attributes:
        final: asking the same address again is of no use.
        retry_after: seconds that the gateway asked to wait; 0 when it did not.
    """

    def __init__(self, url: str, why: str, *, final: bool = False, retry_after: float = 0) -> None:
        super().__init__(f"could not dial back to {url}: {why}")
        self.final = final
        self.retry_after = retry_after


class Dial:
    """One attempt under way. What becomes of it may concern somebody else by then.

    Attributes:
        url: where to.
        tell: who hears of its end.
    """

    def __init__(self, url: str, token: str, limits: Limits, seconds: float) -> None:
        """Begin, on the I/O thread.

        Args:
            url: a callback URL; the attach path is appended.
            token: shown to the gateway.
            limits: what messages may come before the gateway has said its own.
            seconds: how long it may take.
        """
        self.url = url
        self.tell: Callable[[Connection | DialError], None] = _discard
        opening = _open(url, token, limits, seconds)
        self._task = asyncio.get_running_loop().create_task(opening)
        self._task.add_done_callback(self._on_done)

    def drop(self) -> None:
        """Nobody needs it any more."""
        self.tell = _discard
        self._task.cancel()

    def _on_done(self, task: asyncio.Task[Connection]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self.tell(task.result())
        else:
            self.tell(_dial_error(self.url, error))


def _discard(outcome: Connection | DialError) -> None:
    if isinstance(outcome, Connection):
        outcome.abort()


async def _open(url: str, token: str, limits: Limits, seconds: float) -> Connection:
    async with asyncio.timeout(seconds):
        uri = parse_uri(url.rstrip("/") + ATTACH_PATH)
        connection = Connection(url, uri, token, limits)
        tls = client_context() if uri.secure else None
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: connection, uri.host, uri.port, ssl=tls)
            await connection.opened
        except BaseException:
            connection.opened.cancel()  # nobody waits for what becomes of it
            connection.abort()
            raise
        return connection


def _dial_error(url: str, error: BaseException) -> DialError:
    if isinstance(error, InvalidStatus):
        answer = error.response
        why = str(error)
        if answer.body:
            why += f": {bytes(answer.body[:200]).decode(errors='replace')}"
        final = answer.status_code in REFUSED_FOR_GOOD
        after = answer.headers.get("Retry-After", "")
        seconds = float(after) if after.isascii() and after.isdecimal() else 0.0
        return DialError(url, why, final=final, retry_after=seconds)
    if isinstance(error, TimeoutError):
        return DialError(url, "no answer in time")
    # A URL, name or certificate that is not valid will not be valid the next time.
    return DialError(url, str(error), final=isinstance(error, InvalidURI | ValueError))
