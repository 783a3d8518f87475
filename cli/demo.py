"""`inverse-graphics demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .streams import STDOUT, console, say, write_json

if TYPE_CHECKING:
    from inverse_graphics.inference.parse import ParsedObject
    from inverse_graphics.visualisation.demonstration import Demonstration

EXAMPLES = """\
inverse-graphics demo
inverse-graphics demo --seed 7 --images 20 --out seven/
inverse-graphics infer inverse-graphics-demo/table-1.png     [dim]# one of its images[/dim]
inverse-graphics infer inverse-graphics-demo/digits-1.png --model multi_mnist"""

SEED = 137
"""Among the first six images of this one are all kinds of things, none of them, and none to two digits."""


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where the page and pictures go.")
    ] = Path("inverse-graphics-demo"),
    images: Annotated[
        int, typer.Option(metavar="N", min=1, max=200, help="How many images of each kind to infer.")
    ] = 6,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Which images.")] = SEED,
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Write what was seen as JSON to FILE, or - for stdout."),
    ] = None,
) -> None:
    """Infer images, draw scenes, and make a page about both.

    Images of things on a table, and of several handwritten digits, which the shipped networks have never
    seen, are inferred step by step. Example scenes are drawn by the embedded engine: picture, depth and
    mask. Takes seconds and works offline.
    """
    from inverse_graphics.visualisation.demonstration import demonstrate, write_demonstration

    say("drawing scenes and inferring images; the first time ever kernels are compiled, which takes longer")
    shown = demonstrate(images, seed)
    page = write_demonstration(shown, out)
    if json != STDOUT:
        _show(shown)
    if json is not None:
        truths = [{"true_count": s.true_count, "true_identities": s.true_identities} for s in shown.inferred]
        answers = [seen.parse.to_json() for seen in shown.inferred]
        write_json(json, [{**answer, **truth} for answer, truth in zip(answers, truths, strict=True)])
    say(f"{shown.seconds:.1f} s; open {page}")


def _show(shown: Demonstration) -> None:
    from rich.table import Table
    from rich.text import Text

    from inverse_graphics.visualisation.svg import share

    table = Table("image", "seen", "true", "probability", "objects", box=None, pad_edge=False)
    for seen in shown.inferred:
        parse = seen.parse
        style = {None: "", True: "green", False: "bold red"}[seen.right]
        truth = "" if seen.true_count is None else seen.truth
        certainty = share(parse.count_probabilities[parse.count])
        objects = parse.warning or "  ".join(map(_object, parse.objects))
        table.add_row(parse.image, Text(str(parse.count), style=style), truth, certainty, Text(objects))
    console().print(table)


def _object(found: ParsedObject) -> str:
    from inverse_graphics.visualisation.svg import object_caption

    box = ", ".join(f"{side:.0f}" for side in found.box_px)
    return f"{object_caption(found)} [{box}]".strip()
