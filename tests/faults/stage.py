"""One gateway behind its proxy, for one test after the other."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import psutil

from tests.faults.browser import Browser
from tests.faults.functions import Room
from tests.faults.kinds import RESET
from tests.patience import PATIENCE
from tests.system.running import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.faults.link import Link
    from tests.faults.proxy import Proxy
    from tests.system.running import Dialback

FUNCTIONS = "tests/faults/functions.py"

TIMERS = {"DIALBACK_PING": "0.5", "DIALBACK_DEAD": "20", "DIALBACK_RESUME_GRACE": "10"}
"""PINGs come often, and nobody is taken for dead because the machine was busy with something else."""

ALERT = {**TIMERS, "DIALBACK_DEAD": "2"}
"""The same for tests of silence: it is found out soon, and still no process that is held up for a second."""

SILENCE = 2.5
"""PING + DEAD of `ALERT`."""

RETURN_SECONDS = 20.0
"""How long everything may take to be over once the client has its end: half of what functions are given,
so that none was ended by its deadline."""

STANDING = 0.3
"""Seconds without a byte after which something stands still: a loop takes a thousandth of it."""

LOGGED = 4000
"""Characters of the gateway's log that a failed test shows."""

ENDED = {"completed", "failed", "cancelled"}


class Stage:
    """What one test sees of it.

    Attributes:
        dialback: the gateway.
        proxy: what its functions dial.
        room: where they say where they are.
        before: connections that the proxy had seen when the test began.
    """

    def __init__(self, dialback: Dialback, proxy: Proxy, room: Path) -> None:
        self.dialback, self.proxy = dialback, proxy
        self.room = Room(room)
        self._browsers: list[Browser] = []
        self._counted = self._numbers()
        self.before = len(proxy.connections)

    def browse(
        self,
        name: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        buffer: int = 0,
        reading: bool = True,
        **query: Any,
    ) -> Browser:
        """Ask for a function of `functions`; `query` says what for."""
        asked = urlencode({"room": self.room.path, **query})
        browser = Browser(
            f"{self.dialback.url}/{name}?{asked}", body, buffer=buffer, reading=reading
        )
        self._browsers.append(browser)
        return browser

    # ------------------------------------------------------------ the function

    def at(self, gate: object, *, attached: bool = True) -> None:
        """Wait until the function stands at a gate, and is attached unless it cannot be."""
        note = f"attached-{gate}" if attached else f"at-{gate}"
        eventually(lambda: self.room.said(note) is not None)

    def open(self, gate: object) -> None:
        """Let it go on."""
        self.room.note(f"open-{gate}")

    def said(self, name: str) -> str:
        """What the function noted; waits for it."""
        eventually(lambda: self.room.said(name) is not None)
        return self.room.said(name) or ""

    @property
    def function(self) -> psutil.Process:
        """The process that runs it."""
        return psutil.Process(int(self.said("pid")))

    # ------------------------------------------------------------ the gateway

    @property
    def exchange(self) -> dict[str, Any]:
        """What /exchanges says of the last request."""
        return self.dialback.exchanges()[-1]

    def wait_state(self, *states: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait until it has one of these states; return what /exchanges says."""
        eventually(lambda: self.exchange["state"] in states, seconds=seconds)
        return self.exchange

    def grown(self, name: str, **labels: str) -> float:
        """By how much a counter grew since the test began."""
        wanted = set(labels.items())
        return sum(
            value - self._counted.get((found, has), 0.0)
            for (found, has), value in self.dialback.metrics().items()
            if found == name and wanted <= has
        )

    @property
    def links(self) -> list[Link]:
        """The connections through the proxy that were made since the test began."""
        return self.proxy.connections[self.before :]

    def link(self, number: int) -> Link:
        """One of them; waits until it is there."""
        try:
            self.proxy.wait(lambda: len(self.links) > number)
        except AssertionError as error:
            ports = [(one.number, one.closed, one.up.sent) for one in self.proxy.connections]
            error.add_note(f"{ports}, {self.before} before\n{self.dialback.stderr[-LOGGED:]}")
            raise
        return self.links[number]

    def stands(self, number: Callable[[], int]) -> int:
        """Wait until a number over 0 has not changed for `STANDING` seconds; return it."""
        last, since = 0, monotonic()

        def unchanged() -> bool:
            nonlocal last, since
            now = number()
            if now != last or not now:
                last, since = now, monotonic()
            return monotonic() - since > STANDING

        eventually(unchanged)
        return last

    # ------------------------------------------------------------ the end

    def assert_clean(self, browser: Browser) -> None:
        """The response has a clean end; what was logged says why not."""
        assert browser.wait_end() == "clean", self.dialback.stderr[-LOGGED:]

    def assert_over(self, seconds: float = RETURN_SECONDS, *, more: int = 0) -> None:
        """Every request came to one end, every call has returned, and nothing is left over.

        Args:
            seconds: how long that may take.
            more: callbacks that may be parked beyond one for each worker of the gateway.
        """
        asked = len(self._browsers)
        eventually(
            lambda: (
                self.grown("dialback_exchanges_total") == asked
                and self.dialback.metric("dialback_exchanges_active") == 0
                and self.grown("dialback_invokes_total") == asked
            ),
            seconds=seconds,
        )
        assert {one["state"] for one in self.dialback.exchanges()} <= ENDED
        most = len(self.dialback_children()) + more
        eventually(lambda: self.dialback.metric("dialback_callbacks") <= most)

    def dialback_children(self) -> list[psutil.Process]:
        """The processes that run functions."""
        return psutil.Process(self.dialback.pid).children()

    def close(self) -> None:
        """End what the test left, so that the next one begins with fresh dials."""
        for browser in self._browsers:
            browser.close()
        self.proxy.forget_plans()
        self.proxy.refuse(refusing=False)
        for link in self.links:
            link.resume()
        with suppress(psutil.NoSuchProcess):
            for process in self.dialback_children():
                if self.room.said("pid") == str(process.pid):
                    process.resume()
        self.proxy.strike(RESET)

    def _numbers(self) -> dict[Any, float]:
        return self.dialback.metrics()
