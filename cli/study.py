"""`inverse-graphics study …`: one command per study, with a shared implementation."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .application import add, new_group, report
from .options import Json, Overrides, Seeds, named, number, parsed_names, parsed_numbers, parsed_seeds
from .streams import notify

if TYPE_CHECKING:
    from inverse_graphics.studies.study import Study
    from inverse_graphics.studies.variants import Variant

group = new_group("Train variants of a recipe and compare the results.")

RecipeOption = Annotated[str, named("NAME|FILE", "The base recipe of all runs.")]
Steps = Annotated[int | None, number("Training steps per run.", 1)]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Folder of runs and results; default studies/NAME."),
]
NoTrain = Annotated[
    bool, typer.Option("--no-train", help="Report on existing runs, finished or not, without training.")
]
Variants = Annotated[str, named("NAME,NAME,…", "Names of the variants of the recipe to compare.")]
OwnVariants = Annotated[
    Path | None,
    named("FILE", "YAML file of custom variants, each a name and a list of key=value."),
]
Penalties = Annotated[str, named("τ,τ,…", "Time penalties, nats per step of computation.")]
Repetitions = Annotated[str, named("ρ,ρ,…", "Fixed numbers of steps as baselines; empty for none.")]

COUNTING_EXAMPLES = """\
inverse-graphics study counting
inverse-graphics study counting --seeds 0,1,2,3,4 --set steps=3000
inverse-graphics study counting --recipe sprites --seeds 0,1,2
inverse-graphics study counting --variants air,dair --out studies/dair
inverse-graphics study counting --no-train     [dim]# report on existing runs[/dim]"""

GENERALISATION_EXAMPLES = """\
inverse-graphics study generalisation
inverse-graphics study generalisation --seeds 0 --variants dair/extrapolation"""

ESTIMATORS_EXAMPLES = """\
inverse-graphics study estimators
inverse-graphics study estimators --variants exact,score_function --seeds 0,1,2,3,4"""

SPRITES_EXAMPLES = "inverse-graphics study sprites --seeds 0,1,2"
STROKES_EXAMPLES = "inverse-graphics study strokes --seeds 0"

LEARN3D_EXAMPLES = """\
inverse-graphics study learn3d
inverse-graphics study learn3d --objectives sleep,elbo --seeds 0 --steps 3000
inverse-graphics study learn3d --objectives elbo,elbo/without_wake --out studies/wake
inverse-graphics study learn3d --variants mine.yaml --set batch_size=32
inverse-graphics study learn3d --no-train     [dim]# report on existing runs[/dim]"""

ACT_EXAMPLES = """\
inverse-graphics study act
inverse-graphics study act --penalties 0.001,0.01 --seeds 0,1,2
inverse-graphics study act --recipe act_addition --repetitions 1,5 --seeds 0
inverse-graphics study act --no-train     [dim]# report on existing runs[/dim]"""

PACT_EXAMPLES = """\
inverse-graphics study pact
inverse-graphics study pact --methods relaxed --penalties 0.001 --seeds 0,1,2
inverse-graphics study pact --recipe act_logic --steps 5000
inverse-graphics study pact --no-train     [dim]# report on existing runs[/dim]"""

PSACT_EXAMPLES = """\
inverse-graphics study psact
inverse-graphics study psact --seeds 0,1,2 --steps 500
inverse-graphics study psact --set model.units=5 --set "model.widths=[16,32,64]" --out studies/resnet32
inverse-graphics study psact --no-train     [dim]# report on existing runs[/dim]"""

PENALTIES = "0.0003,0.001,0.003,0.01,0.03"
TEN_SEEDS = "0,1,2,3,4,5,6,7,8,9"


@group.callback()
def _group() -> None:
    pass


