"""Conformance checks that any render engine must pass.

The tests of an engine need no more than this:

    from inverse_graphics.rendering.conformance import CHECKS, Tolerance

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_engine_conforms(check):
        check(MyEngine, Tolerance())

A check takes a factory `library -> RenderEngine` and a `Tolerance`, and raises AssertionError with the
found and the expected value. References are analytic (hulls of projected points, planes and spheres hit by
rays, Lambert's law), never another engine.
"""

from inverse_graphics.rendering.conformance.outlines import OUTLINE_CHECKS
from inverse_graphics.rendering.conformance.robustness import ROBUSTNESS_CHECKS
from inverse_graphics.rendering.conformance.surfaces import SURFACE_CHECKS
from inverse_graphics.rendering.conformance.tolerance import Check, EngineFactory, Tolerance
from inverse_graphics.rendering.conformance.whole_scenes import SCENE_CHECKS

CHECKS: tuple[Check, ...] = (*OUTLINE_CHECKS, *SURFACE_CHECKS, *SCENE_CHECKS, *ROBUSTNESS_CHECKS)

__all__ = ["CHECKS", "Check", "EngineFactory", "Tolerance"]
