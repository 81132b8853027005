"""Texts that people read use none of the words below: plain words are easier to understand."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FORBIDDEN = (
    "told of",
    "nobody",
    "for ever",
    "is over",
    "begun",
    "comes again",
    "the chosen ones",
    "heard of",
    "mourned",
    "somebody",
    "thereof",
    "whomever",
    "shall",
)

FILES = sorted(
    path
    for pattern in (
        "*.md",
        "config/*",
        "docker-compose.yml",
        "docs/*.md",
        "monitor/**/*.py",
        "monitor/web/static/**/*.js",
        "monitor/web/templates/**/*.*",
    )
    for path in ROOT.glob(pattern)
)

# A line break may be between two words, in a comment too.
_WORDS = re.compile(rf"\b(?:{'|'.join(FORBIDDEN)})\b".replace(" ", r"(?:\s|#|//)+"), re.IGNORECASE)


_JAVASCRIPT = re.compile(
    r"/\*.*?\*/|(?://[^\n]*(?:\n\s*)?)+"  # a comment
    r"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`",  # a string
    re.DOTALL,
)


def hits(source: str, kind: str) -> list[tuple[int, str]]:
    """(line, sentence) for each forbidden word in a file that ends in `kind`."""
    texts = {".py": _python_texts, ".js": _javascript_texts}.get(kind, _whole)
    return [
        (first_line + text.count("\n", 0, match.start()), _sentence(text, match))
        for first_line, text in texts(source)
        for match in _WORDS.finditer(text)
    ]


def _whole(source: str) -> Iterator[tuple[int, str]]:
    yield 1, source


def _javascript_texts(source: str) -> Iterator[tuple[int, str]]:
    """The string literals and the comments."""
    for found in _JAVASCRIPT.finditer(source):
        yield 1 + source.count("\n", 0, found.start()), found[0]


def _python_texts(source: str) -> Iterator[tuple[int, str]]:
    """The string literals; and the comments, those on consecutive lines together."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    comments = [
        (token.start[0], token.string)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    for _, group in groupby(enumerate(comments), lambda each: each[1][0] - each[0]):
        block = [comment for _, comment in group]
        yield block[0][0], "\n".join(text for _, text in block)


def _sentence(text: str, match: re.Match[str]) -> str:
    start = max(
        (end.end() for end in re.finditer(r"[.;!?]\s|\n\n", text[: match.start()])), default=0
    )
    end = re.compile(r"[.;!?](\s|$)|\n\n|$").search(text, match.end())
    return " ".join(text[start : end.end() if end else None].split())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_use_plain_words(path: Path) -> None:
    found = hits(path.read_text(), path.suffix)
    assert not found, "\n".join(
        ["", *(f"{path.relative_to(ROOT)}:{line}: {sentence}" for line, sentence in found)]
    )


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        ("x = 1  # Nobody\n", ".py", [(1, "# Nobody")]),
        ("# kept for\n# ever. Then\nx = 1\n", ".py", [(1, "# kept for # ever.")]),
        ('"""One.\n\nNot told\nof. Two."""\n', ".py", [(3, "Not told of.")]),
        ('x = f"{1} shall {2}"\n', ".py", [(1, "shall")]),
        ("nobody = whole_shall = 1\n", ".py", []),
        ('for (const told of x) y("shall");\n', ".js", [(1, '"shall"')]),
        ("let begun; // for\n// ever\n", ".js", [(1, "// for // ever")]),
        ("x = `a ${b}\nshall`;\n", ".js", [(2, "`a ${b} shall`")]),
        ("<p>One.\nIt is\nover. Two.</p>\n", ".html", [(2, "It is over.")]),
    ],
)
def test_hits_have_line_and_sentence(
    source: str, kind: str, expected: list[tuple[int, str]]
) -> None:
    assert hits(source, kind) == expected
