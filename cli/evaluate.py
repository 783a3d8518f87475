"""`inverse-graphics evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .application import answer
from .options import Device, Json, number
from .streams import advancing, console

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = """\
inverse-graphics evaluate multi_mnist
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
    model: Annotated[str, typer.Argument(metavar="NAME|DIR", help="A 2D model's name, or its folder.")],
    images: Annotated[int, number("Number of held-out images.", 1, 1_000_000)] = 2000,
    samples: Annotated[int, number("Samples of the importance-weighted bound.", 1, 10_000, metavar="K")] = 10,
    seed: Annotated[int, number("Seed of the images.", 0)] = 0,
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Evaluate a 2D model on held-out images: bounds, counts, calibration.

    The images are sampled from the data distribution in the model's recipe.
    """
    from inverse_graphics.devices import resolve_device
    from inverse_graphics.evaluation.air2d import evaluate2d, recipe_of
    from inverse_graphics.models.air2d.network import Air2D
    from inverse_graphics.models.weights import load_model

    place = resolve_device(device)
    loaded = load_model(model)
    recipe = recipe_of(loaded)
    assert isinstance(loaded.module, Air2D)
    with advancing("evaluating", images) as advance:
        figures = evaluate2d(loaded.module.to(place), recipe, images, samples, seed, advance)
    answer({"model": model, **figures}, json, lambda: _show(figures))


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
