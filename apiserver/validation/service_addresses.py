"""Rules for the addresses of Services: families, which address is of which, and which may not change.

Source: Kubernetes' core validation (ValidateServiceClusterIPsRelatedFields, validateUpgradeDowngradeClusterIPs).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, duplicate, invalid_value, not_supported, required

from .addresses import both_families, ip_address, parse
from .sequences import repeats

Document = dict[str, Any]

_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_ADDRESSES = "spec.clusterIPs"
_KEPT = "may not change once set"


def is_headless(spec: Document) -> bool:
    """Whether a Service has no address and wants none."""
    return spec.get("clusterIPs") == ["None"]


def cluster_ips(spec: Document) -> list[Cause]:
    """What is wrong with a Service's addresses and families."""
    if spec.get("type") == "ExternalName":
        return []
    first, addresses = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    families, policy = spec.get("ipFamilies") or [], spec.get("ipFamilyPolicy")
    causes: list[Cause] = []
    if first and not addresses:
        causes.append(required(_ADDRESSES))
    elif first and addresses[0] != first:
        causes.append(invalid_value(_ADDRESSES, addresses, "first value must match `clusterIP`"))
    elif addresses and not first:
        causes.append(invalid_value(_ADDRESSES, addresses, "must be empty when `clusterIP` is not specified"))
    twice = frozenset(repeats(families))
    for index, family in enumerate(families):
        if family not in _FAMILIES:
            causes.append(not_supported(f"spec.ipFamilies[{index}]", family, _FAMILIES))
        if index in twice:
            causes.append(duplicate(f"spec.ipFamilies[{index}]", family))
    if policy is not None and policy not in _FAMILY_POLICIES:
        causes.append(not_supported("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES))
    wrong = False
    for index, address in enumerate(addresses):
        if index == 0 and address == "None":
            if len(addresses) > 1:
                wrong = True
                causes.append(invalid_value(_ADDRESSES, addresses, "'None' must be the first and only value"))
            continue
        found = ip_address(address, f"{_ADDRESSES}[{index}]")
        wrong = wrong or bool(found)
        causes += found
    if len(addresses) > 2:
        causes.append(invalid_value(_ADDRESSES, addresses, "may only hold up to 2 values"))
    if wrong:
        return causes
    if len(addresses) > 1 and not both_families(addresses):
        detail = "may specify no more than one IP for each IP family"
        causes.append(invalid_value(_ADDRESSES, addresses, detail))
    for index, (address, family) in enumerate(zip(addresses, families, strict=False)):
        parsed = parse(address)
        if parsed is not None and family in _FAMILIES and family != f"IPv{parsed.version}":
            detail = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            causes.append(invalid_value(f"{_ADDRESSES}[{index}]", address, detail))
    return causes


def validate_addresses_update(new: Document, old: Document) -> list[Cause]:
    """A Service keeps its first address and family; the second may come and go."""
    if "ExternalName" in (new.get("type"), old.get("type")):
        return []
    causes: list[Cause] = []
    if not (is_headless(old) and is_headless(new)):
        causes += _kept(new, old, "clusterIPs", "clusterIP")
    if not is_headless(old) and not is_headless(new):
        causes += _kept(new, old, "ipFamilies", "ipFamily")
    return causes


def _kept(new: Document, old: Document, member: str, word: str) -> list[Cause]:
    before, after = old.get(member) or [], new.get(member) or []
    field, causes = f"spec.{member}", []
    if len(before) == len(after):
        for index, (was, now) in enumerate(zip(before, after, strict=True)):
            if was != now:
                # Upstream tells every change of a family at the first.
                at = index if member == "clusterIPs" else 0
                causes.append(invalid_value(f"{field}[{at}]", after, _KEPT))
        return causes
    if not after:
        causes.append(invalid_value(f"{field}[0]", after, f"primary {word} can not be unset"))
    elif before and before[0] != after[0]:
        causes.append(invalid_value(f"{field}[0]", new.get("clusterIPs") or [], _KEPT))
    if len(before) > len(after) == 1 and new.get("ipFamilyPolicy") != "SingleStack":
        detail = f"must be set to 'SingleStack' when releasing the secondary {word}"
        causes.append(invalid_value("spec.ipFamilyPolicy", new.get("ipFamilyPolicy"), detail))
    return causes
