"""The probability of each count as a little bar chart in SVG."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT = 190.0, 58.0
ABOVE, BELOW = 14.0, 20.0


def count_chart(probabilities: Sequence[float], chosen: int) -> str:
    """Draw one bar for each count, from 0, with its probability above it; the chosen one stands out."""
    pitch = WIDTH / len(probabilities)
    bars = "".join(_bar(count, value, pitch, count == chosen) for count, value in enumerate(probabilities))
    floor = ABOVE + HEIGHT + 0.5
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH:.0f} {ABOVE + HEIGHT + BELOW:.0f}" role="img" '
        f'aria-label="probability of each count; {chosen} is chosen">{bars}'
        f'<line x1="0" x2="{WIDTH:.0f}" y1="{floor}" y2="{floor}"/></svg>'
    )


def share(probability: float) -> str:
    """A probability as people read it: 97.0%, and never 100% for what is less than that."""
    if 0 < probability < 0.001:
        return "<0.1%"
    if 0.999 < probability < 1:
        return ">99.9%"
    return f"{100 * probability:.1f}%" if probability < 1 else "100%"


def _bar(count: int, probability: float, pitch: float, chosen: bool) -> str:
    centre, tall = (count + 0.5) * pitch, max(probability * HEIGHT, 1.0)
    top = ABOVE + HEIGHT - tall
    left, wide = centre - 0.31 * pitch, 0.62 * pitch
    number = share(probability).replace("<", "&lt;").replace(">", "&gt;")
    return (
        ('<g class="chosen">' if chosen else "<g>")
        + f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall:.1f}"/>'
        + f'<text x="{centre:.1f}" y="{top - 4:.1f}">{number}</text>'
        + f'<text x="{centre:.1f}" y="{ABOVE + HEIGHT + 15:.0f}">{count}</text></g>'
    )
