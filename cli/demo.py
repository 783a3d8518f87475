"""`inverse-graphics demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .application import answer
from .options import Json, number
from .streams import console, notify

if TYPE_CHECKING:
    from inverse_graphics.inference.parse import ParsedObject
    from inverse_graphics.visualisation.demonstration import Demonstration
    from inverse_graphics.visualisation.page import InferredImage

EXAMPLES = """\
inverse-graphics demo
inverse-graphics demo --seed 7 --images 20 --out seven/
inverse-graphics infer inverse-graphics-demo/table-1.png     [dim]# one of its images[/dim]
inverse-graphics infer inverse-graphics-demo/digits-1.png --model multi_mnist"""

SEED = 137
"""With this seed the first six images contain all kinds of objects, an empty table, and 0 to 2 digits."""


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the page and images.")
    ] = Path("inverse-graphics-demo"),
    images: Annotated[int, number("Number of images to infer for each model.", 1, 200)] = 6,
    seed: Annotated[int, number("Seed of the images.", 0)] = SEED,
    json: Json = None,
) -> None:
    """Run the shipped models on held-out images, render example scenes, and write an HTML page of both.

    The models infer objects on a table and handwritten digits, step by step. The embedded engine renders
    image, depth and mask of the example scenes. Takes seconds and works offline.
    """
    from inverse_graphics.visualisation.demonstration import demonstrate, write_demonstration

    notify("rendering scenes and inferring images; the first run takes longer, as it compiles kernels")
    shown = demonstrate(images, seed)
    page = write_demonstration(shown, out)
    answer([_record(inferred) for inferred in shown.inferred], json, lambda: _show(shown))
    notify(f"{shown.seconds:.1f} s; open {page}")


def _record(inferred: InferredImage) -> dict[str, Any]:
    truth = {"true_count": inferred.true_count, "true_identities": inferred.true_identities}
    return {**inferred.parse.to_json(), **truth}


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
