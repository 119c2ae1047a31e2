"""One execution environment: a runtime process, its Runtime API, and its states."""

from __future__ import annotations

import asyncio
import datetime
import enum
import json
import math
import time
from typing import TYPE_CHECKING, Protocol, TypeAlias

from gateway.invoke.local import errors
from gateway.invoke.local.environment import worker_environment
from gateway.invoke.local.limits import EXIT_GRACE, RETURN_GRACE
from gateway.invoke.local.logs import LogPipe
from gateway.invoke.local.process import WorkerProcess
from gateway.invoke.local.runtime_api import RuntimeApi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.deadlines import Deadlines
    from gateway.invoke.local.call import Call
    from gateway.invoke.local.logs import LogCallback
    from gateway.invoke.local.spec import FunctionSpec


class State(enum.Enum):
    """Where a worker is in its life."""

    STARTING = enum.auto()
    IDLE = enum.auto()
    RUNNING = enum.auto()
    RETURNING = enum.auto()
    """It has answered and has not asked for more yet."""
    ENDING = enum.auto()
    """Killed or exited; what it left behind is being collected."""


class InitTimeout(Exception):
    """The handler's module took too long to import."""


InitFailure: TypeAlias = bytes | int | InitTimeout | OSError
"""AWS's error object as posted, an exit code, or what kept it from starting."""


def failure_payload(failure: bytes | int | InitTimeout, request_id: str, limit: float) -> bytes:
    """Return the error object for the invocation that had to see an initialisation fail.

    Args:
        failure: what went wrong.
        request_id: the invocation.
        limit: seconds the initialisation was allowed.
    """
    if isinstance(failure, bytes):
        return failure
    if isinstance(failure, int):
        return errors.exited(request_id, failure)
    return errors.timed_out(request_id, limit)


def failure_text(failure: InitFailure) -> str:
    """Return one line for the operator."""
    if isinstance(failure, int):
        return errors.exit_text(failure)
    if isinstance(failure, InitTimeout):
        return "the handler's module took too long to import"
    if isinstance(failure, OSError):
        return f"no process could be started: {failure}"
    try:
        posted = json.loads(failure)
        return f"{posted['errorType']}: {posted['errorMessage']}".partition("\n")[0]
    except (ValueError, KeyError, TypeError):
        return failure.decode("utf-8", "replace")


class Pool(Protocol):
    """What a worker tells the function it belongs to."""

    @property
    def patience(self) -> Deadlines[Worker]:
        """With those that run an invocation: the function's timeout."""
        ...

    def worker_idle(self, worker: Worker, *, fresh: bool) -> None:
        """The worker waits at ``/next``: give it a call, or end it; left idle, it is frozen.

        Args:
            worker: which.
            fresh: whether it has never run a call.
        """
        ...

    def worker_gone(self, worker: Worker) -> None:
        """The process is reaped and everything closed; `init_failure` says if it never was ready."""
        ...


