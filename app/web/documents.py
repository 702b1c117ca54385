"""`/openapi.json` and `/docs`: what the service answers, for programs and for people."""

from __future__ import annotations

import re
from typing import Final

from tornado.escape import xhtml_escape

from app.web import openapi
from app.web.handler import JSON, AppHandler
from app.web.reference import Row, reference

_CODE: Final = re.compile(r"`([^`]+)`")


class OpenApiHandler(AppHandler):
    """`GET /openapi.json`."""

    def get(self) -> None:
        """Answer with the document."""
        self.finish_as(JSON, openapi.encoded())


class DocsHandler(AppHandler):
    """`GET /docs`."""

    def get(self) -> None:
        """Show the document."""
        self.render(
            "docs.html",
            reference=reference(),
            origin=f"{self.request.protocol}://{self.request.host}",
            preface=openapi.document()["info"],
            prose=prose,
            linked=linked,
        )


def linked(row: Row) -> str:
    """The type of a row as HTML, each schema that it mentions with the way there."""
    kind = xhtml_escape(row.kind)
    for name in dict.fromkeys(row.links):
        kind = re.sub(rf"\b{name}\b", f'<a href="#{name}">{name}</a>', kind)
    return kind


def prose(text: str) -> str:
    """Text with `code` in backticks as HTML, everything else escaped."""
    return _CODE.sub(r"<code>\1</code>", xhtml_escape(text))
