"""A Junos configuration as nested statements: setting, deleting, moving, printing and comparing.

Sources: Junos OS CLI user guide (set, delete, insert, show | compare, display set). The text of a statement is its key:
`unit 0`, `vlan-id 100`, `disable`.
"""

from collections.abc import Iterator
from copy import deepcopy

from deploy.lab.junos_schema import ROOT, Kind, Node, Path, descend, node_of, place

Tree = dict[str, "Tree"]


def put(tree: Tree, path: Path) -> bool:
    """Set one statement; a leaf's other value goes. False when it was set already."""
    level, node, changed = tree, ROOT, False
    for step in path:
        node = node_of(node, step)
        if node.kind is Kind.LEAF:
            word = step.split()[0]
            for other in [key for key in level if key.split()[0] == word and key != step]:
                del level[other]
        if step not in level:
            level[step] = {}
            changed = True
        level = level[step]
    return changed


def below(tree: Tree, path: Path) -> Tree | None:
    """The statements below a path; None when it is not set."""
    level = tree
    for step in path:
        if step not in level:
            return None
        level = level[step]
    return level


def value(tree: Tree, path: Path, word: str) -> str:
    """The value of a leaf below a path, without quotes; "" when it is not set."""
    for key in below(tree, path) or {}:
        if key.split()[0] == word:
            return key.partition(" ")[2].strip('"')
    return ""


def values(tree: Tree, path: Path, word: str) -> list[str]:
    """All values of a statement below a path."""
    return [key.partition(" ")[2].strip('"') for key in below(tree, path) or {} if key.split()[0] == word]


def drop(tree: Tree, path: Path) -> bool:
    """Delete a statement, or all values of a keyword; containers left empty go too. False when nothing was set."""
    parent = below(tree, path[:-1])
    if parent is None:
        return False
    last = path[-1]
    bare = last not in parent
    gone = [key for key in parent if key == last or (bare and key.split()[0] == last)]
    for key in gone:
        del parent[key]
    if gone:
        _prune(tree, path[:-1])
    return bool(gone)


def _prune(tree: Tree, path: Path) -> None:
    while path and not below(tree, path) and descend(path).kind is Kind.CONTAINER:
        parent = below(tree, path[:-1])
        if parent is not None:
            parent.pop(path[-1], None)
        path = path[:-1]


def move(tree: Tree, path: Path, where: str, other: str) -> bool:
    """Put an ordered entry `before` or `after` another of its parent; False when either is missing."""
    parent = below(tree, path[:-1])
    if parent is None or path[-1] not in parent or other not in parent:
        return False
    keys = [key for key in parent if key != path[-1]]
    keys.insert(keys.index(other) + (where == "after"), path[-1])
    kept = {key: parent[key] for key in keys}
    parent.clear()
    parent.update(kept)
    return True


def ordered(tree: Tree, node: Node) -> list[str]:
    """The statements of one level in the order in which they are printed."""
    return sorted(tree, key=lambda step: place(node, step))


def braces(tree: Tree, node: Node = ROOT, depth: int = 0) -> Iterator[str]:
    """The configuration with braces and semicolons, four blanks a level."""
    pad = " " * 4 * depth
    done: set[str] = set()
    for step in ordered(tree, node):
        child = node_of(node, step)
        if child.kind is Kind.VALUES:
            word = step.split()[0]
            if word in done:
                continue
            done.add(word)
            found = [key.partition(" ")[2] for key in ordered(tree, node) if key.split()[0] == word]
            if word.endswith("-address"):
                yield f"{pad}{word} {{"
                yield from (f"{pad}    {one};" for one in found)
                yield f"{pad}}}"
            else:
                yield f"{pad}{word} {found[0]};" if len(found) == 1 else f"{pad}{word} [ {' '.join(found)} ];"
        elif step == "then" and list(tree[step]) in (["accept"], ["discard"]):
            yield f"{pad}then {next(iter(tree[step]))};"
        elif tree[step]:
            yield f"{pad}{step} {{"
            yield from braces(tree[step], child, depth + 1)
            yield f"{pad}}}"
        else:
            yield f"{pad}{step};"


def as_set(tree: Tree, node: Node = ROOT, path: str = "") -> Iterator[str]:
    """The configuration as `set` lines, in printing order."""
    for step in ordered(tree, node):
        if tree[step]:
            yield from as_set(tree[step], node_of(node, step), f"{path}{step} ")
        else:
            yield f"set {path}{step}"


def compare(old: Tree, new: Tree, node: Node = ROOT, path: Path = ()) -> list[str]:
    """What `show | compare` prints: per level an [edit] line, then what goes and what comes."""
    lines: list[str] = []
    deeper: list[str] = []
    both = {**old, **new}
    for step in ordered(both, node):
        child = node_of(node, step)
        if step in old and step in new:
            deeper += compare(old[step], new[step], child, (*path, step)) if old[step] != new[step] else []
            continue
        sign, source = ("-", old) if step in old else ("+", new)
        lines += [f"{sign}   {line}" for line in braces({step: source[step]}, node)]
    moved = [key for key in old if key in new and node_of(node, key).kind is Kind.ORDERED]
    if moved != [key for key in new if key in old and node_of(node, key).kind is Kind.ORDERED]:
        lines += [f"!    {key} {{ ... }}" for key in new if key in moved]
    head = [f"[edit{''.join(f' {step}' for step in path)}]"] if lines else []
    return head + lines + deeper


def same(old: Tree, new: Tree) -> bool:
    """True when two configurations mean the same, the order of terms included."""
    return list(as_set(old)) == list(as_set(new))


def merge(base: Tree, edited: Tree, onto: Tree) -> Tree:
    """`onto` with what changed from `base` to `edited`: how a private candidate is committed."""
    result = deepcopy(onto)
    for key in base:
        if key not in edited:
            result.pop(key, None)
    for key, tree in edited.items():
        if key not in base:
            result[key] = merge({}, tree, result.get(key, {}))
        elif tree != base[key] or list(tree) != list(base[key]):
            result[key] = merge(base[key], tree, result.get(key, {}))
    kept = [key for key in edited if key in result]
    return {key: result[key] for key in [*(key for key in result if key not in edited), *kept]}
