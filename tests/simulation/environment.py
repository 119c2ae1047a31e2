"""The simulated Lambda: environments that are made, reused, frozen, thawed and destroyed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from gateway.errors import FunctionUnreachable, Throttled
from gateway.invoke.base import Invocation as Call
from gateway.invoke.base import InvokeOutcomeUnknown, Invoker, InvokeResult
from lambda_client.invocation import Invocation
from protocol.envelope import KEY, Envelope
from tests.simulation.function import Ran, Run, VirtualIo, as_payload
from tests.simulation.scenario import WIRE_FAULTS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.simulation.loop import Scheduler
    from tests.simulation.network import Network
    from tests.simulation.scenario import Act, Fate, Scenario
    from tests.simulation.wire import Wire

FORGET_SECONDS = 60.0
"""After so long a network has forgotten the idle connections of a frozen environment, if it forgets."""

CRASHED = b'{"errorType": "Runtime.ExitError", "errorMessage": "exit status 137"}'
TIMED_OUT = b'{"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out"}'


class Environment:
    """One execution environment: an I/O loop, a loop for user code, and what was left from before.

    Attributes:
        io_loop: where its sockets live.
        busy: an invocation runs.
        gone: it was destroyed.
        act: whose invocation ran last.
    """

    def __init__(
        self, number: int, scheduler: Scheduler, network: Network, chance: random.Random
    ) -> None:
        self.name = f"env{number}"
        self.io_loop = scheduler.loop(f"{self.name}.io")
        self.user_loop = scheduler.loop(f"{self.name}.user")
        self.io_loop.network = network
        self.busy = False
        self.gone = False
        self.act: Act | None = None
        self._io = VirtualIo(self.io_loop, chance)
        self._network = network
        self._scheduler = scheduler
        self._naps = 0

    @property
    def wires(self) -> list[Wire]:
        """Its open connections."""
        mine = (one for one in self._network.wires if one.client.loop is self.io_loop)
        return [wire for wire in mine if wire.open]

    def run(self, invocation: Invocation, act: Act, ran: Ran, done: Callable[[Any], None]) -> None:
        """Run user code; `done` is called with its result or its exception."""
        run = Run(invocation, act.deed, ran, self._io, self.note)
        self.user_loop.call_soon(self._start, run, done)

    def _start(self, run: Run, done: Callable[[Any], None]) -> None:
        async def handle() -> None:
            try:
                result = await run.handle()
            except Exception as error:  # noqa: BLE001 - it is the runtime's job to tell
                done(error)
            else:
                done(result)

        self._task = self.user_loop.create_task(handle())

    def freeze(self) -> None:
        """Stop everything in it, its kernel included."""
        self._naps += 1
        for loop in (self.io_loop, self.user_loop):
            self._network.freeze(loop)

    def thaw(self) -> None:
        """Let it go on."""
        if not self.gone:
            self._naps += 1
            for loop in (self.user_loop, self.io_loop):
                self._network.thaw(loop)

    def nap(self, seconds: float) -> None:
        """Freeze for a while, in the middle of whatever it does."""
        if self.busy and not self.io_loop.frozen:
            self.note(f"frozen for {seconds:g} s")
            self.freeze()
            self._network.clock.call_later(seconds, self._wake, self._naps)

    def forget_later(self, how: str) -> None:
        """The network forgets its connections, if it stays frozen for long."""
        self._network.clock.call_later(FORGET_SECONDS, self._forget, self._naps, how)

    def destroy(self, how: str) -> None:
        """End it, with a RST on each connection, or without a trace."""
        if self.gone:
            return
        self.note(f"destroyed ({how})")
        self.gone = True
        for wire in self.wires:
            if how == "reset":
                wire.tell_reset(wire.client)
            else:
                wire.black_hole()
        self.freeze()

    def note(self, what: str) -> None:
        """Write a line of the trace."""
        self._scheduler.note(self.name, what)

    def _wake(self, nap: int) -> None:
        if nap == self._naps:
            self.note("thaws")
            self.thaw()

    def _forget(self, nap: int, how: str) -> None:
        if nap == self._naps:
            for wire in self.wires:
                getattr(wire, how)()


def as_outcome(value: Any) -> tuple[bytes, str | None]:
    """Return what the runtime makes of a handler's result or exception: a payload, and X-Amz-Function-Error."""
    if isinstance(value, Exception):
        return as_payload({"errorType": type(value).__name__, "errorMessage": ""}), "Unhandled"
    return as_payload(value), None


