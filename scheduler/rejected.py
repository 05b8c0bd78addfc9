"""Pods that fit nowhere, until something helps.

Pods of one shape and rank are the same to every filter that looks at shapes, so they rest in one group: the last
verdict on one of them holds for all, and an event is judged once for all. When it helps, it makes room for somebody,
rarely for everybody: as many are sent out as rows would take one, and for each that finds a place two more, as long as
there is room. One that finds none brings the verdict for those at home; one that does not come to an answer (deleted,
changed) is replaced. So every group that could be helped has somebody on the way, and ten thousand pods of a shape cost
no more than one. (`Alike` plugins tell what pods must have in common beside their shape.)

A pod that was rejected for what it is itself, or that is promised a node, is a group of its own. Promised pods that
would be alike without their promises are a family: what happens on the node of one is judged for that one, what happens
elsewhere once for all of them, as thousands of preemptors may wait for their victims to go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from k8slite.kinds.base import Object

from .change import NOWHERE, Event
from .columns import Columns
from .hints import NO_HELP, NO_ROWS, Advisers, Help, Interest, Rows
from .history import History
from .profile import Profile
from .waiting import Waiting

log = logging.getLogger(__name__)

#: How many follow one who found a place, and how many of a group are on their way at most.
FOLLOWERS, ON_THE_WAY = 2, 32
Key = tuple[object, ...]
L = TypeVar("L", bound=Hashable)


class Group:
    """Pods that are alike. `room` are rows that were seen to take one, `since` is when the last verdict was given.

    `alike` is what they have in common beside their shape; None for one pod alone. `family` is the key of the group
    that a promised pod would belong to. `out` counts those who were sent and have not come to an answer yet.
    """

    __slots__ = ("alike", "family", "interest", "key", "out", "rejected_by", "resting", "room", "since")

    def __init__(self, key: Key, alike: tuple[Hashable, ...] | None, family: Key | None) -> None:
        self.key = key
        self.alike = alike
        self.family = family
        self.rejected_by: frozenset[str] | None = None
        self.interest: Interest
        self.since = -1
        self.out = 0
        self.resting: dict[str, Waiting] = {}
        self.room: Rows = NO_ROWS

    @property
    def single(self) -> bool:
        """Whether it is about one pod alone."""
        return self.alike is None

    def helped_by(self, events: Sequence[Event] | None) -> Help:
        """What came of events for its pods; None stands for events that nobody knows."""
        if self.single and events:
            # That it took a place and left it, as it was not let keep it, is nothing new to it.
            events = [event for event in events if self.key[0] not in (_uid(event.old), _uid(event.new))]
        if events is not None and not events:
            return NO_HELP
        try:
            return self.interest.helped_by(events)
        except Exception:
            log.exception("judging whether an event helps")
            return Help(else_=True)

    def take_note(self, help_: Help) -> None:
        """There is room where there was none."""
        self.room = np.union1d(self.room, help_.rows)

    def has_room(self) -> bool:
        """Whether another of its pods may find a place, after one did."""
        try:
            self.room = self.interest.taking(self.room)
        except Exception:
            log.exception("judging whether there is room for more")
            return True
        return bool(self.room.size) or not self.interest.exact


def _uid(about: Object | None) -> str | None:
    return None if about is None else about.uid


class Rejected:
    """All groups. `rank` is what the queue is sorted by; `wake` gets pods that are to be tried again."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        *,
        columns: Columns,
        history: History,
        rank: Callable[[Waiting], object],
        wake: Callable[[Waiting, Event | None], None],
    ) -> None:
        self._advisers = {name: Advisers(profile) for name, profile in profiles.items()}
        self._columns = columns
        self._history = history
        self._rank = rank
        self._wake = wake
        self._groups: dict[Key, Group] = {}
        self._by_changes: dict[int, dict[Key, Group]] = {}
        self._families: dict[tuple[Key, int], dict[Key, Group]] = {}
        """By family and by the changes that are worth a look; in no family means in `_by_changes`."""
        self._judged = 0
        self._resting: dict[str, Waiting] = {}
        self._short: list[Group] = []

    def __len__(self) -> int:
        return len(self._resting)

    def first(self) -> Waiting | None:
        """Who was rejected the longest ago."""
        return next(iter(self._resting.values()), None)

    def rests(self, uid: str) -> bool:
        """Whether a pod is here, and not on its way."""
        return uid in self._resting

    def rest(self, waiting: Waiting, rejected_by: frozenset[str]) -> bool:
        """A verdict was given on a pod; whether it has to rest, or what happened meanwhile helped it."""
        group = self._group_of(waiting, rejected_by)
        sent = waiting.group
        if sent is not None:
            sent.out -= 1
            if sent is not group and (sent.family is None or sent.family != group.family):
                self._replace(sent)
        if waiting.seen >= group.since:
            self._set_verdict(group, waiting, rejected_by)
        waiting.group = group
        help_ = group.helped_by(self._history.since(waiting.seen))
        if help_:
            group.out += 1
            group.take_note(help_)
            self._drop_if_empty(group)
            return False
        group.resting[waiting.pod.uid] = self._resting[waiting.pod.uid] = waiting
        return True

    def leave(self, waiting: Waiting) -> None:
        """A resting pod is taken out; whoever was out for its group and did not find a place is replaced."""
        group, waiting.group = waiting.group, None
        if group is None:
            return
        if self._resting.pop(waiting.pod.uid, None) is None:
            group.out -= 1
            self._replace(group)
            return
        del group.resting[waiting.pod.uid]
        self._drop_if_empty(group)

    def placed(self, waiting: Waiting) -> None:
        """A pod found a place: if it was sent out, others may follow."""
        group, waiting.group = waiting.group, None
        if group is None:
            return
        group.out -= 1
        self._send_more(group, FOLLOWERS)

    def judge(self) -> None:
        """Wake those whom something helped that happened since it was last asked."""
        events = self._history.since(self._judged) or ()
        base, self._judged = self._history.position - len(events), self._history.position
        if not events or not self._resting:
            return
        happened = 0
        for event in events:
            happened |= event.change.value
        for changes in [changes for changes in self._by_changes if changes & happened]:
            for group in list(self._by_changes[changes].values()):
                if help_ := group.helped_by(events[max(group.since - base, 0) :]):
                    group.take_note(help_)
                    self._send(group, max(help_.rows.size, 1), events[-1])
        if self._families:
            self._judge_families(events, base, happened)

    def _judge_families(self, events: Sequence[Event], base: int, happened: int) -> None:
        """First each pod for what happened on its own node, then once for all of a family who are left."""
        nominations, names = self._columns.nominations, self._columns.names
        touched = {names[event.row] for event in events if event.row != NOWHERE}
        for uid in [uid for node in touched for uid in nominations.on(node)]:
            group = self._groups.get((uid,))
            if group is None or group.family is None or not group.resting:
                continue
            if help_ := group.helped_by(events[max(group.since - base, 0) :]):
                group.take_note(help_)
                self._send(group, 1, events[-1])
        for (family, changes), kin in list(self._families.items()):
            if not changes & happened or (family, changes) not in self._families:
                continue
            if help_ := next(iter(kin.values())).helped_by(events):
                self._send_kin(kin, max(help_.rows.size, 1), help_, events[-1])

    def _send_more(self, group: Group, number: int) -> None:
        """Send others of a group, or of a family, as long as there is room."""
        if group.resting:
            if group.has_room():
                self._send(group, number, None)
            return
        kin = self._families.get((group.family, group.interest.changes)) if group.family is not None else None
        if kin and group.has_room():
            self._send_kin(kin, number, Help(group.room), None)

    def _send_kin(self, kin: Mapping[Key, Group], number: int, help_: Help, event: Event | None) -> None:
        for group in list(kin.values())[: min(number, ON_THE_WAY)]:
            group.take_note(help_)
            self._send(group, 1, event)

    def _send(self, group: Group, number: int, event: Event | None) -> None:
        number = min(number, ON_THE_WAY - group.out)
        for _ in range(number):
            uid = next(iter(group.resting), None)
            if uid is None:
                break
            waiting = group.resting.pop(uid)
            del self._resting[uid]
            group.out += 1
            self._wake(waiting, event)
        self._drop_if_empty(group)

    def _replace(self, group: Group) -> None:
        """Somebody who was sent out is lost; whoever is sent instead may be lost at once, and so on."""
        self._short.append(group)
        if len(self._short) > 1:
            return  # seen to by the loop below, which got here
        try:
            for short in self._short:
                if short.family is None:
                    self._send(short, 1, None)
                else:
                    self._send_more(short, 1)
        finally:
            self._short.clear()

    def _group_of(self, waiting: Waiting, rejected_by: frozenset[str]) -> Group:
        pod = waiting.pod
        promised = self._columns.nominations.get(pod.uid) is not None
        advisers = self._advisers[pod.spec.scheduler_name]
        alike = advisers.likeness(pod, rejected_by)
        shape = waiting.shape
        key: Key = (pod.uid,)
        shared: Key | None = None
        if alike is not None:
            shared = (pod.spec.scheduler_name, self._rank(waiting), shape, shape.spread, alike)
            key = key if promised else shared
        family = shared if promised else None
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, None if promised else alike, family)
        elif group.family != family:
            self._unlist(group)
            group.family = family
        return group

    def _set_verdict(self, group: Group, waiting: Waiting, rejected_by: frozenset[str]) -> None:
        group.since = waiting.seen
        group.room = NO_ROWS
        if group.rejected_by == rejected_by and not group.single:
            self._list(group)
            return
        if group.rejected_by is not None:
            self._unlist(group)
        advisers = self._advisers[waiting.pod.spec.scheduler_name]
        group.rejected_by = rejected_by
        group.interest = Interest(waiting.pod, waiting.shape, rejected_by, advisers=advisers, columns=self._columns)
        self._list(group)

    def _list(self, group: Group) -> None:
        changes = group.interest.changes
        if group.family is not None:
            self._families.setdefault((group.family, changes), {})[group.key] = group
        else:
            self._by_changes.setdefault(changes, {})[group.key] = group

    def _unlist(self, group: Group) -> None:
        if group.family is not None:
            _take(self._families, (group.family, group.interest.changes), group.key)
        else:
            _take(self._by_changes, group.interest.changes, group.key)

    def _drop_if_empty(self, group: Group) -> None:
        if not group.resting and self._groups.get(group.key) is group:
            self._unlist(group)
            del self._groups[group.key]


def _take(listed: dict[L, dict[Key, Group]], where: L, key: Key) -> None:
    """Take a group from a list of lists, if it is there, and the list with the last of them."""
    groups = listed.get(where)
    if groups is not None and groups.pop(key, None) is not None and not groups:
        del listed[where]
