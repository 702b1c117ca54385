"""Static files for development; in the stack Nginx serves them."""

from __future__ import annotations

import mimetypes

from tornado.web import HTTPError

from app.web.handler import AppHandler


class StaticHandler(AppHandler):
    """`GET /static/NAME.HASH.EXT`."""

    def get(self, hashed: str) -> None:
        """Answer with the file, cacheable for ever."""
        path = self.services.assets.files.get(hashed)
        if path is None:
            raise HTTPError(404, "There is no such file")
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.set_header("Content-Type", media_type)
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.finish(path.read_bytes())
