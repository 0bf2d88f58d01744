"""A decision with all that speaks for it as one zip file, and the proof that such a file is whole. Pure.

The file has a JSON document for each part and `manifest.json` with the SHA-256 of every other part. `moves.json` has
the decision's moves whole; `chain.json` has, from its first move to its last, the links of the ledger's chain, so that
no move of it can have been changed, left out or put in.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.domain.decision import Move, seal

VERSION = 1
MANIFEST = "manifest.json"
STAMP = (1980, 1, 1, 0, 0, 0)
"""The time that every part bears, the earliest that a zip file can: equal contents give equal files."""

LARGEST = 256 * 1024 * 1024
"""Octets to which all parts together may unfold when a file is read."""


def packed(parts: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
    """A zip file of JSON parts by name, with their manifest; `about` stands in the manifest."""
    texts = {f"{name}.json": _text(part) for name, part in parts.items()}
    digests = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    manifest = {"v": VERSION, "about": dict(about), "sha256": digests}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in {**texts, MANIFEST: _text(manifest)}.items():
            file.writestr(zipfile.ZipInfo(name, STAMP), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def links(moves: Sequence[Move]) -> list[dict[str, Any]]:
    """The chain without what its moves are about: those of other decisions are nobody's business here."""
    return [{"sequence": one.sequence, "previous": one.previous, "hash": one.hash} for one in moves]


def faults(content: bytes) -> Iterator[str]:
    """What is wrong with a file that `packed` made, in sentences; nothing when it is whole. Reads no ledger."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if sum(one.file_size for one in file.infolist()) > LARGEST:
                yield f"it unfolds to more than {LARGEST} octets"
                return
            texts = {one.filename: file.read(one) for one in file.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        yield f"it is no zip file that can be read: {error}"
        return
    try:
        manifest = json.loads(texts.pop(MANIFEST))
        digests: dict[str, str] = manifest["sha256"]
        yield from _parts(texts, digests)
        yield from _moves(json.loads(texts["moves.json"]), json.loads(texts["chain.json"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield f"it is not what Cordon packs: {type(error).__name__} {error}"


def _parts(texts: Mapping[str, bytes], digests: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(digests.keys() - texts.keys()):
        yield f"{name} is missing"
    for name in sorted(texts.keys() - digests.keys()):
        yield f"{name} does not stand in the manifest"
    for name in sorted(texts.keys() & digests.keys()):
        if hashlib.sha256(texts[name]).hexdigest() != digests[name]:
            yield f"{name} was changed: its SHA-256 is not the manifest's"


def _moves(moves: Sequence[Mapping[str, Any]], chain: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = {one["sequence"]: one for one in chain}
    before: Mapping[str, Any] | None = None
    for link in chain:
        if before is not None and (link["previous"], link["sequence"]) != (before["hash"], before["sequence"] + 1):
            yield f"the chain breaks at move {link['sequence']}"
        before = link
    if not moves:
        yield "no move is in it"
    for one in moves:
        sealed = seal(
            sequence=one["sequence"],
            decision_id=one["decision_id"],
            by=one["by"],
            before=one["before"] or "",
            after=one["after"],
            at_ns=one["at_ns"],
            actor=one["actor"],
            why=one["why"],
            previous=one["previous"],
        )
        link = known.get(one["sequence"], {})
        if one["hash"] != sealed or (link.get("previous"), link.get("hash")) != (one["previous"], one["hash"]):
            yield f"move {one['sequence']} is not the one that was sealed"


def _text(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, indent=1, allow_nan=False).encode()
