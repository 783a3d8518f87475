"""The parser's batching and refusals; what it has learnt is tested where it is trained."""

import numpy as np
import pytest
import torch

from inverse_graphics.errors import ImageError, ModelError
from inverse_graphics.inference.parser import BATCH_SIZE, SceneParser
from inverse_graphics.models.air2d.network import Air2D, Air2DSettings
from inverse_graphics.models.weights import LoadedModel, ModelDocument

SETTINGS = Air2DSettings(features=8, hidden=8, head=8, what=3, glimpse_hidden=8, presence_bias=20)


@pytest.fixture(scope="module")
def parser() -> SceneParser:
    """An untrained network that believes in objects."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Air2D(SETTINGS).eval()
    return SceneParser(LoadedModel("untrained", network, ModelDocument(kind="air2d", settings={})))


def test_a_kind_of_model_that_reads_no_images_is_refused():
    with pytest.raises(
        ModelError, match="'m' is of kind 'decoder', which cannot parse images: expected one of air2d"
    ):
        SceneParser(LoadedModel("m", torch.nn.Identity(), ModelDocument(kind="decoder", settings={})))


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 5, 4)), np.zeros(7), np.zeros((0, 5)), np.full((9, 9), np.nan), np.zeros((2, 3, 4, 5))],
)
def test_what_is_no_image_is_refused(parser, image):
    with pytest.raises(ImageError, match=r"expected|finite"):
        parser.parse([image])


def test_answers_do_not_depend_on_the_batch(parser):
    rng = np.random.default_rng(1)
    images = [rng.random((50, 50)).astype(np.float32) for _ in range(BATCH_SIZE + 3)]
    together = parser.parse(images)
    assert [parse.image for parse in together] == [str(index) for index in range(BATCH_SIZE + 3)]
    for index in (0, BATCH_SIZE - 1, BATCH_SIZE, BATCH_SIZE + 2):
        (alone,) = parser.parse([images[index]], ["alone"])
        assert alone.count == together[index].count
        assert alone.log_likelihood == pytest.approx(together[index].log_likelihood, rel=1e-4)
        assert np.allclose(alone.reconstruction, together[index].reconstruction, atol=1e-5)


def test_an_answer_is_complete(parser):
    (parse,) = parser.parse([np.eye(50, dtype=np.float32)], ["diagonal.png"])
    assert parse.count == 3
    assert len(parse.objects) == parse.count
    assert parse.prefixes.shape == (4, 50, 50, 3)
    assert (parse.prefixes[0] == 0).all()
    assert (parse.reconstruction == parse.prefixes[3]).all()
    assert sum(parse.count_probabilities) == pytest.approx(1, abs=1e-5)
    document = parse.to_json()
    assert list(document)[:8] == [
        "image", "model", "count", "count_probabilities", "log_likelihood", "warning", "objects", "camera",
    ]  # fmt: skip
    assert document["image"] == "diagonal.png"
    assert document["model"] == "untrained"
    assert document["camera"] is None
    assert document["warning"] is None
    assert {"identity", "identity_probability", "box_px"} <= document["objects"][0].keys()


def test_log_likelihood_is_that_of_the_reconstruction(parser):
    rng = np.random.default_rng(2)
    (parse,) = parser.parse([rng.random((50, 50)).astype(np.float32)])
    error = parse.observation[..., 0] - parse.reconstruction[..., 0]
    sigma = SETTINGS.sigma
    expected = -0.5 * np.square(error / sigma).sum() - error.size * np.log(sigma * np.sqrt(2 * np.pi))
    assert parse.log_likelihood == pytest.approx(expected, rel=1e-3)
