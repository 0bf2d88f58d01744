"""The API as an ASGI application: HTTP on one side, the ledger on the other, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from api import problems
from api.auth import OPEN, Door
from api.deps import Room
from api.edge import Edge
from api.routes import audit, decisions, estate, health, hosts, incidents, killswitch, requests
from api.schemas.shapes import Problem
from api.settings import Settings, WallClock, read_estate
from controller.desk import Desk
from controller.ledger import Ledger
from controller.ledger_reading import Reading
from controller.ledger_tokens import Tokens

PREFIX = "/api/v1"
ROUTERS = (decisions, hosts, audit, incidents, estate, health, killswitch, requests)

ABOUT = """Cordon isolates a compromised host before it takes the network down, and proves why.

Every request but the two probes needs a bearer token. A viewer reads; an operator also releases, extends and rejects,
and asks the controller; an approver also approves and turns the kill switch. An approval is a move in the ledger, which
the controller carries out: this process touches no device. Unknown query parameters are errors. Every error is a
problem document (RFC 9457).
"""

ERRORS = {
    "401": "No token, or one that is unknown, expired or revoked",
    "403": "The token's role is not enough",
    "404": "Nothing answers to this name",
    "409": "Not possible from this state, or somebody else was faster",
    "413": "The body is too large",
    "422": "The request cannot be read, or not be done as asked",
    "500": "Cordon failed; the log has the reason",
    "503": "The ledger does not answer, or Cordon is not ready",
}


def create_app(settings: Settings, *, clock: WallClock | None = None) -> FastAPI:
    """The application; opens the ledger and reads the site at once, so that a wrong option fails before it serves.

    Raises ConfigError and LedgerUnavailable. The ledger is closed when the application shuts down.
    """
    estate_of_site = read_estate(settings.site)
    ledger = Ledger.open(settings.ledger)
    time = clock or WallClock()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        ledger.close()

    app = FastAPI(
        title="Cordon",
        version=_version(),
        description=ABOUT,
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.room = Room(
        settings=settings,
        ledger=ledger,
        reading=Reading(ledger.database),
        desk=Desk(ledger, time, longest_s=settings.longest_extension_s),
        estate=estate_of_site,
        clock=time,
    )
    api = APIRouter(prefix=PREFIX)
    for one in ROUTERS:
        api.include_router(one.router)
    app.include_router(api)
    problems.handle(app)
    app.add_middleware(Door, tokens=Tokens(ledger.database), clock=time)
    app.add_middleware(Edge, body_limit=settings.body_limit)  # the last added is the outermost
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]  # FastAPI's own way to replace its document
    return app


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, in which each operation names the errors that it can answer with."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for path, methods in document["paths"].items():
            for operation in methods.values():
                operation["responses"] = {
                    **{code: one for code, one in operation["responses"].items() if code < "400"},
                    **{code: _error(text) for code, text in ERRORS.items() if _can(code, path, operation)},
                }
        app.openapi_schema = document
    return app.openapi_schema


def _can(code: str, path: str, operation: dict[str, Any]) -> bool:
    closed, changes = path not in OPEN, "requestBody" in operation
    return {"401": closed, "403": closed, "404": "{" in path, "409": changes, "413": changes}.get(code, True)


def _error(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _version() -> str:
    try:
        return version("cordon")
    except PackageNotFoundError:
        return "0"
