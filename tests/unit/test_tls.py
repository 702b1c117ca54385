"""Certificates: real ones, made by openssl, and files that are none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from app.errors import StackError
from app.stack import tls
from tests.nginx_front import make_certificate


def test_digest_is_of_the_certificate(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    digest = tls.check(certificate, key)
    assert digest == tls.check(certificate, key)
    make_certificate(tmp_path)
    assert digest != tls.check(certificate, key)


def test_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path)
    _, other = make_certificate(tmp_path, "other.example")
    with pytest.raises(StackError, match=r"TLS_KEY: .* is not the key of the certificate"):
        tls.check(certificate, other)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    with pytest.raises(StackError, match=r"TLS_CERTIFICATE: .*none\.pem cannot be read"):
        tls.check(tmp_path / "none.pem", key)
    with pytest.raises(StackError, match=r"TLS_KEY: .* cannot be read \(Is a directory\)"):
        tls.check(certificate, tmp_path)


def test_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    certificate.write_text("certificate")
    with pytest.raises(StackError, match="are not a certificate and a key in PEM"):
        tls.check(certificate, key)


def test_key_with_a_pass_phrase_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    locked = tmp_path / "locked.key"
    command = ("openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out",
               str(locked))  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with pytest.raises(StackError, match="TLS_KEY: the key has a pass phrase"):
        tls.check(certificate, locked)


def test_certificate_out_of_date_is_refused(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    command = ("openssl", "x509", "-in", str(certificate), "-signkey", str(key), "-days", "-1",
               "-out", str(tmp_path / "old.pem"))  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, timeout=60)
    if done.returncode != 0:
        pytest.skip("this openssl makes no certificate that has expired")
    with pytest.raises(StackError, match="has expired; renew it"):
        tls.check(tmp_path / "old.pem", key)


def test_path_that_nginx_cannot_be_told_is_refused() -> None:
    with pytest.raises(StackError, match="has a character that Nginx cannot be told"):
        tls.check(Path('/tmp/a"b.pem'), Path("/tmp/key"))
