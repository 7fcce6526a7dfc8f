"""Facts on a ledger, made by hand, with every field that its report reads."""


def metrics(forget):
    return {"accuracy/retain_train": 0.99, "accuracy/forget_train": forget, "mia/entropy": 0.5}


def facts(names=("22", "53"), **changes):
    """Those of a ledger with one line of each kind."""
    made = {"versions": {"jax": "0.10.2"}, "device": "cpu x1", "config": "c0nfig"}
    after = {"network": {"before": "net0", "after": "net1"}, "seconds": {"steps": 0.25, "total": 2}}
    method = {"label": "ssd", "name": "ssd", "alpha": 3.0}
    begin = {"number": 1, "kind": "init", "time": "t1", "method": method, "metrics": metrics(1.0)}
    begin |= {"network": {"after": "net0"}, "seconds": {"training": 9.5}, **made}
    begin["dataset"] = {"name": "digits", "version": "1.0", "fingerprint": "f1nger"}
    request = {"count": len(names), "by": "id", "private": False, "skipped": ["7"]}
    twins = {"count": 1, "taken": True, "names": ["23"]}
    steps = [
        {"number": 2, "kind": "forget", "time": "t2", "request": request, "names": list(names)}
        | {"twins": twins, "method": "ssd", "metrics": metrics(0.25), **after, **made},
        {"number": 3, "kind": "decision", "time": "t3", "retrain": True, "because": "drift of 2"},
        {"number": 4, "kind": "retrain", "time": "t4", "metrics": metrics(0.0), **after, **made},
        {"number": 5, "kind": "purge", "time": "t5", "networks": ["net0"], "cache": []},
    ]
    status = {
        "directory": "orders",
        "hash": "h4sh",
        "began": "t1",
        "changed": "t5",
        "dataset": "digits",
        "model": "small_cnn",
        "method": "ssd",
        "requests": 1,
        "deleted": 3,
        "retained": 1434,
        "network": "net1",
        "exact": True,
        "requests_since_exact": 0,
        "policy": {"every": 5, "metric": None, "bound": None},
        "metrics": metrics(0.0),
        "seconds": 12.5,
    }
    checked = {"fits": True, "lines": 5, "networks": 2}
    found = {"status": status, "begin": begin, "steps": steps, "verified": checked}
    return found | {"remains": ["an earlier network, net0"]} | changes
