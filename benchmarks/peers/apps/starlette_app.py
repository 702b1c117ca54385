"""Starlette, for granian: `benchmarks.peers.apps.starlette_app:app`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis.asyncio import Redis
from starlette.applications import Starlette  # type: ignore[import-not-found]
from starlette.responses import (  # type: ignore[import-not-found]
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
)
from starlette.routing import Route  # type: ignore[import-not-found]

from app.errors import AppError
from benchmarks.peers.apps import answers

if TYPE_CHECKING:
    from starlette.requests import Request  # type: ignore[import-not-found]

redis = Redis.from_url(answers.redis_url())


def _headers(request: Request) -> dict[str, str]:
    return answers.headers(request.headers.get("x-request-id"))


async def health(request: Request) -> Response:
    """`GET /health`."""
    return PlainTextResponse(answers.HEALTH, headers=_headers(request))


async def metadata(request: Request) -> Response:
    """`GET /metadata`."""
    return JSONResponse(answers.describe("starlette"), headers=_headers(request))


async def home(request: Request) -> Response:
    """`GET /`: count the visit and show the page."""
    if not answers.wants_html(request.headers.get("accept")):
        return PlainTextResponse("Hello World!\n", headers=_headers(request))
    counter = await redis.incr(answers.COUNTER_KEY)
    return HTMLResponse(answers.page(counter), headers=_headers(request))


async def plan(request: Request) -> Response:
    """`POST /productionplan`."""
    answer = answers.plan(await request.body())
    return Response(answer, media_type=answers.JSON, headers=_headers(request))


async def refuse(request: Request, error: Exception) -> Response:
    """Answer 422."""
    problem = {"title": "The request is not valid", "detail": str(error)}
    return JSONResponse(problem, 422, headers=_headers(request))


app = Starlette(
    routes=[
        Route("/health", health),
        Route("/metadata", metadata),
        Route("/", home),
        Route("/productionplan", plan, methods=["POST"]),
    ],
    exception_handlers={AppError: refuse},
)
