import pytest
from table_scenes import library

from inverse_graphics.errors import EngineError
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.rendering.engines import available_engines, make_engine


def test_every_known_engine_is_built_or_says_in_one_line_why_not():
    names = [engine.name for engine in available_engines()]
    assert names[0] == "embedded"
    assert {"pytorch3d", "open3d", "mujoco"} <= set(names)
    for engine in available_engines():
        if engine.works:
            assert isinstance(make_engine(engine.name, library()), RenderEngine)
        else:
            assert engine.reason
            assert "\n" not in engine.reason
            with pytest.raises(EngineError, match="embedded"):
                make_engine(engine.name, library())


def test_an_unknown_engine_is_answered_with_those_that_exist():
    with pytest.raises(EngineError, match=r"'blender'.*embedded"):
        make_engine("blender", library())
