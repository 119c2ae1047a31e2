"""One simulation: a seed, played to its end."""

from __future__ import annotations

import asyncio
import errno
import math
import random
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation import checks
from tests.simulation.client import Saw, Seen, Visit
from tests.simulation.draw import draw
from tests.simulation.environment import Lambda
from tests.simulation.loop import (
    DeadlockError,
    LivelockError,
    OutOfTimeError,
    Scheduler,
    VirtualLoop,
    virtual,
)
from tests.simulation.network import Network
from tests.simulation.server import CALLBACK, EDGE, Gateway

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from tests.simulation.client import Habits
    from tests.simulation.scenario import Act, Scenario
    from tests.simulation.wire import Wire

LONGEST = 5000.0
"""Virtual seconds in which every exchange of a scenario ends: four times the slowest client, the longest
pauses, and every named timer."""

REST = 700.0
"""Virtual seconds after which nothing may be left: more than any time to live (park 300 s, keep-alive
75 s, tombstones 60 s), and than a client of the simulation takes to notice a lost network."""


@dataclass
class Report:
    """What one simulation came to.

    Attributes:
        seed: of the simulation.
        problems: what must not be; empty if all is well.
        trace: what happened.
        visited: how often each event came in each state.
        steps: turns of event loops.
    """

    seed: int
    problems: list[str] = field(default_factory=list)
    trace: list[tuple[float, str, str]] = field(default_factory=list)
    visited: set[tuple[str, str]] = field(default_factory=set)
    steps: int = 0


def simulate(seed: int) -> Report:
    """Play one seed."""
    return play(draw(seed))


def play(scenario: Scenario) -> Report:
    """Play a scenario; its seed decides what it leaves open."""
    chance = random.Random(scenario.seed)
    scheduler = Scheduler(chance)
    report = Report(scenario.seed)
    with virtual(scheduler, chance), checks.watching(scheduler) as watch:
        world = World(scenario, scheduler, chance)
        try:
            world.play()
            report.problems += checks.verify(world, watch)
        except (DeadlockError, LivelockError, OutOfTimeError) as error:
            report.problems.append(f"{type(error).__name__}: {error}")
        finally:
            scheduler.close()
        report.problems += scheduler.problems
        report.trace, report.steps = scheduler.trace, scheduler.steps
        report.visited = watch.visited
    return report


