"""What must hold in every simulation, whatever the seed."""

from __future__ import annotations

import json
import logging
import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from typing_extensions import override

from gateway.exchange.exchange import Exchange
from gateway.exchange.states import Event, State
from tests.simulation import partings
from tests.simulation.client import Habits, Saw
from tests.simulation.scenario import BLOB, Act, Deed, Fate
from tests.simulation.server import TIMING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.errors import GatewayError
    from tests.simulation.client import Seen
    from tests.simulation.function import Ran
    from tests.simulation.loop import Scheduler
    from tests.simulation.world import World

GATEWAY_STATUSES = frozenset({400, 413, 502, 503, 504})
"""What the gateway answers itself, for a cause that a simulation has; the functions never do."""


_OUR_EVENT = b'event: error\ndata: {"error": '

STALLED_NETWORK = 60.0
"""Seconds that the network of a simulation may add: its longest stall, to and fro."""

KEPT = 45.0
"""Seconds for which the library may go on after user code: 15 s until the tail, 10 s for END_ACK, an
attempt to dial, and a stall of the network."""

MENDED = frozenset({"reset", "hang_up"})
"""Faults of a callback after which the library is back in a few seconds."""

PROMPT = 2.0
"""Seconds in which a cancellation crosses a network of up to 0.3 s, after a dial, and is in user code."""

WINDOWS_IN_TIME = 60
"""Each costs a round trip, of up to 0.6 s on the slowest network: a body of more may outlast its function."""

SLOWEST = 10 * 1024
"""Bytes a second that the slowest wire carries: a CANCEL comes behind what is on its way to the function."""

LOGS = ("dialback", "aiohttp", "asyncio")

# ---------------------------------------------------------------- watching


@dataclass
class Watch:
    """What happened inside the gateway.

    Attributes:
        visited: (state, event) that came, and what came of `partings.PARTINGS`.
        ends: how often each exchange reached a terminal state, by its id.
        last: each exchange.
        admitted: when it was admitted.
    """

    visited: set[tuple[str, str]] = field(default_factory=set)
    ends: dict[str, int] = field(default_factory=dict)
    last: dict[str, Exchange] = field(default_factory=dict)
    admitted: dict[str, float] = field(default_factory=dict)


@contextmanager
def watching(scheduler: Scheduler) -> Iterator[Watch]:
    """Within the block every event of every exchange is seen, and every error that is logged."""
    watch, original = Watch(), Exchange.on
    names: dict[str, str] = {}

    def on(self: Exchange, event: Event, now: float, failure: GatewayError | None = None) -> bool:
        before = self.state
        watch.visited.add((before.value, event.value))
        watch.last[self.id] = self
        if event is Event.ADMITTED:
            watch.admitted[self.id] = scheduler.now
        over = original(self, event, now, failure)
        name = names.setdefault(self.id, f"exchange{len(names) + 1}")
        scheduler.note(
            name, f"{before.value} + {event.value} -> {self.state.value} {failure or ''}"
        )
        if self.state.terminal and not before.terminal:
            watch.ends[self.id] = watch.ends.get(self.id, 0) + 1
        return over

    Exchange.on = on  # type: ignore[method-assign]
    try:
        with _listening(_Errors(scheduler)), partings.noting(watch.visited):
            yield watch
    finally:
        Exchange.on = original  # type: ignore[method-assign]


@contextmanager
def _listening(handler: logging.Handler) -> Iterator[None]:
    """Within the block errors go to `handler` and nowhere else."""
    logs = [logging.getLogger(name) for name in LOGS]
    before = [(log, log.level, log.propagate) for log in logs]
    for log in logs:
        log.addHandler(handler)
        log.setLevel(logging.WARNING if log.name == "asyncio" else logging.ERROR)
        log.propagate = False
    try:
        yield
    finally:
        for log, level, propagate in before:
            log.removeHandler(handler)
            log.setLevel(level)
            log.propagate = propagate


class _Errors(logging.Handler):
    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler

    @override
    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self._scheduler.note("log", text)
        if text.startswith("response not delivered"):
            return  # what lambda_client says of a stream that is lost
        self._scheduler.problems.append(f"logged: {text}")


# ---------------------------------------------------------------- after everything


def verify(world: World, watch: Watch) -> list[str]:
    """Return what must not be."""
    problems = list(world.problems)
    for act in world.scenario.acts:
        seen, runs = world.seen[act.number], world.functions.runs.get(act.number, [])
        problems += [f"act {act.number}: {one}" for one in _of_act(act, seen, runs, watch)]
    problems += _of_states(watch)
    problems += _of_time(world, watch)
    for act in world.scenario.acts:
        ended = world.seen[act.number].end
        if ended is not Saw.CLEAN and act.number in world.functions.runs and _succeeds(world, act):
            problems.append(f"act {act.number}: {ended}, though nothing stood in its way for good")
    problems += _of_counters(world, watch)
    return problems


