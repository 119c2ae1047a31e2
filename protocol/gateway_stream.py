"""One exchange as the gateway sees it; it survives the connections that carry it.

The only place that decides which connection is bound (the fence) and at which offset the response
stands. Accepted pairs (inv, epoch) strictly increase; whatever a connection that is not bound still
sends is dropped and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import CancelCode, RejectCode, RemoteProtocolError, ResetCode, StreamFailed
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
    Head,
    Reject,
    Reset,
    StreamFrame,
    Window,
)
from protocol.limits import INITIAL_WINDOW, MAX_PROTOCOL_ERRORS, Limits, shorten
from protocol.response_intake import ResponseIntake
from protocol.tombstone import Tombstone, is_stranger
from protocol.upload_source import RequestHalf, UploadSource

if TYPE_CHECKING:
    from collections.abc import Hashable

    from protocol.receipt import Receipt

#: What reaches the reader of a response.
Record = Head | Data | End | Reset


class GatewayStream(RequestHalf):
    """The gateway's side of one exchange.

    Attributes:
        bound: the connection whose frames count, or None.
        position: response bytes held so far.
        ended: a valid END is held: the response is complete.
        failed: why the exchange cannot be completed any more, or None.
        cancelled: the CANCEL that was asked for, or None.
        over: the bound connection is done with it: END acknowledged, or nobody waits for that; or RESET received.
        terminal: how every further ATTACH is answered, or None while one may be accepted.
        pair: the (inv, epoch) that was accepted last; (0, 0) before the first.
        dropped: frames that were ignored: of a fenced connection, or after the end.
        errors: rules that the function broke so far.
    """

    def __init__(
        self,
        xid: bytes,
        *,
        window: int = INITIAL_WINDOW,
        limits: Limits,
        upload: bool,
        check_length: bool = True,
    ) -> None:
        """Open the stream.

        Args:
            xid: the exchange, 16 bytes.
            window: response bytes that may be in flight or buffered.
            limits: told to the function in every ATTACHED.
            upload: the request body travels over the callback.
            check_length: hold the body against Content-Length; False for the answer to a HEAD
                request, whose Content-Length speaks of another body (RFC 9110 section 9.3.2).
        """
        self.xid = xid
        self.bound: Hashable | None = None
        self.failed: ResetCode | None = None
        self.cancelled: Cancel | None = None
        self.terminal: RejectCode | None = None
        self.pair = (0, 0)
        self.dropped = 0
        self.errors = 0
        self._limits = limits
        self._sid = 0
        self._secret = b""
        self._response = ResponseIntake(window, check_length=check_length)
        self._upload = UploadSource(limits.max_frame) if upload else None
        self._reset = False
        self._end_ack_due = False
        self.over = False
        self._cancel_due = False

    @property
    def position(self) -> int:
        """Response bytes held so far."""
        return self._response.body.position

    @property
    def at_limit(self) -> bool:
        """Whether the function has used up its credit, as far as it is known here."""
        return self._response.body.position == self._response.body.maximum

    @property
    def ended(self) -> bool:
        """Whether a valid END is held."""
        return self._response.ended

    @property
    def head(self) -> Head | None:
        """The response head, checked, once it came."""
        return self._response.head

    @property
    def duplicates(self) -> int:
        """Response bytes that came more than once."""
        return self._response.body.duplicates

    # ------------------------------------------------------------------ who is bound

    def attach(self, frame: Attach, connection: Hashable, now: float) -> Attached | Reject:
        """Decide about an ATTACH whose token the caller has verified for this (xid, inv).

        Returns:
            What to answer. After ATTACHED the connection is bound and the older one fenced. A
            REJECT changes nothing, except that a GAP fails the exchange (see `failed`).
        """
        del now  # no rule here depends on time; the argument is every stream's signature
        refusal = self._refusal(frame)
        if refusal is not None:
            return Reject(frame.sid, refusal, None, refusal.name.lower(), None)
        self.bound = connection
        self.pair = frame.inv, frame.epoch
        self._secret = frame.secret
        self._sid = frame.sid
        self._end_ack_due = self.over = False
        upload, body = self._upload, self._response.body
        flags = 0 if self._response.head is None else AttachedFlag.HEAD_KNOWN
        if body.final is not None:
            flags |= AttachedFlag.END_KNOWN
        if upload is not None:
            upload.resume(frame.req_recv, frame.req_max)
        if upload is None or upload.acknowledged:
            flags |= AttachedFlag.REQ_ENDED
        return Attached(
            frame.sid,
            recv=body.position,
            crc=body.crc,
            max=body.restate(frame.lo),
            flags=flags,
            req_lo=0 if upload is None else upload.body.acked,
            limits=self._limits,
        )

    def _refusal(self, frame: Attach) -> RejectCode | None:
        inv, epoch = self.pair
        if frame.xid != self.xid:
            return RejectCode.UNKNOWN
        if inv and is_stranger(frame, inv, self._secret):
            return RejectCode.BAD_TOKEN
        if self.terminal is not None:
            return self.terminal
        if (frame.inv, frame.epoch) <= (inv, epoch):
            return RejectCode.STALE
        held, head = frame.lo <= self._response.body.position <= frame.hi, self._response.head
        head_is_its_own = head is None or frame.flags & AttachFlag.HEAD_SENT
        upload = self._upload
        keeps = frame.req_recv == 0 if upload is None else upload.keeps(frame.req_recv)
        return None if held and head_is_its_own and keeps else self._gap()

    def _gap(self) -> RejectCode:
        """The function cannot go on where this side stands, with its head and both bodies."""
        if self.ended:  # by a receipt, which this ATTACH knows nothing of
            return RejectCode.TERMINAL
        self._fail(ResetCode.LOST)
        return RejectCode.GAP

    def detach(self, connection: Hashable) -> bool:
        """Note that a connection is gone; True if it was the bound one."""
        if self.bound is None or self.bound != connection:
            return False
        self.bound = None
        return True

    # ------------------------------------------------------------------ what the function says

    def receive(self, connection: Hashable, frame: StreamFrame, now: float) -> Record | None:
        """Take one frame of a connection.

        Returns:
            What is new in it: the checked head, a DATA with the bytes not seen before, the END, a
            RESET; None for everything else, duplicates and frames of fenced connections included.

        Raises:
            RemoteProtocolError: close that connection and `detach` it; the stream may resume.
            StreamFailed: the exchange is lost (also after the third broken rule).
        """
        del now  # see attach
        if self.bound is None or connection != self.bound or frame.sid != self._sid:
            self.dropped += 1
            return None
        if self.failed is not None or self._reset:
            self.over |= type(frame) is Reset or _parts(frame)
            self.dropped += 1
            return None
        try:
            if type(frame) is Data:
                record: Record | None = self._response.on_data(frame)
            elif type(frame) is Head:
                record = self._response.on_head(frame)
            elif type(frame) is End:
                record = self._response.on_end(frame)
                self.over = _parts(frame)
                self._end_ack_due = not self.over
            else:
                return self._take_other(frame)
        except StreamFailed as error:
            self._fail(error.reset_code)
            raise
        except RemoteProtocolError as error:
            self.rule_broken(connection, error)
            raise
        if record is not None and self.terminal is not None:  # followed for a truthful END_ACK
            self.dropped += 1
            return None
        return record

    def rule_broken(self, connection: Hashable, error: RemoteProtocolError) -> None:
        """Count a rule that a connection broke; here, or where frames are decoded or ordered.

        Raises:
            StreamFailed: it was the bound connection, and the third time within this exchange.
        """
        if self.bound is None or connection != self.bound:
            return
        self.errors += 1
        if self.errors >= MAX_PROTOCOL_ERRORS:
            self._fail(ResetCode.INTERNAL)
            last = f"broken rule number {self.errors}: {error}"
            raise StreamFailed(last, ResetCode.INTERNAL) from error

    def _take_other(self, frame: StreamFrame) -> Reset | None:
        match frame:
            case Window() | EndAck():
                self._on_upload_answer(frame)
                return None
            case Reset():
                return self._on_reset(frame)
            case _:
                raise RemoteProtocolError(f"a function never sends this: {frame}")

    def _on_upload_answer(self, frame: Window | EndAck) -> None:
        upload = self._upload
        if self.terminal is not None:  # it speaks of request bytes that are forgotten
            self.dropped += 1
        elif upload is None:
            if isinstance(frame, EndAck) or frame.ack:
                raise RemoteProtocolError(f"{frame}: no request body was sent")
        elif isinstance(frame, Window):
            upload.body.acknowledge(frame.ack, frame.max)
        else:
            upload.on_end_ack(frame)

    def _on_reset(self, frame: Reset) -> Reset | None:
        self.over = True
        if self.ended:
            self.dropped += 1
            return None
        self._reset = True
        self.terminal = self.terminal or RejectCode.TERMINAL
        return frame

    # ------------------------------------------------------------------ what the gateway says

    def consumed(self, count: int) -> bool:
        """Note that `count` more response bytes were taken by the client's transport.

        Returns:
            Whether that changes what is `due`, or the next deadline.

        Raises:
            LocalProtocolError: more than were received.
        """
        return self._response.body.consume(count)

    def grow(self, window: int) -> None:
        """Widen the window of the response; the function is told with the next frames."""
        self._response.body.grow(window)

    def due(self, now: float) -> bool:
        """Whether `frames_to_send` has something now."""
        if self.bound is None:
            return False
        if self._cancel_due or self._end_ack_due:
            return True
        if self.terminal is not None or self.over:
            return False
        upload = self._upload
        return self._response.body.is_due(now) or (upload is not None and upload.has_frames)

    def frames_to_send(self, now: float, *, may_grow: bool = True) -> list[Frame]:
        """Return what the bound connection should carry now: control frames before DATA.

        Args:
            now: seconds of any clock that does not go back.
            may_grow: let the response's window grow by itself, if it is what holds the body up.
        """
        if self.bound is None:
            return []
        frames: list[Frame] = []
        if self._cancel_due and self.cancelled is not None:
            self._cancel_due = False
            frames.append(Cancel(self._sid, self.cancelled.code, self.cancelled.message))
        if self._end_ack_due and self._response.body.final is not None:
            self._end_ack_due = False
            self.over = True
            frames.append(EndAck(self._sid, self._response.body.final))
        if self.terminal is not None or self.over:  # the response has ended, in whatever way
            return frames
        due = self._response.body.window_due(now, may_grow=may_grow)
        if due is not None:
            frames.append(Window(self._sid, *due))
        if self._upload is not None:
            frames += self._upload.frames_to_send(self._sid)
        return frames

    def next_deadline(self) -> float | None:
        """Return when to call `frames_to_send` although nothing else happens; None: never."""
        over = self.bound is None or self.terminal is not None or self.over
        return None if over else self._response.body.next_deadline()

    # ------------------------------------------------------------------ endings

    def cancel(self, code: CancelCode, message: str) -> None:
        """Ask the function to stop: by CANCEL now, or by REJECT when it attaches.

        No effect once the response ended, in whatever way.
        """
        if self.ended or self._reset or self.failed is not None or self.cancelled is not None:
            return
        self.cancelled = Cancel(self._sid, code, shorten(message))
        self.terminal = RejectCode.CANCELLED
        self._cancel_due = True
        self._upload = None

    def terminate(self, reject: RejectCode) -> None:
        """Every further ATTACH gets `reject`; a repeated END on the bound connection its END_ACK."""
        self.terminal = reject
        self._upload = None

    def tombstone(self) -> Tombstone:
        """Return what answers later connections in its place, once it is terminated."""
        return Tombstone(self.pair[0], self._secret, self.terminal or RejectCode.TERMINAL)

    def _fail(self, code: ResetCode) -> None:
        self.failed = code
        self.terminal = self.terminal or RejectCode.TERMINAL

    def apply_receipt(self, receipt: Receipt) -> list[Record]:
        """Take what the function returned as the end of its response.

        Returns:
            What is new in it, in order: the rest of the response and its END, or a RESET. Nothing
            when it belongs to another exchange or invocation, or when the end is known already.

        Raises:
            StreamFailed: it does not complete what is held (bytes between are lost, the CRC
                differs, no head).
        """
        other = receipt.xid != self.xid.hex() or self.pair[0] not in (0, receipt.inv)
        if other or self.ended or self.terminal is not None:
            self.dropped += 1
            return []
        if receipt.status != "end":
            code = receipt.code if receipt.status == "reset" and receipt.code else ResetCode.LOST
            reset = Reset(self._sid, code, receipt.final, f"receipt: {receipt.status}")
            self._on_reset(reset)
            return [reset]
        try:
            return list(self._response.complete(receipt, self._sid))
        except StreamFailed as error:
            self._fail(error.reset_code)
            raise
        except RemoteProtocolError as error:
            self._fail(ResetCode.LOST)
            raise StreamFailed(f"receipt: {error}", ResetCode.LOST) from error


def _parts(frame: StreamFrame) -> bool:
    """Whether it is an END that nobody waits for an answer to."""
    return type(frame) is End and bool(frame.flags & EndFlag.PARTING)
