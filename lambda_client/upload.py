"""The streamed request body of one session, as user code takes it: what was taken at one time, and a window behind it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lambda_client.errors import ClientGone, DeadlineReached, GatewayUnreachable, StreamClosed
from lambda_client.shared import Phase
from lambda_client.waiting import let_cancellation_come

if TYPE_CHECKING:
    from lambda_client.session import Session


class Upload:
    """Reads what the gateway sends; taking bytes is what lets it send more."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pieces = session.pieces

    def read(self) -> bytes:
        """Return request bytes as they come, blocking for them; empty at the end.

        Raises:
            StreamClosed: the rest will never come.
        """
        if self._pieces:
            with suppress(IndexError):  # another thread was quicker
                return self._pieces.popleft()
        session = self._session
        session.open()
        while (data := self._take()) is None:
            session.wait(self._ready)
        return data

    async def read_async(self) -> bytes:
        """As `read`, suspending the task instead of blocking the thread."""
        if self._pieces:
            return self._pieces.popleft()
        session = self._session
        session.open()
        try:
            while (data := self._take()) is None:
                await session.wait_async(self._ready)
        except (ClientGone, DeadlineReached):
            await let_cancellation_come()
            raise
        return data

    def _take(self) -> bytes | None:
        session = self._session
        with session.lock:
            self._pieces.extend(session.stream.read())
            if not self._pieces and not session.stream.upload_ended:
                if session.failure is not None:
                    raise session.failure
                if session.phase is Phase.UNREACHABLE:
                    raise GatewayUnreachable(f"no request body: {session.dial_failure}")
                if session.settled:
                    raise StreamClosed("no request body: the response is over")
                return None
            ended = session.stream.upload_ended
            news = session.stream.credit_is_news
        if news:
            session.flush()
        try:
            return self._pieces.popleft()
        except IndexError:  # another thread was quicker, or there was none
            return b"" if ended else None

    def _ready(self) -> bool:
        session = self._session
        stream = session.stream
        return stream.upload_waiting > 0 or stream.upload_ended or session.over
