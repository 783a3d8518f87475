"""A page for people: what was generated and what was inferred, in one file that needs no other."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.files import atomic_write
from inverse_graphics.formats import mask_colour, to_bytes
from inverse_graphics.parse import Box, Parse
from inverse_graphics.report.colours import depth_colours, depth_range, step_colour
from inverse_graphics.report.count_chart import count_chart
from inverse_graphics.report.rendered_scene import RenderedScene


@dataclass(frozen=True)
class InferredImage:
    """An image and what was seen in it.

    image: (H, W, 3) in [0, 1], as it was given to the parser.  true_count: what was to be seen, or None.
    """

    image: NDArray[np.float32]
    parse: Parse
    true_count: int | None = None


def write_sheet(
    path: Path | str,
    title: str,
    scenes: Sequence[RenderedScene],
    inferred: Sequence[InferredImage],
    footer: str = "",
) -> None:
    """Write the page as one HTML file, pictures within it.

    Raises:
        StorageError: the file cannot be written.
    """
    with atomic_write(path, "w") as file:
        file.write(_page(title, scenes, inferred, footer))


def _page(title: str, scenes: Sequence[RenderedScene], inferred: Sequence[InferredImage], footer: str) -> str:
    style = (resources.files("inverse_graphics.report") / "sheet.css").read_text(encoding="utf-8")
    body = [f"<h1>{escape(title)}</h1>"]
    if scenes:
        cards = "".join(map(_scene_card, scenes))
        body.append(
            "<h2>Scene to image</h2><p>Drawn by the embedded engine: the picture, the depth from the camera, "
            f'and which object is seen in each pixel.</p><div class="scenes">{cards}</div>'
        )
    if inferred:
        cards = "".join(map(_parse_card, inferred))
        body.append(
            "<h2>Image to scene</h2><p>Found by the network, which was trained without labels: it attends to "
            f"one object after another and stops when nothing is left to explain.</p>{cards}"
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
        _figure(_picture(scene.picture, smooth=True), "picture")
        + _figure(_picture(depth_colours(scene.depth), smooth=True), f"depth, {near:.2f} to {far:.2f} m")
        + _figure(_picture(coloured, smooth=True), "objects")
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


def _parse_card(inferred: InferredImage) -> str:
    parse, image = inferred.parse, inferred.image
    steps = [_figure(_picture(parse.prefixes[0]), "before step 1")]
    for step, found in enumerate(parse.objects):
        window = _on_canvas(found.window_px or found.box_px, image.shape, parse.observation.shape)
        badge = f'<i class="badge" style="background:{step_colour(step)}">{step + 1}</i>'
        steps.append(
            _figure(_picture(parse.prefixes[step + 1], {step: window}), f"{badge} after step {step + 1}")
        )
    boxes = {step: found.box_px for step, found in enumerate(parse.objects)}
    return (
        '<div class="card parse">'
        + _figure(_picture(image, boxes), f"input: {escape(parse.image)}")
        + _figure(_picture(parse.reconstruction), "reconstruction")
        + f'<div class="steps">{"".join(steps)}</div>'
        + f"<div>{count_chart(parse.count_probabilities, parse.count)}{_verdict(inferred)}</div></div>"
    )


def _verdict(inferred: InferredImage) -> str:
    parse, truth = inferred.parse, inferred.true_count
    objects = "object" if parse.count == 1 else "objects"
    judged = "" if truth is None else "right" if truth == parse.count else "wrong"
    beside = "" if truth is None else f", {judged}" if judged == "right" else f", truly {truth}"
    warning = f'<div class="warning">{escape(parse.warning)}</div>' if parse.warning else ""
    return (
        f'<div class="verdict">{parse.count} {objects}<span class="{judged}">{beside}</span></div>'
        f'<div class="facts">log-likelihood {parse.log_likelihood:,.0f} nats</div>{warning}'
    )


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _picture(
    image: NDArray[np.floating], boxes: dict[int, Box] | None = None, *, smooth: bool = False
) -> str:
    """Draw an image as SVG, so that the boxes over it stay sharp at any size."""
    height, width = image.shape[:2]
    line = max(height, width) / 60
    rectangles = "".join(
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{w:.2f}" height="{h:.2f}" fill="none" '
        f'stroke="{step_colour(step)}" stroke-width="{line:.2f}"/>'
        for step, (x, y, w, h) in (boxes or {}).items()
    )
    kind = "picture smooth" if smooth else "picture"
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height}"><image width="{width}" height="{height}" '
        f'href="{_data_uri(image)}"/>{rectangles}</svg>'
    )


def _data_uri(image: NDArray[np.floating]) -> str:
    encoded = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(encoded, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")


def _on_canvas(box: Box, image: tuple[int, ...], canvas: tuple[int, ...]) -> Box:
    """Move a box from an image to the canvas that the image was fitted into, centred, to the pixel."""
    scale = min(canvas[0] / image[0], canvas[1] / image[1])
    left, top = (canvas[1] - scale * image[1]) / 2, (canvas[0] - scale * image[0]) / 2
    x, y, width, height = (side * scale for side in box)
    return x + left, y + top, width, height
