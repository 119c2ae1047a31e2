"""What a response of the endings should be, as both its function and its judge know it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlencode

from tests.soak.content import Content

Framing = Literal["chunked", "sized", "until-close", "events"]
FRAMINGS: tuple[Framing, ...] = get_args(Framing)

GO_SECONDS = 10.0
"""How long a client may take to begin to read."""

EVENT = 32
"""Bytes of content in one server-sent event."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One response.

    Attributes:
        name: of the request.
        seed: of its content.
        total: bytes of its body.
        at: bytes that are sent before the fault.
        framing: how its end is told.
    """

    name: str
    seed: int
    total: int
    at: int
    framing: Framing

    @classmethod
    def of(cls, event: dict[str, Any]) -> Wanted:
        """Read it from the request."""
        query = event["queryStringParameters"]
        seed, total, at = (int(query[key]) for key in ("seed", "total", "at"))
        return cls(query["id"], seed, total, at, query["framing"])

    def let_go(self, folder: Path) -> None:
        """The client has begun to read: the fault may strike."""
        (folder / self.name).touch()

    def wait(self) -> None:
        """Wait until it may; in the function's process."""
        go, deadline = Path(os.environ["FOLDER"], self.name), time.monotonic() + GO_SECONDS
        while not go.exists() and time.monotonic() < deadline:
            time.sleep(0.002)

    def query(self) -> str:
        """Write it into the request."""
        fields = {"id": self.name, "seed": self.seed, "total": self.total, "at": self.at}
        return urlencode({**fields, "framing": self.framing})

    def body(self) -> bytes:
        """All of it."""
        if self.framing != "events":
            return Content(self.seed, self.total).read(0, self.total)
        parts = (
            b"data: %s\n\n" % chunk.hex().encode()
            for chunk in Content(self.seed, self.total).chunks(EVENT)
        )
        return b"".join(parts)[: self.total]

    def headers(self) -> dict[str, str]:
        """Of the response."""
        kind = "text/event-stream" if self.framing == "events" else "application/octet-stream"
        length = {"content-length": str(self.total)} if self.framing == "sized" else {}
        return {"content-type": kind, **length}
