"""The emulated function: a pool of worker processes behind the invoker's contract."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from gateway.deadlines import Deadlines
from gateway.errors import (
    FunctionTimedOut,
    FunctionUnreachable,
    RequestBodyTooLarge,
    Throttled,
)
from gateway.invoke.base import InvokeOutcomeUnknown, Invoker
from gateway.invoke.local.call import Call
from gateway.invoke.local.environment import function_environment
from gateway.invoke.local.limits import INIT_TIMEOUT, REQUEST_MAX, RETURN_GRACE, THROTTLE_GRACE
from gateway.invoke.local.logs import LogCallback, StderrLog
from gateway.invoke.local.reload import watch_code
from gateway.invoke.local.worker import InitTimeout, State, Worker, failure_payload, failure_text

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from gateway.invoke.base import Invocation, InvokeResult
    from gateway.invoke.local.spec import FunctionSpec
    from gateway.invoke.local.worker import InitFailure

_STARTING: Final = "a worker starts"
_SAFE_IN_HEADER: Final = bytes(range(0x20, 0x7F))


class LocalFunction(Invoker):
    """A function that runs on this machine as Lambda would run it.

    Must live on the event loop of the main thread: workers are bound to the thread that starts
    them.
    """

    def __init__(
        self, spec: FunctionSpec, *, log: LogCallback | None = None, reload: bool = True
    ) -> None:
        """Describe the function; nothing runs before `start` or the first `invoke`.

        Args:
            spec: the function.
            log: takes every line the function prints, and Lambda's START, END and REPORT lines;
                by default they go to stderr.
            reload: replace workers when a Python file below the handler's directory changes.
        """
        self.spec = spec
        self._log: LogCallback = StderrLog() if log is None else log
        self._reload = reload
        self._environment = function_environment(spec)
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting: deque[Call] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._warm: asyncio.Future[str | None] | None = None
        self._next_review: asyncio.TimerHandle | None = None
        self._closing = False

    async def start(self, *, prewarm: bool = True) -> str | None:
        """Watch the code and, if asked, start the first worker.

        Args:
            prewarm: wait until one worker is ready.

        Returns:
            One line that says why the function cannot be initialised; None when it can, or when
            that was not tried. Invocations may be tried all the same: the code may change.
        """
        if self._reload:
            self._keep(asyncio.create_task(self._watch()))
        if not prewarm:
            return None
        self._warm = asyncio.get_running_loop().create_future()
        self._spawn()
        return await self._warm

    @override
    def invoke(self, invocation: Invocation) -> asyncio.Future[InvokeResult]:
        """Run one invocation; see `gateway.invoke.base.Invoker`.

        Raises:
            Throttled: every worker is busy and no more are allowed; nothing ran.
            RequestBodyTooLarge: the event is over 6 MB; nothing ran.
            FunctionUnreachable: no process could be started, or the function is being closed.
            FunctionTimedOut: the caller's patience is over, and it has not begun to run.
            InvokeOutcomeUnknown: it runs, but the caller's patience (`Invocation.timeout`) is over.
        """
        return self._begin(invocation, want_log=False).future

    async def invoke_with_log(self, invocation: Invocation) -> tuple[InvokeResult, bytes]:
        """Run one invocation; return also the last 4 KB that it logged. Raises like `invoke`."""
        call = self._begin(invocation, want_log=True)
        result = await call.future
        return result, bytes(call.tail or b"")

    async def aclose(self) -> None:
        """End every worker and close every socket. Running invocations end as exits."""
        self._closing = True
        for task in self._tasks:
            if task.get_name() != _STARTING:
                task.cancel()
        while self._waiting:
            self._waiting.popleft().refuse(FunctionUnreachable("the gateway is shutting down"))
        for worker in tuple(self._workers):
            worker.kill()
        if self._next_review is not None:
            self._next_review.cancel()
        await asyncio.gather(*(worker.closed for worker in self._workers))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.patience.close()
        self._tell_warm("the gateway is shutting down")

    @cached_property
    def patience(self) -> Deadlines[Worker]:
        """The function's timeout, for the workers that run an invocation; made on the event loop."""
        return Deadlines(self.spec.timeout, Worker.time_out)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that are not on their way out."""
        return [worker.pid for worker in self._workers if worker.state is not State.ENDING]

    # ------------------------------------------------------------ what workers say

    def worker_idle(self, worker: Worker, *, fresh: bool) -> None:
        """A worker asks for work: it gets a waiting call, or waits for one, or is replaced."""
        if self._warm is not None:
            self._tell_warm(None)
        if worker.stale or self._closing:
            worker.kill()
            self._review()
            return
        while self._waiting:
            call = self._waiting.popleft()
            if not call.abandoned:
                worker.run(call)
                return
        self._idle.insert(0 if fresh else len(self._idle), worker)

    def worker_gone(self, worker: Worker) -> None:
        """Nothing is left of a worker."""
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if worker.init_failure is not None and not self._closing:
            self._init_failed(worker, worker.init_failure)
        self._review()

    # ------------------------------------------------------------ inside

    def _begin(self, invocation: Invocation, *, want_log: bool) -> Call:
        """Give an invocation to a worker, now or as soon as one is free."""
        context = invocation.client_context
        if context and context.translate(None, _SAFE_IN_HEADER):
            context = json.dumps(json.loads(context)).encode()
            invocation = replace(invocation, client_context=context)
        call = Call(invocation, asyncio.get_running_loop().create_future(), want_log=want_log)
        size = len(invocation.event)
        if size > REQUEST_MAX:
            call.refuse(
                RequestBodyTooLarge(f"the event has {size} bytes; Lambda takes {REQUEST_MAX}")
            )
        elif self._closing:
            call.refuse(FunctionUnreachable("the gateway is shutting down"))
        else:
            self._place(call)
        return call

    def _place(self, call: Call) -> None:
        # The one that was used last: the others may be needed less and less. One that was started for a call which
        # another took meanwhile is the last of all: it has no connection yet, and no warm caches.
        while self._idle:
            worker = self._idle.pop()
            if worker.state is State.IDLE:
                worker.run(call)
                break
        else:
            self._waiting.append(call)
            self._review()
        patience = call.invocation.timeout
        if call.started == 0.0 or patience < self.spec.timeout:
            timer = asyncio.get_running_loop().call_later(patience, self._give_up, call)
            call.future.add_done_callback(lambda _: timer.cancel())

    def _review(self) -> None:
        """See that every waiting call has a worker on its way; refuse those that cannot have one."""
        while self._waiting and self._waiting[0].abandoned:
            self._waiting.popleft()
        living = [worker for worker in self._workers if worker.state is not State.ENDING]
        missing = len(self._waiting) - sum(worker.about_to_be_free for worker in living)
        for _ in range(min(missing, self.spec.concurrency - len(living))):
            self._spawn()
            missing -= 1
        if missing > 0:
            self._throttle(missing)
        if self._waiting and self._next_review is None:
            loop = asyncio.get_running_loop()
            self._next_review = loop.call_later(RETURN_GRACE, self._review_again)

    def _throttle(self, missing: int) -> None:
        """Refuse those of the last `missing` calls that have waited long enough."""
        latest = time.monotonic() - THROTTLE_GRACE
        for call in list(self._waiting)[-missing:]:
            if call.queued <= latest:
                self._waiting.remove(call)
                call.refuse(Throttled(f"{self.spec.name}: every worker is busy"))

    def _review_again(self) -> None:
        """A worker that was expected back may be late."""
        self._next_review = None
        self._review()

    def _spawn(self, *, second_try: bool = False) -> None:
        limit = self.spec.timeout if second_try else INIT_TIMEOUT
        worker = Worker(self, self.spec, self._environment, self._log, limit)
        worker.second_try = second_try
        self._workers.add(worker)
        self._keep(asyncio.create_task(worker.start(), name=_STARTING))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _init_failed(self, worker: Worker, failure: InitFailure) -> None:
        if isinstance(failure, InitTimeout) and not worker.second_try:
            # As Lambda does: once more, within the function's own timeout.
            self._spawn(second_try=True)
            return
        self._tell_warm(failure_text(failure))
        call = next((call for call in self._waiting if not call.abandoned), None)
        if call is None:
            return
        self._waiting.remove(call)
        if isinstance(failure, OSError):
            call.refuse(FunctionUnreachable(f"{self.spec.name}: no process: {failure}"))
        else:
            call.fail(failure_payload(failure, call.request_id, worker.init_limit))

    def _tell_warm(self, failure: str | None) -> None:
        warm, self._warm = self._warm, None
        if warm is not None and not warm.done():
            warm.set_result(failure)

    def _give_up(self, call: Call) -> None:
        seconds = call.invocation.timeout
        if call.started:
            call.refuse(InvokeOutcomeUnknown(f"no outcome within {seconds:g} s"))
        else:
            call.refuse(FunctionTimedOut(f"{self.spec.name}: no worker within {seconds:g} s"))

    async def _watch(self) -> None:
        try:
            await watch_code(self.spec.directory, self._code_changed)
        except (OSError, RuntimeError) as error:  # no such folder, too many watches, ...
            self._log(self.spec.name, "", f"code changes will not be noticed: {error}")

    def _code_changed(self) -> None:
        """Replace idle workers now, and the others when they are done."""
        had_idle = bool(self._idle)
        for worker in self._workers:
            worker.stale = True
        while self._idle:
            self._idle.pop().kill()
        self._log(self.spec.name, "", "the code changed: next call runs it")
        if had_idle and not self._closing:
            self._spawn()
