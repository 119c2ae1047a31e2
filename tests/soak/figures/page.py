"""What the commands found, as text for the screen and as a Markdown page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.report import machine

if TYPE_CHECKING:
    from tests.soak.figures.figure import Found

PAGE = """\
# Figures

Written by `make figures`; do not edit. One section for each, which `python -m tests.soak.figures NAME`
measures alone. Everything runs on one machine over loopback: a real gateway process, real `awslambdaric`
workers, and between the two a proxy that cuts. A figure that is not reached stands here as measured.

{table}

{sections}
{machine}
"""


def page(founds: dict[str, Found]) -> str:
    """The whole page; `founds` by name of command."""
    rows = [["", "target", "measured", ""], ["---", "---", "---:", "---"]]
    for name, found in founds.items():
        rows += [
            [f"{name}: {one.name}", one.target, one.measured, one.verdict] for one in found.figures
        ]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    sections = "\n".join(_section(name, found) for name, found in founds.items())
    return PAGE.format(table=table, sections=sections, machine=machine())


def _section(name: str, found: Found) -> str:
    notes = "".join(f"* {note}\n" for note in found.notes)
    return f"## {found.title} (`{name}`)\n\n{found.how}\n\n{notes}"


def text(name: str, found: Found) -> str:
    """One command's result, for the screen."""
    lines = [f"{name}", *(f"  {line}" for line in found.how.splitlines()), ""]
    for one in found.figures:
        verdict = one.verdict.strip("*")
        lines.append(f"  {one.name}: {one.measured} (target: {one.target}): {verdict}")
    return "\n".join([*lines, *(f"    {note}" for note in found.notes), ""])
