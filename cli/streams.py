"""Output streams of commands: data on stdout, messages on stderr, colours on terminals only."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from inverse_graphics.io.files import atomic_write

if TYPE_CHECKING:
    from rich.console import Console

STDOUT = "-"
PIPE_WIDTH = 10_000
LINE_SECONDS = 30.0
"""Seconds between lines of progress where stderr is no terminal."""


def console(*, stderr: bool = False) -> Console:
    """Make a rich console that does not wrap or cut lines unless it is a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream, width=None if stream.isatty() else PIPE_WIDTH, highlight=False, soft_wrap=False
    )


def notify(text: str) -> None:
    """Print a message as one line on stderr."""
    print(one_line(text), file=sys.stderr, flush=True)  # noqa: T201 - the only function that prints messages


def print_error(text: str, notes: Sequence[str] = ()) -> None:
    """Print an error as one line on stderr, and each note below it as another."""
    red, plain = ("\x1b[1;31m", "\x1b[0m") if _shows_colours(sys.stderr) else ("", "")
    lines = "\n".join(map(one_line, (text, *notes)))
    print(f"{red}Error:{plain} {lines}", file=sys.stderr, flush=True)  # noqa: T201


def one_line(text: str) -> str:
    """Collapse white space and remove control characters, which file names may contain."""
    return "".join(char if char.isprintable() else "�" for char in " ".join(text.split()))


@contextmanager
def json_lines(target: str) -> Iterator[IO[str]]:
    """Open FILE, or stdout for "-"; the file is written atomically at the end of the block."""
    if target == STDOUT:
        yield sys.stdout
        sys.stdout.flush()
    else:
        with atomic_write(target, "w") as file:
            yield file


def write_json(target: str, value: Any) -> None:
    """Write one JSON document, indented, to FILE or, for "-", to stdout."""
    with json_lines(target) as file:
        file.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
    if target != STDOUT:
        notify(f"wrote {Path(target)}")


@contextmanager
def advancing(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on stderr, as a bar on a terminal, else as one line every half minute.

    Yields a function that takes the amount done so far.
    """
    if not sys.stderr.isatty():
        yield _Lines(what, total)
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


class _Lines:
    """Prints how much is done, once every `LINE_SECONDS`."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._printed = what, total, time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._printed >= LINE_SECONDS:
            self._printed = now
            notify(f"{self._what}: {done:,} of {self._total:,}")


def _shows_colours(stream: IO[str]) -> bool:
    """Whether a stream is a terminal with colours, by rich's rules, and NO_COLOR is not set."""
    from rich.console import Console

    console = Console(file=stream)
    return console.color_system is not None and not console.no_color and stream.isatty()
