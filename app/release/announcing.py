"""Tells people how deployments go: Slack-compatible webhooks, webhooks in general, and mail.

A message that cannot be sent is said, and changes nothing: no deployment fails by it. Addresses
with secrets in them come from the environment, and no error shows them.
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
    from collections.abc import Callable, Mapping, Sequence

    from app.release.inventory import Notify

_TIMEOUT_S = 10.0


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
        lines = [f"{self.release} {words} {self.environment} (by {self.by}, {self.deploy})"]
        if self.reason:
            lines.append(f"Reason: {self.reason}")
        lines += [f"  {commit}" for commit in self.commits[:20]]
        lines += [f"  {host}: {at}" for host, at in self.hosts.items()]
        return "\n".join(lines)


def announce(
    everybody: Sequence[Notify], news: News, environ: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Tell everybody who wants to know; `say` is told of whom that could not reach."""
    for notify in everybody:
        if news.event not in notify.on:
            continue
        try:
            _send(notify, news, environ)
        except KeyError as error:
            say(f"nobody was told by {notify.kind}: the variable {error.args[0]} is not set")
        except (OSError, ValueError, smtplib.SMTPException, http.client.HTTPException) as error:
            # The error's text may hold the address, and that a secret.
            say(f"nobody was told by {notify.kind}: {type(error).__name__}")


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
            raise http.client.HTTPException(answer.status)
    finally:
        connection.close()


def _mail(notify: Notify, news: News, server: str) -> None:
    message = EmailMessage()
    message["From"], message["To"] = notify.sender, ", ".join(notify.to)
    message["Subject"] = f"[{news.environment}] {news.release}: {news.event}"
    message.set_content(news.text())
    parts = urlsplit(server)
    host = parts.hostname or ""
    with (
        smtplib.SMTP_SSL(host, parts.port or 465, timeout=_TIMEOUT_S)
        if parts.scheme == "smtps"
        else smtplib.SMTP(host, parts.port or 587, timeout=_TIMEOUT_S)
    ) as connection:
        connection.ehlo()
        if parts.scheme != "smtps" and connection.has_extn("starttls"):
            connection.starttls(context=ssl.create_default_context())
        if parts.username:
            connection.login(unquote(parts.username), unquote(parts.password or ""))
        connection.send_message(message)
