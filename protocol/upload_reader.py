"""The request body as the function reads it."""

from __future__ import annotations

from protocol.frames import Data, End, EndAck, Window
from protocol.limits import INITIAL_WINDOW, MAX_WINDOW
from protocol.receiver import Receiver


class UploadReader:
    """Bytes of a streamed request body, between the connection and the user's code.

    Attributes:
        body: offsets, credit and CRC.
        streamed: there is such a body; else it is in the event, and nothing here ever happens.
        ended: nothing more will come.
        ack_due: an END_ACK is due on the bound connection.
    """

    __slots__ = ("_parts", "_watched", "ack_due", "body", "ended", "streamed")

    def __init__(self, *, streamed: bool) -> None:
        self.body = Receiver(*(INITIAL_WINDOW, MAX_WINDOW) if streamed else (0, 0))
        self.streamed = streamed
        self.ended = not streamed
        self.ack_due = False
        self._parts: list[bytes] = []
        self._watched = False

    def read(self) -> list[bytes]:
        """Take every byte that waits, in the pieces in which they came."""
        parts, self._parts = self._parts, []
        self.body.consume(sum(map(len, parts)))
        return parts

    @property
    def has_news(self) -> bool:
        """Whether the connection has something to do about what was read: a WINDOW, or its alarm."""
        return self.body.is_worth_telling or not self._watched

    def next_deadline(self) -> float | None:
        """Return when a WINDOW is due although nothing else happens, for whoever sets an alarm; or None."""
        deadline = self.body.next_deadline()
        self._watched = deadline is not None
        return deadline

    def on_data(self, frame: Data) -> None:
        """Take a DATA.

        Raises:
            RemoteProtocolError: a gap.
            StreamFailed: beyond credit or END.
        """
        fresh = self.body.accept(frame.offset, frame.data)
        if fresh:
            self._parts.append(fresh)

    def on_end(self, frame: End) -> None:
        """Take an END.

        Raises:
            StreamFailed: length or CRC are not those of what came.
        """
        self.body.finish(frame.final, frame.crc)
        self.ended = self.ack_due = True

    def frames_to_send(self, sid: int, now: float) -> list[Window | EndAck]:
        """Return the credit and the END_ACK that are due."""
        frames: list[Window | EndAck] = []
        due = self.body.window_due(now)
        if due is not None:
            frames.append(Window(sid, *due))
        if self.ack_due and self.body.final is not None:
            self.ack_due = False
            frames.append(EndAck(sid, self.body.final))
        return frames


class RequestHalf:
    """The half of `protocol.function_stream.FunctionStream` that has the request body."""

    _upload: UploadReader

    @property
    def upload_ended(self) -> bool:
        """Whether every byte of the request body came; it may still wait to be read."""
        return self._upload.ended

    @property
    def upload_waiting(self) -> int:
        """Bytes of the request body that `read` would return now."""
        return self._upload.body.position - self._upload.body.consumed

    def read(self) -> list[bytes]:
        """Take every byte of the request body that waits; `upload_ended` tells the end from a pause."""
        return self._upload.read()

    @property
    def credit_is_news(self) -> bool:
        """Whether what was read asks for `frames_to_send`, for a WINDOW, and `next_deadline`."""
        return self._upload.has_news
