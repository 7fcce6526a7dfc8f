"""What the networks say of each class and of single images, in numbers."""

from typing import Any

import numpy as np

from junlearn.experiment.asking import Answers, Asked
from junlearn.reports.page.drawings import thumbnail
from junlearn.reports.pictures.class_accuracy import accuracies

__all__ = ["answers", "classes", "images"]

MOST = 30
"""Classes in the table; of more, those whose accuracy changed most."""
COMMON = 3
"""Answers that are named for the forgotten examples."""


def classes(found: Answers) -> dict[str, Any] | None:
    """Accuracy on the test examples of every class, by every network, in percent; None without a test set."""
    asked = [network for network in found.networks if network.test is not None]
    present = np.unique(found.test_labels)
    if not asked or not len(present):
        return None
    tests = [np.asarray(network.test) for network in asked]
    table = np.array([accuracies(found.test_labels, said, present) for said in tests]).T
    spread = table.max(1) - table.min(1)
    shown = np.sort(np.argsort(-spread, kind="stable")[:MOST])
    forgotten = set(found.forget_labels.tolist())
    counts = np.bincount(found.test_labels, minlength=len(found.classes))
    return {
        "networks": [(network.role, network.label) for network in asked],
        "lines": [
            {
                "name": found.classes[present[place]],
                "forgotten": int(present[place]) in forgotten,
                "count": int(counts[present[place]]),
                "cells": [f"{value:.1f}" for value in table[place]],
            }
            for place in shown
        ],
        "others": len(present) - len(shown),
    }


def answers(found: Answers) -> list[tuple[str, str, str]]:
    """Of every network: the share of forgotten examples that get their label, and its most common answers to them."""
    lines = []
    for network in found.networks:
        own = 100 * float(np.mean(network.forget == found.forget_labels))
        counts = np.bincount(network.forget, minlength=len(found.classes))
        common = np.argsort(-counts, kind="stable")[:COMMON]
        said = [
            f"{found.classes[i]} ({100 * counts[i] / len(network.forget):.0f} %)"
            for i in common
            if counts[i]
        ]
        lines.append((network.label, f"{own:.1f}", ", ".join(said)))
    return lines


def images(found: Answers) -> dict[str, Any] | None:
    """The forgotten images that are shown, with what every network takes each for; None where there are none."""
    shown = found.images
    if shown is None or not len(shown.pixels):
        return None
    return {
        "networks": [(network.role, network.label) for network in found.networks],
        "of": len(found.forget_labels),
        "lines": [
            {
                "address": thumbnail(shown.pixels[i]),
                "name": shown.names[i],
                "label": found.classes[shown.labels[i]],
                "answers": [_answer(found, network, i) for network in found.networks],
            }
            for i in range(len(shown.pixels))
        ],
    }


def _answer(found: Answers, network: Asked, place: int) -> tuple[str, str]:
    chosen = int(network.pictured[place].argmax())
    return found.classes[chosen], f"{100 * network.pictured[place, chosen]:.0f} %"
