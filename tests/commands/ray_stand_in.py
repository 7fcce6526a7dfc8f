"""A module in the place of Ray, which carries out one task at a time, in this process."""

import pickle
import sys
from types import ModuleType, SimpleNamespace

from junlearn.engine import interrupts


class RayError(Exception):
    pass


class Cluster:
    """What the module was asked for, and what happens to its tasks."""

    def __init__(self, deaths, interrupt_at, resources):
        self.deaths, self.interrupt_at = list(deaths), interrupt_at
        self.resources = resources
        self.options, self.tasks, self.cancelled, self.waits = {}, [], [], 0
        self.ended = False

    def remote(self, function):
        def options(**options):
            self.options = options
            return SimpleNamespace(remote=lambda order: self.send(function, order))

        return SimpleNamespace(options=options)

    def send(self, function, order):
        self.tasks.append((function, pickle.loads(pickle.dumps(order))))
        return len(self.tasks) - 1

    def wait(self, refs, num_returns, timeout):
        assert refs and timeout
        self.waits += 1
        if self.waits == self.interrupt_at:
            interrupts._handle(2, None)
            return [], refs
        return refs[:num_returns], refs[num_returns:]

    def get(self, ref):
        function, order = self.tasks[ref]
        if order.folder in self.deaths:
            self.deaths.remove(order.folder)
            raise RayError("\nthe worker died\nsee its log")
        return pickle.loads(pickle.dumps(function(order)))

    def cancel(self, ref, force=False):
        self.cancelled.append((ref, force))

    def shutdown(self):
        self.ended = True


def install(patch, *, deaths=(), interrupt_at=0, **resources):
    """The cluster that is found from here on; a point in `deaths` dies as often as it stands there."""
    cluster = Cluster(deaths, interrupt_at, {"CPU": 2.0, **resources})
    module = ModuleType("ray")
    module.exceptions = SimpleNamespace(RayError=RayError)
    module.is_initialized = lambda: False
    module.init = lambda **options: None
    module.nodes = lambda: [{"Alive": True, "Resources": cluster.resources}]
    module.cluster_resources = lambda: cluster.resources
    for name in ("remote", "wait", "get", "cancel", "shutdown"):
        setattr(module, name, getattr(cluster, name))
    patch.setitem(sys.modules, "ray", module)
    return cluster
