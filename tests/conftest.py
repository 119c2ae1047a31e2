"""What holds for every test, wherever it runs."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# An example that takes 200 ms fails by default, and so does drawing ten of them in more than a second: on a machine
# that is held up for a moment that says nothing about what is tested. pytest-timeout bounds each test as a whole.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
