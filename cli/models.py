"""`inverse-graphics models list|show`."""

from __future__ import annotations

from typing import Annotated

import typer

from .application import add, new_group
from .streams import STDOUT, console, write_json

group = new_group("Trained models: which there are, and what is known of each.")

LIST_EXAMPLES = """\
inverse-graphics models list
inverse-graphics models list --json - | jq '.[].name'"""

SHOW_EXAMPLES = """\
inverse-graphics models show multi_mnist
inverse-graphics models show runs/multi_mnist-seed0/weights --json -"""

Json = Annotated[str | None, typer.Option(metavar="FILE|-", help="Write JSON to FILE, or - for stdout.")]


HELD_OUT = (
    ("count right", "count_accuracy", 100, " %"),
    ("named right, of all objects", "identity_of_all", 100, " %"),
    ("position, median", "position_error_m_median", 1000, " mm"),
)
"""Held-out figures that are listed: title, name, and how they are written."""


def list_models(json: Json = None) -> None:
    """List the models that come with the package."""
    from rich.table import Table

    from inverse_graphics.models.weights import list_models as shipped_models

    entries = shipped_models()
    if json != STDOUT:
        table = Table("model", "kind", *(title for title, _, _, _ in HELD_OUT), box=None, pad_edge=False)
        for entry in entries:
            metrics = entry.document.metrics
            figures = [
                f"{times * metrics[name]:.2f}{unit}" if name in metrics else ""
                for _, name, times, unit in HELD_OUT
            ]
            table.add_row(entry.name, entry.document.kind, *figures)
        console().print(table)
    if json is not None:
        write_json(
            json, [{"name": entry.name, **entry.document.model_dump(mode="json")} for entry in entries]
        )


def show(
    model: Annotated[str, typer.Argument(metavar="NAME|DIR", help="A model's name, or its folder.")],
    json: Json = None,
) -> None:
    """Show a model's card and figures, after checking that its weights are whole."""
    from inverse_graphics.models.weights import load_model, read_card

    loaded = load_model(model)
    if json != STDOUT:
        console().print(read_card(model), markup=False, soft_wrap=True)
    if json is not None:
        write_json(json, {"name": loaded.name, **loaded.document.model_dump(mode="json")})


add(group, list_models, LIST_EXAMPLES, "list")
add(group, show, SHOW_EXAMPLES)
