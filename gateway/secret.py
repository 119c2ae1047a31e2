"""A secret that is in a variable: how containers on ECS have what a secrets manager keeps."""

from __future__ import annotations

import os
from dataclasses import dataclass

from typing_extensions import override

SCHEME = "env:"
PREFIX = "DIALBACK_SECRET_"
"""Of the variable's name: no function on this machine inherits what begins with DIALBACK_."""


@dataclass(frozen=True, slots=True)
class Variable:
    """Stands where a file could: ``env:DIALBACK_SECRET_...``."""

    name: str

    @classmethod
    def parse(cls, text: str) -> Variable:
        """Read what a setting says.

        Raises:
            ValueError: that is no name of such a variable.
        """
        name = text.removeprefix(SCHEME)
        if not name.startswith(PREFIX):
            raise ValueError(
                f"{text}: no variable for a secret; write {SCHEME}{PREFIX}..., which no function inherits"
            )
        return cls(name)

    def read_bytes(self) -> bytes:
        """Return its value.

        Raises:
            ValueError: the process has no such variable.
        """
        try:
            return os.environb[self.name.encode()]
        except KeyError:
            raise ValueError("no such variable; set it, or name a file") from None

    @override
    def __str__(self) -> str:
        return f"{SCHEME}{self.name}"
