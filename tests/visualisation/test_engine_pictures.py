"""The picture of docs/how/engines.md shows what each engine draws."""

import numpy as np
import pytest
from PIL import Image

from inverse_graphics.errors import EngineError
from inverse_graphics.rendering.engines import available_engines
from inverse_graphics.visualisation.documentation import draw_engines, render_square


def test_all_engines_that_work_draw_nearly_the_same():
    names = [engine.name for engine in available_engines() if engine.works]
    drawn = {name: render_square(name, 32) for name in names}
    for name in names:
        off = np.abs(drawn[name] - drawn["embedded"]).mean()
        assert off < (0.02 if "shadows" in name else 0.01)


def test_shadows_are_darker_and_only_shadows():
    """Thin rims are shaded in more places there, and may be a little brighter."""
    names = [engine.name for engine in available_engines() if engine.works]
    if "mujoco-shadows" not in names:
        pytest.skip("mujoco-shadows does not work here")
    less = render_square("mujoco", 64) - render_square("mujoco-shadows", 64)
    assert (less < -0.02).mean() < 0.005
    assert 0.01 < (less.max(axis=-1) > 0.1).mean() < 0.15


def test_the_picture_is_small(tmp_path):
    draw_engines(tmp_path / "engines.png", ["embedded", "embedded"])
    assert (tmp_path / "engines.png").stat().st_size < 60_000
    with Image.open(tmp_path / "engines.png") as picture:
        assert min(picture.size) > 100
    with pytest.raises(EngineError, match="blender"):
        draw_engines(tmp_path / "engines.png", ["blender"])
