"""`inverse-graphics demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .streams import STDOUT, console, say, write_json

if TYPE_CHECKING:
    from inverse_graphics.report.demonstration import Demonstration

EXAMPLES = """\
inverse-graphics demo
inverse-graphics demo --seed 7 --images 20 --out seven/
inverse-graphics infer inverse-graphics-demo/digits-1.png    [dim]# one of its images[/dim]"""

SEED = 15
"""Among the first eight images of this one are none, one and two digits."""


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where the page and pictures go.")
    ] = Path("inverse-graphics-demo"),
    images: Annotated[int, typer.Option(metavar="N", min=1, max=200, help="How many images to infer.")] = 8,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Which images.")] = SEED,
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Write what was seen as JSON to FILE, or - for stdout."),
    ] = None,
) -> None:
    """Draw scenes, infer images, and make a page about both.

    Table-top scenes are drawn by the embedded engine: picture, depth and mask. Images of several
    handwritten digits, which the shipped network has never seen, are inferred step by step. Takes seconds
    and works offline.
    """
    from inverse_graphics.report.demonstration import demonstrate, write_demonstration

    say("drawing scenes and inferring images; the first time ever kernels are compiled, which takes longer")
    shown = demonstrate(images, seed)
    page = write_demonstration(shown, out)
    if json != STDOUT:
        _show(shown)
    if json is not None:
        write_json(json, [{**seen.parse.to_json(), "true_count": seen.true_count} for seen in shown.inferred])
    say(f"{shown.seconds:.1f} s; open {page}")


def _show(shown: Demonstration) -> None:
    from rich.table import Table
    from rich.text import Text

    from inverse_graphics.report.count_chart import share

    table = Table(
        "image", "seen", "true", "probability", "boxes: x, y, width, height", box=None, pad_edge=False
    )
    for seen in shown.inferred:
        parse = seen.parse
        boxes = "  ".join(f"[{', '.join(f'{side:.0f}' for side in found.box_px)}]" for found in parse.objects)
        style = "green" if parse.count == seen.true_count else "bold red"
        count = Text(str(parse.count), style="" if seen.true_count is None else style)
        truth = "" if seen.true_count is None else str(seen.true_count)
        certainty = share(parse.count_probabilities[parse.count])
        table.add_row(parse.image, count, truth, certainty, Text(parse.warning or boxes))
    console().print(table)
