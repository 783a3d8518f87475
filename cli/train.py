"""`inverse-graphics train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from .application import answer
from .options import FamilyPacks, Json, Overrides, RecipeArgument, loaded_packs, named

EXAMPLES = """\
inverse-graphics train multi_mnist
inverse-graphics train multi_mnist --set seed=1 --set steps=2000
inverse-graphics train my_recipe.yaml --run-dir runs/mine
inverse-graphics train table_top --pack my_pack/ --run-dir runs/mine
inverse-graphics train multi_mnist --resume     [dim]# after Ctrl-C, which saves first[/dim]"""


def train(
    recipe: RecipeArgument,
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the latest checkpoint.")] = False,
    run_dir: Annotated[
        Path | None, named("DIR", "Where everything goes; runs/RECIPE-seedN if not given.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Where to compute: cpu, cuda or cuda:N; the recipe's if not given."
        ),
    ] = None,
    packs: FamilyPacks = None,
    json: Json = None,
) -> None:
    """Train a model from a recipe.

    The weights, with a model card, end up in the run's folder, beside checkpoints and TensorBoard logs.
    Ctrl-C saves and prints the command that continues the run.
    """
    from inverse_graphics.training.run import train as train_recipe

    result = train_recipe(
        recipe,
        run_dir,
        overrides or (),
        device=device,
        packs=loaded_packs(packs),
        resume=resume,
        how_to_resume=_with_resume(sys.argv),
    )
    answer(
        {
            "folder": str(result.folder),
            "finished": result.finished,
            "step": result.step,
            "seconds": result.seconds,
            "weights": str(result.weights) if result.weights else None,
            "history": result.history,
        },
        json,
        lambda: print(result.weights) if result.weights else None,  # noqa: T201 - what this command returns
    )
    if not result.finished:
        raise typer.Exit(130)


def _with_resume(command: list[str]) -> str:
    arguments = command[1:] if "--resume" in command else [*command[1:], "--resume"]
    return shlex.join(["inverse-graphics", *arguments])
