from __future__ import annotations

import pytest

from protocol import function_stream, receiver, response_intake, sender, upload_reader
from tests.protocol.exchanges import WINDOW
from tests.protocol.invariants import JOIN, MAX_WINDOW, PARTING


@pytest.fixture
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows, frames and pieces small enough for 400 bytes to meet every limit."""
    monkeypatch.setattr(upload_reader, "INITIAL_WINDOW", WINDOW)
    for module in (upload_reader, response_intake, sender):
        monkeypatch.setattr(module, "MAX_WINDOW", MAX_WINDOW)
    monkeypatch.setattr(sender, "_JOIN", JOIN)
    monkeypatch.setattr(function_stream, "PARTING_MAX", PARTING)
    monkeypatch.setattr(receiver, "SMALL_CREDIT", 8)
