"""The arguments of plugins: read from a KubeSchedulerConfiguration, refused in Kubernetes' words.

A plugin's arguments are a model here, whose unknown fields are refused, and a function that says what is wrong with
their values. Paths begin at the arguments; who reads the configuration puts the path of the plugin before them.

Source: kube-scheduler, apis/config/validation, for the words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from k8slite.errors import Cause
from k8slite.kinds.base import Model

from .configuration.values import json_type
from .framework import Args


class BadArguments(ValueError):
    """A plugin cannot accept its arguments; `args` are texts that say where and why."""

    def __init__(self, texts: Iterable[str]) -> None:
        super().__init__(*dict.fromkeys(texts))

    def __str__(self) -> str:
        return str(self.args[0]) if len(self.args) == 1 else f"[{', '.join(self.args)}]"


def refuse(causes: Iterable[Cause]) -> None:
    """Raise BadArguments for causes, if there are any."""
    if texts := [str(cause) for cause in causes]:
        raise BadArguments(texts)


class Part(Model, extra="forbid"):
    """A part of arguments. Its fields are of the types in `configuration/values.py`."""


A = TypeVar("A", bound=Part)


def read(model: type[A], args: Args) -> A:
    """Arguments by their model; what is null is as if it were not there. Raises BadArguments."""
    try:
        return model.model_validate(_without_nulls({**args}))
    except ValidationError as error:
        raise BadArguments([_text(each, model.__name__) for each in error.errors()]) from None


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nulls(each) for key, each in value.items() if each is not None}
        case list():
            return [_without_nulls(each) for each in value]
    return value


def _text(error: Any, kind: str) -> str:
    location = error["loc"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    dotted = ".".join(part for part in location if isinstance(part, str))
    match error["type"]:
        case "extra_forbidden":
            return f'strict decoding error: unknown field "{path}"'
        case "go_type" | "list_type" | "dict_type" | "model_type":
            go = error.get("ctx", {}).get("go", "slice" if error["type"] == "list_type" else "struct")
            return (
                f"json: cannot unmarshal {json_type(error['input'])} into Go struct field {kind}.{dotted} of type {go}"
            )
    return f"{path}: Invalid value: {error['msg']}"
