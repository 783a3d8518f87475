"""Images of several objects: randomly placed glyphs over a background, as in multi-MNIST.

Eslami et al. 2016, "Attend, Infer, Repeat", section 3.1: 50×50 pixels, 0, 1 or 2 digits with equal
probability. By default the digits' bounding boxes are disjoint, so that the count is well defined. The
background is black, noise, or a grid of lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from inverse_graphics.data.glyphs import (
    Glyphs,
    each_is_visible,
    ink_adds_up,
    place_disjoint,
    place_overlapping,
)
from inverse_graphics.errors import DataError

Images = NDArray[np.float32]
Grey = Annotated[float, Field(ge=0, le=1)]


class Black(BaseModel):
    """A black background."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["black"] = "black"


class Noise(BaseModel):
    """Independent pixels: normal with this mean and standard deviation, clipped to [0, 1]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["noise"] = "noise"
    mean: Grey = 0.3
    std: Grey = 0.15

    def sample(self, count: int, size: int, generator: np.random.Generator) -> Images:
        """Sample backgrounds: (count, size, size) in [0, 1]."""
        noise = generator.standard_normal((count, size, size), np.float32)
        return (np.float32(self.mean) + np.float32(self.std) * noise).clip(0, 1)


class Grid(BaseModel):
    """Horizontal and vertical lines, one pixel wide, on black.

    Both, and the position of the first line, are sampled for each image.

    Attributes:
        spacing: smallest and largest distance between lines, pixels.
        brightness: smallest and largest grey level.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["grid"] = "grid"
    spacing: tuple[int, int] = (6, 9)
    brightness: tuple[Grey, Grey] = (0.3, 0.6)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 2 <= self.spacing[0] <= self.spacing[1] or self.brightness[0] > self.brightness[1]:
            raise ValueError(
                "spacing and brightness: expected [smallest, largest], with a spacing of at least 2 pixels"
            )
        return self

    def sample(self, count: int, size: int, generator: np.random.Generator) -> Images:
        """Sample backgrounds: (count, size, size) in [0, 1]."""
        spacing = generator.integers(self.spacing[0], self.spacing[1] + 1, (count, 1))
        x, y = (generator.integers(0, self.spacing[1], (2, count, 1)) % spacing)[:, :, :]
        brightness = generator.uniform(*self.brightness, (count, 1, 1)).astype(np.float32)
        pixels = np.arange(size)
        columns, rows = (pixels - x) % spacing == 0, (pixels - y) % spacing == 0
        return brightness * (columns[:, None, :] | rows[:, :, None])


Background = Annotated[Black | Noise | Grid, Field(discriminator="kind")]
"""Any of these."""


BLOCK = 256
"""Images per batch of a fixed set."""

Weights = Annotated[tuple[float, ...], Field(min_length=1, max_length=17)]
GlyphPlacement = Literal["disjoint", "adding", "overlapping"]


