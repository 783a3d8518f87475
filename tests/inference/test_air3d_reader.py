"""Parses of 3D models are consistent; accuracy is tested with training."""

import numpy as np
import pytest
import torch

from inverse_graphics.inference.parser import SceneParser
from inverse_graphics.models.air3d.network import Air3D, Air3DSettings
from inverse_graphics.models.weights import LoadedModel, ModelDocument
from inverse_graphics.packs.pack import load_library
from inverse_graphics.rendering.engines import make_engine
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.scene import Scene
from inverse_graphics.scene.scene_file import load_scene, save_scene

TABLE = {
    "kind": "table_top",
    "kinds": ["crockery/plate", "crockery/mug"],
    "count_weights": [1, 1, 1],
    "image_size": 32,
}
FLOATING = {"kind": "single_object", "image_size": 32}


def parser_of(family) -> tuple[SceneParser, Air3D]:
    """An untrained network that believes in objects."""
    settings = Air3DSettings.model_validate(
        {"family": family, "channels": (8, 8, 8), "hidden": 16, "presence_bias": 20}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Air3D(settings).eval()
        with torch.no_grad():
            for name, values in network.named_parameters():
                if name.endswith("output.weight"):
                    values.mul_(10)
    return SceneParser(LoadedModel("untrained", network, ModelDocument(kind="air3d", settings={}))), network


@pytest.fixture(scope="module", params=[TABLE, FLOATING], ids=["table_top", "single_object"])
def read(request):
    """A parser, its network, images of three sizes, and what it says of them."""
    parser, network = parser_of(request.param)
    rng = np.random.default_rng(0)
    images = [
        rng.random((side, width, 3)).astype(np.float32) for side, width in ((32, 32), (96, 96), (48, 80))
    ]
    return parser, network, images, parser.parse(images, ["a", "b", "c"])


def drawn(scene: Scene) -> torch.Tensor:
    library = load_library(placed.asset for placed in scene.objects)
    return render(SceneBatch.from_scenes([scene], library), make_engine("embedded", library)).image[0]


def test_an_answer_is_complete(read):
    _, network, images, parses = read
    for parse, image in zip(parses, images, strict=True):
        assert parse.count == len(parse.objects) == network.max_objects
        assert parse.prefixes.shape == (parse.count + 1, 32, 32, 3)
        assert (parse.reconstruction == parse.prefixes[-1]).all()
        assert sum(parse.count_probabilities) == pytest.approx(1, abs=1e-5)
        assert parse.warning is None
        document = parse.to_json()
        assert document["camera"].keys() == {"K", "T_world_camera"}
        for found in document["objects"]:
            assert all(found[name] is not None for name in found if name != "window_px")
            assert found["identity"] in network.space.family.kinds
            assert 1 / len(network.space.family.kinds) <= found["identity_probability"] <= 1
            x, y, width, height = found["box_px"]
            assert 0 <= x <= x + width <= image.shape[1] + 1e-6
            assert 0 <= y <= y + height <= image.shape[0] + 1e-6


def test_log_likelihood_is_that_of_the_reconstruction(read):
    _, network, _, parses = read
    sigma = network.settings.sigma
    for parse in parses:
        error = parse.observation - parse.reconstruction
        expected = -0.5 * np.square(error / sigma).sum() - error.size * np.log(sigma * np.sqrt(2 * np.pi))
        assert parse.log_likelihood == pytest.approx(expected, rel=1e-3)


def test_poses_in_the_world_and_before_the_camera_agree(read):
    for parse in read[3]:
        T_world_camera = np.array(parse.camera.T_world_camera)
        for found, placed in zip(parse.objects, parse.scene.objects, strict=True):
            T_world_object = T_world_camera @ np.array(found.T_camera_object)
            np.testing.assert_allclose(T_world_object[:3, 3], found.position_m, atol=1e-5)
            x, y, z, w = found.quaternion_xyzw
            column = [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)]
            np.testing.assert_allclose(T_world_object[:3, 0], column, atol=1e-5)
            assert placed.asset == found.identity
            assert placed.position_m == found.position_m


def test_the_scene_drawn_again_is_the_reconstruction(read, tmp_path):
    parse = read[3][0]
    off = np.abs(drawn(parse.scene).permute(1, 2, 0).numpy() - parse.reconstruction)
    assert (
        off.mean() < 0.002
    )  # the edges of a plate's polygon lie otherwise, as its orientation is not observable
    assert (off > 0.02).mean() < 0.02
    save_scene(parse.scene, tmp_path / "scene.yaml")
    assert load_scene(tmp_path / "scene.yaml") == parse.scene


def test_the_scene_of_a_larger_image_shows_the_same_in_more_pixels(read):
    larger = read[3][1]
    picture = drawn(larger.scene)
    assert picture.shape == (3, 96, 96)
    halved = torch.nn.functional.avg_pool2d(picture, 3).permute(1, 2, 0).numpy()
    assert np.abs(halved - larger.reconstruction).mean() < 0.01


def test_of_an_oblong_image_the_middle_is_read_and_the_rest_drawn_too(read):
    oblong = read[3][2]
    assert (oblong.scene.camera.width_px, oblong.scene.camera.height_px) == (80, 48)
    middle = drawn(oblong.scene)[:, :, 16:64]
    shrunk = torch.nn.functional.interpolate(middle[None], (32, 32), mode="area")[0].permute(1, 2, 0).numpy()
    assert np.abs(shrunk - oblong.reconstruction).mean() < 0.02


def test_kinds_without_a_visible_turn_have_none(read):
    _, network, _, parses = read
    turns = dict(zip(network.space.family.kinds, network.space.orientation_observable.tolist(), strict=True))
    seen = {found.identity: found.quaternion_xyzw for parse in parses for found in parse.objects}
    for identity, quaternion in seen.items():
        assert (quaternion == (0, 0, 0, 1)) == (not turns[identity])


def test_the_same_image_with_more_pixels_is_answered_alike(read):
    parser, _, images, parses = read
    doubled = images[0].repeat(2, 0).repeat(2, 1)
    (again,) = parser.parse([doubled])
    first = parses[0]
    assert again.count_probabilities == pytest.approx(first.count_probabilities, abs=1e-4)
    for one, other in zip(again.objects, first.objects, strict=True):
        assert one.position_m == pytest.approx(other.position_m, abs=1e-4)
        assert one.box_px == pytest.approx([2 * side for side in other.box_px], abs=0.1)


def test_spread_is_along_the_axes_of_the_scene_space(read):
    _, network, _, parses = read
    normal = 1 if network.space.floating else 2
    for found in (found for parse in parses for found in parse.objects):
        assert found.position_std_m[normal] == 0
        assert all(std > 0 for axis, std in enumerate(found.position_std_m) if axis != normal)


def test_an_image_larger_than_a_scene_s_picture_has_its_own_intrinsics():
    parser, _ = parser_of(TABLE)
    (parse,) = parser.parse([np.zeros((1000, 5000, 3), np.float32)])
    assert parse.scene is not None
    assert parse.camera is not None
    assert parse.scene.camera.width_px == 4096
    assert parse.camera.K[0][0] / parse.scene.camera.K[0][0] == pytest.approx(5000 / 4096)
