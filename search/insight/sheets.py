"""A titled table of words with notes, as plain text and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from search.insight.render import Column, table_lines
from search.insight.tables import markdown, markdown_head, markdown_line


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """title: how to read it, in sentences. heads: of the columns; the first holds names, the others figures."""

    title: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def sheet_text(sheet: Sheet) -> str:
    """Columns side by side, notes below."""
    cells = list(zip(*sheet.rows, strict=True)) or [()] * len(sheet.heads)
    columns = [Column(head, cells[place], left=place == 0) for place, head in enumerate(sheet.heads)]
    blocks = [
        "\n".join(sheet.title),
        "\n".join(table_lines(columns)),
        "\n".join(f"Note: {note}" for note in sheet.notes),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def sheet_markdown(sheet: Sheet) -> str:
    """A table, notes as a list below."""
    lines = [*markdown_head(sheet.heads), *map(markdown_line, sheet.rows)]
    blocks = [
        " ".join(map(markdown, sheet.title)),
        "\n".join(lines),
        "\n".join(f"- {markdown(n)}" for n in sheet.notes),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"
