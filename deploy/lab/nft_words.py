"""Words of the nft language with their places, and its error messages. Source: nft(8); nftables 1.0.6."""

import re
from dataclasses import dataclass, field

# Words of the scanner that cannot name a table, a chain or a set.
_KEYWORDS = """
    accept add ah arp bridge chain chains comment comp continue counter counters create ct daddr dccp define delete
    drop dst dup element elements esp ether export exthdr fib flags flow flowtable flowtables flush frag fwd get goto
    handle hbh icmp icmpv6 igmp iif iifname inet insert interval ip ip6 jump last limit list log map maps mark
    masquerade meta mh netdev notrack numgen oif oifname osf policy position queue quota redirect reject rename replace
    reset return rt rule rules ruleset saddr sctp secmark set sets size snat socket srh synproxy table tables tcp th
    timeout to tproxy type typeof udp udplite vlan vmap xt
"""
KEYWORDS = frozenset(re.findall(r"\w+", _KEYWORDS))
TOKEN = re.compile(
    r'(?P<blank>[ \t\r]+|\\\n|#[^\n]*)|(?P<newline>\n)|(?P<string>"[^"\n]*")|'
    r"(?P<sign>==|!=|<=|>=|<<|>>|[{}()<>=;,&|^!])|(?P<word>@?[^\s{}()<>=;,&|^!\"#]+)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: line and column from 1, and its length."""

    line: int
    column: int
    length: int


class NftError(Exception):
    """One error of nft with its place, and a second place that it refers to."""

    def __init__(self, message: str, place: Place | None = None, about: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.about = about


@dataclass(frozen=True, slots=True)
class Word:
    """One word: its text without quotes, its kind (word, string, sign, newline, end) and its place."""

    text: str
    kind: str
    place: Place


@dataclass(slots=True)
class Words:
    """A stream of words with one word of foresight."""

    words: list[Word]
    at: int = field(default=0)

    @property
    def here(self) -> Word:
        """The next word."""
        return self.words[self.at]

    def look(self, ahead: int) -> Word:
        """A word further on."""
        return self.words[min(self.at + ahead, len(self.words) - 1)]

    def take(self) -> Word:
        """Take the next word."""
        word = self.here
        if word.kind != "end":
            self.at += 1
        return word

    def accept(self, *texts: str) -> Word | None:
        """Take the next word if it is one of `texts` and not quoted."""
        if self.here.text in texts and self.here.kind != "string":
            return self.take()
        return None

    def expect(self, text: str) -> Word:
        """Take the next word, which must be `text`."""
        return self.accept(text) or self.unexpected(
            f", expecting {text!r}" if len(text) == 1 else f", expecting {text}"
        )

    def name(self) -> Word:
        """Take the next word as the name of something."""
        word = self.here
        if word.kind != "word" or word.text in KEYWORDS or word.text[0].isdigit() or word.text.startswith("@"):
            self.unexpected(", expecting string")
        return self.take()

    def skip_newlines(self) -> None:
        """Pass over line ends and stray semicolons."""
        while self.here.kind == "newline" or self.here.text == ";":
            if self.here.kind == "end":
                return
            self.take()

    @property
    def at_end(self) -> bool:
        """Whether a statement ends here."""
        return self.here.kind in ("newline", "end") or self.here.text in (";", "}")

    def unexpected(self, expecting: str = "") -> Word:
        """Refuse the next word as bison does."""
        word = self.here
        shown = word.text
        if word.kind in ("newline", "end"):
            shown = "newline"
        elif word.kind == "string":
            shown = "quoted string"
        elif word.kind == "sign":
            shown = f"'{word.text}'" if len(word.text) == 1 else word.text
        elif re.fullmatch(r"\d+", word.text):
            shown = "number"
        elif word.text not in KEYWORDS:
            shown = "string"
        raise NftError(f"syntax error, unexpected {shown}{expecting}", word.place)


def scan(text: str) -> Words:
    """Take a text apart into words."""
    words: list[Word] = []
    line, start, at = 1, 0, 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise NftError("syntax error, unexpected junk", Place(line, at - start + 1, 1))
        kind, piece = match.lastgroup or "", match[0]
        if kind != "blank":
            shown = piece[1:-1] if kind == "string" else piece
            words.append(Word(shown, kind, Place(line, at - start + 1, len(piece))))
        at = match.end()
        if "\n" in piece:
            line, start = line + 1, at
    words.append(Word("", "end", Place(line, at - start + 1, 1)))
    return Words(words)


def explain(error: NftError, text: str, source: str | None) -> str:
    """Print an error as nft does: for a file with name and place, then the line with the word marked."""
    place = error.place
    if place is None:
        return f"Error: {error.message}\n"
    lines = text.split("\n")
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    last = place.column + place.length - 1
    head = f"{source}:{place.line}:{place.column}-{last}: " if source else ""
    marks = ["\t" if char == "\t" else " " for char in line.ljust(last)]
    for spot, mark in ((error.about, "~"), (place, "^")):
        if spot:
            marks[spot.column - 1 : spot.column - 1 + spot.length] = mark * spot.length
    return f"{head}Error: {error.message}\n{line}\n{''.join(marks).rstrip()}\n"
