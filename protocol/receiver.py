"""One body as its receiver sees it: position, consumption, credit, CRC.

    0 ........ consumed ........ position ........ maximum
       acked       |    buffered     |    credit given

Used for responses by the gateway and for request bodies by the function.
"""

from __future__ import annotations

from protocol.checksum import crc32
from protocol.errors import LocalProtocolError, RemoteProtocolError, ResetCode, StreamFailed
from protocol.limits import ACK_DELAY, CROWDED, GROW_WITHIN, SMALL_CREDIT


class Receiver:
    """The receiving half of a body.

    The window doubles, up to `window_max`, whenever the sender used up its credit and the reader
    consumed half a window within a moment: then it is the window that holds the body up. And whenever
    one WINDOW follows the other at once: then it is they that cost.

    Credit is given back by bytes: once half a window was consumed; earlier when the sender stands
    at its limit; at once on a new connection, if the sender missed some; and for quiet bodies some time
    after the last WINDOW.

    Attributes:
        window: most bytes that may be buffered here, or in flight.
        position: next byte expected; everything below it is held.
        consumed: bytes taken for good by whoever reads; they never need resending.
        maximum: offset up to which the sender may send, as last told.
        crc: CRC-32 of [0, position).
        final: length of the body, once a valid END came.
        duplicates: bytes that came more than once.
        window_max: up to where the window grows by itself.
    """

    __slots__ = (
        "_acked",
        "_last_window",
        "_urgent",
        "consumed",
        "crc",
        "duplicates",
        "final",
        "maximum",
        "position",
        "window",
        "window_max",
    )

    def __init__(self, window: int, window_max: int = 0) -> None:
        self.window = window
        self.window_max = max(window, window_max)
        self.position = 0
        self.consumed = 0
        self.maximum = window
        self.crc = 0
        self.final: int | None = None
        self.duplicates = 0
        self._acked = 0
        self._last_window: float | None = None
        self._urgent = False

    # ------------------------------------------------------------------ bytes

    def accept(self, offset: int, data: bytes) -> bytes:
        """Take one DATA.

        Returns:
            The bytes that are new, from `position` on; empty for a duplicate.

        Raises:
            RemoteProtocolError: a gap before the offset, or no bytes at all.
            StreamFailed: bytes beyond the credit that was given, or beyond the END.
        """
        end = offset + len(data)
        if not data:
            raise RemoteProtocolError("DATA without bytes")
        if self.final is not None and end > self.final:
            raise StreamFailed(f"DATA up to {end}, beyond the END at {self.final}", _DIVERGED)
        if end > self.maximum:
            raise StreamFailed(f"DATA up to {end}, credit ends at {self.maximum}", _FLOW_CONTROL)
        if offset > self.position:
            raise RemoteProtocolError(f"gap: DATA at {offset}, expected {self.position}")
        if end <= self.position:
            self.duplicates += len(data)
            return b""
        fresh = data
        if offset < self.position:
            self.duplicates += self.position - offset
            fresh = data[self.position - offset :]
        self.crc = crc32(fresh, self.crc)
        self.position = end
        return fresh

    def finish(self, final: int, crc: int) -> None:
        """Take an END; the same one again changes nothing.

        Raises:
            StreamFailed: length or CRC are not those of the bytes held, or differ from an
                earlier END.
        """
        if final != self.position or crc != self.crc:
            raise StreamFailed(
                f"END at {final} with CRC {crc:08x}, held are {self.position} with {self.crc:08x}",
                _DIVERGED,
            )
        self._urgent = self.final is None
        self.final = final

    # ------------------------------------------------------------------ credit

    def consume(self, count: int) -> bool:
        """Note that `count` more bytes were taken for good.

        Returns:
            Whether that changes when a WINDOW is due: one is now, or these are the first since the last.

        Raises:
            LocalProtocolError: more than is held.
        """
        if self.consumed + count > self.position:
            raise LocalProtocolError(f"consumed {count} bytes more than were received")
        first = self.consumed <= self._acked
        self.consumed += count
        return first or self.is_worth_telling

    def grow(self, window: int) -> None:
        """Widen the window and tell the sender soon; credit that was given is never taken back."""
        if window > self.window:
            self.window = window
            self._urgent = True

    def admit(self, offset: int) -> None:
        """Take bytes up to `offset` without credit (they come in a receipt, not by the sender)."""
        self.maximum = max(self.maximum, offset)

    def restate(self, known: int) -> int:
        """Return the credit for a new connection.

        Args:
            known: the acknowledgement that the sender knows of; a later one may have been lost.
        """
        consumed = self.consumed
        self._acked = consumed
        if known < consumed:
            self._acked, self._urgent = known, True
        if consumed + self.window > self.maximum:
            self.maximum = consumed + self.window
        return self.maximum

    def window_due(self, now: float, *, may_grow: bool = True) -> tuple[int, int] | None:
        """Return (ack, max) when a WINDOW should go out now, and note that it did."""
        if not self.is_due(now):
            return None
        if may_grow and self._is_tight(now):
            self.grow(min(2 * self.window, self.window_max))
        self._acked = self.consumed
        self._last_window = now
        self._urgent = False
        self.admit(self.consumed + self.window)
        return self.consumed, self.maximum

    def is_due(self, now: float) -> bool:
        """Whether `window_due` has something now."""
        if self.is_worth_telling:
            return True
        if self.consumed <= self._acked:
            return False
        if self._last_window is None:
            self._last_window = now
        return now >= self._last_window + ACK_DELAY

    @property
    def is_worth_telling(self) -> bool:
        """Whether a WINDOW is due whatever the time."""
        gain = self.consumed - self._acked
        if self._urgent and self.consumed + self.window > self.maximum:
            return True
        if gain <= 0:
            return False
        at_limit = self.position == self.maximum and gain >= min(SMALL_CREDIT, self.window // 4)
        return at_limit or self._urgent or 2 * gain >= self.window

    def _is_tight(self, now: float) -> bool:
        """Whether the window holds the body up, or costs a WINDOW too often."""
        fresh, since = self.consumed - self._acked, self._last_window
        if 2 * fresh < self.window or since is None:
            return False
        return now - since < (GROW_WITHIN if self.position == self.maximum else CROWDED)

    def next_deadline(self) -> float | None:
        """Return when to ask `window_due` again although nothing else happens; None: never."""
        if self.consumed <= self._acked:
            return None
        return 0.0 if self._last_window is None else self._last_window + ACK_DELAY


_DIVERGED = ResetCode.DIVERGED
_FLOW_CONTROL = ResetCode.FLOW_CONTROL
