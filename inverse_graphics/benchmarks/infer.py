"""How well a parser answers: on images like those it knows but has never seen, and on quite other ones.

Every image goes through a PNG file, as a user's would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from inverse_graphics.data.mnist import Source
from inverse_graphics.data.out_of_distribution import Images
from inverse_graphics.evaluation.scene_images import SceneSuite
from inverse_graphics.evaluation.suites import DigitSuite, EvaluationSuite, Scores
from inverse_graphics.inference.parse import Parse
from inverse_graphics.inference.parser import SceneParser
from inverse_graphics.io.images import read_image, write_image
from inverse_graphics.models.weights import ModelDocument

FOREIGN_SHARE = 20
"""One foreign image of each kind for so many familiar ones."""
TIMED_ALONE = 50
"""Images that are parsed one at a time, after as many that do not count."""

EXAMS: Mapping[str, Callable[[ModelDocument, Source], EvaluationSuite]] = {
    "air2d": lambda _, digits: DigitSuite(digits),
    "air3d": lambda document, _: SceneSuite.from_document(document),
}
"""What a model is examined by, by its kind."""


@dataclass(frozen=True)
class InferRow:
    """Figures of one kind of images; None where they do not apply.

    count_accuracy … camera_error_degrees: see `Scores`.  warned: share with a warning.  images_per_second:
    from files, in batches.  milliseconds_alone: median time of one image by itself, from memory.
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
    """Judge a parser on `number` images like those that its model knows, and on foreign images.

    digits: for 2D models, which test digits. Kinds whose files are not on this machine are left out.

    Raises:
        DataError: the digits are missing and cannot be fetched.
    """
    exam = EXAMS[parser.document.kind](parser.document, digits)
    progress(exam.name)
    familiar = exam.familiar(number, seed)
    alone = _milliseconds_alone(parser, familiar.images)
    parses, seconds = _through_files(parser, familiar.images)
    yield _row(exam.name, parses, seconds, familiar.mark(parses), alone)
    for kind, make in exam.foreign.items():
        progress(kind)
        foreign = make(max(1, number // FOREIGN_SHARE), np.random.default_rng(seed))
        if foreign is not None:
            yield _row(kind, *_through_files(parser, foreign), Scores())


def _row(
    images: str, parses: Sequence[Parse], seconds: float, marks: Scores, alone: float | None = None
) -> InferRow:
    warned = float(np.mean([parse.warning is not None for parse in parses]))
    number = len(parses)
    return InferRow(
        images, number, warned=warned, images_per_second=number / seconds, milliseconds_alone=alone,
        **marks._asdict(),
    )  # fmt: skip


def _through_files(parser: SceneParser, images: Images) -> tuple[list[Parse], float]:
    """Write images to files, then read and parse them: the answers, and the seconds that took."""
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index:06d}.png" for index in range(len(images))]
        for file, image in zip(files, images, strict=True):
            write_image(file, image)
        start = time.perf_counter()
        parses = list(parser.parse_stream((str(file), read_image(file)) for file in files))
        return parses, time.perf_counter() - start


def _milliseconds_alone(parser: SceneParser, images: Images) -> float:
    """The median time that an image takes by itself; the first ones compile and warm up."""
    times = []
    for index in range(2 * TIMED_ALONE):
        start = time.perf_counter()
        parser.parse([images[index % len(images)]])
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[TIMED_ALONE:]))
