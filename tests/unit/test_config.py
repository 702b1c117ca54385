"""Settings: where each comes from, what each may be, and that every fault is told at once."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import VARIABLES, LogLevel, Management, Secret, Settings, Sources, load
from app.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]


def settings(**environ: str) -> Settings:
    return load(Sources(environ, None))


def faults(**environ: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        settings(**environ)
    return {fault.where: fault.message for fault in caught.value.faults}


def outcome(sources: Sources) -> Settings | ConfigError:
    try:
        return load(sources)
    except ConfigError as error:
        return error


@pytest.fixture
def env_file(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(text: str | bytes) -> Path:
        path = tmp_path / ".env"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


# ---- sources


def test_every_field_has_one_variable_of_its_name() -> None:
    assert list(VARIABLES) == [field.name.upper() for field in dataclasses.fields(Settings)]


def test_empty_environment_gives_the_documented_defaults() -> None:
    found = settings()
    assert (found.environment, found.host, found.port, found.plan_port) == (
        "DEV", "localhost", 8000, 8888,
    )  # fmt: skip
    assert (found.redis_host, found.redis_port, found.redis_db) == ("localhost", 6379, 0)
    assert found.redis_managed is Management.AUTO
    assert found.state_dir is None


@pytest.mark.parametrize("name", VARIABLES)
def test_every_default_is_allowed_and_every_variable_is_explained(name: str) -> None:
    variable = VARIABLES[name]
    variable.parse(variable.default)
    assert variable.meaning
    assert not variable.meaning.endswith(".")
    assert variable.allowed


def test_env_file_of_the_checkout_is_right_and_names_only_settings() -> None:
    sources = Sources({}, ROOT / ".env")
    load(sources)
    assert sources.unknown() == []


def test_environment_wins_over_the_file_which_wins_over_the_default(
    env_file: Callable[[str], Path],
) -> None:
    path = env_file("PORT=9001\nREDIS_DB=3\n")
    sources = Sources({"PORT": "9002"}, path)
    found = load(sources)
    assert (found.port, found.redis_db, found.redis_port) == (9002, 3, 6379)
    texts = sources.texts()
    assert texts["PORT"] == ("9002", "environment")
    assert texts["REDIS_DB"] == ("3", str(path))
    assert texts["REDIS_PORT"] == ("6379", "default")


def test_empty_text_in_the_environment_still_wins(env_file: Callable[[str], Path]) -> None:
    assert load(Sources({"PLAN_PORT": ""}, env_file("PLAN_PORT=9001\n"))).plan_port is None


def test_names_unknown_to_windlass_are_told_with_the_closest_setting(
    env_file: Callable[[str], Path],
) -> None:
    sources = Sources({"ALSO_UNKNOWN": "1"}, env_file("REDIS_HOTS=a\nZZZ=1\nPORT=8001\n"))
    assert [str(fault) for fault in sources.unknown()] == [
        "REDIS_HOTS: is not a setting of Windlass; did you mean REDIS_HOST?",
        "ZZZ: is not a setting of Windlass",
    ]
    assert load(sources).port == 8001


def test_value_of_the_file_is_taken_as_it_is_written(
    env_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOT_OURS", "leaked")
    path = env_file("REDIS_PASSWORD='a${NOT_OURS}b'\nREDIS_USERNAME=c${NOT_OURS}d\n")
    found = load(Sources({}, path))
    assert str(found.redis_password) == "a${NOT_OURS}b"
    assert str(found.redis_username) == "c${NOT_OURS}d"


def test_file_that_is_not_utf8_is_a_config_error_that_names_it(
    env_file: Callable[[str | bytes], Path],
) -> None:
    path = env_file(b"REDIS_PASSWORD=\xff\n")
    with pytest.raises(ConfigError) as caught:
        load(Sources({}, path))
    assert str(path) in str(caught.value)


# ---- values


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ENVIRONMENT", "STAGING 2", "STAGING 2"),
        ("ENVIRONMENT", "  PROD  ", "PROD"),
        ("HOST", "0.0.0.0", "0.0.0.0"),
        ("HOST", "::1", "::1"),
        ("HOST", "web-1.example.org", "web-1.example.org"),
        ("PORT", "1", 1),
        ("PORT", "65535", 65535),
        ("PORT", "08000", 8000),
        ("PLAN_PORT", "", None),
        ("WORKERS", "AUTO", None),
        ("WORKERS", "256", 256),
        ("REDIS_DB", "9999", 9999),
        ("REDIS_URL", "redis://u:p@host:1/2", Secret("redis://u:p@host:1/2")),
        ("REDIS_URL", "rediss://[::1]:6380", Secret("rediss://[::1]:6380")),
        ("REDIS_URL", "unix:///run/redis.sock?db=1", Secret("unix:///run/redis.sock?db=1")),
        ("REDIS_MANAGED", "No", Management.NO),
        ("PLAN_CO2", "OFF", False),
        ("PLAN_CO2", "1", True),
        ("DRAIN_TIMEOUT_S", "0", 0),
        ("LOG_LEVEL", "WARNING", LogLevel.WARNING),
        ("STATE_DIR", "/srv/a b", Path("/srv/a b")),
    ],
)
def test_allowed_text_becomes_its_value(name: str, text: str, value: object) -> None:
    assert getattr(settings(**{name: text}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ENVIRONMENT", ""),
        ("ENVIRONMENT", "<b>"),
        ("ENVIRONMENT", "a" * 65),
        ("HOST", ""),
        ("HOST", "a b"),
        ("HOST", "a/b"),
        ("HOST", "-a"),
        ("HOST", "a..b"),
        ("HOST", "::::"),
        ("HOST", "a" * 64),  # a label of a host name has at most 63 characters
        ("REDIS_HOST", "a" * 254),
        ("PORT", ""),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "8_000"),
        ("PORT", "+8000"),
        ("PORT", "\u0668\u0660\u0660\u0660"),
        ("PORT", "8000\n8001"),
        ("PORT", "9" * 5000),
        ("PLAN_PORT", "none"),
        ("WORKERS", "0"),
        ("WORKERS", "257"),
        ("REDIS_URL", "http://host"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://:6379"),
        ("REDIS_URL", "redis://host:port"),
        ("REDIS_URL", "redis://host:99999"),
        ("REDIS_URL", "redis://[::1"),
        ("REDIS_URL", "unix://"),
        # redis-py takes neither of these, so a worker could not serve with them
        ("REDIS_URL", "REDIS://host"),
        ("REDIS_URL", "unix:/run/redis.sock"),
        ("REDIS_MANAGED", "maybe"),
        ("PLAN_CO2", "2"),
        ("MAX_BODY_BYTES", "1023"),
        ("LOG_LEVEL", "trace"),
        ("LOG_FORMAT", ""),
    ],
)
def test_wrong_text_is_a_fault_of_that_variable_alone(name: str, text: str) -> None:
    assert list(faults(**{name: text})) == [name]


def test_every_fault_is_told_at_once_with_what_is_allowed() -> None:
    found = faults(PORT="abc", WORKERS="many", LOG_LEVEL="loud", HOST="ok")
    assert found == {
        "PORT": "the value 'abc' from environment is wrong; "
        "allowed: a whole number from 1 to 65535",
        "WORKERS": "the value 'many' from environment is wrong; "
        "allowed: a whole number from 1 to 256, or auto (one per CPU)",
        "LOG_LEVEL": "the value 'loud' from environment is wrong; "
        "allowed: one of debug, info, warning, error",
    }


def test_two_ports_that_are_the_same_are_one() -> None:
    found = load(Sources({"PORT": "8888", "PLAN_PORT": "8888"}, None))
    assert found.ports == [8888]
    assert found.addresses == ["http://localhost:8888/"]


def test_default_in_place_of_a_wrong_port_is_not_held_against_the_other_port() -> None:
    assert list(faults(PORT="abc", PLAN_PORT="8000")) == ["PORT"]


def test_lenient_load_puts_the_default_in_the_place_of_a_wrong_value() -> None:
    environ = {"PORT": "abc", "REDIS_DB": "7", "STATE_DIR": "/srv/w"}
    found = load(Sources(environ, None), lenient=True)
    assert (found.port, found.redis_db, found.state_dir) == (8000, 7, Path("/srv/w"))


@given(name=st.sampled_from(sorted(VARIABLES)), text=st.text())
def test_any_text_is_either_settings_or_a_fault_of_that_variable(name: str, text: str) -> None:
    found = outcome(Sources({name: text}, None))
    if isinstance(found, ConfigError):
        assert {fault.where for fault in found.faults} <= {name}


# ---- secrets


def test_secret_never_shows_itself_in_a_fault_or_in_the_settings() -> None:
    (message,) = faults(REDIS_URL="http://:hunter2@host").values()
    assert "hunter2" not in message
    secrets = {"REDIS_PASSWORD": "hunter2", "REDIS_URL": "redis://:hunter2@host"}
    shown = repr(settings(**secrets))
    assert "hunter2" not in shown
    assert "redis_password='***'" in shown


def test_only_what_holds_credentials_is_secret() -> None:
    secret = {name for name, variable in VARIABLES.items() if variable.is_secret}
    assert secret == {"REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_URL", "OPERATOR_TOKEN"}


def test_empty_secret_is_seen_to_be_empty() -> None:
    assert repr(Secret("")) == "''"
    assert repr(Secret("a")) == "'***'"


# ---- what follows from the settings


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, "redis://localhost:6379/0"),
        ({"REDIS_PASSWORD": "p@ss/w:rd %"}, "redis://:p%40ss%2Fw%3Ard%20%25@localhost:6379/0"),
        ({"REDIS_USERNAME": "u", "REDIS_DB": "2"}, "redis://u:@localhost:6379/2"),
        ({"REDIS_HOST": "::1", "REDIS_PORT": "1"}, "redis://[::1]:1/0"),
        ({"REDIS_URL": "unix:///r.sock", "REDIS_PASSWORD": "p"}, "unix:///r.sock"),
    ],
)
def test_address_of_redis_is_one_url(environ: dict[str, str], address: str) -> None:
    found = settings(**environ).redis_address
    assert isinstance(found, Secret)
    assert str(found) == address


@pytest.mark.parametrize(
    ("environ", "ports", "addresses"),
    [
        (
            {"HOST": "a.org"},
            [8000, 8888],
            ["http://a.org:8000/", "http://a.org:8888/productionplan"],
        ),
        ({"HOST": "::1", "PORT": "80", "PLAN_PORT": ""}, [80], ["http://[::1]:80/"]),
    ],
)
def test_service_is_at_one_address_for_each_port(
    environ: dict[str, str], ports: list[int], addresses: list[str]
) -> None:
    found = settings(**environ)
    assert (found.ports, found.addresses) == (ports, addresses)


def test_worker_count_is_the_setting_or_the_usable_cpus() -> None:
    assert settings(WORKERS="3").worker_count == 3
    assert settings().worker_count == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("form", "environment", "is_json"),
    [
        ("auto", "DEV", False),
        ("auto", "dev", False),
        ("auto", "PROD", True),
        ("auto", "STAGING", True),
        ("json", "DEV", True),
        ("console", "PROD", False),
    ],
)
def test_form_of_log_lines_follows_the_environment_unless_set(
    form: str, environment: str, *, is_json: bool
) -> None:
    assert settings(LOG_FORMAT=form, ENVIRONMENT=environment).logs_json is is_json


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings().port = 1  # type: ignore[misc]
