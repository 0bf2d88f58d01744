"""How nft lists a ruleset, as text and as JSON. Source: nft(8), libnftables-json(5); nftables 1.0.6."""

from collections.abc import Iterable
from dataclasses import dataclass

from deploy.lab.nft_parts import rule_text
from deploy.lab.nft_ruleset import PRIORITIES, Chain, Element, Rule, Ruleset, Set, Table
from deploy.lab.nft_values import show, show_duration, to_json

METAINFO = {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}


@dataclass(frozen=True, slots=True)
class Style:
    """Options of a listing."""

    handles: bool = False
    stateless: bool = False
    terse: bool = False
    numeric: bool = False


def tables(chosen: Iterable[Table], style: Style, *, now: float) -> str:
    """List whole tables, an empty line between what they hold."""
    text = ""
    for table in chosen:
        blocks = [_set(members, style, now=now) for members in table.sets.values()]
        blocks += [_chain(chain, style) for chain in table.chains.values()]
        text += _in_table(table, "\n".join(blocks), style)
    return text


def one_chain(table: Table, chain: Chain, style: Style) -> str:
    """List one chain in its table."""
    return _in_table(table, _chain(chain, style), style, handle=False)


def one_set(table: Table, members: Set, style: Style, *, now: float) -> str:
    """List one set in its table."""
    return _in_table(table, _set(members, style, now=now), style, handle=False)


def _in_table(table: Table, body: str, style: Style, *, handle: bool = True) -> str:
    mark = f" # handle {table.handle}" if style.handles and handle else ""
    return f"table {table.family} {table.name} {{{mark}\n{body}}}\n"


def _chain(chain: Chain, style: Style, *, with_rules: bool = True) -> str:
    lines = [f"\tchain {chain.name} {{" + _handle(chain.handle, style)]
    if chain.comment:
        lines.append(f'\t\tcomment "{chain.comment}"')
    if chain.base:
        base = chain.base
        device = f' device "{base.device}"' if base.device else ""
        level = str(base.priority) if style.numeric else priority(base.priority)
        lines.append(f"\t\ttype {base.kind} hook {base.hook}{device} priority {level}; policy {chain.policy};")
    if with_rules:
        lines += [f"\t\t{rule_line(rule, style)}" for rule in chain.rules]
    return "\n".join([*lines, "\t}"]) + "\n"


def rule_line(rule: Rule, style: Style) -> str:
    """Print one rule."""
    return rule_text(rule.parts, rule.comment, stateless=style.stateless) + _handle(rule.handle, style)


def chain_heads(chosen: Iterable[Table], style: Style) -> str:
    """List chains without their rules."""
    plain = Style(stateless=style.stateless, numeric=style.numeric)
    return "".join(
        _in_table(table, "".join(_chain(chain, plain, with_rules=False) for chain in table.chains.values()), plain)
        for table in chosen
    )


def set_blocks(chosen: Iterable[Table], style: Style, *, now: float) -> str:
    """List the sets of tables that have any."""
    return "".join(
        _in_table(table, "".join(_set(members, style, now=now) for members in table.sets.values()), style)
        for table in chosen
    )


def priority(value: int) -> str:
    """Give a priority by its nearest name, when it is within ten of one."""
    for name, level in PRIORITIES.items():
        if abs(value - level) <= 10:
            away = value - level
            return name + (f" {'+' if away > 0 else '-'} {abs(away)}" if away else "")
    return str(value)


def _set(members: Set, style: Style, *, now: float) -> str:
    lines = [f"\tset {members.name} {{" + _handle(members.handle, style), f"\t\ttype {members.kind.name}"]
    if members.size:
        lines.append(f"\t\tsize {members.size}")
    if members.flags and not (members.flags == ("timeout",) and members.timeout):
        lines.append(f"\t\tflags {','.join(members.flags)}")
    if members.timeout:
        lines.append(f"\t\ttimeout {show_duration(members.timeout * 1000)}")
    if members.auto_merge:
        lines.append("\t\tauto-merge")
    if members.comment:
        lines.append(f'\t\tcomment "{members.comment}"')
    alive = [element for element in members.ordered if element.ends is None or element.ends > now]
    if alive and not style.terse:
        lines.append(_elements(members, alive, style, now=now))
    return "\n".join([*lines, "\t}"]) + "\n"


