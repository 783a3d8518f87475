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


def list_models(json: Json = None) -> None:
    """List the models that come with the package."""
    from rich.table import Table

    from inverse_graphics.models.weights import list_models as shipped_models

    entries = shipped_models()
    if json != STDOUT:
        table = Table("model", "kind", "held-out count accuracy", box=None, pad_edge=False)
        for entry in entries:
            accuracy = entry.document.metrics.get("count_accuracy")
            table.add_row(
                entry.name, entry.document.kind, "" if accuracy is None else f"{100 * accuracy:.2f} %"
            )
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
