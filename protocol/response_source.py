"""The response as the function produces it: head, body and end, and what of them was handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import LocalProtocolError
from protocol.frames import AttachFlag, End, Head
from protocol.headers import check_head
from protocol.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.frames import Frame
    from protocol.headers import HeaderList


class ResponseSource:
    """One response on its way out.

    Attributes:
        head: status and headers, checked, once given.
        body: offsets, credit and replay buffer.
        head_sent: HEAD was handed to a connection, and need not be sent again on this one.
        head_known: the gateway said that it holds the head.
        end_sent: END was handed to the present connection.
    """

    __slots__ = ("body", "end_sent", "head", "head_known", "head_sent")

    def __init__(self, max_frame: int, window: int) -> None:
        self.head: tuple[int, HeaderList] | None = None
        self.body = Sender(max_frame, window)
        self.head_sent = False
        self.head_known = False
        self.end_sent = False

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Give the head, once.

        Raises:
            LocalProtocolError: it was given already.
            protocol.headers.HeadError: it cannot be sent to an HTTP client.
        """
        if self.head is not None:
            raise LocalProtocolError("the response head was given already")
        self.head = status, check_head(status, tuple(headers))

    def require_head(self) -> None:
        """Check that a body may come now.

        Raises:
            LocalProtocolError: no head was given yet.
        """
        if self.head is None:
            raise LocalProtocolError("the response has no head yet")

    @property
    def flags(self) -> int:
        """What ATTACH says about it."""
        head = AttachFlag.HEAD_SENT if self.head_sent else 0
        return head | AttachFlag.END_SENT if self.end_sent else head

    @property
    def arrival_unknown(self) -> bool:
        """Whether nothing tells that the gateway holds the head."""
        return not self.head_known and not self.body.acked

    def resume(self, offset: int, *, head_known: bool) -> None:
        """Go on at an offset on a new connection.

        Raises:
            RemoteProtocolError: that offset is not kept.
        """
        self.body.rewind(offset)
        self.head_known = self.head_sent = head_known
        self.end_sent = False

    def frames_to_send(self, sid: int) -> list[Frame]:
        """Hand out what may go now, in order."""
        if self.head is None:
            return []
        body = self.body
        frames = body.data_to_send(sid) if body.sent < body.written else []
        if not self.head_sent:
            self.head_sent = True
            frames.insert(0, Head(sid, *self.head))
        if body.finished and body.drained and not self.end_sent:
            self.end_sent = True
            frames.append(End(sid, body.written, body.crc_at(body.written)))
        return frames
