"""Cordon at work in a lab, all of its processes, as `cordon up` runs them; spoken to over its API alone."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from controller.domain import toml
from controller.domain.rulebook import Rulebook
from controller.ledger import Ledger
from controller.ledger_tokens import Role, Tokens
from deploy import running
from deploy.lab.net import collectors
from deploy.lab.net.aside import Attack
from deploy.lab.net.lab import Lab
from deploy.lab.net.sites import GOFLOW2_LATE_MS, GOFLOW2_TOPIC, LOG_TOPIC, PMACCT_LATE_MS, PMACCT_TOPIC, Collectors
from deploy.lab.rig import connection
from deploy.parts import Layout
from deploy.supervisor import Supervisor
from deploy.tomlwriting import toml_text
from tests.network.waiting import until

LIVE_NS = 2_000_000_000  # event time is this close behind the wall clock when Cordon keeps up
START_S, DECIDE_S = 90.0, 60.0
FADED_S = 1.5
OPEN = {"proposed", "approved", "applying", "enforced", "releasing", "stuck"}


class Guarded:
    """What a person can see and do. Processes are looked after in the background."""

    def __init__(self, supervisor: Supervisor, url: str, token: str, *, late_ns: int, ledger: str) -> None:
        self.supervisor, self.late_ns, self._ledger = supervisor, late_ns, ledger
        self._http = httpx.Client(
            base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=15.0, trust_env=False
        )
        self._over = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="supervisor")

    def __enter__(self) -> Self:
        self._tending.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._tending.join()
        self._http.close()

    def _tend(self) -> None:
        while not self._over.wait(0.1):
            self.supervisor.tend()

    def get(self, path: str, **query: Any) -> Any:
        """What the API answers."""
        answer = self._http.get(path, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> httpx.Response:
        """Ask for something to be done."""
        return self._http.post(path, json=body)

    def approve(self, decision_id: str, *people: str) -> None:
        """Have people approve a decision, each with a token of their own."""
        with closing(Ledger.open(self._ledger)) as ledger:
            tokens = {one: Tokens(ledger.database).create(name=one, role=Role.APPROVER, now_ns=0) for one in people}
        for token in tokens.values():
            answer = self._http.post(
                f"/decisions/{decision_id}/approve",
                json={"reason": "agreed"},
                headers={"Authorization": f"Bearer {token}"},
            )
            assert answer.is_success, answer.text

    def asked(self, kind: str, about: str) -> dict[str, Any]:
        """What the controller answers to a request."""
        filed = self.post("/requests", kind=kind, about=about, reason="a test").json()

        def answered() -> bool:
            return bool(self.get(f"/requests/{filed['id']}")["answered_ns"])

        until(answered, what=f"{kind} of {about} to be answered", deadline_s=DECIDE_S)
        return dict(self.get(f"/requests/{filed['id']}"))

    def await_state(self, decision_id: str, state: str) -> None:
        """Until a decision is in a state."""
        until(
            lambda: bool(self.get(f"/decisions/{decision_id}")["state"] == state),
            what=f"{decision_id} to be {state}",
            deadline_s=DECIDE_S,
            shown=lambda: self.get(f"/decisions/{decision_id}"),
        )

    def ready(self) -> bool:
        """True when every process has spoken and event time keeps up."""
        there = {one["process"] for one in self.get("/health")["processes"]}
        behind = time.time_ns() - self.event_ns()  # noqa: TID251 - live time
        return {"streams", "controller"} <= there and behind < self.late_ns

    def event_ns(self) -> int:
        """How far the streams have come; 0 before they said."""
        beats = [one for one in self.get("/health")["processes"] if one["process"] == "streams"]
        return max((int(one["event_ns"]) for one in beats), default=0)

    def scored(self, topic: str) -> int:
        """Records of a topic that were scored."""
        return sum(int(one["scored"]) for one in self.get("/health")["sources"] if one["topic"] == topic)

    def decisions(self, host: str = "") -> list[dict[str, Any]]:
        """Decisions that are open, of one host or of all, in brief."""
        listed = self.get("/decisions", limit=200)["items"]
        return [one for one in listed if one["state"] in OPEN and host in {"", one["host"], one["subject"]}]

    def whole(self, decision: dict[str, Any]) -> dict[str, Any]:
        """All of a decision."""
        return dict(self.get(f"/decisions/{decision['id']}"))

    def await_quiet(self, host: str, after: Attack) -> None:
        """Until the streams have scored all of a flood that is over, and the host is below every threshold."""

        def quiet() -> bool:
            scored = self.event_ns() > after.ended_ns + LIVE_NS + self.late_ns
            return scored and host not in {one["host"] for one in self.get("/hosts", level="watch")["items"]}

        until(quiet, what=f"{host} to be quiet", deadline_s=DECIDE_S, shown=self.story)

    def await_decision(self, host: str, state: str) -> dict[str, Any]:
        """The decision about a host, in a state."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [one for one in self.decisions(host) if one["state"] == state]
            return bool(found)

        until(there, what=f"{host} to be {state}", deadline_s=DECIDE_S, shown=self.story)
        return self.whole(found[0])

    def await_effect(self, decision: dict[str, Any], effect: str) -> None:
        """Until the traffic was judged."""
        until(
            lambda: bool(self.get(f"/decisions/{decision['id']}")["effect"] == effect),
            what=f"{decision['subject']} to be judged {effect}",
            deadline_s=DECIDE_S,
            shown=self.story,
        )

    def release(self, decision: dict[str, Any], *, twice: bool = False) -> None:
        """Take a fence down, and wait until it is gone; released twice it is released once."""
        path = f"/decisions/{decision['id']}"

        def taken() -> bool:
            return self.post(f"{path}/release", reason="the test is over").is_success

        until(taken, what="the release to be taken", shown=lambda: self.get(path))
        if twice:
            assert self.post(f"{path}/release", reason="once more").status_code < 500
        until(
            lambda: bool(self.get(path)["state"] == "released"),
            what=f"{decision['subject']} to be released",
            deadline_s=DECIDE_S,
            shown=lambda: self.get(path),
        )

    def story(self) -> str:
        """What stands in the ledger, for the message of a test that fails."""
        hosts = [
            f"{one['subject']} {one['score']} {one.get('finding')}" for one in self.get("/hosts", limit=6)["items"]
        ]
        told = [
            f"{one['subject']} {one['host']} {one['state']} {[fence['kind'] for fence in one['plan']]}"
            f" {[reason['text'] for reason in one['reasons']]}"
            for one in map(self.whole, self.decisions())
        ]
        return f"hosts: {hosts}; decisions: {told}"


