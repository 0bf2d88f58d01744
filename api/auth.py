"""Who is asking: bearer tokens (RFC 6750) are checked before a request is parsed, roles before a route runs."""

import logging
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import RETRY_AFTER_S, Refusal
from api.settings import WallClock
from controller.domain.errors import LedgerUnavailable
from controller.ledger_tokens import Role, Token, Tokens

OPEN = frozenset({"/api/v1/health/live", "/api/v1/health/ready", "/openapi.json"})
"""Paths that need no token and tell nothing of the network."""

log = logging.getLogger("cordon.api")
_scheme = HTTPBearer(auto_error=False, description="A token that `cordon token create` printed.")


class Door:
    """Lets a request in with a valid token, and says no more than that to the others."""

    def __init__(self, app: ASGIApp, *, tokens: Tokens, clock: WallClock) -> None:
        self.app, self.tokens, self.clock = app, tokens, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or raise Refusal."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            scope["state"]["token"] = await self._token(Headers(scope=scope))
        await self.app(scope, receive, send)

    async def _token(self, headers: Headers) -> Token:
        scheme, _, presented = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not presented.strip():
            raise _unauthorised("A bearer token is needed", 'Bearer realm="cordon"')
        try:
            token = await run_in_threadpool(self.tokens.bearer, presented.strip(), now_ns=self.clock.now_ns())
        except LedgerUnavailable as error:
            raise Refusal(
                503,
                "ledger-unavailable",
                "The ledger does not answer",
                str(error),
                headers={"Retry-After": RETRY_AFTER_S},
            ) from error
        if token is None:
            log.warning("a token was refused")
            raise _unauthorised("The token is not valid", 'Bearer realm="cordon", error="invalid_token"')
        return token


def _unauthorised(detail: str, challenge: str) -> Refusal:
    return Refusal(401, "unauthorised", "Unauthorised", detail, headers={"WWW-Authenticate": challenge})


def needs(role: Role) -> Callable[..., Token]:
    """A dependency that gives the caller's token, or refuses one whose role does not cover `role`."""

    def caller(request: Request, _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_scheme)]) -> Token:
        token: Token = request.state.token
        if not token.role.covers(role):
            raise Refusal(403, "forbidden", "Forbidden", f"This needs the role {role}; the token is a {token.role}'s")
        return token

    return caller


Viewer = Annotated[Token, Depends(needs(Role.VIEWER))]
Operator = Annotated[Token, Depends(needs(Role.OPERATOR))]
Approver = Annotated[Token, Depends(needs(Role.APPROVER))]
