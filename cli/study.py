"""`inverse-graphics study …`: one command for each study."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from .application import add, new_group
from .figures import Json, report
from .streams import say

group = new_group("Train a recipe in several ways and lay what came of each side by side.")

LEARN3D_EXAMPLES = """\
inverse-graphics study learn3d
inverse-graphics study learn3d --objectives sleep,elbo --seeds 0 --steps 3000
inverse-graphics study learn3d --objectives elbo,elbo/without_wake --out studies/wake
inverse-graphics study learn3d --variants mine.yaml --set batch_size=32
inverse-graphics study learn3d --no-train     [dim]# report on what is there[/dim]"""


@group.callback()
def _group() -> None:
    pass


def learn3d(
    recipe: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The recipe that all runs share.")
    ] = "table_top_known_camera",
    objectives: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,…",
            help="What is compared: variants of the objective. If not given: all of --variants, or sleep, "
            "wake_sleep, elbo, supervised/label and supervised/set.",
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="N,N,…", help="One run of each for each seed.")] = "0,1,2",
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Steps of every run.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change one setting of every run; may be given again."
        ),
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Variants of one's own: YAML, a name and a list of key=value each."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where runs and results go.")
    ] = Path("studies/learn3d"),
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Report on the runs that are there, finished or not.")
    ] = False,
    json: Json = None,
) -> None:
    """Learning curves of the 3D model's objectives on one recipe and the same held-out images.

    Writes results.json, summary.md, curves (CSV, PNG, SVG), confusion matrices, and galleries of held-out
    images with the worst first. Ctrl-C saves, and the same command goes on; finished runs stay as they are.
    """
    from inverse_graphics.errors import TrainingError
    from inverse_graphics.studies import learn3d as study
    from inverse_graphics.studies.study_run import found, schedule_warnings
    from inverse_graphics.studies.variants import choose, read_variants, shipped_variants

    own = read_variants(variants) if variants else {}
    names = _names(objectives) if objectives is not None else list(own) or list(study.OBJECTIVES)
    chosen, numbers, command = choose(names, shipped_variants("learn3d") | own), _seeds(seeds), _command()
    errors: dict[str, str] = {}
    if no_train:
        runs = list(found(chosen, numbers, out))
    else:
        changes = [*(overrides or ()), *([f"steps={steps}"] if steps else [])]
        runs = study.plan_study(recipe, chosen, numbers, changes, out)
        for warning in schedule_warnings(runs):
            say(warning)
        try:
            done, errors = study.train_and_judge(runs, out, command, say)
        except KeyboardInterrupt:
            say(f"stopped; to go on: {command}")
            done = False
        if not done:
            raise typer.Exit(130)
    report(study.report(runs, out, command, errors), json)
    say(f"everything is in {out}; {out / 'summary.md'} sums it up")
    if errors:
        raise TrainingError(f"{len(errors)} of {len(runs)} runs ended with an error: {', '.join(errors)}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _seeds(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise typer.BadParameter(f"got {text!r}, expected whole numbers such as 0,1,2", param_hint="--seeds")
    return list(dict.fromkeys(int(part) for part in parts))


def _command() -> str:
    return shlex.join(["inverse-graphics", *sys.argv[1:]])


add(group, learn3d, LEARN3D_EXAMPLES)
