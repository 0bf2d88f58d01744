"""Site and policy as text: what `controller.domain.toml.read` gives back as the same value."""

import dataclasses
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from controller.domain.address import Port


def toml_text(value: Any) -> str:
    """A dataclass of the site or policy file as TOML; fields that have their default are left out."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Any, table: str) -> Iterator[str]:
    tables = []
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if content is None or content == _default(field):
            continue
        if _is_table(content) or _is_list_of_tables(content):
            tables.append((_join(table, field.name), content))
        else:
            yield f"{field.name} = {_value(content)}"
    for name, content in tables:
        for one in content if isinstance(content, tuple) else (content,):
            yield ""
            yield f"[[{name}]]" if isinstance(content, tuple) else f"[{name}]"
            yield from _lines(one, name)


def _default(field: "dataclasses.Field[Any]") -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _is_table(content: object) -> bool:
    """A port is a dataclass too, and is written as device/interface."""
    return dataclasses.is_dataclass(content) and not isinstance(content, Port)


def _is_list_of_tables(content: object) -> bool:
    return isinstance(content, tuple) and bool(content) and _is_table(content[0])


def _join(table: str, name: str) -> str:
    return f"{table}.{name}" if table else name


def _value(content: object) -> str:
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, Enum):
        return _value(content.value)
    if isinstance(content, int | float):
        return repr(content)
    if isinstance(content, tuple | list):
        return f"[{', '.join(_value(one) for one in content)}]"
    if isinstance(content, Mapping):
        return f"{{ {', '.join(f'{name} = {_value(one)}' for name, one in content.items())} }}"
    text = str(content).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
