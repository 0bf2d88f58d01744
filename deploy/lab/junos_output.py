"""The pipes of the Junos CLI: `| match`, `| count`, `| display set` and their like.

Source: Junos OS CLI user guide, "Filtering operational mode command output". `match` and `except` ignore case.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from deploy.lab.junos_schema import Kind, Node, Path, descend, node_of
from deploy.lab.junos_tree import Tree, as_set, braces, ordered

_PIPES = ("count", "display", "except", "find", "hold", "last", "match", "no-more", "trim")
_NO_MORE = "no-more"


@dataclass(frozen=True, slots=True)
class Output:
    """Lines to print, and the statements that they show when they show configuration."""

    lines: tuple[str, ...]
    tree: Tree | None = None
    path: Path = ()


@dataclass(slots=True)
class BadPipe(Exception):
    """A pipe that the CLI does not know; `word` is what it stumbled over."""

    word: str


def configuration(tree: Tree, path: Path) -> Output:
    """A part of a configuration with braces."""
    return Output(tuple(braces(tree, descend(path))), tree, path)


def piped(output: Output, stages: list[str]) -> tuple[list[str], bool]:
    """What is left after all stages, and whether paging is on; raises BadPipe."""
    paged = True
    for stage in stages:
        words = stage.split(maxsplit=1)
        fitting = [name for name in _PIPES if words and name.startswith(words[0])]
        if len(fitting) != 1:
            raise BadPipe(words[0] if words else "")
        paged = paged and fitting[0] != _NO_MORE
        output = _stage(output, fitting[0], words[1].strip() if len(words) > 1 else "")
    return list(output.lines), paged


def _stage(output: Output, name: str, argument: str) -> Output:
    lines = output.lines
    if name == "display":
        return _display(output, argument)
    if name == "count":
        return Output((f"Count: {len(lines)} lines",))
    if name in (_NO_MORE, "hold"):
        return output
    if not argument:
        raise BadPipe(name)
    if name in ("last", "trim"):
        if not argument.isdigit():
            raise BadPipe(argument)
        return Output(lines[-int(argument) :] if name == "last" else tuple(line[int(argument) :] for line in lines))
    try:
        wanted = re.compile(argument.strip('"'), re.IGNORECASE)
    except re.error as error:
        raise BadPipe(argument) from error
    if name == "find":
        first = next((at for at, line in enumerate(lines) if wanted.search(line)), len(lines))
        return Output(lines[first:])
    return Output(tuple(line for line in lines if bool(wanted.search(line)) == (name == "match")))


def _display(output: Output, form: str) -> Output:
    if output.tree is None or form not in ("set", "json", "xml", "inheritance"):
        raise BadPipe(form or "display")
    node, tree, path = descend(output.path), output.tree, output.path
    if form == "set":
        return Output(tuple(as_set(tree, node, "".join(f"{step} " for step in path))))
    if form == "inheritance":
        return output
    whole: Tree = tree
    for step in reversed(path):
        whole = {step: whole}
    if form == "json":
        text = json.dumps({"configuration": _json(whole, descend(()))}, indent=4)
        return Output(tuple(text.splitlines()))
    body = [f"    {line}" for line in _xml(whole, descend(()))]
    return Output(("<rpc-reply>", "  <configuration>", *body, "  </configuration>", "</rpc-reply>"))


def _json(tree: Tree, node: Node) -> dict[str, object]:
    shown: dict[str, object] = {}
    for step in ordered(tree, node):
        child = node_of(node, step)
        word, _, name = step.partition(" ")
        if child.kind is Kind.CONTAINER or (child.kind is Kind.ENTRY and not child.value):
            place = shown
            for part in step.split()[:-1]:
                nested = place.setdefault(part, {})
                place = nested if isinstance(nested, dict) else {}
            place[step.split()[-1]] = _json(tree[step], child)
        elif child.kind in (Kind.ENTRY, Kind.ORDERED):
            bare = "*" in node.below and child is node.below["*"]
            entries = shown.setdefault(_plural(bare, tree, word), [])
            if isinstance(entries, list):
                entries.append({"name": (word if bare else name).strip('"'), **_json(tree[step], child)})
        elif child.kind is Kind.VALUES:
            found = shown.setdefault(word, [])
            if isinstance(found, list):
                found.append(name)
        else:
            shown[word] = name.strip('"') if child.kind is Kind.LEAF else [None]
    return shown


def _plural(bare: bool, tree: Tree, word: str) -> str:
    if not bare:
        return word
    return "interface" if any(step.partition("-")[0] in ("ge", "xe", "et", "mge") for step in tree) else "vlan"


def _xml(tree: Tree, node: Node) -> Iterator[str]:
    for step in ordered(tree, node):
        child = node_of(node, step)
        word, _, name = step.partition(" ")
        text = escape(name.strip('"'))
        if child.kind in (Kind.LEAF, Kind.VALUES):
            yield f"<{word}>{text}</{word}>"
        elif child.kind is Kind.FLAG:
            yield f"<{word}/>"
        else:
            named = child.value and child.kind in (Kind.ENTRY, Kind.ORDERED)
            bare = "*" in node.below and child is node.below["*"]
            tags = [_plural(True, tree, word)] if bare else [word] if named else step.split()
            yield "".join(f"<{tag}>" for tag in tags)
            if named:
                yield f"    <name>{escape(word if bare else name)}</name>"
            yield from (f"    {line}" for line in _xml(tree[step], child))
            yield "".join(f"</{tag}>" for tag in reversed(tags))
