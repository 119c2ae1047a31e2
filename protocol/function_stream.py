"""One exchange as the function sees it; it survives the connections that carry it.

The function produces a response (`start`, `write`, `end` or `reset`) and may read a request body
(`read`). Whatever is not acknowledged is kept, so that the stream goes on after a cut:

    DETACHED --attach()--> ATTACHING --ATTACHED--> ATTACHED --END_ACK, RESET sent, part()--> DONE
        ^                      |                       |
        +----- detach(), a REJECT that may pass -------+         (a final REJECT: DONE)

Only the very first ATTACH of an exchange is *fresh*: HEAD and DATA follow it at once, within the
window of the envelope, and so does its end. Every later one waits for ATTACHED, since only the gateway
knows where the stream goes on.

Not thread-safe: the shell holds a lock, and counts `sid` per process: a hedge is two connections.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal

from protocol.errors import (
    PASSING_REJECTS,
    LocalProtocolError,
    RejectCode,
    RemoteProtocolError,
    ResetCode,
    StreamFailed,
)
from protocol.frames import (
    Attach,
    Attached,
    AttachedFlag,
    AttachFlag,
    Cancel,
    Data,
    End,
    EndAck,
    EndFlag,
    Frame,
    Reject,
    Reset,
    StreamFrame,
    Window,
)
from protocol.limits import INLINE_ANSWER_MAX, PARTING_MAX, RECEIPT_BODY_MAX, Limits, shorten
from protocol.receipt import Receipt
from protocol.response_source import ResponseSource
from protocol.upload_reader import RequestHalf, UploadReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.envelope import Envelope

#: After these the gateway has no use for the rest of the response.
_UNWANTED = frozenset({RejectCode.TERMINAL, RejectCode.CANCELLED})
#: Before these the client may have what user code wrote until then.
_TOLD_FIRST = frozenset({ResetCode.HANDLER_ERROR, ResetCode.DEADLINE})


class FunctionState(Enum):
    """Where the stream stands towards its connection."""

    DETACHED = "detached"
    ATTACHING = "attaching"
    ATTACHED = "attached"
    DONE = "done"


#: In Python 3.11 a member takes long to look up.
_DETACHED, _ATTACHING, _ATTACHED, _DONE = FunctionState


class FunctionStream(RequestHalf):
    """The function's side of one exchange.

    Attributes:
        state: see the module's text.
        limits: what holds on the connection; replaced by what ATTACHED says.
        head_committed: HEAD went to a connection, or is about to: no inline answer any more.
        end_acknowledged: the gateway holds the whole response.
        answer_due: an END_ACK is on its way that this stream did not wait for.
        cancelled: the CANCEL that asked to stop; the shell stops the user's code and calls `reset`.
        rejected: the REJECT that answered the last ATTACH.
        dropped: frames of an older connection, ignored.
    """

    def __init__(self, envelope: Envelope, *, secret: bytes, limits: Limits) -> None:
        self.state = _DETACHED
        self.limits = limits
        self.head_committed = False
        self.end_acknowledged = False
        self.answer_due = False
        self.cancelled: Cancel | None = None
        self.rejected: Reject | None = None
        self.dropped = 0
        self._envelope = envelope
        self._secret = secret
        self._sid = self._epoch = 0
        self._fresh = False
        self._reset: tuple[ResetCode, str] | None = None
        self._response = ResponseSource(min(envelope.max_frame, limits.max_frame), envelope.window)
        self._upload = UploadReader(streamed=envelope.body == "stream")

    # ------------------------------------------------------------------ the response

    @property
    def started(self) -> bool:
        """Whether the head was given."""
        return self._response.head is not None

    @property
    def ended(self) -> bool:
        """Whether the response is complete."""
        return self._response.body.finished

    @property
    def end_sent(self) -> bool:
        """Whether END was handed to the present connection."""
        return self._response.end_sent

    @property
    def room(self) -> int:
        """Bytes that `write` accepts now."""
        return 0 if self._closed else self._response.body.room

    @property
    def _closed(self) -> bool:
        return self.state is _DONE or self._reset is not None or self.cancelled is not None

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Give the response head, once.

        Raises:
            LocalProtocolError: it was given already.
            protocol.headers.HeadError: it cannot be sent to an HTTP client.
        """
        self._response.start(status, headers)
        self.head_committed = self._sendable

    def write(self, data: bytes | memoryview) -> int:
        """Accept body bytes.

        Returns:
            How many, from the front; 0: wait for credit, or `cancelled` or `rejected` is set.

        Raises:
            LocalProtocolError: before `start` or after `end`.
        """
        response = self._response
        if response.head is None:
            response.require_head()
        over = self._reset is not None or self.cancelled is not None or self.state is _DONE
        if over and not response.body.finished:
            return 0
        accepted = response.body.write(data)
        if not self.head_committed:
            self.head_committed = self._sendable
        return accepted

    def end(self) -> None:
        """Declare the response complete.

        Raises:
            LocalProtocolError: before `start`, or a second time.
        """
        response = self._response
        if response.head is None:
            response.require_head()
        response.body.finish()

    def reset(self, code: ResetCode, message: str) -> None:
        """Break the response off; the first reason stays. No effect once the gateway has it all."""
        if self._reset is None and not self.end_acknowledged:
            self._reset = code, shorten(message)

    @property
    def broken_off(self) -> bool:
        """Whether the response ends by RESET: by `reset`, by CANCEL, or because its bytes differ."""
        return self._reset is not None or self.cancelled is not None

    @property
    def returnable(self) -> bool:
        """Whether a receipt can carry everything that is not acknowledged."""
        body = self._response.body
        return body.finished and body.written - body.acked <= RECEIPT_BODY_MAX

    def part(self, frames: list[Frame], *, silently: bool) -> bool:
        """Be done without END_ACK, if END was sent and a small receipt carries the rest; tell whether it is so.

        Args:
            frames: what `frames_to_send` has just returned; an END in it may be replaced.
            silently: ask for no answer.
        """
        body = self._response.body
        small = self._response.end_sent and body.written - body.acked <= PARTING_MAX
        if not small or self.broken_off or self._upload.streamed or not self._sendable:
            return False
        if silently and frames and isinstance(end := frames[-1], End):
            frames[-1] = End(end.sid, end.final, end.crc, flags=EndFlag.PARTING)
        else:
            self.answer_due = True
        self.state = _DONE
        return True

    @property
    def progress(self) -> int:
        """Bytes that came through for good, in both directions; it never falls."""
        return self._response.body.acked + self._upload.body.position

    def buffer_for_receipt(self) -> None:
        """Accept as much as a receipt can carry, since the gateway cannot be reached."""
        body = self._response.body
        body.allow(body.acked + RECEIPT_BODY_MAX)

    # ------------------------------------------------------------------ the connection

    def attach(self, sid: int) -> Attach:
        """Bind to a new connection, ignore what older ones say, and return the frame to send first.

        Raises:
            LocalProtocolError: the stream is done.
        """
        if self.state is _DONE:
            raise LocalProtocolError("attach after the end of the exchange")
        self.detach()
        self._sid = sid
        self._epoch += 1
        self._fresh = self._envelope.inv == 1 and self._epoch == 1
        self.state = _ATTACHING
        self.rejected = None
        envelope = self._envelope
        return Attach(
            sid,
            envelope.xid_bytes,
            envelope.inv,
            self._epoch,
            envelope.token,
            self._secret,
            lo=self._response.body.acked,
            hi=self._response.body.sent,
            flags=self._response.flags | (AttachFlag.FRESH if self._fresh else 0),
            req_recv=self._upload.body.position,
            req_max=self._upload.body.consumed + self._upload.body.window,
        )

    def detach(self) -> None:
        """Leave the connection: it was lost, or another one takes over."""
        self._upload.ack_due = False
        if self.state is not _DONE:
            self.state = _DETACHED

    @property
    def _sendable(self) -> bool:
        first = self.state is _ATTACHING and self._fresh
        return first or self.state is _ATTACHED

    def frames_to_send(self, now: float) -> list[Frame]:
        """Return what the bound connection should carry now: control frames before DATA.

        Args:
            now: seconds of any clock that does not go back.
        """
        if self.state is not _ATTACHED and not self._sendable:
            return []
        if self._reset is not None:
            self.state = _DONE
            code, message = self._reset
            late = self.ended or code not in _TOLD_FIRST
            said = [] if late else self._response.frames_to_send(self._sid)
            return [*said, Reset(self._sid, code, self._response.body.sent, message)]
        frames: list[Frame] = []
        if self.cancelled is None:
            self.head_committed = self.head_committed or self.started
            frames = self._response.frames_to_send(self._sid)
        if self._upload.streamed:
            frames[:0] = self._upload.frames_to_send(self._sid, now)
        return frames

    def next_deadline(self) -> float | None:
        """Return when to call `frames_to_send` although nothing else happens; None: never."""
        return self._upload.next_deadline() if self.state is _ATTACHED else None

    # ------------------------------------------------------------------ what the gateway says

    def receive(self, frame: StreamFrame, now: float) -> None:
        """Take one frame of the bound connection.

        Raises:
            RemoteProtocolError: close the connection and `detach`; the stream may resume.
            StreamFailed: the request body is lost; the exchange can only be reset.
        """
        del now  # no rule here depends on time; the argument is every stream's signature
        if self.state not in (_ATTACHING, _ATTACHED) or frame.sid != self._sid:
            self.dropped += 1
            return
        attaching = self.state is _ATTACHING
        try:
            match frame:
                case Attached() if attaching:
                    self._on_attached(frame)
                case EndAck() if not attaching:
                    self._on_end_ack(frame)
                case Data() if not attaching:
                    self._upload.on_data(frame)
                case Window() if not attaching:
                    self._response.body.acknowledge(frame.ack, frame.max)
                case End() if not attaching:
                    self._upload.on_end(frame)
                case Cancel() if not attaching:
                    self._on_cancel(frame)
                case Reject() if attaching:
                    self._on_reject(frame)
                case _:
                    raise RemoteProtocolError(f"not in state {self.state.value}: {frame}")
        except StreamFailed as error:
            self.reset(error.reset_code, str(error))
            raise

    def _on_attached(self, frame: Attached) -> None:
        sender = self._response.body
        if self._fresh and frame.recv:
            raise RemoteProtocolError(f"a fresh stream cannot be held up to {frame.recv}")
        if frame.req_lo > self._upload.body.position:
            raise RemoteProtocolError(f"gap: request bytes from {frame.req_lo} only")
        if not self._fresh:
            self._resume(frame)
        sender.credit(frame.max)
        self.limits = frame.limits
        sender.max_frame = min(sender.max_frame, frame.limits.max_frame)
        self._upload.body.restate(frame.req_lo)
        self.state = _ATTACHED

    def _resume(self, frame: Attached) -> None:
        head_known = bool(frame.flags & AttachedFlag.HEAD_KNOWN)
        self._response.resume(frame.recv, head_known=head_known)
        if self._response.body.crc_at(frame.recv) != frame.crc:
            self.reset(ResetCode.DIVERGED, f"the first {frame.recv} bytes differ")

    def _on_reject(self, frame: Reject) -> None:
        self.rejected = frame
        self.state = _DETACHED if frame.code in PASSING_REJECTS else _DONE

    def _on_end_ack(self, frame: EndAck) -> None:
        if not self._response.end_sent or frame.final != self._response.body.final:
            raise RemoteProtocolError(f"{frame}: no such END was sent")
        self.end_acknowledged = True
        self.state = _DONE

    def _on_cancel(self, frame: Cancel) -> None:
        # After END there is nothing left to stop, and the END_ACK is on its way.
        if not self._response.end_sent:
            self.cancelled = self.cancelled or frame

    # ------------------------------------------------------------------ the outcome

    def inline_answer(self, dial: str | None = None) -> Receipt | None:
        """Return the whole response as a `receipt`, if it is complete, small, and no HEAD was sent.

        The stream is then done: it sends nothing any more.
        """
        large = self._response.body.written > INLINE_ANSWER_MAX
        if large or not self.ended or self.head_committed or self._closed:
            return None
        receipt = self.receipt(dial)
        self.state = _DONE
        return receipt

    def receipt(self, dial: str | None = None) -> Receipt:
        """Return what the handler should return to the invoke now.

        Args:
            dial: why the callback could not be reached, if it could not.
        """
        status, code = self._outcome()
        sender, ended = self._response.body, status == "end"
        unwanted = self.rejected is not None and self.rejected.code in _UNWANTED
        done = self.end_acknowledged or unwanted or not ended
        head = None if done or not self._response.arrival_unknown else self._response.head
        final = sender.written if ended else sender.sent
        return Receipt(
            self._envelope.xid,
            self._envelope.inv,
            status,
            code,
            final,
            sender.crc_at(final),
            head=head,
            tail=None if done else sender.tail(),
            dial=None if dial is None else shorten(dial),
        )

    def _outcome(self) -> tuple[Literal["end", "reset", "lost"], int | None]:
        if self._reset is not None:
            return "reset", int(self._reset[0])
        if self.cancelled is not None:
            return "reset", int(ResetCode.CANCELLED)
        delivered = self.end_acknowledged or self.returnable
        return ("end", None) if delivered else ("lost", int(ResetCode.LOST))
