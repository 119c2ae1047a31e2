"""One exchange as user code uses it: the outlet of its response, the source of a streamed request.

User code puts bytes in and waits for room; jobs of the I/O (see `pump`) take frames out. After a pause
that is done here and now, by the thread that writes: to wake another one would cost more than to send.
In a flood the I/O thread does it, and what comes meanwhile leaves together.

Every wait is for one thing that the I/O brings about: it has the timers. So each ending comes in two
halves, with a wait for `settled` between them, in whatever way the caller can wait.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

from lambda_client.errors import ClientGone, DeadlineReached, StreamClosed, StreamLost
from lambda_client.later import pump_type
from lambda_client.loop import io_thread
from lambda_client.outcome import report
from lambda_client.shared import BURST, PAUSE, Phase, Shared
from lambda_client.upload import Upload
from lambda_client.waiting import Waiters, let_cancellation_come, running_task
from protocol.errors import LocalProtocolError, ResetCode
from protocol.limits import INLINE_ANSWER_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambda_client.connection import Connection
    from lambda_client.invocation import Invocation
    from lambda_client.loop import Io
    from lambda_client.pump import Pump
    from lambda_client.timing import Timing
    from protocol.envelope import Envelope
    from protocol.frames import Attach
    from protocol.headers import HeaderList
    from protocol.receipt import Receipt

_IDLE, _SETTLED = Phase.IDLE, Phase.SETTLED  # for every write, as in `protocol.function_stream`
_UNATTACHED = (Phase.IDLE, Phase.DIALLING)


class Session(Shared):
    """The outlet that streams (see `response.Outlet`), and the source of a streamed request body.

    Attributes:
        pieces: of the request body, taken from the stream at one time, and not read yet.
    """

    def __init__(
        self,
        invocation: Invocation,
        envelope: Envelope,
        *,
        io: Io | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Begin an exchange; nothing is dialled yet.

        Args:
            invocation: deadline and remaining time.
            envelope: how to dial back.
            io: where sockets live; by default this process's I/O thread.
            timing: how long what may take; by default `timing.TIMING`.
        """
        super().__init__(invocation, envelope, timing)
        self.pieces: deque[bytes] = deque()
        self._io = io
        self._pump: Pump | None = None
        self._answer: Receipt | None = None  # that is all of the response
        self._halfway: object = None  # who waits for credit, of whose chunk some bytes were taken
        self._job_lingers = False  # one that was given to the I/O, for something to go along with

    @property
    def upload(self) -> Upload:
        """The request body, where it is streamed."""
        return Upload(self)  # not kept: it holds the session, which shall be free once it is over

    # ------------------------------------------------------------ the response

    @property
    def ordinary(self) -> bool:
        """Whether an ordinary return value tells the gateway all.

        It would not say whether a streamed request body was left unread on purpose.
        """
        return self.phase is Phase.IDLE and self.envelope.body == "inline"

    @property
    def started(self) -> bool:
        """Whether the head was given."""
        return self.stream.started

    def open(self) -> None:
        """Begin to dial, or attach on the parked connection. Harmless when done before."""
        io = self._io = self._io or io_thread()
        parked: Connection | None = None
        attach: Attach | None = None
        ours = False
        try:
            with self.lock:
                if self.phase is not Phase.IDLE:
                    return
                self.phase, ours = Phase.DIALLING, True
            parked = io.take_parked(self.envelope.urls, self.timing.idle, within_turn=False)
            if parked is not None:
                with self.lock:
                    # Attached here and now, so that the first write already counts as streamed.
                    attach = self.attach(io.next_sid())
                    self._job_lingers = True
        finally:  # a signal's handler may have raised: whoever goes on waits for this
            if ours:
                io.give(partial(self._begin, io, parked, attach))
                (io.wake if attach is None else io.linger)()

    def _begin(self, io: Io, parked: Connection | None, attach: Attach | None) -> None:
        """Be carried from now on: the first job of the exchange."""
        self._job_lingers = False  # before it looks: what comes from now on needs another job
        user_done = self.user_done
        try:
            make_pump = pump_type()  # brings websockets and msgpack
        except ImportError as error:
            self.unreachable(f"cannot dial back: {error}")
            return
        pump = self._pump = make_pump(io, self)
        if parked is not None and attach is not None:
            io.look_away()  # before it is asked: the gateway may answer before this goes on
            pump.reuse(parked, attach)
        else:
            if parked is not None:  # broken off in between
                parked.abort()
                self.without_connection(Phase.DIALLING)
            pump.dial()
        if user_done:
            pump.user_done()

    def start(self, status: int, headers: HeaderList) -> None:
        """Give the head; it travels with the first bytes, or at `flush`."""
        with self.lock:
            self.check()
            self.stream.start(status, headers)

    def flush(self) -> None:
        """Send the head, or the end, although nothing follows yet: with what follows in a moment, or without."""
        with self.lock:
            if self._pump_idle:
                self._job_lingers = True
                self._leave_job()
            elif not self._job_lingers:
                return  # whoever is busy will look by himself
        if self._io is not None:
            self._io.hold()
            self._sent_at = 0.0  # what it sends is no flood

    def write(self, data: bytes) -> None:
        """Take body bytes; block while there is no credit."""
        size = len(data)
        if self.phase is _IDLE and size > min(self.stream.room, INLINE_ANSWER_MAX):
            self.open()
        try:
            rest = self._put(data, size, get_ident)
            while rest:
                self.wait(self._may_go_on(get_ident))
                rest = self._put(rest, size, get_ident)
        except BaseException:
            self._break_off_write(get_ident)
            raise

    async def write_async(self, data: bytes) -> None:
        """Take body bytes; suspend the task while there is no credit."""
        size = len(data)
        try:
            rest = self._put(data, size, running_task)
            while rest:
                await self.wait_async(self._may_go_on(running_task))
                rest = self._put(rest, size, running_task)
        except BaseException as error:
            self._break_off_write(running_task)
            if isinstance(error, ClientGone | DeadlineReached):
                await let_cancellation_come()
            raise

    def end(self) -> None:
        """Say that the body is complete."""
        with self.lock:
            if self.failure is not None or self.stream.ended:
                return
            self.stream.end()
        self.flush()

    def _put(
        self, data: bytes | memoryview, size: int, who: Callable[[], object]
    ) -> bytes | memoryview:
        """Hand over as much as credit allows; return the rest, which is no copy.

        Args:
            data: what is left of a chunk.
            size: of the whole chunk. No other one begins while it is half-way.
            who: tells who writes.
        """
        with self.lock:
            if self.failure is not None or self.phase is _SETTLED:
                self.check()
            if self._halfway is not None and len(data) == size:
                return data
            try:
                accepted = self.stream.write(data)
            except LocalProtocolError as error:
                why = "write after end" if self.stream.ended else str(error)
                raise StreamClosed(why) from error
            left = len(data) - accepted
            if left and self.phase is Phase.UNREACHABLE:
                self.refuse_large_body()
            if left or self._halfway is not None:
                self._set_halfway(who() if 0 < left < size else None)
            io = self._io if accepted and (self._pump_idle or self._job_lingers) else None
            if io is not None:
                pump = self._pump
                if self._pump_idle and pump is not None:
                    io.give(pump.flush)
                self._pump_idle = self._job_lingers = False
        if io is not None:
            # After a pause it is sent here and now, in a flood by the I/O thread.
            soon = io.loop.time() - self._sent_at < PAUSE
            self._in_a_row = self._in_a_row + 1 if soon else 0
            (io.wake if self._in_a_row > BURST else io.hurry)()
        return memoryview(data)[accepted:] if left else b""

    def _may_go_on(self, who: Callable[[], object]) -> Callable[[], bool]:
        """Return what tells whether the rest of a chunk may go on."""
        me = who()
        return lambda: self.over or (self.stream.room > 0 and self._halfway in (None, me))

    def _break_off_write(self, who: Callable[[], object]) -> None:
        """Something was raised in the middle of a write: the rest will not come, but what was taken leaves."""
        with self.lock:
            if self._halfway is not None and self._halfway == who():
                self._set_halfway(None)
            self._leave_job()
        if self._io is not None:
            self._io.wake()

    def _set_halfway(self, who: object) -> None:
        before, self._halfway = self._halfway, who
        if before is not None and who is None:
            self.waiters.notify()

    def check(self) -> None:
        """Raise why nobody takes the response any more, if so. The lock is held."""
        if self.failure is not None:
            raise self.failure
        if self.phase is _SETTLED:
            raise StreamClosed("write after end" if self.stream.ended else "the response is over")

    def _leave_job(self) -> None:
        """See that the I/O will look. The lock is held."""
        if self._io is not None:
            self._io.give(self._look)
        self._pump_idle = False  # only now: a signal's handler may raise in between

    def wait(self, ready: Callable[[], bool]) -> None:
        """Block until `ready()`, which is asked with the lock held."""
        self.waiters.wait(ready, self._io)

    async def wait_async(self, ready: Callable[[], bool]) -> None:
        """As `wait`, suspending the task instead of blocking the thread."""
        await self.waiters.suspend(ready, self._io)

    # ------------------------------------------------------------ jobs of the I/O

    def _look(self) -> None:
        """Do what there is to be done, after whatever `open` began."""
        self._job_lingers = False  # before it looks: what comes from now on needs another job
        if self._pump is None:
            return
        if self.user_done:
            self._pump.user_done()
        else:
            self._pump.flush()

    def settle(self) -> None:
        """The stream is over on its connection, for better or worse: nothing carries it any more."""
        super().settle()
        self._pump = None

    def interrupted(self) -> None:
        """The I/O was broken off in the middle: what was sent may have a hole, and must not pass for whole."""
        self.tear(StreamLost("an exception came in the middle of sending"))
        if self._pump is not None:
            self._pump.settle()

    def forsake(self) -> None:
        """This process is a fork of the one that streams, which goes on."""
        self.lock = threading.Lock()
        self.waiters = Waiters(self.lock)
        self._io = self._pump = self._stop = None
        self.tear(StreamLost("this process is a fork of the one that streams"))

    # ------------------------------------------------------------ how user code is stopped

    def watch(self, stop: Callable[[], None] | None) -> None:
        """Name what stops the asynchronous user code now running."""
        with self.lock:
            self._stop = stop
            if isinstance(self.failure, ClientGone | DeadlineReached):
                self._stop_user()

    # ------------------------------------------------------------ endings

    def explains(self, error: BaseException) -> bool:
        """Whether an error in user code only says that nobody takes the response any more."""
        if isinstance(error, BaseExceptionGroup):
            return all(self.explains(part) for part in error.exceptions)
        return self.failure is not None and (
            isinstance(error, StreamClosed) or type(error).__name__ == "CancelledError"
        )

    def finish(self) -> dict[str, Any]:
        """Deliver the whole response; return the receipt.

        Raises:
            StreamClosed: it could not be delivered, and the invocation should be seen to fail.
        """
        self.begin_finish()
        if self.phase is not _SETTLED:  # most are: by this thread, just now
            self._wait_until_settled()
        return self.conclude()

    def begin_finish(self) -> None:
        """Say that user code has returned; from now on `settled` will come by itself."""
        with self.lock:
            if self.failure is None and not self.stream.ended:
                self.stream.end()
            if isinstance(self.failure, ClientGone):
                self.break_off(ResetCode.CANCELLED, "user code has stopped")
            inline = self.phase in _UNATTACHED and self._take_inline_answer()
            # Along with the end: whoever sends it shall know that nobody has more to say.
            self.user_done = self.phase is not _IDLE
        if self.phase is _IDLE and self.failure is None and not inline:
            self.open()
        self._user_is_done()

    def conclude(self) -> dict[str, Any]:
        """Return the receipt of a settled exchange.

        Raises:
            StreamClosed: it could not be delivered, and the invocation should be seen to fail.
        """
        with self.lock:
            self.phase = Phase.SETTLED
            failure, receipt = self.failure, self._answer
            if receipt is None or failure is not None:
                receipt = self.stream.receipt(self.dial_failure)
        report(failure)
        return receipt.to_json()

    def fail(self, error: BaseException) -> None:
        """Break the response off, because user code raised; waits until the gateway was told."""
        self.begin_fail(error)
        self._wait_until_settled()

    def begin_fail(self, error: BaseException) -> None:
        """Say that user code has raised; from now on `settled` will come by itself."""
        cancelled = isinstance(self.failure, ClientGone)
        code = ResetCode.CANCELLED if cancelled else ResetCode.HANDLER_ERROR
        with self.lock:
            self.returns = False
            if self.failure is not None or not self.stream.ended:  # what is complete stands
                self.break_off(code, type(error).__name__)
        self._user_is_done()

    def _take_inline_answer(self) -> bool:
        """Settle for an answer by receipt alone, if the response is small and nothing has left on any connection."""
        if self.failure is None:
            self._answer = self.stream.inline_answer(self.dial_failure)
        if self._answer is None:
            return False
        self.phase = Phase.SETTLED
        self.waiters.notify()  # a thread of the handler's may still read
        return True

    def _user_is_done(self) -> None:
        with self.lock:
            self.user_done = True
            if self.phase is Phase.IDLE:
                self.phase = Phase.SETTLED
                self.waiters.notify()
            if self._pump_idle or not self._job_lingers:  # else it sees this as well
                self._leave_job()
        if self._io is not None:  # most need nothing else, and nobody waits then
            self._io.hurry()

    def _wait_until_settled(self) -> None:
        # Whoever asks that has one call less to make than by a lambda.
        self.waiters.wait(partial(getattr, self, "settled"), self._io)
