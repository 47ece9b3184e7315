"""The Starlette application: routes, bodies, threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from comfywatchman.domain.errors import InternalError, Trouble, WatchmanError
from comfywatchman.server.answers import Refused, error_answer, failed, json_answer
from comfywatchman.server.feed import Feed
from comfywatchman.server.handlers import SMALL_BODY, Call, Handlers
from comfywatchman.server.openapi import document
from comfywatchman.server.routes import EVENTS, OPENAPI, OPERATIONS, Operation

BODY_SECONDS = 30.0

Endpoint = Callable[[Request], Awaitable[Response]]


class App:
    """Everything between a request that passed the guard and its answer."""

    def __init__(self, handlers: Handlers, feed: Feed, version: str) -> None:
        self._handlers = handlers
        self._feed = feed
        self._version = version
        # Looking must go on while somebody has large workflows analyzed.
        self._looking = ThreadPoolExecutor(4, thread_name_prefix="http-look")
        self._acting = ThreadPoolExecutor(2, thread_name_prefix="http-act")
        # Two bodies of 32 MiB are all that we want in memory.
        self._large = asyncio.Semaphore(2)

    def starlette(self) -> Starlette:
        routes = [
            Route(operation.path, self._endpoint(operation), methods=[operation.method])
            for operation in OPERATIONS
        ]
        routes.append(Route(EVENTS, self._events, methods=["GET"]))
        routes.append(Route(OPENAPI, self._openapi, methods=["GET"]))
        app = Starlette(
            routes=routes,
            exception_handlers={
                Refused: _refused,
                WatchmanError: _failed,
                HTTPException: _no_such_route,
                Exception: _bug,
            },
        )
        # An address is right or wrong; a redirect would repeat what the Host header says.
        app.router.redirect_slashes = False
        return app

    def close(self) -> None:
        """Take no more work; what runs ends by itself."""
        for pool in (self._looking, self._acting):
            pool.shutdown(wait=False, cancel_futures=True)

    def _endpoint(self, operation: Operation) -> Endpoint:
        pool = self._looking if operation.method == "GET" else self._acting

        async def endpoint(request: Request) -> Response:
            request.scope["handler"] = operation.name
            async with self._room_for(operation):
                body = b""
                if operation.method == "POST":
                    body = await _body(request, operation.body_limit)
                call = Call(request.path_params, request.query_params, body)
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(pool, operation.handle, self._handlers, call)

        return endpoint

    def _room_for(self, operation: Operation) -> AbstractAsyncContextManager[None]:
        return self._large if operation.body_limit > SMALL_BODY else nullcontext()

    async def _events(self, request: Request) -> Response:
        request.scope["handler"] = "events"
        if self._feed.full:
            raise Refused(
                503,
                "too-many-clients",
                "As many clients as we serve are listening already.",
                "Close one of them, or ask again later.",
            )
        return StreamingResponse(self._feed.lines(), media_type="text/event-stream")

    async def _openapi(self, request: Request) -> Response:
        request.scope["handler"] = "openapi"
        return json_answer(document(self._version))


async def _body(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "0")
    if len(announced) > 15 or int(announced) > limit:
        raise _too_large(limit)
    collected = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                collected += chunk
                if len(collected) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise Refused(
            408,
            "body-too-slow",
            f"The body did not arrive within {BODY_SECONDS:.0f} seconds.",
            "Send it again.",
        ) from None
    except ClientDisconnect:
        raise Refused(400, "bad-request", "The body is cut off.", "Send it again.") from None
    return bytes(collected)


def _too_large(limit: int) -> Refused:
    return Refused(
        413,
        "body-too-large",
        f"The body is larger than {limit} bytes.",
        "Put the file below a configured directory and send its path.",
    )


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101  # Starlette's table says so, its type does not
    return error_answer(error.status, error.trouble)


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, WatchmanError)  # noqa: S101  # as above
    return failed(error)


async def _no_such_route(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # as above
    remedy = "See /openapi.json for the list."
    if error.status_code == 405:
        trouble = Trouble("method-not-allowed", "This address takes another method.", remedy)
    else:
        trouble = Trouble("not-found", "There is nothing at this address.", remedy)
    answer = error_answer(error.status_code, trouble)
    answer.headers.update(error.headers or {})
    return answer


async def _bug(_: Request, __: Exception) -> Response:
    """Say nothing of the cause, which may hold anything; uvicorn logs it."""
    trouble = Trouble(
        InternalError.code,
        "The server failed to answer.",
        "The log has the traceback; please report it.",
    )
    return error_answer(500, trouble)
