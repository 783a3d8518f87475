"""A page for people: what was generated and what was inferred, in one file that needs no other.

One image and what was inferred of it, as a card of a page.
"""

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
from inverse_graphics.visualisation.scene_picture import draw_scene
from inverse_graphics.visualisation.svg import (
    count_chart,
    depth_colours,
    depth_range,
    figure,
    object_caption,
    outline_marks,
    picture,
    short_name,
    step_colour,
)


@dataclass(frozen=True)
class InferredImage:
    """An image and what was seen in it.

    Attributes:
        image: (H, W, 3) in [0, 1], as it was given to the parser.
        true_count: what was to be seen, or None.
        true_identities: likewise, in any order, None where objects have no names.
    """

    image: NDArray[np.float32]
    parse: Parse
    true_count: int | None = None
    true_identities: tuple[str, ...] | None = None

    @property
    def right(self) -> bool | None:
        """Whether as many objects were found as there are, and the right ones; None if that is not known."""
        if self.true_count is None or self.true_identities is None:
            return None if self.true_count is None else self.parse.count == self.true_count
        return sorted(self.true_identities) == sorted(found.identity or "" for found in self.parse.objects)

    @property
    def truth(self) -> str:
        """What was to be seen, in words."""
        if not self.true_identities:
            return str(self.true_count)
        return ", ".join(short_name(identity) for identity in self.true_identities)


def parse_card(inferred: InferredImage) -> str:
    """HTML: the image with what was found, the reconstruction, how it came about, and how sure that is."""
    parse, image = inferred.parse, inferred.image
    if parse.scene is None:
        boxes = {step: found.box_px for step, found in enumerate(parse.objects)}
        seen, again = picture(image, boxes), picture(parse.reconstruction)
    else:
        drawn = draw_scene(parse.scene, image.shape[1], image.shape[0])
        outlines = outline_marks(drawn.outlines, parse.objects, image.shape[:2])
        seen, again = picture(image, marks=outlines), picture(drawn.picture, smooth=True)
    return (
        f'<div class="card parse{"" if parse.scene is None else " space"}">'
        + figure(seen, f"input: {escape(parse.image)}")
        + figure(again, "reconstruction")
        + f'<div class="steps">{"".join(_steps(inferred))}</div>'
        + f"<div>{count_chart(parse.count_probabilities, parse.count)}{_verdict(inferred)}"
        + f"{''.join(map(_fact, range(parse.count), parse.objects))}</div></div>"
    )


def _steps(inferred: InferredImage) -> Iterator[str]:
    """What the network had drawn before and after each step, at its own resolution."""
    parse = inferred.parse
    yield figure(picture(parse.prefixes[0]), "before step 1")
    for step, found in enumerate(parse.objects):
        window = _at_model_size(found.window_px or found.box_px, inferred)
        drawn = picture(parse.prefixes[step + 1], {step: window})
        yield figure(drawn, f"{_badge(step)} after step {step + 1}")


def _badge(step: int) -> str:
    return f'<i class="badge" style="background:{step_colour(step)}">{step + 1}</i>'


def _verdict(inferred: InferredImage) -> str:
    parse = inferred.parse
    objects = "object" if parse.count == 1 else "objects"
    judged = {None: "", True: "right", False: "wrong"}[inferred.right]
    beside = {None: "", True: ", right", False: f", truly {escape(inferred.truth)}"}[inferred.right]
    warning = f'<div class="warning">{escape(parse.warning)}</div>' if parse.warning else ""
    return (
        f'<div class="verdict">{parse.count} {objects}<span class="{judged}">{beside}</span></div>'
        f'<div class="facts">log-likelihood {parse.log_likelihood:,.0f} nats</div>{warning}'
    )


def _fact(step: int, found: ParsedObject) -> str:
    """An object's name, how certain that is, and where it stands; nothing where objects have no names."""
    if found.identity is None or found.position_m is None:
        return ""
    place = ", ".join(str(round(100 * axis)) for axis in found.position_m).replace("-", "−")
    return f'<div class="facts">{_badge(step)} {escape(object_caption(found))} at {place} cm</div>'


def _at_model_size(box: Box, inferred: InferredImage) -> Box:
    """Move a box from an image to the canvas: fitted into it whole in 2D, covering it in 3D, centred."""
    (rows, columns), image = inferred.parse.observation.shape[:2], inferred.image.shape
    fit = min if inferred.parse.scene is None else max
    scale = fit(rows / image[0], columns / image[1])
    x, y, width, height = (side * scale for side in box)
    return x + (columns - scale * image[1]) / 2, y + (rows - scale * image[0]) / 2, width, height


@dataclass(frozen=True)
class Gallery:
    """Images that one model has parsed.

    Attributes:
        text: what people should know of them.
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
    """Write the page as one HTML file, pictures within it.

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
            "<h2>Scene to image</h2><p>Drawn by the embedded engine: the picture, the depth from the camera, "
            f'and which object is seen in each pixel.</p><div class="scenes">{cards}</div>'
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
        figure(picture(scene.image, smooth=True), "picture")
        + figure(picture(depth_colours(scene.depth), smooth=True), f"depth, {near:.2f} to {far:.2f} m")
        + figure(picture(coloured, smooth=True), "objects")
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
