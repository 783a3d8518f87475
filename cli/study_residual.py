"""`inverse-graphics study psact`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .application import Json, report
from .streams import say
from .study_options import seeds_of, typed_command
from .study_thinking import Changes, NoTrain, RecipeName, Seeds, Steps

EXAMPLES = """\
inverse-graphics study psact
inverse-graphics study psact --seeds 0,1,2 --steps 500
inverse-graphics study psact --set model.units=5 --set "model.widths=[16,32,64]" --out studies/resnet32
inverse-graphics study psact --no-train     [dim]# report on what is there[/dim]"""


def psact(
    recipe: RecipeName = "psact_digits",
    seeds: Seeds = "0",
    steps: Steps = None,
    draws: Annotated[
        int,
        typer.Option(metavar="N", min=2, max=100_000, help="Gradients that a variance is estimated from."),
    ] = 100,
    overrides: Changes = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where runs and results go.")
    ] = Path("studies/psact"),
    no_train: NoTrain = False,
    json: Json = None,
) -> None:
    """Residual networks that think: where they look long, and how noisy their gradients are by latents.

    Writes results.json, summary.md, gradients (CSV, PNG, SVG) of the score function and of relaxed draws for
    1 latent of an image to one for each position, and computation maps. Ctrl-C saves, and the same command
    goes on.
    """
    from inverse_graphics.errors import TrainingError
    from inverse_graphics.studies import residual as study
    from inverse_graphics.studies.runs import found, train_and_judge

    numbers, command = seeds_of(seeds), typed_command()
    errors: dict[str, str] = {}
    if no_train:
        runs = list(found([study.AS_IT_IS], numbers, out))
    else:
        changes = [*(overrides or ()), *([f"steps={steps}"] if steps else [])]
        runs = study.plan_residual(recipe, numbers, changes, out)
        try:
            done, errors = train_and_judge(
                runs,
                lambda run: study.judge(run, draws),
                lambda: study.report(runs, out, command, draws),
                command,
                say,
            )
        except KeyboardInterrupt:
            say(f"stopped; to continue: {command}")
            done = False
        if not done:
            raise typer.Exit(130)
    report(study.report(runs, out, command, draws), json)
    say(f"everything is in {out}; {out / 'summary.md'} sums it up")
    if errors:
        raise TrainingError(f"{len(errors)} of {len(runs)} runs ended with an error: {', '.join(errors)}")
