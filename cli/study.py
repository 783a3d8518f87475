"""`inverse-graphics study …`: one command for each study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .application import Json, add, new_group, report
from .streams import say
from .study_options import seeds_of, typed_command
from .study_residual import EXAMPLES as PSACT_EXAMPLES
from .study_residual import psact
from .study_thinking import ACT_EXAMPLES, PACT_EXAMPLES, act, pact

if TYPE_CHECKING:
    from collections.abc import Callable

    from inverse_graphics.studies.runs import Say, StudyRun

group = new_group("Train a recipe in several ways and lay what came of each side by side.")

LEARN3D_EXAMPLES = """\
inverse-graphics study learn3d
inverse-graphics study learn3d --objectives sleep,elbo --seeds 0 --steps 3000
inverse-graphics study learn3d --objectives elbo,elbo/without_wake --out studies/wake
inverse-graphics study learn3d --variants mine.yaml --set batch_size=32
inverse-graphics study learn3d --no-train     [dim]# report on what is there[/dim]"""


COUNTING_EXAMPLES = """\
inverse-graphics study counting
inverse-graphics study counting --seeds 0,1,2,3,4 --set steps=3000
inverse-graphics study counting --recipe sprites --seeds 0,1,2
inverse-graphics study counting --variants air,dair --out studies/dair
inverse-graphics study counting --no-train     [dim]# report on what is there[/dim]"""

GENERALISATION_EXAMPLES = """\
inverse-graphics study generalisation
inverse-graphics study generalisation --seeds 0 --variants dair/extrapolation"""

ESTIMATORS_EXAMPLES = """\
inverse-graphics study estimators
inverse-graphics study estimators --variants exact,score_function --seeds 0,1,2,3,4"""

SPRITES_EXAMPLES = "inverse-graphics study sprites --seeds 0,1,2"
STROKES_EXAMPLES = "inverse-graphics study strokes --seeds 0"


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
    from inverse_graphics.studies.runs import found, schedule_warnings
    from inverse_graphics.studies.variants import choose, read_variants, shipped_variants

    own = read_variants(variants) if variants else {}
    names = _names(objectives) if objectives is not None else list(own) or list(study.OBJECTIVES)
    chosen = choose(names, shipped_variants("learn3d") | own)
    numbers, command = seeds_of(seeds), typed_command()
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
            say(f"stopped; to continue: {command}")
            done = False
        if not done:
            raise typer.Exit(130)
    report(study.report(runs, out, command, errors), json)
    say(f"everything is in {out}; {out / 'summary.md'} sums it up")
    if errors:
        raise TrainingError(f"{len(errors)} of {len(runs)} runs ended with an error: {', '.join(errors)}")


