"""Writes into docs/ what is taken from the code; a test fails when it is stale.

python -m tests.generated_docs          write
python -m tests.generated_docs --check  say what is stale, exit 1
"""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.exchange.states import TABLE, State

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- generated: states -->\n", "<!-- end of generated -->\n"


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


def with_diagram(page: str) -> str:
    """Return a page with the diagram between the markers made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + state_diagram() + END + after


def main() -> int:
    """Write the page, or check it."""
    page = PAGE.read_text()
    fresh = with_diagram(page)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(fresh)
        return 0
    if page != fresh:
        print(f"{PAGE.relative_to(ROOT)} is stale: run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
