"""What a case wants to be answered, told to the application in a header of its request."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field
from typing import Literal

HEADER = "x-script"

Failure = Literal["", "before", "after head", "middle"]


@dataclass(frozen=True)
class Script:
    """One answer.

    Attributes:
        status: of HTTP.
        headers: as (name, value) texts of latin-1 bytes.
        sizes: bytes of each piece of the body, random but always the same; empty for an echo of the
            request, in one piece.
        length: of the Content-Length: "right", "none", "short" and "long" by one byte.
        failure: where it raises.
    """

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    sizes: list[int] | None = None
    length: Literal["right", "none", "short", "long"] = "right"
    failure: Failure = ""

    def to_header(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Script:
        return cls(**json.loads(text))

    def pieces(self, echo: bytes) -> list[bytes]:
        if self.sizes is None:
            return [echo]
        source = random.Random(str(self.sizes))
        return [source.randbytes(size) for size in self.sizes]

    def head(self, pieces: list[bytes]) -> list[tuple[str, str]]:
        """The headers, with the Content-Length that is wanted."""
        total = sum(map(len, pieces)) + {"short": -1, "long": 1}.get(self.length, 0)
        sized = [] if self.length == "none" else [("content-length", str(total))]
        return [*((name, value) for name, value in self.headers), *sized]