class Worker:
    """One execution environment, for one invocation at a time.

    Attributes:
        state: see `State`.
        stale: the code changed; it may finish what it runs and is replaced then.
        init_limit: seconds its initialisation may take.
        second_try: it stands for one whose initialisation took too long; set by the pool.
        init_failure: why it never became ready; None when it was ready once.
        closed: resolved when nothing of it is left.
    """

    def __init__(
        self,
        pool: Pool,
        spec: FunctionSpec,
        environment: Mapping[str, str],
        log: LogCallback,
        init_limit: float,
    ) -> None:
        self._pool = pool
        self._spec = spec
        self._environment = environment
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._api = RuntimeApi(self)
        self._process: WorkerProcess | None = None
        self._pipe: LogPipe | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._call: Call | None = None  # has no outcome yet
        self._unreported: Call | None = None  # its END and REPORT lines are still to come
        self._request_id = ""
        self._verdict: bytes | None = None
        self._exit_code: int | None = None
        self._since = time.monotonic()
        self._init_duration: float | None = None
        self._init_reported = False
        self._head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {spec.arn(environment['AWS_REGION'])}\r\n"
        ).encode()
        self.state = State.STARTING
        self.stale = False
        self.init_limit = init_limit
        self.second_try = False
        self.init_failure: InitFailure | None = None
        self.closed: asyncio.Future[None] = self._loop.create_future()

    # ------------------------------------------------------------ for the pool

    async def start(self) -> None:
        """Start the process; `Pool.worker_idle` or `Pool.worker_gone` follows."""
        try:
            await self._api.start()
            if self.state is State.STARTING:
                self._spawn()
        except OSError as error:
            self.init_failure = error
            self._collect()
        except ValueError as error:  # an environment that no process can have
            self.init_failure = OSError(str(error))
            self._collect()
        else:
            if self.state is State.ENDING:
                self._collect()

    def run(self, call: Call) -> None:
        """Give an idle worker an invocation."""
        assert self._process is not None  # noqa: S101 - an idle worker has one
        timeout = self._spec.timeout
        self._call = self._unreported = call
        self._request_id = call.request_id
        self.state = State.RUNNING
        # In this order it is woken once, and finds its invocation.
        self._api.send(call.head(self._head, timeout), call.invocation.event)
        self._process.thaw()
        call.started = time.monotonic()
        self._pool.patience.begin(self)
        self._lines(call, f"START RequestId: {call.request_id} Version: $LATEST")

    def kill(self) -> None:
        """End the worker whatever it does; `Pool.worker_gone` follows."""
        self._stop_timer()
        self.state = State.ENDING
        if self._process is not None:
            self._process.kill()

    @property
    def about_to_be_free(self) -> bool:
        """Whether it, or its place, is to be had without an invocation having to end first."""
        if self.state is State.RETURNING:
            return time.monotonic() - self._since < RETURN_GRACE
        return self.state is State.STARTING

    @property
    def pid(self) -> int:
        """The process id; 0 before there is a process."""
        return 0 if self._process is None else self._process.pid

    # ------------------------------------------------------------ what the runtime says

    def next_requested(self) -> None:
        """The runtime is ready for an invocation."""
        fresh = self.state is State.STARTING
        if fresh:
            self._init_duration = time.monotonic() - self._since
            self._stop_timer()
        elif self.state is State.RETURNING:
            self._pool.patience.end(self)
        else:
            return
        self._report()
        self.state = State.IDLE
        self._pool.worker_idle(self, fresh=fresh)
        if self.state is State.IDLE:
            # Under load a call for it is often here already, in this very turn of the loop.
            self._loop.call_soon(self._freeze)

    def answered(self, request_id: bytes, body: bytes | None, *, failed: bool) -> bool:
        """The handler of an invocation returned, or raised; whether it was the one that runs here."""
        call = self._call
        if call is None or self.state is not State.RUNNING:
            return False
        if request_id != call.request_id.encode():
            return False
        self._call = None
        self.state = State.RETURNING
        self._since = time.monotonic()
        if call.tail is not None:
            self._report()
        if failed or body is None:
            call.fail(errors.response_too_large() if body is None else body)
        else:
            call.succeed(body)
        return True

    def init_failed(self, body: bytes) -> None:
        """The handler could not be imported."""
        if self.state is State.STARTING:
            self.init_failure = body
            self.kill()

    def next_lost(self) -> None:
        """The runtime hung up while it should wait: it is gone, or of no use."""
        if self.state is State.IDLE:
            self.kill()

    def disconnected(self) -> None:
        """The last connection is gone."""
        if self._exit_code is not None:
            self._collect()

    # ------------------------------------------------------------ inside

    def _freeze(self) -> None:
        if self.state is State.IDLE and self._process is not None:
            self._process.freeze()

    def _spawn(self) -> None:
        self._pipe = LogPipe(self._line)
        try:
            self._process = WorkerProcess(
                self._spec,
                worker_environment(self._environment, self._api.address),
                self._pipe.write_end,
                self._exited,
            )
        finally:
            self._pipe.close_write_end()
        self._timer = self._loop.call_later(self.init_limit, self.time_out)

    def time_out(self) -> None:
        """The initialisation, the invocation, or the way back to ``/next`` took too long."""
        if self.state is State.STARTING:
            self.init_failure = InitTimeout()
            self._line(
                f"INIT_REPORT Init Duration: {self.init_limit * 1000:.2f} ms\t"
                "Phase: init\tStatus: timeout"
            )
        elif self.state is State.RUNNING:
            now = datetime.datetime.now(datetime.UTC)
            stamp = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z"
            phrase = errors.timeout_text(self._spec.timeout)
            self._line(f"{stamp} {self._request_id} {phrase}")
            self._verdict = errors.timed_out(self._request_id, self._spec.timeout)
        self.kill()

    def _exited(self, exit_code: int) -> None:
        """The process is reaped; what it sent last may still stand in its sockets."""
        self._exit_code = exit_code
        if not self._api.connected:
            self._collect()
        else:
            self._stop_timer()
            self._timer = self._loop.call_later(EXIT_GRACE, self._api.close)

    def _collect(self) -> None:
        """Give the call its outcome, close everything, and tell the pool."""
        if self.closed.done():
            return
        self._stop_timer()
        self.state = State.ENDING
        if self._init_duration is None and self.init_failure is None:
            self.init_failure = self._exit_code or 0
        self._fail_call(self._exit_code or 0)
        if self._pipe is not None:
            self._pipe.close()
        self._api.close()
        self.closed.set_result(None)
        self._pool.worker_gone(self)

    def _fail_call(self, exit_code: int) -> None:
        call, self._call = self._call, None
        if call is None:
            self._report()
        elif self._verdict is not None:
            self._report("Status: timeout")
            call.fail(self._verdict)
        else:
            self._report("Status: error\tError Type: Runtime.ExitError")
            self._line(f"RequestId: {call.request_id} {errors.exit_text(exit_code)}")
            call.fail(errors.exited(call.request_id, exit_code))

    def _stop_timer(self) -> None:
        self._pool.patience.end(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _report(self, status: str = "") -> None:
        """Print what the function wrote until now, and then how the invocation went, once."""
        if self._pipe is not None:
            self._pipe.flush()  # what the runtime logs has no newline at its end
        call, self._unreported = self._unreported, None
        if call is None:
            return
        memory = 0 if self._process is None else self._process.peak_memory()
        duration = (time.monotonic() - call.started) * 1000
        init = ""
        if not self._init_reported and self._init_duration is not None:
            self._init_reported = True
            init = f"Init Duration: {self._init_duration * 1000:.2f} ms\t"
        self._lines(
            call,
            f"END RequestId: {call.request_id}",
            f"REPORT RequestId: {call.request_id}\tDuration: {duration:.2f} ms\t"
            f"Billed Duration: {math.ceil(duration)} ms\tMemory Size: {self._spec.memory} MB\t"
            f"Max Memory Used: {memory} MB\t{init}{status}".rstrip("\t"),
        )

    def _line(self, line: str) -> None:
        self._lines(self._unreported, line)

    def _lines(self, call: Call | None, *lines: str) -> None:
        if call is not None and call.tail is not None:
            call.log(*lines)
        self._log(self._spec.name, self._request_id, *lines)
