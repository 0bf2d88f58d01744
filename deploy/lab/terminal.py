"""A terminal as a remote person or program meets it: echo, line editing, the pager, control keys.

Pure: keys in, text out. The device behind it is asked line by line through `Ask`, which may take its time.
"""

from collections import deque
from collections.abc import Awaitable, Callable

from deploy.lab.device import Cli, Reply

Write = Callable[[str], None]
Ask = Callable[[str], Awaitable[Reply | None]]

MORE = " --More-- "
ERASE = "\r" + " " * len(MORE) + "\r"
CANCEL, DELETE, BACKSPACE, KILL_LINE, END_OF_TRANSMISSION, SUBSTITUTE, ESCAPE = "\x03\x7f\x08\x15\x04\x1a\x1b"


class Terminal:
    """One interactive login. `feed` takes keys as they arrive; it is True as long as the session lives."""

    def __init__(self, cli: Cli, *, write: Write, ask: Ask) -> None:
        self._cli = cli
        self._write = write
        self._ask = ask
        self._typed: list[str] = []
        self._pages: deque[str] = deque()
        self._after_return = False
        self._in_escape = False

    def start(self) -> None:
        """Print the greeting and the first prompt."""
        self._print(self._cli.greeting())
        self._write(self._cli.prompt)

    async def feed(self, keys: str) -> bool:
        """Act on each key in turn; False when the session is over and the rest of the keys is lost."""
        for key in keys:
            if not await self._key(key):
                return False
        return True

    async def _key(self, key: str) -> bool:
        newline_of_pair, self._after_return = self._after_return and key == "\n", key == "\r"
        if newline_of_pair:
            return True
        if self._in_escape:
            self._in_escape = not (key.isalpha() or key == "~")
            return True
        if self._pages:
            self._page(key)
            return True
        return await self._edit(key)

    async def _edit(self, key: str) -> bool:
        if key in "\r\n":
            self._write("\r\n")
            return await self._enter("".join(self._typed))
        if key == SUBSTITUTE:
            self._write("^Z\r\n")
            return await self._enter("".join(self._typed) + SUBSTITUTE)
        if key == END_OF_TRANSMISSION and not self._typed:
            return False
        if key == CANCEL:
            self._typed.clear()
            self._write("^C\r\n" + self._cli.prompt)
        elif key in (DELETE, BACKSPACE):
            if self._typed:
                self._typed.pop()
                self._echo("\b \b")
        elif key == KILL_LINE:
            self._echo("\b \b" * len(self._typed))
            self._typed.clear()
        elif key == ESCAPE:
            self._in_escape = True
        elif key.isprintable() or key == "\t":
            self._typed.append(key)
            self._echo(key)
        return True

    async def _enter(self, line: str) -> bool:
        self._typed.clear()
        reply = await self._ask(line)
        if reply is None:
            return False
        self._print(reply.text)
        if reply.close:
            return False
        self._pages.extend(reply.pages)
        self._next_page()
        return True

    def _page(self, key: str) -> None:
        """Space shows the next page, Return one line of it, q leaves; any other key is ignored."""
        if key == " ":
            self._write(ERASE)
            self._next_page()
        elif key in "\r\n":
            self._write(ERASE)
            line, _, rest = self._pages[0].partition("\n")
            self._print(line)
            if rest:
                self._pages[0] = rest
            else:
                self._pages.popleft()
            self._write(MORE if self._pages else self._cli.prompt)
        elif key in "qQ":
            self._pages.clear()
            self._write(ERASE + self._cli.prompt)

    def _next_page(self) -> None:
        if self._pages:
            self._print(self._pages.popleft())
        self._write(MORE if self._pages else self._cli.prompt)

    def _print(self, text: str) -> None:
        if text:
            self._write(text.replace("\r\n", "\n").replace("\n", "\r\n"))
            if not text.endswith("\n"):
                self._write("\r\n")

    def _echo(self, text: str) -> None:
        if self._cli.mode != "password":
            self._write(text)
