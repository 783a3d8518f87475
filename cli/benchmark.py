"""`inverse-graphics benchmark infer|train`, and the group that all benchmarks are in.

`inverse-graphics benchmark compaction`.

`inverse-graphics benchmark optimise`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import benchmark_render
from .application import Json, add, new_group, report
from .streams import say

COMPACTION_EXAMPLES = """\
inverse-graphics benchmark compaction
inverse-graphics benchmark compaction --units 18 --shares 0.5,0.25,0.1 --json figures.json"""


def compaction(
    units: Annotated[
        int, typer.Option(metavar="N", min=2, max=100, help="Of each block: 5 for ResNet-32, 18 for -110.")
    ] = 5,
    batch: Annotated[int, typer.Option(metavar="N", min=1, max=4096, help="Images at once.")] = 32,
    shares: Annotated[
        str, typer.Option(metavar="X,X,…", help="What stays alive after the first unit of each block.")
    ] = "0.5,0.4,0.3,0.2,0.1,0.02",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Which weights, images and positions.")] = 0,
    json: Json = None,
) -> None:
    """Time a residual network that skips what has halted against one that masks it, on 32×32 pixels.

    One thread. Positions that stay alive lie in blobs, or scattered, which is the worst case.
    """
    import torch

    from inverse_graphics.benchmarks.compaction import benchmark_compaction

    torch.set_num_threads(1)
    report(list(benchmark_compaction(units, batch, _parsed(shares), ("blobs", "scattered"), seed)), json)


def _parsed(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1.0]
    if not all(0 < number <= 1 for number in numbers):
        raise typer.BadParameter(
            f"got {text!r}, expected shares up to 1 such as 0.5,0.1", param_hint="--shares"
        )
    return numbers


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
    from inverse_graphics.benchmarks.optimise import OptimiseBenchmark, plot_optimisation
    from inverse_graphics.benchmarks.render_sweeps import check_plot_name
    from inverse_graphics.models.weights import load_model

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


group = new_group("Measure how good and how fast this is, here.")

INFER_EXAMPLES = """\
inverse-graphics benchmark infer
inverse-graphics benchmark infer --model multi_mnist --images 10000 --digits full
inverse-graphics benchmark infer --model runs/multi_mnist-seed1/weights --digits full --json figures.json"""

TRAIN_EXAMPLES = """\
inverse-graphics benchmark train multi_mnist --seeds 0,1,2,3,4
inverse-graphics benchmark train multi_mnist --seeds 0 --set steps=2000 --json -"""


def infer(
    model: Annotated[
        str | None, typer.Option(metavar="NAME|DIR", help="A model's name, or the folder of a trained one.")
    ] = None,
    images: Annotated[int, typer.Option(metavar="N", min=1, help="How many familiar images.")] = 1000,
    digits: Annotated[
        Literal["shipped", "full"],
        typer.Option(help="Of 2D models: the 1,000 test digits inside the package, or all 10,000."),
    ] = "shipped",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Which images.")] = 0,
    json: Json = None,
) -> None:
    """See how right and how fast a model is on images it never learnt from, and what it warns about.

    Images like those that it knows, of test digits or of fresh scenes, are written to PNG files and read
    back. Then come quite other images; kinds whose files are not on this machine are left out.
    """
    from inverse_graphics.benchmarks.infer import benchmark_infer
    from inverse_graphics.inference.parser import load_parser

    rows = list(benchmark_infer(load_parser(model), images, digits, seed, progress=say))
    report(rows, json)


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
    from inverse_graphics.benchmarks.training import benchmark_training
    from inverse_graphics.training.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    report(list(benchmark_training(loaded, _parsed_seeds(seeds), runs, progress=say)), json)


def _parsed_seeds(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise typer.BadParameter(f"got {text!r}, expected whole numbers such as 0,1,2", param_hint="--seeds")
    return [int(part) for part in parts]


add(group, infer, INFER_EXAMPLES)
add(group, benchmark_render.render, benchmark_render.EXAMPLES)
add(group, benchmark_render.render_fuzz, benchmark_render.FUZZ_EXAMPLES, name="render-fuzz")
add(group, benchmark_render.render_gradients, benchmark_render.GRADIENT_EXAMPLES, name="render-gradients")
add(group, optimise, OPTIMISE_EXAMPLES)
add(group, compaction, COMPACTION_EXAMPLES)
add(group, train, TRAIN_EXAMPLES)
