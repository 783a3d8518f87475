"""`inverse-graphics benchmark infer|render|train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from inverse_graphics.errors import EngineError

from .application import add, new_group
from .sizes import parsed_size
from .streams import STDOUT, console, say, write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

group = new_group("Measure how good and how fast this is, here.")

INFER_EXAMPLES = """\
inverse-graphics benchmark infer
inverse-graphics benchmark infer --model runs/multi_mnist-seed1/weights --digits full --json figures.json"""

RENDER_EXAMPLES = """\
inverse-graphics benchmark render
inverse-graphics benchmark render --size 64x64 --size 128x128 --batch 1 --batch 64 --json figures.json
inverse-graphics benchmark render --device cuda --batch 512"""

TRAIN_EXAMPLES = """\
inverse-graphics benchmark train multi_mnist --seeds 0,1,2,3,4
inverse-graphics benchmark train multi_mnist --seeds 0 --set steps=2000 --json -"""

Json = Annotated[str | None, typer.Option(metavar="FILE|-", help="Write JSON to FILE, or - for stdout.")]


def infer(
    model: Annotated[
        str | None, typer.Option(metavar="NAME|DIR", help="A model's name, or the folder of a trained one.")
    ] = None,
    images: Annotated[int, typer.Option(metavar="N", min=1, help="How many images of digits.")] = 1000,
    digits: Annotated[
        Literal["shipped", "full"],
        typer.Option(help="The 1,000 test digits inside the package, or all 10,000."),
    ] = "shipped",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Which images.")] = 0,
    json: Json = None,
) -> None:
    """Count digits on images never learnt from, and see whether other images are warned about.

    Images are composed of MNIST's test digits, written to PNG files and read back. Kinds of other images
    whose files are not on this machine are left out.
    """
    from inverse_graphics.report.infer_benchmark import benchmark_infer
    from inverse_graphics.scene_parser import SceneParser

    rows = list(benchmark_infer(SceneParser.load(model), images, digits, seed, progress=say))
    _report(rows, json)


def render(
    engine: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="The render engine; may be given again.")
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(metavar="WxH", help="Pixels, 64x64 if not given; may be given again.")
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N", min=1, max=65536, help="Scenes at once, 64 if not given; may be given again."
        ),
    ] = None,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where the engine works.")] = "cpu",
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.01, max=600, help="How long each figure is measured.")
    ] = 2.0,
    json: Json = None,
) -> None:
    """Measure how many scenes of three objects are drawn in a second, without and with gradients.

    Colour, depth, alpha and mask, composited over a table.
    """
    from inverse_graphics.render.engines import DEFAULT_ENGINE
    from inverse_graphics.report.render_benchmark import benchmark_render

    _check_device(device)
    sizes = [(height, width) for width, height in map(parsed_size, size or ["64x64"])]
    rows = benchmark_render(
        engine or [DEFAULT_ENGINE], sizes, batch or [64], device=device, seconds=seconds, progress=say
    )
    _report(list(rows), json)


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="The name of a recipe, or a YAML file.")],
    seeds: Annotated[str, typer.Option(metavar="N,N,…", help="One run for each seed.")] = "0",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be given again."),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Holds the runs; runs/ if not given.")
    ] = None,
    json: Json = None,
) -> None:
    """Train a recipe from several seeds and tell how each run went; none is left out.

    Runs that were stopped are gone on with.
    """
    from inverse_graphics.report.training_benchmark import benchmark_training
    from inverse_graphics.training.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    _report(list(benchmark_training(loaded, _parsed_seeds(seeds), runs, progress=say)), json)


def _check_device(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            "no GPU that torch can use: choose --device cpu; `inverse-graphics doctor` says more"
        )


def _parsed_seeds(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise typer.BadParameter(f"got {text!r}, expected whole numbers such as 0,1,2", param_hint="--seeds")
    return [int(part) for part in parts]


def _report(rows: Sequence[DataclassInstance], json: str | None) -> None:
    """Print rows of figures as a table and, where asked for, as JSON."""
    from dataclasses import asdict

    records = [asdict(row) for row in rows]
    if json != STDOUT:
        _print_table(records)
    if json is not None:
        write_json(json, records)


def _print_table(records: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name, value in (records[0] if records else {}).items():
        table.add_column(name.replace("_", " "), justify="left" if isinstance(value, str) else "right")
    for record in records:
        table.add_row(*(Text(_figure(value)) for value in record.values()))
    console().print(table)


def _figure(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


add(group, infer, INFER_EXAMPLES)
add(group, render, RENDER_EXAMPLES)
add(group, train, TRAIN_EXAMPLES)
