"""Log lines become claims, whatever wrapped them; what cannot be read is kept with its reason."""

import json
import os
from collections import Counter
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.errors import ConfigError
from controller.domain.verdict import TrafficClass, Witness
from streams.decode.claims import Claim, ClaimKind
from streams.decode.envelope import LogLine, opened, tagged
from streams.decode.logs import LogReader
from streams.decode.phrasebook import Phrase, Phrasebook, chapter, shipped

NOW = 1_795_000_000_000_000_000  # 2026-11-18T09:46:40Z
CORPUS = Path(os.environ.get("CORDON_CORPUS", Path(__file__).parents[3] / "shared" / "data"))
REQUEST = '192.0.2.66 - - [20/Nov/2026:10:00:00 +0000] "GET /timthumb.php?src=%s HTTP/1.1" 200 12 "-" "x"'
DROP = "IN=eth1 OUT=eth0 SRC=198.18.4.7 DST=203.0.113.9 LEN=60 TTL=63 ID=1 PROTO=TCP SPT=4000 DPT=445"
PHRASES = [(one.vendor, phrase) for one, phrase in shipped().entries]

corpus = [
    pytest.mark.corpus,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus (CORDON_CORPUS) is not there"),
]


def only(frame: str) -> Claim:
    logs = LogReader().frame(frame.encode(), kafka_ns=NOW)
    assert len(logs.claims) == 1, logs
    return logs.claims[0]


@pytest.mark.parametrize(("vendor", "phrase"), PHRASES, ids=[f"{vendor}-{phrase.name}" for vendor, phrase in PHRASES])
def test_a_phrase_recognises_its_own_example(vendor: str, phrase: Phrase) -> None:
    program, text = tagged(phrase.example)
    claim = shipped().claim(LogLine(NOW, "198.18.0.9", program, text))
    assert claim is not None
    assert claim.phrase == f"{vendor}/{phrase.name}"
    assert {name: claim.facts.get(name) for name in phrase.expects} == phrase.expects
    assert "{" not in claim.text


