"""One connection: which frames may come now, keepalive, park and goaway. It knows no offsets.

A connection carries one active stream at a time. Between two it is parked. Silence matters only while
one is active: a parked connection may belong to a frozen environment, which answers nothing and is not dead.

`receive` hands back the frames that concern the stream and handles the others; `frames_to_send`
returns what the connection itself has to say, to be written before the frames of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protocol.codec import DIRECTIONS, Direction
from protocol.errors import CloseCode, LocalProtocolError, RejectCode, RemoteProtocolError
from protocol.frames import (
    Attach,
    Attached,
    Data,
    End,
    EndAck,
    Frame,
    Goaway,
    Head,
    Park,
    Ping,
    Pong,
    Reject,
    Reset,
    StreamFrame,
    Window,
)
from protocol.limits import (
    ATTACH_DEADLINE,
    GOAWAY_IDLE,
    MAX_BAD_TOKENS,
    MAX_LATE_RATE,
    MAX_REFUSAL_RATE,
    MAX_RESET_RATE,
    Limits,
)

if TYPE_CHECKING:
    from protocol.errors import GoawayCode

_MS = 0.001

#: What brings a response forward and asks nothing of the connection itself.
_OF_A_RESPONSE = (Data, Head, End, Window, EndAck)

#: Says no more of an ATTACH than that it came too late.
_OVER = (RejectCode.TERMINAL, RejectCode.CANCELLED)


class Connection:
    """What both ends of a connection have in common.

    Attributes:
        limits: timers and sizes that hold here; the function replaces them by what ATTACHED says.
        active: id of the active stream, or None.
        goaway: the GOAWAY that the peer sent, or None.
        dropped: frames that were ignored because their stream is over here.
        rtt: seconds between the last PING and its PONG, or None.
        has_frames: `frames_to_send` has something.
    """

    #: What the peer may not send.
    _own_direction: Direction

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits = limits
        self.active: int | None = None
        self.goaway: Goaway | None = None
        self.dropped = 0
        self.rtt: float | None = None
        self._last_sid = 0
        self._heard = now
        self._pings = 0
        self._pinged: float | None = None
        self._pong: int | None = None
        self._queue: list[Frame] = []
        self.has_frames = False
        self._idle: _Idle | None = None
        self._park_ttl: float | None = None  # seconds; None: as long as the other end likes

    # ------------------------------------------------------------------ keepalive

    def heard(self, now: float) -> None:
        """Note that the peer lives: call it for every message, even one that is ignored."""
        self._heard = now
        self._pinged = None

    def rearm(self, now: float) -> None:
        """Forget the silence so far: this process itself was frozen or stalled."""
        self.heard(now)

    def release(self, sid: int, now: float) -> None:
        """Note that a stream is over on this connection, which is parked now; late frames are dropped."""
        if self.active == sid:
            self.active = None
            self._wait(now)

    def _wait(self, now: float) -> None:
        if self._park_ttl is not None:
            why = "parked for too long"
            self._idle = _Idle(now + self._park_ttl, CloseCode.GOING_AWAY, why)

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` has something to do; None: not before another event."""
        if self.active is None:
            return None if self._idle is None else self._idle.deadline
        if self._pinged is None:
            return self._heard + self.limits.ping_ms * _MS
        return self._pinged + self.limits.dead_ms * _MS

    def handle_timer(self, now: float) -> None:
        """Do what is due: ask a silent peer for a PONG, or give it up.

        Raises:
            RemoteProtocolError: close with its code: 4504 for a dead peer; at the gateway 4408 when
                no ATTACH came, 1001 when parked for too long.
        """
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return
        if self.active is None and self._idle is not None:
            raise RemoteProtocolError(self._idle.why, close_code=self._idle.close_code)
        if self._pinged is not None:
            silence = now - self._heard
            raise RemoteProtocolError(
                f"no sign of life for {silence:.1f} s", close_code=CloseCode.DEAD_PEER
            )
        self._pings += 1
        self._pinged = now
        self._say(Ping(self._pings))

    # ------------------------------------------------------------------ frames

    def go_away(self, code: GoawayCode, deadline_ms: int, url: str | None = None) -> None:
        """Ask the peer to start nothing more here; the active stream goes on.

        At the gateway, `handle_timer` ends the connection (1001) a moment after its stream.
        """
        if self._park_ttl is not None:
            self._park_ttl = GOAWAY_IDLE
        self._say(Goaway(code, deadline_ms, url))

    def frames_to_send(self, now: float) -> list[Frame]:
        """Return what the connection itself has to say now."""
        del now  # nothing here depends on it; the argument is every sender's signature
        frames, self._queue, self.has_frames = self._queue, [], False
        if self._pong is not None:
            frames.append(Pong(self._pong))
            self._pong = None
        return frames

    def _say(self, frame: Frame) -> None:
        self._queue.append(frame)
        self.has_frames = True

    def _receive_common(self, frame: Frame, now: float) -> StreamFrame | Park | None:
        """Handle the frames of the connection itself; return those of a stream."""
        if isinstance(frame, Pong):
            self._on_pong(frame, now)
        self.heard(now)
        if DIRECTIONS[type(frame)] is self._own_direction:
            raise RemoteProtocolError(f"a frame of the wrong direction: {frame}")
        match frame:
            case Ping():
                # One PONG waits at most: a flood of PINGs cannot fill memory.
                self._pong, self.has_frames = frame.nonce, True
            case Pong():
                pass
            case Goaway():
                self.goaway = frame
            case _:
                return frame
        return None

    def _on_pong(self, frame: Pong, now: float) -> None:
        if self._pinged is not None and frame.nonce == self._pings:
            self.rtt = now - self._pinged

    def _of_active(self, frame: StreamFrame) -> StreamFrame | None:
        if frame.sid == self.active:
            return frame
        if frame.sid > self._last_sid:
            raise RemoteProtocolError(f"a stream that was never bound here: {frame}")
        self.dropped += 1
        return None


