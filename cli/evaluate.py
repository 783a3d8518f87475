"""`inverse-graphics evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .application import answer
from .options import Device, Json, ModelPacks, loaded_packs, number
from .streams import advancing, console

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = """\
inverse-graphics evaluate multi_mnist
inverse-graphics evaluate table_top --images 1000
inverse-graphics evaluate runs/sprites-seed0/weights --images 2000
inverse-graphics evaluate multi_mnist --samples 50 --json - | jq .iwae"""

LINES = (
    ("elbo", "bound on log p(x), nats", 1.0),
    ("iwae", "importance-weighted bound, nats", 1.0),
    ("count_accuracy", "correct counts, %", 100.0),
    ("calibration_error", "calibration error of counts, %", 100.0),
    ("count_log_score", "log-probability of the true count, nats", 1.0),
    ("mean_count", "mean inferred count", 1.0),
)


def evaluate(
    model: Annotated[str, typer.Argument(metavar="NAME|DIR", help="A 2D or 3D model's name, or its folder.")],
    images: Annotated[int, number("Number of held-out images.", 1, 1_000_000)] = 2000,
    samples: Annotated[
        int, number("Samples of the importance-weighted bound, in 2D.", 1, 10_000, metavar="K")
    ] = 10,
    seed: Annotated[int, number("Seed of the images.", 0)] = 0,
    device: Device = "cpu",
    packs: ModelPacks = None,
    json: Json = None,
) -> None:
    """Evaluate a model on held-out images.

    In 2D: bounds, counts and their calibration, on images from the data distribution in the model's recipe.

    In 3D: counts, kinds, positions, rotations modulo symmetry, camera and calibration, on new scenes of the
    model's family, with what the best constant answer reaches.
    """
    from inverse_graphics.devices import resolve_device
    from inverse_graphics.evaluation.air2d import evaluate2d, recipe_of
    from inverse_graphics.evaluation.air3d import evaluate3d
    from inverse_graphics.models.air2d.network import Air2D
    from inverse_graphics.models.weights import load_model

    place = resolve_device(device)
    loaded = load_model(model, loaded_packs(packs))
    if loaded.document.kind == "air3d":
        with advancing("evaluating", images) as advance:
            figures = evaluate3d(loaded, images, seed, place, advance)
        answer({"model": model, **figures}, json, lambda: _show_scenes(figures))
        return
    recipe = recipe_of(loaded)
    assert isinstance(loaded.module, Air2D)
    with advancing("evaluating", images) as advance:
        figures = evaluate2d(loaded.module.to(place), recipe, images, samples, seed, advance)
    answer({"model": model, **figures}, json, lambda: _show(figures))


def _show_scenes(figures: dict[str, Any]) -> None:
    from rich.table import Table

    from inverse_graphics.metrics.figure import with_unit

    out, guess = console(), figures["constant_guess"]
    table = Table("figure", box=None, pad_edge=False)
    table.add_column("value", justify="right")
    table.add_column("constant guess", justify="right")
    table.add_column("of")
    for name, figure in {**figures["figures"], **figures["calibration"]["positions"]}.items():
        beside = with_unit(guess[name], figure["unit"]) if name in guess else ""
        value = with_unit(figure["value"], figure["unit"])
        table.add_row(name.replace("_", " "), value, beside, f"{figure['denominator']:,} {figure['of']}")
    out.print(table)
    for of in ("counts", "kinds"):
        error = 100 * figures["calibration"][of]["error"]
        out.print(f"calibration error of {of}, %: {error:.2f}", markup=False)
    out.print(_confusion(figures["count_confusion_true_by_inferred"], Table))


def _show(figures: dict[str, Any]) -> None:
    from rich.table import Table

    out = console()
    for name, label, times in LINES:
        if name in figures:
            out.print(f"{label}: {times * figures[name]:,.2f}", markup=False)
    if "count_confusion_true_by_inferred" in figures:
        out.print(_confusion(figures["count_confusion_true_by_inferred"], Table))


def _confusion(matrix: Sequence[Sequence[int]], table_of: Any) -> Any:
    table = table_of("true count", *(f"inferred {n}" for n in range(len(matrix))), box=None, pad_edge=False)
    for true, row in enumerate(matrix):
        table.add_row(str(true), *(f"{number:,}" for number in row))
    return table
