"""Compiled kernels: numba with its disk cache if that is writable, run on all cores by plain threads.

Threads that release the interpreter lock are used instead of numba's `prange`: they compile several
times faster, balance uneven layers, and may be entered from any thread (as autograd's backward does).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from itertools import pairwise
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")

CHUNKS_PER_THREAD = 4
WORTH_THREADS = 400_000  # nanoseconds


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with numba at the first call; store the machine code on disk if there is room."""
    import numba

    uncached = numba.njit(function, nogil=True, error_model="numpy")
    try:
        cached = numba.njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:  # no folder for the cache is writable
        return uncached

    @wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return cached(*arguments)
        except OSError:  # the disk is full, or the folder was removed; kernels themselves use no files
            return uncached(*arguments)

    return call


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function that only kernels call; it is inlined in them and in their cached machine code."""
    import numba

    # the last two are missing from numba's stubs; they omit wrappers for calls from Python
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
    return numba.njit(function, nogil=True, error_model="numpy", **options)


_within = threading.local()


def in_chunks(
    task: Callable[[int, int], Result],
    count: int,
    nanoseconds: float = float("inf"),
    most: int | None = None,
) -> list[Result]:
    """Call task(start, stop) on consecutive pieces of range(count), on all of torch's threads.

    Args:
        task: called with the bounds of a piece.
        count: number of items.
        nanoseconds: estimated time per item.
        most: largest number of items of a piece.

    Returns:
        The results in order. A nested call gets a single piece, as all threads are busy; so does work that
        takes less time than waking the threads.
    """
    alone = getattr(_within, "chunk", False) or nanoseconds < WORTH_THREADS
    threads = 1 if alone else torch.get_num_threads()
    pieces = min(count, threads * CHUNKS_PER_THREAD if threads > 1 else 1)
    if most is not None:
        pieces = max(pieces, -(-count // most))
    bounds = [count * i // max(pieces, 1) for i in range(pieces + 1)]
    if threads == 1 or pieces <= 1:
        return [task(start, stop) for start, stop in pairwise(bounds)] if pieces else [task(0, 0)]
    return list(_executor(threads).map(task, bounds[:-1], bounds[1:]))


_executors: dict[tuple[int, int], ThreadPoolExecutor] = {}


def _executor(threads: int) -> ThreadPoolExecutor:
    """One pool per process and size: threads do not survive a fork."""
    key = (os.getpid(), threads)
    if key not in _executors:
        _executors[key] = ThreadPoolExecutor(
            threads, "inverse-graphics-render", initializer=lambda: setattr(_within, "chunk", True)
        )
    return _executors[key]