class FunctionConnection(Connection):
    """The function's end."""

    _own_direction = Direction.FUNCTION_TO_GATEWAY

    def __init__(self, limits: Limits, now: float) -> None:
        super().__init__(limits, now)
        self._answered = self._left = now
        self._owed: int | None = None

    def proven(self, now: float) -> bool:
        """Whether the gateway said something lately: a stream would not yet ask for a sign of life."""
        return now - self._answered < self.limits.ping_ms * _MS

    def leave(self, sid: int, now: float, *, answer_due: bool) -> None:
        """Park: the stream is over as far as this end is concerned.

        Args:
            sid: of the stream.
            now: the time.
            answer_due: an END_ACK will come (or a REJECT, if its receipt was quicker), although the stream does
                not wait for it.
        """
        self._owed = sid if answer_due else None
        self._left = now
        self.release(sid, now)

    def slept(self, seconds: float) -> None:
        """Note that so many seconds more have passed while it was parked than the clock says: it was frozen."""
        self._answered -= seconds
        self._left -= seconds

    @property
    def reusable(self) -> bool:
        """Whether another stream may begin: nothing is owed to the last one, and no GOAWAY came."""
        return self._owed is None and self.goaway is None

    def open_stream(self, sid: int, now: float) -> None:
        """Note that an ATTACH with this stream id is about to be sent.

        Raises:
            LocalProtocolError: a stream is active here, or the id is not above every earlier one.
        """
        if self.active is not None:
            raise LocalProtocolError("a stream is active on this connection")
        if sid <= self._last_sid:
            raise LocalProtocolError(f"stream id {sid} is not above {self._last_sid}")
        self._last_sid = sid
        self.active = sid
        self.heard(now)

    def receive(self, frame: Frame, now: float) -> StreamFrame | None:
        """Take one frame.

        Returns:
            The frame if it belongs to the active stream, else None.

        Raises:
            RemoteProtocolError: close the connection with its code.
        """
        # What is read between two streams may have come long ago: at any time since the first was left.
        self._answered = max(self._answered, self._left) if self.active is None else now
        rest = self._receive_common(frame, now)
        if rest is None or isinstance(rest, Park):
            return None
        if isinstance(rest, EndAck | Reject) and rest.sid == self._owed:
            self._owed = None
        wanted = self._of_active(rest)
        if isinstance(wanted, Attached):
            self.limits = wanted.limits
        elif isinstance(wanted, Reject):
            self.release(wanted.sid, now)
        return wanted

    def park(self) -> None:
        """Keep the connection for a later stream; the environment may freeze once that is said.

        The gateway knows it of a connection whose stream is over. Only one that never had any says PARK.

        Raises:
            LocalProtocolError: a stream is active here.
        """
        if self.active is not None:
            raise LocalProtocolError("a stream is active on this connection")
        if not self._last_sid:
            self._say(Park())


