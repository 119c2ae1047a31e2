"""One connection of the invoke leg, and the call that is on it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, cast

from aiohttp.http import HttpResponseParser
from aiohttp.http_exceptions import HttpProcessingError
from typing_extensions import override

from gateway.errors import FunctionFailed
from gateway.invoke.aws.answer import ANSWER_MAX, Answer
from gateway.invoke.base import InvokeOutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import StreamReader
    from aiohttp.base_protocol import BaseProtocol
    from aiohttp.http import RawResponseMessage

    from gateway.deadlines import Deadlines


class Connection(asyncio.Protocol):
    """A connection with one call on it at a time.

    A call waits for minutes with nothing to read: until bytes come, there is no parser.

    Args:
        keep: called with this when it can have another.

    Attributes:
        since: when it had its last answer (loop time).
    """

    __slots__ = (
        "_bodiless",
        "_keep",
        "_loop",
        "_patience",
        "_reading",
        "_transport",
        "_waiter",
        "since",
    )

    def __init__(self, keep: Callable[[Connection], None]) -> None:
        self._keep = keep
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._patience: Deadlines[Connection] | None = None
        self._reading: _Reading | None = None
        self._bodiless = False
        self.since = 0.0

    @property
    def usable(self) -> bool:
        """Whether it is open, as far as is known here."""
        return self._transport is not None and not self._transport.is_closing()

    def begin(
        self, head: bytes, body: bytes, patience: Deadlines[Connection], *, bodiless: bool
    ) -> None:
        """Send a request.

        Args:
            head: of it, with the empty line.
            body: of it.
            patience: calls `keeps_silent` when nothing has come for too long.
            bodiless: whether no answer to it has a body.
        """
        self._waiter = self._loop.create_future()
        self._bodiless = bodiless
        self._patience = patience
        patience.begin(self)
        if self._transport is not None:
            self._transport.writelines((head, body) if body else (head,))

    async def answer(self) -> Answer:
        """Wait for the answer, whole.

        Raises:
            InvokeOutcomeUnknown: the connection broke, or kept silent, or said what is no HTTP.
            FunctionFailed: it is larger than any that AWS sends.
        """
        assert self._waiter is not None  # noqa: S101 - it has begun
        try:
            return await self._waiter
        finally:
            self._waiter = None
            if self._patience is not None:
                self._patience.end(self)
            reading, self._reading = self._reading, None
            reusable = reading is not None and reading.let_go()
            if reusable and self._is_drained:
                self.since = self._loop.time()
                self._keep(self)
            else:
                self.close()

    def keeps_silent(self) -> None:
        """Nothing has come for too long."""
        self._fail(TimeoutError("nothing came in time"))

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ what the transport calls

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.close()  # nobody asked for it
            return
        if self._patience is not None:
            self._patience.end(self)
            self._patience.begin(self)
        if self._reading is None:
            self._reading = _Reading(self._loop, bodiless=self._bodiless)
        try:
            answer = self._reading.feed(data)
        except (HttpProcessingError, ConnectionError, FunctionFailed) as error:
            self._fail(error)
            return
        if answer is not None:
            waiter.set_result(answer)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiter is None or self._waiter.done():
            return
        try:
            answer = None if self._reading is None or exc else self._reading.feed_eof()
        except (HttpProcessingError, ConnectionError, FunctionFailed) as error:
            self._fail(error)
            return
        if answer is None:
            self._fail(exc or ConnectionError("the connection ended before the answer"))
        else:
            self._waiter.set_result(answer)

    # ------------------------------------------------------------ inside

    @property
    def _is_drained(self) -> bool:
        """Whether the peer has taken the whole request; one that answers before may not read the rest."""
        return self._transport is not None and not self._transport.get_write_buffer_size()

    def _fail(self, error: Exception) -> None:
        if self._waiter is None or self._waiter.done():
            return
        if not isinstance(error, FunctionFailed):
            # The parser's words quote what came, which may be anything.
            theirs = isinstance(error, HttpProcessingError)
            what = type(error).__name__ if theirs else repr(error)
            error = InvokeOutcomeUnknown(f"the invoke leg broke: {what}")
        # Its frames know the waiter, which knows the error, and what came: a circle of megabytes.
        self._waiter.set_exception(error.with_traceback(None))


class _Head(NamedTuple):
    message: RawResponseMessage
    body: StreamReader


class _Reading:
    """An answer that comes; to aiohttp's parser it is the protocol that it reads for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, bodiless: bool) -> None:
        self._parser: HttpResponseParser | None = HttpResponseParser(
            cast("BaseProtocol", self),
            loop,
            ANSWER_MAX,
            response_with_body=not bodiless,
            read_until_eof=True,
            auto_decompress=False,
        )
        self._head: _Head | None = None
        self._reusable = False

    def feed(self, data: bytes) -> Answer | None:
        """Take bytes; return the answer once it is whole.

        Raises:
            HttpProcessingError: it is none.
            ConnectionError: it is more than one, or its body is malformed.
            FunctionFailed: it is too large.
        """
        assert self._parser is not None  # noqa: S101 - it has not been let go
        messages, upgraded, _ = self._parser.feed_data(data)
        if upgraded:
            raise ConnectionError("an upgrade that nobody asked for")
        for message, body in messages:
            if self._head is not None:
                raise ConnectionError("more than one answer")
            if message.code >= 200:
                self._head = _Head(message, body)
        answer = self._whole()
        if answer is not None and not answer.closes:
            self._reusable = self._parser.feed_eof() is None  # else another answer has begun
        return answer

    def feed_eof(self) -> Answer | None:
        """Take the end of the connection; return the answer if that is where it ends.

        Raises:
            HttpProcessingError: it is cut off.
        """
        assert self._parser is not None  # noqa: S101 - see `feed`
        self._parser.feed_eof()
        return self._whole()

    def let_go(self) -> bool:
        """Let go of the parser, which holds this: what is in a circle stays until somebody looks for garbage.

        Returns:
            Whether the answer has come to its end, and another may follow on its connection.
        """
        self._parser = self._head = None
        return self._reusable

    def _whole(self) -> Answer | None:
        if self._head is None:
            return None
        message, body = self._head
        if body.total_bytes > ANSWER_MAX:
            raise FunctionFailed(f"an answer of more than {ANSWER_MAX} bytes")
        if (error := body.exception()) is not None:
            raise ConnectionError(f"a malformed body: {type(error).__name__}")
        if not body.is_eof():
            return None
        return Answer(
            message.code,
            message.headers,
            message.raw_headers,
            body.read_nowait(),
            closes=bool(message.should_close),
        )

    # ------------------------------------------------------------ what the parser calls

    def pause_reading(self) -> None:
        """Too much is here: `feed` says so."""

    def resume_reading(self, *, resume_parser: bool = True) -> None:
        """There is nothing to resume."""
