import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from inverse_graphics import __version__
from inverse_graphics.cli.main import main

SCRIPT = Path(sys.executable).with_name("inverse-graphics")
COMMANDS = [
    ["demo"],
    ["render"],
    ["infer"],
    ["optimise"],
    ["train"],
    ["evaluate"],
    ["data", "list"],
    ["data", "make"],
    ["assets", "list"],
    ["assets", "show"],
    ["models", "list"],
    ["models", "show"],
    ["models", "export"],
    ["benchmark", "infer"],
    ["benchmark", "optimise"],
    ["benchmark", "render"],
    ["benchmark", "render-fuzz"],
    ["benchmark", "render-gradients"],
    ["benchmark", "train"],
    ["study", "learn3d"],
    ["study", "counting"],
    ["study", "generalisation"],
    ["study", "estimators"],
    ["study", "sprites"],
    ["study", "strokes"],
    ["doctor"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_has_examples_that_call_that_command(run, command):
    outcome = run(*command, "--help")
    assert outcome.status == 0
    _, _, examples = outcome.out.partition("Examples")
    calls = [line for line in examples.splitlines() if "inverse-graphics" in line]
    assert calls
    assert any(" ".join(["inverse-graphics", *command]) in line for line in calls)


@pytest.mark.parametrize(
    "command", [[], ["data"], ["assets"], ["models"], ["benchmark"], ["study"]], ids=" ".join
)
def test_a_group_alone_shows_its_help(run, command):
    outcome = run(*command)
    assert "Usage:" in outcome.out + outcome.err


def test_every_command_that_is_listed_is_tested_here(run):
    listed = re.findall(r"^│ (\w+) ", run("--help").out.partition("Commands")[2], re.MULTILINE)
    assert sorted(listed) == sorted({command[0] for command in COMMANDS})


def test_the_version(run):
    assert run("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["infer"],
        ["optimise"],
        ["infer", "a.png", "--nothing"],
        ["render", "breakfast"],
        ["render", "breakfast", "-o", "a.png", "--size", "large"],
        ["render", "breakfast", "-o", "a.png", "--size", "0x10"],
        ["demo", "--images", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_two_and_says_what_was_wrong(run, arguments):
    outcome = run(*arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert "Usage:" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_bug_is_not_dressed_up_as_an_error_of_the_user(monkeypatch):
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("inverse_graphics.doctor.examine", bug)
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", ["--help", "--version", "models list --json -"])
def test_a_reader_that_has_gone_away_is_no_traceback(command):
    done = shell(f"{{ sleep 0.2; {SCRIPT} {command}; }} | true")
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("command", ["--help", "--version", "models list --json -"])
def test_a_full_disk_behind_stdout_is_one_line(command):
    done = shell(f"{SCRIPT} {command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == "Error: cannot write to standard output: the disk is full; free some space\n"


def test_in_a_pipe_there_are_no_colours_and_lines_are_not_cut():
    done = shell(f"{SCRIPT} doctor", COLUMNS="20")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "inverse-graphics  0." in done.stdout


def test_a_terminal_without_unicode_gets_plain_letters():
    for command in ("--help", "assets list"):
        done = shell(f"{SCRIPT} {command}", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()


def test_the_installed_script_passes_the_status_on(tmp_path):
    done = shell(f"{SCRIPT} infer {tmp_path}/none.png")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"Error: no such file: {tmp_path}/none.png\n"


@pytest.mark.parametrize("command", ["assets list", "assets show crockery/mug", "models list", "doctor"])
def test_json_on_stdout_is_all_that_is_on_stdout(run, command):
    json.loads(run(*command.split(), "--json", "-").out)