class GatewayConnection(Connection):
    """The gateway's end."""

    _own_direction = Direction.GATEWAY_TO_FUNCTION

    def __init__(self, limits: Limits, now: float) -> None:
        super().__init__(limits, now)
        self._park_ttl = limits.park_ttl_ms * _MS
        self._idle = _Idle(now + ATTACH_DEADLINE, CloseCode.NO_ATTACH, "no ATTACH came")
        self._bad_tokens = 0
        self._refusals = _Rate(MAX_REFUSAL_RATE, 1.0, "refused ATTACH")
        self._late = _Rate(MAX_LATE_RATE, 1.0, "ATTACH of exchanges that are over")
        self._resets = _Rate(MAX_RESET_RATE, 10.0, "RESET")
        self._reset: int | None = None

    def receive(self, frame: Frame, now: float) -> StreamFrame | Park | None:
        """Take one frame.

        Returns:
            An Attach to decide about (answer by `accept` or `refuse`); a frame of the active
            stream; a Park, since the connection is parked without ever having had one; else None.

        Raises:
            RemoteProtocolError: close the connection with its code.
        """
        if isinstance(frame, _OF_A_RESPONSE) and frame.sid == self.active:  # nearly all frames
            self._heard, self._pinged = now, None
            return frame
        rest = self._receive_common(frame, now)
        if rest is None:
            return None
        if isinstance(rest, Park):
            self._on_park(now)
            return rest
        if isinstance(rest, Attach):
            return self._on_attach(rest, now)
        if isinstance(rest, Reset):
            self._on_reset(rest.sid, now)
        return self._of_active(rest)

    def _on_reset(self, sid: int, now: float) -> None:
        """Count what ends nothing; each accepted ATTACH may be followed by one that ends its stream."""
        if sid == self.active and sid != self._reset:
            self._reset = sid
        else:
            self._resets.count(now)

    def _on_attach(self, frame: Attach, now: float) -> Attach | None:
        if frame.sid <= self._last_sid:
            raise RemoteProtocolError(f"stream id {frame.sid} is not above {self._last_sid}")
        self._last_sid = frame.sid
        if self.active is None:
            return frame
        self.refuse(Reject(frame.sid, RejectCode.LIMIT, None, "a stream is active here", None), now)
        return None

    def _on_park(self, now: float) -> None:
        if self._last_sid:
            raise RemoteProtocolError("PARK after an ATTACH")
        self._wait(now)

    def accept(self, sid: int, now: float) -> None:
        """Note that the ATTACH with this stream id was accepted."""
        self.active = sid
        self.heard(now)

    def refuse(self, reject: Reject, now: float) -> None:
        """Send a REJECT; what still comes for that stream is dropped. Without another one it is parked.

        Raises:
            RemoteProtocolError: the third bad token on this connection (4401), or too many
                refusals in a second (4420).
        """
        (self._late if reject.code in _OVER else self._refusals).count(now)
        self._say(reject)
        if self.active is None:
            self._wait(now)
        if reject.code == RejectCode.BAD_TOKEN:
            self._bad_tokens += 1
        if self._bad_tokens >= MAX_BAD_TOKENS:
            raise RemoteProtocolError(
                f"{self._bad_tokens} bad tokens", close_code=CloseCode.UNAUTHENTICATED
            )


class _Idle(NamedTuple):
    deadline: float
    close_code: CloseCode
    why: str


class _Rate:
    """At most so many events in so many seconds."""

    def __init__(self, limit: int, period: float, what: str) -> None:
        self._limit = limit
        self._period = period
        self._what = what
        self._times: list[float] = []  # short, and most often empty: a deque takes 600 bytes then

    def count(self, now: float) -> None:
        self._times = [time for time in self._times if time > now - self._period]
        self._times.append(now)
        if len(self._times) > self._limit:
            raise RemoteProtocolError(
                f"more than {self._limit} {self._what} in {self._period:g} s",
                close_code=CloseCode.TOO_FAST,
            )
