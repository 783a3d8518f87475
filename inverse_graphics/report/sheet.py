"""A page for people: what was generated and what was inferred, in one file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np

from inverse_graphics.files import atomic_write
from inverse_graphics.formats import mask_colour
from inverse_graphics.report.colours import depth_colours, depth_range
from inverse_graphics.report.page_picture import figure, picture
from inverse_graphics.report.parse_card import InferredImage, parse_card
from inverse_graphics.report.rendered_scene import RenderedScene


@dataclass(frozen=True)
class Gallery:
    """Images that one model has parsed.  text: what people should know of them."""

    title: str
    text: str
    inferred: Sequence[InferredImage]


def write_sheet(
    path: Path | str,
    title: str,
    galleries: Sequence[Gallery],
    scenes: Sequence[RenderedScene],
    footer: str = "",
) -> None:
    """Write the page as one HTML file, pictures within it.

    Raises:
        StorageError: the file cannot be written.
    """
    with atomic_write(path, "w") as file:
        file.write(_page(title, galleries, scenes, footer))


def _page(title: str, galleries: Sequence[Gallery], scenes: Sequence[RenderedScene], footer: str) -> str:
    style = (resources.files("inverse_graphics.report") / "sheet.css").read_text(encoding="utf-8")
    body = [f"<h1>{escape(title)}</h1>"]
    for gallery in galleries:
        cards = "".join(map(parse_card, gallery.inferred))
        body.append(f"<h2>{escape(gallery.title)}</h2><p>{escape(gallery.text)}</p>{cards}")
    if scenes:
        cards = "".join(map(_scene_card, scenes))
        body.append(
            "<h2>Scene to image</h2><p>Drawn by the embedded engine: the picture, the depth from the camera, "
            f'and which object is seen in each pixel.</p><div class="scenes">{cards}</div>'
        )
    body.append(f"<footer>{escape(footer)}</footer>" if footer else "")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _scene_card(scene: RenderedScene) -> str:
    near, far = depth_range(scene.depth)
    coloured = np.array([mask_colour(index) for index in range(256)], np.float32)[scene.mask] / 255
    figures = (
        figure(picture(scene.picture, smooth=True), "picture")
        + figure(picture(depth_colours(scene.depth), smooth=True), f"depth, {near:.2f} to {far:.2f} m")
        + figure(picture(coloured, smooth=True), "objects")
    )
    legend = "".join(
        f'<span class="key"><i style="background:rgb{mask_colour(index)}"></i>'
        f"{escape(name.rpartition('/')[2])}</span> "
        for index, name in enumerate(scene.objects, start=1)
    )
    return (
        f'<div class="card"><h3>{escape(scene.name)}</h3><div class="triple">{figures}</div>'
        f'<div class="legend">{legend}</div></div>'
    )
