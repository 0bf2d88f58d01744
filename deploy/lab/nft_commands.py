"""What nft's commands do to a ruleset: all of a batch or nothing. Source: nft(8); nftables 1.0.6 for errors."""

from dataclasses import dataclass, field

from deploy.lab.nft_blocks import BlockReader
from deploy.lab.nft_elements import add_elements, elements, remove_elements
from deploy.lab.nft_ruleset import FAMILIES, Chain, Rule, Ruleset, Set, Table
from deploy.lab.nft_words import NftError, Place, Word, Words

UNKNOWN = "No such file or directory"
MISSING = "Could not process rule: No such file or directory"
BUSY = "Could not process rule: Device or resource busy"
EXISTS = "Could not process rule: File exists"


@dataclass(frozen=True, slots=True)
class Question:
    """A listing that was asked for: what, and of which table, chain or set."""

    what: str
    family: str = ""
    table: Table | None = None
    chain: Chain | None = None
    members: Set | None = None


@dataclass(slots=True)
class Batch:
    """Reads and does one batch on a ruleset that belongs to it alone; NftError leaves the rest undone."""

    words: Words
    ruleset: Ruleset
    now: float
    questions: list[Question] = field(default_factory=list)
    changed: bool = False
    echo: list[tuple[Table, Chain, Rule]] = field(default_factory=list)

    def run(self) -> None:
        """Do every command of the batch."""
        words = self.words
        words.skip_newlines()
        while words.here.kind != "end":
            verb = words.take()
            match verb.text:
                case "add" | "create" | "insert" | "replace":
                    self._add(verb)
                case "delete":
                    self._delete()
                case "flush":
                    self._flush()
                case "list":
                    self._list()
                case "get":
                    self._get()
                case "table":
                    self._table(verb)
                case _:
                    if words.here.kind != "word" and verb.kind == "word":
                        words.unexpected(", expecting string")
                    words.at -= 1
                    words.unexpected()
            if not words.at_end:
                words.unexpected()
            words.skip_newlines()

    def _add(self, verb: Word) -> None:
        words = self.words
        self.changed = True
        what = words.here
        if verb.text in ("insert", "replace") and what.text != "rule":
            words.unexpected(", expecting rule")
        match what.text:
            case "table":
                words.take()
                self._table(verb)
            case "chain" | "set":
                words.take()
                table, _ = self._find_table()
                BlockReader(words, table, self.now).declare(what.text, create=verb.text == "create")
            case "rule":
                words.take()
                self._add_rule(verb)
            case "element":
                words.take()
                _, members = self._find_set()
                add_elements(members, elements(words, members), now=self.now, create=verb.text == "create")
            case _ if words.at_end:
                words.unexpected(", expecting string")
            case _ if verb.text == "add" and (what.text in FAMILIES or what.kind == "word"):
                self._add_rule(verb)
            case _:
                words.unexpected()

    def _table(self, verb: Word) -> None:
        words = self.words
        family = self._family()
        spot = words.here.place
        name = words.name().text
        table = self.ruleset.tables.get((family, name))
        if table and verb.text == "create":
            raise NftError(EXISTS, spot)
        if table is None:
            self.ruleset.last_handle += 1
            table = Table(family, name, self.ruleset.last_handle)
            self.ruleset.tables[family, name] = table
        self.changed = True
        if words.accept("{"):
            BlockReader(words, table, self.now).body()

    def _add_rule(self, verb: Word) -> None:
        words = self.words
        table, chain = self._find_chain(MISSING)
        at: int | None = None
        if words.accept("handle", "position", "index"):
            at = self._index(chain)
        elif verb.text == "replace":
            words.unexpected(", expecting handle")
        reader = BlockReader(words, table, self.now)
        if at is None and verb.text == "add":
            rule = reader.add_rule(chain)
        elif verb.text == "replace" and at is not None:
            rule = chain.rules[at] = reader.add_rule(chain, handle=chain.rules[at].handle)
        else:
            rule = reader.add_rule(chain)
            chain.rules.insert((at or 0) if verb.text == "insert" else (at or 0) + 1, chain.rules.pop())
        self.echo.append((table, chain, rule))

    def _delete(self) -> None:
        words = self.words
        what = words.take()
        self.changed = True
        match what.text:
            case "table":
                family = self._family()
                spot = words.here.place
                if self.ruleset.tables.pop((family, words.name().text), None) is None:
                    raise NftError(MISSING, spot)
            case "chain":
                table, chain = self._find_chain(MISSING)
                spot = words.look(-1).place
                targets = {getattr(part, "target", "") for _, rule in table.rules() for part in rule.parts}
                if chain.name in targets:
                    raise NftError(BUSY, spot)
                del table.chains[chain.name]
            case "rule":
                _, chain = self._find_chain(MISSING)
                if not words.accept("handle"):
                    words.unexpected(", expecting handle")
                del chain.rules[self._index(chain)]
            case "set":
                table, members = self._find_set(MISSING)
                used = {id(getattr(part, "named", None)) for _, rule in table.rules() for part in rule.parts}
                if id(members) in used:
                    raise NftError(BUSY, words.look(-1).place)
                del table.sets[members.name]
            case "element":
                _, members = self._find_set()
                remove_elements(members, elements(words, members))
            case _:
                words.at -= what.kind != "end"
                words.unexpected()

    def _flush(self) -> None:
        words = self.words
        what = words.take()
        self.changed = True
        match what.text:
            case "ruleset":
                family = words.take().text if words.here.text in FAMILIES else ""
                kept = {key: table for key, table in self.ruleset.tables.items() if family and key[0] != family}
                self.ruleset.tables = kept
            case "table":
                table, _ = self._find_table()
                for chain in table.chains.values():
                    chain.rules.clear()
            case "chain":
                self._find_chain(MISSING)[1].rules.clear()
            case "set":
                self._find_set(MISSING)[1].elements.clear()
            case _:
                words.at -= what.kind != "end"
                words.unexpected()

    def _list(self) -> None:
        words = self.words
        what = words.take()
        match what.text:
            case "ruleset" | "tables" | "chains" | "sets":
                family = words.take().text if words.here.text in FAMILIES else ""
                self.questions.append(Question(what.text, family))
            case "table":
                self.questions.append(Question("table", table=self._find_table(UNKNOWN)[0]))
            case "chain":
                table, chain = self._find_chain(UNKNOWN)
                self.questions.append(Question("chain", table=table, chain=chain))
            case "set":
                table, members = self._find_set()
                self.questions.append(Question("set", table=table, members=members))
            case _:
                words.at -= what.kind != "end"
                words.unexpected()

    def _get(self) -> None:
        start = self.words.look(-1).place
        self.words.expect("element")
        table, members = self._find_set()
        asked = elements(self.words, members)
        end = self.words.look(-1).place
        found = [element for element in members.elements if any(item.value.low in element.value for _, item in asked)]
        if not found:
            raise NftError(MISSING, Place(start.line, 1, end.column + end.length))
        shown = Set(members.name, members.kind, members.handle, members.flags, members.timeout, elements=found)
        self.questions.append(Question("set", table=table, members=shown))

    def _family(self) -> str:
        words = self.words
        return words.take().text if words.here.text in FAMILIES and words.look(1).kind == "word" else "ip"

    def _find_table(self, missing: str = MISSING) -> tuple[Table, Place]:
        family = self._family()
        spot = self.words.here.place
        table = self.ruleset.tables.get((family, self.words.name().text))
        if table is None:
            raise NftError(missing, spot)
        return table, spot

    def _find_chain(self, missing: str) -> tuple[Table, Chain]:
        table, _ = self._find_table(missing)
        spot = self.words.here.place
        chain = table.chains.get(self.words.name().text)
        if chain is None:
            raise NftError(missing, spot)
        return table, chain

    def _find_set(self, missing: str = UNKNOWN) -> tuple[Table, Set]:
        table, _ = self._find_table(missing)
        spot = self.words.here.place
        members = table.sets.get(self.words.name().text)
        if members is None:
            raise NftError(missing, spot)
        return table, members

    def _index(self, chain: Chain) -> int:
        word = self.words.here
        if not word.text.isdigit():
            self.words.unexpected(", expecting number")
        self.words.take()
        found = [index for index, rule in enumerate(chain.rules) if rule.handle == int(word.text)]
        if not found:
            raise NftError(MISSING, word.place)
        return found[0]