ENVELOPES = {
    "rsyslog, whole message": {
        "msg": f" drop {DROP}",
        "fromhost-ip": "198.18.0.9",
        "hostname": "liar",
        "programname": "kernel",
    },
    "rsyslog, list template": {
        "message": f" drop {DROP}",
        "host": "198.18.0.9",
        "severity": 4,
        "syslog-tag": "kernel:",
    },
    "rsyslog, raw only": {"rawmsg": f"<4>Nov 21 10:00:00 liar kernel: drop {DROP}", "fromhost-ip": "198.18.0.9"},
    "vector": {
        "message": f"drop {DROP}",
        "host": "liar",
        "source_ip": "198.18.0.9",
        "appname": "kernel",
        "severity": "warning",
    },
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_every_collector_s_envelope_gives_the_same_claim(name: str) -> None:
    claim = only(json.dumps(ENVELOPES[name]))
    assert (str(claim.accused), str(claim.peer), claim.sender) == ("198.18.4.7", "203.0.113.9", "198.18.0.9")
    assert claim.kind is ClaimKind.FIREWALL_REPORT


@pytest.mark.parametrize(
    "line",
    [
        f"<4>Nov 21 10:00:00 198.18.0.9 kernel: drop {DROP}",
        f"<4>1 2026-11-21T10:00:00.5Z 198.18.0.9 kernel - - - drop {DROP}",
        f'<4>1 2026-11-21T10:00:00Z 198.18.0.9 kernel 1 ID7 [a@1 b="x\\]y"][c@2 d="e"] \ufeffdrop {DROP}',
        f"2026-11-21T10:00:00+01:00 198.18.0.9 kernel: drop {DROP}",
    ],
)
def test_plain_syslog_lines_are_read_by_their_rfc(line: str) -> None:
    claim = only(line)
    assert (str(claim.accused), claim.sender) == ("198.18.4.7", "198.18.0.9")


def test_the_transport_s_address_goes_before_the_name_in_the_line() -> None:
    line = opened('{"hostname":"dns1","fromhost-ip":"192.0.2.1","msg":"x y"}', kafka_ns=NOW)
    assert isinstance(line, LogLine)
    assert line.sender == "192.0.2.1"


def test_the_collector_s_receipt_is_the_time_and_a_sender_s_clock_is_not() -> None:
    claim = only(
        json.dumps(
            {"msg": f"drop {DROP}", "timegenerated": "2026-11-10T10:00:00Z", "timereported": "1970-01-01T00:00:00Z"}
        )
    )
    assert claim.at_ns == NOW  # days away from the broker's stamp: void
    near = only(json.dumps({"msg": f"drop {DROP}", "timegenerated": "2026-11-18T15:06:40.25Z"}))
    assert abs(near.at_ns - NOW) < 86_400 * 10**9


def test_nothing_but_bytes_is_needed_to_accuse_over_ipv6() -> None:
    claim = only("<4>Nov 21 10:00:00 fw kernel: drop " + DROP.replace("198.18.4.7", "2001:db8:7::1"))
    assert claim.accused == ip_address("2001:db8:7::1")


def alert(**more: object) -> dict[str, object]:
    rule = {
        "signature_id": 2200070,
        "signature": "FRAG overlap",
        "severity": 1,
        "category": "Generic",
        "action": "allowed",
    }
    return {
        "event_type": "alert",
        "timestamp": "2026-11-21T10:00:00.1+0000",
        "src_ip": "203.0.113.9",
        "dest_ip": "198.18.4.7",
        "alert": rule,
        **more,
    }


@pytest.mark.parametrize("number", ["²", "١٢", "9" * 40, -1, None])
def test_an_alert_whose_numbers_are_none_is_read_all_the_same(number: object) -> None:
    rule = {"signature_id": number, "signature": "FRAG overlap", "severity": number, "action": "allowed"}
    claim = only(json.dumps(alert(src_ip="198.18.4.7", dest_ip="203.0.113.9", alert=rule)))
    assert str(claim.accused) == "198.18.4.7"


def test_an_alert_on_a_reply_accuses_the_flow_s_initiator() -> None:
    claim = only(json.dumps(alert(flow={"src_ip": "198.18.4.7", "dest_ip": "203.0.113.9"})))
    assert (str(claim.accused), str(claim.peer)) == ("198.18.4.7", "203.0.113.9")
    assert (claim.witness, claim.traffic) == (Witness.IDS, TrafficClass.FRAGMENTS)


def test_the_rule_s_own_target_goes_before_the_flow() -> None:
    rule = {
        "signature_id": 1,
        "signature": "x",
        "severity": 2,
        "source": {"ip": "198.18.9.9"},
        "target": {"ip": "203.0.113.1"},
    }
    claim = only(json.dumps(alert(alert=rule, flow={"src_ip": "198.18.4.7", "dest_ip": "203.0.113.9"})))
    assert str(claim.accused) == "198.18.9.9"


def test_an_event_without_a_source_is_heard_and_claims_nothing() -> None:
    logs = LogReader().frame(
        json.dumps(
            {"event_type": "anomaly", "anomaly": {"type": "decode", "event": "decoder.ipv4.trunc_pkt"}}
        ).encode(),
        kafka_ns=NOW,
    )
    assert (logs.received, len(logs.heard), logs.claims) == (1, 1, ())


def test_an_alert_inside_syslog_is_read_with_its_prefix_and_when_it_was_cut() -> None:
    body = "@cee: " + json.dumps(alert())
    whole = only(json.dumps({"msg": body, "fromhost-ip": "198.18.0.5", "programname": "suricata"}))
    assert whole.sender == "198.18.0.5"
    at = body.index('"severity"') + 14
    logs = LogReader().frame(json.dumps({"msg": body[:at], "fromhost-ip": "198.18.0.5"}).encode(), kafka_ns=NOW)
    assert (logs.cut, str(logs.claims[0].accused)) == (1, "203.0.113.9")


def test_a_cut_alert_that_names_nobody_is_a_dead_letter() -> None:
    logs = LogReader().frame(json.dumps({"msg": '@cee: {"event_type":"alert","src'}).encode(), kafka_ns=NOW)
    assert [reject.reason for reject in logs.rejects] == ["cut EVE line"]
    assert (logs.received, len(logs.heard)) == (1, 0)


def test_a_web_exploit_accuses_the_server_that_was_asked_and_names_the_asker() -> None:
    line = REQUEST % "http://192.0.2.9/blogger.com.php"
    claim = only(json.dumps({"msg": line, "fromhost-ip": "198.18.4.7", "programname": "apache2"}))
    assert (str(claim.accused), str(claim.peer), claim.compromise) == ("198.18.4.7", "192.0.2.66", True)


def test_a_picture_from_the_site_itself_is_no_exploit() -> None:
    line = REQUEST % "/images/a.jpg&w=80"
    assert LogReader().frame(line.encode(), kafka_ns=NOW).claims == ()


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "empty frame"),
        (b"\n \n", "empty frame"),
        (b'{"msg":"x', "not JSON"),
        (b'{"a":1}', "no message"),
        (b"[[[x", ""),
        (b'{"msg":' + b"[" * 5000, "nested too deep"),
        (b"x" * (11 << 20), "line over 1 MiB"),
    ],
)
def test_bad_input_is_kept_with_its_reason(frame: bytes, reason: str) -> None:
    logs = LogReader().frame(frame, kafka_ns=NOW)
    assert [reject.reason for reject in logs.rejects] == ([reason] if reason else [])
    assert logs.received == 1


