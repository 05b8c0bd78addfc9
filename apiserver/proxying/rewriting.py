"""Links in what a proxied server answers, made to lead through the proxy again. Pure.

A server behind the proxy knows nothing of the prefix under which clients see it: an absolute path of its redirects and
of its pages would lead to the API server itself.

Source: apimachinery, util/proxy/transport.go.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

_ATTRIBUTES = {
    "a": "href",
    "applet": "codebase",
    "area": "href",
    "audio": "src",
    "base": "href",
    "blockquote": "cite",
    "body": "background",
    "button": "formaction",
    "command": "icon",
    "del": "cite",
    "embed": "src",
    "form": "action",
    "frame": "longdesc src",
    "head": "profile",
    "html": "manifest",
    "iframe": "longdesc src",
    "img": "longdesc src usemap",
    "input": "src usemap formaction",
    "ins": "cite",
    "link": "href",
    "object": "classid codebase data usemap",
    "q": "cite",
    "script": "src",
    "source": "src",
    "video": "poster src",
}
"""Element → its attributes that hold a URL."""
_TEXT_ONLY = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})
"""Elements whose content is no markup."""
_TAG = re.compile(rb"""<([a-zA-Z][^\s/>]*+)((?:[^>"']++|"[^"]*+"|'[^']*+')*+)>""")
_ATTRIBUTE = re.compile(rb"""([^\s"'>/=]++)(\s*+=\s*+)("[^"]*+"|'[^']*+'|[^\s"'=<>`]++)""")
_HELD = 64 * 1024
"""Bytes that are held back for a tag to end; what is longer is none."""


def rewrite_url(text: str, *, prefix: str, server: str, asked: str) -> str:
    """A URL that a server wrote. `server` is its own host, `asked` the one that the client addressed."""
    try:
        url = urlsplit(text)
    except ValueError:
        return text
    if (url.netloc and url.netloc not in (server, asked)) or not url.path.startswith("/"):
        return text
    scheme, netloc = (url.scheme, url.netloc) if url.netloc == asked else ("", "")
    path = joined(url.path)
    if not path.startswith(f"{prefix}/"):
        path = prefix + path
    return urlunsplit((scheme, netloc, path, url.query, url.fragment))


def joined(path: str) -> str:
    """A path from the root without `..`, `.` and doubled slashes; a slash at its end stays."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


class HtmlRewriter:
    """Rewrites the URLs of a page as it passes, in whatever pieces."""

    def __init__(self, rewrite: Callable[[str], str]) -> None:
        self._rewrite = rewrite
        self._pending = b""
        self._inside = ""
        """The element without markup whose end has not come yet."""

    def feed(self, data: bytes, *, last: bool = False) -> bytes:
        """What can be passed on."""
        pending, position, done = self._pending + data, 0, []
        while position < len(pending):
            if self._inside:
                end = re.compile(rb"</" + re.escape(self._inside.encode()), re.IGNORECASE).search(pending, position)
                if end is None:
                    stop = len(pending) if last else max(position, len(pending) - len(self._inside) - 2)
                    done.append(pending[position:stop])
                    position = stop
                    break
                self._inside = ""
                done.append(pending[position : end.end()])
                position = end.end()
                continue
            start = pending.find(b"<", position)
            if start < 0:
                done.append(pending[position:])
                position = len(pending)
                break
            done.append(pending[position:start])
            position = start
            if tag := _TAG.match(pending, start):
                done.append(self._tag(tag))
                position = tag.end()
            elif pending.startswith(b"<!--", start) and (end_of := pending.find(b"-->", start + 4)) >= 0:
                done.append(pending[start : end_of + 3])
                position = end_of + 3
            elif not last and len(pending) - start < _HELD and _may_grow(pending[start : start + 4]):
                break
            else:
                done.append(b"<")
                position += 1
        self._pending = pending[position:]
        return b"".join(done)

    def _tag(self, tag: re.Match[bytes]) -> bytes:
        name = tag[1].decode("latin-1").lower()
        if name in _TEXT_ONLY and not tag[2].endswith(b"/"):
            self._inside = name
        wanted = _ATTRIBUTES.get(name, "").split()
        if not wanted:
            return tag[0]
        return b"<" + tag[1] + _ATTRIBUTE.sub(lambda found: self._attribute(found, wanted), tag[2]) + b">"

    def _attribute(self, found: re.Match[bytes], wanted: list[str]) -> bytes:
        if found[1].decode("latin-1").lower() not in wanted:
            return found[0]
        quote = found[3][:1] if found[3][:1] in (b'"', b"'") else b""
        value = html.unescape(found[3].strip(quote or None).decode("utf-8", "surrogateescape"))
        rewritten = self._rewrite(value)
        if rewritten == value:
            return found[0]
        return found[1] + b'="' + html.escape(rewritten).encode("utf-8", "surrogateescape") + b'"'


def _may_grow(begin: bytes) -> bool:
    """Whether more bytes may make a tag or a comment of this."""
    return begin in (b"<", b"<!", b"<!-") or begin.startswith(b"<!--") or begin[1:2].isalpha()
