"""What floats, sinks or intersects is told; what stands, leans or is stacked is not."""

import numpy as np
import pytest
import torch
import trimesh

import inverse_graphics as ig
from inverse_graphics.errors import SceneWarning
from inverse_graphics.geometry.transforms import random_rotations
from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.packs.pack import load_library
from inverse_graphics.scene.batch import ObjectBatch
from inverse_graphics.scene.scene import Scene
from inverse_graphics.scene.scene_file import load_scene, shipped_scenes
from inverse_graphics.scene.standing import box_heights, placement_warnings, standing_heights

CAMERA = {
    "width_px": 48,
    "height_px": 48,
    "orbit": {"azimuth_degrees": -80, "elevation_degrees": 40, "distance_m": 1.2},
}
NAMES = ["primitives/cube", "primitives/sphere", "primitives/cylinder"]
NAMES += [f"crockery/{name}" for name in ("plate", "bowl", "mug", "glass", "pan")]
LIBRARY = load_library(NAMES)


def told(*objects, table=True):
    """Warnings of objects given as asset, x, y, z, and further fields."""
    placed = [
        {"asset": asset, "position_m": [x, y, z], **(fields[0] if fields else {})}
        for asset, x, y, z, *fields in objects
    ]
    document = {"camera": CAMERA, "objects": placed, "table": {"size_m": [0.9, 0.7]} if table else None}
    return placement_warnings(Scene.model_validate(document), LIBRARY)


@pytest.mark.parametrize("name", shipped_scenes())
def test_shipped_scenes_are_in_order(name):
    scene = load_scene(name)
    assert placement_warnings(scene, load_library(placed.asset for placed in scene.objects)) == ()


def test_heights_within_the_tolerance_are_not_told():
    assert told(("crockery/mug", 0, 0, 0.0015), ("crockery/bowl", 0.3, 0, -0.0015)) == ()


def test_what_floats_and_what_sinks_is_told_with_its_height():
    assert told(("crockery/mug", 0, 0, 0.03), ("primitives/cube", 0.3, 0, 0)) == (
        "object 1, crockery/mug, floats 30 mm above the table",
        "object 2, primitives/cube, sinks 50 mm into the table",
    )


def test_the_lowest_point_is_that_of_the_turned_and_scaled_object():
    """A cube on its edge reaches 50·√2 mm below its origin, and twice that if it is twice as large."""
    turned = {"quaternion_xyzw": [np.sin(np.pi / 8), 0, 0, np.cos(np.pi / 8)]}
    height = 0.05 * np.sqrt(2)
    assert told(("primitives/cube", 0, 0, height, turned)) == ()
    assert told(("primitives/cube", 0, 0, 2 * height, turned | {"scale": 2})) == ()
    assert told(("primitives/cube", 0, 0, 0.05, turned)) == (
        "object 1, primitives/cube, sinks 21 mm into the table",
    )


def test_stacked_objects_do_not_float_and_without_a_table_nothing_does():
    assert told(("primitives/cube", 0, 0, 0.05), ("primitives/cube", 0.01, 0, 0.15)) == ()
    assert told(("primitives/cube", 0, 0, 0.05), ("primitives/cube", 0.2, 0, 0.15)) != ()
    assert told(("crockery/mug", 0, 0, 0.5), ("crockery/mug", 0.3, 0, -0.5), table=False) == ()


def test_what_intersects_is_told_and_what_only_touches_is_not():
    both = "object 1, primitives/cube, and object 2, primitives/cube, intersect"
    assert told(("primitives/cube", 0, 0, 0.05), ("primitives/cube", 0.1, 0, 0.05)) == ()
    assert told(("primitives/cube", 0, 0, 0.05), ("primitives/cube", 0.099, 0, 0.05)) == ()
    assert told(("primitives/cube", 0, 0, 0.05), ("primitives/cube", 0.09, 0.01, 0.05)) == (both,)


def test_a_glass_in_a_bowl_does_not_intersect_and_one_through_its_wall_does():
    """Convex hulls would: boxes and footprints overlap in both."""
    glass = {"scale": 0.4}
    inside = told(("crockery/bowl", 0, 0, 0), ("crockery/glass", 0, 0, 0.02, glass))
    assert not any("intersect" in warning for warning in inside)
    through = told(("crockery/bowl", 0, 0, 0), ("crockery/glass", 0.065, 0, 0.02, glass))
    assert any("intersect" in warning for warning in through)


def test_an_object_inside_a_closed_one_intersects_it():
    small = {"scale": 0.3}
    assert any(
        "intersect" in warning
        for warning in told(("primitives/sphere", 0, 0, 0.05), ("primitives/cube", 0, 0, 0.05, small))
    )


def test_boxes_bound_heights_and_are_exact_for_upright_objects():
    generator = torch.Generator().manual_seed(0)
    asset = torch.arange(8)[None].repeat(20, 1)
    rotation = random_rotations((20, 8), generator).double()
    rotation[:10] = torch.eye(3).double()
    position, scale = torch.randn(20, 8, 3, generator=generator).double(), torch.full((20, 8), 0.7).double()
    objects = ObjectBatch(asset, position, rotation, scale, torch.ones(20, 8, 3).double())
    library = LIBRARY.to("cpu", torch.float64)
    lowest, highest = box_heights(objects, library.boxes())
    for b in range(20):
        for n in range(8):
            start, stop = library.first_vertex[n : n + 2].tolist()
            z = scale[b, n] * library.vertices[start:stop] @ rotation[b, n, 2] + position[b, n, 2]
            assert lowest[b, n] <= z.min() + 1e-12
            assert highest[b, n] >= z.max() - 1e-12
            if b < 10:
                assert float(lowest[b, n]) == pytest.approx(float(z.min()))


def test_bases_a_nanometre_off_count_as_zero():
    box = trimesh.creation.box((0.1, 0.1, 0.1))

    def mesh(lift):
        vertices = (box.vertices + np.array([0, 0, lift])).astype(np.float32)
        normals = np.array(box.vertex_normals, np.float32)
        return Mesh(vertices, np.asarray(box.faces, np.int64), normals, np.ones_like(vertices))

    library = MeshLibrary.from_meshes(
        [(f"a/{i}", mesh(lift)) for i, lift in enumerate((0.05, 0.05 - 4e-9, 0, 0.2))]
    )
    heights = standing_heights(library)
    assert heights[:2].tolist() == [0, 0]
    assert heights[2:].tolist() == pytest.approx([0.05, -0.15])


def test_render_tells_it_in_python():
    scene = Scene.model_validate(
        {
            "camera": CAMERA,
            "objects": [{"asset": "crockery/mug", "position_m": [0, 0, 0.1]}],
            "table": {"size_m": [1, 1]},
        }
    )
    with pytest.warns(SceneWarning, match="object 1, crockery/mug, floats 100 mm above the table"):
        drawn = ig.render(scene)
    assert len(drawn.warnings) == 1
