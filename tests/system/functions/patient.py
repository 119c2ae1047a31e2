"""A function that lets a gateway be slow: it dials no second time because the machine was busy for a moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lambda_client import timing
from tests.gateway.cli.functions import ticks

SECONDS: Final = 30.0

timing.TIMING = replace(timing.TIMING, hedge=SECONDS, attempt=SECONDS, patience=SECONDS)

__all__ = ["ticks"]
