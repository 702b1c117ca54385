"""Log files, followed while they grow, rotate, shrink and appear; every file is real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.stack import logs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


def rotate(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.1"))


def follow(
    folder: Path,
    *steps: Callable[[], object],
    programs: tuple[str, ...] = ("web",),
    from_end: bool = True,
) -> list[tuple[str, str]]:
    """All that is told while one step after another is done, each between two looks."""
    waiting = [*steps]

    def until() -> bool:
        if waiting:
            waiting.pop(0)()
        return not waiting

    return list(logs.follow(folder, list(programs), until, from_end=from_end))


def lines(folder: Path, *steps: Callable[[], object], from_end: bool = True) -> list[str]:
    return [line for _, line in follow(folder, *steps, from_end=from_end)]


@pytest.fixture
def web(tmp_path: Path) -> Path:
    path = tmp_path / "web.log"
    path.write_text("old\n")
    return path


# ---- names and last lines


def test_names_are_those_of_programs_without_rotated_files(tmp_path: Path) -> None:
    for name in ("web.log", "nginx.log", "web.log.1", "notes.txt"):
        (tmp_path / name).touch()
    assert logs.names(tmp_path) == ["nginx", "web"]


def test_names_of_a_folder_that_is_not_there_are_none(tmp_path: Path) -> None:
    assert logs.names(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("content", "count", "found"),
    [
        (b"a\nb\nc\n", 2, ["b", "c"]),
        (b"a\nb\nc", 2, ["b", "c"]),
        (b"a\n", 5, ["a"]),
        (b"a\n\nb\n", 2, ["", "b"]),
        (b"a\n", 0, []),
        (b"", 3, []),
        (b"\xff\n", 1, ["\ufffd"]),
        (b"50%\r100%\nend\n", 2, ["50%\r100%", "end"]),
    ],
)
def test_last_lines(tmp_path: Path, content: bytes, count: int, found: list[str]) -> None:
    (tmp_path / "web.log").write_bytes(content)
    assert logs.last(tmp_path / "web.log", count) == found


def test_last_lines_of_a_file_that_is_not_there_are_none(tmp_path: Path) -> None:
    assert logs.last(tmp_path / "web.log", 3) == []


# ---- growth


def test_new_lines_come_in_order_and_what_was_there_is_left_out(tmp_path: Path, web: Path) -> None:
    assert follow(tmp_path, lambda: append(web, "a\nb\n"), lambda: append(web, "c\n")) == [
        ("web", "a"), ("web", "b"), ("web", "c"),
    ]  # fmt: skip


def test_what_was_there_comes_first_on_demand(tmp_path: Path, web: Path) -> None:
    assert lines(tmp_path, lambda: append(web, "new\n"), from_end=False) == ["old", "new"]


def test_what_came_before_the_end_is_still_told(tmp_path: Path, web: Path) -> None:
    # `until` says yes at its first call, right after the step has written.
    assert lines(tmp_path, lambda: append(web, "last words\n")) == ["last words"]


def test_partial_line_waits_for_its_end(tmp_path: Path, web: Path) -> None:
    euro = "€".encode()
    told = lines(
        tmp_path,
        lambda: append(web, b"one\n5 " + euro[:1]),
        lambda: append(web, euro[1:] + b" each\nopen"),
    )
    assert told == ["one", "5 € each"]


def test_bytes_that_are_not_utf8_are_replaced(tmp_path: Path, web: Path) -> None:
    assert lines(tmp_path, lambda: append(web, b"\xff\xfe\n")) == ["\ufffd\ufffd"]


def test_much_at_once_loses_nothing(tmp_path: Path, web: Path) -> None:
    many = [f"line {number} {'x' * (number % 97)}" for number in range(20_000)]
    assert lines(tmp_path, lambda: append(web, "\n".join(many) + "\n")) == many


# ---- rotation and truncation


def test_rotated_file_is_read_to_its_end_before_the_new_one(tmp_path: Path, web: Path) -> None:
    def rotate_amid_writing() -> None:
        append(web, "b\nc\n")
        rotate(web)
        append(web, "d\n")

    assert lines(tmp_path, lambda: append(web, "a\n"), rotate_amid_writing) == ["a", "b", "c", "d"]


def test_file_that_is_away_for_a_moment_during_rotation_loses_nothing(
    tmp_path: Path, web: Path
) -> None:
    def take_away() -> None:
        append(web, "b\n")
        rotate(web)

    assert lines(
        tmp_path, lambda: append(web, "a\n"), take_away, lambda: append(web, "c\n")
    ) == ["a", "b", "c"]  # fmt: skip


def test_two_rotations_one_after_another_lose_nothing(tmp_path: Path, web: Path) -> None:
    def rotate_and_write(before: str, after: str) -> None:
        append(web, before)
        rotate(web)
        append(web, after)

    assert lines(
        tmp_path, lambda: rotate_and_write("a\n", "b\n"), lambda: rotate_and_write("c\n", "d\n")
    ) == ["a", "b", "c", "d"]  # fmt: skip


def test_line_cut_in_two_by_rotation_is_told_whole(tmp_path: Path, web: Path) -> None:
    # supervisord rotates between two chunks of a program's output, wherever they end.
    def rotate_amid_line() -> None:
        append(web, "first ")
        rotate(web)
        append(web, "second\nnext\n")

    assert lines(tmp_path, rotate_amid_line) == ["first second", "next"]


def test_file_that_was_truncated_is_read_from_its_start(tmp_path: Path, web: Path) -> None:
    def truncate() -> None:
        web.write_text("c\n")

    assert lines(tmp_path, lambda: append(web, "a\nb\nhalf"), truncate) == ["a", "b", "c"]


def test_rotated_file_of_an_earlier_time_is_not_told_again(tmp_path: Path, web: Path) -> None:
    web.with_name("web.log.1").write_text("ancient\n")
    web.unlink()
    assert lines(tmp_path, lambda: append(web, "a\n")) == ["a"]


# ---- files that come later


def test_file_that_appears_later_is_told_from_its_start(tmp_path: Path) -> None:
    told = follow(tmp_path, lambda: None, lambda: append(tmp_path / "web.log", "a\nb\n"))
    assert told == [("web", "a"), ("web", "b")]


def test_every_program_is_followed_where_none_is_named(tmp_path: Path, web: Path) -> None:
    def both() -> None:
        append(web, "a\n")
        append(tmp_path / "nginx.log", "b\n")

    told = follow(tmp_path, lambda: append(web, "0\n"), both, programs=())
    assert sorted(told) == [("nginx", "b"), ("web", "0"), ("web", "a")]


def test_programs_that_are_not_named_are_left_out(tmp_path: Path, web: Path) -> None:
    def both() -> None:
        append(web, "a\n")
        append(tmp_path / "nginx.log", "b\n")

    assert follow(tmp_path, both, programs=("nginx",)) == [("nginx", "b")]
