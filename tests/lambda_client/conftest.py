from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lambda_client import loop
from tests.lambda_client.gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway that no earlier test left a parked connection to."""
    with Gateway() as running:
        yield running
    thread = loop.io_thread()
    parked = thread.take_parked()
    if parked is not None:
        thread.submit(parked.abort)
