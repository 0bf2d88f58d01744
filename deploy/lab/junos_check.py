"""What a commit refuses: references to what is not there, statements that lack their other half.

Source: Junos OS CLI user guide ("commit check"), firewall filter and policer statements. A refusal names the statement
as `[edit path]`, then the line, then the reason.
"""

from deploy.lab.junos_tree import Tree, below, value, values

_FAMILIES = ("inet", "inet6", "ethernet-switching")


def faults(tree: Tree) -> list[str]:
    """The lines that a failing commit prints; empty when the configuration can be committed."""
    found = [*_policers(tree), *_vlans(tree)]
    if found:
        return found
    found = [*_ports(tree), *_filters(tree)]
    return [*found, "error: configuration check-out failed"] if found else []


def _edit(path: tuple[str, ...], statement: str, reason: str) -> list[str]:
    return [f"[edit {' '.join(path)}]", f"  '{statement}'", f"    {reason}"]


def _policers(tree: Tree) -> list[str]:
    for step in below(tree, ("firewall",)) or {}:
        if not step.startswith("policer "):
            continue
        path = ("firewall", step, "if-exceeding")
        for word in ("bandwidth-limit", "burst-size-limit"):
            if below(tree, path) is not None and not value(tree, path, word):
                head = f"[edit {' '.join(path[:-1])}]"
                reason = f"    Missing mandatory statement: '{word}'"
                return [head, "  'if-exceeding'", reason, "error: commit failed: (missing mandatory statements)"]
    return []


def _vlans(tree: Tree) -> list[str]:
    for name in below(tree, ("vlans",)) or {}:
        number = value(tree, ("vlans", name), "vlan-id")
        if number and not 1 <= int(number) <= 4094:
            return [*_edit(("vlans", name), f"vlan-id {number}", "vlan-id must be between 1 and 4094"), _FAILED]
    return []


_FAILED = "error: configuration check-out failed"


def _defined(tree: Tree, family: str, name: str) -> bool:
    return below(tree, ("firewall", f"family {family}", f"filter {name}")) is not None


def _ports(tree: Tree) -> list[str]:
    found: list[str] = []
    for port, body in (below(tree, ("interfaces",)) or {}).items():
        for unit in [step for step in body if step.startswith("unit ")]:
            for family in _FAMILIES:
                path = ("interfaces", port, unit, f"family {family}")
                for word in ("input", "output"):
                    name = value(tree, (*path, "filter"), word)
                    if name and not _defined(tree, family, name):
                        found += _edit(path, "filter", f"Referenced filter '{name}' is not defined")
                found += _members(tree, f"{port}.{unit.split()[1]}", path) if family == "ethernet-switching" else []
    return found


def _members(tree: Tree, logical: str, path: tuple[str, ...]) -> list[str]:
    members = values(tree, (*path, "vlan"), "members")
    known = below(tree, ("vlans",)) or {}
    found: list[str] = []
    for name in members:
        numeric = all(part.isdigit() for part in name.split("-"))
        if name not in ("all", "default") and name not in known and not numeric:
            found += _edit((*path, "vlan"), f"members {name}", f"Referenced vlan '{name}' is not defined")
    if value(tree, path, "interface-mode") != "trunk" and len(members) > 1:
        found.append(
            f"error: Access interface <{logical}> has more than one vlan member: <{members[0]}> and <{members[1]}>"
        )
    return found


def _filters(tree: Tree) -> list[str]:
    found: list[str] = []
    for family in _FAMILIES:
        path: tuple[str, ...] = ("firewall", f"family {family}")
        for name, body in (below(tree, path) or {}).items():
            for term in [step for step in body if step.startswith("term ")]:
                policer = value(tree, (*path, name, term, "then"), "policer")
                if policer and below(tree, ("firewall", f"policer {policer}")) is None:
                    where = (*path, name, term, "then")
                    found += _edit(where, f"policer {policer}", f"Referenced policer '{policer}' is not defined")
    for name in below(tree, ("vlans",)) or {}:
        bound = value(tree, ("vlans", name, "forwarding-options", "filter"), "input")
        if bound and not _defined(tree, "ethernet-switching", bound):
            found += _edit(
                ("vlans", name, "forwarding-options"), "filter", f"Referenced filter '{bound}' is not defined"
            )
    return found
