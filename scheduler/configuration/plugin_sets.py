"""Who runs where: the plugin sets of a profile merged with the defaults, and multiPoint expanded.

The rules are upstream's, with their oddities: an entry of a file that names a default plugin takes its place and with
it its order; a plugin that stands in a specific set and in multiPoint runs first there; a weight that a file leaves out
is 1, also where the default would have been another.

Source: Kubernetes documentation, "Scheduler Configuration", multiple points; kube-scheduler's merging and expansion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..profile import Point
from .model import Plugins
from .model import PluginSet as Given

MULTI_POINT = "multiPoint"
EVERY = "*"


@dataclass(frozen=True, slots=True)
class Entry:
    """A plugin by name; `weight` is None where the plugin's own counts. `field` is where a file names it."""

    name: str
    weight: int | None = None
    field: str = ""


@dataclass(frozen=True, slots=True)
class PluginSet:
    """What is enabled and disabled at a point."""

    enabled: tuple[Entry, ...] = ()
    disabled: frozenset[str] = frozenset()


Sets = Mapping[str, PluginSet]
"""By extension point, and multiPoint."""


class Misplaced(Exception):
    """Plugin sets that cannot be; the arguments are field and message of each problem."""


def given(plugins: Plugins, field: str) -> dict[str, PluginSet]:
    """The sets of a file, whose plugins stand at `field`."""
    found = {}
    for name, model_field in type(plugins).model_fields.items():
        point, said = str(model_field.alias), getattr(plugins, name)
        if said.enabled or said.disabled:
            found[point] = _given(said, f"{field}.{point}.enabled")
    return found


def _given(said: Given, field: str) -> PluginSet:
    return PluginSet(
        tuple(Entry(plugin.name, plugin.weight or 1, f"{field}[{i}]") for i, plugin in enumerate(said.enabled)),
        frozenset(plugin.name for plugin in said.disabled),
    )


def merged(default: PluginSet, custom: PluginSet) -> PluginSet:
    """The defaults that are not disabled, each replaced by a custom entry of its name, then the other custom ones."""
    disabled = custom.disabled | default.disabled
    replacing = {entry.name: index for index, entry in enumerate(custom.enabled)}
    enabled: list[Entry] = []
    replaced: set[int] = set()
    for entry in () if EVERY in disabled else default.enabled:
        if entry.name in disabled:
            continue
        index = replacing.get(entry.name)
        if index is not None:
            replaced.add(index)
        enabled.append(entry if index is None else custom.enabled[index])
    enabled += [entry for index, entry in enumerate(custom.enabled) if index not in replaced]
    return PluginSet(tuple(enabled), disabled)


def merge(defaults: Sets, custom: Sets) -> dict[str, PluginSet]:
    """All sets merged."""
    empty = PluginSet()
    return {point: merged(defaults.get(point, empty), custom.get(point, empty)) for point in {**defaults, **custom}}


def named(sets: Sets) -> list[Entry]:
    """Every plugin that is enabled anywhere, once."""
    return list({entry.name: entry for found in sets.values() for entry in reversed(found.enabled)}.values())


def placed(sets: Sets, extends: Callable[[str, Point], bool]) -> dict[Point, tuple[str, ...]]:
    """The names by extension point, in order; `extends` says what a plugin implements. Raises Misplaced."""
    problems: list[tuple[str, str]] = []
    everywhere = sets.get(MULTI_POINT, PluginSet()).enabled
    found = {}
    for point in Point:
        own = sets.get(point, PluginSet())
        problems += _refused(own.enabled, point, extends)
        found[point] = tuple(_ordered(own, everywhere, point, extends, problems))
    for alien in sets.keys() - {*Point, MULTI_POINT}:
        problems += [(e.field, f'plugin "{e.name}" does not extend {_type(alien)} plugin') for e in sets[alien].enabled]
    if problems:
        raise Misplaced(*problems)
    return found


def _refused(entries: Iterable[Entry], point: Point, extends: Callable[[str, Point], bool]) -> list[tuple[str, str]]:
    problems = []
    seen: set[str] = set()
    for entry in entries:
        if not extends(entry.name, point):
            problems.append((entry.field, f'plugin "{entry.name}" does not extend {_type(point)} plugin'))
        elif entry.name in seen:
            problems.append((entry.field, f'plugin "{entry.name}" already registered as "{_type(point)}"'))
        seen.add(entry.name)
    return problems


def _ordered(
    own: PluginSet,
    everywhere: Iterable[Entry],
    point: Point,
    extends: Callable[[str, Point], bool],
    problems: list[tuple[str, str]],
) -> list[str]:
    """Those of the point that multiPoint names too, then the others of multiPoint, then those of the point only."""
    specific = list(dict.fromkeys(entry.name for entry in own.enabled))
    if EVERY in own.disabled:
        return specific
    overriding: set[str] = set()
    general: list[str] = []
    for entry in everywhere:
        if not extends(entry.name, point) or entry.name in own.disabled:
            continue
        if entry.name in specific:
            overriding.add(entry.name)
        elif entry.name in general:
            problems.append((entry.field, f'plugin "{entry.name}" already registered as "{_type(point)}"'))
        else:
            general.append(entry.name)
    first = [name for name in specific if name in overriding]
    return first + general + [name for name in specific if name not in overriding]


def weights(sets: Sets, scoring: Iterable[str]) -> dict[str, int]:
    """What files say that scores count; a plugin in both the set of scores and multiPoint goes by the former."""
    found: dict[str, int | None] = {}
    for point in (Point.SCORE, MULTI_POINT):
        for entry in sets.get(point, PluginSet()).enabled:
            found.setdefault(entry.name, entry.weight)
    return {name: weight for name in scoring if (weight := found.get(name)) is not None}


def _type(point: str) -> str:
    """What upstream calls those who stand at a point."""
    return f"{point[0].upper()}{point[1:]}Plugin"
