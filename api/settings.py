"""What the API and the command line are told from outside: options, the site file, the connection file."""

import contextlib
import os
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from controller.domain.errors import ConfigError
from controller.domain.estate import Estate, Site
from controller.domain.toml import read

CONNECTION = Path(".cordon") / "connection.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of one API process. Ages in seconds, sizes in bytes."""

    ledger: str
    site: Path
    host: str = "127.0.0.1"
    port: int = 0
    connection: Path | None = None
    heartbeat_max_age_s: float = 10.0
    login_max_age_s: float = 172_800.0
    longest_extension_s: float = 86_400.0
    body_limit: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API is and with which token to speak to it; `ledger` is empty where only the API is known."""

    url: str
    token: str
    ledger: str = ""


class WallClock:
    """The world's time, for stamping what people do."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return time.time_ns()  # noqa: TID251  # an adapter: here time comes in


def read_estate(file: Path) -> Estate:
    """The estate in a site file. Raises ConfigError naming file, key and what is expected."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            file=str(file), key="(the whole file)", expected="a readable site file", got=str(error)
        ) from None
    return Estate(read(text, Site, file=str(file)), file=str(file))


def write_connection(path: Path, url: str, token: str, *, ledger: str = "") -> None:
    """Write the connection file for its owner alone (0600); readers see the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = {"url": url, "token": token, "ledger": ledger}
    text = "".join(f"{name} = {_quoted(value)}\n" for name, value in entries.items() if value)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def read_connection(path: Path) -> Connection:
    """Read `write_connection`. Raises ConfigError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return Connection(
            url=str(document["url"]), token=str(document["token"]), ledger=str(document.get("ledger", ""))
        )
    except FileNotFoundError:
        raise ConfigError(
            file=str(path), key="(the whole file)", expected="the file that cordon up or demo writes"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(file=str(path), key="url, token", expected="two lines of text", got=str(error)) from None


def _quoted(value: str) -> str:
    escaped = "".join(
        f"\\u{ord(one):04x}" if ord(one) < 0x20 or ord(one) == 0x7F else {'"': '\\"', "\\": "\\\\"}.get(one, one)
        for one in value
    )
    return f'"{escaped}"'
