"""The one source of randomness.

The system's, since a generator of our own would be copied by a fork, or with the image of an
environment: its copies would all come back in step, or with the same secret. A simulation puts a
seeded one in its place.
"""

from __future__ import annotations

import random

source: random.Random = random.SystemRandom()


def up_to(seconds: float) -> float:
    """Return a duration between nothing and `seconds` (full jitter)."""
    return source.uniform(0.0, seconds)


def secret() -> bytes:
    """Return 16 bytes that nobody can guess."""
    return source.randbytes(16)
