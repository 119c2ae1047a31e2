"""What a state of the model is made of: positions in tuples, frames packed into numbers, words for a reader."""

from __future__ import annotations

#: The function, the gateway, a queue for each connection towards the gateway, the queue back.
Ints = tuple[int, ...]
State = tuple[Ints, Ints, tuple[Ints, ...], Ints]
#: What happened, whether it is a fault, and what follows.
Step = tuple[str, bool, State]

# Fields of the function.
MODE, EPOCH, WRITTEN, SENT, ACKED, CREDIT, FINISHED, HEAD_SENT, HEAD_KNOWN, END_SENT, OUTCOME, CUT, LEFT = range(13)  # fmt: skip
# Modes of the function.
DETACHED, ATTACHING, ATTACHED, DONE = range(4)
# How its code is over: it still holds the end back; nothing parts; it parts as one who heard the gateway
# lately, or as one who did not and leaves an answer unread.
GOES_ON, WAITS, PARTS, LEAVES = range(4)
# The connection that a function has left: it is free, or owes an answer, carries the next exchange, and serves it.
BOUND_HERE, FREE, OWES, CARRIES_NEXT, SERVES_NEXT = range(5)
# Outcomes of the function.
NONE, HELD, RECEIPT, DELIVERED, REFUSED = range(5)
# Fields of the gateway. KEY orders the accepted (inv, epoch); BOUND is a connection, -1 for none.
KEY, BOUND, HELD_UP_TO, TAKEN, LIMIT, TOLD, HEAD, ENDED, TERMINAL, OWNER, LOST = range(11)
BURIED, FAILED = 1, 2  # values of TERMINAL
# Kinds of frames.
ATTACH, HEAD_FRAME, DATA, END, ATTACHED_FRAME, WINDOW, END_ACK, REJECT_TERMINAL, REJECT_GAP, NEXT, NEXT_ATTACHED = range(11)  # fmt: skip
KINDS = (
    "ATTACH",
    "HEAD",
    "DATA",
    "END",
    "ATTACHED",
    "WINDOW",
    "END_ACK",
    "TERMINAL",
    "GAP",
    "NEXT",
    "NEXT IS ATTACHED",
)
#: The connection of the stale invocation, and who wrote what the gateway holds.
STALE = 0
NOBODY, STALE_OWNER, MAIN_OWNER = range(3)


def frame(kind: int, first: int = 0, second: int = 0, flag: int = 0) -> int:
    """Pack a frame: ATTACH lo hi head_sent; ATTACHED recv max head_known; WINDOW ack max; DATA offset; END final 0 parting."""
    return kind + 16 * flag + 32 * first + 1024 * second


def fields(packed: int) -> tuple[int, int, int, int]:
    """Unpack kind, first, second, flag."""
    return packed & 15, packed >> 5 & 31, packed >> 10, packed >> 4 & 1


def frame_text(packed: int) -> str:
    """One frame for a reader."""
    kind, first, second, flag = fields(packed)
    match kind:
        case 0:
            return f"ATTACH lo={first} hi={second} head_sent={flag}"
        case 4:
            return f"ATTACHED recv={first} max={second} head_known={flag}"
        case 5:
            return f"WINDOW ack={first} max={second}"
        case 2 | 3 | 6:
            return f"{KINDS[kind]} {first}" + " parting" * flag
        case _:
            return KINDS[kind]


def listens(f: Ints) -> bool:
    """Whether the function still takes what comes on its newest connection, if only to drop it."""
    return not f[CUT] and (f[MODE] != DONE or f[LEFT] != BOUND_HERE)


class Violation(Exception):
    """A step that the protocol rules out. The text begins with the number of the invariant."""


_LEFT = ("", "left", "left and owed an answer", "next attaches", "next is attached")
_MODES = ("detached", "attaching", "attached", "done")


def describe(state: State) -> str:
    """One state in two lines."""
    f, g, queues, back = state
    lines = [
        f"    F {_MODES[f[MODE]]} epoch={f[EPOCH]} acked={f[ACKED]} sent={f[SENT]}"
        f" written={f[WRITTEN]} credit={f[CREDIT]} {_LEFT[f[LEFT]]}",
        f"    G bound={g[BOUND]} taken={g[TAKEN]} held={g[HELD_UP_TO]} limit={g[LIMIT]}"
        f" head={g[HEAD]} ended={g[ENDED]}",
    ]
    lines += [
        f"    F->G on {number}: {', '.join(map(frame_text, queue))}"
        for number, queue in enumerate(queues)
        if queue
    ]
    if back:
        lines.append(f"    G->F on {f[EPOCH]}: {', '.join(map(frame_text, back))}")
    return "\n".join(lines)