def roomy(policy: Path) -> str:
    """The lab's policy for tests that follow each other closely.

    A flood that is over is forgotten soon, and what stands against one host leaves room for the next.
    """
    rules = toml.read(policy.read_text(), Rulebook, file=str(policy))
    found = rules.detectors
    quick = {
        name: replace(getattr(found, name), half_life_s=FADED_S)
        for name in ("flood", "flood_ratio", "fragments", "malformed", "odd_protocol", "spoofed_source", "scan")
    }
    quick["attribution"] = replace(found.attribution, window_s=FADED_S)
    blast = replace(rules.limits.blast, per_segment_share=1.0, per_device=20)
    limits = replace(rules.limits, retry_after_s=1.0, blast=blast)
    return toml_text(replace(rules, limits=limits, detectors=replace(found, **quick)))


@contextmanager
def guarded(lab: Lab, home: Path, *, mode: str = "", broker: str = "", ledger: str = "") -> Iterator[Guarded]:
    """Start all of Cordon for a lab and wait until it keeps up.

    An empty `broker` means the embedded one, an empty `ledger` a file.
    """
    home.mkdir(parents=True, exist_ok=True)
    policy = home / "policy.toml"
    policy.write_text(roomy(lab.policy))
    layout = Layout(
        run=home,
        site=lab.site,
        policy=policy,
        broker=broker,
        ledger=ledger or f"sqlite:///{home / 'ledger.sqlite3'}",
        known_hosts=lab.known_hosts,
        mode=mode,
        embedded=not broker,
        partitions=1,
    )
    said: list[str] = []
    with running.raised(layout, host="127.0.0.1", port=0, say=said.append) as supervisor:
        url, token = connection(layout.connection) or ("", "")
        late_ns = LIVE_NS
        flows, lines = lab.wishes.sflow_ports[0], lab.wishes.syslog_port
        if lab.wishes.collectors is Collectors.OTHERS:
            late_ns += PMACCT_LATE_MS * 1_000_000
            supervisor.launch(collectors.sfacctd(home, broker=broker, topic=PMACCT_TOPIC, port=flows))
        if lab.wishes.collectors is Collectors.GOFLOW2:
            late_ns += GOFLOW2_LATE_MS * 1_000_000
            supervisor.launch(collectors.goflow2(broker=broker, topic=GOFLOW2_TOPIC, port=flows))
        if lab.wishes.collectors is not Collectors.OWN:
            supervisor.launch(collectors.rsyslog(home, broker=broker, topic=LOG_TOPIC, port=lines))
        with Guarded(supervisor, url, token, late_ns=late_ns, ledger=layout.ledger) as one:
            until(one.ready, what="Cordon to be up", deadline_s=START_S, shown=lambda: said)
            yield one
