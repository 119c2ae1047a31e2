"""Both event loops for this folder, and an edge that is patient with those who are still sending."""

from tests.gateway.edge.serving import lingering
from tests.gateway.loops import pytest_asyncio_loop_factories

__all__ = ["lingering", "pytest_asyncio_loop_factories"]
