"""`inverse-graphics train`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
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
inverse-graphics train multi_mnist --resume     [dim]# after Ctrl-C, which saves first[/dim]
inverse-graphics train multi_mnist --export     [dim]# the model as the latest checkpoint has it[/dim]"""


def train(
    recipe: RecipeArgument,
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the latest checkpoint.")] = False,
    export: Annotated[
        bool,
        typer.Option("--export", help="Train no further: write the model of the run's latest checkpoint."),
    ] = False,
    run_dir: Annotated[Path | None, named("DIR", "Folder of the run; default runs/RECIPE-seedN.")] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The device: cpu, cuda or cuda:N; default the recipe's."),
    ] = None,
    packs: FamilyPacks = None,
    json: Json = None,
) -> None:
    """Train a model from a recipe.

    Writes weights with a model card, checkpoints and TensorBoard logs to the run's folder. Ctrl-C saves a
    checkpoint and prints the command that continues the run.
    """
    from inverse_graphics.training.run import train as train_recipe

    if export:
        if resume:
            raise typer.BadParameter("is not for a run that is to be continued", param_hint="--export")
        _export(recipe, overrides or (), run_dir, json)
        return
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


def _export(recipe: str, overrides: Sequence[str], run_dir: Path | None, json: str | None) -> None:
    from inverse_graphics.training.recipe import load_recipe
    from inverse_graphics.training.run import export_run, run_folder

    folder = run_folder(load_recipe(recipe, overrides)) if run_dir is None else run_dir
    weights = export_run(folder)
    answer(
        {"folder": str(folder), "weights": str(weights)},
        json,
        lambda: print(weights),  # noqa: T201 - what this command returns
    )


def _with_resume(command: list[str]) -> str:
    arguments = command[1:] if "--resume" in command else [*command[1:], "--resume"]
    return shlex.join(["inverse-graphics", *arguments])
