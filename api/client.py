"""The API as the command line speaks to it: one request, and what went wrong in words and an exit status."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from api.settings import CONNECTION, Connection, read_connection
from controller.domain.errors import ConfigError

REFUSED, USAGE, UNREACHABLE = 1, 2, 3
"""Exit statuses beside 0: the API said no; the command was wrong; nobody answered, or not the ledger."""

TIMEOUT_S = 15.0


class CannotDo(Exception):
    """A command that ends here: what to tell, and the exit status."""

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message)


def connection(*, url: str, token: str, file: Path | None) -> Connection:
    """Where to and with what: options and environment first, then the connection file. Raises CannotDo."""
    if url and token:
        return Connection(url.rstrip("/"), token)
    try:
        found = read_connection(file or CONNECTION)
    except ConfigError as error:
        raise CannotDo(f"{error}; or give --url and --token", USAGE) from None
    return Connection((url or found.url).rstrip("/"), token or found.token, found.ledger)


def call(
    way: Connection,
    verb: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
) -> Any:
    """The JSON that the API answers. `path` begins after /api/v1. Raises CannotDo with the problem's own words."""
    return _answer(way, verb, path, query=query, body=body).json()


def download(way: Connection, path: str) -> bytes:
    """A file that the API makes. Raises CannotDo."""
    return bytes(_answer(way, "GET", path).content)


def _answer(
    way: Connection,
    verb: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
) -> Any:
    import ssl

    import httpx

    asked = {name: value for name, value in (query or {}).items() if value not in (None, "", [])}
    trusted = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or None)
    try:
        with httpx.Client(timeout=TIMEOUT_S, verify=trusted, trust_env=False) as http:  # no proxy is told the token
            answer = http.request(
                verb,
                f"{way.url}/api/v1{path}",
                params=asked,
                json=body,
                headers={"Authorization": f"Bearer {way.token}"},
            )
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
        raise CannotDo(f"{way.url} does not answer: {error}", UNREACHABLE) from error
    if answer.is_success:
        return answer
    raise CannotDo(_words(answer), UNREACHABLE if answer.status_code >= 500 else REFUSED)


def part(text: str) -> str:
    """Text as one part of a path."""
    return quote(text, safe="")


def _words(answer: Any) -> str:
    try:
        problem = answer.json()
        return f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code} from something that is not Cordon's API"
