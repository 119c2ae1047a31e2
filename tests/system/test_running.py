"""What all tests of whole processes stand on."""

from __future__ import annotations

import json
import secrets
import sys
from typing import TYPE_CHECKING

from tests.commands import output_of
from tests.system import running
from tests.system.running import PORTS, REPOSITORY, free_port

if TYPE_CHECKING:
    import pytest

FEW = 60
ASKED = 20

ANOTHER_RUN = """
import json, sys
from tests.system import running
running.PORTS = range(int(sys.argv[1]), int(sys.argv[2]))
print(json.dumps([running.free_port() for _ in range(int(sys.argv[3]))]))
"""


def test_a_free_port_is_given_to_one_only(monkeypatch: pytest.MonkeyPatch) -> None:
    first = secrets.choice(PORTS[:-FEW])
    few = range(first, first + FEW)
    monkeypatch.setattr(running, "PORTS", few)
    mine = [free_port() for _ in range(ASKED)]
    arguments = [str(number) for number in (few.start, few.stop, ASKED)]
    said = output_of(sys.executable, "-c", ANOTHER_RUN, *arguments, cwd=REPOSITORY)
    assert len({*mine, *json.loads(said)}) == 2 * ASKED
