"""The request body as the gateway sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import RemoteProtocolError
from protocol.frames import End, EndAck
from protocol.sender import Sender

if TYPE_CHECKING:
    from protocol.frames import Frame


class UploadSource:
    """Bytes of a streamed request body on their way to the function.

    Attributes:
        body: offsets, credit and replay buffer; no credit before a function is attached.
        acknowledged: the function has the whole body.
    """

    __slots__ = ("_end_sent", "acknowledged", "body")

    def __init__(self, max_frame: int) -> None:
        self.body = Sender(max_frame, 0)
        self.acknowledged = False
        self._end_sent = False

    def keeps(self, offset: int) -> bool:
        """Whether the body can go on at this offset."""
        return self.body.acked <= offset <= self.body.sent

    def resume(self, offset: int, maximum: int) -> None:
        """Go on at an offset on a new connection, with the credit that it states."""
        self.body.rewind(offset)
        self.body.credit(maximum)
        self._end_sent = False

    def on_end_ack(self, frame: EndAck) -> None:
        """Take an END_ACK.

        Raises:
            RemoteProtocolError: there was no such END on this connection.
        """
        if not self._end_sent or frame.final != self.body.final:
            raise RemoteProtocolError(f"{frame}: no such END was sent")
        self.acknowledged = True

    @property
    def has_frames(self) -> bool:
        """Whether `frames_to_send` has something."""
        return self.body.ready or self._end_due

    @property
    def _end_due(self) -> bool:
        return self.body.drained and not (self._end_sent or self.acknowledged)

    def frames_to_send(self, sid: int) -> list[Frame]:
        """Hand out what may go now, in order."""
        body = self.body
        frames = body.data_to_send(sid)
        if self._end_due:
            self._end_sent = True
            frames.append(End(sid, body.written, body.crc_at(body.written)))
        return frames


class RequestHalf:
    """The half of `protocol.gateway_stream.GatewayStream` that has the request body.

    Most requests stream none; and once nobody asks for its bytes any more it is forgotten.
    """

    _upload: UploadSource | None

    @property
    def upload_room(self) -> int:
        """Bytes that `upload` accepts now; 0 as long as no function is attached."""
        return 0 if self._upload is None else self._upload.body.room

    @property
    def upload_kept(self) -> int:
        """Request bytes that are kept here, until the function acknowledges them."""
        upload = self._upload
        return 0 if upload is None else upload.body.written - upload.body.acked

    @property
    def upload_acknowledged(self) -> bool:
        """Whether the function has the whole request body."""
        return self._upload is not None and self._upload.acknowledged

    def upload(self, data: bytes | memoryview) -> int:
        """Accept request bytes for the function.

        Returns:
            How many were accepted, from the front; 0: wait for credit.

        Raises:
            LocalProtocolError: after `finish_upload`.
        """
        return 0 if self._upload is None else self._upload.body.write(data)

    def finish_upload(self) -> None:
        """Declare the request body complete.

        Raises:
            LocalProtocolError: a second time.
        """
        if self._upload is not None:
            self._upload.body.finish()
