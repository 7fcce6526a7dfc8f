"""Unlearning methods, one module each: `Config`, `State`, `make(config, model) -> Method` and `NEEDS`."""

from types import ModuleType

from junlearn.methods import (
    bad_teacher,
    boundary_expand,
    boundary_shrink,
    camu,
    cf_k,
    emmn,
    eu_k,
    finetune,
    fisher,
    gkt,
    jit,
    laf,
    naive,
    neggrad,
    neggrad_plus,
    ntk,
    random_labels,
    retrain,
    scrub,
    sisa,
    ssd,
    unrolling,
    unsir,
)

__all__ = ["METHODS"]

METHODS: dict[str, ModuleType] = {
    "bad_teacher": bad_teacher,
    "boundary_expand": boundary_expand,
    "boundary_shrink": boundary_shrink,
    "camu": camu,
    "cf_k": cf_k,
    "emmn": emmn,
    "eu_k": eu_k,
    "finetune": finetune,
    "fisher": fisher,
    "gkt": gkt,
    "jit": jit,
    "laf": laf,
    "naive": naive,
    "neggrad": neggrad,
    "neggrad_plus": neggrad_plus,
    "ntk": ntk,
    "random_labels": random_labels,
    "retrain": retrain,
    "scrub": scrub,
    "sisa": sisa,
    "ssd": ssd,
    "unrolling": unrolling,
    "unsir": unsir,
}