class World:
    """Everything there is in one simulation.

    Attributes:
        scenario: what is played.
        gateway: the real one.
        functions: the simulated Lambda.
        seen: what each client saw, by the number of its act.
        problems: what clients could not take.
    """

    def __init__(self, scenario: Scenario, scheduler: Scheduler, chance: random.Random) -> None:
        self.scenario = scenario
        self.scheduler = scheduler
        self.network = Network(scheduler, chance)
        self.gateway_loop = scheduler.loop("gateway")
        self.client_loop = scheduler.loop("client")
        for loop in (self.gateway_loop, self.client_loop):
            loop.network = self.network
        self.functions = Lambda(scenario, scheduler, self.network, chance)
        self.seen: dict[int, Seen] = {}
        self.problems: list[str] = []
        self._stopping: asyncio.Task[None] | None = None
        self._cut_off = math.inf  # when a gateway that stops waits no more
        self.gateway = self.do(self._build(), self.gateway_loop)
        self._visits: dict[Visit, Wire] = {}
        self.network.on_wire = self._on_wire

    async def _build(self) -> Gateway:
        return Gateway(self.scenario, self.gateway_loop, self.network, self.functions)

    def do(self, job: Coroutine[Any, Any, Any], loop: VirtualLoop, seconds: float = LONGEST) -> Any:
        """Run a coroutine to its end."""
        task = loop.create_task(job)
        self.scheduler.run(task.done, seconds, getattr(job, "__name__", "job"))
        return task.result()

    # ------------------------------------------------------------ the play

    def play(self) -> None:
        """Let everything happen, and then let it all come to rest."""
        if self.scenario.stops is not None:
            begin, seconds = self.scenario.stops
            if begin is None:
                self.functions.on_return = lambda: self._stop(seconds)
            else:
                self.network.clock.call_later(begin, self._stop, seconds)
        self.do(self._acts(), self.client_loop)
        self.scheduler.run(lambda: not self.functions.pending, LONGEST, "invocations end")
        self.functions.wake()
        self.scheduler.rest(REST)
        checks.verify_rest(self)
        if self._stopping is not None:
            self._stopping.result()
        if self._stopping is None:
            self.network.listeners[CALLBACK].refuse = None
            self.do(self._probe(), self.client_loop)
            self.scheduler.rest(1.0)  # its client may be a turn ahead of the gateway
            checks.verify_forgotten(self)
            self.do(self.gateway.close(), self.gateway_loop)
            self.scheduler.rest(1.0)

    def _stop(self, seconds: float) -> None:
        self.scheduler.note("gateway", f"is to stop within {seconds:g} s")
        self._cut_off = self.scheduler.now + seconds
        self._stopping = self.gateway_loop.create_task(self.gateway.stop(seconds))

    async def _acts(self) -> None:
        loop = asyncio.get_running_loop()
        ends: list[asyncio.Task[Visit | None]] = []
        visit: Visit | None = None
        for act in self.scenario.acts:
            if act.waits and ends:
                visit = await ends[-1]
            else:
                visit = None
            await asyncio.sleep(act.begins)
            ends.append(loop.create_task(self._act(act, visit)))
        for last in [await end for end in ends]:
            if last is not None:
                last.close()

    async def _act(self, act: Act, visit: Visit | None) -> Visit | None:
        """Play one exchange; return the connection if it may be used again."""
        if act.refuses is not None:
            self._refuse(*act.refuses)
        if visit is None or not visit.usable:
            if visit is not None:
                visit.close()
            try:
                visit = await self._visit()
            except ConnectionRefusedError:  # the gateway has stopped
                self.seen[act.number] = Seen(end=Saw.NOTHING)
                return None
        if act.edge_cut is not None:
            self._visits[visit].cut(act.edge_cut)
        self.scheduler.note("client", f"asks {act.number}: {_told(act.habits)}")
        visit.vanish = self._visits[visit].black_hole
        if act.habits.rate is not None:
            self._visits[visit].client.reads = max(1, int(act.habits.rate))
        seen = self.seen[act.number] = Seen()
        seen = self.seen[act.number] = await visit.ask(act.habits, f"/{act.number}")
        seen.disturbed = self._visits[visit].faulty or self.scheduler.now > self._cut_off
        if seen.disturbed and not {"content-length", "transfer-encoding"} & seen.headers.keys():
            seen.end = Saw.BROKEN  # the FIN may be that of a box between: HTTP/1.0 cannot tell
        self.scheduler.note(
            "client", f"saw {act.number}: {seen.status} {len(seen.body)} {seen.end}"
        )
        if visit.problem is not None:
            self.problems.append(f"act {act.number}: {visit.problem}")
        if visit.usable:
            return visit
        visit.close()
        return None

    async def _visit(self) -> Visit:
        transport, visit = await self.network.connect(self.client_loop, EDGE, Visit)
        assert isinstance(visit, Visit)
        self._visits[visit] = transport.get_extra_info("socket").wire
        return visit

    async def _probe(self) -> None:
        """After everything, one exchange without a fault: the gateway still serves."""
        visit = await self._visit()
        self.scenario.acts.append(checks.probe(len(self.scenario.acts)))
        await self._act(self.scenario.acts[-1], visit)
        visit.close()
        while self.functions.pending:
            await asyncio.sleep(0.1)

    # ------------------------------------------------------------ faults

    def calm(self, act: Act) -> bool:
        """Whether nothing stood between the gateway and the function of this act."""
        fate = act.fate
        ended = fate.dies_at or fate.duplicate_at or fate.leaves is not None
        disturbed = act.refuses or act.strikes or fate.freezes or ended
        others = any(one.refuses for one in self.scenario.acts) or self.scenario.stops
        wires = (wire for wire in self.network.wires if wire.client.loop is not self.client_loop)
        return not (disturbed or others) and not any(wire.faulty for wire in wires)

    def _on_wire(self, wire: Wire) -> None:
        if wire.client.loop is not self.client_loop:
            self.functions.prepare(wire)

    def _refuse(self, begin: float, seconds: float, how: str) -> None:
        errors = {
            "refused": ConnectionRefusedError(errno.ECONNREFUSED, "connection refused"),
            "name": socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution"),
            "silent": how,
        }
        listener = self.network.listeners[CALLBACK]

        def refuse(refusal: Any) -> None:
            self.scheduler.note("net", f"dialling back: {refusal!r}")
            listener.refuse = refusal

        self.network.clock.call_later(begin, refuse, errors[how])
        self.network.clock.call_later(begin + seconds, refuse, None)


def _told(habits: Habits) -> str:
    upload = "" if habits.upload is None else f" with {len(habits.upload)} bytes"
    return f"{habits.method} HTTP/{habits.version}{upload}"
