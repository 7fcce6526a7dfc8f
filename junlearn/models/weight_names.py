"""The names in a file of weights, brought to those of a network: what wrappers put before and into them is taken off.

    (1)  anywhere     `module.`, `_orig_mod.`, `_fsdp_wrapped_module.`, `_checkpoint_wrapped_module.`: those of
                      DataParallel, torch.compile, FSDP and activation checkpoints
    (2)  in front     a prefix that all names share (`model.`, `net.` ...)
    (3)  in front     a prefix that a group of names shares, behind which most names of the network stand, such as
                      `vit.` or `backbone.` beside a head without it

A prefix that would have to be chosen (`student.` or `teacher.`) is an error, and so is a layer in front of the network
that normalises the images: here the dataset does that, and the two must agree.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from fnmatch import fnmatch

__all__ = ["bare", "ignored"]

WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts of a name that stand for nothing in the network."""

IGNORED = (
    *("*num_batches_tracked", "*position_ids", "pooler.*"),
    *("n_averaged", "*total_ops", "*total_params", "*_extra_state"),
)
"""Names without a counterpart: nothing that a network computes here depends on them."""

DEPTH = 4
"""Parts of the longest prefix of a group."""


def ignored(name: str) -> bool:
    """Whether a name has no counterpart in any network."""
    return any(fnmatch(name, pattern) for pattern in IGNORED)


def bare(names: Iterable[str], wanted: Collection[str]) -> dict[str, str]:
    """Each of `names`, as a file has it, with the name that it has without what wrappers put there.

    `wanted` are the network's own names. Raises ValueError, which says why, where two names become one, where several
    networks are in the file, or where another layer stands before the network.
    """
    found = {name: _unwrapped(name) for name in names}
    while True:
        prefix = _shared(found.values(), wanted) or _of_a_group(found.values(), wanted)
        if not prefix:
            break
        first = prefix.split(".")[0]
        if first.isdigit() and first != "0":
            raise ValueError(
                f"the network is layer {first} of a Sequential, and what stands before it (a layer that normalises the "
                f"images?) is not known here; save the network alone, torch.save(model[{first}].state_dict(), "
                "'weights.pt'), and give the dataset the same mean and std"
            )
        found = {name: own.removeprefix(prefix) for name, own in found.items()}
    twice = [own for own, count in Counter(found.values()).items() if count > 1 and own in wanted]
    if twice:
        both = [name for name, own in found.items() if own == twice[0]]
        raise ValueError(f"{both[0]!r} and {both[1]!r} are the same array of the network")
    return found


def _unwrapped(name: str) -> str:
    """`name` without the parts that stand for nothing."""
    parts = [part for part in name.split(".") if part not in WRAPPERS]
    return ".".join(parts) or name


def _shared(names: Iterable[str], wanted: Collection[str]) -> str:
    """The part that all names begin with, if the network's own names do not begin with it; else empty."""
    firsts = {name.partition(".")[0] for name in names if not ignored(name) and "." in name}
    alone = [name for name in names if "." not in name and not ignored(name)]
    if len(firsts) != 1 or alone:
        return ""
    prefix = f"{firsts.pop()}."
    return "" if any(name.startswith(prefix) for name in wanted) else prefix


def _of_a_group(names: Iterable[str], wanted: Collection[str]) -> str:
    """The prefix behind which most of the network's names stand that the file does not have without one."""
    known = set(wanted)
    present = set(names)
    missing = known - present
    score: Counter[str] = Counter()
    for name in present - known:
        parts = name.split(".")
        for depth in range(1, min(DEPTH, len(parts) - 1) + 1):
            if ".".join(parts[depth:]) in missing:
                score[".".join(parts[:depth]) + "."] += 1
    if not score:
        return ""
    most = max(score.values())
    best = [prefix for prefix, count in score.items() if count == most]
    best.sort(key=lambda prefix: (len(prefix), prefix))
    # A few names may stand behind a prefix by chance: conv1 of the stem, and of every block.
    if most < max(2, len(missing) // 4):
        return ""
    apart = [prefix for prefix in best[1:] if not prefix.startswith(best[0])]
    if apart:
        several = ", ".join(repr(prefix) for prefix in (best[0], *apart))
        raise ValueError(
            f"several networks are in the file, under {several}; save the one that is meant alone: "
            "torch.save({k.removeprefix(P): v for k, v in state.items() if k.startswith(P)}, 'weights.pt')"
        )
    return best[0]
