"""The words for what Redis refuses, and what they must not hold."""

from __future__ import annotations

import ssl

import hiredis
import pytest

from app.config import Secret
from app.errors import ConfigError, StoreError, StoreUnavailableError
from app.store.connecting import Connector
from app.store.counters import Counters
from app.store.outcome import connecting_failed, not_executed, refusal, unknown


@pytest.mark.parametrize(
    "text",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "LOADING Redis is loading the dataset in memory",
        "BUSY Redis is busy running a script.",
        "MASTERDOWN Link with MASTER is down",
    ],
)
def test_what_passes_is_unavailable(text: str) -> None:
    assert isinstance(refusal(hiredis.ReplyError(text)), StoreUnavailableError)


@pytest.mark.parametrize(
    "text",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR value is not an integer or out of range",
        "READONLY You can't write against a read only replica.",
        "NOPERM User bob has no permissions to run the 'incr' command",
    ],
)
def test_what_does_not_pass_is_an_error_of_the_store(text: str) -> None:
    error = refusal(hiredis.ReplyError(text))
    assert isinstance(error, StoreError)
    assert not isinstance(error, StoreUnavailableError)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (hiredis.ReplyError("WRONGPASS invalid username-password pair"), "REDIS_PASSWORD"),
        (hiredis.ReplyError("NOAUTH HELLO must be called with the client already"), "REDIS_URL"),
        (hiredis.ReplyError("NOPROTO unsupported protocol version"), "?protocol=2"),
        (hiredis.ReplyError("ERR unknown command `HELLO`, with args"), "?protocol=2"),
        (TimeoutError(), "in time"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ssl.SSLError(1, "CERTIFICATE_VERIFY_FAILED"), "TLS"),
        (ValueError("anything"), "anything"),
    ],
)
def test_failed_connection_says_what_to_do(error: Exception, advice: str) -> None:
    assert advice in connecting_failed(error)


def test_names_of_users_and_credentials_are_not_quoted() -> None:
    permission = hiredis.ReplyError("NOPERM User bob has no permissions")
    assert "bob" not in str(refusal(permission))
    quoted = connecting_failed(ValueError("redis://bob:secret@host/0"))
    assert "secret" not in quoted
    assert "bob" not in quoted


def test_quoted_text_is_cut() -> None:
    assert len(str(refusal(hiredis.ReplyError("ERR " + "x" * 10_000)))) < 300


def test_both_outcomes_say_what_is_known() -> None:
    assert "may or may not" in str(unknown("Cut off"))
    assert "was not executed" in str(not_executed("Full"))


@pytest.mark.parametrize("query", ["?db=none", "?nonsense=1"])
def test_address_with_wrong_options_is_refused_without_its_password(query: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Connector(Secret(f"redis://:hunter2@localhost{query}"), timeout_s=1)
    assert "REDIS_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_batches_are_counted_by_size() -> None:
    counters = Counters()
    for size in (1, 2, 3, 4, 127, 128, 1 << 20):
        counters.count_batch(size)
    assert counters.batch_sizes == [1, 2, 1, 0, 0, 0, 1, 1, *[0] * 7, 1]
    copied = counters.copy()
    counters.count_batch(1)
    assert (copied.batches, copied.batch_sizes[0]) == (7, 1)
