"""How many components by the bootstrap likelihood-ratio test, one more at a time."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis.bootstrap import compare, one_component
from bayesgmm.analysis.selection import Table
from bayesgmm.estimators.base import in_float64
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES
from bayesgmm.estimators.selection_options import ROWS_EACH, make_frames, make_problems
from bayesgmm.estimators.training import LONGEST, read_training
from bayesgmm.inference.cells import Frame
from bayesgmm.progress import Progress
from bayesgmm.report import bootstrap as words
from bayesgmm.validation import check_number, check_option, check_seed


@dataclasses.dataclass
class BootstrapLRT:
    """What `bootstrap_lrt` found.

    Attributes
    ----------
    n_components : int
        The number chosen: the first that the next larger one does not beat significantly.
    table : Table
        A row for each test of K = ``n_components`` against K + 1: ``log_likelihood`` and ``log_likelihood_next`` of the data with K and
        K + 1 components, in nats and units of the data, ``statistic`` (twice their difference) and ``p_value``; with ``to_pandas()``.
    samples : dict of int to ndarray, shape (n_bootstrap,)
        Statistics of the sets drawn for each K, without those for which every fit collapsed.
    covariance_type : str
    level : float
    notes : list of str
        What a careful reader has to be told.
    """

    n_components: int
    table: Table
    samples: dict[int, np.ndarray]
    covariance_type: str
    level: float
    notes: list[str]

    def plot(self, n_components: int | None = None, ax: Any = None):
        """Statistics of the drawn sets with that of the data; see `plots.plot_bootstrap_lrt`."""
        from bayesgmm.plots import plot_bootstrap_lrt

        return plot_bootstrap_lrt(self, n_components, ax)

    def __str__(self) -> str:
        return words.report(self)

    __repr__ = __str__


@in_float64
def bootstrap_lrt(
    X: Any,
    covariance_type: str = "full",
    max_components: int = 9,
    n_bootstrap: int = 999,
    level: float = 0.05,
    *,
    n_init: int = 5,
    random_state: Any = 0,
    verbose: bool | None = None,
) -> BootstrapLRT:
    r"""Choose the number of components by testing K against K + 1 by a parametric bootstrap, K = 1, 2, ... until a test is not significant.

    The statistic is :math:`2(\ln L_{K+1} - \ln L_K)`; its distribution under K components, which is not chi-squared, is that of sets as
    large drawn from the fit with K: :math:`p = (1 + \#\{drawn \ge observed\}) / (B + 1)`. The data are searched for the best K + 1
    components just as the drawn sets are, so that the test is fair even where a search misses the best optimum. Fits with a component
    that collapsed onto few rows do not count.

    Parameters
    ----------
    X : array or data frame, shape (N, D)
    covariance_type : {"full", "tied", "diag", "spherical", "tied_diag", "tied_spherical"}, default "full"
        The structure, which the test takes as known.
    max_components : int, default 9
        Largest K that is tested against K + 1; at most a fifth of the rows.
    n_bootstrap : int, default 999
        Sets drawn for each test.
    level : float, default 0.05
        A test is significant when its p-value is at most this. Each K has a test of its own: no correction is made for their number.
    n_init : int, default 5
        For each set, starts of K + 1 components by k-means, and as many from the neighbourhood of a single row, besides divisions of the
        components of the fit with K.
    random_state : int, numpy generator or None, default 0
    verbose : bool, optional
        Whether to tell on standard error where the test is; None does so on terminals and in notebooks.

    Returns
    -------
    BootstrapLRT
        With ``n_components``, ``table``, ``samples``, ``plot()``.

    Raises
    ------
    ValueError
        Wrong options or data; the message says what was expected, what came and where.

    References
    ----------
    McLachlan (1987), On bootstrapping the likelihood ratio test statistic for the number of components in a normal mixture, Applied
    Statistics 36; Scrucca et al. (2016), mclust 5, The R Journal 8, whose ``mclustBootstrapLRT`` it follows but for the search.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x, names, labels = bg.load_dataset("faithful")
    >>> test = bg.bootstrap_lrt(x, covariance_type="full", n_bootstrap=99)
    >>> test.n_components
    3
    """
    check_option("covariance_type", covariance_type, COVARIANCE_TYPES)
    check_number("max_components", max_components, 1, integer=True)
    check_number("n_bootstrap", n_bootstrap, 1, high=LONGEST, integer=True)
    check_number("level", level, 0, high=1, strict=True)
    if 1 / (n_bootstrap + 1) > level:
        least = int(np.ceil(1 / level - 1e-9)) - 1
        raise ValueError(f"n_bootstrap = {n_bootstrap} drawn sets cannot give a p-value of {level:g} or less; at least {least} can.")
    check_number("n_init", n_init, 2, high=1000, integer=True)
    training = read_training(X, None, 1, "n_components")
    most = min(int(max_components), len(training.values) // ROWS_EACH - 1)
    if most < 1:
        raise ValueError(f"A test of 1 against 2 components needs at least {2 * ROWS_EACH} rows; X has {len(training.values)}.")
    key = jax.random.key(check_seed(random_state))
    problems = make_problems([covariance_type], *training.used())
    frame = make_frames([covariance_type], problems, None)[covariance_type]
    with Progress(verbose) as tell:
        return _tested(frame, covariance_type, most, int(n_bootstrap), float(level), int(n_init), key, tell)


def _tested(frame: Frame, kind: str, most: int, n_sets: int, level: float, n_init: int, key, tell: Progress) -> BootstrapLRT:
    """Tests until one is not significant."""
    rows, samples, notes = [], {}, []
    null, k, p = one_component(frame), 0, 0.0
    while p <= level and k < most:
        k += 1

        def notify(done: int, k: int = k) -> None:
            tell(f"bootstrap_lrt: {k} against {k + 1} components, {done} of {n_sets} sets ...")

        fits = compare(frame, null, k, jax.random.fold_in(key, k), n_sets, n_init, notify)
        observed, drawn = fits.statistic[0], fits.statistic[1:]
        samples[k] = drawn[np.isfinite(drawn)]
        p = (1 + int((samples[k] >= observed).sum())) / (len(samples[k]) + 1)
        rows.append((k, fits.smaller[0] - frame.log_jacobian, fits.larger[0] - frame.log_jacobian, observed, p))
        notes += words.remarks(k, n_sets - len(samples[k]), bool(np.isfinite(fits.larger[0])))
        null = jax.tree.map(lambda a: jnp.asarray(a[0]), fits.best)
    chosen = k if p > level else k + 1
    notes += words.ended(k, most, p <= level)
    names = ("n_components", "log_likelihood", "log_likelihood_next", "statistic", "p_value")
    table = Table({name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)})
    return BootstrapLRT(chosen, table, samples, kind, level, notes)
