"""What documents quote exists: numbers that the gateway counts, and messages that it gives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.catalogue import OF_WORKERS
from tests.documents.blocks import PAGES, ROOT
from tests.patience import PATIENCE
from tests.system.running import running_dialback

if TYPE_CHECKING:
    from pathlib import Path

METRIC = re.compile(r"\bdialback_[a-z_]+")
QUOTED = re.compile(r"`([a-z][\w;,']*(?: [\w;,']+){2,})`")
"""Three words and more, without a mark of code in them."""

SUFFIXES = ("_total", "_bucket", "_sum", "_count", "_created")


@pytest.fixture(scope="module")
def counted() -> set[str]:
    """Every series that a gateway shows, with and without what Prometheus appends."""
    with running_dialback("deploy/examples/five_chunks.py:handler", "--env=INTERVAL=0") as dialback:
        with urlopen(dialback.url, timeout=PATIENCE) as answer:
            answer.read()
        with urlopen(f"{dialback.admin_url}/metrics", timeout=PATIENCE) as answer:
            text = answer.read().decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    names |= {metric.name.removesuffix("_total") for metric in OF_WORKERS}
    return {name + suffix for name in names for suffix in ("", *SUFFIXES)}


def source() -> str:
    """The gateway's own text, strings that were broken over lines joined."""
    files = (path.read_text() for path in sorted((ROOT / "gateway").rglob("*.py")))
    return re.sub(r'"\s+"', "", "\n".join(files))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_numbers_that_are_named_are_counted(page: Path, counted: set[str]) -> None:
    assert set(METRIC.findall(page.read_text())) <= counted


def test_messages_that_operators_look_for_are_given() -> None:
    quoted = QUOTED.findall((ROOT / "docs/operate.md").read_text())
    assert len(quoted) > 5
    text = source()
    assert not [message for message in quoted if message not in text]
