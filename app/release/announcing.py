"""Tells people how deployments go: Slack-compatible webhooks, webhooks in general, and mail.

A message that cannot be sent is said, and changes nothing: no deployment fails by it. Addresses
with secrets in them come from the environment, and no error shows them. A password goes to a mail
server only over TLS whose certificate is right, or on this very machine.
"""

from __future__ import annotations

import http.client
import smtplib
import ssl
from email.message import EmailMessage
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.release.inventory import Notify

_TIMEOUT_S = 10.0
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


class News(msgspec.Struct):
    """Something that happened to an environment; what a webhook gets, as JSON.

    Attributes:
        event: started, succeeded, failed or rolled-back.
        reason: why, where it went wrong.
        commits: a line each, newest first.
        hosts: what each runs now.
    """

    event: str
    environment: str
    release: str
    by: str
    deploy: str
    reason: str = ""
    commits: list[str] = []
    hosts: dict[str, str] = {}

    def text(self) -> str:
        """For people."""
        words = {
            "started": "is being deployed to", "succeeded": "now runs on",
            "failed": "could not be deployed to", "rolled-back": "was taken back from",
        }[self.event]  # fmt: skip
        who = f"by {', '.join(filter(None, (self.by, self.deploy)))}"
        lines = [f"{self.release or 'A release'} {words} {self.environment} ({who})"]
        if self.reason:
            lines.append(f"Reason: {self.reason}")
        lines += [f"  {commit}" for commit in self.commits[:20]]
        lines += [f"  {host}: {at}" for host, at in self.hosts.items()]
        return "\n".join(lines)


class Told(msgspec.Struct):
    """Who was told, and who could not be, with the reason; the kind of each, as in deploy.toml."""

    told: list[str] = []
    faults: list[str] = []


def announce(everybody: Sequence[Notify], news: News, environ: Mapping[str, str]) -> Told:
    """Tell everybody who wants to know of such an event; never raises for what cannot be sent."""
    done = Told()
    for notify in everybody:
        if news.event not in notify.on:
            continue
        if fault := _fault_of_sending(notify, news, environ):
            done.faults.append(f"nobody was told by {notify.kind}: {fault}")
        else:
            done.told.append(notify.kind)
    return done


def _fault_of_sending(notify: Notify, news: News, environ: Mapping[str, str]) -> str:
    """Why somebody could not be told; empty when they were."""
    try:
        _send(notify, news, environ)
    except KeyError as error:
        return f"the variable {error.args[0]} is not set"
    except _NotTakenError as error:
        return str(error)
    except (OSError, ValueError, smtplib.SMTPException, http.client.HTTPException) as error:
        # The error's text may hold the address, and that a secret.
        return f"{type(error).__name__}; is the address in {_variable(notify)} right?"
    return ""


class _NotTakenError(Exception):
    """A receiver says no; the words hold no secret."""


def _variable(notify: Notify) -> str:
    return notify.smtp_variable if notify.kind == "email" else notify.url_variable


def _send(notify: Notify, news: News, environ: Mapping[str, str]) -> None:
    if notify.kind == "email":
        _mail(notify, news, environ[notify.smtp_variable])
    else:
        content: object = {"text": news.text()} if notify.kind == "slack" else news
        _post(environ[notify.url_variable], msgspec.json.encode(content))


def _post(url: str, body: bytes) -> None:
    parts = urlsplit(url)
    kind = {"https": http.client.HTTPSConnection, "http": http.client.HTTPConnection}.get(
        parts.scheme
    )
    if kind is None or not parts.hostname:
        raise ValueError("the address is no URL")
    connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_S)
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request("POST", target, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status >= 300:
            raise _NotTakenError(f"the receiver answered {answer.status}")
    finally:
        connection.close()


def _mail(notify: Notify, news: News, server: str) -> None:
    message = EmailMessage()
    message["From"], message["To"] = notify.sender, ", ".join(notify.to)
    message["Subject"] = f"[{news.environment}] {news.release or 'release'}: {news.event}"
    message.set_content(news.text())
    parts = urlsplit(server)
    host = parts.hostname or ""
    if parts.scheme not in {"smtp", "smtps"} or not host:
        raise ValueError("the address is no mail server's")
    context, is_secret = ssl.create_default_context(), parts.scheme == "smtps"
    with (
        smtplib.SMTP_SSL(host, parts.port or 465, timeout=_TIMEOUT_S, context=context)
        if is_secret
        else smtplib.SMTP(host, parts.port or 587, timeout=_TIMEOUT_S)
    ) as connection:
        connection.ehlo()
        if not is_secret and connection.has_extn("starttls"):
            connection.starttls(context=context)
            is_secret = True
        if parts.username:
            if not is_secret and host not in _THIS_MACHINE:
                raise _NotTakenError("the mail server offers no TLS, and the password is not sent")
            connection.login(unquote(parts.username), unquote(parts.password or ""))
        connection.send_message(message)
