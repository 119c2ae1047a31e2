"""What is new in the HEAD, DATA and END of a response, and whether they may stand together.

Used by the gateway's stream, whichever way the frames came: over a connection or in a receipt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import RemoteProtocolError, ResetCode, StreamFailed
from protocol.frames import Data, End, Head
from protocol.headers import HeadError, check_head, content_length
from protocol.limits import MAX_WINDOW
from protocol.receiver import Receiver

if TYPE_CHECKING:
    from protocol.receipt import Receipt

#: RFC 9110 sections 15.3.5 and 15.4.5: no body, whatever Content-Length says.
_BODILESS = frozenset({204, 304})


class ResponseIntake:
    """The response as far as the gateway holds it.

    Attributes:
        head: the checked head, once it came.
        body: offsets, credit and CRC.
    """

    __slots__ = ("_check_length", "_length", "body", "head")

    def __init__(self, window: int, *, check_length: bool) -> None:
        self.head: Head | None = None
        self.body = Receiver(window, MAX_WINDOW)
        self._check_length = check_length
        self._length: int | None = None

    @property
    def ended(self) -> bool:
        """Whether a valid END is held."""
        return self.body.final is not None

    def on_head(self, frame: Head) -> Head | None:
        """Return the checked head, or None when it is known already.

        Raises:
            StreamFailed: it must not reach an HTTP client, or differs from the known one.
        """
        try:
            checked = Head(frame.sid, frame.status, check_head(frame.status, frame.headers))
            length = content_length(checked.headers)
        except HeadError as error:
            raise StreamFailed(f"HEAD refused: {error}", ResetCode.BAD_RESPONSE) from error
        if self.head is not None:
            if (checked.status, checked.headers) != (self.head.status, self.head.headers):
                raise StreamFailed("a second, different HEAD", ResetCode.DIVERGED)
            return None
        self.head = checked
        if self._check_length and frame.status not in _BODILESS:
            self._length = length
        return checked

    def on_data(self, frame: Data) -> Data | None:
        """Return the bytes not seen before, or None.

        Raises:
            RemoteProtocolError: before HEAD, or after a gap.
            StreamFailed: beyond the credit, the END or the Content-Length.
        """
        if self.head is None:
            raise RemoteProtocolError("DATA before HEAD")
        start = self.body.position
        fresh = self.body.accept(frame.offset, frame.data)
        if self._length is not None and self.body.position > self._length:
            raise StreamFailed(
                f"more than the {self._length} bytes of Content-Length", ResetCode.BAD_RESPONSE
            )
        if fresh is frame.data:
            return frame
        return Data(frame.sid, start, fresh) if fresh else None

    def on_end(self, frame: End) -> End | None:
        """Return the END if it is valid and new, or None when it is known already.

        Raises:
            RemoteProtocolError: before HEAD.
            StreamFailed: length or CRC are not those of what is held, or not the Content-Length.
        """
        if self.head is None:
            raise RemoteProtocolError("END before HEAD")
        if self._length is not None and frame.final != self._length:
            raise StreamFailed(
                f"END after {frame.final} of the {self._length} bytes of Content-Length",
                ResetCode.BAD_RESPONSE,
            )
        again = self.body.final is not None
        self.body.finish(frame.final, frame.crc)
        return None if again else frame

    def complete(self, receipt: Receipt, sid: int) -> list[Head | Data | End]:
        """Return what is new in a receipt that says ``end``, in order.

        Raises:
            RemoteProtocolError: no head, or bytes between what is held and the tail are missing.
            StreamFailed: as `on_head`, `on_data` and `on_end`.
        """
        records: list[Head | Data | End | None] = []
        if receipt.head is not None:
            records.append(self.on_head(Head(sid, *receipt.head)))
        if receipt.tail is not None and receipt.tail[1]:
            offset, data = receipt.tail
            self.body.admit(offset + len(data))
            records.append(self.on_data(Data(sid, offset, data)))
        records.append(self.on_end(End(sid, receipt.final, receipt.crc)))
        return [record for record in records if record is not None]
