"""`inverse-graphics models list|show|export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .application import add, answer, new_group
from .options import Json
from .streams import console

if TYPE_CHECKING:
    from inverse_graphics.models.weights import ModelDocument

group = new_group("Trained models: list them, show their model cards, export them from runs.")

LIST_EXAMPLES = """\
inverse-graphics models list
inverse-graphics models list --json - | jq '.[].name'"""

SHOW_EXAMPLES = """\
inverse-graphics models show multi_mnist
inverse-graphics models show runs/multi_mnist-seed0/weights --json -"""

EXPORT_EXAMPLES = """\
inverse-graphics models export runs/table_top-seed0 -o my_model
inverse-graphics infer *.png --model my_model"""

HELD_OUT = (
    ("correct counts", "count_accuracy", 100, " %"),
    ("correct kinds", "identity_of_all", 100, " %"),
    ("position, median", "position_error_m_median", 1000, " mm"),
)
"""Columns of held-out figures: title, metric name, factor, and unit."""


def list_models(json: Json = None) -> None:
    """List the models that ship with the package."""
    from rich.table import Table

    from inverse_graphics.models.weights import list_models as shipped_models

    entries = shipped_models()

    def show() -> None:
        table = Table("model", "kind", *(title for title, _, _, _ in HELD_OUT), box=None, pad_edge=False)
        for entry in entries:
            metrics = entry.document.metrics
            figures = [
                f"{times * metrics[name]:.2f}{unit}" if name in metrics else ""
                for _, name, times, unit in HELD_OUT
            ]
            table.add_row(entry.name, entry.document.kind, *figures)
        console().print(table)

    answer([_facts(entry.name, entry.document) for entry in entries], json, show)


def show(
    model: Annotated[str, typer.Argument(metavar="NAME|DIR", help="A model's name, or its folder.")],
    json: Json = None,
) -> None:
    """Show a model's card and figures, after verifying its weights."""
    from inverse_graphics.models.weights import load_model, read_card

    loaded = load_model(model)
    answer(
        _facts(loaded.name, loaded.document),
        json,
        lambda: console().print(read_card(model), markup=False, soft_wrap=True),
    )


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run's folder, as `train` makes it.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="The model's folder; default RUN_DIR/weights."),
    ] = None,
    json: Json = None,
) -> None:
    """Write the model of a run from its latest checkpoint.

    The run may be finished, stopped, killed, or still going on; it can be continued afterwards.
    """
    from inverse_graphics.models.weights import load_model
    from inverse_graphics.training.run import export_run

    folder = export_run(run, out)
    answer(
        _facts(str(folder), load_model(folder).document),
        json,
        lambda: print(folder),  # noqa: T201 - what this command returns
    )


def _facts(name: str, document: ModelDocument) -> dict[str, Any]:
    return {"name": name, **document.model_dump(mode="json")}


add(group, list_models, LIST_EXAMPLES, "list")
add(group, show, SHOW_EXAMPLES)
add(group, export, EXPORT_EXAMPLES)
