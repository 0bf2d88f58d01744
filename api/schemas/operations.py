"""Documents about Cordon itself: processes, sources, dead letters, alarms, the kill switch, the caller."""

from pydantic import Field

from api.schemas.shapes import In, Out, Paging, Reason
from controller.ledger_tokens import Role


class ProcessOut(Out):
    """One process by its newest heartbeat."""

    process: str
    instance: str
    version: str
    fresh: bool
    age_s: float
    event_ns: int
    oldest_ns: int
    lag: dict[str, int]
    notes: list[str]


class ExporterOut(Out):
    """One exporter over all workers that hear it."""

    address: str
    silent: bool
    last_ns: int
    records: int
    facts: dict[str, int]


class SourceOut(Out):
    """One source topic over all workers. `exact`: every record that came in was scored, kept as dead, or skipped."""

    topic: str
    received: int
    scored: int
    dead: int
    skipped: int
    late: int
    exact: bool


class CanaryOut(Out):
    """The last canary that came through: from the sources' clock marks to the controller."""

    partition: str
    age_s: float = Field(description="since the controller heard it; one is said every ten seconds of event time")
    took_ms: int = Field(description="from the event time that it tells of until the controller heard it")


class HealthOut(Out):
    """How the whole of Cordon is. `faults` are sentences; none of them means ready."""

    ready: bool
    faults: list[str]
    killed: bool
    lag: dict[str, int]
    oldest_ns: int
    canaries: list[CanaryOut]
    processes: list[ProcessOut]
    exporters: list[ExporterOut]
    sources: list[SourceOut]
    logins: list[str] = Field(description="devices that did not let Cordon in lately, in sentences")
    dead: dict[str, int] = Field(description="records lost, by kind of reason")
    decisions: dict[str, int] = Field(description="live decisions by state")


class LiveOut(Out):
    """The process answers."""

    status: str = "live"


class ReadyOut(Out):
    """The ledger answers and the processes that Cordon needs are heard."""

    status: str = "ready"


class DeadLetterQuery(Paging):
    """Which dead letters: those whose reason begins so."""

    reason: str = Field("", max_length=200)


class DeadLetterOut(Out):
    """Input that could not be used. `kept` shows its first bytes; what is no text is escaped."""

    source: str
    reason: str
    at_ns: int
    length: int
    sha256: str
    kept: str
    count: int


class AlarmOut(Out):
    """A page to a person."""

    id: int
    what: str
    about: str
    at_ns: int


class SwitchIn(In):
    """Turn the kill switch."""

    state: str = Field(pattern="^(on|off)$")
    reason: Reason


class SwitchOut(Out):
    """The kill switch. On: no new fence, climb or repair; releases go on."""

    state: str
    actor: str
    why: str
    at_ns: int


class CallerOut(Out):
    """Whose token this is."""

    name: str
    role: Role
    expires_ns: int
