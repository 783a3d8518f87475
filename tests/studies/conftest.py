"""What tests of several studies share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inverse_graphics.cli.main import main


@pytest.fixture
def place(tmp_path, request) -> Path:
    """A folder with the module's RECIPE as tiny.yaml; `study` writes into out/ in it."""
    (tmp_path / "tiny.yaml").write_text(request.module.RECIPE)
    return tmp_path


@pytest.fixture
def study(place) -> Callable[..., int]:
    """`study(name, *arguments)` runs a study's command on the recipe in `place`."""
    shared = ["--recipe", str(place / "tiny.yaml"), "--out", str(place / "out")]
    return lambda name, *more: main(["study", name, *shared, *more])
