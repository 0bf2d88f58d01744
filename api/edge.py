"""What every request passes before a route sees it: a name, a size, and headers on the way out."""

import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Refusal, unexpected

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Set unless a route has set its own."""

log = logging.getLogger("cordon.api")


class Edge:
    """Names each request, bounds its body, sets security headers, and turns what nobody caught into a 500."""

    def __init__(self, app: ASGIApp, *, body_limit: int) -> None:
        self.app = app
        self.body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        request_id = asked if _NAME.fullmatch(asked) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                out = MutableHeaders(scope=message)
                out["X-Request-ID"] = request_id
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
            await send(message)

        try:
            self._refuse_large(headers)
            await self.app(scope, self._bounded(receive), sending)
        except Refusal as refusal:
            await refusal.response(instance=scope["path"], request_id=request_id)(scope, receive, sending)
        except Exception:
            log.exception("request %s to %s failed", request_id, scope["path"])
            if started:
                raise
            await unexpected(instance=scope["path"], request_id=request_id)(scope, receive, sending)

    def _refuse_large(self, headers: Headers) -> None:
        declared = headers.get("content-length", "0")
        if not declared.isdecimal():
            raise Refusal(400, "bad-request", "Bad Request", "Content-Length is not a number")
        if int(declared[:20]) > self.body_limit:
            raise Refusal(413, "content-too-large", "Content Too Large", self._too_large())

    def _bounded(self, receive: Receive) -> Receive:
        """A body without a declared length is counted as it comes."""
        seen = 0

        async def receiving() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.body_limit:
                raise HTTPException(413, self._too_large())
            return message

        return receiving

    def _too_large(self) -> str:
        return f"A body of at most {self.body_limit} bytes is read"
