"""A model of attach, resume, credit, END_ACK, parting and fencing: every state is four tuples of small numbers.

One response of `Config.body` units, each its own DATA. The function and the gateway exchange frames
over connections that keep their order but not each other's; any of them may be cut at any moment, and
each end notices a cut when it pleases. The function may attach anew while its older connection still
delivers. One that has parted may attach for the next exchange on the connection that it left: that one goes no
further than its ATTACHED. What a step does follows `protocol/SPEC.md` alone; `tests/model/real.py` holds it against
the code.

    state = (function, gateway, one queue for each connection towards the gateway, the queue back)

Only the newest connection has a queue back: the function ignores what comes on any other. A frame is
a number, see `frame`. Steps marked as faults are cuts and attaches without need; the last attach is
kept for after the faults, so whoever cannot reach the end without a fault is stuck.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.config import Mutant
from tests.model.gateway import Gateway
from tests.model.state import (
    ACKED,
    ATTACH,
    ATTACHED,
    ATTACHED_FRAME,
    ATTACHING,
    BOUND,
    BOUND_HERE,
    BURIED,
    CARRIES_NEXT,
    CREDIT,
    CUT,
    DATA,
    DELIVERED,
    DETACHED,
    DONE,
    END,
    END_ACK,
    END_SENT,
    ENDED,
    EPOCH,
    FAILED,
    FINISHED,
    FREE,
    GOES_ON,
    HEAD,
    HEAD_FRAME,
    HEAD_KNOWN,
    HEAD_SENT,
    HELD,
    HELD_UP_TO,
    LEAVES,
    LEFT,
    LIMIT,
    LOST,
    MAIN_OWNER,
    MODE,
    NEXT,
    NEXT_ATTACHED,
    NOBODY,
    NONE,
    OUTCOME,
    OWES,
    OWNER,
    PARTS,
    RECEIPT,
    REFUSED,
    REJECT_TERMINAL,
    SENT,
    SERVES_NEXT,
    STALE,
    TAKEN,
    TERMINAL,
    WAITS,
    WINDOW,
    WRITTEN,
    Ints,
    State,
    Step,
    Violation,
    fields,
    frame,
    listens,
)

if TYPE_CHECKING:
    from tests.model.config import Config


class Model:
    """The successor function of one world, and its invariants.

    Attributes:
        config: the world.
    """

    def __init__(self, config: Config, mutant: Mutant | None = None) -> None:
        self.config = config
        self._mutant = mutant
        self._gateway = Gateway(config, mutant)

    def initial(self) -> State:
        """Nothing was dialled yet."""
        window = self.config.window
        function = (DETACHED, 0, 0, 0, 0, window, 0, 0, 0, 0, NONE, 0, BOUND_HERE)
        gateway = (0, -1, 0, 0, window, 0, 0, 0, 0, NOBODY, 0)
        stale: Ints = ()
        if self.config.stale:
            stale = (frame(ATTACH), frame(HEAD_FRAME), frame(DATA, 0))
        return function, gateway, (stale,) + ((),) * self.config.attaches, ()

    def is_terminal(self, state: State) -> bool:
        """Whether the function returned and the client has all, or the exchange failed visibly."""
        function, gateway = state[0], state[1]
        if function[MODE] != DONE or (function[LEFT] == CARRIES_NEXT and not function[CUT]):
            return False
        if gateway[TERMINAL] == FAILED:
            return True
        whole = gateway[ENDED] and gateway[TAKEN] == self.config.body
        return bool(whole) and function[OUTCOME] in (HELD, DELIVERED)

    def check(self, state: State) -> None:
        """Hold the invariants against a state.

        Raises:
            Violation: one does not hold.
        """
        f, g = state[0], state[1]
        if not f[ACKED] <= g[HELD_UP_TO] <= g[LIMIT] or not g[TAKEN] <= g[HELD_UP_TO]:
            raise Violation("I2: acknowledged <= held <= limit does not hold")
        if f[SENT] > f[CREDIT] or f[CREDIT] > g[LIMIT]:
            raise Violation("I2: the function has credit that was never given")
        if g[HELD_UP_TO] - g[TAKEN] > self.config.window:
            raise Violation("I3: the gateway buffers more than a window")
        if f[OUTCOME] == HELD and not g[ENDED] and g[TERMINAL] != FAILED:
            raise Violation("I6: the function returned, and the gateway does not hold everything")

    def steps(self, state: State) -> list[Step]:
        """Everything that may happen next.

        Raises:
            Violation: a step breaks a rule; the text ends with the step.
        """
        found: list[Step] = []
        self._function_acts(state, found)
        self._network_acts(state, found)
        self._gateway_acts(state, found)
        return found

    # ------------------------------------------------------------------ the function

    def _function_acts(self, state: State, found: list[Step]) -> None:
        f, config = state[0], self.config
        if f[MODE] != DONE:
            if f[WRITTEN] < min(config.body, f[CREDIT]):
                found.append(("write", False, self._produces(state, WRITTEN)))
            if f[WRITTEN] == config.body:
                self._ends(state, found)
            if f[EPOCH] < config.attaches:
                needed = f[MODE] == DETACHED
                if needed or f[EPOCH] < config.attaches - 1:
                    found.append(("attach", not needed, self._attaches(state)))
            if f[CUT] and f[MODE] != DETACHED:
                found.append(("function notices the cut", False, _with(state, MODE, DETACHED)))
            if config.receipts and f[FINISHED]:
                found.append(("give up", False, self._gives_up(state)))
        elif f[OUTCOME] == RECEIPT:
            found.append(("receipt", False, self._receipt_arrives(state)))
        early = f[LEFT] == OWES and self._mutant is Mutant.REUSED_BEFORE_END_ACK
        if (f[LEFT] == FREE or early) and not f[CUT]:
            found.append(("next", False, _attaches_next(state)))

    def _ends(self, state: State, found: list[Step]) -> None:
        over = state[0][FINISHED]
        parts = self.config.parting >= 0
        if over == GOES_ON:
            found.append(("end", False, self._produces(state, FINISHED)))
            if parts:
                found.append(("part", False, self._produces(state, FINISHED, PARTS)))
        if parts and over in (GOES_ON, WAITS):
            found.append(("leave", False, self._produces(state, FINISHED, LEAVES)))

    def _produces(self, state: State, field: int, value: int | None = None) -> State:
        function = list(state[0])
        function[field] = function[field] + 1 if value is None else value
        return self._speaks(state, function, state[3])

    def _attaches(self, state: State) -> State:
        f = list(state[0])
        f[EPOCH] += 1
        f[MODE], f[CUT] = ATTACHING, 0
        epoch = f[EPOCH]
        first = (frame(ATTACH, f[ACKED], f[SENT], f[HEAD_SENT]),)
        queues = (*state[2][:epoch], first, *state[2][epoch + 1 :])
        return self._speaks((state[0], state[1], queues, ()), f, ())

    def _speaks(self, state: State, f: list[int], back: Ints) -> State:
        """Hand out what may go now on the newest connection."""
        out: list[int] = []
        if self._may_speak(f):
            if (f[WRITTEN] or f[FINISHED]) and not f[HEAD_SENT]:
                f[HEAD_SENT] = 1
                out.append(frame(HEAD_FRAME))
            while f[SENT] < min(f[WRITTEN], f[CREDIT]):
                out.append(frame(DATA, f[SENT]))
                f[SENT] += 1
            if f[FINISHED] and f[SENT] == f[WRITTEN] and not f[END_SENT]:
                f[END_SENT] = 1
                out.append(frame(END, f[WRITTEN]))
                if self._mutant is Mutant.RETURN_BEFORE_END_ACK:
                    f[MODE], f[OUTCOME] = DONE, HELD
        self._parts(f, out)
        queues = state[2]
        if out and not f[CUT]:
            epoch = f[EPOCH]
            queues = (*queues[:epoch], queues[epoch] + tuple(out), *queues[epoch + 1 :])
        return tuple(f), state[1], queues, back

    def _may_speak(self, f: list[int]) -> bool:
        fresh = f[EPOCH] == 1 and not self.config.stale
        early = fresh or self._mutant is Mutant.DATA_BEFORE_ATTACHED
        return f[MODE] == ATTACHED or (f[MODE] == ATTACHING and early)

    def _parts(self, f: list[int], out: list[int]) -> None:
        """Wait for nothing, if END was sent here and little is not acknowledged; it may say so in its END."""
        if f[FINISHED] not in (PARTS, LEAVES) or f[WRITTEN] - f[ACKED] > self.config.parting:
            return
        silently = f[FINISHED] == PARTS and bool(out) and out[-1] & 15 == END
        if silently:
            out[-1] = frame(END, f[WRITTEN], 0, 1)
        elif self._mutant is Mutant.PARTED_BEFORE_END:
            silently = f[MODE] == ATTACHING
        elif not f[END_SENT] or not self._may_speak(f):
            return
        f[MODE], f[OUTCOME], f[LEFT] = DONE, RECEIPT, FREE if silently else OWES

    def _gives_up(self, state: State) -> State:
        f = list(state[0])
        f[MODE], f[OUTCOME] = DONE, RECEIPT
        return tuple(f), state[1], state[2], ()

    def _hears(self, state: State) -> State:
        """The function takes the first frame of its newest connection."""
        f, back = list(state[0]), state[3][1:]
        kind, first, second, flag = fields(state[3][0])
        if f[LEFT] != BOUND_HERE:
            return _drops(state, f, kind)
        if kind == ATTACHED_FRAME:
            self._resumes(f, first, second, flag)
        elif kind == WINDOW:
            if first > f[SENT]:
                raise Violation("I2: WINDOW acknowledges what was never sent")
            if first >= f[ACKED]:
                f[ACKED] = first
                f[CREDIT] = max(f[CREDIT], second)
        elif kind == END_ACK:
            if not f[END_SENT]:
                raise Violation("I6: END_ACK for an END that was not sent here")
            f[MODE], f[OUTCOME] = DONE, HELD
        else:
            f[MODE], f[OUTCOME] = DONE, HELD if kind == REJECT_TERMINAL else REFUSED
        return self._speaks(state, f, back)

    def _resumes(self, f: list[int], held: int, limit: int, head_known: int) -> None:
        fresh = f[EPOCH] == 1 and not self.config.stale
        if f[MODE] != ATTACHING or (fresh and held):
            raise Violation("I5: ATTACHED that nobody asked for")
        if not fresh and self._mutant is not Mutant.DATA_BEFORE_ATTACHED:
            if not f[ACKED] <= held <= f[SENT]:
                raise Violation("I1: the gateway stands where the function cannot go back to")
            f[SENT] = held
            f[HEAD_SENT] = f[HEAD_KNOWN] = head_known
            if self._mutant is not Mutant.END_NOT_REPEATED:
                f[END_SENT] = 0
        f[MODE] = ATTACHED
        if self._mutant is not Mutant.CREDIT_NOT_RESTATED:
            f[CREDIT] = max(f[CREDIT], limit)

    # ------------------------------------------------------------------ the network

    def _network_acts(self, state: State, found: list[Step]) -> None:
        f, g, queues, back = state
        newest = f[EPOCH]
        for number, queue in enumerate(queues):
            if queue:
                found.append((f"deliver up {number}", False, self._arrives(state, number)))
            open_up = number == newest and listens(f)
            if number == newest and newest == self.config.attaches:
                continue  # after the last attach there are no more faults
            if number and (queue or open_up or (g[BOUND] == number and not g[LOST])):
                found.append((f"cut {number}", True, _cut(state, number)))
        if back:
            found.append(("deliver down", False, self._hears(state)))
        if g[LOST]:
            lost = list(g)
            lost[BOUND], lost[LOST] = -1, 0
            found.append(("gateway notices the cut", False, (f, tuple(lost), queues, back)))

    def _arrives(self, state: State, number: int) -> State:
        """The gateway takes the first frame of a connection."""
        f, before, queues, back = state
        packed, rest = queues[number][0], queues[number][1:]
        g = list(before)
        out = self._gateway.takes(g, number, packed, rest)
        queues = (*queues[:number], rest, *queues[number + 1 :])
        if number == f[EPOCH] != STALE and listens(f):
            back += tuple(out)
        return f, tuple(g), queues, back

    # ------------------------------------------------------------------ the gateway and the client

    def _gateway_acts(self, state: State, found: list[Step]) -> None:
        f, g, queues, back = state
        if g[TAKEN] < g[HELD_UP_TO] and g[TERMINAL] != FAILED:
            taken = list(g)
            taken[TAKEN] += 1
            found.append(("client takes", False, (f, tuple(taken), queues, back)))
        if g[BOUND] >= 0 and not g[TERMINAL]:
            told = list(g)
            out = self._gateway.credit(told)
            if out:
                heard = g[BOUND] == f[EPOCH] != STALE and not g[LOST] and listens(f)
                after = back + tuple(out) if heard else back
                found.append(("credit", False, (f, tuple(told), queues, after)))
        if g[ENDED] and g[TAKEN] == self.config.body and not g[TERMINAL]:
            buried = list(g)
            buried[TERMINAL] = BURIED
            found.append(("bury", False, (f, tuple(buried), queues, back)))

    def _receipt_arrives(self, state: State) -> State:
        f, g = list(state[0]), list(state[1])
        f[OUTCOME] = DELIVERED
        if not g[ENDED] and not g[TERMINAL]:
            start = f[SENT] if self._mutant is Mutant.TAIL_FROM_SENT else f[ACKED]
            with_head = not f[HEAD_KNOWN] and not f[ACKED]
            if start > g[HELD_UP_TO] or not (g[HEAD] or with_head):
                raise Violation("I1: the receipt does not complete what is held")
            g[HEAD] = g[ENDED] = 1
            g[HELD_UP_TO] = self.config.body
            g[LIMIT] = max(g[LIMIT], self.config.body)
            g[OWNER] = MAIN_OWNER
        return tuple(f), tuple(g), state[2], state[3]


def _attaches_next(state: State) -> State:
    """Let another exchange begin on the connection that this one has left."""
    f, epoch = list(state[0]), state[0][EPOCH]
    f[LEFT] = CARRIES_NEXT
    queues = (*state[2][:epoch], (*state[2][epoch], frame(NEXT)), *state[2][epoch + 1 :])
    return tuple(f), state[1], queues, state[3]


def _drops(state: State, f: list[int], kind: int) -> State:
    """Take what comes on a connection that was left: of the stream that was there nothing counts."""
    if kind == NEXT_ATTACHED:
        if f[LEFT] != CARRIES_NEXT:
            raise Violation("I5: an answer for an exchange that did not ask")
        f[LEFT] = SERVES_NEXT
    elif kind == END_ACK and f[LEFT] == OWES:
        f[LEFT] = FREE
    return tuple(f), state[1], state[2], state[3][1:]


def _with(state: State, field: int, value: int) -> State:
    f = list(state[0])
    f[field] = value
    return tuple(f), state[1], state[2], ()


def _cut(state: State, number: int) -> State:
    """Break a connection: what is in flight is lost; each end still has to notice."""
    f, g = list(state[0]), list(state[1])
    queues = (*state[2][:number], (), *state[2][number + 1 :])
    back = state[3]
    if f[EPOCH] == number:
        f[CUT], back = 1, ()
    if g[BOUND] == number:
        g[LOST] = 1
    return tuple(f), tuple(g), queues, back
