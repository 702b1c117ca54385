"""Flask, for gunicorn: `benchmarks.peers.apps.flask_app:app`."""

from __future__ import annotations

from flask import Flask, Response, g, jsonify, request  # type: ignore[import-not-found]
from redis import Redis

from app.errors import AppError
from benchmarks.peers.apps import answers

redis = Redis.from_url(answers.redis_url())


def prepare() -> None:
    """Make the answer's headers before its handler runs."""
    g.headers = answers.headers(request.headers.get("X-Request-ID"))


def finish(response: Response) -> Response:
    """Give every answer its headers."""
    response.headers.update(g.headers)
    return response


def health() -> Response:
    """`GET /health`."""
    return Response(answers.HEALTH, mimetype="text/plain")


def metadata() -> Response:
    """`GET /metadata`."""
    return jsonify(answers.describe("flask"))


def home() -> Response:
    """`GET /`: count the visit and show the page."""
    if not answers.wants_html(request.headers.get("Accept")):
        return Response("Hello World!\n", mimetype="text/plain")
    counter = int(redis.incr(answers.COUNTER_KEY))  # type: ignore[arg-type, unused-ignore]
    return Response(answers.page(counter), content_type=answers.HTML)


def plan() -> Response:
    """`POST /productionplan`."""
    return Response(answers.plan(request.get_data(cache=False)), content_type=answers.JSON)


def refuse(error: AppError) -> Response:
    """Answer 422."""
    response = jsonify(title="The request is not valid", detail=str(error))
    response.status_code = 422
    return response


app = Flask(__name__)
app.before_request(prepare)
app.after_request(finish)
app.register_error_handler(AppError, refuse)
app.add_url_rule("/health", view_func=health)
app.add_url_rule("/metadata", view_func=metadata)
app.add_url_rule("/", view_func=home)
app.add_url_rule("/productionplan", view_func=plan, methods=["POST"])
