"""What one emulated function is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEFAULT_REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """One emulated function.

    Attributes:
        name: the function's name, as in its ARN.
        file: the Python file that holds the handler; its directory is the function's task root.
        handler: the handler's name in that file.
        timeout: seconds one invocation may take before it is killed.
        memory: megabytes told to the function and to the log; they are not enforced.
        concurrency: most worker processes (= invocations at a time).
        env: variables on top of the inherited environment.
    """

    name: str
    file: Path
    handler: str
    timeout: float = 30.0
    memory: int = 1024
    concurrency: int = 16
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """The task root: absolute directory of the handler's file."""
        return self.file.absolute().parent

    @property
    def runtime_handler(self) -> str:
        """The handler as Lambda configures it: ``module.name``."""
        return f"{self.file.stem}.{self.handler}"

    def arn(self, region: str) -> str:
        """Return the function's ARN in a region of the emulation's account."""
        return f"arn:aws:lambda:{region}:{ACCOUNT}:function:{self.name}"
