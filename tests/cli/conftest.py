"""A command line that is run within the test, a model that knows nothing, and images."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from inverse_graphics.cli.main import main
from inverse_graphics.models.air2d.network import Air2D, Air2DSettings
from inverse_graphics.models.air3d.network import Air3D, Air3DSettings
from inverse_graphics.models.weights import ModelDocument, save_model


class Outcome(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process; what was captured before is dropped."""

    def run_command(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return Outcome(status, *capsys.readouterr())

    return run_command


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights: its results are wrong, but their output format is right."""
    settings = Air2DSettings.model_validate({"features": 16, "hidden": 16, "head": 16, "glimpse_hidden": 16})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Air2D(settings)
    folder = tmp_path_factory.mktemp("models") / "untrained"
    save_model(folder, module, ModelDocument(kind="air2d", settings=settings.model_dump()), "# Untrained\n")
    return folder


@pytest.fixture(scope="session")
def scene_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small 3D network with random weights, which sees a mug in everything."""
    family = {"kind": "table_top", "kinds": ["crockery/mug"], "count_weights": [0, 1], "image_size": 32}
    settings = Air3DSettings.model_validate({"family": family, "channels": (8, 8, 8), "hidden": 16})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Air3D(settings)
    folder = tmp_path_factory.mktemp("models") / "mugs"
    document = ModelDocument(kind="air3d", settings=settings.model_dump(mode="json"))
    save_model(folder, module, document, "# Mugs\n")
    return folder


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Three images, of which the names sort as they were made."""
    folder = tmp_path / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index, size in enumerate([(50, 50), (40, 90), (120, 60)]):
        pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"image-{index}.png")
    return folder
