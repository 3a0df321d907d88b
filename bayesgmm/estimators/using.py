"""What a fitted mixture is used for: some columns given others, unusual rows, and the view in which components differ most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesgmm.analysis.density import Density, conditional, predictive
from bayesgmm.analysis.facts import column_names
from bayesgmm.analysis.imputation import drawn_rows, expected_rows
from bayesgmm.analysis.tails import TailProbability, tail_probability
from bayesgmm.estimators.base import Estimator, in_float64
from bayesgmm.estimators.projecting import Projection, project
from bayesgmm.estimators.robust import check_gaussian, check_proper
from bayesgmm.estimators.training import known_rows, read_rows
from bayesgmm.validation import check_column, check_number, check_rows, check_seed

FEWEST, MOST = 1000, 10_000_000
"""Draws that tail probabilities can be made of."""

Columns = int | str | Sequence[int | str]


class Usable(Estimator):
    """Predictions of a fitted mixture."""

    posterior_: Any
    prior_: Any
    n_features_in_: int
    _coordinates: Any

    @in_float64
    def condition(self, columns: Columns, values: Any) -> Density:
        """The density of the other columns, given values of some.

        For a Bayesian fit this is the exact conditional of the posterior predictive: a mixture of Student t.

        Parameters
        ----------
        columns : int, str, or sequence of these
            The columns that are given, c of them, by number (from 0) or name.
        values : array or data frame, shape (M, c)
            Their values, a row for each question. With one column also (M,) or a number, with several also (c,): one row.

        Returns
        -------
        Density
            One density of the other D - c columns for each row: ``mean`` (M, D - c) is the regression on the columns given, ``intervals()``
            (M, D - c, 2) hold a new row's value; also ``covariance``, ``log_density``, ``cdf``, ``quantile``, ``sample``.

        Raises
        ------
        ValueError
            A column that does not exist, all columns, values of another shape or not finite.

        References
        ----------
        Sung (2004), Gaussian mixture regression and classification, sec. 3; Kotz & Nadarajah (2004), Multivariate t distributions.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> data = bg.load_dataset("faithful")
        >>> model = bg.GaussianMixture(n_components=2, random_state=0).fit(data)
        >>> wait = model.condition("eruptions", [2.0, 4.5])
        >>> wait.mean.round(1).tolist()
        [[54.2], [81.1]]
        >>> wait.intervals(0.9).round(0).tolist()
        [[[45.0, 63.0]], [[72.0, 90.0]]]
        """
        given = self._columns(columns)
        names = column_names(self)
        if len(given) == len(names):
            raise ValueError(f"columns are all {len(names)} of them ({', '.join(names)}); leave out those to be predicted.")
        return conditional(self._density(), given, _values(values, [names[j] for j in given]))

    @in_float64
    def impute(self, X: Any, n_draws: int | None = None, random_state: Any = 0) -> np.ndarray:
        """Fill in missing numbers, by what is expected of them or by draws.

        Numbers measured with errors (`bayesgmm.Observations`) are replaced by what is expected of their true values.

        Parameters
        ----------
        X : array, data frame or Observations, shape (N, D)
            NaN where a number is missing.
        n_draws : int, optional
            So many draws of the rows, to be analysed one by one (multiple imputation); of a Bayesian fit each with parameters of its own.
            None answers what is expected, which varies less than rows do.
        random_state : int, numpy generator or None, default 0

        Returns
        -------
        ndarray, shape (N, D) or (n_draws, N, D)
            In units of the data.

        References
        ----------
        Ghahramani & Jordan (1994), Supervised learning from incomplete data via an EM approach, NIPS 6; Rubin (1987), Multiple Imputation
        for Nonresponse in Surveys.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> import numpy as np
        >>> data = bg.load_dataset("faithful")
        >>> model = bg.GaussianMixture(n_components=2, random_state=0).fit(data)
        >>> model.impute([[2.0, np.nan], [4.5, np.nan]]).round(1).tolist()
        [[2.0, 54.2], [4.5, 81.1]]
        """
        if n_draws is not None:
            check_number("n_draws", n_draws, 1, high=MOST, integer=True)
        values, known = known_rows(self, X)
        if known is None:
            return values if n_draws is None else np.broadcast_to(values, (n_draws, *values.shape)).copy()
        if n_draws is None:
            return expected_rows(self.posterior_, self._coordinates, known)
        check_gaussian(self, "impute with n_draws")
        return drawn_rows(self.posterior_, self._coordinates, known, int(n_draws), check_seed(random_state))

    @in_float64
    def marginal(self, columns: Columns | None = None) -> Density:
        """The density of some columns, in the order given; of all columns when None.

        Parameters
        ----------
        columns : int, str, or sequence of these, optional
            By number (from 0) or name.

        Returns
        -------
        Density
            With ``log_density``, ``cdf``, ``quantile``, ``intervals``, ``sample``, ``mean``, ``covariance``.

        Raises
        ------
        ValueError
            A column that does not exist, or one named twice.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> data = bg.load_dataset("faithful")
        >>> model = bg.GaussianMixture(n_components=2, random_state=0).fit(data)
        >>> model.marginal("waiting").quantile([0.1, 0.5, 0.9]).round(1).tolist()
        [[51.1, 75.4, 86.1]]
        """
        density = self._density()
        return density if columns is None else density.take(self._columns(columns))

    @in_float64
    def tail_probability(self, X: Any, n_draws: int = 100_000, random_state: Any = 0) -> TailProbability:
        """How unusual rows are: the probability that the fitted density draws a row that is at most as likely.

        For rows drawn from the model it is uniform on (0, 1), whatever the number of columns: a p value. It is exact for one Gaussian, and
        for one Student t; otherwise a mean over weighted draws, with its standard error.

        Parameters
        ----------
        X : array or data frame, shape (N, D)
        n_draws : int, default 100000
            Draws of the mean; the standard error falls with their square root. They do not depend on the rows.
        random_state : int, numpy generator or None, default 0

        Returns
        -------
        TailProbability
            ``probability`` (N,), ``standard_error`` (N,), ``exact``; ``adjusted`` (N,) allows for looking at many rows, ``unusual(rate)``
            are the rows that stand out then.

        References
        ----------
        Hyndman (1996), American Statistician 50; Owen & Zhou (2000), JASA 95; Benjamini & Hochberg (1995), JRSS B 57.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> x, names, labels = bg.load_dataset("faithful")
        >>> model = bg.GaussianMixture(n_components=2, random_state=0).fit(x)
        >>> model.tail_probability([[2.0, 55.0], [2.0, 70.0]]).probability.round(2).tolist()
        [0.9, 0.02]
        """
        values = read_rows(self, X)
        check_number("n_draws", n_draws, FEWEST, high=MOST, integer=True)
        return tail_probability(self._density(), values, int(n_draws), check_seed(random_state))

    @in_float64
    def projection(self, X: Any, separation: float = 0.5) -> Projection:
        """Rows in the directions in which the components differ most: the view to plot when there are many columns.

        Parameters
        ----------
        X : array or data frame, shape (N, D)
        separation : float, default 0.5
            1: directions that tell means apart; 0: those that tell covariances apart; between, both.

        Returns
        -------
        Projection
            ``rows`` (N, R), ``directions`` (D, R), ``eigenvalues`` (R,), ``share`` (R,); ``plot()``.

        Raises
        ------
        ValueError
            A model whose components do not differ, such as one of a single component.

        References
        ----------
        Scrucca (2010), Statistics and Computing 20; Scrucca (2014), Advances in Data Analysis and Classification 8.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> x, names, labels = bg.load_dataset("iris")
        >>> model = bg.GaussianMixture(n_components=3, random_state=0).fit(x)
        >>> model.projection(x, separation=1).share.round(3).tolist()
        [0.963, 0.037]
        """
        values = read_rows(self, X)
        check_gaussian(self, "projection")
        check_number("separation", separation, 0, high=1)
        return project(self, values, float(separation))

    def _density(self) -> Density:
        self._check_fitted()
        check_proper(self, "A density of some columns")
        return predictive(self.posterior_, self.prior_, column_names(self))

    def _columns(self, columns: Columns) -> list[int]:
        """Numbers of columns given by number or name, each once."""
        self._check_fitted()
        names = column_names(self)
        listed = [columns] if isinstance(columns, str) or np.ndim(columns) == 0 else list(columns)  # type: ignore
        found = [check_column(column, names) for column in listed]
        if not found:
            raise ValueError(f"columns must name at least one of {', '.join(names)}; got none.")
        doubles = sorted({names[j] for j in found if found.count(j) > 1})
        if doubles:
            raise ValueError(f"columns must differ; {', '.join(map(repr, doubles))} is given more than once.")
        return found


def _values(values: Any, names: list[str]) -> np.ndarray:
    """Values (M, c) of the columns ``names``."""
    if np.ndim(values) < 2:
        values = np.asarray(values)
        values = values.reshape(-1, 1) if len(names) == 1 else values.reshape(1, -1)
    rows = check_rows(values, names=tuple(names), what="values")
    if rows.values.shape[1] != len(names):
        raise ValueError(f"values must have {len(names)} column(s), {', '.join(names)}; got shape {rows.values.shape}.")
    if rows.names and list(rows.names) != names:
        raise ValueError(f"values has columns {list(rows.names)}, but columns says {names}, in this order.")
    return rows.values
