"""How long the tests wait for what is sure to come."""

PATIENCE = 40.0
"""Seconds after which it is taken for broken. Green runs never wait so long: it is far above every timer that a
test sets and every stall of a loaded machine, and below the minute that pytest gives a test."""
