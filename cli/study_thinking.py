"""`inverse-graphics study act` and `study pact`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .application import Json, report
from .streams import say
from .study_options import seeds_of, typed_command

ACT_EXAMPLES = """\
inverse-graphics study act
inverse-graphics study act --penalties 0.001,0.01 --seeds 0,1,2
inverse-graphics study act --recipe act_addition --repetitions 1,5 --seeds 0
inverse-graphics study act --no-train     [dim]# report on what is there[/dim]"""

PACT_EXAMPLES = """\
inverse-graphics study pact
inverse-graphics study pact --methods relaxed --penalties 0.001 --seeds 0,1,2
inverse-graphics study pact --recipe act_logic --steps 5000
inverse-graphics study pact --no-train     [dim]# report on what is there[/dim]"""

PENALTIES = "0.0003,0.001,0.003,0.01,0.03"
SEEDS = "0,1,2,3,4,5,6,7,8,9"

RecipeName = Annotated[str, typer.Option(metavar="NAME|FILE", help="The recipe that all runs share.")]
Penalties = Annotated[
    str, typer.Option(metavar="τ,τ,…", help="Time penalties, nats for each step of thought.")
]
Repetitions = Annotated[
    str, typer.Option(metavar="ρ,ρ,…", help="Fixed numbers of steps to compare with; empty for none.")
]
Seeds = Annotated[str, typer.Option(metavar="N,N,…", help="One run of each for each seed.")]
Steps = Annotated[int | None, typer.Option(metavar="N", min=1, help="Steps of every run.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of every run; may be given again."),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where runs and results go.")]
NoTrain = Annotated[
    bool, typer.Option("--no-train", help="Report on the runs that are there, finished or not.")
]


def act(
    recipe: RecipeName = "act_parity", penalties: Penalties = PENALTIES, repetitions: Repetitions = "1,5",
    seeds: Seeds = SEEDS, steps: Steps = None, overrides: Changes = None, out: Out = None,
    no_train: NoTrain = False, json: Json = None,
) -> None:  # fmt: skip
    """Adaptive computation time by time penalty and seed, beside fixed numbers of steps.

    Writes results.json, runs.csv, summary.md, and pictures (PNG, SVG) of errors and steps by time penalty and
    by difficulty, learning curves and halting probabilities. Ctrl-C saves, and the same command goes on.
    """
    _study("act", ["act"], recipe, penalties, repetitions, seeds, steps, overrides, out, no_train, json)


def pact(
    recipe: RecipeName = "act_parity",
    methods: Annotated[
        str, typer.Option(metavar="NAME,NAME,…", help="What is compared: act, relaxed, reinforce.")
    ] = "act,relaxed",
    penalties: Penalties = PENALTIES, repetitions: Repetitions = "", seeds: Seeds = SEEDS,
    steps: Steps = None, overrides: Changes = None, out: Out = None, no_train: NoTrain = False,
    json: Json = None,
) -> None:  # fmt: skip
    """Probabilistic adaptive computation time beside ACT, by time penalty and seed.

    Writes the same files as `study act`.
    """
    names = [name.strip() for name in methods.split(",")]
    _study("pact", names, recipe, penalties, repetitions, seeds, steps, overrides, out, no_train, json)


def _study(
    name: str, methods: list[str], recipe: str, penalties: str, repetitions: str, seeds: str,
    steps: int | None, overrides: list[str] | None, out: Path | None, no_train: bool, json: str | None,
) -> None:  # fmt: skip
    from inverse_graphics.errors import TrainingError
    from inverse_graphics.studies import adaptive
    from inverse_graphics.studies.runs import found, train_and_judge

    repeated = [int(part) for part in _parts(repetitions, "--repetitions", str.isdecimal, "1,5")]
    taus = [float(part) for part in _parts(penalties, "--penalties", _is_number, "0.001,0.01")]
    variants = adaptive.thinking_variants(methods, taus, repeated)
    numbers, folder, command = seeds_of(seeds), out or Path("studies") / name, typed_command()
    errors: dict[str, str] = {}
    if no_train:
        runs = list(found(variants, numbers, folder))
    else:
        changes = [*(overrides or ()), *([f"steps={steps}"] if steps else [])]
        runs = adaptive.plan_thinking(recipe, variants, numbers, changes, folder)
        try:
            done, errors = train_and_judge(
                runs, adaptive.judge, lambda: adaptive.report(runs, folder, command), command, say
            )
        except KeyboardInterrupt:
            say(f"stopped; to continue: {command}")
            done = False
        if not done:
            raise typer.Exit(130)
    report(adaptive.report(runs, folder, command), json)
    say(f"everything is in {folder}; {folder / 'summary.md'} sums it up")
    if errors:
        raise TrainingError(f"{len(errors)} of {len(runs)} runs ended with an error: {', '.join(errors)}")


def _parts(text: str, option: str, valid: Callable[[str], bool], example: str) -> list[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(valid(part) for part in parts):
        raise typer.BadParameter(f"got {text!r}, expected numbers such as {example}", param_hint=option)
    return list(dict.fromkeys(parts))


def _is_number(text: str) -> bool:
    try:
        return 0 <= float(text) <= 100
    except ValueError:
        return False
