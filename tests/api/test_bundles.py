"""A decision as one file that can be proved whole without Cordon's ledger."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from api.bundles import MANIFEST, faults, packed
from controller.domain.decision import By
from tests.api.house import ENFORCED, House


@pytest.fixture
def content(house: House) -> bytes:
    """The bundle of a decision among whose moves stand another's."""
    one = house.propose("d-1")
    house.propose("d-2", By.APPROVE)
    for number, step in enumerate(ENFORCED):
        one = house.ledger.move(one, step, at_ns=1, actor="ann", why="said")
        house.propose(f"other-{number}")
    answer = house.ask("GET", "/decisions/d-1/bundle.zip")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="cordon-d-1.zip"'
    return bytes(answer.content)


def parts(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {one: json.loads(file.read(one)) for one in file.namelist()}


def tampered(content: bytes, change: Callable[[dict[str, Any]], object], *, cover: bool) -> bytes:
    """The bundle with something changed; `cover`: by somebody who makes the manifest fit."""
    found = parts(content)
    manifest = found.pop(MANIFEST)
    change(found)
    if cover:
        return packed({name.removesuffix(".json"): part for name, part in found.items()}, manifest["about"])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, part in {**found, MANIFEST: manifest}.items():
            file.writestr(name, json.dumps(part, sort_keys=True, indent=1))
    return out.getvalue()


def test_a_bundle_has_every_part_and_is_whole(content: bytes) -> None:
    found = parts(content)
    assert set(found) == {
        f"{name}.json"
        for name in ("decision", "evidence", "moves", "transcripts", "timeline", "chain", "digests", "manifest")
    }
    assert [one["by"] for one in found["moves.json"]] == ["propose", *ENFORCED]
    assert len(found["chain.json"]) > len(found["moves.json"])
    assert {frozenset(one) for one in found["chain.json"]} == {frozenset({"sequence", "previous", "hash"})}
    assert found[MANIFEST]["about"]["head"]["whole"]
    assert list(faults(content)) == []


def test_equal_contents_are_equal_files() -> None:
    assert packed({"a": {"x": 1, "y": 2}}, {}) == packed({"a": {"y": 2, "x": 1}}, {})


@pytest.mark.parametrize("cover", [False, True])
@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda found: found["moves.json"][1].update(actor="somebody else"), "move 4 is not the one"),
        (lambda found: found["moves.json"][1].update(why="another reason"), "move 4 is not the one"),
        (lambda found: found["chain.json"].pop(2), "the chain breaks at move 4"),
        (lambda found: found["chain.json"][2].update(hash="0" * 64), "the chain breaks at move 4"),
        (lambda found: found["moves.json"].clear(), "no move is in it"),
    ],
)
def test_what_was_changed_is_found_also_when_the_manifest_was_made_to_fit(
    content: bytes, change: Callable[[dict[str, Any]], object], found: str, cover: bool
) -> None:
    told = list(faults(tampered(content, change, cover=cover)))
    assert any(found in one for one in told), told
    assert any("SHA-256" in one for one in told) is not cover


def test_a_part_that_is_missing_or_strange_is_named(content: bytes) -> None:
    assert "evidence.json is missing" in list(
        faults(tampered(content, lambda found: found.pop("evidence.json"), cover=False))
    )
    assert "more.json does not stand in the manifest" in list(
        faults(tampered(content, lambda found: found.update({"more.json": 1}), cover=False))
    )


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", packed({}, {}), packed({"moves": 1, "chain": 2}, {})])
def test_what_is_no_bundle_is_told_and_breaks_nothing(content: bytes) -> None:
    assert list(faults(content))