Recipe2D = Annotated[str, typer.Option(metavar="NAME|FILE", help="The recipe that all runs share.")]
Variants = Annotated[
    str, typer.Option(metavar="NAME,NAME,…", help="What is compared: changes of the recipe that have names.")
]
Own = Annotated[
    Path | None,
    typer.Option(
        "--own", metavar="FILE", help="Variants of one's own: YAML, a name and a list of key=value each."
    ),
]
Seeds = Annotated[str, typer.Option(metavar="N,N,…", help="One run of each for each seed.")]
Steps = Annotated[int | None, typer.Option(metavar="N", min=1, help="Steps of every run.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of every run; may be given again."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Where all goes; studies/NAME if not given."),
]
NoTrain = Annotated[
    bool, typer.Option("--no-train", help="Report on the runs that are there, finished or not.")
]


def counting(
    recipe: Recipe2D = "multi_mnist", variants: Variants = "as_it_is", seeds: Seeds = "0,1,2,3,4",
    steps: Steps = None, overrides: Set = None, own: Own = None, out: Out = None, no_train: NoTrain = False,
    json: Json = None,
) -> None:  # fmt: skip
    """How the 2D model learns to count, by seed.

    Writes results.json, summary.md, curves (CSV, PNG, SVG), reconstructions by training stage, maps of where
    each step looks, and confusion matrices. Ctrl-C saves, and the same command goes on.
    """
    _counting("counting", recipe, variants, seeds, steps, overrides, own, out, no_train, json)


def generalisation(
    recipe: Recipe2D = "multi_mnist",
    variants: Variants = "air/extrapolation,dair/extrapolation,air/interpolation,dair/interpolation",
    seeds: Seeds = "0,1,2", steps: Steps = None, overrides: Set = None, own: Own = None, out: Out = None,
    no_train: NoTrain = False, json: Json = None,
) -> None:  # fmt: skip
    """Counts never taught: AIR and difference-AIR taught 0-2 and 0, 1, 3, judged on 0-3.

    Writes the same files as `study counting`.
    """
    _counting("generalisation", recipe, variants, seeds, steps, overrides, own, out, no_train, json)


def estimators(
    recipe: Recipe2D = "multi_mnist",
    variants: Variants = "exact,score_function,concrete,iwae,wake_sleep",
    seeds: Seeds = "0,1,2,3,4", steps: Steps = None, overrides: Set = None, own: Own = None, out: Out = None,
    no_train: NoTrain = False, json: Json = None,
) -> None:  # fmt: skip
    """How the number of objects is learnt: the estimators side by side.

    Writes the same files as `study counting`, and how noisy each estimator's gradient is at the start, in the
    middle and at the end of the first run.
    """
    from inverse_graphics.studies.estimators import report_gradients

    _counting(
        "estimators", recipe, variants, seeds, steps, overrides, own, out, no_train, json, report_gradients
    )


def sprites(
    recipe: Recipe2D = "sprites", variants: Variants = "as_it_is", seeds: Seeds = "0,1,2",
    steps: Steps = None, overrides: Set = None, own: Own = None, out: Out = None, no_train: NoTrain = False,
    json: Json = None,
) -> None:  # fmt: skip
    """Squares, triangles and discs that hide each other.

    Writes the same files as `study counting`.
    """
    _counting("sprites", recipe, variants, seeds, steps, overrides, own, out, no_train, json)


def strokes(
    recipe: Recipe2D = "omniglot", variants: Variants = "as_it_is", seeds: Seeds = "0",
    steps: Steps = None, overrides: Set = None, own: Own = None, out: Out = None, no_train: NoTrain = False,
    json: Json = None,
) -> None:  # fmt: skip
    """Omniglot's letters, stroke by stroke.

    Writes the same files as `study counting`, but for confusions: nobody knows how many strokes there are.
    """
    _counting("strokes", recipe, variants, seeds, steps, overrides, own, out, no_train, json)


def _counting(
    name: str, recipe: str, variants: str, seeds: str, steps: int | None, overrides: list[str] | None,
    own: Path | None, out: Path | None, no_train: bool, json: str | None,
    report_more: Callable[[list[StudyRun], Path, Say], object] = lambda *_: None,
) -> None:  # fmt: skip
    from inverse_graphics.errors import TrainingError
    from inverse_graphics.studies import counting as study
    from inverse_graphics.studies.runs import found, schedule_warnings
    from inverse_graphics.studies.variants import choose, read_variants, shipped_variants

    known = shipped_variants("counting") | (read_variants(own) if own else {})
    chosen, numbers, command = choose(_names(variants), known), seeds_of(seeds), typed_command()
    folder = out or Path("studies") / name
    errors: dict[str, str] = {}
    if no_train:
        runs = list(found(chosen, numbers, folder))
    else:
        changes = [*(overrides or ()), *([f"steps={steps}"] if steps else [])]
        runs = study.plan_counting(recipe, chosen, numbers, changes, folder)
        for warning in schedule_warnings(runs):
            say(warning)
        try:
            done, errors = study.train_and_judge(runs, folder, command, say)
        except KeyboardInterrupt:
            say(f"stopped; to continue: {command}")
            done = False
        if not done:
            raise typer.Exit(130)
    report(study.report(runs, folder, command), json)
    report_more(runs, folder, say)
    say(f"everything is in {folder}; {folder / 'summary.md'} sums it up")
    if errors:
        raise TrainingError(f"{len(errors)} of {len(runs)} runs ended with an error: {', '.join(errors)}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


add(group, learn3d, LEARN3D_EXAMPLES)
add(group, counting, COUNTING_EXAMPLES)
add(group, generalisation, GENERALISATION_EXAMPLES)
add(group, estimators, ESTIMATORS_EXAMPLES)
add(group, sprites, SPRITES_EXAMPLES)
add(group, strokes, STROKES_EXAMPLES)
add(group, act, ACT_EXAMPLES)
add(group, pact, PACT_EXAMPLES)
add(group, psact, PSACT_EXAMPLES)
