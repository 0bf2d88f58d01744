"""Editing the numbered entries of a Catalyst's access lists.

Source: Cisco IOS security configuration guide, "IP Access List Entry Sequence Numbering" and "IPv6 ACLs".
"""

import re

from deploy.lab.ios_acl import read_entry, sequence
from deploy.lab.ios_commands import LISTS
from deploy.lab.ios_grammar import Invalid, Match, Rejected
from deploy.lab.ios_tree import Tree

_MISSING = "%Access list entry does not exist\n"


def add_entry(running: Tree, path: tuple[str, ...], line: str) -> str:
    """Write one permit or deny line, at its number or behind the last. The same line again changes nothing."""
    wanted, bare = sequence(line)
    kind = _kind(path)
    if kind == "mac" and wanted is not None:
        raise Invalid(0)
    entry = read_entry(bare, kind)
    known = _texts(running, path)
    if wanted is None and entry.text in known.values():
        return ""
    if wanted is not None and known.get(str(wanted), entry.text) != entry.text:
        raise Rejected("% Duplicate sequence number\n% Failed to add ace to access-list\n")
    _write(running, path, _number(running, path, wanted), entry.text)
    return ""


def add_remark(running: Tree, path: tuple[str, ...], match: Match) -> str:
    """Write a remark, which takes a number as an entry does."""
    wanted = int(match.values["seq"]) if "seq" in match.values else None
    _write(running, path, _number(running, path, wanted), f"remark {match.values['text']}")
    return ""


def drop_entry(running: Tree, path: tuple[str, ...], number: str) -> str:
    """Take out the entry with this number."""
    if not running.drop(path, number):
        raise Rejected(_MISSING)
    return ""


def drop_text(running: Tree, path: tuple[str, ...], line: str) -> str:
    """Take out the entry that reads like the line behind its `no`."""
    entry = read_entry(line.replace("no ", "   ", 1), _kind(path))
    for slot, text in _texts(running, path).items():
        if text == entry.text:
            running.drop(path, slot)
            return ""
    raise Rejected(_MISSING)


def resequence(running: Tree, match: Match) -> str:
    """Give the entries of an IPv4 list new numbers, in their order."""
    start, step = int(match.values["start"]), int(match.values["step"])
    for kind in ("extended", "standard"):
        path = (f"ip access-list {kind} {match.values['name']}",)
        texts = sorted(_texts(running, path).items(), key=lambda item: int(item[0]))
        for slot, _ in texts:
            running.drop(path, slot)
        for place, (_, text) in enumerate(texts):
            _write(running, path, start + place * step, text)
    return ""


def _kind(path: tuple[str, ...]) -> str:
    return LISTS[path[0].rsplit(maxsplit=1)[0]][1]


def _texts(running: Tree, path: tuple[str, ...]) -> dict[str, str]:
    return {slot: re.sub(r"^(sequence )?\d+ ", "", entry.line) for slot, entry in running.body(path).items()}


def _number(running: Tree, path: tuple[str, ...], wanted: int | None) -> int:
    taken = [int(slot) for slot in running.body(path)]
    return wanted if wanted is not None else (max(taken) // 10 + 1) * 10 if taken else 10


def _write(running: Tree, path: tuple[str, ...], number: int, text: str) -> None:
    kind = _kind(path)
    line = text if kind == "mac" else f"sequence {number} {text}" if kind == "ipv6" else f"{number} {text}"
    running.put(path, str(number), line)
