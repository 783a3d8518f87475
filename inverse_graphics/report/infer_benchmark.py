"""How well a parser answers: on images of digits it has never seen, and on what is no digit at all.

Every image goes through a PNG file, as a user's would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.data.foreign_images import FOREIGN
from inverse_graphics.data.mnist import Source, load_digits
from inverse_graphics.data.multi_mnist import MultiMnist, MultiMnistBatch
from inverse_graphics.formats import read_image, write_image
from inverse_graphics.parse import Box, Parse
from inverse_graphics.scene_parser import SceneParser

FAMILIAR = "multi-MNIST"
FOREIGN_SHARE = 20
"""One foreign image of each kind for so many familiar ones."""


@dataclass(frozen=True)
class InferRow:
    """Figures of one kind of images; None where they do not apply.

    count_accuracy: share of images whose count is right.  overlap: median intersection over union of a
    true tight box and the best box found, where the count is right.  warned: share with a warning.
    """

    images: str
    number: int
    count_accuracy: float | None
    overlap: float | None
    warned: float
    images_per_second: float


def benchmark_infer(
    parser: SceneParser,
    number: int,
    digits: Source,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[InferRow]:
    """Judge a parser on `number` multi-MNIST images of test digits, and on foreign images.

    Kinds whose files are not on this machine are left out.

    Raises:
        DataError: the digits are missing and cannot be fetched.
    """
    progress(FAMILIAR)
    batch = MultiMnist(load_digits("test", digits)).fixed_set(number, seed)
    parses, seconds = _through_files(parser, list(batch.images))
    yield InferRow(
        images=FAMILIAR,
        number=number,
        count_accuracy=float(np.mean(batch.counts == [parse.count for parse in parses])),
        overlap=_median_overlap(parses, batch),
        warned=_share_warned(parses),
        images_per_second=number / seconds,
    )
    for kind, make in FOREIGN.items():
        progress(kind)
        foreign = make(max(1, number // FOREIGN_SHARE), np.random.default_rng(seed))
        if foreign is not None:
            parses, seconds = _through_files(parser, foreign)
            yield InferRow(kind, len(foreign), None, None, _share_warned(parses), len(foreign) / seconds)


def _through_files(parser: SceneParser, images: list[NDArray[np.float32]]) -> tuple[list[Parse], float]:
    """Write images to files, then read and parse them: the answers, and the seconds that took."""
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index:06d}.png" for index in range(len(images))]
        for file, image in zip(files, images, strict=True):
            write_image(file, image)
        start = time.perf_counter()
        parses = list(parser.parse_stream((str(file), read_image(file)) for file in files))
        return parses, time.perf_counter() - start


def _share_warned(parses: list[Parse]) -> float:
    return float(np.mean([parse.warning is not None for parse in parses]))


def _median_overlap(parses: list[Parse], truth: MultiMnistBatch) -> float | None:
    overlaps = [
        max(intersection_over_union(found.box_px, tuple(box)) for found in parse.objects)
        for parse, count, boxes in zip(parses, truth.counts, truth.boxes, strict=True)
        if parse.count == count
        for box in boxes[:count].tolist()
    ]
    return float(np.median(overlaps)) if overlaps else None


def intersection_over_union(one: Box, other: Box) -> float:
    """Of two boxes x, y, width, height: in [0, 1], 1 where they are the same."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
