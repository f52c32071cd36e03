"""What the documentation says is there: links lead somewhere, commands parse, space files and configs in it load."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import licap.cli
import search.check
import search.compare
import search.export
import search.replay
import search.run
import search.summarize
from licap.yaml_file import parse_yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")])
PARSERS = {
    ("licap",): licap.cli.build_parser,
    ("python", "search/run.py"): search.run.build_parser,
    ("python", "search/export.py"): search.export.build_parser,
    ("python", "search/compare.py"): search.compare.build_parser,
    ("python", "search/summarize.py"): search.summarize.build_parser,
    ("python", "search/replay.py"): search.replay.build_parser,
    ("python", "search/check.py"): search.check.build_parser,
}


def blocks(language: str) -> Iterator[tuple[Path, str]]:
    """The fenced blocks of a language in all pages."""
    for page in PAGES:
        for match in re.finditer(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            yield page, match[1]


def commands() -> Iterator[tuple[str, list[str]]]:
    """The project's own commands in shell blocks, without comments."""
    for page, text in [*blocks("bash"), *blocks("console")]:
        for line in text.splitlines():
            for part in re.split(r"&&|\|", line.removeprefix("$ ")):
                words = shlex.split(part, comments=True)
                if any(tuple(words[: len(head)]) == head for head in PARSERS):
                    yield page.name, words


@pytest.mark.parametrize(("page", "words"), list(commands()), ids=lambda each: str(each)[:60])
def test_a_documented_command_parses(page: str, words: list[str]) -> None:
    head = next(head for head in PARSERS if tuple(words[: len(head)]) == head)
    try:
        assert PARSERS[head]().parse_args(words[len(head) :])
    except SystemExit as error:
        pytest.fail(f"{page}: {shlex.join(words)} is refused ({error.code})")


def test_the_readme_names_the_commands_that_matter() -> None:
    words = [" ".join(each[:3]) for page, each in commands() if page == "README.md"]
    assert "python search/run.py --space" in words
    assert any(each.startswith("python search/export.py") for each in words)


@pytest.mark.parametrize(("page", "text"), list(blocks("yaml")), ids=lambda each: str(each)[:40])
def test_documented_yaml_is_yaml(page: Path, text: str) -> None:
    assert parse_yaml(text, page.name).data


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_paths_named_in_the_documentation_exist() -> None:
    named = {
        name
        for page in PAGES
        for name in re.findall(r"`((?:docs|spaces|tests|licap|search)/[\w/.-]+\.\w+)`", page.read_text("utf-8"))
    }
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
