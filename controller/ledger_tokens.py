"""Bearer tokens of the API: who may do what, hashed at rest.

A token is `cordon_<id>_<secret>`: the id finds the row, the secret has 256 random bits. Of so long a secret a plain
SHA-256 is as good as a slow hash, which protects words that people choose.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select, update
from sqlmodel import col

from controller.domain.errors import UnknownSubject
from controller.ledger_database import Database
from controller.ledger_projection import plain
from controller.ledger_tables import TokenRow

USED_EVERY_NS = 60_000_000_000
"""A token's last use is noted once a minute at most, so that reading does not become writing."""


class Role(StrEnum):
    """What a token may do; each role may do what those before it may."""

    VIEWER = "viewer"  # reads
    OPERATOR = "operator"  # releases, extends and rejects
    APPROVER = "approver"  # approves, and turns the kill switch

    def covers(self, needed: "Role") -> bool:
        """True when this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token once it was handed out. Times are wall clock ns; 0: never."""

    id: str
    name: str
    role: Role
    created_ns: int
    expires_ns: int
    last_used_ns: int
    revoked_ns: int


class Tokens:
    """The tokens in a ledger. Every method is one transaction and may raise LedgerUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, *, name: str, role: Role, now_ns: int, expires_ns: int = 0) -> str:
        """Make a token and return it: the only time that anybody sees it. `expires_ns` 0: it does not expire."""
        if not name.strip():
            raise ValueError("a token needs the name of a person or a program: it signs every move")
        ident, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        with self._database.writing() as session:
            session.add(
                TokenRow(
                    id=ident,
                    name=plain(name.strip(), 120),
                    role=role.value,
                    digest=_digest(secret),
                    created_ns=now_ns,
                    expires_ns=expires_ns,
                )
            )
        return f"cordon_{ident}_{secret}"

    def bearer(self, presented: str, *, now_ns: int) -> Token | None:
        """Whose token this is; None for one that is unknown, expired or revoked. Equally slow for all of them."""
        _, _, rest = presented.partition("cordon_")
        ident, _, secret = rest.partition("_")
        with self._database.reading() as session:
            row = session.get(TokenRow, plain(ident, 64))
            matches = hmac.compare_digest(row.digest if row else _digest(""), _digest(secret))
            if row is None or not matches or row.revoked_ns or (row.expires_ns and row.expires_ns <= now_ns):
                return None
            token = _token_of(row)
        if now_ns - token.last_used_ns >= USED_EVERY_NS:
            with self._database.writing() as session:
                session.execute(update(TokenRow).where(col(TokenRow.id) == token.id).values(last_used_ns=now_ns))
        return token

    def all(self) -> tuple[Token, ...]:
        """Every token that was ever made, oldest first."""
        with self._database.reading() as session:
            rows = session.scalars(select(TokenRow).order_by(col(TokenRow.created_ns), col(TokenRow.id)))
            return tuple(_token_of(row) for row in rows)

    def revoke(self, ident: str, *, now_ns: int) -> None:
        """End a token; it stays listed. Does nothing to one that has ended. Raises UnknownSubject."""
        with self._database.writing() as session:
            row = session.get(TokenRow, plain(ident, 64), with_for_update=True)
            if row is None:
                raise UnknownSubject(f"no token has the id {ident[:40]!r}")
            row.revoked_ns = row.revoked_ns or now_ns

    def revoke_named(self, name: str, *, now_ns: int) -> None:
        """End every token of this name."""
        with self._database.writing() as session:
            session.execute(
                update(TokenRow)
                .where(col(TokenRow.name) == name, col(TokenRow.revoked_ns) == 0)
                .values(revoked_ns=now_ns)
            )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _token_of(row: TokenRow) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        created_ns=row.created_ns,
        expires_ns=row.expires_ns,
        last_used_ns=row.last_used_ns,
        revoked_ns=row.revoked_ns,
    )
