from __future__ import annotations

import pytest

from gateway.config_lines import Lines

TEXT = """\
# a comment
[gateway]
edge = "0.0.0.0:80"

[gateway.timing]
ping = 5

[[routes]]
path = "/a"
  target="a.py:h"

[routes.cors]
allow_origins = ["*"]

[[ routes ]]
path = "/b"
cors = { max_age = 5 }
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("gateway", 2),
        ("gateway.edge", 3),
        ("gateway.timing.ping", 6),
        ("gateway.timing.pong", 5),
        ("routes[0]", 8),
        ("routes[0].target", 10),
        ("routes[0].missing", 8),
        ("routes[0].cors", 12),
        ("routes[0].cors.allow_origins", 13),
        ("routes[1]", 15),
        ("routes[1].path", 16),
        ("routes[1].cors.max_age", 17),
    ],
)
def test_a_place_has_a_line(place: str, line: int) -> None:
    assert Lines(TEXT).at(place) == f"{place} (line {line})"


@pytest.mark.parametrize("place", ["routes", "routes[2]", "other", "other.key", ""])
def test_what_is_not_there_has_none(place: str) -> None:
    assert Lines(TEXT).at(place) == place
