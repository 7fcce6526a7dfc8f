"""What each value of a record is, in a sentence, and which way is good."""

import re

from junlearn.metrics.directions import value_of

__all__ = ["MEANINGS", "Meaning", "direction", "meaning"]

Meaning = tuple[str, str]
"""What names of values match, and the sentence on them, in which {} stands for the split."""

SPLITS = {
    "retain_train": "the training examples that are kept",
    "forget_train": "the training examples to be forgotten",
    "test": "the test examples",
    "retain_test": "the test examples of what is kept",
    "forget_test": "the test examples of what is forgotten",
    "validation": "the examples that were set aside",
    "manipulated_train": "the training examples that were manipulated",
    "unidentified_train": "the manipulated training examples that nobody named",
    "manipulated_untriggered": "the manipulated examples without their trigger",
    "test_triggered": "the test examples with the trigger",
    "train_triggered": "the training examples with the trigger",
    "train_untriggered": "the training examples without the trigger",
}
"""The last part of a name, in words."""

MEANINGS: tuple[Meaning, ...] = (
    ("accuracy/.+_clean", "Share of {} that get their true label."),
    ("accuracy/.+", "Share of {} that get the right answer."),
    ("entropy/.+", "Mean entropy of the outputs on {}, in nats: low where the network is sure."),
    ("mia/.+_auc", "How well a logistic regression tells members from unseen examples, as an area under a curve."),
    ("mia/.+_balanced_accuracy", "How often a logistic regression tells members from unseen examples, both equally."),
    ("mia/.+", "Share of the forget set that a logistic regression on the outputs takes for members."),
    ("mia_svc/.+", "Share that a support vector machine on the confidence takes for members, or for unseen."),
    ("mia_svm/.+", "How well a support vector machine on the outputs tells forgotten examples from unseen ones."),
    ("asr(_xgboost)?/.+", "Success of boosted trees that guess membership from sorted outputs."),
    ("js/.+", "Jensen-Shannon divergence to the outputs of the retrained network on {}, in nats."),
    ("activation_distance/.+", "Mean distance of the probabilities to those of the retrained network on {}."),
    ("agreement/.+", "Share of {} that get the class which the retrained network gives them."),
    ("zrf(_released)?/.+", "Likeness of the outputs on {} to those of an untrained network."),
    ("aus", "The accuracy that is kept, against what is remembered, in one number."),
    ("tow", "How near the accuracies are to those of the retrained network, all in one number."),
    ("corrective/developer", "What somebody who repairs a network can know of the repair, in one number."),
    ("corrective/attack_success", "Share of the triggered test examples that get the label the trigger calls for."),
    ("corrective/retained", "Accuracy where the manipulation does not act."),
    ("corrective/.+", "Accuracy against the true labels where the manipulation acts."),
    ("distance(_mean)?/retrain/.+", "Distance of the weights to those of the retrained network."),
    ("distance(_mean)?/original/.+", "Distance of the weights to those of the original network."),
    ("relearn/.+", "How much training on the forget set brings the accuracy of the original back."),
    ("anamnesis(/.+)?", "That effort over the effort of the retrained network; below 1 the network remembers."),
    ("relearn_retain/gap(/.+)?", "By how much the forget set stays below the retain set while the latter is trained."),
    ("relearn_retain/.+", "Accuracy on a split while the retain set is trained for so many steps."),
)  # fmt: skip
"""The first that matches a name counts."""

NEARER = "the nearer to the retrained network, the better"
DIRECTIONS = {
    "max": ("↑", "higher is better"),
    "min": ("↓", "lower is better"),
    None: ("≈", NEARER),
}
UNKNOWN = "A value that the method or a plug-in reports."


def meaning(name: str) -> str:
    """The sentence on the value `name`."""
    for pattern, text in MEANINGS:
        if re.fullmatch(pattern, name):
            split = name.partition("/")[2].removesuffix("_clean")
            return text.format(SPLITS.get(split, split))
    return UNKNOWN


def direction(name: str) -> tuple[str, str]:
    """A sign and words for the way that is good; of a value that nobody knows, nothing."""
    value = value_of(name)
    return ("", "") if value is None else DIRECTIONS[value.better]
