"""The hand slips, with real packets: lines that are cut, plugs that are pulled, people who were faster.

Whatever happens, a change ends verified, taken back, or stuck with a person called; then Cordon carries on.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.lab.net.aside import Attack, Witnesses
from deploy.lab.net.device import quietly
from deploy.lab.net.lab import Lab, Wishes
from deploy.lab.net.namespaces import ip
from tests.network.guarding import Guarded, guarded
from tests.network.looking import changed, fences, silence, states
from tests.network.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

PPS = 4_000.0
THIN_KBPS = 2_000  # an uplink that a flood of 4,000 packets a second of 450 octets fills seven times over
SPOKEN_FOR = {"enforced", "released", "failed", "proposed", "lapsed", "withdrawn", "rejected"}
PLODDING = """\
cp /usr/bin/ovs-ofctl /run/ovs-ofctl
cat > /run/plodding <<'END'
#!/bin/sh
case "$*" in *add-flow*) touch /run/asked; while [ -e /run/hold ]; do sleep 0.02; done;; esac
exec /run/ovs-ofctl "$@"
END
chmod +x /run/plodding
rm -f /run/asked
touch /run/hold
mount --bind /run/plodding /usr/bin/ovs-ofctl
"""
"""From now on the switch takes rules only when nobody holds it back."""


@pytest.fixture(scope="module")
def wishes() -> Wishes:
    return Wishes(containers=8)


@pytest.fixture(scope="module")
def cordon(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(lab, tmp_path_factory.mktemp("cordon")) as one:
        yield one


@contextmanager
def held_back(lab: Lab, switch: str) -> Iterator[None]:
    """A switch that is told something waits with it; it must have been told something when the block is left."""
    shell = lab.devices[switch].shell
    shell.ask(PLODDING)
    yield
    if lab.devices[switch].running and shell.run("test -e /run/hold")[0] == 0:
        shell.ask("rm /run/hold; umount /usr/bin/ovs-ofctl")


def pushing(lab: Lab, switch: str) -> bool:
    return lab.devices[switch].shell.run("test -e /run/asked")[0] == 0


def pages(cordon: Guarded, decision_id: str) -> list[str]:
    return [one["what"] for one in cordon.get("/alarms", limit=200)["items"] if one["about"] == decision_id]


def story(cordon: Guarded, host: str) -> list[tuple[str, str]]:
    """Every decision about a host, oldest first, and how it stands."""
    listed = cordon.get("/decisions", limit=200)["items"]
    return [(one["id"], one["state"]) for one in reversed(listed) if host in {one["host"], one["subject"]}]


def test_flood_that_fills_the_core_link_is_fenced_though_no_name_is_resolved_any_more(
    lab: Lab, cordon: Guarded, witnesses: Witnesses
) -> None:
    trunk = lab.namespace("sw1")
    thin = f"qdisc replace dev core1 root tbf rate {THIN_KBPS}kbit burst 32kbit latency 20ms"
    quietly("tc", "-n", trunk, *thin.split())
    core = lab.devices["core1"].shell
    core.ask("ovs-ofctl -O OpenFlow13 mod-port br0 dns1 down")
    try:
        with Attack(lab, "saturation", origin="d1", pps=PPS, seconds=120.0) as attack:
            decision = cordon.await_decision("d1", "enforced")
            assert fences(decision) == {("block_address", "sw1")}
            silence(witnesses, attack)
            lost = witnesses.testimony().lost
            assert any("c1-world" in pair for pair in lost), "the link was full: neighbours felt it"
    finally:
        core.ask("ovs-ofctl -O OpenFlow13 mod-port br0 dns1 up")
        quietly("tc", "-n", trunk, "qdisc", "del", "dev", "core1", "root")
    cordon.await_quiet("d1", attack)
    cordon.release(decision)


def test_nothing_is_claimed_of_a_switch_that_cannot_be_reached_and_it_is_fenced_once_it_can(
    lab: Lab, cordon: Guarded, witnesses: Witnesses
) -> None:
    before = states(lab)
    with Attack(lab, "saturation", origin="c2", pps=PPS, seconds=180.0) as attack:
        ip("link set oob down", inside=lab.namespace("sw1"))
        try:
            until(
                lambda: any(state == "failed" for _, state in story(cordon, "c2")),
                what="the fence to fail",
                deadline_s=90.0,
                shown=cordon.story,
            )
            failed = next(ident for ident, state in story(cordon, "c2") if state == "failed")
            assert any("sw1" in page for page in pages(cordon, failed)), "a person was called"
            assert changed(lab, before) == set()
        finally:
            ip("link set oob up", inside=lab.namespace("sw1"))
        decision = cordon.await_decision("c2", "enforced")
        silence(witnesses, attack)
        assert changed(lab, before) == {"sw1"}
    cordon.await_quiet("c2", attack)
    cordon.release(decision)
    assert changed(lab, before) == set()


def test_switch_that_loses_power_with_a_rule_in_its_hand_is_fenced_after_it_is_back(
    lab: Lab, cordon: Guarded, witnesses: Witnesses
) -> None:
    with Attack(lab, "saturation", origin="d3", pps=PPS, seconds=180.0) as attack:
        with held_back(lab, "sw2"):
            until(lambda: pushing(lab, "sw2"), what="the switch to be told", deadline_s=60.0, shown=cordon.story)
            lab.devices["sw2"].stop()
        lab.power_on("sw2")
        decision = cordon.await_decision("d3", "enforced")
        silence(witnesses, attack)
    assert {state for _, state in story(cordon, "d3")} <= SPOKEN_FOR
    cordon.await_quiet("d3", attack)
    cordon.release(decision)


def test_controller_killed_while_it_pushes_leaves_nothing_unknown(
    lab: Lab, cordon: Guarded, witnesses: Witnesses
) -> None:
    before = states(lab)
    with Attack(lab, "saturation", origin="c5", pps=PPS, seconds=180.0) as attack:
        with held_back(lab, "sw1"):
            until(lambda: pushing(lab, "sw1"), what="the switch to be told", deadline_s=60.0, shown=cordon.story)
            os.kill(cordon.supervisor.pids()["controller"], signal.SIGKILL)
            threading.Event().wait(0.2)
        decision = cordon.await_decision("c5", "enforced")
        silence(witnesses, attack)
    assert {state for _, state in story(cordon, "c5")} <= SPOKEN_FOR
    cordon.await_quiet("c5", attack)
    cordon.release(decision)
    assert changed(lab, before) == set()
    assert witnesses.testimony().lost == {}


def test_port_that_a_person_moved_meanwhile_stays_where_the_person_put_it(
    lab: Lab, cordon: Guarded, witnesses: Witnesses
) -> None:
    shell = lab.devices["sw1"].shell
    with Attack(lab, "forged-a", origin="d2", pps=PPS, seconds=120.0) as attack:
        decision = cordon.await_decision("d2", "enforced")
        assert fences(decision) == {("quarantine", "sw1")}
        silence(witnesses, attack, but=frozenset({"forensics"}))
    shell.ask("ovs-vsctl set Port d2 tag=150")
    cordon.await_quiet("d2", attack)
    cordon.release(decision)
    assert shell.ask("ovs-vsctl get Port d2 tag").strip() == "150"
    assert any("left" in page for page in pages(cordon, decision["id"])), "a person was told"
    shell.ask("ovs-vsctl set Port d2 tag=120")
