"""Searches go uphill, never end below where they began, keep to the family, and find what is there."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from inverse_graphics.errors import EngineError, ModelError
from inverse_graphics.families.registry import read_family
from inverse_graphics.families.table_top import TableTopSettings
from inverse_graphics.models.air3d.scene_latents import draw_scenes, nearest_first
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.optimisation.ascent import Poses, log_prior, surrogate
from inverse_graphics.optimisation.exchanges import Criteria, draw_starts, exchanged
from inverse_graphics.optimisation.optimiser import SceneOptimiser
from inverse_graphics.optimisation.search import SceneSearch
from inverse_graphics.optimisation.settings import FROM_ANSWER, FROM_PRIOR
from inverse_graphics.optimisation.trace import Trace
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.rendering.finite_difference.engine import FiniteDifference

MODEL = GaussianModel(0.05)
TABLE = TableTopSettings(image_size=32)
SETTINGS = {"table": TABLE, "floating": read_family("single_object").model_copy(update={"image_size": 32})}
BRIEF = FROM_PRIOR.model_copy(
    update={"restarts": 2, "candidates": 3, "steps": 6, "rounds": 2, "exchanges": 2, "orientations": 2}
)
SHORT = FROM_ANSWER.model_copy(update={"steps": 12, "rounds": 2, "exchanges": 1, "orientations": 1})


class WithoutGradients:
    """The embedded engine, which says and sees to it that it has no gradients."""

    name, differentiable = "blunt", False

    def __init__(self, library) -> None:
        self._engine = EmbeddedEngine(library)

    def layers(self, objects, camera, light):
        with torch.no_grad():
            return self._engine.layers(objects, camera, light)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module", params=list(SETTINGS))
def search(request):
    space = SceneSpace(SETTINGS[request.param])
    return SceneSearch(space, EmbeddedEngine(space.family.library), MODEL)


def scenes_of(search, count, seed=0):
    return search.space.family.sample(count, seeded(seed)).latents


def photographs(search, scenes, seed=1):
    with torch.no_grad():
        return MODEL.sample(draw_scenes(scenes, search.space, search.engine), seeded(seed))


def joint(search, images, scenes):
    with torch.no_grad():
        render = draw_scenes(scenes, search.space, search.engine)
    return MODEL.log_prob(images, render) + log_prior(scenes, search.space)


def put_off(search, scenes, metres=0.015, radians=0.2):
    """A little aside; yaws turned, too."""
    noise = torch.randn(scenes.position.shape, generator=seeded(7))
    position = (scenes.position + metres * noise).clamp(-search.space.reach, search.space.reach)
    orientation = (
        scenes.orientation if search.space.floating else scenes.orientation + radians * noise[..., 0]
    )
    return scenes.replace(position=position, orientation=orientation)


def same(one, other):
    return all(torch.equal(*pair) for pair in zip(vars(one).values(), vars(other).values(), strict=True))


def test_a_search_gains_on_nearly_every_scene_and_loses_on_none(search):
    truth = scenes_of(search, 12)
    images, start = photographs(search, truth), put_off(search, truth)
    found = search.from_scenes(images, start, seeded(), SHORT)
    gain = found.best.log_joint - joint(search, images, start)
    filled = truth.counts > 0
    assert (gain >= 0).all()
    assert (gain[filled] > 5).float().mean() > 0.8
    torch.testing.assert_close(
        found.best.log_joint, joint(search, images, found.best.scenes), rtol=1e-4, atol=0.2
    )
    distance = [
        (one.position - truth.position).norm(dim=-1)[truth.asset >= 0] for one in (start, found.path[-1])
    ]
    assert distance[1].median() < distance[0].median() / 2


def test_a_search_through_differences_gains_as_well():
    space = SceneSpace(TABLE.with_known_camera())
    library = space.family.library
    drawn = FiniteDifference(WithoutGradients(library), library)
    exact = SceneSearch(space, EmbeddedEngine(library), MODEL)
    truth = scenes_of(exact, 5, seed=2)
    images, start = photographs(exact, truth), put_off(exact, truth)
    alone = FROM_ANSWER.model_copy(update={"steps": 12, "rounds": 1})
    found = SceneSearch(space, drawn, MODEL).from_scenes(images, start, seeded(), alone)
    gain = found.best.log_joint - joint(exact, images, start)
    best = exact.from_scenes(images, start, seeded(), alone).best.log_joint - joint(exact, images, start)
    assert (gain >= 0).all()
    assert gain.sum() > 0.5 * best.sum() > 0


def test_an_engine_without_gradients_is_refused():
    space = SceneSpace(TABLE)
    with pytest.raises(EngineError, match="'blunt' has no gradients: make it with"):
        SceneSearch(space, WithoutGradients(space.family.library), MODEL)


def test_what_is_found_at_the_truth_is_no_worse_than_the_truth(search):
    truth = scenes_of(search, 6, seed=3)
    images = photographs(search, truth)
    found = search.from_scenes(images, truth, seeded(), SHORT)
    assert (found.best.log_joint >= joint(search, images, truth) - 0.01).all()


def test_the_same_seed_finds_the_same_and_another_does_not(search):
    images = photographs(search, scenes_of(search, 2, seed=4))
    one, again, other = (search.from_prior(images, seeded(seed), BRIEF) for seed in (5, 5, 6))
    assert same(one.best.scenes, again.best.scenes)
    assert torch.equal(one.history, again.history)
    assert not torch.equal(one.history, other.history)


def test_an_answer_is_the_best_thing_on_the_way_and_within_the_family(search):
    images = photographs(search, scenes_of(search, 3, seed=5))
    found = search.from_prior(images, seeded(), BRIEF)
    assert found.history.shape == (3, 2, BRIEF.steps + 1)
    assert len(found.path) == BRIEF.steps + 1
    torch.testing.assert_close(found.restarts, found.history.amax(-1))
    torch.testing.assert_close(found.best.log_joint, found.restarts.amax(-1))
    torch.testing.assert_close(found.of_first(1).log_joint, found.restarts[:, 0])
    space = search.space
    for scenes in (found.best.scenes, *found.path):
        assert (scenes.position.abs() <= space.reach + 1e-6).all()
        assert (scenes.orbit <= space.orbit_high + 1e-6).all()
        assert (scenes.orbit >= space.orbit_low - 1e-6).all()
        assert (scenes.counts >= space.smallest_count).all()
    assert same(found.best.scenes, nearest_first(found.best.scenes, space))


def test_progress_is_reported_step_by_step(search):
    reported: list[int] = []
    search.from_prior(photographs(search, scenes_of(search, 1)), seeded(), BRIEF, reported.append)
    assert reported == list(range(1, BRIEF.steps + 1))


def test_beginnings_are_the_better_the_more_candidates_there_are(search):
    images = photographs(search, scenes_of(search, 16, seed=6))

    def score(scenes, number):
        return MODEL.log_prob(images[number], draw_scenes(scenes, search.space, search.engine))

    K = search.space.K.expand(16, 3, 3)
    means = [
        score(draw_starts(K, search.space, score, candidates, seeded()), torch.arange(16)).mean()
        for candidates in (1, 4, 16)
    ]
    assert all(more > less for less, more in pairwise(means))


def test_exchanges_lose_nothing_and_bring_back_the_right_kind(search):
    truth = nearest_first(scenes_of(search, 12, seed=8), search.space)
    kinds = len(search.space.orientation_observable)
    wrong = truth.replace(asset=torch.where(truth.asset >= 0, (truth.asset + 1) % kinds, -1))
    images = photographs(search, truth)

    def score(scenes, number):
        return joint(search, images[number], scenes)

    number = torch.arange(12)
    judgement = Criteria(score, lambda scenes: torch.ones(len(scenes.asset), 32, 32))
    after = exchanged(wrong, search.space, judgement, 0, 0, seeded())
    assert (score(after, number) >= score(wrong, number)).all()
    crowded = log_prior(wrong, search.space) < -40  # wrong kinds may be too large for their places
    right = (after.asset == truth.asset).all(-1)
    assert right[~crowded].float().mean() > 0.7
    assert not (wrong.asset == truth.asset).all(-1)[truth.counts > 0].any()


def test_fresh_objects_are_tried_where_the_picture_errs():
    """With one pixel wrong, what is put there has its origin in that pixel, being tried first."""
    space = SceneSpace(TABLE)
    search = SceneSearch(space, EmbeddedEngine(space.family.library), MODEL)
    scenes = scenes_of(search, 40).replace(asset=torch.full((40, 3), -1))
    error = torch.zeros(40, 32, 32)
    error[:, 15, 12] = 1

    def score(tried, number):
        return tried.counts.float()  # of as many objects the first stays

    after = exchanged(scenes, space, Criteria(score, lambda _: error), 0, 4, seeded())
    assert (after.counts == 3).all()
    pixel = space.pixel_from_plane(after.position, space.cameras(after.orbit, after.K))
    torch.testing.assert_close(pixel, torch.tensor([12.5, 15.5]).expand(40, 3, 2), atol=0.02, rtol=0)


def test_the_prior_does_not_ask_in_which_slots_objects_are(search):
    scenes = nearest_first(scenes_of(search, 8, seed=9), search.space)
    ordered = search.space.family.log_prob(scenes).gather(1, scenes.counts[:, None])[:, 0]
    backwards = torch.arange(scenes.asset.shape[1]).flip(0).expand_as(scenes.asset)
    flipped = scenes.take_slots(backwards)
    torch.testing.assert_close(log_prior(flipped, search.space), ordered)


def test_the_surrogate_at_one_scale_is_the_likelihood_of_scenes_that_do_not_crowd(search):
    scenes = scenes_of(search, 6, seed=10)
    images = photographs(search, scenes)
    with torch.no_grad():
        render = draw_scenes(scenes, search.space, search.engine)
    value = surrogate(images, render, scenes, search.space, MODEL, 1)
    torch.testing.assert_close(value, MODEL.log_prob(images, render))


def test_poses_begin_where_scenes_are(search):
    scenes = scenes_of(search, 4)
    again = Poses.from_latents(scenes).put(scenes)
    for name, part in vars(scenes).items():
        torch.testing.assert_close(getattr(again, name), part)


def test_a_trace_keeps_the_best_of_each_image(search):
    trace = Trace(2)
    for seed in range(3):
        value = torch.tensor([0.0, seed, -seed, 1.0])
        trace.add(scenes_of(search, 4, seed), value, 2 * value)
    best = trace.found(search.space).best
    assert best.log_joint.tolist() == [2.0, 1.0]
    assert best.log_likelihood.tolist() == [4.0, 2.0]
    wanted = nearest_first(scenes_of(search, 4, 2)[1:2], search.space)
    assert same(best.scenes[:1], wanted)


def test_settings_divide_steps_and_lower_levels():
    settings = FROM_PRIOR.model_copy(update={"steps": 7, "rounds": 3})
    assert settings.steps_of_rounds == [2, 2, 3]
    levels = [settings.levels_after(step) for step in range(8)]
    assert levels == sorted(levels, reverse=True)
    assert (levels[0], levels[-1]) == (settings.levels, 1)
    assert FROM_PRIOR.model_copy(update={"steps": 0}).levels_after(0) == FROM_PRIOR.levels


def test_an_answer_in_the_form_of_a_parse_is_what_was_found(tmp_path):
    with SceneOptimiser.from_family("single_object") as optimiser:
        scenes = scenes_of(optimiser.search, 1, seed=11)
        image = photographs(optimiser.search, scenes).to_arrays()[0]
        found = optimiser.optimise(image, "it", seeded(), settings=BRIEF)
        with pytest.raises(ModelError, match="'single_object' has no network"):
            optimiser.optimise(image, "it", seeded(), "network")
    parse = found.parse
    assert parse.scene is not None
    assert (parse.image, parse.model, parse.count, found.log_likelihood_before) == (
        "it",
        "single_object",
        1,
        None,
    )
    assert parse.count_probabilities == (0.0, 1.0)
    assert parse.objects[0].identity == parse.scene.objects[0].asset
    given, shown = (Observation.from_arrays([part]) for part in (parse.observation, parse.reconstruction))
    again = float(MODEL.log_prob(given, Rendered(shown.rgb)))
    assert again == pytest.approx(parse.log_likelihood, rel=1e-4)
    left, top, width, height = parse.objects[0].box_px
    changed = (parse.prefixes[1] != parse.prefixes[0]).any(-1).nonzero()
    assert left - 1 <= changed[1].min() <= changed[1].max() <= left + width + 1
    assert top - 1 <= changed[0].min() <= changed[0].max() <= top + height + 1


def test_an_optimiser_ends_the_processes_that_draw(search):
    closed = []

    class Closing(FiniteDifference):
        def close(self) -> None:
            closed.append(True)

    library = search.space.family.library
    drawing = Closing(WithoutGradients(library), library)
    with SceneOptimiser("any", replace(search, engine=drawing)):
        pass
    assert closed == [True]


def test_models_of_pictures_are_refused():
    with pytest.raises(ModelError, match="'multi_mnist' does not infer 3D scenes"):
        SceneOptimiser.from_model("multi_mnist")
