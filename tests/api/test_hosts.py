from controller.domain.address import AttachmentKey, HostKey, SubjectKey, address_of
from controller.domain.decision import By
from controller.domain.verdict import Finding, Level, Rates, Verdict
from tests.api.house import ENFORCED, House
from tests.controller.ledger_cases import NOON_NS, flood


def heard(house: House, subject: SubjectKey, *, score: float = 95.0, level: Level = Level.ISOLATE) -> None:
    verdict = Verdict(subject, NOON_NS, score, level, Finding.OFFENDER, (flood(),), Rates(bits=9e7))
    house.ledger.take_in(verdicts=(verdict,), heartbeats=(), dead=(), offsets={})


def test_hosts_are_listed_worst_first_with_their_owners(house: House) -> None:
    heard(house, HostKey(address_of("198.18.0.8")), score=50.0, level=Level.WATCH)
    heard(house, HostKey(address_of("2001:db8::7")))
    heard(house, HostKey(address_of("198.18.9.9")), score=3.0, level=Level.CLEAR)
    found = house.get("/hosts")
    assert [(one["host"], one["level"]) for one in found["items"]] == [
        ("vps-1", "isolate"),
        ("dns-1", "watch"),
        ("", "clear"),
    ]
    assert found["items"][0]["evidence"][0]["text"].startswith("sends 90.0 Mbit/s")
    assert found["items"][0]["rates"]["bits"] == 9e7
    assert house.get("/hosts", level="watch")["total"] == 2
    assert house.get("/hosts", min_score=60)["total"] == 1


def test_a_host_is_shown_by_its_name_and_by_each_of_its_addresses(house: House) -> None:
    heard(house, HostKey(address_of("2001:db8::7")))
    house.propose("d-1", host="vps-1")
    by_name = house.get("/hosts/vps-1")
    assert by_name["host"]["tenant"] == "tenant-a"
    assert by_name["neighbours"] == ["dns-1"]
    assert [one["subject"] for one in by_name["verdicts"]] == ["host:2001:db8::7"]
    assert [one["id"] for one in by_name["decisions"]] == ["d-1"]
    for name in ("198.18.0.7", "2001:db8::7", "host:198.18.0.7", "::ffff:198.18.0.7"):
        assert house.get(f"/hosts/{name}") == by_name


def test_an_address_out_of_a_prefix_that_is_routed_to_a_host_is_that_host(house: House) -> None:
    heard(house, HostKey(address_of("2001:db8:0:8::1234")))
    assert house.get("/hosts/2001:db8:0:8::1")["host"]["name"] == "dns-1"
    assert len(house.get("/hosts/dns-1")["verdicts"]) == 1


def test_an_attachment_is_the_host_whose_mac_it_carries_and_nobody_without_one(house: House) -> None:
    exporter = address_of("192.0.2.1")
    heard(house, AttachmentKey(exporter, 3, "02:00:00:00:00:07"))
    heard(house, AttachmentKey(exporter, 3))
    assert [one["host"] for one in house.get("/hosts")["items"]] == ["", "vps-1"]
    assert house.get("/hosts/vps-1")["verdicts"][0]["subject"] == "attachment:192.0.2.1#3/02:00:00:00:00:07"
    shown = house.ask("GET", "/hosts/attachment:192.0.2.1%233")
    assert shown.json()["host"] is None
    assert len(shown.json()["verdicts"]) == 1


def test_a_name_that_nobody_has_is_not_found(house: House) -> None:
    assert house.ask("GET", "/hosts/nobody").status_code == 404
    assert house.ask("GET", "/explain/nobody").status_code == 404


def test_an_explanation_tells_evidence_decision_and_what_was_before(house: House) -> None:
    house.propose("d-0", By.REJECT, host="vps-1", created_ns=NOON_NS - 172_800_000_000_000)
    heard(house, HostKey(address_of("198.18.0.7")))
    house.propose("d-1", *ENFORCED, host="vps-1")
    told = house.get("/explain/198.18.0.7")
    assert (told["host"], told["decision_id"]) == ("vps-1", "d-1")
    text = " ".join(told["sentences"])
    for part in (
        "vps-1 (vps, tenant tenant-a) hangs on hv-1/eth0.",
        "score as host:198.18.0.7 was 95 of 100 (isolate); it is taken to be an offender.",
        "Evidence (flow, 192.0.2.1): sends 90.0 Mbit/s, 2,000 times its own 45.0 kbit/s.",
        "Decision d-1 of 2027-01-15 08:00:00 UTC (block_address) is enforced.",
        "Allowed by blast_radius: 1 of at most 4 on sw-1.",
        "It ends at 2027-01-15 09:00:00 UTC.",
        "It was loud before: 2027-01-13 08:00:00 UTC.",
    ):
        assert part in text


def test_an_explanation_of_a_quiet_protected_host_says_so(house: House) -> None:
    assert house.get("/explain/dns-1")["sentences"] == [
        "dns-1 (dns, tenant ours) hangs on hv-1/eth0.",
        "Its role, dns, is protected: no automatic fence may name it.",
        "The streams say nothing of it now.",
        "Nothing was decided about it.",
    ]


def test_an_address_of_nobody_is_explained_as_that(house: House) -> None:
    assert house.get("/explain/203.0.113.1")["sentences"][0] == "203.0.113.1 is no host of the estate."


def test_the_estate_is_shown_without_its_secrets(house: House) -> None:
    assert house.get("/estate")["hosts"] == 2
    pages = [house.ask("GET", f"/estate{path}") for path in ("", "/segments", "/devices", "/ports", "/hosts")]
    for page in pages:
        assert page.status_code == 200
        for secret in ("cordon-login", "CORDON_SECRET_PLACE", "secret-key"):
            assert secret not in page.text
    assert pages[2].json()["items"][0]["exporter"] == "192.0.2.1"
    assert pages[3].json()["items"][0]["hosts"] == ["vps-1", "dns-1"]


def test_the_estate_comes_in_pages(house: House) -> None:
    page = house.get("/estate/hosts", limit=1, offset=1)
    assert ([one["name"] for one in page["items"]], page["total"]) == (["dns-1"], 2)
    assert house.get("/estate/hosts", tenant="tenant-a")["total"] == 1
    assert house.get("/estate/ports", device="elsewhere")["total"] == 0
