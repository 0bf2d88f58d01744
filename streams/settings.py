"""Reads site.toml and policy.toml for the streams, and names the scorer by a digest of its rules and code."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from controller.domain import toml
from controller.domain.errors import ConfigError
from controller.domain.estate import Estate, Site
from controller.domain.rulebook import Rulebook

_HEARING = "listen"
"""The one folder of these rooms whose code has no part in what a verdict says."""

_ROOMS = Path(__file__).parent, Path(toml.__file__).parent
"""Here, and where what rules leave out, and how evidence adds up, is said."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a streams process is started with."""

    estate: Estate
    rules: Rulebook
    scorer: str  # see `scorer_digest`


def load(site: Path, policy: Path) -> Settings:
    """Read both files. Raises ConfigError naming file, key and what is expected."""
    policy_text = _text(policy)
    return Settings(
        estate=Estate(toml.read(_text(site), Site, file=str(site)), file=str(site)),
        rules=toml.read(policy_text, Rulebook, file=str(policy)),
        scorer=scorer_digest(policy_text),
    )


def scorer_digest(policy_text: str) -> str:
    """Twelve hex digits that change with the policy and with the code between a frame and a verdict."""
    digest = hashlib.sha256(policy_text.encode())
    for room in _ROOMS:
        for path in sorted(room.rglob("*.py")):
            place = path.relative_to(room)
            if place.parts[0] == _HEARING:
                continue
            digest.update(f"{place.as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(file=str(path), key="(the whole file)", expected="a readable file", got=str(error)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(file=str(path), key="(the whole file)", expected="UTF-8", got=str(error)) from None
