"""What is fuzzed, and with which limits. It imports nothing of ours: see `tests.fuzz.inside`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Fuzz = Callable[[bytes], None]

CORPUS = Path(__file__).with_name("corpus")


@dataclass(frozen=True, slots=True)
class Target:
    """One harness.

    Attributes:
        name: of its module in `tests.fuzz.targets`, and of its corpus.
        max_len: bytes of the longest input; longer ones cost time and find nothing that these do not.
        code: packages whose branches guide the fuzzer.
    """

    name: str
    max_len: int
    code: tuple[str, ...] = ("protocol", "gateway")

    @property
    def corpus(self) -> Path:
        """The kept inputs."""
        return CORPUS / self.name

    def load(self) -> Fuzz:
        """Import the harness and return its function."""
        fuzz: Fuzz = importlib.import_module(f"tests.fuzz.targets.{self.name}").fuzz
        return fuzz


TARGETS = {
    target.name: target
    for target in (
        Target("frames", 1536),
        Target("head", 512),
        Target("envelope", 512),
        Target("receipt", 768),
        Target("token", 256),
        Target("outcome", 768),
        Target("gateway_stream", 192),
        Target("function_stream", 192),
        Target("http1", 512),
        Target("sse", 128),
    )
}
