"""Markdown as readers see it: by markdown-it-py, and by GitHub's own library with its autolinks."""

import html
import re
from itertools import pairwise
from typing import NamedTuple

import cmarkgfm
from cmarkgfm.cmark import Options
from markdown_it import MarkdownIt
from markdown_it.token import Token

_READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_ALLOWED = {
    *("heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline"),
    *("table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close"),
    *("tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close"),
    *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
}
_ALLOWED_INSIDE = {"text", "text_special", "code_inline", "strong_open", "strong_close", "softbreak"}


class Document(NamedTuple):
    """The words of a document, without any markup."""

    headings: list[str]
    tables: list[list[list[str]]]
    """Rows of cells, the head first."""
    items: list[str]
    """Of lists."""


def rendered(text: str) -> Document:
    """What a reader sees; fails where there is a link, an image, HTML or emphasis in it."""
    tokens = _READER.parse(text)
    assert {token.type for token in tokens} <= _ALLOWED
    found = Document([], [], [])
    for before, token in pairwise(tokens):
        if token.type == "table_open":
            found.tables.append([])
        elif token.type == "tr_open":
            found.tables[-1].append([])
        elif token.type == "inline":
            words = _words(token)
            if before.type == "heading_open":
                found.headings.append(words)
            elif before.type in ("th_open", "td_open"):
                found.tables[-1][-1].append(words)
            elif before.type == "paragraph_open" and before.hidden:
                found.items.append(words)
    return found


def github_cells(text: str) -> list[str]:
    """The words in the cells of all tables as GitHub shows them; fails where an element is more than it should be."""
    shown = cmarkgfm.github_flavored_markdown_to_html(text, options=Options.CMARK_OPT_UNSAFE)
    tables = {"table", "thead", "tbody", "tr", "th", "td"}
    assert set(re.findall(r"<(\w+)", shown)) <= {"h1", "h2", "p", "ul", "li", "code", "strong", *tables}, shown
    cells = re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", shown, re.DOTALL)
    return [html.unescape(re.sub("</?(code|strong)>", "", cell)) for cell in cells]


def _words(inline: Token) -> str:
    children = inline.children or []
    assert {child.type for child in children} <= _ALLOWED_INSIDE, inline.content
    return "".join(child.content for child in children)
