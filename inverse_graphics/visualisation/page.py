"""A self-contained HTML page of inferred images and rendered scenes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.inference.parse import Box, Parse, ParsedObject
from inverse_graphics.io.files import atomic_write
from inverse_graphics.io.images import mask_colour
from inverse_graphics.rendering.rendered_scene import RenderedScene
from inverse_graphics.visualisation.scene_outlines import draw_scene
from inverse_graphics.visualisation.svg import (
    count_chart,
    depth_colours,
    depth_range,
    figure,
    object_caption,
    outline_marks,
    short_name,
    step_colour,
    svg_image,
)


@dataclass(frozen=True)
class InferredImage:
    """An image and the inferred objects.

    Attributes:
        image: (H, W, 3) in [0, 1], the parser's input.
        parse: the inferred objects.
        true_count: number of objects, None if unknown.
        true_identities: kinds of the objects, in any order; None if unknown or for 2D models.
    """

    image: NDArray[np.float32]
    parse: Parse
    true_count: int | None = None
    true_identities: tuple[str, ...] | None = None

    @property
    def right(self) -> bool | None:
        """Whether count and kinds are correct; None if the truth is unknown."""
        if self.true_count is None or self.true_identities is None:
            return None if self.true_count is None else self.parse.count == self.true_count
        return sorted(self.true_identities) == sorted(found.identity or "" for found in self.parse.objects)

    @property
    def truth(self) -> str:
        """The true count or kinds, as text."""
        if not self.true_identities:
            return str(self.true_count)
        return ", ".join(short_name(identity) for identity in self.true_identities)


def parse_card(inferred: InferredImage) -> str:
    """HTML of an image with overlay, its reconstruction after each step, and count probabilities."""
    parse, image = inferred.parse, inferred.image
    if parse.scene is None:
        boxes = {step: found.box_px for step, found in enumerate(parse.objects)}
        seen, again = svg_image(image, boxes), svg_image(parse.reconstruction)
    else:
        drawn = draw_scene(parse.scene, image.shape[1], image.shape[0])
        outlines = outline_marks(drawn.outlines, parse.objects, image.shape[:2])
        seen, again = svg_image(image, marks=outlines), svg_image(drawn.image, smooth=True)
    return (
        f'<div class="card parse{"" if parse.scene is None else " space"}">'
        + figure(seen, f"input: {escape(parse.image)}")
        + figure(again, "reconstruction")
        + f'<div class="steps">{"".join(_steps(inferred))}</div>'
        + f"<div>{count_chart(parse.count_probabilities, parse.count)}{_verdict(inferred)}"
        + f"{''.join(map(_fact, range(parse.count), parse.objects))}</div></div>"
    )


def _steps(inferred: InferredImage) -> Iterator[str]:
    """HTML of the reconstruction before and after each step, at the network's resolution."""
    parse = inferred.parse
    yield figure(svg_image(parse.prefixes[0]), "before step 1")
    for step, found in enumerate(parse.objects):
        window = _at_model_size(found.window_px or found.box_px, inferred)
        drawn = svg_image(parse.prefixes[step + 1], {step: window})
        yield figure(drawn, f"{_badge(step)} after step {step + 1}")


def _badge(step: int) -> str:
    return f'<i class="badge" style="background:{step_colour(step)}">{step + 1}</i>'


def _verdict(inferred: InferredImage) -> str:
    parse = inferred.parse
    objects = "object" if parse.count == 1 else "objects"
    verdict = {None: "", True: "right", False: "wrong"}[inferred.right]
    beside = {None: "", True: ", right", False: f", truly {escape(inferred.truth)}"}[inferred.right]
    warning = f'<div class="warning">{escape(parse.warning)}</div>' if parse.warning else ""
    return (
        f'<div class="verdict">{parse.count} {objects}<span class="{verdict}">{beside}</span></div>'
        f'<div class="facts">log-likelihood {parse.log_likelihood:,.0f} nats</div>{warning}'
    )


def _fact(step: int, found: ParsedObject) -> str:
    """HTML of an object's name, probability and position; empty for 2D models."""
    if found.identity is None or found.position_m is None:
        return ""
    place = ", ".join(str(round(100 * axis)) for axis in found.position_m).replace("-", "−")
    return f'<div class="facts">{_badge(step)} {escape(object_caption(found))} at {place} cm</div>'


def _at_model_size(box: Box, inferred: InferredImage) -> Box:
    """Map a box from the image to the network's input: letterboxed in 2D, centre-cropped in 3D."""
    (rows, columns), image = inferred.parse.observation.shape[:2], inferred.image.shape
    fit = min if inferred.parse.scene is None else max
    scale = fit(rows / image[0], columns / image[1])
    x, y, width, height = (side * scale for side in box)
    return x + (columns - scale * image[1]) / 2, y + (rows - scale * image[0]) / 2, width, height


@dataclass(frozen=True)
class Gallery:
    """Images parsed by one model.

    Attributes:
        title: heading of the section.
        text: introductory text.
        inferred: the images.
    """

    title: str
    text: str
    inferred: Sequence[InferredImage]


def write_sheet(
    path: Path | str,
    title: str,
    galleries: Sequence[Gallery],
    scenes: Mapping[str, RenderedScene],
    footer: str = "",
) -> None:
    """Write the page as one HTML file with embedded images.

    Raises:
        StorageError: the file cannot be written.
    """
    with atomic_write(path, "w") as file:
        file.write(_page(title, galleries, scenes, footer))


def _page(title: str, galleries: Sequence[Gallery], scenes: Mapping[str, RenderedScene], footer: str) -> str:
    style = (resources.files("inverse_graphics.visualisation") / "page.css").read_text(encoding="utf-8")
    body = [f"<h1>{escape(title)}</h1>"]
    for gallery in galleries:
        cards = "".join(map(parse_card, gallery.inferred))
        body.append(f"<h2>{escape(gallery.title)}</h2><p>{escape(gallery.text)}</p>{cards}")
    if scenes:
        cards = "".join(_scene_card(name, scene) for name, scene in scenes.items())
        body.append(
            "<h2>Scene to image</h2><p>Rendered by the embedded engine: image, depth along the camera axis, "
            f'and instance mask.</p><div class="scenes">{cards}</div>'
        )
    body.append(f"<footer>{escape(footer)}</footer>" if footer else "")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _scene_card(name: str, scene: RenderedScene) -> str:
    near, far = depth_range(scene.depth)
    coloured = np.array([mask_colour(index) for index in range(256)], np.float32)[scene.mask] / 255
    figures = (
        figure(svg_image(scene.image, smooth=True), "image")
        + figure(svg_image(depth_colours(scene.depth), smooth=True), f"depth, {near:.2f} to {far:.2f} m")
        + figure(svg_image(coloured, smooth=True), "objects")
    )
    legend = "".join(
        f'<span class="key"><i style="background:rgb{mask_colour(index)}"></i>'
        f"{escape(placed.asset.rpartition('/')[2])}</span> "
        for index, placed in enumerate(scene.scene.objects, start=1)
    )
    return (
        f'<div class="card"><h3>{escape(name)}</h3><div class="triple">{figures}</div>'
        f'<div class="legend">{legend}</div></div>'
    )