def _elements(members: Set, alive: list[Element], style: Style, *, now: float) -> str:
    """Elements are wrapped by how wide their type is, two of IPv4 with times or one of IPv6 to a line."""
    shown = [_element(members, element, style, now=now) for element in alive]
    if members.kind.name == "ipv6_addr":
        per_line = 1
    elif members.kind.name == "ipv4_addr":
        per_line = 2 if any(element.ends is not None for element in alive) else 4
    else:
        per_line = 5 if members.kind.name == "inet_service" else 2
    rows = [", ".join(shown[at : at + per_line]) for at in range(0, len(shown), per_line)]
    return "\t\telements = { " + ",\n\t\t\t     ".join(rows) + " }"


def _element(members: Set, element: Element, style: Style, *, now: float) -> str:
    text = show(element.value, members.kind)
    if element.timeout and element.timeout != members.timeout:
        text += f" timeout {show_duration(element.timeout * 1000)}"
    if element.ends is not None and not style.stateless:
        text += f" expires {show_duration(max(0, int((element.ends - now) * 1000)))}"
    return text + (f' comment "{element.comment}"' if element.comment else "")


def _handle(handle: int, style: Style) -> str:
    return f" # handle {handle}" if style.handles else ""


def json_tables(chosen: Iterable[Table], *, now: float) -> list[object]:
    """Give whole tables: each table, its sets and chains, then all rules."""
    items: list[object] = [METAINFO]
    for table in chosen:
        items.append({"table": {"family": table.family, "name": table.name, "handle": table.handle}})
        items += [json_set(table, members, now=now) for members in table.sets.values()]
        items += [json_chain(table, chain) for chain in table.chains.values()]
        items += [json_rule(table, chain, rule) for chain, rule in table.rules()]
    return items


def json_chain(table: Table, chain: Chain) -> object:
    """Give a chain without its rules."""
    shown: dict[str, object] = {
        "family": table.family,
        "table": table.name,
        "name": chain.name,
        "handle": chain.handle,
    }
    if chain.base:
        shown |= {"type": chain.base.kind, "hook": chain.base.hook, "prio": chain.base.priority, "policy": chain.policy}
        if chain.base.device:
            shown["dev"] = chain.base.device
    return {"chain": shown}


def json_rule(table: Table, chain: Chain, rule: Rule) -> object:
    """Give a rule."""
    shown: dict[str, object] = {
        "family": table.family,
        "table": table.name,
        "chain": chain.name,
        "handle": rule.handle,
    }
    if rule.comment:
        shown["comment"] = rule.comment
    shown["expr"] = [part.json() for part in rule.parts]
    return {"rule": shown}


def json_set(table: Table, members: Set, *, now: float) -> object:
    """Give a set with its elements."""
    shown: dict[str, object] = {
        "family": table.family,
        "name": members.name,
        "table": table.name,
        "type": members.kind.name,
        "handle": members.handle,
    }
    if members.comment:
        shown["comment"] = members.comment
    if members.size:
        shown["size"] = members.size
    if members.flags:
        shown["flags"] = list(members.flags)
    if members.timeout:
        shown["timeout"] = members.timeout
    elements = [_json_element(members, element, now) for element in members.ordered if _alive(element, now)]
    if elements:
        shown["elem"] = elements
    return {"set": shown}


def _alive(element: Element, now: float) -> bool:
    return element.ends is None or element.ends > now


def _json_element(members: Set, element: Element, now: float) -> object:
    value = to_json(element.value, members.kind)
    if element.ends is None and not element.comment:
        return value
    shown: dict[str, object] = {"val": value}
    if element.comment:
        shown["comment"] = element.comment
    if element.ends is not None:
        timeout = element.timeout or members.timeout
        shown |= {"timeout": timeout, "expires": max(0, int(element.ends - now))}
    return {"elem": shown}


def names(ruleset: Ruleset) -> str:
    """List the tables by name alone."""
    return "".join(f"table {table.family} {table.name}\n" for table in ruleset.tables.values())