class MultiObjectSettings(BaseModel):
    """Settings of images of several objects.

    Attributes:
        size: side of the square image, pixels.
        count_weights: relative frequency of 0, 1, 2, … objects; they need not sum to one.
        held_out_count_weights: the same for test images; None for `count_weights`.
        placement: "disjoint": bounding boxes do not overlap; "adding": they may, but the summed ink is at
            most 1 in every pixel, as in pyro's multi-MNIST; "overlapping": objects occlude each other, but at
            least the share `visible` of each is visible.
        visible: smallest visible share of an object's ink, in [0, 1].
        scale: smallest and largest factor by which a glyph is resized.
        background: the image behind the objects, whose ink is white and opaque.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    counted: ClassVar[bool] = True
    """Whether the true counts are known."""

    size: int = Field(default=50, ge=20, le=1024)
    count_weights: Weights = (1.0, 1.0, 1.0)
    held_out_count_weights: Weights | None = None
    placement: GlyphPlacement = "disjoint"
    visible: float = Field(default=0.5, ge=0, le=1)
    scale: tuple[float, float] = (1.0, 1.0)
    background: Background = Black()

    @field_validator("count_weights", "held_out_count_weights")
    @classmethod
    def _some_count_possible(cls, weights: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if weights is not None:
            if not all(np.isfinite(weight) and weight >= 0 for weight in weights):
                raise ValueError("expected weights that are finite and at least 0")
            if not sum(weights) > 0:
                raise ValueError("expected at least one positive weight")
        return weights

    @model_validator(mode="after")
    def _scale_in_order(self) -> Self:
        if not 0.1 <= self.scale[0] <= self.scale[1] <= 10:
            raise ValueError("scale: expected [smallest, largest], between 0.1 and 10")
        return self

    @property
    def largest_count(self) -> int:
        """The largest possible number of objects of an image."""
        return len(self.count_weights) - 1

    @property
    def count_probabilities(self) -> NDArray[np.float64]:
        """Probabilities of the counts, which sum to one: (largest_count + 1,)."""
        weights = np.asarray(self.count_weights, np.float64)
        return weights / weights.sum()

    def test_settings(self) -> Self:
        """The settings of test images."""
        weights = self.held_out_count_weights
        return self if weights is None else self.model_copy(update={"count_weights": weights})


_PAPER = MultiObjectSettings()


class MultiObjectBatch(NamedTuple):
    """B images and their objects; slots beyond an image's count have zero boxes and the label −1.

    Attributes:
        images: (B, size, size) float32 in [0, 1].
        counts: (B,) int64.
        boxes: (B, M, 4) int64, x and y of the top left pixel, width, height, in pixels, of each bounding box.
        labels: (B, M) int64.
    """

    images: NDArray[np.float32]
    counts: NDArray[np.int64]
    boxes: NDArray[np.int64]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class MultiObjectImages:
    """An endless, reproducible stream of images of given glyphs.

    Batch k of seed s depends on (s, k) alone, so that a run resumes from its step number.
    """

    glyphs: Glyphs
    settings: MultiObjectSettings = _PAPER

    def __post_init__(self) -> None:
        boxes = self.glyphs.tight
        if len(boxes) == 0 or not boxes[:, 2:].all():
            raise DataError(
                f"{len(boxes)} glyphs, {int((boxes[:, 2] == 0).sum())} of them blank: expected at least one, "
                "each with ink; provide the original files"
            )
        largest = int(_scaled(boxes[:, 2:], np.float64(self.settings.scale[1])).max())
        if largest > self.settings.size:
            raise DataError(
                f"a glyph of {largest} pixels does not fit an image of {self.settings.size}: "
                "choose a larger size or a smaller scale"
            )

    def batch(self, size: int, seed: int, index: int) -> MultiObjectBatch:
        """Sample batch `index` of stream `seed`.

        Args:
            size: number of images.
            seed: in [0, 2⁶⁴).
            index: in [0, 2⁶⁴).

        Raises:
            DataError: no valid placement of the sampled glyphs was found.

        """
        settings = self.settings
        generator = np.random.Generator(np.random.Philox(key=np.array([seed, index], np.uint64)))
        slots = settings.largest_count
        counts = generator.choice(len(settings.count_weights), size, p=settings.count_probabilities)
        chosen = generator.integers(len(self.glyphs), size=(size, slots))
        present = np.arange(slots) < counts[:, None]
        extents = np.where(present[..., None], self._extents(chosen, generator), 0)
        corners, ink = self._render(chosen, extents, generator)
        return MultiObjectBatch(
            images=self._before_background(ink, generator),
            counts=counts,
            boxes=np.concatenate([corners, extents], axis=-1),
            labels=np.where(present, self.glyphs.labels[chosen], -1),
        )

    def fixed_set(self, count: int, seed: int) -> MultiObjectBatch:
        """Sample the first `count` images of stream `seed`, in batches of 256, as one batch."""
        blocks = [self.batch(BLOCK, seed, index) for index in range(max(1, -(-count // BLOCK)))]
        return MultiObjectBatch(*(np.concatenate(parts)[:count] for parts in zip(*blocks, strict=True)))

    def _extents(self, chosen: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        """Width and height of each glyph in its image, pixels: (B, M, 2)."""
        tight = self.glyphs.tight[chosen, 2:]
        smallest, largest = self.settings.scale
        if smallest == largest:
            return _scaled(tight, np.float64(smallest))
        return _scaled(tight, generator.uniform(smallest, largest, (*chosen.shape, 1)))

    def _render(
        self, chosen: NDArray[np.int64], extents: NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Place and render the glyphs: corners (B, M, 2), and ink (B, size, size) in [0, 1]."""
        settings = self.settings
        if settings.placement == "disjoint":
            corners = place_disjoint(extents, settings.size, generator)
            return corners, self._pasted(chosen, extents, corners)
        adding = settings.placement == "adding"
        corners, layers = place_overlapping(
            [self._inks(*of_one) for of_one in zip(chosen, extents, strict=True)],
            extents,
            settings.size,
            generator,
            ink_adds_up if adding else lambda layers: each_is_visible(layers, settings.visible),
        )
        return corners, layers.sum(axis=1) if adding else 1 - np.prod(1 - layers, axis=1)

    def _inks(self, chosen: NDArray[np.int64], extents: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """The ink of one image's objects.

        Args:
            chosen: (M,).
            extents: (M, 2), zeros where there is none.
        """
        pairs = zip(chosen.tolist(), extents.tolist(), strict=True)
        return [self.glyphs.ink(glyph, width, height) for glyph, (width, height) in pairs if width > 0]

    def _pasted(
        self, chosen: NDArray[np.int64], extents: NDArray[np.int64], corners: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Render disjoint boxes, copied one by one."""
        images = np.zeros((len(chosen), self.settings.size, self.settings.size), np.uint8)
        where = extents[..., 0].nonzero()
        columns = (where[0], chosen[where], extents[where], corners[where])
        for image, glyph, (width, height), (x, y) in zip(*(c.tolist() for c in columns), strict=True):
            images[image, y : y + height, x : x + width] = self.glyphs.ink(glyph, width, height)
        return np.divide(images, np.float32(255))

    def _before_background(
        self, ink: NDArray[np.float32], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        background = self.settings.background
        if isinstance(background, Black):
            return ink
        grey = background.sample(len(ink), self.settings.size, generator)
        return grey + (1 - grey) * ink


def _scaled(extents: NDArray[np.int64], scale: NDArray[np.float64] | np.float64) -> NDArray[np.int64]:
    """Extents in whole pixels, at least one."""
    return np.maximum(np.rint(extents * scale), 1).astype(np.int64)
