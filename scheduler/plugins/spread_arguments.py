"""The arguments of PodTopologySpread: how replicas are spread that name no constraints.

Source: Kubernetes reference, "kube-scheduler Configuration (v1)"; kube-scheduler, apis/config/validation.
"""

from __future__ import annotations

from collections.abc import Iterator

from k8slite import labels
from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, not_supported, required

from ..arguments import Part, read, refuse
from ..configuration.values import Int32, RawObject, Text
from ..framework import Args
from ..spread import SYSTEM_DEFAULTS, Spread

ACTIONS = ("DoNotSchedule", "ScheduleAnyway")
TYPES = ("System", "List")


class DefaultConstraint(Part):
    """A constraint of no pod in particular."""

    max_skew: Int32 = 0
    topology_key: Text = ""
    when_unsatisfiable: Text = ""
    label_selector: RawObject | None = None
    min_domains: Int32 | None = None
    node_affinity_policy: Text = "Honor"
    node_taints_policy: Text = "Ignore"
    match_label_keys: list[Text] = []

    @property
    def spread(self) -> Spread:
        """What it means for the replicas of a pod."""
        return Spread(
            self.topology_key,
            self.max_skew,
            hard=self.when_unsatisfiable == "DoNotSchedule",
            min_domains=self.min_domains or 1,
            honours_affinity=self.node_affinity_policy == "Honor",
            honours_taints=self.node_taints_policy == "Honor",
        )


class PodTopologySpreadArgs(Part):
    """What PodTopologySpread is told. The built-in constraints stand unless the type says that the list does."""

    default_constraints: list[DefaultConstraint] = []
    defaulting_type: Text = ""

    @property
    def built_in(self) -> bool:
        """Whether the built-in constraints stand."""
        return self.defaulting_type in ("", "System")

    @property
    def spreads(self) -> tuple[Spread, ...]:
        """The constraints."""
        return SYSTEM_DEFAULTS if self.built_in else tuple(each.spread for each in self.default_constraints)


def spread_arguments(args: Args) -> PodTopologySpreadArgs:
    """Read PodTopologySpreadArgs. Raises BadArguments."""
    found = read(PodTopologySpreadArgs, args)
    refuse([*_defaulting_type(found), *_constraints(found)])
    return found


def _defaulting_type(args: PodTopologySpreadArgs) -> Iterator[Cause]:
    if args.built_in:
        if args.default_constraints:
            yield invalid_value("defaultingType", "System", "when .defaultConstraints are not empty")
    elif args.defaulting_type not in TYPES:
        yield not_supported("defaultingType", args.defaulting_type, TYPES, in_order=True)


def _constraints(args: PodTopologySpreadArgs) -> Iterator[Cause]:
    seen: set[tuple[str, str]] = set()
    for index, each in enumerate(args.default_constraints):
        field = f"defaultConstraints[{index}]"
        if each.max_skew <= 0:
            yield invalid_value(f"{field}.maxSkew", each.max_skew, "not in valid range (0, inf)")
        if not each.topology_key:
            yield required(f"{field}.topologyKey", "can not be empty")
        else:
            problems = labels.key_problems(each.topology_key)
            yield from (invalid_value(f"{field}.topologyKey", each.topology_key, problem) for problem in problems)
        if not each.when_unsatisfiable:
            yield required(f"{field}.whenUnsatisfiable", "can not be empty")
        elif each.when_unsatisfiable not in ACTIONS:
            yield not_supported(f"{field}.whenUnsatisfiable", each.when_unsatisfiable, ACTIONS)
        if each.label_selector is not None:
            detail = "constraint must not define a selector, as they deduced for each pod"
            yield forbidden_field(f"{field}.labelSelector", detail)
        pair = each.topology_key, each.when_unsatisfiable
        if pair in seen:
            yield duplicate(field, "{{{}, {}}}".format(*pair))
        seen.add(pair)
