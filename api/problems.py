"""Every error as a problem document (RFC 9457); the only place that knows HTTP status codes of domain errors."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from controller.domain.errors import (
    BadInput,
    CordonError,
    IllegalMove,
    LedgerUnavailable,
    NotLocated,
    StaleDecision,
    UnknownSubject,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "2"

KINDS: tuple[tuple[type[CordonError], int, str, str], ...] = (
    (UnknownSubject, 404, "unknown-subject", "Nothing answers to this name"),
    (NotLocated, 404, "not-located", "No enforcement point is tied to it"),
    (StaleDecision, 409, "stale-decision", "Somebody else was faster"),
    (IllegalMove, 409, "illegal-move", "Not possible from this state"),
    (BadInput, 422, "bad-input", "This cannot be done as asked"),
    (LedgerUnavailable, 503, "ledger-unavailable", "The ledger does not answer"),
)

log = logging.getLogger("cordon.api")


class Refusal(Exception):
    """A request that is refused before it reaches a route: status, kind, title, detail, headers."""

    def __init__(
        self, status: int, kind: str, title: str, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.kind, self.title, self.detail = status, kind, title, detail
        self.headers = dict(headers or {})
        super().__init__(detail)

    def response(self, *, instance: str = "", request_id: str = "") -> Response:
        """The refusal as an answer."""
        return problem(
            self.status,
            kind=self.kind,
            title=self.title,
            detail=self.detail,
            headers=self.headers,
            instance=instance,
            request_id=request_id,
        )


def problem(
    status: int,
    *,
    kind: str,
    title: str,
    detail: str = "",
    headers: Mapping[str, str] | None = None,
    instance: str = "",
    request_id: str = "",
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """A problem document. `kind` ends its type, a URN that stays the same; `extra` are further members."""
    body = {
        "type": f"urn:cordon:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "request_id": request_id,
        **(extra or {}),
    }
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def unexpected(*, instance: str, request_id: str) -> Response:
    """What is told of a failure that nobody foresaw: nothing but where to look in the log."""
    return problem(
        500,
        kind="internal",
        title="Cordon failed",
        detail=f"The log has the reason under request {request_id}.",
        instance=instance,
        request_id=request_id,
    )


def handle(app: FastAPI) -> None:
    """Let every error that a route raises leave as a problem document."""

    def context(request: Request) -> dict[str, Any]:
        return {"instance": request.url.path, "request_id": getattr(request.state, "request_id", "")}

    def on_domain(request: Request, error: Exception) -> Response:
        for kind, status, name, title in KINDS:
            if isinstance(error, kind):
                headers = {"Retry-After": RETRY_AFTER_S} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
                return problem(status, kind=name, title=title, detail=str(error), headers=headers, **context(request))
        log.error("unexpected domain error", exc_info=error)
        return unexpected(**context(request))

    def on_refusal(request: Request, error: Exception) -> Response:
        return cast("Refusal", error).response(**context(request))

    def on_http(request: Request, error: Exception) -> Response:
        refused = cast("HTTPException", error)
        phrase = HTTPStatus(refused.status_code).phrase
        return problem(
            refused.status_code,
            kind=phrase.lower().replace(" ", "-"),
            title=phrase,
            detail=str(refused.detail),
            headers=refused.headers,
            **context(request),
        )

    def on_invalid(request: Request, error: Exception) -> Response:
        faults = [
            {"where": [str(part) for part in one["loc"]], "detail": str(one["msg"])}
            for one in cast("RequestValidationError", error).errors()
        ]
        first = faults[0] if faults else {"where": [], "detail": ""}
        return problem(
            422,
            kind="invalid-request",
            title="The request cannot be read",
            detail=f"{'.'.join(first['where'])}: {first['detail']}",
            extra={"errors": faults},
            **context(request),
        )

    app.add_exception_handler(CordonError, on_domain)
    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
