"""Discriminant analysis: a mixture for each class, or one Gaussian for each, and Bayes' rule."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from typing import Any, NamedTuple

import numpy as np

from bayesgmm import storage
from bayesgmm.analysis import criteria
from bayesgmm.analysis.classification import FLOOR, Model, brier, gaussians, log_joint, log_probabilities, stratified
from bayesgmm.analysis.density import Density, log_sum, predictive
from bayesgmm.analysis.selection import CRITERIA
from bayesgmm.estimators.base import Estimator, FitWarning, in_float64
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES, count_parameters, fewest_rows, restricted
from bayesgmm.estimators.selection import select
from bayesgmm.estimators.selection_options import read_structures
from bayesgmm.estimators.training import read_rows
from bayesgmm.frames import Rows
from bayesgmm.inference.priors import flat_components
from bayesgmm.inference.problem import summed
from bayesgmm.validation import brief, check_number, check_option, check_rows, check_seed, check_simplex, check_spread, check_weights

METHODS = ("mixtures", "gaussians")
COMPARED = {"bic": lambda ll, p, n: criteria.bic(ll, p, n), "aic": lambda ll, p, n: criteria.aic(ll, p)}
"""Criteria by which one Gaussian for each class can be compared."""


@dataclasses.dataclass(frozen=True, eq=False)
class Classification:
    """How well classes are told apart on labelled rows.

    Attributes
    ----------
    error : float
        Share of rows put into a wrong class.
    standard_error : float
        Of ``error``: between folds of a cross-validation; otherwise binomial.
    brier : float
        Half the mean squared distance between probabilities and classes; 0 is best.
    confusion : ndarray, shape (C, C)
        Rows (or their weights) of each class, by the class they were put into.
    probabilities : ndarray, shape (N, C)
    classes : ndarray, shape (C,)
    """

    error: float
    standard_error: float
    brier: float
    confusion: np.ndarray = dataclasses.field(repr=False)
    probabilities: np.ndarray = dataclasses.field(repr=False)
    classes: np.ndarray = dataclasses.field(repr=False)


class Labelled(NamedTuple):
    """Rows (N, D), their weights (N,) and labels (N,) in 0..C-1, the classes (C,) these mean, and the names of the columns."""

    values: np.ndarray
    weight: np.ndarray
    label: np.ndarray
    classes: np.ndarray
    names: tuple[str, ...]


class DiscriminantAnalysis(Estimator):
    """Classify rows by the densities of their classes: each class is a mixture, of its own number of components and covariances.

    Parameters
    ----------
    method : {"mixtures", "gaussians"}, default "mixtures"
        "mixtures": for each class the model that `bayesgmm.select` chooses (MclustDA). "gaussians": one Gaussian for each class, all of one
        ``covariance_type``, whose tied ones share their covariance among classes (EDDA): "tied" is linear, "full" quadratic discriminant
        analysis, "tied_diag" and "diag" are naive Bayes with shared and own variances.
    n_components : int or tuple of int, default (1, 2, 3, 4, 5)
        Numbers of components that are tried for a class; for "mixtures".
    covariance_type : str or tuple of str
        Structures that are tried; all six by default.
    criterion : str, default "bic"
        What chooses: any criterion of `bayesgmm.select` for "mixtures", "bic" or "aic" for "gaussians". Of the Bayesian ones, such as
        "evidence", densities are posterior predictives: mixtures of Student t.
    priors : None, "equal" or array (C,), default None
        Prior probabilities of the classes, in the order of ``classes_``; None takes their shares in the rows.
    random_state : int, numpy generator or None, default 0
        Seed of the starts of the fits.

    Attributes
    ----------
    classes_ : ndarray, shape (C,)
    priors_ : ndarray, shape (C,)
    densities_ : tuple of Density
        Of each class.
    n_components_ : ndarray of int, shape (C,)
    covariance_types_ : tuple of str, length C
    log_likelihood_ : float
        Of the rows, their classes not told: the sum of ``log sum_c priors_c density_c(x)``, in nats (as mclust has it).
    n_parameters_ : int
    bic_ : float
        As everywhere here, smaller is better.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only when the data were a frame with names.

    References
    ----------
    Fraley & Raftery (2002), JASA 97, sec. 4; Hastie & Tibshirani (1996), JRSS B 58; Bensmail & Celeux (1996), JASA 91.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x, names, species = bg.load_dataset("iris")
    >>> model = bg.DiscriminantAnalysis("gaussians", covariance_type="full").fit(x, species)
    >>> round(model.score(x, species), 2)
    0.98
    """

    _kind = "classifier"

    classes_: np.ndarray
    priors_: np.ndarray
    n_parameters_: int
    densities_: tuple[Density, ...]
    n_components_: np.ndarray
    covariance_types_: tuple[str, ...]
    n_features_in_: int

    def __init__(
        self,
        method="mixtures",
        *,
        n_components=(1, 2, 3, 4, 5),
        covariance_type=("full", "tied", "diag", "spherical", "tied_diag", "tied_spherical"),
        criterion="bic",
        priors=None,
        random_state=0,
    ):
        self.method = method
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.criterion = criterion
        self.priors = priors
        self.random_state = random_state

    @in_float64
    def fit(self, X: Any, y: Any, sample_weight: Any = None):
        """Fit to rows (N, D) of known classes.

        Parameters
        ----------
        X : array or data frame, shape (N, D)
        y : array, shape (N,)
            Class of each row: whole numbers, text or booleans.
        sample_weight : array, shape (N,), optional

        Returns
        -------
        DiscriminantAnalysis
            The estimator itself.

        Raises
        ------
        ValueError
            Wrong options or data; of a class that cannot be fitted the message says which, and why.
        """
        self._check_options()
        rows = check_rows(X)
        classes, label = read_classes(y, len(rows.values))
        weight = check_weights(sample_weight, len(label))
        counts = np.bincount(label, weight, len(classes))
        if not counts.all():
            raise ValueError(
                f"The class {classes.tolist()[counts.argmin()]!r} has no rows of positive weight; leave its rows out, or weigh them."
            )
        priors = self._priors(counts)
        names = rows.names or tuple(f"x{j}" for j in range(rows.values.shape[1]))
        check_spread(rows.values, weight, rows.names)
        data = Labelled(rows.values, weight, label, classes, names)
        choices = [(self.n_components, self.covariance_type)] * len(classes)
        fitted = self._fitted(data, choices)
        vars(self).pop("feature_names_in_", None)
        vars(self).update(fitted, classes_=classes, priors_=priors, n_features_in_=rows.values.shape[1])
        self.log_likelihood_ = float(summed(weight, log_sum(log_joint(self.log_densities(rows.values), priors))))
        self.bic_ = float(criteria.bic(self.log_likelihood_, self.n_parameters_, weight.sum()))
        if rows.names is not None:
            self.feature_names_in_ = np.array(rows.names, dtype=object)
        return self

    @in_float64
    def log_densities(self, X: Any) -> np.ndarray:
        """Log density (N, C) of rows (N, D) under each class, in nats."""
        values = read_rows(self, X)
        return np.stack([density.log_density(values) for density in self.densities_], 1)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Log probability (N, C) of each class for rows (N, D)."""
        return log_probabilities(self.log_densities(X), self.priors_)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability (N, C) of each class for rows (N, D), in the order of ``classes_``."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """Most probable class (N,) of each row (N, D)."""
        best = self.predict_log_proba(X).argmax(1)
        return self.classes_[best]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Share of rows (N, D) that are put into their class (N,)."""
        return 1 - self.evaluate(X, y, sample_weight).error

    def evaluate(self, X: Any, y: Any, sample_weight: Any = None) -> Classification:
        """Error, Brier score and confusion of rows (N, D) of known classes (N,)."""
        found = self.predict_proba(X)
        label = self._labels(y, len(found))
        weight = check_weights(sample_weight, len(found))
        judged = _judged(found, label, weight, self.classes_)
        binomial = np.sqrt(judged.error * (1 - judged.error) / max((weight > 0).sum(), 1))
        return dataclasses.replace(judged, standard_error=float(binomial))

    def cross_validate(self, X: Any, y: Any, sample_weight: Any = None, n_folds: int = 10, random_state: Any = 0) -> Classification:
        """Error and Brier score of rows that were left out, each fold in turn, of fits to the others.

        The numbers of components and structures chosen for all rows are kept (as in mclust), which flatters a little; scikit-learn's
        ``cross_val_score`` makes every choice anew.

        Parameters
        ----------
        X, y, sample_weight
            The rows that the model was fitted to, as a rule.
        n_folds : int, default 10
            Folds, in which every class has its share; at most the rows of the smallest class.
        random_state : int, numpy generator or None, default 0
            Who is in which fold.
        """
        self._check_fitted()
        rows = Rows(read_rows(self, X), None)
        label, weight = self._labels(y, len(rows.values)), check_weights(sample_weight, len(rows.values))
        fewest = int(np.bincount(label, weight > 0, len(self.classes_)).min())
        check_number("n_folds", n_folds, 2, high=max(fewest, 2), integer=True)
        fold = stratified(label, int(n_folds), check_seed(random_state))
        found = np.empty((len(label), len(self.classes_)))
        for i in range(int(n_folds)):
            found[fold == i] = self._left_out(rows.values, weight, label, fold == i)
        judged = _judged(found, label, weight, self.classes_)
        parts = [_judged(found[fold == i], label[fold == i], weight[fold == i], self.classes_) for i in range(n_folds)]
        errors = np.array([part.error for part in parts])
        return dataclasses.replace(judged, standard_error=float(errors.std(ddof=1) / np.sqrt(n_folds)))

    def save(self, path: Any) -> None:
        """Write the fitted model to one file, to be read by `bayesgmm.load`."""
        self._check_fitted()
        storage.write(path, type(self).__name__, self.get_params(), self.__dict__)

    def __sklearn_tags__(self):
        from sklearn.utils import ClassifierTags

        tags = super().__sklearn_tags__()
        tags.target_tags.required, tags.classifier_tags = True, ClassifierTags()
        return tags

    def _check_options(self) -> None:
        check_option("method", self.method, METHODS)
        check_option("criterion", self.criterion, CRITERIA if self.method == "mixtures" else COMPARED)
        read_structures(self.covariance_type, 2, bayesian=False)

    def _priors(self, counts: np.ndarray) -> np.ndarray:
        if self.priors is None:
            return counts / counts.sum()
        if isinstance(self.priors, str):
            check_option("priors, if not an array,", self.priors, ("equal",))
            return np.full(len(counts), 1 / len(counts))
        return check_simplex("priors", self.priors, len(counts))

    def _fitted(self, data: Labelled, choices: list) -> dict[str, Any]:
        """Fitted attributes; ``choices`` hold the numbers of components and the structures that are tried for each class."""
        return self._mixtures(data, choices) if self.method == "mixtures" else self._gaussians(data, choices[0][1])

    def _mixtures(self, data: Labelled, choices: list) -> dict[str, Any]:
        """A model for each class."""
        best = []
        for c, (numbers, types) in enumerate(choices):
            mine = data.label == c
            try:
                options = {"criterion": self.criterion, "sample_weight": data.weight[mine], "random_state": self.random_state}
                best.append(select(data.values[mine], numbers, types, verbose=False, **options).best)
            except ValueError as error:
                raise ValueError(f"Class {data.classes.tolist()[c]!r} could not be fitted: {error}") from None
        return {
            "densities_": tuple(predictive(model.posterior_, model.prior_, data.names) for model in best),
            "n_components_": np.array([model.n_components_ for model in best]),
            "covariance_types_": tuple(model.covariance_type for model in best),  # type: ignore[attr-defined]
            "n_parameters_": int(sum(model.n_parameters_ for model in best)),
        }

    def _gaussians(self, data: Labelled, types: Any) -> dict[str, Any]:
        """The best structure of one Gaussian for each class; those with a collapsed one only if there is no other."""
        fits = {}
        for name in read_structures(types, data.values.shape[1], bayesian=False)[0]:
            model = _model(name, len(data.classes), data.values.shape[1])
            fits[name] = gaussians(data.values, data.weight, data.label, model, data.names)
        n, compare = data.weight.sum(), COMPARED[self.criterion]
        name = min(fits, key=lambda name: (fits[name].collapsed, compare(fits[name].log_likelihood, fits[name].n_parameters, n)))
        found, c = fits[name], len(data.classes)
        if found.collapsed:
            told = "A class has too few rows, or too similar ones, for its covariance, whatever the structure"
            warnings.warn(f"{told}: its variances stay at a lower limit. Take more rows, or fewer columns.", FitWarning, stacklevel=5)
        return {
            "densities_": found.densities,
            "n_components_": np.ones(c, int),
            "covariance_types_": (name,) * c,
            "n_parameters_": found.n_parameters,
        }

    @in_float64
    def _left_out(self, values: np.ndarray, weight: np.ndarray, label: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Probabilities of the rows ``out`` by a fit to the others, with the structures and numbers of components of this one."""
        names = self.densities_[0].feature_names
        data = Labelled(values[~out], weight[~out], label[~out], self.classes_, names)
        choices = list(zip(self.n_components_.tolist(), self.covariance_types_, strict=True))
        densities = self._fitted(data, choices)["densities_"]
        priors = self._priors(np.bincount(data.label, data.weight, len(self.classes_)))
        return np.exp(log_probabilities(np.stack([density.log_density(values[out]) for density in densities], 1), priors))

    def _labels(self, y: Any, n: int) -> np.ndarray:
        """Labels (N,) of known classes in 0..C-1."""
        self._check_fitted()
        known = {value: c for c, value in enumerate(self.classes_.tolist())}
        given = _column(y, n).tolist()
        unknown = [value for value in given if value not in known]
        if unknown:
            raise ValueError(f"y has the class {brief(unknown[0])}, but the model knows {brief(self.classes_.tolist())}.")
        return np.array([known[value] for value in given])


def read_classes(y: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes (C,), sorted, and the label (N,) of each row in 0..C-1."""
    given = _column(y, n)
    try:
        classes, label = np.unique(given, return_inverse=True)
    except TypeError:
        raise ValueError("y mixes text and numbers; give every class the same type.") from None
    if len(classes) < 2:
        raise ValueError(f"y must hold at least two classes; it has one class only, {brief(classes.tolist()[0])}.")
    return classes, label


def _column(y: Any, n: int) -> np.ndarray:
    """Classes (N,): text, whole numbers or booleans, none of them missing."""
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None: the class of each row.")
    given = np.asarray(y)
    if given.ndim == 2 and given.shape[1] == 1:
        warnings.warn("A column-vector y was passed when a 1d array was expected: y.ravel() is used.", _conversion(), stacklevel=4)
        given = given.ravel()
    if given.shape != (n,):
        raise ValueError(f"y must have shape ({n},): the class of each of the {n} samples; got shape {given.shape}.")
    missing = [i for i, value in enumerate(given.tolist()) if value is None or value != value]
    if missing:
        raise ValueError(f"y contains NaN or None at row {missing[0]} (counting from 0): leave out rows without a class.")
    if given.dtype.kind == "f" and not (given == np.round(given)).all():
        raise ValueError("Unknown label type: continuous. y must be classes (text, whole numbers, booleans), but holds fractions.")
    return given


def _conversion() -> type[Warning]:
    """scikit-learn's category where that is loaded."""
    module = sys.modules.get("sklearn.exceptions")
    return module.DataConversionWarning if module else FitWarning


def _judged(probabilities: np.ndarray, label: np.ndarray, weight: np.ndarray, classes: np.ndarray) -> Classification:
    """Error, Brier score and confusion of probabilities (N, C)."""
    best, c = probabilities.argmax(1), len(classes)
    confusion = np.zeros((c, c))
    np.add.at(confusion, (label, best), weight)
    error = float(summed(weight, best != label) / weight.sum())
    return Classification(error, np.nan, brier(probabilities, label, weight), confusion, probabilities, classes)


def _model(name: str, n_classes: int, n_features: int) -> Model:
    """One Gaussian for each class, covariances as a word says."""
    structure, tied = COVARIANCE_TYPES[name]
    law = lambda coordinates: restricted(name, flat_components(structure, tied, FLOOR), coordinates)  # noqa: E731
    free = count_parameters(name, n_classes, n_features) - (n_classes - 1)
    return Model(structure, tied, law, free, fewest_rows(name, n_features))