class Lambda(Invoker):
    """Runs the acts of a scenario.

    Attributes:
        runs: every run of user code, by the number of its act.
        environments: all that were ever made.
        pending: invocations under way, known to the gateway or not.
        awake: environments are not frozen any more.
        exchanges: the exchange of each act that was invoked.
        on_return: called as the first function returns.
    """

    def __init__(
        self, scenario: Scenario, scheduler: Scheduler, network: Network, chance: random.Random
    ) -> None:
        self._scenario = scenario
        self._scheduler = scheduler
        self._network = network
        self._chance = chance
        self.runs: dict[int, list[Ran]] = {}
        self.environments: list[Environment] = []
        self.pending = 0
        self.awake = False
        self.exchanges: dict[int, str] = {}
        self.on_return: Callable[[], None] | None = None

    @override
    async def invoke(self, invocation: Call) -> InvokeResult:
        event = json.loads(invocation.event)
        act = self._scenario.acts[int(event["rawPath"][1:])]
        self.exchanges[act.number] = event["requestContext"]["requestId"]
        fate = act.fate
        await asyncio.sleep(0.001)
        if fate.refusals > 0:
            fate.refusals -= 1
            raise Throttled if fate.refused == "throttled" else FunctionUnreachable
        outcome: asyncio.Future[InvokeResult] = asyncio.get_running_loop().create_future()
        self._call(invocation, act, outcome)
        if fate.duplicate_at is not None:
            again = asyncio.get_running_loop().create_future()
            self._network.clock.call_later(fate.duplicate_at, self._call, invocation, act, again)
        try:
            async with asyncio.timeout(fate.lost_at):
                return await asyncio.shield(outcome)
        except TimeoutError:
            self._scheduler.note("lambda", f"invoke leg of {act.number} is lost")
            raise InvokeOutcomeUnknown from None

    # ------------------------------------------------------------ one invocation

    def _call(self, call: Call, act: Act, outcome: asyncio.Future[InvokeResult]) -> None:
        environment, start = self._find()
        environment.busy, environment.act = True, act
        self.pending += 1
        ran = Ran()
        self.runs.setdefault(act.number, []).append(ran)
        environment.note(f"runs invocation of {act.number}")

        def done(payload: bytes, error: str | None) -> None:
            if environment.busy:
                environment.busy = False
                self.pending -= 1
                environment.note(f"returned {payload[:160]!r} {error or ''}")
                result = InvokeResult(payload, error, "request")
                lost = act.fate.leaves == "lost"
                told = InvokeOutcomeUnknown() if lost else result
                self._network.clock.call_later(act.fate.late, _tell, outcome, told)

        self._network.clock.call_later(start, self._begin, environment, call, act, ran, done)

    def _find(self) -> tuple[Environment, float]:
        for environment in self.environments:
            if not environment.busy and not environment.gone:
                return environment, 0.001
        number = len(self.environments) + 1
        made = Environment(number, self._scheduler, self._network, self._chance)
        self.environments.append(made)
        return made, self._chance.choice((0.01, 0.3, 2.0))

    def _begin(
        self,
        environment: Environment,
        call: Call,
        act: Act,
        ran: Ran,
        done: Callable[[bytes, str | None], None],
    ) -> None:
        clock, fate, seconds = self._network.clock, act.fate, self._scenario.function_timeout
        over = False  # another run of the same act may be under way when its timers fire

        def returned(value: Any) -> None:
            nonlocal over
            over, ran.result = True, value
            self._returns(environment, fate, as_outcome(value), done)

        def end(how: str, payload: bytes) -> None:
            if environment.busy and not over:
                if payload is TIMED_OUT and ran.done_at is not None:
                    ran.killed_after = clock.time() - ran.done_at
                environment.destroy(how)
                done(payload, "Unhandled")

        def nap(length: float) -> None:
            if not over:
                environment.nap(length)

        environment.thaw()
        self.strike(environment)
        envelope = Envelope.parse(json.loads(call.client_context or b"{}")["custom"][KEY])
        deadline = environment.user_loop.time() + seconds
        environment.run(Invocation({}, envelope, seconds, deadline), act, ran, returned)
        clock.call_later(seconds, end, "reset", TIMED_OUT)
        if fate.dies_at is not None:
            clock.call_later(fate.dies_at, end, fate.dies_by, CRASHED)
        for at, length in fate.freezes:
            clock.call_later(at, nap, length)
        for at, how in act.strikes:
            clock.call_later(at, self._strike_all, environment, how)

    def _returns(
        self,
        environment: Environment,
        fate: Fate,
        outcome: tuple[bytes, str | None],
        done: Callable[[bytes, str | None], None],
    ) -> None:
        """Let happen what comes just as it returns; then it freezes until the next one."""
        clock = self._network.clock
        hook, self.on_return = self.on_return, None
        if hook is not None:
            hook()
        if fate.leaves == "crash":
            how = self._chance.choice(("reset", "vanish"))
            clock.call_later(fate.lingers, environment.destroy, how)
            clock.call_later(fate.lingers, done, CRASHED, "Unhandled")
            return
        if fate.leaves in WIRE_FAULTS:
            self._strike_all(environment, fate.leaves)
        done(*outcome)
        clock.call_later(fate.lingers, self._rest, environment)

    def _rest(self, environment: Environment) -> None:
        if self.awake or environment.busy or environment.gone:
            return
        environment.freeze()
        if self._chance.random() < self._scenario.forgets:
            environment.forget_later(self._chance.choice(("black_hole", "forget")))

    def wake(self) -> None:
        """Thaw every environment for good."""
        self.awake = True
        for environment in self.environments:
            environment.thaw()

    # ------------------------------------------------------------ faults of its connections

    def strike(self, environment: Environment) -> None:
        """Let the next cut that waits for this act's connections come to those that are open."""
        for wire in environment.wires:
            self.prepare(wire)

    def prepare(self, wire: Wire) -> None:
        """A wire is in use: let the next cut that waits come to it."""
        act = next((one.act for one in self.environments if one.io_loop is wire.client.loop), None)
        if act is not None and act.cuts:
            wire.cut(act.cuts.pop(0))

    def _strike_all(self, environment: Environment, how: str) -> None:
        for wire in environment.wires:
            getattr(wire, how)()


def _tell(outcome: asyncio.Future[InvokeResult], told: InvokeResult | InvokeOutcomeUnknown) -> None:
    outcome.get_loop().call_soon_threadsafe(_resolve, outcome, told)


def _resolve(
    outcome: asyncio.Future[InvokeResult], told: InvokeResult | InvokeOutcomeUnknown
) -> None:
    if outcome.done():
        return
    if isinstance(told, InvokeOutcomeUnknown):
        outcome.set_exception(told)
        outcome.exception()  # nobody may be left who takes it
    else:
        outcome.set_result(told)