def _of_act(act: Act, seen: Seen, runs: list[Ran], watch: Watch) -> Iterator[str]:
    allowed = 1 if act.fate.duplicate_at is None else 2
    if len(runs) > allowed:
        yield f"{len(runs)} invocations"
    yield from _of_runs(act, runs)
    if seen.end is None:
        yield "the client never saw an end"
        return
    exchange = watch.last.get(seen.headers.get("x-dialback-exchange", ""))
    if seen.status in GATEWAY_STATUSES:
        yield from _of_refusal(seen)
    elif seen.status is not None:
        yield from _of_response(act, seen, runs)
    if exchange is not None:
        yield from _of_agreement(act, seen, exchange)


def _of_runs(act: Act, runs: list[Ran]) -> Iterator[str]:
    upload = act.habits.upload or b""
    for ran in runs:
        if ran.finished > 1 or (ran.result is not None and ran.begun_at and ran.finished != 1):
            yield f"its finally ran {ran.finished} times"
        if not upload.startswith(ran.upload):
            yield f"the function read {len(ran.upload)} bytes that were not sent"
        if ran.upload_ended and ran.upload != upload:
            yield f"an upload of {len(upload)} bytes ended after {len(ran.upload)}"


def _of_refusal(seen: Seen) -> Iterator[str]:
    if seen.end is not Saw.CLEAN or not seen.body:
        return
    try:
        told = json.loads(bytes(seen.body))
    except ValueError:
        yield f"an error page that is none: {bytes(seen.body[:100])!r}"
        return
    if set(told) != {"error", "exchange"}:
        yield f"an error page says {told}"


def _of_response(act: Act, seen: Seen, runs: list[Ran]) -> Iterator[str]:
    deed = act.deed
    if seen.status != deed.status:
        yield f"status {seen.status} instead of {deed.status}"
    body = _without_our_event(seen) if deed.events else bytes(seen.body)
    if not deed.body.startswith(body):
        yield f"{len(body)} bytes are not what was written"
    if len(body) > max((ran.offered for ran in runs), default=0):
        yield "bytes that nobody wrote"
    bodiless = act.habits.method == "HEAD" or deed.status == 204
    if seen.end is not Saw.CLEAN or bodiless:
        return
    if not any(ran.returned and ran.offered == len(seen.body) for ran in runs):
        yield f"a clean end after {len(seen.body)} bytes, but no run wrote just these"
    if deed.sized and len(seen.body) != len(deed.body):
        yield "a clean end against the Content-Length"


def _without_our_event(seen: Seen) -> bytes:
    """Return the body without the event that tells why it broke off, or the beginning of that one."""
    body = bytes(seen.body)
    rest = body.removesuffix(b"\n\n")
    boundary = rest.rfind(b"\n\n") + 2 if b"\n\n" in rest else 0
    last = body[boundary:]
    ours = last.startswith(_OUR_EVENT) or _OUR_EVENT.startswith(last)
    return body[:boundary] if ours and seen.end is not Saw.CLEAN else body


def _of_agreement(act: Act, seen: Seen, exchange: Exchange) -> Iterator[str]:
    state = exchange.state
    own = seen.status in GATEWAY_STATUSES
    if seen.end is Saw.CLEAN and not own and state is not State.COMPLETED:
        yield f"a clean end of an exchange that is {state.value}"
    # A connection that is closed while its client still sends may lose the answer (RFC 9112, 9.6).
    disturbed = seen.left or seen.disturbed or act.habits.upload is not None
    disturbed |= act.habits.stalls_after is not None
    if state is State.COMPLETED and seen.end is not Saw.CLEAN and not disturbed:
        yield "completed, but the client saw no clean end"


def _of_states(watch: Watch) -> Iterator[str]:
    for id_, exchange in watch.last.items():
        if watch.ends.get(id_) != 1 or not exchange.state.terminal:
            yield f"exchange in {exchange.state.value} after {watch.ends.get(id_, 0)} ends"


