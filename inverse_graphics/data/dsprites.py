"""dSprites: squares, ellipses, hearts in six sizes and forty orientations (Matthey et al. 2017, Apache-2.0).

Each of the 720 shapes is included once, cropped from its image; all of them ship with the package.
"""

from __future__ import annotations

import io

import numpy as np

from inverse_graphics.data.glyphs import Glyphs, Split, tight_boxes
from inverse_graphics.data.store import Resource, read_resource, read_shipped, write_shipped

SHAPES = ("square", "ellipse", "heart")
SHIPPED = "dsprites/masks", "dsprites/labels"
TEST_COUNT, CALIBRATION_COUNT = 120, 60
"""Shapes for evaluation, and for the thresholds of the outlier detector."""

PUBLISHED = Resource(
    "dsprites/dsprites_subset.npz",
    "32e7cb03fbab06c521df18877073c8d8508877ccecf27d98a9815fa2d4856567",
    710_021,
    (
        "https://raw.githubusercontent.com/colleenjg/neuromatch_ssl_tutorial/"
        "985c0ffb002e9c12c4c61533b4af6adfaa64c8bf/dsprites/dsprites_subset.npz",
    ),
)
"""20,000 random images, which include every shape in every size and orientation."""


def dsprites_glyphs() -> Split:
    """Load the 720 shapes, labelled by their index in `SHAPES`, shuffled by a fixed seed, and split."""
    masks, labels = (read_shipped(name) for name in SHIPPED)
    order = np.random.default_rng(0).permutation(len(labels))
    shapes = Glyphs(255 * masks[order], labels[order].astype(np.int64))
    rest, test = shapes.divided(TEST_COUNT)
    return Split(*rest.divided(CALIBRATION_COUNT), test)


def write_shipped_shapes() -> None:
    """Write the shipped shapes again, cropped from the published images.

    Raises:
        DataError: these are not on this machine and cannot be fetched.
    """
    published = np.load(io.BytesIO(read_resource(PUBLISHED)), allow_pickle=False)
    images, shape_size_orientation = published["imgs"], published["latents_classes"][:, :3]
    shapes, first = np.unique(shape_size_orientation, axis=0, return_index=True)
    boxes = tight_boxes(images[first])
    side = boxes[:, 2:].max()
    masks = np.zeros((len(shapes), side, side), np.uint8)
    for mask, image, (x, y, width, height) in zip(masks, images[first], boxes, strict=True):
        mask[:height, :width] = image[y : y + height, x : x + width]
    write_shipped(SHIPPED[0], masks)
    write_shipped(SHIPPED[1], shapes[:, 0].astype(np.uint8))
