from __future__ import annotations

import gzip
import hashlib
import io
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest

from inverse_graphics.data.store import Resource, locate, read_resource
from inverse_graphics.errors import DataError

CONTENT = b"digits" * 100
URLS = ("https://first.example/digits.gz", "https://second.example/digits.gz")
RESOURCE = Resource("set/digits", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), URLS)


class Response(io.BytesIO):
    """What an address gives."""

    def __init__(self, content: bytes, url: str, promised: int | None = None) -> None:
        super().__init__(content)
        self.url = url
        self.headers = Message()
        self.headers["Content-Length"] = str(len(content) if promised is None else promised)


Answer = Callable[[str], Response]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A data folder that the user names, and the user's cache."""
    monkeypatch.setenv("INVERSE_GRAPHICS_DATA", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "named", tmp_path / "cache" / "inverse_graphics"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], list[str]]:
    """Let addresses answer as message; returns the list of those that were asked."""

    def answer_with(answer: Answer) -> list[str]:
        asked: list[str] = []

        def open_url(url: str, timeout: float) -> Response:
            assert 0 < timeout < 60
            asked.append(url)
            return answer(url)

        monkeypatch.setattr(urllib.request, "urlopen", open_url)
        return asked

    return answer_with


def offline(url: str) -> Response:
    raise urllib.error.URLError("network is unreachable")


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("where", [0, 1])
def test_a_file_on_this_machine_needs_no_network(folders, network, where: int, packed: bool) -> None:
    asked = network(offline)
    name, content = ("set/digits.gz", gzip.compress(CONTENT, 1)) if packed else ("set/digits", CONTENT)
    put(folders[where] / name, content)
    assert read_resource(RESOURCE) == CONTENT
    assert asked == []


def test_the_named_folder_comes_before_the_cache(folders, network) -> None:
    for folder in folders:
        put(folder / "set/digits", CONTENT)
    assert locate(RESOURCE) == folders[0] / "set/digits"


def test_a_missing_file_is_fetched_into_the_cache_once(folders, network) -> None:
    asked = network(lambda url: Response(gzip.compress(CONTENT), url))
    assert read_resource(RESOURCE) == CONTENT
    assert read_resource(RESOURCE) == CONTENT
    assert asked == [URLS[0]]
    assert locate(RESOURCE) == folders[1] / "set/digits.gz"


def too_long(url: str) -> Response:
    return Response(b"\0" * (len(CONTENT) + 1), url)


def broken_off(url: str) -> Response:
    packed = gzip.compress(CONTENT)
    return Response(packed[:-4], url, promised=len(packed))


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (offline, "unreachable"),
        (too_long, "more than"),
        (broken_off, "ended after"),
        (lambda url: Response(gzip.compress(b"another" * 9), url), "not the published"),
        (lambda url: Response(gzip.compress(CONTENT), "http://elsewhere.example/"), "not https"),
        (lambda url: Response(b"", url), "not the published"),
    ],
)
def test_the_next_mirror_is_asked_when_one_fails(folders, network, first: Answer, reason: str) -> None:
    asked = network(lambda url: first(url) if url == URLS[0] else Response(gzip.compress(CONTENT), url))
    assert read_resource(RESOURCE) == CONTENT
    assert asked == list(URLS)

    (folders[1] / "set/digits.gz").unlink()
    network(first)
    with pytest.raises(DataError, match=reason):
        read_resource(RESOURCE)
    assert list((folders[1] / "set").iterdir()) == []


def test_offline_says_which_file_where_and_what_to_do(folders, network) -> None:
    network(offline)
    with pytest.raises(DataError) as caught:
        read_resource(RESOURCE)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("set/digits", str(folders[0]), str(folders[1]), "INVERSE_GRAPHICS_DATA", "unreachable"):
        assert part in message


def test_another_file_under_the_name_is_refused(folders, network) -> None:
    asked = network(offline)
    put(folders[0] / "set/digits", CONTENT[::-1])
    with pytest.raises(DataError, match="not the published digits"):
        read_resource(RESOURCE)
    assert asked == []


def test_the_cache_is_under_home_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("INVERSE_GRAPHICS_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path / ".cache/inverse_graphics/set/digits", CONTENT)
    assert read_resource(RESOURCE) == CONTENT
