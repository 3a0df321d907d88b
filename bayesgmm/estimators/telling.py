"""What a fitted mixture says of itself: summary, pictures, diagnosis, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from bayesgmm.analysis.facts import Facts, gather
from bayesgmm.estimators.base import in_float64
from bayesgmm.estimators.diagnosis import Diagnosis, diagnose
from bayesgmm.estimators.reporting import account
from bayesgmm.estimators.training import read_known
from bayesgmm.inference.arrange import Known
from bayesgmm.report import elements, html, page, text
from bayesgmm.storage import as_path, check_place


class Telling:
    """Methods of fitted mixtures that are read or looked at."""

    _select: ClassVar[Callable]
    """`select`, which fits models and is set where it is made."""

    _check_fitted: Callable
    __sklearn_is_fitted__: Callable

    @in_float64
    def facts(self, X: Any = None, *, title: str | None = None, units: tuple[str, ...] | None = None) -> Facts:
        """Numbers of the fit that summary, notebook and report show; with the data also a comparison with k-means."""
        self._check_fitted()
        given = None if X is None else read_known(self, X)[0]
        values = None if isinstance(given, Known) else given
        return gather(self, values, title=title, units=units)

    def summary(self, X: Any = None) -> str:
        """Text that a statistician can read; with the data (N, D) it adds k-means' answer for the same number of clusters."""
        return text.summary(self.facts(X))

    def plot(self, X: Any, columns: Any = None):
        """Draw the rows and what the fit says of them: the view that suits the number of columns.

        One column: a histogram and densities. Two: rows and ellipses of two standard deviations. Three to six: all pairs. More: the two
        directions in which the components differ most, or all pairs of the first six where there are no such directions.

        Parameters
        ----------
        X : array or data frame, shape (N, D)
        columns : sequence of int or str, optional
            Which of them to show.

        Returns
        -------
        matplotlib Axes, or an array of them for pairs
            ``bayesgmm.plots`` has the single views and others.

        Raises
        ------
        ValueError
            Columns that do not exist.
        """
        from bayesgmm.plots.views import plot_model

        self._check_fitted()
        return plot_model(self, X, columns)

    def diagnose(
        self, X: Any, *, sample_weight: Any = None, n_draws: int = 200, random_state: Any = 0, verbose: bool | None = None
    ) -> Diagnosis:
        """Say what speaks for and against this fit, on one page.

        Convergence; whether other starts reach it; how well its components are told apart (contraction) and whether the posterior has the
        shape that intervals assume (k-hat); whether components look Gaussian, have rows enough and are clusters; whether data drawn
        from the fit look like the data; and whether single rows drive a component.

        Parameters
        ----------
        X : array or data frame, shape (N, D)
            The rows that the model was fitted to.
        sample_weight : array, shape (N,), optional
            Their weights in that fit.
        n_draws : int, default 200
            Draws of the parameters, each of which draws a data set; at least 100.
        random_state : int, numpy generator or None, default 0
        verbose : bool, optional
            Tell which check is running; None does on a terminal or in a notebook.

        Returns
        -------
        Diagnosis
            ``print`` shows the page; ``checks`` and ``concerns`` hold its sentences, the other attributes the numbers; ``plot()``.

        Raises
        ------
        ValueError
            Other rows or weights than those of the fit.

        References
        ----------
        Gelman, Meng & Stern (1996), Statistica Sinica 6; Baudry et al. (2010), JCGS 19; Ray & Lindsay (2005), Annals of Statistics 33;
        Cook & Weisberg (1982), Residuals and Influence in Regression. docs/how-to/diagnose.md.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> x, names, labels = bg.load_dataset("faithful")
        >>> model = bg.BayesianGaussianMixture(n_components=10, random_state=0).fit(x)
        >>> [check.name for check in model.diagnose(x).concerns]
        ['shape']
        """
        return diagnose(self, X, sample_weight, n_draws, random_state, verbose)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        if not self.__sklearn_is_fitted__():
            return elements.preformatted(repr(self))
        return html.fragment(self.facts())

    def report(
        self,
        path: Any,
        X: Any = None,
        *,
        sample_weight: Any = None,
        selection: Any = None,
        full: bool = True,
        title: str | None = None,
        units: Sequence[str] | None = None,
        question: str | None = None,
        command: str | None = None,
        random_state: Any = 0,
        verbose: bool | None = None,
    ) -> None:
        """Write one self-contained HTML page about the fit, to be read without a network and to be attached to a paper.

        Data, question, answer in words, components with intervals, the models compared, rows in doubt, checks, prior and sensitivity,
        caveats, versions, seed and the command to get it again.

        Parameters
        ----------
        path : str or Path
            Where to write; an existing file is replaced when the new one is complete.
        X : array, data frame or Observations, shape (N, D), optional
            The rows of the fit. Without them the page has no pictures, intervals and checks.
        sample_weight : array, shape (N,), optional
            Their weights in the fit.
        selection : Selection, optional
            What `select` found, whose table and verdict are shown; None compares three fewer to three more components.
        full : bool, default True
            False leaves out what has to be computed: intervals, comparison, checks, sensitivity.
        title, question, command : str, optional
            Name of the data, what was asked, and what makes the fit again.
        units : sequence of str, length D, optional
            Unit of each column; "" where there is none.
        random_state : int, numpy generator or None, default 0
            Of the draws of intervals and checks.
        verbose : bool, optional
            Tell which part is computed; None does on a terminal or in a notebook.

        Raises
        ------
        ValueError
            Other rows or weights than those of the fit; units that are not one a column.

        Notes
        -----
        The page holds no date and no duration, so that the same fit and seed give the same file, byte by byte.
        """
        place = as_path(path)
        check_place(place)
        said = {"title": title, "units": units, "question": question, "command": command}
        told = {"random_state": random_state, "verbose": verbose}
        page.write(account(self, X, full=full, selection=selection, sample_weight=sample_weight, **said, **told), place)
