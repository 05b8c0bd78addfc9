"""Links of proxied answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.proxying.rewriting import HtmlRewriter, joined, rewrite_url

PREFIX = "/api/v1/namespaces/ns/services/web/proxy"


def rewrite(text: str) -> str:
    return rewrite_url(text, prefix=PREFIX, server="10.0.0.1:80", asked="localhost:8001")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/page", f"{PREFIX}/page"),
        ("/dir/?q=1#part", f"{PREFIX}/dir/?q=1#part"),
        ("/", f"{PREFIX}/"),
        ("page", "page"),
        ("#part", "#part"),
        ("", ""),
        ("http://10.0.0.1:80/page", f"{PREFIX}/page"),
        ("http://localhost:8001/page", f"http://localhost:8001{PREFIX}/page"),
        ("https://example.org/page", "https://example.org/page"),
        ("//example.org/page", "//example.org/page"),
        (f"{PREFIX}/page", f"{PREFIX}/page"),
        ("http://[bad/page", "http://[bad/page"),
        ("/../../secrets", f"{PREFIX}/secrets"),
        (f"{PREFIX}/../../../secrets", f"{PREFIX}/api/v1/namespaces/ns/secrets"),
    ],
)
def test_urls(text: str, expected: str) -> None:
    assert rewrite(text) == expected


@pytest.mark.parametrize(
    ("rest", "expected"),
    [("", "/"), ("a/b", "/a/b"), ("a/b/", "/a/b/"), ("a//b", "/a/b"), ("../../x", "/x"), ("a/./../b/", "/b/")],
)
def test_paths_never_leave_their_root(rest: str, expected: str) -> None:
    assert joined(rest) == expected


PAGE = (
    b"<!DOCTYPE html><html><head><title>a < b <a href='/no'></title>"
    b'<link rel=stylesheet href=/style.css><script src="/code.js">if (a<b) x = "<a href=/no>";</script></head>'
    b"<!-- <a href=/no> --><body data-x='>'><a class=\"x\" href='/page?a=1&amp;b=2'>1 < 2</a>"
    b'<img SRC = "/i.png" alt=/no>'
    b"<a href=https://example.org/>out</a><p title=/no>"
)
EXPECTED = (
    PAGE.replace(b"href=/style.css", f'href="{PREFIX}/style.css"'.encode())
    .replace(b'src="/code.js"', f'src="{PREFIX}/code.js"'.encode())
    .replace(b"href='/page?a=1&amp;b=2'", f'href="{PREFIX}/page?a=1&amp;b=2"'.encode())
    .replace(b'SRC = "/i.png"', f'SRC="{PREFIX}/i.png"'.encode())
)


@given(st.lists(st.integers(1, 60), max_size=40))
def test_pages_are_rewritten_however_they_are_cut(cuts: list[int]) -> None:
    rewriter, page, done = HtmlRewriter(rewrite), PAGE, b""
    for cut in cuts:
        done += rewriter.feed(page[:cut])
        page = page[cut:]
    done += rewriter.feed(page) + rewriter.feed(b"", last=True)
    assert done == EXPECTED


@given(st.binary())
def test_what_is_no_page_loses_nothing(data: bytes) -> None:
    rewriter = HtmlRewriter(lambda text: text)
    assert rewriter.feed(data) + rewriter.feed(b"", last=True) == data
