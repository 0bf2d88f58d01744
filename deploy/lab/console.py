"""Cordon's API as the demonstration uses it: what was decided, how far event time has come, and an approval."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from deploy.lab.board import Row
from deploy.lab.judge import Fence, Leg, Named

WAITING = frozenset({"proposed", "rejected", "lapsed"})
PAGE = 200


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision, as the API shows it."""

    id: str
    subject: str
    host: str
    state: str
    score: float
    simulated: bool
    verdict_ns: int
    decided_ns: int  # wall clock of the proposal
    effect: str
    fences: tuple[Fence, ...]
    evidence: tuple[Mapping[str, Any], ...]
    reasons: tuple[str, ...]

    @property
    def named(self) -> Named:
        """The same as the judge hears it. A simulated decision acts in name only, and counts as acting."""
        return Named(self.subject, self.verdict_ns, self.state not in WAITING, self.fences, self.evidence)

    @property
    def verified(self) -> bool:
        """True when every leg of every fence was seen on its device."""
        return bool(self.named.verified_ns)

    @property
    def row(self) -> Row:
        """The same as the board shows it."""
        where = ", ".join(f"{fence.kind} on {'+'.join(leg.device for leg in fence.legs)}" for fence in self.fences)
        state = f"{self.state} (simulated)" if self.simulated else self.state
        why = "; ".join(self.reasons) or (self.evidence[0]["text"] if self.evidence else "")
        return Row(self.id, self.subject, self.host, state, self.score, where, str(why))


class Console:
    """A client of the API with one token."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=5.0
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def decisions(self) -> tuple[Decided, ...]:
        """All decisions, whole. Raises httpx.HTTPError."""
        listed = self._get("/decisions", limit=PAGE)["items"]
        return tuple(decided(self._get(f"/decisions/{one['id']}")) for one in listed)

    def beats(self) -> dict[str, Mapping[str, Any]]:
        """The last heartbeat of each kind of process."""
        return {str(one["process"]): one for one in self._get("/health")["processes"]}

    def approve(self, decision_id: str, *, reason: str) -> None:
        """Approve a proposal. Raises httpx.HTTPStatusError when that cannot be."""
        self._http.post(f"/decisions/{decision_id}/approve", json={"reason": reason}).raise_for_status()

    def _get(self, path: str, **query: Any) -> Any:
        answer = self._http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()


def decided(document: Mapping[str, Any]) -> Decided:
    """Read one decision as the API shows it."""
    return Decided(
        id=document["id"],
        subject=document["subject"],
        host=document["host"],
        state=document["state"],
        score=float(document["score"]),
        simulated=bool(document["simulated"]),
        verdict_ns=int(document["created_ns"]),
        decided_ns=int(document["proposed_wall_ns"]),
        effect=document["effect"],
        fences=tuple(
            Fence(one["kind"], tuple(Leg(leg["slot"]["device"], int(leg["verified_ns"])) for leg in one["legs"]))
            for one in document["plan"]
        ),
        evidence=tuple(document["evidence"]),
        reasons=tuple(reason["text"] for reason in document["reasons"] if not reason["allows"]),
    )
