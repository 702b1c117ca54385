"""FastAPI, for uvicorn: `benchmarks.peers.apps.fastapi_app:app`.

Handlers return responses themselves, which is the quick way; FastAPI then checks no result.
"""

from __future__ import annotations

from fastapi import FastAPI, Request  # type: ignore[import-not-found]
from fastapi.responses import (  # type: ignore[import-not-found]
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
)
from redis.asyncio import Redis

from app.errors import AppError
from benchmarks.peers.apps import answers

redis = Redis.from_url(answers.redis_url())


def _headers(request: Request) -> dict[str, str]:
    return answers.headers(request.headers.get("x-request-id"))


async def health(request: Request) -> Response:
    """`GET /health`."""
    return PlainTextResponse(answers.HEALTH, headers=_headers(request))


async def metadata(request: Request) -> Response:
    """`GET /metadata`."""
    return JSONResponse(answers.describe("fastapi"), headers=_headers(request))


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


app = FastAPI(openapi_url=None)
app.add_exception_handler(AppError, refuse)
app.add_api_route("/health", health)
app.add_api_route("/metadata", metadata)
app.add_api_route("/", home)
app.add_api_route("/productionplan", plan, methods=["POST"])