def learn3d(
    recipe: RecipeOption = "table_top_known_camera",
    objectives: Annotated[
        str | None,
        named(
            "NAME,NAME,…",
            "Names of the variants to compare; default all of --variants, or sleep, wake_sleep, elbo, "
            "supervised/label and supervised/set.",
        ),
    ] = None,
    seeds: Seeds = "0,1,2", steps: Steps = None, overrides: Overrides = None, variants: OwnVariants = None,
    out: Out = None, no_train: NoTrain = False, json: Json = None,
) -> None:  # fmt: skip
    """Compare objectives of the 3D model on one recipe and the same held-out images.

    Writes results.json, summary.md, curves (CSV, PNG, SVG), confusion matrices, and galleries of held-out
    images with the worst first. Ctrl-C saves; the same command resumes. Finished runs are not repeated.
    """
    from inverse_graphics.studies.learn3d import OBJECTIVES, Learn3DStudy
    from inverse_graphics.studies.variants import choose, read_variants, shipped_variants

    own = read_variants(variants) if variants else {}
    names = parsed_names(objectives) if objectives is not None else list(own) or list(OBJECTIVES)
    chosen = choose(names, shipped_variants("learn3d") | own)
    _run(Learn3DStudy(), chosen, recipe, seeds, steps, overrides, out, no_train, json)


def act(
    recipe: RecipeOption = "act_parity", penalties: Penalties = PENALTIES, repetitions: Repetitions = "1,5",
    seeds: Seeds = TEN_SEEDS, steps: Steps = None, overrides: Overrides = None, out: Out = None,
    no_train: NoTrain = False, json: Json = None,
) -> None:  # fmt: skip
    """Compare adaptive computation time, by time penalty and seed, with fixed numbers of steps.

    Writes results.json, runs.csv, summary.md, and plots (PNG, SVG) of errors and steps by time penalty and by
    difficulty, learning curves and halting probabilities. Ctrl-C saves; the same command resumes.
    """
    _run_adaptive("act", "act", penalties, repetitions, recipe, seeds, steps, overrides, out, no_train, json)


def pact(
    recipe: RecipeOption = "act_parity",
    methods: Annotated[str, named("NAME,…", "Methods to compare: act, relaxed, reinforce.")] = "act,relaxed",
    penalties: Penalties = PENALTIES, repetitions: Repetitions = "", seeds: Seeds = TEN_SEEDS,
    steps: Steps = None, overrides: Overrides = None, out: Out = None, no_train: NoTrain = False,
    json: Json = None,
) -> None:  # fmt: skip
    """Compare probabilistic adaptive computation time with ACT, by time penalty and seed.

    Writes the same files as `study act`.
    """
    _run_adaptive(
        "pact", methods, penalties, repetitions, recipe, seeds, steps, overrides, out, no_train, json
    )


def psact(
    recipe: RecipeOption = "psact_digits", seeds: Seeds = "0", steps: Steps = None,
    draws: Annotated[int, number("Number of gradient samples per variance estimate.", 2, 100_000)] = 100,
    overrides: Overrides = None, out: Out = None, no_train: NoTrain = False, json: Json = None,
) -> None:  # fmt: skip
    """Evaluate adaptive residual networks: computation maps, and gradient variance by number of latents.

    Writes results.json, summary.md, gradient variances (CSV, PNG, SVG) of the score function and of relaxed
    samples, from one latent per image to one per position, and computation maps. Ctrl-C saves; the same
    command resumes.
    """
    from inverse_graphics.studies.residual import UNCHANGED, ResidualStudy

    _run(ResidualStudy(draws), [UNCHANGED], recipe, seeds, steps, overrides, out, no_train, json)


def _add_counting(
    name: str, default_recipe: str, default_variants: str, default_seeds: str, examples: str, text: str
) -> None:
    """Add a command that compares variants of a recipe of the 2D model."""

    def command(
        recipe: RecipeOption = default_recipe, variants: Variants = default_variants,
        seeds: Seeds = default_seeds, steps: Steps = None, overrides: Overrides = None,
        own: OwnVariants = None, out: Out = None, no_train: NoTrain = False, json: Json = None,
    ) -> None:  # fmt: skip
        from inverse_graphics.studies.counting import CountingStudy
        from inverse_graphics.studies.estimators import EstimatorStudy
        from inverse_graphics.studies.variants import choose, read_variants, shipped_variants

        known = shipped_variants("counting") | (read_variants(own) if own else {})
        study = EstimatorStudy() if name == "estimators" else CountingStudy(name)
        chosen = choose(parsed_names(variants), known)
        _run(study, chosen, recipe, seeds, steps, overrides, out, no_train, json)

    command.__doc__ = text
    add(group, command, examples, name)


