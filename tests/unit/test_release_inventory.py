"""deploy.toml: read whole, with every fault listed, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.errors import ConfigError
from app.release import inventory
from app.release.inventory import Smoke

if TYPE_CHECKING:
    from pathlib import Path

KEY = "ssh-ed25519 " + "A" * 68
STORE_KEY = "site-1:" + "A" * 43 + "="
HOST = f"""
[[environments.NAME.hosts]]
name = "one"
address = "192.0.2.1"
host_key = "{KEY}"
"""
STAGING = f"""
[environments.staging]
deploy_key = "keys/deploy"
signing_key = "keys/builder"
builders = ["{KEY}"]
trusted_store_keys = ["{STORE_KEY}"]
batch = 2
bake = {{ seconds = 5, error_rate = 0.01 }}
{HOST.replace("NAME", "staging")}
[[environments.staging.smoke]]
path = "/metadata"
contains = "last_commit_sha"
[[environments.staging.notify]]
kind = "slack"
url_variable = "SLACK_URL"
"""
PRODUCTION = f"""
[environments.production]
deploy_key = "keys/deploy"
signing_key = "keys/builder"
builders = ["{KEY}"]
requires = "staging"
approvers = {{ alice = "{KEY}" }}
{HOST.replace("NAME", "production")}
"""


def faults(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "deploy.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        inventory.read(file)
    return [str(fault) for fault in caught.value.faults]


def test_a_right_file_becomes_typed_environments(tmp_path: Path) -> None:
    file = tmp_path / "deploy.toml"
    file.write_text(STAGING + PRODUCTION)
    found = inventory.read(file)
    staging, production = found.environment("staging"), found.environment("production")
    assert [host.address for host in staging.hosts] == ["192.0.2.1"]
    assert (staging.batch, staging.bake.seconds, staging.bake.error_rate) == (2, 5, 0.01)
    assert staging.smoke == (Smoke("/metadata", 200, "last_commit_sha"),)
    assert staging.notify[0].url_variable == "SLACK_URL"
    assert production.requires == "staging"
    assert production.smoke == (Smoke("/health"), Smoke("/ready"))
    assert found.root == tmp_path


def test_every_fault_is_listed_with_what_is_allowed(tmp_path: Path) -> None:
    text = (
        STAGING.replace('"192.0.2.1"', '"no address!"')
        .replace("batch = 2", 'batch = 0\nbacth = 1\nwindow_s = "long"')
        .replace('kind = "slack"', 'kind = "pigeon"')
        .replace(f'host_key = "{KEY}"', "")
    )
    found = faults(tmp_path, text)
    assert len(found) == 6, found
    for words in (
        "staging.hosts[0].address: the value 'no address!' is wrong; allowed: a host name or an IP",
        "staging.hosts[0].host_key: is missing; allowed: a public key",
        "staging.batch: the value 0 is wrong; allowed: a whole number from 1 to 1000",
        "staging.bacth: is not known; did you mean batch?",
        "staging.window_s: the value 'long' is wrong; allowed: a whole number from 5 to 3600",
        "staging.notify[0].kind: the value 'pigeon' is wrong; allowed: one of slack, webhook",
    ):
        assert any(words in fault for fault in found), (words, found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PRODUCTION, "environments.production.requires: staging is no environment"),
        (STAGING + PRODUCTION.replace('"staging"', '"production"'), "leads back"),
        (STAGING + PRODUCTION.replace(f'approvers = {{ alice = "{KEY}" }}', ""), "who may approve"),
        (STAGING + HOST.replace("NAME", "staging"), "two hosts have the name one"),
        (
            STAGING.replace('url_variable = "SLACK_URL"', ""),
            "url_variable: is missing; slack needs",
        ),
        (STAGING.replace("environments.staging", "environments.web"), "is the name of a program"),
        ("", "environments: is missing"),
        ("environments = 1", "environments: is missing"),
        ("[environments.staging]\nhosts = 3", "hosts: must be tables"),
        ("[environments.staging]\nhosts = []", "hosts: is missing; at least one host is needed"),
        ("[environments.staging]", "hosts: is missing; at least one host is needed"),
        ("[environments]\nstaging = 1", "environments.staging: must be a table"),
        ('x = "', "Unterminated"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in fault for fault in faults(tmp_path, text)), faults(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml.*--config"):
        inventory.read(tmp_path / "nowhere.toml")


def test_an_unknown_environment_names_those_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "deploy.toml").write_text(STAGING)
    with pytest.raises(ConfigError, match="stagging: there are: staging"):
        inventory.read(tmp_path / "deploy.toml").environment("stagging")
