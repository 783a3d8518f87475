"""`inverse-graphics benchmark optimise`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .figures import Json, report
from .streams import say

OPTIMISE_EXAMPLES = """\
inverse-graphics benchmark optimise --images 20
inverse-graphics benchmark optimise --images 200 --restarts 1,4,16 --json figures.json --plot figures.png
inverse-graphics benchmark optimise --images 50 --restarts 4 --steps 300 --no-gradients-alone"""


def optimise(
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="A 3D model.")] = "table_top",
    images: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="How many images.")] = 40,
    restarts: Annotated[
        str, typer.Option(metavar="N,N,…", help="Numbers of searches of an image.")
    ] = "1,4,16",
    steps: Annotated[
        int, typer.Option(metavar="N", min=1, max=100_000, help="Gradient steps of a search from the prior.")
    ] = 150,
    gradients_alone: Annotated[
        bool, typer.Option(help="Also search without exchanging objects: direct optimisation as it is.")
    ] = True,
    engine: Annotated[str, typer.Option(metavar="NAME", help="The engine of searches.")] = "embedded",
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the figures into a PNG, SVG or PDF file.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Which images.")] = 0,
    json: Json = None,
) -> None:
    """Compare searching for scenes with a network that infers them, on the same images.

    A success is a right count, and for each true object one of its kind within 2 cm, turned by at most 15°
    from it, modulo its symmetry. Images are fresh scenes of the model's family, with its noise.

    With 40 images and 16 restarts this takes some six minutes on one core.
    """
    from inverse_graphics.models.weights import load_model
    from inverse_graphics.report.optimise_benchmark import OptimiseBenchmark
    from inverse_graphics.report.optimise_plot import plot_optimisation
    from inverse_graphics.report.sweep_plot import check_plot_name

    numbers = _parsed_restarts(restarts)
    if plot:
        check_plot_name(plot)
    benchmark = OptimiseBenchmark(load_model(model), images, engine, seed)
    rows = list(benchmark.rows(numbers, gradients_alone, steps, progress=say))
    report(rows, json)
    if plot:
        plot_optimisation(rows, plot)
        say(f"wrote {plot}")


def _parsed_restarts(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= 1024 for part in parts):
        raise typer.BadParameter(
            f"got {text!r}, expected numbers from 1 to 1024 such as 1,4,16", param_hint="--restarts"
        )
    return sorted({int(part) for part in parts})
