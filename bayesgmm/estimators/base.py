"""What scikit-learn expects of an estimator, without importing scikit-learn."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from bayesgmm.inference.compiling import numbers, ready
from bayesgmm.validation import brief, close_match

F = TypeVar("F", bound=Callable)


ROUTED = ("fit", "partial_fit", "score")
"""Methods that take weights of rows, which scikit-learn's metadata routing hands on to those that ask for them."""


class FitError(RuntimeError):
    """The data are in order, but the fit has no finite answer."""


class FitWarning(UserWarning):
    """A fit ended in a way its user should know about."""


def in_float64(method: F) -> F:
    """Run a public method with 64-bit JAX types, leaving the user's configuration as it is, and room in the process for its programs."""

    @functools.wraps(method)
    def wrapped(*args, **kwargs):
        ready()
        with numbers():
            return method(*args, **kwargs)

    return wrapped  # type: ignore[return-value]


def to_numpy(tree):
    """The same pytree with numpy leaves, so that nothing of 64 bits escapes as a JAX array."""
    return jax.tree.map(np.asarray, tree)


class NotFittedError(ValueError, AttributeError):
    """An attribute or method that needs `fit` was used before it; also scikit-learn's error of that name where that is loaded."""

    def __reduce__(self):
        return not_fitted, self.args


@functools.cache
def _also(other: type) -> type:
    return type("NotFittedError", (NotFittedError, other), {"__module__": NotFittedError.__module__, "__doc__": NotFittedError.__doc__})


def not_fitted(message: str) -> NotFittedError:
    """The error to raise, which code written for scikit-learn catches too."""
    module = sys.modules.get("sklearn.exceptions")
    return (_also(module.NotFittedError) if module else NotFittedError)(message)


class Estimator:
    """Parameters in the constructor, results in attributes that end in an underscore."""

    @classmethod
    @functools.cache
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor parameters by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any):
        """Change constructor parameters."""
        known = self._parameter_names()
        for name in params:
            if name not in known:
                hint = close_match(name, known)
                raise ValueError(f"Invalid parameter {name!r} for estimator {self}.{hint} Valid parameters are: {known!r}.")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = []
        for name in self._parameter_names():
            value = getattr(self, name)
            default = defaults[name].default
            if type(value) is not type(default) or (value is not default and value != default):
                changed.append(f"{name}={brief(value)}")
        return f"{type(self).__name__}({', '.join(changed)})"

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: NumPy instead of JAX arrays, which pickle would turn into 32 bits."""
        return jax.tree.map(lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf, self.__dict__)

    def __getattr__(self, name: str) -> Any:
        kind = type(self).__name__
        if not name.startswith("__") and "n_features_in_" not in self.__dict__ and (name.endswith("_") or name.startswith("_")):
            raise not_fitted(f"This {kind} instance is not fitted yet: {name} comes from 'fit'; call it with your data first.")
        hint = ": rows that are read from a source are not labelled by a fit; predict(X) and write_predictions(path, X) do that"
        raise AttributeError(f"{kind!r} object has no attribute {name!r}{hint if name == 'labels_' else ''}")

    def get_metadata_routing(self):
        """What scikit-learn's metadata routing is to hand on to which method."""
        if "_metadata_request" in self.__dict__:
            return copy.deepcopy(self._metadata_request)
        from sklearn.utils.metadata_routing import MetadataRequest

        request = MetadataRequest(owner=type(self).__name__)
        for method in ROUTED:
            if hasattr(type(self), method):
                getattr(request, method).add_request(param="sample_weight", alias=None)
        return request

    def set_fit_request(self, *, sample_weight: bool | str | None = None):
        """Whether scikit-learn's metadata routing hands ``sample_weight``, or what a string names, on to `fit`."""
        return self._request("fit", sample_weight)

    def set_score_request(self, *, sample_weight: bool | str | None = None):
        """Whether scikit-learn's metadata routing hands ``sample_weight``, or what a string names, on to ``score``."""
        return self._request("score", sample_weight)

    def _request(self, method: str, wanted: bool | str | None):
        request = self.get_metadata_routing()
        getattr(request, method).add_request(param="sample_weight", alias=wanted)
        self._metadata_request = request
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return "n_features_in_" in self.__dict__

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            name = type(self).__name__
            raise not_fitted(f"This {name} instance is not fitted yet. Call 'fit' with your data first.")

    def __sklearn_tags__(self):
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        transformer = TransformerTags() if hasattr(self, "transform") else None
        gaps = InputTags(allow_nan=getattr(self, "missing", "error") != "error")
        return Tags(self._kind, TargetTags(required=False), transformer, input_tags=gaps)  # type: ignore[attr-defined]
