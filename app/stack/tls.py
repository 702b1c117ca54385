"""The certificate that the service shows: whether it can be read, fits its key and is in date."""

from __future__ import annotations

import hashlib
import re
import ssl
from typing import TYPE_CHECKING

from app.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

_FORBIDDEN = re.compile(r'["$\\\r\n;]')


def check(certificate: Path, key: Path) -> str:
    """Return a digest of the certificate with its chain, when Nginx can serve with it.

    Args:
        certificate: PEM file of the certificate and its chain, the service's own first.
        key: PEM file of its private key, without a pass phrase.

    Raises:
        StackError: a file cannot be read, the two do not match, or the certificate has expired.
    """
    content = _read("TLS_CERTIFICATE", certificate)
    _read("TLS_KEY", key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_refuse_pass_phrase)
    except ssl.SSLError as error:
        raise StackError(_explain(error, certificate, key)) from error
    _check_dates(context, certificate)
    return hashlib.sha256(content).hexdigest()[:16]


def _read(setting: str, path: Path) -> bytes:
    if _FORBIDDEN.search(str(path)):
        raise StackError(
            f"{setting}: the path {str(path)!r} has a character that Nginx cannot be told; "
            "move the file"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise StackError(
            f"{setting}: {path} cannot be read ({error.strerror}); give the path of a PEM file "
            "that this user may read"
        ) from error


def _refuse_pass_phrase() -> str:
    # Without this, OpenSSL would ask at the terminal.
    raise StackError(
        "TLS_KEY: the key has a pass phrase, which nobody is there to type; take it off with: "
        "openssl pkey -in KEY -out NEW"
    )


def _explain(error: ssl.SSLError, certificate: Path, key: Path) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"TLS_KEY: {key} is not the key of the certificate {certificate}; set both to a pair"
    return (
        f"TLS_CERTIFICATE, TLS_KEY: {certificate} and {key} are not a certificate and a key in "
        f"PEM ({error.reason or error}); set both to a pair"
    )


def _check_dates(serving: ssl.SSLContext, certificate: Path) -> None:
    """Have a client that trusts just this certificate look at its dates, in memory."""
    looking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looking.check_hostname = False
    looking.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    looking.load_verify_locations(certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    client = looking.wrap_bio(to_client, to_server)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            # Trust is the client's to judge; dates are wrong for everybody.
            if error.verify_code in {9, 10}:
                raise StackError(
                    f"TLS_CERTIFICATE: {certificate}: {error.verify_message}; renew it"
                ) from error
            return
        except ssl.SSLError:
            return