words = st.sampled_from(
    [
        "<4>",
        "{",
        "}",
        '"msg":',
        '"event_type":"alert"',
        "IN=",
        "SRC=",
        "Nov 21 10:00:00 ",
        "\n",
        "@cee:",
        "x",
        "\x00",
        "\udc80",
    ]
)
frames = st.one_of(
    st.binary(max_size=200),
    st.lists(words, max_size=12).map(lambda some: "".join(some).encode("utf-8", "surrogateescape")),
)


@given(frames)
@settings(deadline=None, derandomize=True)
def test_every_line_is_heard_or_rejected_and_nothing_is_raised(frame: bytes) -> None:
    logs = LogReader().frame(frame, kafka_ns=NOW)
    assert logs.received == len(logs.heard) + sum(reject.count for reject in logs.rejects) + logs.skipped


@pytest.mark.parametrize(("pattern", "key"), [("(", "v/p"), ("(?P<wrong>x)", "v/p")])
def test_a_phrase_that_cannot_work_is_refused_at_load(pattern: str, key: str) -> None:
    head = "vendor = 'v'\nwitness = 'firewall'\n[[phrases]]\nname='p'\nkind='symptom'\ntext='t'\nexample='e'\n"
    text = f"{head}pattern = '{pattern}'"
    with pytest.raises(ConfigError) as caught:
        Phrasebook([("v.toml", chapter(text, file="v.toml"))])
    assert caught.value.key == key


class TestCorpus:
    pytestmark = corpus

    def test_a_public_site_s_ordinary_log_gives_no_exploit(self) -> None:
        files = [
            one for one in CORPUS.glob("elastic__examples/**/*") if one.is_file() and one.stat().st_size > 1_000_000
        ]
        assert files
        logs = LogReader().frame(files[0].read_bytes(), kafka_ns=NOW)
        assert logs.received >= 10_000
        assert [claim.text for claim in logs.claims] == []

    @pytest.mark.parametrize(
        ("file", "accused"),
        [
            ("iptables-scan-multi-port", "62.34.17.168"),
            ("mikrotik-scan-multi_ports", "36.97.161.219"),
            ("palo-alto-threat", "1.2.3.6"),
        ],
    )
    def test_recorded_firewall_lines_name_their_source(self, file: str, accused: str) -> None:
        (log,) = CORPUS.glob(f"crowdsecurity__hub/**/{file}.log")
        named = Counter(str(claim.accused) for claim in LogReader().frame(log.read_bytes(), kafka_ns=NOW).claims)
        assert accused in named

    @pytest.mark.parametrize("file", ["CVE-2017-9841", "http_dos_random_uri"])
    def test_recorded_access_logs_of_an_exploit_and_of_a_flood_are_told_apart(self, file: str) -> None:
        (log,) = CORPUS.glob(f"crowdsecurity__hub/**/{file}.log")
        kinds = {claim.kind for claim in LogReader().frame(log.read_bytes(), kafka_ns=NOW).claims}
        assert (ClaimKind.WEB_EXPLOIT in kinds) == file.startswith("CVE")

    def test_recorded_device_messages_are_all_heard(self) -> None:
        files = list(CORPUS.glob("napalm-automation__napalm-logs/**/syslog.msg"))
        assert len(files) > 30
        for one in files:
            logs = LogReader().frame(one.read_bytes(), kafka_ns=NOW)
            assert logs.rejects == (), one


def test_a_sender_that_nobody_knows_is_refused_and_counted() -> None:
    frame = f"<4>Nov 21 10:00:00 198.18.0.9 kernel: drop {DROP}\n<4>Nov 21 10:00:00 203.0.113.1 kernel: drop {DROP}"
    logs = LogReader().frame(frame.encode(), kafka_ns=NOW, knows=lambda sender: sender == "198.18.0.9")
    assert [reject.reason for reject in logs.rejects] == ["unknown sender"]
    assert logs.senders == {"198.18.0.9": (1, NOW)}
    assert len(logs.claims) == 1


def test_a_line_without_any_time_is_kept_as_a_dead_letter() -> None:
    assert [reject.reason for reject in LogReader().frame(b"kernel: x", kafka_ns=0).rejects] == ["no time"]
