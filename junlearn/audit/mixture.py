"""Networks of several versions of the code in one ensemble: used with a remark, never mixed unasked."""

from collections.abc import Mapping, Sequence

from junlearn.audit.bank import Bank, Place
from junlearn.errors import ConfigError
from junlearn.experiment import provenance
from junlearn.experiment.progress import Reporter

__all__ = ["tell"]


def tell(
    bank: Bank,
    places: Sequence[Place],
    code: Mapping[str, str],
    reporter: Reporter,
    mixed: bool,
) -> None:
    """Say what networks of other versions, code or devices are; raise where they would stand beside new ones."""
    found = [bank.about(place) for place in places]
    others = {
        provenance.differences(each, code)  # type: ignore[arg-type]
        for each in found
        if each is not None
    } - {""}
    if not others:
        return
    name = places[0].ensemble
    text = "; ".join(sorted(others))
    if None in found and not mixed:
        raise ConfigError(
            f"audit: {name} networks of bank {bank.hash[:4]} are of {text}: one ensemble is made by one version; "
            "audit.mixed = true grows it all the same"
        )
    reporter.say(f"audit: {name} networks kept, not trained again, of {text}")
