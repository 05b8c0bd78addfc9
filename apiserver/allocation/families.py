"""Which address families a Service has: what it leaves open is filled in, what this cluster cannot give is refused.

Source: Kubernetes documentation, "IPv4/IPv6 dual-stack"; registry/core/service/storage/alloc.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.errors import Cause, invalid_value

from ..strategies.base import Document
from ..validation.addresses import parse
from ..validation.service_addresses import cluster_ips

_POLICY, _SINGLE = "spec.ipFamilyPolicy", "SingleStack"


def settle(spec: Document, old: Document | None, *, configured: Sequence[str]) -> list[Cause]:
    """Fill in the families and their policy; what is wrong, then the Service is not to be written."""
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    if old is not None and _stays_as_it_is(spec, old):
        return []
    alone = spec.get("clusterIP") == "None" and not spec.get("selector")
    if not spec.get("ipFamilyPolicy"):
        inherited = (old or {}).get("ipFamilyPolicy")
        spec["ipFamilyPolicy"] = inherited or ("RequireDualStack" if alone else _SINGLE)
    if causes := cluster_ips(spec):
        return causes
    causes = _changed(spec, old) if old is not None else []
    causes += _policy(spec)
    causes += _infer(spec, configured)
    if causes:
        return causes
    if alone:  # whose endpoints a user makes by hand, of any family
        _complete(spec, configured[0], both=True)
        return []
    if spec["ipFamilyPolicy"] == "RequireDualStack" and len(configured) < 2:
        detail = "this cluster is not configured for dual-stack services"
        causes.append(invalid_value(_POLICY, spec["ipFamilyPolicy"], detail))
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family not in configured:
            causes.append(invalid_value(f"spec.ipFamilies[{index}]", family, "not configured on this cluster"))
    if not causes:
        _complete(spec, configured[0], both=len(configured) > 1)
    return causes


def _stays_as_it_is(spec: Document, old: Document) -> bool:
    """A Service that prefers both is not changed because the cluster was; somebody has to ask for it."""
    return (
        spec.get("ipFamilyPolicy") == old.get("ipFamilyPolicy") == "PreferDualStack"
        and bool(spec.get("ipFamilies"))
        and all(spec.get(name) == old.get(name) for name in ("clusterIPs", "ipFamilies"))
    )


def _changed(spec: Document, old: Document) -> list[Cause]:
    """The second address and family go when the policy says so, and only then."""
    causes: list[Cause] = []
    for name, word in (("clusterIPs", "secondary cluster IP"), ("ipFamilies", "secondary IP family")):
        now, before = spec.get(name) or [], old.get(name) or []
        if spec["ipFamilyPolicy"] == _SINGLE:
            if now == before and len(now) > 1:
                spec[name] = now[:1]
        elif now and len(now) < len(before):
            detail = f"must be 'SingleStack' to release the {word}"
            causes.append(invalid_value(_POLICY, spec["ipFamilyPolicy"], detail))
    return causes


def _policy(spec: Document) -> list[Cause]:
    if spec["ipFamilyPolicy"] != _SINGLE:
        return []
    return [
        invalid_value(
            _POLICY,
            _SINGLE,
            f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {words} are specified",
        )
        for name, words in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families"))
        if len(spec.get(name) or ()) == 2
    ]


def _infer(spec: Document, configured: Sequence[str]) -> list[Cause]:
    """Families of the addresses that are asked for."""
    causes: list[Cause] = []
    addresses = spec.get("clusterIPs") or []
    for index, address in enumerate(addresses):
        parsed = parse(address)
        if parsed is None or index < len(spec.get("ipFamilies") or ()):
            continue
        family = f"IPv{parsed.version}"
        if family in configured:
            spec["ipFamilies"] = [*(spec.get("ipFamilies") or ()), family]
        else:
            detail = f"{family} is not configured on this cluster"
            causes.append(invalid_value(f"spec.clusterIPs[{index}]", addresses, detail))
    return causes


def _complete(spec: Document, first: str, *, both: bool) -> None:
    if not spec.get("ipFamilies"):
        spec["ipFamilies"] = [first]
    if both and spec["ipFamilyPolicy"] != _SINGLE and len(spec["ipFamilies"]) == 1:
        spec["ipFamilies"] = [spec["ipFamilies"][0], "IPv6" if spec["ipFamilies"][0] == "IPv4" else "IPv4"]
