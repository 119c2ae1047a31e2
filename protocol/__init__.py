"""The wire protocol of dialback: both ends, without I/O and without a clock.

`SPEC.md` beside this file is the document for another implementation.
"""
