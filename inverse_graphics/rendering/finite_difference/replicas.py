"""Copies of an object in worker processes.

Processes are spawned, not forked: threads and OpenGL contexts do not survive a fork. Messages are pickled;
both ends are this program.
"""

from __future__ import annotations

import pickle
import signal
import traceback
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from inverse_graphics.errors import EngineError, InverseGraphicsError

PATIENCE_S = 5.0
"""Time after which a process that does not end is killed."""


class Replicas:
    """An object, copied to `count` processes that start immediately.

    Ctrl-C reaches this process only, which ends the others; so does any error, and this process's own end.
    A `with` statement, or `close`, ends them sooner.

    Raises:
        EngineError: fewer than one process is requested.
    """

    def __init__(self, original: object, count: int) -> None:
        if count < 1:
            raise EngineError(f"{count} render workers: expected at least one")
        pickled = pickle.dumps(original)
        self._workers = [_Worker(pickled, f"render worker {n + 1} of {count}") for n in range(count)]
        self._end = weakref.finalize(self, _end_all, self._workers)

    def __len__(self) -> int:
        return len(self._workers)

    def __enter__(self) -> Replicas:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The ids of all processes."""
        return tuple(worker.process.pid for worker in self._workers)

    def close(self) -> None:
        """End all processes."""
        self._end()

    def call(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Call a method of the copies in parallel, each with a tuple of arguments; at most one tuple each.

        Raises:
            EngineError: a process died, or all were ended before.
            InverseGraphicsError: raised by the method.
        """
        if not self._end.alive:
            raise EngineError("the render workers were ended: make the engine again")
        busy = self._workers[: len(arguments)]
        try:
            for worker, given in zip(busy, arguments, strict=True):
                worker.send((method, given))
            return [worker.receive() for worker in busy]
        except BaseException:  # any exception, Ctrl-C included: answers may be pending
            self.close()
            raise


class _Worker:
    """One worker process, from this side."""

    def __init__(self, pickled: bytes, name: str) -> None:
        context = get_context("spawn")
        self.name = name
        self.connection, other_end = context.Pipe()
        self.process: Any = context.Process(target=_serve, args=(other_end, pickled), name=name, daemon=True)
        with _interrupts_blocked():
            self.process.start()
        other_end.close()  # the remaining copy belongs to the worker, and is closed with it

    def send(self, question: object) -> None:
        try:
            self.connection.send_bytes(pickle.dumps(question))
        except OSError:
            raise self._died() from None

    def receive(self) -> Any:
        wait([self.connection, self.process.sentinel])
        try:
            if not self.connection.poll():
                raise EOFError
            answer, problem = pickle.loads(self.connection.recv_bytes())  # noqa: S301
        except (EOFError, OSError):
            raise self._died() from None
        if isinstance(problem, InverseGraphicsError):
            raise problem
        if problem is not None:
            raise RuntimeError(f"in {self.name}:\n{problem}")
        return answer

    def _died(self) -> EngineError:
        self.process.join(PATIENCE_S)
        code = self.process.exitcode
        why = f"exit status {code}" if code is None or code >= 0 else signal.Signals(-code).name
        return EngineError(
            f"{self.name} died ({why}): if memory was short, use fewer workers or smaller batches"
        )


def _end_all(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.connection.close()
        worker.process.terminate()
    for worker in workers:
        worker.process.join(PATIENCE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C in processes that are started within, as blocked signals are inherited."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # spawn starts this process once, which then unblocks Ctrl-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, pickled: bytes) -> None:
    """Answer calls until the other end is closed.  Runs in the process that was started."""
    original, problem = None, None
    try:
        original = pickle.loads(pickled)  # noqa: S301
    except Exception as raised:
        problem = _sendable(raised)
    while True:
        try:
            method, arguments = pickle.loads(connection.recv_bytes())  # noqa: S301
            connection.send_bytes(
                pickle.dumps((None, problem) if problem else _answer(original, method, arguments))
            )
        except (EOFError, OSError):
            return


def _answer(original: object, method: str, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    try:
        return getattr(original, method)(*arguments), None
    except Exception as raised:
        return None, _sendable(raised)


def _sendable(problem: Exception) -> InverseGraphicsError | str:
    return (
        problem if isinstance(problem, InverseGraphicsError) else "".join(traceback.format_exception(problem))
    )
