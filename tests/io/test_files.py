import errno
import os
import stat
from pathlib import Path

import pytest

from inverse_graphics.errors import StorageError
from inverse_graphics.io.files import atomic_folder, atomic_write


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_written_file_holds_what_was_written_and_leaves_nothing_beside_it(tmp_path):
    with atomic_write(tmp_path / "a.txt", "w") as file:
        file.write("ünïcode")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "ünïcode"
    assert contents(tmp_path) == {"a.txt"}


def test_the_old_file_stands_until_the_block_has_ended(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with atomic_write(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("existed", [True, False])
def test_any_failure_leaves_everything_as_it_was(tmp_path, failure, existed):
    target = tmp_path / "a.bin"
    if existed:
        target.write_bytes(b"old")
    before = contents(tmp_path)
    with pytest.raises(failure), atomic_write(target) as file:  # noqa: PT012 - the block is the subject
        file.write(b"half")
        raise failure
    assert contents(tmp_path) == before
    assert not existed or target.read_bytes() == b"old"


def test_a_disk_that_fills_up_while_writing_is_one_line_and_nothing_half_written(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(StorageError, match="disk is full") as raised, atomic_write(target) as file:  # noqa: PT012
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "\n" not in str(raised.value)
    assert str(target) in str(raised.value)
    assert target.read_bytes() == b"old"
    assert contents(tmp_path) == {"a.bin"}


def test_a_disk_that_fills_up_while_synchronising_is_one_line_and_nothing_half_written(tmp_path, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"), atomic_write(tmp_path / "a.bin") as file:
        file.write(b"whole")
    assert contents(tmp_path) == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_device_that_is_really_full_is_one_line():
    with pytest.raises(StorageError, match="disk is full"), atomic_write("/dev/full") as file:  # noqa: PT012
        file.write(b"x" * 10)
        file.flush()


def test_a_device_is_written_to_and_not_replaced():
    with atomic_write(os.devnull) as file:
        file.write(b"gone")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_missing_folder_a_file_as_folder_and_a_folder_in_the_way_are_one_line_each(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    cases = {
        "none/a": "folder does not exist",
        "file/a": "not a folder",
        "folder": "folder stands in its place",
    }
    for name, reason in cases.items():
        with pytest.raises(StorageError, match=reason), atomic_write(tmp_path / name) as file:
            file.write(b"x")
    assert contents(tmp_path) == {"folder", "file"}


def test_an_error_about_another_file_is_not_attributed_to_this_one(tmp_path):
    elsewhere = tmp_path / "inner"
    elsewhere.mkdir()
    with pytest.raises(FileNotFoundError), atomic_write(elsewhere / "out"):
        (tmp_path / "input").read_bytes()


def test_permissions_follow_the_umask_and_an_existing_file_keeps_its_own(tmp_path):
    previous = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a"):
            pass
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
        (tmp_path / "a").chmod(0o604)
        with atomic_write(tmp_path / "a"):
            pass
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o604
    finally:
        os.umask(previous)


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.fixture(params=[True, False], ids=["replaced", "new"])
def target(tmp_path, request):
    """A folder to be written, which exists or not."""
    folder = tmp_path / "out"
    if request.param:
        folder.mkdir()
        (folder / "stale").write_bytes(b"old")
    return folder


def test_a_folder_appears_whole_and_replaces_the_old_one_whole(tmp_path, target):
    existed = target.exists()
    with atomic_folder(target) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_bytes(b"new")
        assert target.exists() == existed
    assert contents(tmp_path) == {"out", "out/inner", "out/inner/a"}


def test_a_folder_that_fails_leaves_the_old_one(tmp_path, target):
    before = contents(tmp_path)
    with pytest.raises(StorageError, match="disk is full"), atomic_folder(target) as folder:  # noqa: PT012
        (folder / "a").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert contents(tmp_path) == before


def test_a_folder_whose_last_rename_fails_is_put_back(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    (target / "stale").write_bytes(b"old")
    rename = Path.rename

    def rename_but_not_onto_a_free_target(self: Path, to: Path) -> Path:
        if to == target and (self / "a").exists():
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", rename_but_not_onto_a_free_target)
    with pytest.raises(StorageError, match="permission denied"), atomic_folder(target) as folder:
        (folder / "a").write_bytes(b"new")
    assert contents(tmp_path) == {"out", "out/stale"}


def test_a_file_in_the_way_of_a_folder_is_one_line(tmp_path):
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(StorageError, match="file stands in its place"), atomic_folder(tmp_path / "out"):
        pass
