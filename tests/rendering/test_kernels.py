import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from numba.core.caching import FunctionCache

from inverse_graphics.rendering.kernels import in_chunks

RENDER = """
from inverse_graphics.rendering.kernels import kernel

@kernel
def twice(x):
    return 2 * x

assert twice(21) == 42
"""


def test_a_kernel_runs_where_its_cache_cannot_be_written(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FunctionCache, "save_overload", full)
    script = tmp_path / "script.py"
    script.write_text(RENDER)
    exec(compile(RENDER, str(script), "exec"), {})


def test_a_kernel_runs_where_no_cache_folder_exists(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(RENDER)
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"NUMBA_CACHE_DIR": str(blocked / "folder"), "PATH": "", "HOME": str(blocked)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("count", [0, 1, 7, 100])
@pytest.mark.parametrize("threads", [1, 3])
def test_chunks_cover_everything_once_and_in_order(count, threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        pieces = in_chunks(lambda start, stop: list(range(start, stop)), count)
    finally:
        torch.set_num_threads(before)
    assert [i for piece in pieces for i in piece] == list(range(count))


def test_chunks_may_be_asked_for_by_several_threads_at_once():
    results = np.zeros(4)

    def work(k):
        results[k] = sum(in_chunks(lambda start, stop: stop - start, 1000 + k))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.tolist() == [1000, 1001, 1002, 1003]


def test_errors_in_chunks_reach_the_caller():
    def fail(start, stop):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        in_chunks(fail, 10)


def test_chunks_within_chunks_are_single_pieces():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        pieces = in_chunks(
            lambda start, stop: in_chunks(lambda a, b: (start + a, start + b), stop - start), 40
        )
    finally:
        torch.set_num_threads(before)
    assert [len(piece) for piece in pieces] == [1] * len(pieces)
    assert [i for ((start, stop),) in pieces for i in range(start, stop)] == list(range(40))


@pytest.mark.parametrize("threads", [1, 2])
def test_pieces_are_no_larger_than_asked_and_small_work_is_one_piece(threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        pieces = in_chunks(lambda start, stop: list(range(start, stop)), 50, most=3)
        small = in_chunks(lambda start, stop: list(range(start, stop)), 50, nanoseconds=1000)
    finally:
        torch.set_num_threads(before)
    assert max(len(piece) for piece in pieces) <= 3
    assert [i for piece in pieces for i in piece] == list(range(50))
    assert small == [list(range(50))]
