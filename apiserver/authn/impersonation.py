"""Acting as someone else (`kubectl --as`), for those who are allowed to.

There are two ways to allow it. The old one is the verb `impersonate` on each thing that is taken on: users, groups,
uids, userextras, serviceaccounts. Whoever may impersonate a user so may do all that the user may. The constrained ones
(`impersonate:user-info` and its kin) also want a verb for what is done: `impersonate-on:user-info:list` on pods. They
are tried first; the first that allows it counts, and the audit event says which. Without any, the first refusal is
told.

Source: Kubernetes documentation, "User impersonation"; KEP-5284; apiserver, endpoints/filters/impersonation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import unquote

from k8slite.errors import ApiError, bad_request

from ..authz.base import Attributes, Decision
from ..authz.chain import Chain, denial
from .base import ANONYMOUS, AUTHENTICATED, User
from .serviceaccount import NODE_NAME, account_groups

_USER = b"impersonate-user"
_GROUP = b"impersonate-group"
_UID = b"impersonate-uid"
_EXTRA = b"impersonate-extra-"
_ANY = b"impersonate-"
_GROUP_OF_NODES = "system:nodes"
_MASTERS = "system:masters"
_AUTHENTICATION = "authentication.k8s.io"
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_ACCOUNT = re.compile(rf"system:serviceaccount:({_LABEL}):({_SUBDOMAIN})", re.ASCII)
_NODE = re.compile(rf"system:node:({_SUBDOMAIN})", re.ASCII)
_EXTRA_KEY = re.compile(rf"{_SUBDOMAIN}/[a-z0-9/%:@!$&'()*+,;=._~-]+", re.ASCII)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Impersonated:
    """Whom a request is judged as; `constraint` is the constrained verb that allowed it, empty for the old one."""

    user: User
    constraint: str = ""


@dataclass(frozen=True, slots=True)
class _Mode:
    """One way to allow it: `verb` is asked for each thing, below API group `group` for users and groups."""

    name: str
    verb: str
    group: str


_LEGACY = _Mode("", "impersonate", "")


def wanted(headers: Iterable[tuple[bytes, bytes]]) -> User | None:
    """The user that headers (names in lower case) ask to act as, None if they do not. Raises ApiError 400."""
    asked = [(name, value.decode("utf-8", "replace")) for name, value in headers if name.startswith(_ANY)]
    groups = tuple(value for header, value in asked if header == _GROUP)
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in asked:
        if header.startswith(_EXTRA):
            key = _unescaped(header.removeprefix(_EXTRA).decode("latin-1").lower())
            extra[key] = (*extra.get(key, ()), value)
    name = next((value for header, value in asked if header == _USER), "")
    uid = next((value for header, value in asked if header == _UID), "")
    if name:
        return User(name, uid=uid, groups=groups, extra=extra)
    if groups or extra or uid:
        raise bad_request("requested impersonation without impersonating a user name")
    return None


def _unescaped(key: str) -> str:
    return key if _BROKEN_ESCAPE.search(key) else unquote(key)


async def impersonate(attributes: Attributes, user: User, *, authorizer: Chain) -> Impersonated:
    """`user` as whom the request of `attributes` is to be judged. Raises ApiError 403."""
    refusal: ApiError | None = None
    for mode in _modes(user, attributes.user):
        try:
            if mode is not _LEGACY:
                await _require(replace(attributes, verb=f"impersonate-on:{mode.name}:{attributes.verb}"), authorizer)
            acting = await _Check(mode, attributes.user, authorizer).user(user)
        except ApiError as error:
            refusal = refusal or error
            continue
        return Impersonated(acting, "" if mode is _LEGACY else mode.verb)
    assert refusal is not None
    try:
        raise refusal
    finally:
        del refusal  # it holds this frame: together they would wait for the collector, with whatever a client sent


def _modes(user: User, requestor: User) -> list[_Mode]:
    """The ways that apply, in the order in which they are tried."""
    plain = not (user.uid or user.groups or user.extra)
    node, account = _NODE.fullmatch(user.name), _ACCOUNT.fullmatch(user.name)
    names: list[str] = []
    if node and plain:
        if _ACCOUNT.fullmatch(requestor.name) and requestor.extra.get(NODE_NAME) == (node[1],):
            names.append("associated-node")
        names.append("arbitrary-node")
    if account and plain:
        names.append("serviceaccount")
    if not node and not account:
        names.append("user-info")
    return [*(_Mode(name, f"impersonate:{name}", _AUTHENTICATION) for name in names), _LEGACY]


async def _require(attributes: Attributes, authorizer: Chain) -> None:
    decision, reason = await authorizer.authorize(attributes)
    if decision is not Decision.ALLOW:
        raise denial(attributes, reason)


class _Check:
    """The questions that one mode asks."""

    def __init__(self, mode: _Mode, requestor: User, authorizer: Chain) -> None:
        self._mode = mode
        self._requestor = requestor
        self._authorizer = authorizer
        self._constrained = mode is not _LEGACY

    async def user(self, wanted: User) -> User:
        """The user with the groups that belong to it. Raises ApiError 403."""
        groups = await self._name(wanted)
        if wanted.uid:
            await self._require("uids", wanted.uid, group=_AUTHENTICATION)
        if self._constrained:
            self._refuse_odd_groups(wanted)
        for group in wanted.groups:
            await self._require("groups", group)
        if self._constrained:
            self._refuse_odd_extra(wanted)
        for key, values in wanted.extra.items():
            for value in values:
                await self._require("userextras", value, group=_AUTHENTICATION, subresource=key)
        unauthenticated = ANONYMOUS.groups[0]
        if wanted.name == ANONYMOUS.name:
            groups = groups if unauthenticated in groups else (*groups, unauthenticated)
        elif AUTHENTICATED not in groups and unauthenticated not in groups:
            groups = (*groups, AUTHENTICATED)
        return replace(wanted, groups=groups)

    async def _name(self, wanted: User) -> tuple[str, ...]:
        """Ask for the name; the groups that are asked for, or those that such a user always has."""
        node = _NODE.fullmatch(wanted.name) if self._constrained else None
        if node:
            # A service account that may act as its own node may do so on every node.
            name = "*" if self._mode.name == "associated-node" else node[1]
            await self._require("nodes", name)
            return (_GROUP_OF_NODES,)
        account = _ACCOUNT.fullmatch(wanted.name)
        if account:
            await self._require("serviceaccounts", account[2], namespace=account[1])
            return wanted.groups or account_groups(account[1])
        await self._require("users", wanted.name)
        return wanted.groups

    def _refuse_odd_groups(self, wanted: User) -> None:
        if "" in wanted.groups:
            raise denial(self._attributes("groups", ""), "impersonating the empty string group is not allowed")
        if _MASTERS in wanted.groups:
            raise denial(self._attributes("groups", _MASTERS), "impersonating the system:masters group is not allowed")

    def _refuse_odd_extra(self, wanted: User) -> None:
        attributes = self._attributes("userextras", "", group=_AUTHENTICATION)
        for key, values in wanted.extra.items():
            if not key:
                raise denial(attributes, "impersonating the empty string key in extra is not allowed")
            if not _EXTRA_KEY.fullmatch(key):
                raise denial(attributes, f'impersonating an invalid key in extra is not allowed: "{key}"')
            if "" in values:
                raise denial(attributes, "impersonating the empty string value in extra is not allowed")

    def _attributes(
        self, resource: str, name: str, *, group: str | None = None, namespace: str = "", subresource: str = ""
    ) -> Attributes:
        return Attributes(
            self._requestor,
            self._mode.verb,
            group=self._mode.group if group is None else group,
            version="v1",
            resource=resource,
            subresource=subresource,
            namespace=namespace,
            name=name,
        )

    async def _require(
        self, resource: str, name: str, *, group: str | None = None, namespace: str = "", subresource: str = ""
    ) -> None:
        attributes = self._attributes(resource, name, group=group, namespace=namespace, subresource=subresource)
        await _require(attributes, self._authorizer)
