"""The CRC-32 of zlib, by the fastest that is there: every byte of every body passes through it twice.

zlib-ng (the extra `speedups`) computes it with the processor's own instructions, in a tenth of the time.
"""

from __future__ import annotations

try:
    from zlib_ng.zlib_ng import crc32
except ImportError:
    from zlib import crc32

__all__ = ["crc32"]
