"""Answers to what an nft batch asked for: which tables, chains and sets are listed, as text or as JSON."""

import json

from deploy.lab.nft_commands import Batch, Question
from deploy.lab.nft_list import (
    METAINFO,
    Style,
    chain_heads,
    json_chain,
    json_rule,
    json_set,
    json_tables,
    names,
    one_chain,
    one_set,
    rule_line,
    set_blocks,
    tables,
)
from deploy.lab.nft_ruleset import Ruleset, Table


def answer(question: Question, ruleset: Ruleset, style: Style, now: float, *, as_json: bool) -> str:
    """Give one listing."""
    chosen = [t for t in ruleset.tables.values() if not question.family or t.family == question.family]
    if question.what == "table" and question.table:
        chosen = [question.table]
    if as_json:
        return json.dumps({"nftables": _json(question, chosen, now)}) + "\n"
    if question.what == "tables":
        return names(ruleset)
    if question.table and question.chain:
        return one_chain(question.table, question.chain, style)
    if question.table and question.members:
        return one_set(question.table, question.members, style, now=now)
    if question.what in ("chains", "sets"):
        return chain_heads(chosen, style) if question.what == "chains" else set_blocks(chosen, style, now=now)
    return tables(chosen, style, now=now)


def _json(question: Question, chosen: list[Table], now: float) -> list[object]:
    if question.table and question.chain:
        chain = question.chain
        rules = [json_rule(question.table, chain, rule) for rule in chain.rules]
        return [METAINFO, json_chain(question.table, chain), *rules]
    if question.table and question.members:
        return [METAINFO, json_set(question.table, question.members, now=now)]
    return json_tables(chosen, now=now)


def echo(batch: Batch, style: Style) -> str:
    """Give what `-e` repeats: the rules that were added, and the generation they made."""
    lines = [
        f"add rule {table.family} {table.name} {chain.name} {rule_line(rule, style)}\n"
        for table, chain, rule in batch.echo
    ]
    return "".join([*lines, f"# new generation {batch.ruleset.generation} by process 4711 (nft)\n"])
