"""The application: its commands, and the conversion of the project's errors to exit statuses."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from inverse_graphics import __version__
from inverse_graphics.errors import InverseGraphicsError

from . import assets, benchmark, data, demo, doctor, evaluate, infer, models, optimise, render, study, train
from .application import add, new_group
from .streams import print_error

app = new_group("An image goes in, a scene comes out.")
add(app, demo.demo, demo.EXAMPLES)
add(app, render.render, render.EXAMPLES)
add(app, infer.infer, infer.EXAMPLES)
add(app, optimise.optimise, optimise.EXAMPLES)
add(app, train.train, train.EXAMPLES)
add(app, evaluate.evaluate, evaluate.EXAMPLES)
app.add_typer(assets.group, name="assets")
app.add_typer(models.group, name="models")
app.add_typer(data.group, name="data")
app.add_typer(benchmark.group, name="benchmark")
app.add_typer(study.group, name="study")
add(app, doctor.doctor, doctor.EXAMPLES)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    0: success.  1: an error that the user can fix, reported on stderr in one line, or one for each problem
    of a document; or a closed stdout.
    2: wrong usage.  130: Ctrl-C.  Any other exception is a bug and is raised with its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(
            stream, "reconfigure"
        ):  # file names may contain characters outside the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except InverseGraphicsError as error:
        print_error(str(error), getattr(error, "__notes__", ()))
        return 1
    except BrokenPipeError:
        _forget_stdout()
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        _forget_stdout()
        print_error("cannot write to standard output: the disk is full; free some space")
        return 1
    return status


def _run(arguments: Sequence[str] | None) -> int:
    """Parse the arguments and run the command; Typer ends with SystemExit."""
    try:
        app(arguments, prog_name="inverse-graphics")
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    return 0


def _forget_stdout() -> None:
    """Redirect stdout to the null device, so that flushing the buffer at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
