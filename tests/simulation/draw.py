"""From a seed to a scenario."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.simulation.client import Habits
from tests.simulation.scenario import BLOB, KIB, WIRE_FAULTS, Act, Deed, Fate, Scenario
from tests.simulation.wire import Cut

if TYPE_CHECKING:
    from gateway.route_settings import RequestBodyMode

THEMES = (
    "away",
    "die",
    "freeze",
    "leave",
    "lose",
    "part",
    "part",
    "stall",
    "stall",
    "stop",
    "upload",
)
"""Half of all scenarios have one: there one kind of trouble is frequent, so that it meets others. In some that
alone is rare enough for two shares."""


def draw(seed: int) -> Scenario:
    """Return what a seed stands for."""
    return _Draw(seed).scenario()


class _Draw:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._chance = chance = random.Random(seed)
        self._theme = chance.choice(THEMES) if chance.random() < 0.5 else ""
        self._window = chance.choice((4, 16, 64, 256)) * KIB
        self._max_frame = chance.choice((4, 8, 64)) * KIB
        self._mode: RequestBodyMode = chance.choice(
            ("inline", "spill", "spill", "stream", "stream")
        )
        self._trouble = chance.choice((0.0, 0.5, 1.0, 1.0, 2.0, 3.0))
        self._queues = self._theme == "part" and self._often(
            0.5
        )  # one exchange treads on the other's heels
        self._span = 1.0

    def scenario(self) -> Scenario:
        """Draw everything."""
        chance, slow = self._chance, self._theme in ("away", "stall")
        count = chance.choice((2, 3, 4) if self._theme == "part" else (1, 1, 2, 2, 3, 4))
        return Scenario(
            seed=self._seed,
            acts=[self._act(number) for number in range(count)],
            window=self._window,
            max_frame=self._max_frame,
            mode=self._mode,
            timeout=120.0 if slow else chance.choice((8.0, 40.0, 40.0, 120.0)),
            function_timeout=60.0 if slow else chance.choice((10.0, 40.0, 60.0)),
            concurrency=1 if self._queues else chance.choice((1, 2, 4)),
            queue=4 if self._queues else chance.choice((0, 1, 4)),
            forgets=chance.choice((0.0, 0.0, 0.5, 1.0)),
            stops=self._stops(),
        )

    def _stops(self) -> tuple[float | None, float] | None:
        if not self._goes_wrong(0.06, "stop"):
            return None
        begin: float | None = self._chance.choice((1.0, 3.0, 30.0)) * self._chance.random()
        if self._often(0.9 if self._theme == "part" else 0.1):
            begin = None
        return begin, self._chance.choice((1.0, 20.0))

    # ------------------------------------------------------------ how likely, and when

    def _often(self, share: float) -> bool:
        return self._chance.random() < share

    def _goes_wrong(self, share: float, theme: str) -> bool:
        """Throw for one kind of trouble; it is frequent where it is the theme."""
        usual = share * self._trouble
        return self._chance.random() < (max(0.6, usual) if theme == self._theme else usual)

    def _moment(self) -> float:
        """Some time in the life of the exchange at hand."""
        chance = self._chance
        return chance.random() * chance.choice((0.02, 0.2, 2.0, self._span, self._span))

    def _cut(self, about: int) -> Cut:
        chance = self._chance
        client = self._often(0.6)
        after = chance.choice((chance.randint(0, about), chance.randint(0, 1500)))
        return Cut(client, after, chance.choice(WIRE_FAULTS))

    # ------------------------------------------------------------ one exchange

    def _act(self, number: int) -> Act:
        chance = self._chance
        parts = self._theme == "part" and self._often(0.8)
        deed = self._small_deed(number) if parts else self._deed()
        self._span = 0.1 + sum(pause for _, pause in deed.chunks)
        waits = number > 0 and self._often(0.6) and not self._queues
        pause = chance.choice((0.0, 0.01, 1.0, 20.0, 100.0, 400.0)) if waits else chance.random()
        if self._theme == "part" and self._often(
            0.7
        ):  # while something is on its way, or asks for a sign of life
            pause = chance.choice((0.0, 0.01, 12.0, 20.0)) if waits else 0.1 * pause
        act = Act(number, pause, waits, self._habits(deed), deed, self._fate())
        while self._goes_wrong(0.3, "") and len(act.cuts) < 6:
            act.cuts.append(self._cut(len(deed.body) + 2000))
        act.planned = tuple(cut.how for cut in act.cuts)
        while self._goes_wrong(0.25, "away") and len(act.strikes) < 6:
            act.strikes.append((self._moment(), chance.choice(WIRE_FAULTS)))
        if self._goes_wrong(0.03, ""):
            act.edge_cut = self._cut(len(deed.body) + 300)
        if self._goes_wrong(0.12, "away"):
            act.refuses = self._refusal(act)
        return act

    def _refusal(self, act: Act) -> tuple[float, float, str]:
        """Refuse to be dialled, best from when the connection is lost."""
        chance = self._chance
        how = chance.choice(("refused", "refused", "name", "silent"))
        begin = act.strikes[0][0] if act.strikes and self._often(0.7) else self._moment()
        return begin, chance.choice((0.1, 1.0, 12.0, 25.0, 60.0)), how

    # ------------------------------------------------------------ the function

    def _events(self) -> bytes:
        """Return an event stream; a simulation cuts it into chunks anywhere."""
        parts, left = [], self._size()
        while left > 0:
            text = self._bytes(min(left, self._chance.randint(1, 3000))).hex()
            parts.append(f"data: {text}\n\n".encode())
            left -= len(parts[-1])
        return b"".join(parts)

    def _size(self) -> int:
        chance, window = self._chance, self._window
        if self._theme == "stall" and self._often(0.5):
            return chance.randint(400, 1000) * KIB
        return chance.choice(
            (
                0,
                1,
                chance.randint(1, 300),
                chance.randint(1, 20 * KIB),
                window,
                window + 1,
                2 * window,
                chance.randint(1, 300 * KIB),
            )
        )

    def _bytes(self, size: int) -> bytes:
        start = self._chance.randint(0, len(BLOB) - size)
        return BLOB[start : start + size]

    def _pieces(self, size: int) -> list[tuple[int, float]]:
        """Cut a body into at most some forty pieces, with pauses."""
        chance = self._chance
        usual = chance.choice((1, 100, max(1, self._max_frame), 30 * KIB, max(1, size)))
        usual = max(usual, size // 40)
        pause = chance.choice((0.0, 0.0, 0.01, 0.3, 2.0, 6.0))
        if self._theme in ("away", "die", "freeze"):
            pause = max(2.0, pause)
        pieces, left = [], size
        while left:
            piece = min(left, usual if self._often(0.7) else chance.randint(1, 2 * usual))
            pieces.append((piece, pause * chance.random() if self._often(0.5) else 0.0))
            left -= piece
        return pieces

    def _small_deed(self, number: int) -> Deed:
        """Answer with little; the first one after a dial, so that there is a connection for the others."""
        chance = self._chance
        size = chance.choice((0, 1, chance.randint(2, 300), 4096, 4097, chance.randint(2, 9000)))
        body, pause = self._bytes(size), chance.choice((0.0, 0.01, 0.3)) if number else 0.5
        first = chance.randint(0, size)
        return Deed("stream", body, [(first, 0.0), (size - first, pause)])

    def _deed(self) -> Deed:
        chance = self._chance
        kind = chance.choices(("stream", "answer", "raise"), (12, 1, 1))[0]
        events = self._often(0.2)
        body = self._events() if events else self._bytes(self._size())
        deed = Deed(kind, body, self._pieces(len(body)), events=events)
        deed.status = chance.choices((200, 404, 204), (12, 1, 1))[0]
        deed.sized = self._often(0.25)
        deed.opens = self._often(0.8)
        places = len(deed.chunks)
        if self._often(0.08):
            deed.fails_before = chance.randint(0, places)
        if self._often(0.05):
            deed.stops_before = chance.randint(0, places)
        if self._often(0.15):
            deed.ignores_cancel = chance.choice((0.5, 5.0, 30.0))
        deed.upload = chance.choice(("first", "first", "half", "never"))
        return deed

    def _fate(self) -> Fate:
        chance, fate = self._chance, Fate()
        if self._goes_wrong(0.04, ""):
            fate.refused = chance.choice(("throttled", "unreachable"))
            fate.refusals = chance.randint(1, 4)
        if self._goes_wrong(0.12, "lose"):
            fate.lost_at = self._moment()
        if self._goes_wrong(0.06, ""):
            fate.duplicate_at = self._moment()
        if self._goes_wrong(0.08, "die"):
            fate.dies_at, fate.dies_by = self._moment(), chance.choice(("reset", "vanish"))
        while self._goes_wrong(0.1, "freeze") and len(fate.freezes) < 3:
            fate.freezes.append((self._moment(), chance.choice((0.3, 8.0, 28.0, 50.0))))
        if self._goes_wrong(0.2, "part") and not self._queues:
            fate.late = chance.choice((0.001, 0.1, 0.1, 3.0, 25.0))
        if self._goes_wrong(0.04, "") or (self._theme == "part" and self._often(0.3)):
            fate.leaves = chance.choice(("crash", "crash", "lost", *WIRE_FAULTS))
        fate.lingers = chance.choice((0.0, 0.0, 0.005, 0.2, 0.2))
        return fate

    # ------------------------------------------------------------ the client

    def _habits(self, deed: Deed) -> Habits:
        chance = self._chance
        habits = Habits(chance.choices(("GET", "HEAD"), (12, 1))[0])
        if self._often(0.05):
            habits.version = "1.0"
        if self._often({"upload": 1.0, "part": 0.1}.get(self._theme, 0.4)):
            self._give_upload(habits)
        if self._often(0.2):
            habits.rate = max(200.0, len(deed.body) / chance.choice((0.5, 4.0, 20.0)))
        if self._goes_wrong(0.15, "leave"):
            self._let_leave(habits, len(deed.body))
        if self._goes_wrong(0.06, "stall"):
            habits.stalls_after = chance.randint(0, len(deed.body) // 4)
        return habits

    def _give_upload(self, habits: Habits) -> None:
        chance = self._chance
        habits.method = "POST"
        habits.upload = self._bytes(chance.choice((0, 1, 900, 5000, chance.randint(1, 300 * KIB))))
        habits.sized = self._often(0.6)
        habits.upload_pieces = self._pieces(len(habits.upload))
        if self._goes_wrong(0.1, "upload"):
            habits.upload_stops = chance.randint(0, len(habits.upload_pieces))

    def _let_leave(self, habits: Habits, size: int) -> None:
        chance = self._chance
        habits.leaves_by = chance.choice(("abort", "abort", "close", "vanish"))
        if self._often(0.5):
            habits.leaves_after = chance.randint(0, size)
        else:
            habits.leaves_at = self._moment()
