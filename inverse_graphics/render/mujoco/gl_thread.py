"""The one thread of a process in which OpenGL draws: a context belongs to a thread, engines to any."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from inverse_graphics.render.mujoco.installation import new_context

Result = TypeVar("Result")

_threads: dict[int, GlThread] = {}


class GlThread:
    """A thread with a context that stays alive.

    Raises:
        EngineError: OpenGL does not draw here.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "inverse-graphics-gl")
        self._context = self._thread.submit(new_context).result()

    def run(self, function: Callable[[], Result]) -> Result:
        """Call a function there and wait for what it returns."""
        return self._thread.submit(function).result()

    def run_later(self, function: Callable[[], object]) -> None:
        """Call a function there when there is time; asked from anywhere, that thread itself included."""
        with suppress(RuntimeError):  # at the end there are no threads any more, and nothing to be done
            self._thread.submit(function)


def gl_thread() -> GlThread:
    """The thread of this process; it is made at the first call.

    Raises:
        EngineError: OpenGL does not draw here.
    """
    if os.getpid() not in _threads:
        _threads[os.getpid()] = GlThread()
    return _threads[os.getpid()]
