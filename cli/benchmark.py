"""`inverse-graphics benchmark …`; the benchmarks of render engines are in `benchmark_render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import benchmark_render
from .application import add, new_group, report
from .options import (
    Device,
    Json,
    Model,
    Overrides,
    Plot,
    RecipeArgument,
    Seed,
    Seeds,
    named,
    number,
    parsed_numbers,
    parsed_seeds,
)
from .streams import notify

group = new_group("Measure accuracy and speed on this machine.")

INFER_EXAMPLES = """\
inverse-graphics benchmark infer
inverse-graphics benchmark infer --model multi_mnist --images 10000 --digits full
inverse-graphics benchmark infer --model runs/multi_mnist-seed1/weights --digits full --json figures.json"""

TRAIN_EXAMPLES = """\
inverse-graphics benchmark train multi_mnist --seeds 0,1,2,3,4
inverse-graphics benchmark train multi_mnist --seeds 0 --set steps=2000 --json -"""

OPTIMISE_EXAMPLES = """\
inverse-graphics benchmark optimise --images 20
inverse-graphics benchmark optimise --images 200 --restarts 1,4,16 --json figures.json --plot figures.png
inverse-graphics benchmark optimise --images 50 --restarts 4 --steps 300 --no-gradients-alone"""

COMPACTION_EXAMPLES = """\
inverse-graphics benchmark compaction
inverse-graphics benchmark compaction --units 18 --shares 0.5,0.25,0.1 --json figures.json"""


def infer(
    model: Model = None,
    images: Annotated[int, number("Number of in-distribution images.", 1)] = 1000,
    digits: Annotated[
        Literal["shipped", "full"],
        typer.Option(help="For 2D models: the 1,000 shipped MNIST test digits, or all 10,000."),
    ] = "shipped",
    seed: Seed = 0,
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Measure accuracy, speed and warnings of a model on held-out images.

    In-distribution images (test digits or newly sampled scenes) are written to PNG files and read back. Then
    out-of-distribution images are evaluated; kinds whose files are not on this machine are skipped.
    """
    from inverse_graphics.benchmarks.infer import benchmark_infer
    from inverse_graphics.inference.parser import load_parser

    rows = list(benchmark_infer(load_parser(model, device), images, digits, seed, progress=notify))
    report(rows, json)


def optimise(
    model: Annotated[str, named("NAME|DIR", "A 3D model.")] = "table_top",
    images: Annotated[int, number("Number of images.", 1, 100_000)] = 40,
    restarts: Annotated[str, named("N,N,…", "Numbers of restarts per image to compare.")] = "1,4,16",
    steps: Annotated[int, number("Gradient steps per search from the prior.", 1, 100_000)] = 150,
    gradients_alone: Annotated[
        bool, typer.Option(help="Also search with gradients only, without discrete proposals.")
    ] = True,
    engine: Annotated[str, named("NAME", "The render engine of the searches.")] = "embedded",
    plot: Plot = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Compare search through the renderer with inference by a network, on the same images.

    An image counts as a success if the count is correct and each true object is matched by one of the same
    kind within 2 cm and 15°, modulo symmetry. Images are newly sampled scenes of the model's family with
    its noise.

    Takes about six minutes on one core with 40 images and 16 restarts.
    """
    from inverse_graphics.benchmarks.optimise import OptimiseBenchmark, plot_optimisation
    from inverse_graphics.benchmarks.render_sweeps import check_plot_name
    from inverse_graphics.models.weights import load_model

    numbers = sorted(
        parsed_numbers(restarts, "--restarts", int, 1, 1024, "numbers from 1 to 1024 such as 1,4,16")
    )
    if plot:
        check_plot_name(plot)
    benchmark = OptimiseBenchmark(load_model(model), images, engine, seed)
    rows = list(benchmark.rows(numbers, gradients_alone, steps, progress=notify))
    report(rows, json)
    if plot:
        plot_optimisation(rows, plot)
        notify(f"wrote {plot}")


def compaction(
    units: Annotated[int, number("Units per block: 5 for ResNet-32, 18 for ResNet-110.", 2, 100)] = 5,
    batch: Annotated[int, number("Batch size.", 1, 4096)] = 32,
    shares: Annotated[
        str, named("X,X,…", "Shares of positions that stay active after the first unit of each block.")
    ] = "0.5,0.4,0.3,0.2,0.1,0.02",
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Compare the speed of skipping halted positions in a residual network with that of masking them.

    Images of 32×32 pixels, one thread. Active positions form blobs or are scattered (the worst case).
    """
    import torch

    from inverse_graphics.benchmarks.compaction import benchmark_compaction

    fractions = parsed_numbers(shares, "--shares", float, 1e-9, 1, "shares up to 1 such as 0.5,0.1")
    torch.set_num_threads(1)
    report(list(benchmark_compaction(units, batch, fractions, ("blobs", "scattered"), seed)), json)


def train(
    recipe: RecipeArgument,
    seeds: Seeds = "0",
    overrides: Overrides = None,
    runs: Annotated[Path | None, named("DIR", "Folder of the runs; default runs/.")] = None,
    json: Json = None,
) -> None:
    """Train a recipe with several seeds and report the result of every run.

    Interrupted runs are resumed.
    """
    from inverse_graphics.benchmarks.training import benchmark_training
    from inverse_graphics.training.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    report(list(benchmark_training(loaded, parsed_seeds(seeds), runs, progress=notify)), json)


add(group, infer, INFER_EXAMPLES)
add(group, benchmark_render.render, benchmark_render.EXAMPLES)
add(group, benchmark_render.render_fuzz, benchmark_render.FUZZ_EXAMPLES, name="render-fuzz")
add(group, benchmark_render.render_gradients, benchmark_render.GRADIENT_EXAMPLES, name="render-gradients")
add(group, optimise, OPTIMISE_EXAMPLES)
add(group, compaction, COMPACTION_EXAMPLES)
add(group, train, TRAIN_EXAMPLES)
