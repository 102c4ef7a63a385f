"""The form in which a model reaches the scorers: JSON of plain numbers, which runs no code and needs no River.

Python writes each float so that reading it gives the same float again.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.priors import INPUTS

Array = npt.NDArray[np.float64]


def linear_bytes(classes: Sequence[str], weights: Sequence[Array], intercepts: Sequence[float]) -> bytes:
    """Return a linear model's bytes.

    Parameters
    ----------
    weights : per class, of the unscaled features, shape (features,)
    intercepts : per class
    """
    rows = [row.tolist() for row in weights]
    return _bytes({"classes": list(classes), "weights": rows, "intercepts": [float(each) for each in intercepts]})


def arms_bytes(
    names: Sequence[str], means: Sequence[Sequence[float]], covariances: Sequence[Sequence[Sequence[float]]]
) -> bytes:
    """Return the bytes of every arm's posterior over the weights of ``INPUTS``, arm by arm."""
    return _bytes({"inputs": list(INPUTS), "arms": list(names), "means": means, "covariances": covariances})


def linear_of(loaded: Any, classes: Sequence[str], width: int) -> tuple[Array, Array]:
    """Return weights, shape (classes, width), and intercepts, shape (classes,).

    Raises
    ------
    ValueError
        when these are not the numbers of a linear model of these classes
    """
    given = _fields(loaded, "classes", "weights", "intercepts")
    if given["classes"] != list(classes):
        raise ValueError(f"a model of other classes: {given['classes']!r:.100}")
    return _array(given["weights"], (len(classes), width)), _array(given["intercepts"], (len(classes),))


def arms_of(loaded: Any) -> tuple[list[str], Array, Array]:
    """Return the arms' names, means, shape (arms, inputs), and covariances, shape (arms, inputs, inputs).

    Raises
    ------
    ValueError
        when these are not the numbers of arms with our inputs
    """
    given = _fields(loaded, "inputs", "arms", "means", "covariances")
    if given["inputs"] != list(INPUTS):
        raise ValueError(f"arms of other inputs: {given['inputs']!r:.100}")
    names = given["arms"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError("the arms' names are not a list of different texts")
    size = len(INPUTS)
    return names, _array(given["means"], (len(names), size)), _array(given["covariances"], (len(names), size, size))


def _bytes(given: Mapping[str, object]) -> bytes:
    return json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()


def _fields(loaded: Any, *names: str) -> dict[str, Any]:
    if not isinstance(loaded, dict) or set(loaded) != set(names):
        raise ValueError(f"has not exactly the fields {', '.join(names)}")
    return loaded


def _array(given: Any, shape: tuple[int, ...]) -> Array:
    array = np.array(given, np.float64)
    if array.size == 0 == shape[0]:  # no arms: JSON has no shape for that
        return array.reshape(shape)
    if array.shape != shape:
        raise ValueError(f"numbers of shape {array.shape}; expected {shape}")
    return array
