"""The two things that are said to GitHub: the gate's report as a comment, newer locks as a request.

Both are done again without doing them twice: a comment is found by its mark and replaced, a branch
has one open request.
"""

from __future__ import annotations

import http.client
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pipeline.jobs import PipelineError

_TIMEOUT_S = 30.0
_LONGEST_COMMENT = 60_000
_PAGES = 10
_TOO_LONG = "\n\nThe rest is in the artifact `gate` of this run.\n"
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of GitHub, and the token by which it is spoken to.

    Attributes:
        api: address of the API.
        name: OWNER/NAME.
        token: of the job.
    """

    api: str
    name: str
    token: str

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.name):
            raise PipelineError(f"GITHUB_REPOSITORY is not OWNER/NAME: {self.name!r}")

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        """Ask the API and return its answer.

        Raises:
            PipelineError: it cannot be reached, or says no.
        """
        parts = urlsplit(self.api)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
        target = f"{parts.path.rstrip('/')}/repos/{self.name}{path}"
        try:
            connection.request(
                method, target, None if body is None else json.dumps(body),
                {"Authorization": f"Bearer {self.token}", "User-Agent": "windlass",
                 "Accept": "application/vnd.github+json", "Content-Type": "application/json"},
            )  # fmt: skip
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise PipelineError(f"{method} {path}: GitHub cannot be reached: {error}") from error
        finally:
            connection.close()
        if answer.status >= 300:
            said = text[:200].decode(errors="replace")
            raise PipelineError(f"{method} {path}: GitHub says {answer.status}: {said}")
        return json.loads(text) if text else None


def comment(repository: Repository, pull_request: int, text: str, mark: str) -> str:
    """Have one comment of a mark on a pull request, with this text; says what was done."""
    hidden = f"<!-- {mark} -->"
    body = f"{hidden}\n{_without_mentions(text)}"
    if len(body) > _LONGEST_COMMENT:
        body = body[: _LONGEST_COMMENT - len(_TOO_LONG)] + _TOO_LONG
    for page in range(1, _PAGES + 1):
        path = f"/issues/{pull_request}/comments?per_page=100&page={page}"
        found = repository.ask("GET", path)
        for one in found:
            is_ours = one.get("user", {}).get("type") == "Bot"
            if is_ours and one["body"].startswith(hidden):
                repository.ask("PATCH", f"/issues/comments/{one['id']}", {"body": body})
                return "replaced the comment"
        if len(found) < 100:
            break
    repository.ask("POST", f"/issues/{pull_request}/comments", {"body": body})
    return "commented"


def request_pull(repository: Repository, branch: str, base: str, title: str, text: str) -> str:
    """Have one open pull request of a branch; says what was done."""
    owner = repository.name.partition("/")[0]
    path = f"/pulls?state=open&head={owner}:{branch}"
    for one in repository.ask("GET", path):
        repository.ask("PATCH", f"/pulls/{one['number']}", {"title": title, "body": text})
        return f"renewed pull request {one['number']}"
    wanted = {"title": title, "head": branch, "base": base, "body": text}
    made = repository.ask("POST", "/pulls", wanted)
    return f"opened pull request {made['number']}"


def _without_mentions(text: str) -> str:
    """The text with nobody called by it: it comes from a pull request's code."""
    return text.replace("@", "@\u200b")
