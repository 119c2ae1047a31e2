"""One body as its sender sees it: what waits, what is in flight, what is acknowledged.

    0 ........ acked ........ sent ........ written ........ maximum
      forgotten  |  in flight   |   waiting    |    credit left

Everything from `acked` to `written` is kept, so the body can go on from any offset in between on
another connection, or travel as the tail of a receipt. Used for responses by the function and for
request bodies by the gateway.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from protocol.checksum import crc32
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.frames import Data
from protocol.limits import MAX_WINDOW, MIN_MAX_FRAME

if TYPE_CHECKING:
    from protocol.frames import Frame

#: Neighbours in flight are joined up to this size, so that a body of single bytes does not keep one
#: object per byte; joining costs a copy of at most this much.
_JOIN = MIN_MAX_FRAME

#: What is kept: bytes, or a view of bytes.
Bytes = bytes | memoryview

#: In place of a deque, which takes 760 bytes, as long as nothing came: most requests have no body.
_NOTHING: Final = cast("deque[Any]", ())


class Sender:
    """The sending half of a body.

    Attributes:
        max_frame: largest DATA payload in bytes.
        maximum: offset up to which the peer takes bytes.
        written: bytes accepted from the producer so far.
        sent: offset of the next byte to hand out.
        acked: offset below which the peer never asks again.
        finished: the producer said that nothing follows.
    """

    __slots__ = (
        "_crc",
        "_in_flight",
        "_waiting",
        "_write_limit",
        "acked",
        "finished",
        "max_frame",
        "maximum",
        "sent",
        "written",
    )

    def __init__(self, max_frame: int, maximum: int) -> None:
        self.max_frame = max_frame
        self.maximum = maximum
        self.written = 0
        self.sent = 0
        self.acked = 0
        self.finished = False
        self._write_limit = maximum
        self._crc = 0  # of [0, sent)
        self._waiting: deque[Bytes] = _NOTHING
        self._in_flight: deque[tuple[int, int, Bytes]] = _NOTHING  # offset, CRC before it, bytes

    # ------------------------------------------------------------------ the producer

    @property
    def room(self) -> int:
        """Bytes that `write` accepts now."""
        return max(0, self._write_limit - self.written)

    @property
    def final(self) -> int | None:
        """Length of the body once it is finished, else None."""
        return self.written if self.finished else None

    def write(self, data: Bytes) -> int:
        """Accept bytes as far as credit allows.

        Returns:
            How many were accepted, from the front; 0 when the peer's credit is used up.

        Raises:
            LocalProtocolError: the body is finished already.
        """
        if self.finished:
            raise LocalProtocolError("write after the end of the body")
        size = len(data)
        if size > self._write_limit - self.written:
            size = self.room
        if not size:
            return 0
        if self._waiting is _NOTHING:
            self._waiting, self._in_flight = deque(), deque()
        if type(data) is bytes and size == len(data) <= self.max_frame:
            self._waiting += (
                data,
            )  # no call: a signal's handler cannot raise before it is counted
        else:  # cut once, not anew for every frame
            view = memoryview(data)[:size]
            parts = (view[at : at + self.max_frame] for at in range(0, size, self.max_frame))
            self._waiting += tuple(parts if _may_be_kept(view.obj) else map(bytes, parts))
        self.written += size
        return size

    def allow(self, limit: int) -> None:
        """Let the producer write up to this offset, whatever the peer takes; never lowers it."""
        self._write_limit = max(self._write_limit, limit)

    def finish(self) -> None:
        """Declare that nothing follows.

        Raises:
            LocalProtocolError: it is finished already.
        """
        if self.finished:
            raise LocalProtocolError("the body was finished already")
        self.finished = True

    # ------------------------------------------------------------------ the connection

    @property
    def ready(self) -> bool:
        """Whether `data_to_send` has something."""
        return self.sent < self.written and self.sent < self.maximum

    @property
    def drained(self) -> bool:
        """Whether the whole finished body was handed out: the END may follow."""
        return self.finished and self.sent == self.written

    def data_to_send(self, sid: int) -> list[Frame]:
        """Hand out what may go now, in DATA of up to `max_frame` bytes for the stream `sid`.

        Small writes that wait together travel together. The bytes are kept until acknowledged; those of
        a large write are a view of it, which is as good as bytes to whoever sends them.
        """
        frames: list[Frame] = []
        waiting, in_flight = self._waiting, self._in_flight
        while waiting and self.sent < self.maximum:
            data = waiting.popleft()
            if waiting or len(data) > self.max_frame or len(data) > self.maximum - self.sent:
                data = self._filled(data, min(self.maximum - self.sent, self.max_frame))
            frames.append(Data(sid, self.sent, data))  # type: ignore[arg-type]  # see above
            if in_flight and len(data) + len(in_flight[-1][2]) <= _JOIN:
                start, crc, before = in_flight.pop()
                in_flight.append((start, crc, b"".join((before, data))))
            else:
                in_flight.append((self.sent, self._crc, data))
            self._crc = crc32(data, self._crc)
            self.sent += len(data)
        return frames

    def _filled(self, first: Bytes, room: int) -> Bytes:
        """Return what goes into one frame: a part of what waited first, or what waits behind it as well."""
        waiting = self._waiting
        if len(first) > room:
            waiting.appendleft(first[room:])
            return first[:room]
        pieces, size = [first], len(first)
        while waiting and size + len(waiting[0]) <= room:
            pieces.append(waiting.popleft())
            size += len(pieces[-1])
        return first if len(pieces) == 1 else b"".join(pieces)

    def acknowledge(self, ack: int, maximum: int) -> None:
        """Take a WINDOW: forget bytes below `ack`; one that goes backwards is ignored.

        Raises:
            RemoteProtocolError: it acknowledges what was never sent, or credit ends below `ack`.
        """
        if ack > self.sent:
            raise RemoteProtocolError(f"WINDOW acknowledges {ack}, but {self.sent} were sent")
        if maximum < ack:
            raise RemoteProtocolError(f"WINDOW takes up to {maximum}, below its own ack {ack}")
        if ack < self.acked:
            return
        self.acked = ack
        self.credit(maximum)
        while self._in_flight and self._in_flight[0][0] + len(self._in_flight[0][2]) <= ack:
            self._in_flight.popleft()

    def credit(self, maximum: int) -> None:
        """Raise the offset up to which the peer takes bytes; never lowers it.

        What is not acknowledged is kept, so no more is taken for granted than a window may hold.
        """
        maximum = min(maximum, self.acked + MAX_WINDOW)
        if maximum > self.maximum:
            self.maximum = maximum
            self.allow(maximum)

    def rewind(self, offset: int) -> None:
        """Go back, so that the body goes on at `offset` on a new connection.

        Raises:
            RemoteProtocolError: the offset is not within what is kept, [acked, sent].
        """
        self._check_kept(offset, self.sent)
        crc = self.crc_at(offset)
        while self._in_flight and self.sent > offset:
            start, before, data = self._in_flight.pop()
            skip = max(0, offset - start)
            self._waiting.appendleft(data[skip:])
            self.sent = start + skip
            if skip:
                self._in_flight.append((start, before, data[:skip]))
        self._crc = crc

    # ------------------------------------------------------------------ endings

    def crc_at(self, offset: int) -> int:
        """Return the CRC-32 of the first `offset` bytes.

        Raises:
            RemoteProtocolError: the offset is not within what is kept, [acked, written].
        """
        if offset == self.sent:
            return self._crc
        self._check_kept(offset, self.written)
        if offset > self.sent:
            return self._extend(offset)
        for start, before, data in self._in_flight:
            if offset <= start + len(data):
                return crc32(memoryview(data)[: offset - start], before)
        raise AssertionError("bytes in flight have a hole")

    def _extend(self, offset: int) -> int:
        crc, position = self._crc, self.sent
        for data in self._waiting:
            if position >= offset:
                break
            crc = crc32(memoryview(data)[: offset - position], crc)
            position += len(data)
        return crc

    def _check_kept(self, offset: int, end: int) -> None:
        if not self.acked <= offset <= end:
            raise RemoteProtocolError(f"offset {offset} is not within [{self.acked}, {end}]")

    def tail(self) -> tuple[int, bytes]:
        """Return `acked` and every byte from there on, sent or not."""
        parts = [data for _, _, data in self._in_flight]
        if parts:
            parts[0] = parts[0][self.acked - self._in_flight[0][0] :]
        return self.acked, b"".join([*parts, *self._waiting])


def _may_be_kept(whole: object) -> bool:
    """Whether parts of it need no copies: nobody changes it, and its last byte in flight keeps little."""
    return type(whole) is bytes and len(whole) <= MAX_WINDOW
