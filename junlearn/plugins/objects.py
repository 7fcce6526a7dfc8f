"""Methods and metrics that a person passes in Python: by name, or the thing itself."""

import dataclasses
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from junlearn.errors import ConfigError, unknown
from junlearn.metrics import Metric
from junlearn.plugins import registry
from junlearn.plugins.contract import adapted

__all__ = ["chosen_method", "chosen_metrics", "owner_of"]


def chosen_method(method: Any) -> tuple[str, Any, Mapping[str, Any]]:
    """The name of a method, the method, and what its preset sets.

    `method` is a name, or a module or any other object with `Config`, `make` and `NEEDS`, whose name is that of the
    module or class. Raises ConfigError for a name that there is not and for an object that lacks a part.
    """
    if isinstance(method, str):
        return method, registry.find("method", method), registry.preset(method)
    if method is None or isinstance(method, int | float | bytes | list | tuple | dict):
        raise unknown("method", method, registry.names("method"))
    name = str(getattr(method, "__name__", type(method).__name__)).rpartition(".")[2]
    if registry.KINDS["method"].get(name) is method:
        return name, method, {}
    return name, adapted("method", method, f"method {name}"), {}


def owner_of(method: Any) -> tuple[str, Any] | None:
    """The name and the method that a filled Config belongs to, `scrub.Config(alpha=1)`; None: it is no such thing.

    It is the method of the module that defines the class, or else the known one that uses it. Raises ConfigError for a
    dataclass of no method.
    """
    if not dataclasses.is_dataclass(method) or isinstance(method, type) or _is_method(method):
        return None
    kind = type(method)
    module = sys.modules.get(kind.__module__)
    known = registry.methods_of(kind)
    for found in known:
        if found[1] is module:
            return found
    if module is not None and _is_method(module) and module.Config is kind:
        return chosen_method(module)[:2]
    if known:
        return known[0]
    raise ConfigError(
        f"method is a {kind.__qualname__} of {kind.__module__}, which is the Config of no method: register it first "
        "(junlearn.register), or pass the method itself"
    )


def _is_method(thing: Any) -> bool:
    return all(hasattr(thing, part) for part in ("Config", "make", "NEEDS"))


def chosen_metrics(metrics: Any) -> dict[str, Metric]:
    """The functions of metrics by name, which are given as a list of names and functions, or as one of them.

    Raises ConfigError for a name that there is not, for what is neither, and for two functions of one name.
    """
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    if not isinstance(metrics, Iterable):
        raise ConfigError(f"metrics is {metrics!r}: a list of names is wanted, or of functions")
    found: dict[str, Metric] = {}
    for metric in metrics:
        own = callable(metric) or callable(getattr(metric, "metric", None))
        name = (
            str(getattr(metric, "__name__", type(metric).__name__)).rpartition(".")[2]
            if own
            else metric
        )
        if not own and not isinstance(metric, str):
            raise unknown("metric", metric, registry.names("metric"))
        if own and name in found:
            raise ConfigError(f"metrics: two have the name {name!r}; give one of them another")
        found[name] = (
            adapted("metric", metric, f"metric {name}") if own else registry.find("metric", name)
        )
    return found
