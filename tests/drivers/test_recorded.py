"""Answers that real devices gave, from public projects: the dialects' patterns must read them."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.domain.address import mac_of
from drivers.dialect import Dialect, Read
from drivers.loading import dialect_of
from drivers.read import totals
from drivers.render import quoted

CORPUS = Path(os.environ.get("CORDON_CORPUS", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus: CORDON_CORPUS or ../shared/data is missing"),
]
GENIE = CORPUS / "CiscoTestAutomation__genieparser/src/genie/libs/parser"
NAPALM = CORPUS / "napalm-automation__napalm/test/ios/mocked_data/test_get_mac_address_table"
IOS, JUNOS = dialect_of("cisco_ios"), dialect_of("juniper_junos")


def text_of(path: Path) -> str:
    if not path.is_file():
        pytest.skip(f"the corpus has no {path.name}")
    return path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")


def found(read: Read | None, text: str, group: str, **fields: str) -> list[str]:
    assert read is not None
    return [one[group] for one in re.finditer(quoted(read.pattern, fields), text, re.MULTILINE)]


@pytest.mark.parametrize(
    "path",
    [
        *(NAPALM / one / "show_mac_address_table.txt" for one in ("2960_format", "3560_format")),
        GENIE / "iosxe/tests/ShowMacAddressTableDynamicVlan/cli/equal/golden_output1_output.txt",
    ],
    ids=lambda path: path.parent.name,
)
def test_learned_macs_of_catalysts_are_all_read_and_static_ones_are_not(path: Path) -> None:
    text = text_of(path)
    assert IOS.counters is not None
    assert re.search(IOS.questions["macs"].proof, text, re.MULTILINE)
    learned = [line for line in text.splitlines() if re.search(r"\bDYNAMIC\b", line)]
    macs = found(IOS.counters.macs, text, "mac")
    assert len(macs) == len(learned) > 0
    assert all(mac_of(mac) for mac in macs)


def test_totals_of_a_juniper_port_are_read() -> None:
    text = text_of(GENIE / "junos/tests/ShowInterfacesInterfaceDetail/cli/equal/golden_output_output.txt")
    answers = {"totals": text, "macs": ""}
    assert totals(JUNOS, {"interface": "et-0/0/0"}, answers) == (1229986, 17084, 0)


def test_sequence_numbers_of_ipv6_lists_are_all_seen_as_taken() -> None:
    text = text_of(GENIE / "iosxe/tests/ShowIpv6AccessLists/cli/equal/golden_ipv6_access_list_output_output.txt")
    numbered = [line for line in text.splitlines() if "sequence" in line]
    assert len(found(IOS.seats["number6"].taken, text, "seat")) == len(numbered) > 5


def test_numbers_of_ipv4_lists_are_all_seen_as_taken() -> None:
    text = text_of(GENIE / "ios/tests/ShowAccessLists/cli/equal/golden_output_customer1_output.txt")
    numbered = [line for line in text.splitlines() if re.match(r"\s*\d+ (permit|deny)", line)]
    assert len(found(IOS.seats["number4"].taken, text, "seat")) == len(numbered) > 5


def test_closed_ports_of_a_recorded_configuration_are_the_ones_that_say_so() -> None:
    text = text_of(CORPUS / "scrapli__scrapli_cfg/tests/test_data/expected/cisco_iosxe")
    row = next(row for row in IOS.rows if row.name == "closed")
    proof = IOS.questions["port"].proof
    blocks = re.findall(r"^interface (\S+)\n((?: .*\n)*)", text, re.MULTILINE)
    assert len(blocks) > 5
    for name, block in blocks:
        answer = f"Building configuration...\n\n!\ninterface {name}\n{block}end\n"
        assert re.search(quoted(proof, {"interface": name}), answer, re.MULTILINE)
        assert bool(re.search(row.read[0].pattern, answer, re.MULTILINE)) == (" shutdown\n" in block)


def refuses(dialect: Dialect) -> Callable[[str], bool]:
    pattern = re.compile("|".join(f"(?:{one})" for one in dialect.refusals), re.MULTILINE)
    return lambda text: pattern.search(text) is not None


def test_recorded_refusals_of_cisco_are_refusals_and_show_outputs_are_not() -> None:
    refused = refuses(IOS)
    mocks = CORPUS / "CiscoTestAutomation__unicon.plugins/src/unicon/plugins/tests/mock_data"
    lines = {
        line.strip().strip('"')
        for path in sorted(mocks.rglob("*.yaml"))
        if path.parent.name in ("ios", "iosxe", "iosxr")
        for line in text_of(path).splitlines()
        if re.search(r"% (Invalid|Incomplete|Ambiguous|Unknown)", line)
    }
    assert lines
    for line in lines:
        assert refused(line[line.index("%") :]), line
    for path in sorted(NAPALM.rglob("*.txt")):
        assert not refused(text_of(path)), path


def test_recorded_dialogue_of_junos_refuses_nothing_when_it_goes_well() -> None:
    folder = CORPUS / "scrapli__scrapli_cfg/tests/integration/platform/scrapli_replay_sessions"
    paths = sorted(folder.glob("*juniper_junos-system*.yaml"))
    if not paths:
        pytest.skip("the corpus has no Junos dialogue")
    refused = refuses(JUNOS)
    for path in paths:
        text = text_of(path)
        assert "commit complete" in text
        assert not refused(text)
    assert refused("error: configuration check-out failed")
    assert refused("                         ^\nsyntax error, expecting <command>.")