def _of_time(world: World, watch: Watch) -> Iterator[str]:
    """Nothing takes longer than the named timers, and the slowest client."""
    scenario = world.scenario
    slowest = max(
        (len(act.deed.body) / act.habits.rate for act in scenario.acts if act.habits.rate),
        default=0.0,
    )
    longest = scenario.timeout + slowest + TIMING.write_stall + STALLED_NETWORK
    for id_, begun in watch.admitted.items():
        took = (watch.last[id_].ended or math.inf) - begun
        if took > longest:
            yield f"an exchange took {took:.1f} s"
    for number, runs in world.functions.runs.items():
        act = scenario.acts[number]
        for ran in runs:
            if ran.killed_after is not None and ran.killed_after > KEPT and not act.fate.freezes:
                yield f"act {number}: an invocation went on for {ran.killed_after:.1f} s"
    for act in scenario.acts:
        yield from _of_cancel(world, act, watch)


def _of_cancel(world: World, act: Act, watch: Watch) -> Iterator[str]:
    """Where nothing stands between, a function hears at once that its client has left."""
    exchange = watch.last.get(world.functions.exchanges.get(act.number, ""))
    if exchange is None or exchange.state is not State.CANCELLED or exchange.ended is None:
        return
    if not world.calm(act) or act.deed.kind != "stream" or not act.deed.opens:
        return
    for ran in world.functions.runs.get(act.number, []):
        heard = ran.told_to_stop or ran.done_at
        since = max(exchange.ended, ran.begun_at)
        if heard is not None and heard - since > PROMPT + len(act.habits.upload or b"") / SLOWEST:
            yield f"act {act.number}: cancelled, and told {heard - since:.2f} s later"


def _of_counters(world: World, watch: Watch) -> Iterator[str]:
    route = world.gateway.telemetry.route("/")
    exchanges = list(watch.last.values())
    ends = {
        state: sum(one.state.value == state for one in exchanges)
        for state in ("completed", "failed", "cancelled")
    }
    counted = {
        state: sum(count for (outcome, _), count in route.outcomes.items() if outcome == state)
        for state in ends
    }
    if ends != counted or sum(route.outcomes.values()) != len(exchanges):
        yield f"counted {dict(route.outcomes)}, ended {ends}"
    active = len(world.gateway.telemetry.under_way)
    if active or route.queue_depth:
        yield f"{active} active, {route.queue_depth} queued at the end"
    if route.ended.body_bytes != sum(one.body_bytes for one in exchanges):
        yield f"{route.ended.body_bytes} bytes counted"
    if route.duration.count != len(exchanges):
        yield f"{route.duration.count} durations, {len(exchanges)} exchanges"


def _succeeds(world: World, act: Act) -> bool:
    """Whether an exchange has to end well: whatever went wrong could be mended, and in time."""
    scenario, deed, fate, habits = world.scenario, act.deed, act.fate, act.habits
    disturbances = (
        scenario.stops,
        any(one.refuses for one in scenario.acts),
        world.seen[act.number].disturbed,
        deed.kind != "stream",
        (deed.fails_before, deed.stops_before) != (None, None),
        (fate.lost_at, fate.dies_at, fate.duplicate_at, fate.leaves) != (None, None, None, None),
        (habits.leaves_at, habits.leaves_after, habits.stalls_after) != (None, None, None),
        fate.freezes,
        habits.upload is not None,
        any(how not in MENDED for _, how in act.strikes),
        any(how not in MENDED for how in act.planned),
        len(act.strikes) + len(act.planned) > 3,
        sum(pause for _, pause in deed.chunks) > 10.0,
        len(deed.body) > WINDOWS_IN_TIME * scenario.window,
        min(scenario.timeout, scenario.function_timeout) < 40.0,
    )
    return not any(disturbances)


# ---------------------------------------------------------------- at rest


def verify_rest(world: World) -> None:
    """Note what is left over once everything has had its time."""
    gateway, scheduler = world.gateway, world.scheduler
    problems = scheduler.problems
    problems += [f"left on the gateway: {one}" for one in world.gateway_loop.left_over()]
    if len(gateway.store):
        problems.append(f"{len(gateway.store)} journals are open")
    if len(gateway.endpoint.connections):
        problems.append(f"{len(gateway.endpoint.connections)} callbacks are open")
    problems += [f"open on the gateway: {one}" for one in world.gateway_loop.connections()]
    for environment in world.functions.environments:
        if not environment.gone:
            for loop in (environment.io_loop, environment.user_loop):
                problems += [f"left in {loop.name}: {one}" for one in loop.left_over()]


def verify_forgotten(world: World) -> None:
    """After the probe, long after everything else: only its own tombstone may be left."""
    buried = world.gateway.store._buried
    if len(buried) > 1:
        world.scheduler.problems.append(f"{len(buried)} tombstones are left")


def probe(number: int) -> Act:
    """Return an exchange that must go well: the gateway still serves, and forgets what is over."""
    body = BLOB[:1000]
    deed = Deed("stream", body, [(1000, 0.0)])
    return Act(number, 0.0, False, Habits(), deed, Fate())
