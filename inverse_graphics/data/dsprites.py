"""dSprites: squares, ellipses and hearts in six sizes and forty turns (Matthey et al. 2017, Apache-2.0).

Here each of the 720 shapes stands once, cut out of its place: all of them ship with the package.
"""

from __future__ import annotations

import io

import numpy as np

from inverse_graphics.data.glyphs import Glyphs, Split, tight_boxes
from inverse_graphics.data.store import Resource, read_resource, read_shipped, write_shipped

SHAPES = ("square", "ellipse", "heart")
SHIPPED = "dsprites/masks", "dsprites/labels"
HELD_OUT, KEPT = 120, 60
"""Shapes that are judged on, and kept for the warning's thresholds."""

PUBLISHED = Resource(
    "dsprites/dsprites_subset.npz",
    "32e7cb03fbab06c521df18877073c8d8508877ccecf27d98a9815fa2d4856567",
    710_021,
    (
        "https://raw.githubusercontent.com/colleenjg/neuromatch_ssl_tutorial/"
        "985c0ffb002e9c12c4c61533b4af6adfaa64c8bf/dsprites/dsprites_subset.npz",
    ),
)
"""20,000 images at random, among them every shape in every size and turn."""


def dsprites_glyphs() -> Split:
    """The 720 shapes, labelled by their place in `SHAPES`, shuffled once and for all, and divided."""
    masks, labels = (read_shipped(name) for name in SHIPPED)
    order = np.random.default_rng(0).permutation(len(labels))
    shapes = Glyphs(255 * masks[order], labels[order].astype(np.int64))
    rest, held_out = shapes.divided(HELD_OUT)
    return Split(*rest.divided(KEPT), held_out)


def write_shipped_shapes() -> None:
    """Cut the shapes out of the published images anew.

    Raises:
        DataError: these are not here and cannot be fetched.
    """
    published = np.load(io.BytesIO(read_resource(PUBLISHED)), allow_pickle=False)
    images, shape_size_turn = published["imgs"], published["latents_classes"][:, :3]
    shapes, first = np.unique(shape_size_turn, axis=0, return_index=True)
    boxes = tight_boxes(images[first])
    side = boxes[:, 2:].max()
    masks = np.zeros((len(shapes), side, side), np.uint8)
    for mask, image, (x, y, width, height) in zip(masks, images[first], boxes, strict=True):
        mask[:height, :width] = image[y : y + height, x : x + width]
    write_shipped(SHIPPED[0], masks)
    write_shipped(SHIPPED[1], shapes[:, 0].astype(np.uint8))
