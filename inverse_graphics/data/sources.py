"""Settings of the 2D model's data, for recipes.

Each has the name of its objects, their origin, and whether the number of objects is known.
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
    "full": "Digits: MNIST's 60,000 training digits, the last twelfth of them for the warning's thresholds; "
    "evaluated on images of its 10,000 test digits.",
    "shipped": "Digits: MNIST's first 2,000 training digits, the last twelfth of them for the warning's "
    "thresholds; evaluated on images of its first 1,000 test digits.",
}


class MultiMnistData(MultiObjectSettings):
    """MNIST's digits.

    Attributes:
        digits: "full" for the published set, "shipped" for the subset inside the package.
    """

    objects: ClassVar[str] = "digits"
    kind: Literal["multi_mnist"] = "multi_mnist"
    digits: Source = "full"

    @property
    def origin(self) -> str:
        """The origin of the digits, a sentence."""
        return _DIGITS[self.digits]

    def glyphs(self) -> Split:
        """Training, calibration and test digits."""
        return digit_glyphs(self.digits)


class SpritesData(MultiObjectSettings):
    """Squares, triangles and discs, rendered by this package."""

    objects: ClassVar[str] = "sprites"
    origin: ClassVar[str] = "Sprites: white squares, triangles and discs of random size and orientation."
    kind: Literal["sprites"]

    def glyphs(self) -> Split:
        """Sprites of random size and orientation."""
        return sprite_glyphs()


class DSpritesData(MultiObjectSettings):
    """The shapes of dSprites, several per image."""

    objects: ClassVar[str] = "shapes"
    origin: ClassVar[str] = "Shapes: those of dSprites, a sixth of them for evaluation."
    kind: Literal["multi_dsprites"]

    def glyphs(self) -> Split:
        """Squares, ellipses and hearts."""
        return dsprites_glyphs()


class OmniglotData(MultiObjectSettings):
    """Omniglot's letters, which consist of strokes; the number of strokes is not known.

    Attributes:
        letters: "full" for ten published alphabets, "shipped" for the subset inside the package.
    """

    objects: ClassVar[str] = "letters"
    counted: ClassVar[bool] = False
    origin: ClassVar[str] = "Letters: Omniglot's, by seventeen people; evaluated on those of three others."
    kind: Literal["omniglot"]
    letters: Source = "full"

    def glyphs(self) -> Split:
        """Letters of seventeen people for training and calibration, of three others for testing."""
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
"""Any of these; multi-MNIST if no kind is given."""

KINDS: dict[str, type[MultiMnistData | SpritesData | DSpritesData | OmniglotData]] = {
    "multi_mnist": MultiMnistData,
    "sprites": SpritesData,
    "multi_dsprites": DSpritesData,
    "omniglot": OmniglotData,
}
"""Data settings by kind."""


class Streams(NamedTuple):
    """Training images, calibration images for the outlier detector, and test images."""

    train: MultiObjectImages
    calibration: MultiObjectImages
    test: MultiObjectImages


def open_streams(data: MultiObjectData) -> Streams:
    """Open the streams of some data.

    Raises:
        DataError: files are missing and cannot be fetched, are damaged, or do not fit the settings.
    """
    train, calibration, test = data.glyphs()
    return Streams(
        MultiObjectImages(train, data),
        MultiObjectImages(calibration, data),
        MultiObjectImages(test, data.test_settings()),
    )
