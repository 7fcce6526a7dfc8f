"""Unlearning methods, one module each: `Config`, `State`, `make(config, model) -> Method`, `NEEDS` and `SPACE`.

A method is pure functions that describe its steps. It imports `parts`, `models` and the contract; never the engine that
runs it, nor datasets, scenarios, metrics or experiments.

Read `finetune` first, the shortest; then `ssd`, which trains nothing, and `scrub`, whose phases alternate. `README.md`
beside this file has the words of the field, a table of all methods, and how to add one.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from junlearn.memo import remembered
from junlearn.methods import (
    amun,
    bad_teacher,
    boundary_expand,
    boundary_shrink,
    camu,
    certified_newton,
    cf_k,
    cfw,
    ct,
    delete,
    dmm,
    duck,
    emmn,
    eu_k,
    fcs,
    finetune,
    fisher,
    gkt,
    influence,
    jit,
    kde,
    l1_sparse,
    laf,
    langevin,
    lotus,
    model_clipping,
    msg,
    mu_mis,
    munba,
    naive,
    neggrad,
    neggrad_plus,
    negmerge,
    noisy_finetune,
    ntk,
    orthograd,
    output_perturbation,
    prmq,
    random_labels,
    retrain,
    rni,
    rum,
    salun,
    scar,
    scar_self,
    scissorhands,
    scrub,
    sfron,
    sisa,
    ssd,
    svd_projection,
    uam,
    unrolling,
    unsir,
    wood_fisher,
)
from junlearn.types import Method, Model

__all__ = ["METHODS", "build", "needs_of"]

METHODS: dict[str, ModuleType] = {
    "amun": amun,
    "bad_teacher": bad_teacher,
    "boundary_expand": boundary_expand,
    "boundary_shrink": boundary_shrink,
    "camu": camu,
    "certified_newton": certified_newton,
    "cf_k": cf_k,
    "cfw": cfw,
    "ct": ct,
    "delete": delete,
    "dmm": dmm,
    "duck": duck,
    "emmn": emmn,
    "eu_k": eu_k,
    "fcs": fcs,
    "finetune": finetune,
    "fisher": fisher,
    "gkt": gkt,
    "influence": influence,
    "jit": jit,
    "kde": kde,
    "l1_sparse": l1_sparse,
    "laf": laf,
    "langevin": langevin,
    "lotus": lotus,
    "model_clipping": model_clipping,
    "msg": msg,
    "mu_mis": mu_mis,
    "munba": munba,
    "naive": naive,
    "neggrad": neggrad,
    "neggrad_plus": neggrad_plus,
    "negmerge": negmerge,
    "noisy_finetune": noisy_finetune,
    "ntk": ntk,
    "orthograd": orthograd,
    "output_perturbation": output_perturbation,
    "prmq": prmq,
    "random_labels": random_labels,
    "retrain": retrain,
    "rni": rni,
    "rum": rum,
    "salun": salun,
    "scar": scar,
    "scar_self": scar_self,
    "scissorhands": scissorhands,
    "scrub": scrub,
    "sfron": sfron,
    "sisa": sisa,
    "ssd": ssd,
    "svd_projection": svd_projection,
    "uam": uam,
    "unrolling": unrolling,
    "unsir": unsir,
    "wood_fisher": wood_fisher,
}


def needs_of(method: Any, config: Any) -> frozenset[str]:
    """The data that a method with this `Config` reads: its `needs(config)`, where it depends on it, or its NEEDS."""
    method = _module(method)
    return frozenset(method.needs(config) if hasattr(method, "needs") else method.NEEDS)


def build(method: Any, config: Any, model: Model) -> Method:
    """`method.make(config, model)`: the same Method for equal arguments, so that it is compiled once.

    `method` is a name in METHODS, or any object with `Config`, `make` and `NEEDS`.
    """
    return _build(_module(method).make, config, model)


def _module(method: Any) -> Any:
    return METHODS[method] if isinstance(method, str) else method


@remembered
def _build(make: Callable[[Any, Model], Method], config: Any, model: Model) -> Method:
    return make(config, model)
