"""Writes into docs/ what is taken from the code; a test fails when it is stale.

python -m tests.generated_docs          write it again, where it changed (``make docs``)
python -m tests.generated_docs --check  say what is stale, and write nothing; exit code 1 if something is

What stands between <!-- generated: NAME --> and <!-- end of generated --> comes from the code: edit that.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.exchange.states import TABLE, State
from tests import entry
from tests.documents import configuration, limits, metrics
from tests.faults.coverage import Proof, proofs
from tests.faults.rows import ROWS, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- generated: {} -->\n", "<!-- end of generated -->\n"


def state_diagram() -> str:
    """Return the exchange's states as a mermaid diagram, several events on one arrow."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.RECEIVED.name}"]
    for source, row in TABLE.items():
        arrows: dict[State, list[str]] = {}
        for event, target in row.items():
            if target is not None:
                arrows.setdefault(target, []).append(event.value)
        lines += [
            f"    {source.name} --> {target.name}: {', '.join(events)}"
            for target, events in arrows.items()
        ]
    lines += [f"    {state.name} --> [*]" for state in State if state.terminal]
    return "\n".join([*lines, "```", ""])


def fault_table() -> str:
    """Return the fault matrix, each row with the tests that prove it."""
    proven = proofs()
    lines = [
        "| # | fault | browser | gateway | function | proven by |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_fault_row(row, proven) for row in ROWS]
    return "\n".join([*lines, ""])


def _fault_row(row: Row, proven: Mapping[str, Sequence[Proof]]) -> str:
    tests = "; ".join(
        f"[{proof.test.removeprefix('test_')}](../tests/{proof.path})"
        for proof in proven.get(row.number, ())
    )
    if row.shared_journal:
        tests = tests or "*comes with the shared journal*"
    parts = (row.number, row.fault, row.browser, row.gateway, row.function, tests)
    return "| " + " | ".join(part.replace("|", "\\|") or "-" for part in parts) + " |"


REFERENCE = ROOT / "docs" / "configuration.md"
METRICS = ROOT / "docs" / "metrics.md"

GENERATED: tuple[tuple[Path, str, Callable[[], str]], ...] = (
    (ROOT / "docs" / "architecture.md", "states", state_diagram),
    (ROOT / "docs" / "faults.md", "faults", fault_table),
    (REFERENCE, "gateway", configuration.gateway_table),
    (REFERENCE, "timing", configuration.timing_table),
    (REFERENCE, "routes", configuration.route_table),
    (REFERENCE, "cors", configuration.cors_table),
    (REFERENCE, "require_header", configuration.required_header_table),
    (ROOT / "SECURITY.md", "limits", limits.limit_table),
    (METRICS, "metrics", metrics.metric_table),
    (METRICS, "reasons", metrics.reason_table),
)
"""Page, name of the markers in it, and what makes the text between them."""


def renewed(page: str, name: str, text: str) -> str:
    """Return a page with the text between the markers replaced."""
    begin = BEGIN.format(name)
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(END)
    return before + begin + text + END + after


def main() -> int:
    """Write the pages, or check them."""
    parser = entry.parser("tests.generated_docs", __doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    checked = parser.parse_args().check
    stale = 0
    for path, name, make in GENERATED:
        page = path.read_text()
        fresh = renewed(page, name, make())
        if not checked:
            path.write_text(fresh)
        elif page != fresh:
            print(f"{path.relative_to(ROOT)} is stale: run `make docs`", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