def _run_adaptive(
    name: str, methods: str, penalties: str, repetitions: str, recipe: str, seeds: str, steps: int | None,
    overrides: list[str] | None, out: Path | None, no_train: bool, json: str | None,
) -> None:  # fmt: skip
    from inverse_graphics.studies.adaptive import AdaptiveStudy, adaptive_variants

    taus = parsed_numbers(penalties, "--penalties", float, 0, 100, "numbers up to 100 such as 0.001,0.01")
    fixed: list[int] = []
    if repetitions.strip():
        fixed = parsed_numbers(repetitions, "--repetitions", int, 1, 10**6, "whole numbers such as 1,5")
    variants = adaptive_variants(parsed_names(methods), taus, fixed)
    _run(AdaptiveStudy(name), variants, recipe, seeds, steps, overrides, out, no_train, json)


def _run(
    study: Study, variants: Sequence[Variant], recipe: str, seeds: str, steps: int | None,
    overrides: list[str] | None, out: Path | None, no_train: bool, json: str | None,
) -> None:  # fmt: skip
    """Train the missing runs and write the report; the implementation of every study's command."""
    from inverse_graphics.errors import TrainingError
    from inverse_graphics.studies.runs import found_runs, schedule_warnings

    numbers, folder = parsed_seeds(seeds), out or Path("studies") / study.name
    command = shlex.join(["inverse-graphics", *sys.argv[1:]])
    errors: dict[str, str] = {}
    if no_train:
        runs = list(found_runs(variants, numbers, folder))
    else:
        changes = [*(overrides or ()), *([f"steps={steps}"] if steps else [])]
        runs = study.plan(recipe, variants, numbers, changes, folder)
        for warning in schedule_warnings(runs):
            notify(warning)
        try:
            done, errors = study.train_and_evaluate(runs, folder, command, notify)
        except KeyboardInterrupt:
            notify(f"stopped; to continue: {command}")
            done = False
        if not done:
            raise typer.Exit(130)
    report(study.report(runs, folder, command, errors), json)
    study.finish(runs, folder, notify)
    notify(f"results are in {folder}; summary: {folder / 'summary.md'}")
    if errors:
        raise TrainingError(f"{len(errors)} of {len(runs)} runs ended with an error: {', '.join(errors)}")


add(group, learn3d, LEARN3D_EXAMPLES)
_add_counting(
    "counting",
    "multi_mnist",
    "as_it_is",
    "0,1,2,3,4",
    COUNTING_EXAMPLES,
    """Evaluate how the 2D model learns to count, by seed.

    Writes results.json, summary.md, curves (CSV, PNG, SVG), reconstructions over training, attention maps of
    each step, and confusion matrices. Ctrl-C saves; the same command resumes.
    """,
)
_add_counting(
    "generalisation",
    "multi_mnist",
    "air/extrapolation,dair/extrapolation,air/interpolation,dair/interpolation",
    "0,1,2",
    GENERALISATION_EXAMPLES,
    """Evaluate AIR and difference-AIR on counts that were not in their training data.

    Models are trained on images with 0-2 or with 0, 1 and 3 objects, and tested on 0-3.

    Writes the same files as `study counting`.
    """,
)
_add_counting(
    "estimators",
    "multi_mnist",
    "exact,score_function,concrete,iwae,wake_sleep",
    "0,1,2,3,4",
    ESTIMATORS_EXAMPLES,
    """Compare estimators of the gradient with respect to the number of objects.

    Writes the same files as `study counting`, and the variance of each estimator's gradient at the start,
    middle and end of the first run.
    """,
)
_add_counting(
    "sprites",
    "sprites",
    "as_it_is",
    "0,1,2",
    SPRITES_EXAMPLES,
    """Evaluate the 2D model on squares, triangles and discs that occlude each other.

    Writes the same files as `study counting`.
    """,
)
_add_counting(
    "strokes",
    "omniglot",
    "as_it_is",
    "0",
    STROKES_EXAMPLES,
    """Evaluate the 2D model on Omniglot letters, which it explains stroke by stroke.

    Writes the same files as `study counting`, without confusion matrices: the true number of strokes is
    unknown.
    """,
)
add(group, act, ACT_EXAMPLES)
add(group, pact, PACT_EXAMPLES)
add(group, psact, PSACT_EXAMPLES)
