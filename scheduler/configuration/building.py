"""Profiles as a KubeSchedulerConfiguration asks for them: plugins made with their arguments, in their places.

Source: kube-scheduler's making of profiles, for the rules and the words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from k8slite.config import ConfigError

from ..extenders.extender import Extender
from ..framework import Args, Factory, Handle, Plugin
from ..plugins import REGISTRY
from ..plugins.outside import outside
from ..plugins.points import POINTS
from ..profile import Point, Profile, assemble, implements
from . import GROUP, VERSION
from .model import KubeSchedulerProfile
from .plugin_sets import MULTI_POINT, Entry, Misplaced, PluginSet, Sets, given, merge, named, placed, weights
from .reading import Configuration

DEFAULTS: Sets = {MULTI_POINT: PluginSet(tuple(map(Entry, REGISTRY)))}

Problem = tuple[str, str]
"""Field and message."""


def build_profiles(handle: Handle, configuration: Configuration) -> Mapping[str, Profile]:
    """The profiles by scheduler name. Raises ConfigError, a line for each problem."""
    wanted = configuration.wanted
    ignored = [
        resource.name
        for extender in wanted.extenders
        for resource in extender.managed_resources
        if resource.ignored_by_scheduler
    ]
    problems: list[Problem] = []
    found: dict[str, Profile] = {}
    for index, asked in enumerate(wanted.profiles):
        try:
            made = _Making(handle, asked, f"profiles[{index}]", ignored).profile()
        except Misplaced as misplaced:
            problems += misplaced.args
            continue
        name = str(asked.scheduler_name)
        first = next(iter(found.values()), made).queue_sort.name
        if made.queue_sort.name != first:
            differs = f'different queue sort plugins for profile "{name}": "{made.queue_sort.name}", first: "{first}"'
            problems.append((f"profiles[{index}]", differs))
        found[name] = made
    configuration.document.refuse(problems)
    return found


def build_extenders(configuration: Configuration) -> list[Extender]:
    """The extenders that a file asks for. Raises ConfigError, a line for each problem."""
    problems: list[Problem] = []
    found = []
    for index, settings in enumerate(configuration.wanted.extenders):
        try:
            found.append(Extender(settings))
        except ConfigError as error:
            field = f"extenders[{index}].tlsConfig"
            problems.append((field, f"{field}: {error}"))
    configuration.document.refuse(problems)
    return found


class _Making:
    """One profile on its way."""

    def __init__(self, handle: Handle, asked: KubeSchedulerProfile, field: str, ignored: Sequence[str]) -> None:
        self._handle = handle
        self._asked = asked
        self._field = field
        self._ignored = ignored
        self._made: dict[str, Plugin] = {}
        self._problems: list[Problem] = []

    def profile(self) -> Profile:
        """The profile. Raises Misplaced."""
        sets = merge(DEFAULTS, given(self._asked.plugins, f"{self._field}.plugins"))
        for entry in named(sets):
            self._make(entry)
        self._refuse()
        places = placed(sets, self._extends)
        name = self._asked.scheduler_name
        sorting, binding = len(places[Point.QUEUE_SORT]), len(places[Point.BIND])
        if sorting != 1:
            only = "only one queue sort plugin required for profile with scheduler name"
            self._problems.append((self._field, f'{only} "{name}", but got {sorting}'))
        if not binding:
            least = f'at least one bind plugin is needed for profile with scheduler name "{name}"'
            self._problems.append((self._field, least))
        self._refuse()
        standing = {
            point: [plugin for plugin in map(self._made.__getitem__, names) if implements(plugin, point)]
            for point, names in places.items()
        }
        return assemble(standing, weights=weights(sets, places[Point.SCORE]))

    def _extends(self, name: str, point: Point) -> bool:
        return point in POINTS.get(name, ()) or implements(self._made[name], point)

    def _refuse(self) -> None:
        if self._problems:
            raise Misplaced(*self._problems)

    def _make(self, entry: Entry) -> None:
        try:
            factory: Factory | None = REGISTRY.get(entry.name) or outside(entry.name)
        except ValueError as error:
            self._problems.append((entry.field, str(error)))
            return
        if factory is None:
            self._problems.append((entry.field, f'plugin "{entry.name}" does not exist'))
            return
        field, args = self._args(entry.name)
        try:
            self._made[entry.name] = factory(self._handle, args)
        except ValueError as error:
            self._problems += [_of_argument(field, str(text)) for text in error.args]
        except Exception as error:
            self._problems.append((entry.field, f'initializing plugin "{entry.name}": {type(error).__name__}: {error}'))

    def _args(self, name: str) -> tuple[str, Args]:
        """Where a plugin's arguments stand, and what they are; their kind, if they name one, must be the plugin's."""
        field, args = f"{self._field}.pluginConfig", dict[str, Any]()
        for index, config in enumerate(self._asked.plugin_config):
            if config.name == name:
                field, args = f"{field}[{index}].args", dict(config.args)
        version, kind = args.pop("apiVersion", VERSION), args.pop("kind", f"{name}Args")
        if name in REGISTRY and (version != VERSION or kind != f"{name}Args"):
            group = str(version).partition("/")[0]
            mismatch = f"args for plugin {name} were not of type {name}Args.{GROUP}, got {kind}.{group}"
            self._problems.append((field, mismatch))
        if name == "NodeResourcesFit" and self._ignored:
            args["ignoredResources"] = [*args.get("ignoredResources", ()), *self._ignored]
        return field, args


#: Where texts about arguments name a field: before a colon, or in the words of strict decoding and of Go's decoder.
_NAMED = re.compile(r"^([A-Za-z][\w.\[\]]*): ")
_MENTIONED = re.compile(r'unknown field "([^"]+)"|Go struct field \w+\.([\w.]+) of type')


def _of_argument(field: str, text: str) -> Problem:
    """What a factory says of its arguments, with its place in the file."""
    if mentioned := _MENTIONED.search(text):
        return f"{field}.{mentioned[1] or mentioned[2]}", f"{field}: {text}"
    if named := _NAMED.match(text):
        return f"{field}.{named[1]}", f"{field}.{text}"
    return field, f"{field}: {text}"
