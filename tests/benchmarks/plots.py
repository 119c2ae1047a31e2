"""Line charts as SVG that follow the reader's light or dark scheme.

By hand, and not by a plotting library: those bake colours in, and bring some 100 MB for four charts.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 64, 56
TICKS = 6
"""That an axis has at most."""

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .quiet { fill: #59636e }
  .back { fill: #ffffff }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
  .dialback { stroke: #0969da } .dot.dialback, .key.dialback { fill: #0969da }
  .nginx { stroke: #bc4c00 } .dot.nginx, .key.nginx { fill: #bc4c00 }
  .direct { stroke: #6e7781 } .dot.direct, .key.direct { fill: #6e7781 }
  .dot { stroke: #ffffff; stroke-width: 1.5 }
  .key { stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .back { fill: #0d1117 }
    .grid { stroke: #3d444d }
    .dialback { stroke: #4493f8 } .dot.dialback, .key.dialback { fill: #4493f8 }
    .nginx { stroke: #f0883e } .dot.nginx, .key.nginx { fill: #f0883e }
    .direct { stroke: #9198a1 } .dot.direct, .key.direct { fill: #9198a1 }
    .dot { stroke: #0d1117 }
    .key { stroke: none }
  }
"""


def chart(title: str, across: str, up: str, series: Mapping[str, Points]) -> str:
    """One line for each of `series`, both axes from zero.

    Args:
        title: above it.
        across: what the horizontal axis shows, with its unit.
        up: likewise the vertical one.
        series: by contender; the names are the classes of `STYLE`.
    """
    right = steps(x for points in series.values() for x, _ in points)
    top = steps(y for points in series.values() for _, y in points)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return (
            LEFT + point[0] / right[-1] * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - point[1] / top[-1] * (HEIGHT - TOP - BOTTOM),
        )

    parts = [
        f'<rect class="back" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        text(LEFT, 26, title, "title"),
        text(WIDTH - RIGHT, HEIGHT - 14, across, "quiet", "end"),
        text(LEFT, 48, up, "quiet"),
        *axes(right, top, place_x=lambda x: place((x, 0))[0], place_y=lambda y: place((0, y))[1]),
    ]
    for number, (name, points) in enumerate(series.items()):
        parts += line(name, [place(point) for point in points])
        parts += key(name, len(series) - number)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(title)}">\n'
        f"<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


def steps(values: Iterable[float]) -> list[float]:
    """Round numbers from zero to the largest value or beyond, at most `TICKS` of them after zero."""
    largest = max(values, default=0) or 1
    rough = largest / TICKS
    decade = 10 ** math.floor(math.log10(rough))
    step = next(times * decade for times in (1, 2, 5, 10) if times * decade >= rough)
    return [number * step for number in range(math.ceil(largest / step) + 1)]


def axes(
    right: Sequence[float],
    top: Sequence[float],
    *,
    place_x: Callable[[float], float],
    place_y: Callable[[float], float],
) -> list[str]:
    """The grid, with a number at each of its lines."""
    parts = []
    for y in top:
        at = place_y(y)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(text(LEFT - 8, at + 4.5, f"{y:,.10g}", "quiet", "end"))
    low = HEIGHT - BOTTOM + 20
    return parts + [text(place_x(x), low, f"{x:,.10g}", "quiet", "middle") for x in right]


def line(name: str, points: Points) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [f'<circle class="dot {name}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points]
    return [f'<polyline class="line {name}" points="{path}"/>', *dots]


def key(name: str, place: int) -> list[str]:
    """What a colour means; the last one stands at the right edge."""
    at = WIDTH - RIGHT - place * 88
    return [
        f'<rect class="key {name}" x="{at}" y="38" width="12" height="12" rx="2"/>',
        text(at + 18, 48, name),
    ]


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'
