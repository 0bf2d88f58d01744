"""The API process: `python -m api --ledger URL --site FILE [--host H] [--port P] [--connection FILE]`."""

import argparse
import logging
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from api.app import create_app
from api.settings import Settings, WallClock, write_connection
from controller.domain.errors import ConfigError, LedgerUnavailable
from controller.ledger import Ledger
from controller.ledger_tokens import Role, Tokens

CONNECTION_NAME = "local operator"


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit status 0; 2 for a wrong option or file, 3 when the ledger does not answer."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = _settings(arguments)
    try:
        return serve(settings)
    except ConfigError as error:
        print(f"cordon api: {error}", file=sys.stderr)  # noqa: T201  # the command's own answer
        return 2
    except LedgerUnavailable as error:
        print(f"cordon api: {error}", file=sys.stderr)  # noqa: T201  # as above
        return 3


def serve(settings: Settings) -> int:
    """Bind, say where, and serve. The socket listens before the connection file is written.

    A signal sets the server's flag, before it runs as later. A handler that raises could be called inside a weak
    reference's callback, where Python drops the exception and the process would stay.
    """
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=32 * 1024,
    )
    server = uvicorn.Server(config)
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, server.handle_exit)
    with config.bind_socket() as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each answer waits 40 ms for an ACK
        listening.listen(128)
        host, port = listening.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        if settings.connection is not None:
            _connect(settings, url, settings.connection)
        print(f"listening on {url}", flush=True)  # noqa: T201  # the supervisor reads this line
        server.run(sockets=[listening])
    return 0


def _connect(settings: Settings, url: str, file: Path) -> None:
    """Leave a token of our own for the commands on this machine; the one of the last start ends."""
    ledger, now_ns = Ledger.open(settings.ledger), WallClock().now_ns()
    tokens = Tokens(ledger.database)
    tokens.revoke_named(CONNECTION_NAME, now_ns=now_ns)
    token = tokens.create(name=CONNECTION_NAME, role=Role.APPROVER, now_ns=now_ns)
    write_connection(file, url, token, ledger=settings.ledger)
    ledger.close()


def _settings(arguments: list[str] | None) -> Settings:
    parser = argparse.ArgumentParser(prog="cordon api", description=__doc__)
    parser.add_argument("--ledger", required=True, help="sqlite:///file or postgresql://user@host/name")
    parser.add_argument("--site", required=True, type=Path, help="the site file")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", default=0, type=int, help="0: any free one, printed")
    parser.add_argument("--connection", type=Path, help="write URL and a token of an approver here (0600)")
    parser.add_argument("--heartbeat-max-age", default=10.0, type=float, metavar="SECONDS")
    parser.add_argument("--longest-extension", default=86_400.0, type=float, metavar="SECONDS")
    asked = parser.parse_args(arguments)
    return Settings(
        ledger=asked.ledger,
        site=asked.site,
        host=asked.host,
        port=asked.port,
        connection=asked.connection,
        heartbeat_max_age_s=asked.heartbeat_max_age,
        longest_extension_s=asked.longest_extension,
    )


if __name__ == "__main__":
    sys.exit(main())
