"""Where the stack writes: paths that its programs can be told, folders that nobody else can use."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.config import Sources, load
from app.errors import StackError
from app.stack import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.stack.layout import Layout

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for the sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="w", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Layout]:
    """The layout of a folder whose path leaves none."""
    found = find(tmp_path / ("x" * 80))
    yield found
    if found.run.is_symlink():
        found.run.unlink()
    elif found.run.exists():
        shutil.rmtree(found.run)


def find(state: Path | str) -> Layout:
    return layout.find(load(Sources({"STATE_DIR": str(state)}, None)))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ---- paths


def test_root_is_the_checkout_and_its_configuration_the_one_at_its_top() -> None:
    found = find("/srv/windlass")
    assert layout.is_checkout(found.root)
    assert found.conf == found.root == layout.project_root()
    assert (found.conf / "nginx" / "nginx.conf").is_file()


def test_folder_with_only_half_of_a_checkout_is_none(tmp_path: Path) -> None:
    assert not layout.is_checkout(tmp_path)
    (tmp_path / "supervisord.conf").touch()
    assert not layout.is_checkout(tmp_path)
    (tmp_path / "nginx").mkdir()
    assert layout.is_checkout(tmp_path)


def test_checkout_keeps_its_state_beside_it_by_default() -> None:
    assert layout.find(load(Sources({}, None))).state == layout.project_root() / ".state"


def test_every_folder_is_inside_the_state_folder() -> None:
    found = find("/srv/w")
    assert found.state == Path("/srv/w")
    inside = {found.run, found.logs, found.static, found.redis_data, found.rendered, found.scratch}
    assert {path.parent for path in inside} == {found.state}
    assert len(inside) == 6


def test_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/me")
    assert find("~/windlass").state == Path("/srv/me/windlass")


def test_tilde_of_nobody_is_refused() -> None:
    with pytest.raises(StackError, match="STATE_DIR"):
        find("~no-such-user-here/windlass")


def test_relative_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("here").state == tmp_path / "here"


@pytest.mark.parametrize(
    "name",
    ['a"b', "a$b", "a%b", "a\\b", "a\nb", "a;b", "a\rb", "a #b", "a\udcffb"],
    ids=["quote", "dollar", "percent", "backslash", "newline", "semicolon", "carriage return",
         "comment", "not UTF-8"],
)  # fmt: skip
def test_folder_whose_name_a_configuration_file_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(StackError, match="STATE_DIR"):
        find(f"/srv/{name}/state")


@pytest.mark.parametrize("name", ["a b", "a'b", "a#b", "ä", "a{b}", "[a]", "a,b", "a=b"])
def test_folder_with_an_unusual_name_is_taken(name: str) -> None:
    assert find(f"/srv/{name}").state == Path(f"/srv/{name}")


# ---- the folder of the sockets


@pytest.mark.parametrize("letter", ["x", "é"])
def test_longest_folder_of_sockets_holds_the_longest_socket(short: Path, letter: str) -> None:
    room = 80 - len("/run") - len(os.fsencode(short)) - 1
    width = len(letter.encode())
    fits = short / (letter * (room // width) + "x" * (room % width))
    found = find(fits)
    assert len(os.fsencode(found.run)) == 80
    assert found.run == fits / "run"
    found.prepare()
    for name in (".worker-255.sock.4194304", "supervisord.sock.4194304"):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(found.run / name))
    assert find(fits.with_name(fits.name + "x")).run.parent == Path(tempfile.gettempdir())


def test_long_path_falls_back_to_a_short_folder_of_this_user(long: Layout) -> None:
    assert long.run.parent == Path(tempfile.gettempdir())
    assert long.run.name.startswith(f"windlass-{os.geteuid()}-")
    assert len(os.fsencode(long.run)) <= 80
    assert long.logs.parent == long.state


def test_short_folder_is_the_same_for_one_stack_and_another_for_the_next(long: Layout) -> None:
    assert find(long.state).run == long.run
    assert find(str(long.state) + "y").run != long.run


# ---- making them


def test_folders_are_made_for_this_user_only(short: Path) -> None:
    found = find(short / "deep" / "state")
    found.prepare()
    for folder in (found.state, found.run, found.logs, found.static, found.redis_data,
                   found.rendered, found.scratch):  # fmt: skip
        assert mode(folder) == 0o700, folder


def test_folders_that_are_there_are_kept_with_what_they_hold(short: Path) -> None:
    found = find(short)
    found.prepare()
    (found.logs / "web.log").write_text("kept")
    found.prepare()
    assert (found.logs / "web.log").read_text() == "kept"


def test_folder_of_sockets_that_others_could_enter_is_closed(long: Layout) -> None:
    long.run.mkdir(mode=0o777)
    long.run.chmod(0o777)
    long.prepare()
    assert mode(long.run) == 0o700


@as_root
def test_folder_of_sockets_that_somebody_else_made_is_refused(long: Layout) -> None:
    long.run.mkdir()
    os.chown(long.run, NOBODY, NOBODY)
    with pytest.raises(StackError, match="is not a folder of this user"):
        long.prepare()


@pytest.mark.parametrize("dangling", [False, True])
def test_folder_of_sockets_that_is_a_symlink_is_refused(
    long: Layout, tmp_path: Path, *, dangling: bool
) -> None:
    target = tmp_path / "elsewhere"
    if not dangling:
        target.mkdir(mode=0o755)
    long.run.symlink_to(target)
    with pytest.raises(StackError):
        long.prepare()
    assert dangling or mode(target) == 0o755


def test_file_in_the_place_of_a_folder_is_refused_with_the_setting_to_change(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match=r"cannot be made.*STATE_DIR"):
        find(tmp_path / "file" / "state").prepare()


@as_root
def test_user_without_a_name_has_none() -> None:
    assert layout.user_name() == "root"
    os.seteuid(54321)
    try:
        assert layout.user_name() == ""
    finally:
        os.seteuid(0)
