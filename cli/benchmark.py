"""`inverse-graphics benchmark infer|train`, and the group that all benchmarks are in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import benchmark_compaction, benchmark_optimise, benchmark_render
from .application import add, new_group
from .figures import Json, report
from .streams import say

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
    from inverse_graphics.report.infer_benchmark import benchmark_infer
    from inverse_graphics.scene_parser import SceneParser

    rows = list(benchmark_infer(SceneParser.load(model), images, digits, seed, progress=say))
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
    from inverse_graphics.report.training_benchmark import benchmark_training
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
add(group, benchmark_optimise.optimise, benchmark_optimise.OPTIMISE_EXAMPLES)
add(group, benchmark_compaction.compaction, benchmark_compaction.COMPACTION_EXAMPLES)
add(group, train, TRAIN_EXAMPLES)
