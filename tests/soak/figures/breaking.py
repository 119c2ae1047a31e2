"""Functions that end badly behind their head: /KIND?seed=&total=&at=&framing=&id=

`at` bytes of the body are written first. The kinds of `OWN` use the library, as a function does; those of
`hand.KINDS` speak the protocol by hand, and break its rules.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

from lambda_client import streaming
from tests.soak.figures import hand
from tests.soak.figures.bodies import Wanted
from tests.soak.figures.functions import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    Event = dict[str, Any]

PIECE = 5000
LASTING_SECONDS = 0.01
"""Between the pieces of a stream that lasts until something happens to it from outside."""

FINISH_SECONDS = 1.0


def pieces(wanted: Wanted, start: int, stop: int) -> Iterator[bytes]:
    body = wanted.body()
    for offset in range(start, stop, PIECE):
        yield body[offset : min(offset + PIECE, stop)]


def raises(wanted: Wanted) -> Iterator[bytes]:
    raise RuntimeError("as it was told to")


def exits(wanted: Wanted) -> Iterator[bytes]:
    os._exit(3)


def killed_by_itself(wanted: Wanted) -> Iterator[bytes]:
    os.kill(os.getpid(), signal.SIGKILL)
    return iter(())


def short(wanted: Wanted) -> Iterator[bytes]:
    """End here; only where a Content-Length has promised more."""
    return iter(())


def lasts(wanted: Wanted) -> Iterator[bytes]:
    """Go on, but never to the end: something is about to happen."""
    for piece in pieces(wanted, wanted.at, wanted.total - 1):
        for one in piece:
            yield bytes([one])
            time.sleep(LASTING_SECONDS)
    time.sleep(3600)


def finishes(wanted: Wanted) -> Iterator[bytes]:
    """Write the rest a little later, whatever has happened meanwhile."""
    time.sleep(FINISH_SECONDS)
    yield from pieces(wanted, wanted.at, wanted.total)


BAD = {"raises": raises, "exits": exits, "killed-by-itself": killed_by_itself, "short": short}
OWN = {**BAD, "lasts": lasts, "finishes": finishes}


@streaming
def own(event: Event, context: object) -> Iterator[Event | bytes]:
    wanted = Wanted.of(event)
    yield {"statusCode": 200, "headers": wanted.headers()}
    yield from pieces(wanted, 0, wanted.at)
    wanted.wait()
    yield from OWN[event["rawPath"][1:]](wanted)


def handler(event: Event, context: Any) -> Any:
    note(event, f"by {os.getpid()}")
    kind = event["rawPath"][1:]
    if kind in OWN:
        return own(event, context)
    return hand.respond(kind, Wanted.of(event), context)
