"""Processes that draw: the same gradients, and an end that is stderr in one line whatever ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from table_scenes import library, random_scenes
from worker_trade import Trade

from inverse_graphics.errors import EngineError
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.rendering.finite_difference.engine import FiniteDifference
from inverse_graphics.rendering.finite_difference.parallel import PackedLayers
from inverse_graphics.rendering.finite_difference.replicas import Replicas


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_live_on_between_calls_and_end_with_a_with_statement():
    with Replicas(Trade(), 2) as replicas:
        first, second = replicas.call("tell", [(1,), (10,)])
        again = replicas.call("tell", [(2,), (20,)])
        assert [first, second, *again] == [
            (replicas.process_ids[0], 1),
            (replicas.process_ids[1], 10),
            (replicas.process_ids[0], 3),
            (replicas.process_ids[1], 30),
        ]
    assert not any(map(alive, replicas.process_ids))
    with pytest.raises(EngineError, match="ended"):
        replicas.call("tell", [(1,)])


@pytest.mark.parametrize(
    ("method", "kind", "says"),
    [
        ("fail", EngineError, "^no such object: choose another$"),
        ("break_down", RuntimeError, "ValueError: a bug"),
        ("die", EngineError, r"^render worker 1 of 1 died \(SIGKILL\): .*fewer workers"),
    ],
)
def test_whatever_goes_wrong_in_a_worker_is_reported_here_and_ends_all(method, kind, says):
    replicas = Replicas(Trade(), 1)
    with pytest.raises(kind, match=says) as raised:
        replicas.call(method, [()])
    assert kind is RuntimeError or "\n" not in str(raised.value)
    assert not any(map(alive, replicas.process_ids))


def test_a_worker_that_is_killed_between_calls_is_noticed():
    with Replicas(Trade(), 2) as replicas:
        replicas.call("tell", [(1,), (1,)])
        os.kill(replicas.process_ids[1], signal.SIGKILL)
        with pytest.raises(EngineError, match="worker 2 of 2 died"):
            replicas.call("tell", [(1,), (1,)])
        assert not any(map(alive, replicas.process_ids))


def test_fewer_than_one_worker_is_refused():
    with pytest.raises(EngineError, match="at least one"):
        Replicas(Trade(), 0)


MASTER = """
import signal, sys, time
sys.path.insert(0, {folder!r})
from worker_trade import Trade
from inverse_graphics.rendering.finite_difference.replicas import Replicas

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    replicas = Replicas(Trade(), 2)
    replicas.call("tell", [(1,), (1,)])
    print("ready", flush=True)
    {then}
"""


@pytest.mark.parametrize("then", ["replicas.call('sleep', [(), ()])", "time.sleep(600)"])
def test_ctrl_c_ends_workers_without_a_word_from_them(tmp_path, then):
    """A terminal sends it to all of them. stdout is closed only when the last of them has ended."""
    with master(tmp_path, then) as process:
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert stderr.count("Traceback") == 1
    assert stderr.strip().endswith("KeyboardInterrupt")


def test_the_first_workers_of_a_program_never_hear_of_ctrl_c(tmp_path):
    """The first process that is spawned starts another, Python's resource tracker, which unblocks signals."""
    then = """
    import os
    for process_id in replicas.process_ids:
        os.kill(process_id, signal.SIGINT)
    print(replicas.call("tell", [(1,), (1,)]), flush=True)
    """
    with master(tmp_path, then) as process:
        assert process.stdout is not None
        answer = process.stdout.readline()  # communicate would miss what came together with "ready"
        _, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr
    assert answer.startswith("[")


def test_workers_end_if_their_master_is_killed(tmp_path):
    with master(tmp_path, "time.sleep(600)") as process:
        process.kill()
        _, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr


@contextmanager
def master(folder: Path, then: str) -> Iterator[subprocess.Popen[str]]:
    """A program with two workers, in a process group of its own."""
    script = folder / "main.py"
    script.write_text(MASTER.format(folder=str(Path(__file__).parent), then=then))
    pipe = subprocess.PIPE
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_workers_draw_and_differentiate_as_one_process_does():
    meshes = library()
    scenes = random_scenes(meshes, 3, 2, 16, seed=1)
    engine = EmbeddedEngine(meshes)
    with FiniteDifference.with_workers(engine, meshes, 2) as with_workers:
        found = []
        for drawing in (with_workers, FiniteDifference(engine, meshes)):
            position = scenes.objects.position.clone().requires_grad_()
            objects = replace(scenes.objects, position=position)
            layers = drawing.layers(objects, scenes.camera, scenes.light)
            loss = layers.rgb.square().sum() + layers.alpha.sum()
            found.append((*layers, *torch.autograd.grad(loss, position)))
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_layers_are_the_same_after_a_journey():
    meshes = library()
    scenes = random_scenes(meshes, 3, 2, 16, seed=2)
    layers = EmbeddedEngine(meshes).layers(scenes.objects, scenes.camera, scenes.light)
    parts = [Layers(*(plane[part] for plane in layers)) for part in (slice(0, 1), slice(1, 1), slice(1, 3))]
    arrived = PackedLayers.joined([PackedLayers.from_layers(part) for part in parts])
    for one, other in zip(layers, arrived, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
