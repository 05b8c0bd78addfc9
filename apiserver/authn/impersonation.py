"""Acting as someone else (`kubectl --as`): allowed to those who hold the verb `impersonate` on that user.

Source: Kubernetes documentation, "User impersonation".
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from k8slite.errors import bad_request

from ..authz.base import Attributes
from ..authz.chain import Chain
from .base import ANONYMOUS, User
from .chain import AUTHENTICATED

_USER = b"impersonate-user"
_GROUP = b"impersonate-group"
_UID = b"impersonate-uid"
_EXTRA = b"impersonate-extra-"
_ANY = b"impersonate-"
_ACCOUNT = "system:serviceaccount:"


async def impersonate(user: User, headers: Iterable[tuple[bytes, bytes]], *, authorizer: Chain) -> User:
    """The user that a request is to be judged as: `user` itself unless headers name another.

    Header names are lower-case. Raises ApiError: 403, or 400 for groups or extras without a user.
    """
    asked = [(name, value.decode("utf-8", "replace")) for name, value in headers if name.startswith(_ANY)]
    if not asked:
        return user
    name = next((value for header, value in asked if header == _USER), "")
    uid = next((value for header, value in asked if header == _UID), "")
    groups = [value for header, value in asked if header == _GROUP]
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in asked:
        if header.startswith(_EXTRA):
            key = unquote(header.removeprefix(_EXTRA).decode("latin-1"))
            extra[key] = (*extra.get(key, ()), value)
    if not name:
        raise bad_request("requested impersonation without impersonating a user")

    async def require(resource: str, name: str, *, group: str = "", namespace: str = "", key: str = "") -> None:
        await authorizer.require(
            Attributes(
                user,
                "impersonate",
                group=group,
                resource=resource,
                subresource=key,
                namespace=namespace,
                name=name,
            )
        )

    if name.startswith(_ACCOUNT) and name.count(":") == 3:
        namespace, account = name.removeprefix(_ACCOUNT).split(":")
        await require("serviceaccounts", account, namespace=namespace)
        if not groups:
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    else:
        await require("users", name)
    for group in [value for header, value in asked if header == _GROUP]:
        await require("groups", group)
    if uid:
        await require("uids", uid, group="authentication.k8s.io")
    for key, values in extra.items():
        for value in values:
            await require("userextras", value, group="authentication.k8s.io", key=key)
    if name == ANONYMOUS.name:
        groups = groups or list(ANONYMOUS.groups)
    elif AUTHENTICATED not in groups and ANONYMOUS.groups[0] not in groups:
        groups = [*groups, AUTHENTICATED]
    return User(name, uid=uid, groups=tuple(groups), extra=extra)
