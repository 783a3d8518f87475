"""Accuracy, warnings and speed of a parser on in-distribution and out-of-distribution images.

Every image is written to a PNG file and read back, as in use.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from inverse_graphics.data.mnist import Source
from inverse_graphics.data.out_of_distribution import Images
from inverse_graphics.evaluation.suites import SUITES, Scores
from inverse_graphics.inference.parse import Parse
from inverse_graphics.inference.parser import SceneParser
from inverse_graphics.io.images import read_image, write_image

OUT_OF_DISTRIBUTION_SHARE = 20
"""Number of in-distribution images per out-of-distribution image of each kind."""
TIMED_ALONE = 50
"""Number of images that are timed one by one, after the same number for warm-up."""


@dataclass(frozen=True)
class InferRow:
    """Figures of one kind of images; None where they do not apply.

    `count_accuracy` to `camera_error_degrees` are the fields of `Scores`.

    Attributes:
        warned: share of images with a warning.
        images_per_second: throughput in batches, files included.
        milliseconds_alone: median latency of a single image in memory.
    """

    images: str
    number: int
    count_accuracy: float | None
    overlap: float | None
    warned: float
    images_per_second: float
    identity_accuracy: float | None = None
    position_error_m: float | None = None
    rotation_error_degrees: float | None = None
    camera_error_degrees: float | None = None
    milliseconds_alone: float | None = None


def benchmark_infer(
    parser: SceneParser,
    number: int,
    digits: Source,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[InferRow]:
    """Measure a parser on in-distribution and out-of-distribution images.

    Out-of-distribution images whose files are not on this machine are skipped.

    Args:
        parser: the parser.
        number: number of in-distribution images.
        digits: for 2D models, the source of test digits.
        seed: seed of the images.
        progress: called with the name of each kind of images.

    Raises:
        DataError: the digits are missing and cannot be fetched.

    """
    suite = SUITES[parser.document.kind](parser.document, digits)
    progress(suite.name)
    known = suite.in_distribution(number, seed)
    alone = _milliseconds_alone(parser, known.images)
    parses, seconds = _through_files(parser, known.images)
    yield _row(suite.name, parses, seconds, known.score(parses), alone)
    for kind, make in suite.out_of_distribution.items():
        progress(kind)
        others = make(max(1, number // OUT_OF_DISTRIBUTION_SHARE), np.random.default_rng(seed))
        if others is not None:
            yield _row(kind, *_through_files(parser, others), Scores())


def _row(
    images: str, parses: Sequence[Parse], seconds: float, scores: Scores, alone: float | None = None
) -> InferRow:
    warned = float(np.mean([parse.warning is not None for parse in parses]))
    number = len(parses)
    return InferRow(
        images, number, warned=warned, images_per_second=number / seconds, milliseconds_alone=alone,
        **scores._asdict(),
    )  # fmt: skip


def _through_files(parser: SceneParser, images: Images) -> tuple[list[Parse], float]:
    """Write images to files, read and parse them; returns parses, and seconds of reading and parsing."""
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index:06d}.png" for index in range(len(images))]
        for file, image in zip(files, images, strict=True):
            write_image(file, image)
        start = time.perf_counter()
        parses = list(parser.parse_stream((str(file), read_image(file)) for file in files))
        return parses, time.perf_counter() - start


def _milliseconds_alone(parser: SceneParser, images: Images) -> float:
    """The median time of parsing a single image, after a warm-up."""
    times = []
    for index in range(2 * TIMED_ALONE):
        start = time.perf_counter()
        parser.parse([images[index % len(images)]])
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[TIMED_ALONE:]))
