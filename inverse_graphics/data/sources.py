"""Kinds of data that the 2D model learns from, as recipes name them.

Each says what its objects are called, where they come from, and whether it is known how many there are.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Discriminator, Tag

from inverse_graphics.data.dsprites import dsprites_glyphs
from inverse_graphics.data.glyphs import Split
from inverse_graphics.data.mnist import Source, digit_glyphs
from inverse_graphics.data.multi_object import MultiObjectImages, MultiObjectSettings
from inverse_graphics.data.omniglot import omniglot_glyphs
from inverse_graphics.data.sprites import sprite_glyphs

_DIGITS: dict[Source, str] = {
    "full": "Digits: MNIST's 60,000 training digits, the last twelfth of them kept for the warning's "
    "thresholds; judged on images of its 10,000 test digits.",
    "shipped": "Digits: MNIST's first 2,000 training digits, the last twelfth of them kept for the warning's "
    "thresholds; judged on images of its first 1,000 test digits.",
}


class MultiMnistData(MultiObjectSettings):
    """MNIST's digits.

    digits: "full" for the published set, "shipped" for the subset inside the package.
    """

    objects: ClassVar[str] = "digits"
    kind: Literal["multi_mnist"] = "multi_mnist"
    digits: Source = "full"

    @property
    def origin(self) -> str:
        """Where the digits come from: a sentence."""
        return _DIGITS[self.digits]

    def glyphs(self) -> Split:
        """Training digits to learn from, test digits to be judged on."""
        return digit_glyphs(self.digits)


class SpritesData(MultiObjectSettings):
    """Squares, triangles and discs, drawn by us."""

    objects: ClassVar[str] = "sprites"
    origin: ClassVar[str] = "Sprites: white squares, triangles and discs of random size and turn."
    kind: Literal["sprites"]

    def glyphs(self) -> Split:
        """Sprites of random size and turn."""
        return sprite_glyphs()


class DSpritesData(MultiObjectSettings):
    """The shapes of dSprites, several of them on a canvas."""

    objects: ClassVar[str] = "shapes"
    origin: ClassVar[str] = "Shapes: those of dSprites, a sixth of them kept to be judged on."
    kind: Literal["multi_dsprites"]

    def glyphs(self) -> Split:
        """Squares, ellipses and hearts."""
        return dsprites_glyphs()


class OmniglotData(MultiObjectSettings):
    """Omniglot's letters, which consist of strokes; how many is not known.

    letters: "full" for ten published alphabets, "shipped" for the subset inside the package.
    """

    objects: ClassVar[str] = "letters"
    counted: ClassVar[bool] = False
    origin: ClassVar[str] = "Letters: Omniglot's, by seventeen people; judged on those of three others."
    kind: Literal["omniglot"]
    letters: Source = "full"

    def glyphs(self) -> Split:
        """Letters of seventeen people to learn from, of three others to be judged on."""
        return omniglot_glyphs(self.letters)


def _kind(data: object) -> str:
    kind = data.get("kind") if isinstance(data, dict) else getattr(data, "kind", None)
    return kind or "multi_mnist"


MultiObjectData = Annotated[
    Annotated[MultiMnistData, Tag("multi_mnist")]
    | Annotated[SpritesData, Tag("sprites")]
    | Annotated[DSpritesData, Tag("multi_dsprites")]
    | Annotated[OmniglotData, Tag("omniglot")],
    Discriminator(_kind),
]
"""Any of them; multi-MNIST where no kind is named."""

KINDS: dict[str, type[MultiMnistData | SpritesData | DSpritesData | OmniglotData]] = {
    "multi_mnist": MultiMnistData,
    "sprites": SpritesData,
    "multi_dsprites": DSpritesData,
    "omniglot": OmniglotData,
}
"""By name."""


class Streams(NamedTuple):
    """Images to learn from, images for the warning's thresholds, and images to be judged on."""

    train: MultiObjectImages
    calibration: MultiObjectImages
    test: MultiObjectImages


def open_streams(data: MultiObjectData) -> Streams:
    """The streams of some data.

    Raises:
        DataError: files are missing and cannot be fetched, are damaged, or do not fit the settings.
    """
    train, calibration, test = data.glyphs()
    return Streams(
        MultiObjectImages(train, data),
        MultiObjectImages(calibration, data),
        MultiObjectImages(test, data.held_out()),
    )
