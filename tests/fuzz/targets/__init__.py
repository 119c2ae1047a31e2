"""One harness for each parser: `fuzz(data)` raises AssertionError, or anything, when it found a bug.

A harness takes bytes and needs nothing of a fuzzer, so that every kept input runs as a plain test.
"""
