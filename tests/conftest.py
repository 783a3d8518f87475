"""What tests of several modules share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from inverse_graphics.data.glyphs import Glyphs
from inverse_graphics.data.mnist import Part, load_digits, missing_files

settings.register_profile("project", derandomize=True, deadline=None)  # alike on every run and machine
settings.load_profile("project")

BESIDE_REPOSITORY = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shipped_digits() -> dict[Part, Glyphs]:
    """The digits that ship with the package, so that tests need no network."""
    return {"train": load_digits("train", "shipped"), "test": load_digits("test", "shipped")}


@pytest.fixture(scope="session")
def data_beside_repository() -> Iterator[None]:
    """Published data sets, where this machine has them; nothing is fetched for a test."""
    with pytest.MonkeyPatch.context() as patch:
        if BESIDE_REPOSITORY.is_dir():
            patch.setenv("INVERSE_GRAPHICS_DATA", str(BESIDE_REPOSITORY))
        yield


@pytest.fixture(scope="session")
def full_mnist(data_beside_repository: None) -> None:
    """The published MNIST files, where this machine has them."""
    if missing := missing_files():
        pytest.skip(f"{missing[0]} is not on this machine")
