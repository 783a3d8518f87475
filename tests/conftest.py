"""What tests of several modules share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from inverse_graphics.data.glyphs import Glyphs
from inverse_graphics.data.mnist import Part, load_digits, missing_files

settings.register_profile("project", derandomize=True, deadline=None)  # alike on every run and machine
settings.load_profile("project")

# one thread for each of the workers that run side by side, and for the processes that tests start
torch.set_num_threads(int(os.environ.setdefault("OMP_NUM_THREADS", "1")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files that take longest come first, so that no worker waits for another at the end."""
    learning = {item.path for item in items if item.get_closest_marker("learning")}
    items.sort(key=lambda item: item.path not in learning)


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


OneLineError = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="session")
def one_line_error() -> OneLineError:
    """`one_line_error(kind, match, *mentioned)`: the block raises such an error, in one line."""

    @contextmanager
    def raises(kind: type[Exception], match: str, *mentioned: object) -> Iterator[None]:
        with pytest.raises(kind, match=match) as caught:
            yield
        message = str(caught.value)
        assert "\n" not in message
        assert [part for part in mentioned if str(part) not in message] == []

    return raises
