"""What `inverse-graphics data` does with images of objects in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .streams import STDOUT, advancing, say, write_json

if TYPE_CHECKING:
    from inverse_graphics.data.canvas_set import CanvasSetSettings

CANVASES = ("multi_mnist", "sprites", "multi_dsprites", "omniglot")
"""The kinds there are, named here so that help needs not import them."""


def canvas_kinds() -> list[dict[str, Any]]:
    """Each kind's name, what its objects are called, where they come from, and its settings."""
    from inverse_graphics.data.kinds import KINDS

    kinds = {name: kind.model_validate({"kind": name}) for name, kind in KINDS.items()}
    return [
        {"name": name, "objects": of.objects, "description": of.origin, **of.model_dump(mode="json")}
        for name, of in kinds.items()
    ]


def canvas_settings(
    kind: str, overrides: Sequence[str], images: int, seed: int, share: str
) -> CanvasSetSettings:
    """The settings of a set, `key=value` overrides applied.

    Raises:
        DataError: one of them is no such thing, or does not fit.
    """
    from inverse_graphics.data.canvas_set import CanvasSetSettings
    from inverse_graphics.documents import parse_yaml, validated
    from inverse_graphics.errors import DataError

    data: dict[str, Any] = {"kind": kind}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise DataError(f"override {override!r} is not key=value, such as size=64")
        data[key] = parse_yaml(text, f"override {key}", DataError)
    document = {"data": data, "images": images, "seed": seed, "share": share}
    return validated(CanvasSetSettings, document, kind, DataError)


def make_canvases(settings: CanvasSetSettings, out: Path, processes: int, json: str | None) -> None:
    """Make a set, and say so."""
    from inverse_graphics.data.canvas_set_making import images_made, make_canvas_set

    images = settings.images
    try:
        with advancing("drawing", images) as advance:
            made = make_canvas_set(settings, out, processes, advance)
    except KeyboardInterrupt:
        done = images_made(settings, out)
        say(f"stopped: {done:,} of {images:,} images are in {out}; the same command goes on")
        raise typer.Exit(130) from None
    if json is not None:
        facts = {**made.document.model_dump(mode="json"), "complete": made.document.complete}
        write_json(json, {"folder": str(out), **facts})
    if json != STDOUT:
        say(f"{images:,} images are in {out}; {out / 'sheet.png'} shows the first")
