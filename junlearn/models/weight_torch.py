"""Networks to PyTorch and from it, without a file. PyTorch is imported when it is asked for."""

from collections.abc import Mapping
from typing import Any

import jax

from junlearn.errors import ConfigError
from junlearn.models.weight_export import Dtype, named_arrays, table_of, tensors
from junlearn.models.weight_files import entries_of
from junlearn.models.weights import fit
from junlearn.types import Model, Variables

__all__ = ["from_torch", "to_torch"]


def to_torch(
    model: Model, variables: Variables, *, names: str | None = None, dtype: Dtype = "float32"
) -> dict[str, Any]:
    """The `state_dict` of a network: tensors by their names in PyTorch, for `load_state_dict` of the same network.

    It holds every array, running statistics and `num_batches_tracked` too. `names` chooses the library whose names they
    are, where several have the network: `huggingface` (the usual one of a vision transformer), `timm`, `torchvision`.

    Raises ConfigError where PyTorch is not installed, and where no names are known of the network.
    """
    return tensors(named_arrays(model, variables, names=names, dtype=dtype))


def from_torch(model: Model, network: Any) -> Variables:
    """The variables of `model` from a `state_dict`, or from the module in PyTorch that has one: numpy arrays.

    Names of any library that the model has a table for are understood. The arrays are copies.

    Raises CheckpointError, which names what does not fit; ConfigError for something else than a `state_dict` or a
    module, and for a model that has no table or does not know the shape of its input.
    """
    table_of(model)
    state = network.state_dict() if hasattr(network, "state_dict") else network
    if not isinstance(state, Mapping):
        raise ConfigError(
            f"from_torch: a state_dict or a torch.nn.Module is needed, not {type(network).__name__}"
        )
    if model.input_shape is None:
        raise ConfigError("from_torch: the model does not know the shape of its input")
    drawn = jax.eval_shape(model.init, jax.random.key(0), model.example({}))
    return fit(entries_of(state), model.tables, drawn, "the state_dict does not fit the model")
