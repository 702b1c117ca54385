"""`/`: the page with the visit counter for browsers, a greeting for everything else."""

from __future__ import annotations

from app.web.handler import AppHandler

GREETING = "Hello World!\n"


class HomeHandler(AppHandler):
    """`GET /`."""

    async def get(self) -> None:
        """Count the visit and show the page, or greet in plain text."""
        if not self.prefers_html("text/plain"):
            self.finish_text(GREETING)
            return
        store = self.services.store
        # A HEAD asks what a view would answer; it is not a view.
        viewed = self.request.method == "GET"
        counter = await (store.count_visit() if viewed else store.visits())
        self.render("home.html", counter=counter)
