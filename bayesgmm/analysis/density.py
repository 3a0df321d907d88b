r"""Mixtures of Gaussians and Student t as densities of rows, and of some of their columns given others.

A posterior predictive is a mixture whose components are Gaussian (known parameters) or Student t (Bishop 2006, eq. 10.81-10.82), and so is
every marginal and every conditional of it. One type holds them all. A component is either *joint*, one distribution of all columns, or
has *independent* columns (diagonal covariances; for Gaussians the two are the same). With :math:`p` columns, scale matrix :math:`S`,
:math:`\nu` degrees of freedom and :math:`q = (x - m)^T S^{-1} (x - m)` a joint component has

.. math:: \ln t(x) = \ln\Gamma\tfrac{\nu + p}{2} - \ln\Gamma\tfrac{\nu}{2} - \tfrac{p}{2}\ln(\nu\pi) - \tfrac{1}{2}\ln|S|
          - \tfrac{\nu + p}{2}\ln(1 + q/\nu).

Given the columns g, the others o are again Student t, with :math:`\nu + p_g` degrees of freedom, mean
:math:`m_o + S_{og} S_{gg}^{-1} (x_g - m_g)` and scale :math:`\frac{\nu + q_g}{\nu + p_g} (S_{oo} - S_{og} S_{gg}^{-1} S_{go})` (Kotz &
Nadarajah 2004, Multivariate t distributions, sec. 1.11; Ding 2016, American Statistician 70). Weights become proportional to weight times
density of :math:`x_g`. As :math:`\nu` grows these are the formulas of the Gaussian.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from bayesgmm.core.frozen import Frozen
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.core.student import Student

HALVINGS = 70
"""Steps of the bisection for a quantile: more than float64 has digits."""


@dataclasses.dataclass(frozen=True, eq=False)
class Density:
    """A mixture of Gaussians or Student t, or a batch of M such mixtures; leading axes ``...`` are () for one and (M,) for a batch.

    Attributes
    ----------
    weights : ndarray, shape (..., K)
    means : ndarray, shape (..., K, D)
        Locations of the components.
    dispersions : ndarray, shape (K, D, D)
        Scale matrices of the Student t, or covariances, up to ``spread``.
    spread : ndarray, shape (..., K)
        What the scale matrices are multiplied by.
    dof : ndarray, shape (K,)
        Degrees of freedom; infinite for a Gaussian.
    independent : bool
        Whether the columns of a component are independent.
    feature_names : tuple of str
        The D columns.
    """

    weights: np.ndarray = dataclasses.field(repr=False)
    means: np.ndarray = dataclasses.field(repr=False)
    dispersions: np.ndarray = dataclasses.field(repr=False)
    spread: np.ndarray = dataclasses.field(repr=False)
    dof: np.ndarray = dataclasses.field(repr=False)
    independent: bool
    feature_names: tuple[str, ...]

    @property
    def n_components(self) -> int:
        """Number of components K; for a Bayesian fit with stick-breaking weights the last one is a component never seen."""
        return self.weights.shape[-1]

    @property
    def n_features(self) -> int:
        """Number of columns D."""
        return self.means.shape[-1]

    @property
    def covariances(self) -> np.ndarray:
        """Covariances (..., K, D, D) of the components; NaN where they do not exist (up to two degrees of freedom)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            wider = np.where(np.isinf(self.dof), 1.0, np.where(self.dof > 2, self.dof / (self.dof - 2), np.nan))
        return (self.spread * wider)[..., None, None] * self.dispersions

    @property
    def mean(self) -> np.ndarray:
        """Mean (..., D); of a conditional density the regression of its columns on those given."""
        return (self.weights[..., None] * self.means).sum(-2)

    @property
    def covariance(self) -> np.ndarray:
        """Covariance (..., D, D): within components and between them."""
        away = self.means - self.mean[..., None, :]
        between = np.einsum("...k,...ki,...kj->...ij", self.weights, away, away)
        return (self.weights[..., None, None] * self.covariances).sum(-3) + between

    def log_density(self, y: Any) -> np.ndarray:
        """Log density of rows, in nats: (N,) of rows (N, D) of one mixture, (M,) of rows (M, D), each under its own, of a batch."""
        return log_sum(self.log_weights + self.log_parts(self._rows(y)))

    def cdf(self, y: Any) -> np.ndarray:
        """Distribution function of each column by itself at rows (N, D), or (M, D) of a batch; the same shape."""
        return self._below(self._rows(y))

    def quantile(self, prob: Any) -> np.ndarray:
        """Quantiles (..., D, P) of each column by itself at probabilities (P,), or (..., D) at a single one.

        The distribution function is inverted by bisection between the quantiles of the components, to rounding.
        """
        known = _probabilities(prob)
        if known is None or known.ndim > 1:
            raise ValueError(f"prob must be probabilities strictly between 0 and 1, one or a list of them; got {prob!r}.")
        found = np.stack([self._quantile(p) for p in np.atleast_1d(known)], -1)
        return found if known.ndim else found[..., 0]

    def intervals(self, prob: float = 0.94) -> np.ndarray:
        """Lower and upper end (..., D, 2) of the interval of each column that leaves out equal tails."""
        known = _probabilities(prob)
        if known is None or known.ndim:
            raise ValueError(f"prob must be a probability strictly between 0 and 1, such as 0.94; got {prob!r}.")
        return self.quantile([(1 - known) / 2, (1 + known) / 2])

    def sample(self, n_samples: int = 1, random_state: Any = 0) -> np.ndarray:
        """Draw rows (..., n_samples, D); the same seed gives the same rows."""
        if not isinstance(n_samples, (int, np.integer)) or n_samples < 1:
            raise ValueError(f"n_samples must be a whole number of at least 1; got {n_samples!r}.")
        try:
            rng = np.random.default_rng(random_state)
        except (TypeError, ValueError):
            told = "a whole number of at least 0, a numpy generator or None"
            raise ValueError(f"random_state must be {told}; got {random_state!r}.") from None
        lead, d = self.weights.shape[:-1], self.n_features
        reached = np.cumsum(self.weights, -1)[..., None, :]
        u = rng.random((*lead, n_samples))[..., None] * reached[..., -1:]
        component = np.minimum((reached <= u).sum(-1), self.n_components - 1)
        noise = rng.standard_normal((*lead, n_samples, d))
        wider = np.sqrt(np.take_along_axis(self.spread, component, -1))[..., None] * self._student(component, rng)
        rows = np.take_along_axis(self.means, component[..., None], -2)
        for k, root in enumerate(np.linalg.cholesky(self.dispersions)):
            mine = component == k
            rows[mine] += (wider * noise)[mine] @ root.T
        return rows

    def take(self, columns: Sequence[int]) -> Density:
        """The density of some columns, in the order given."""
        chosen = list(columns)
        names = tuple(self.feature_names[j] for j in chosen)
        dispersions = self.dispersions[:, chosen][:, :, chosen]
        return dataclasses.replace(self, means=self.means[..., chosen], dispersions=dispersions, feature_names=names)

    @property
    def log_weights(self) -> np.ndarray:
        """Logs of the weights, -inf for 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.weights)

    def log_parts(self, y: np.ndarray) -> np.ndarray:
        """Log density (..., K) of rows under each component, without weights."""
        squares = self.squares(y)
        n, p = (self.n_features, 1) if self.independent else (1, self.n_features)
        roots = np.linalg.cholesky(self.dispersions)
        log_det = 2 * np.log(np.diagonal(roots, axis1=-2, axis2=-1)).sum(-1) + self.n_features * np.log(self.spread)
        return n * level(self.dof, p) - log_det / 2 + tail(squares, self.dof[:, None], p).sum(-1)

    def squares(self, y: np.ndarray) -> np.ndarray:
        """Squared distances (..., K, 1) of rows from the components, or (..., K, D) by column where these are independent."""
        found = []
        for k, root in enumerate(np.linalg.cholesky(self.dispersions)):
            away = (y - self.means[..., k, :]) @ np.linalg.inv(root).T
            square = away**2 if self.independent else np.einsum("...d,...d->...", away, away)[..., None]
            found.append(square / self.spread[..., k, None])
        return np.stack(found, -2)

    def _rows(self, y: Any) -> np.ndarray:
        """Rows, checked."""
        rows, d, lead = np.asarray(y, float), self.n_features, self.weights.shape[:-1]
        wanted = f"({lead[0]}, {d}): a row for each of the {lead[0]} conditions" if lead else f"(N, {d})"
        if rows.ndim != 2 or rows.shape[1] != d or (lead and lead[0] not in (1, len(rows))):
            raise ValueError(f"y must have shape {wanted}, columns {', '.join(self.feature_names)}; got shape {rows.shape}.")
        if np.isnan(rows).any():
            i, j = np.argwhere(np.isnan(rows))[0]
            raise ValueError(f"y contains NaN at row {i}, column {self.feature_names[j]!r} (counting from 0). Drop that row or fill it in.")
        return rows

    def _below(self, y: np.ndarray) -> np.ndarray:
        """Distribution functions (..., D) of the columns."""
        from scipy.special import stdtr

        found = np.zeros(1)
        for k in range(self.n_components):
            width = np.sqrt(self.spread[..., k, None] * np.diagonal(self.dispersions[k]))
            found = found + self.weights[..., k, None] * stdtr(self.dof[k], (y - self.means[..., k, :]) / width)
        return found

    def _quantile(self, prob: float) -> np.ndarray:
        from scipy.special import stdtrit

        width = np.sqrt(self.spread[..., None] * np.diagonal(self.dispersions, axis1=-2, axis2=-1))
        ends = self.means + stdtrit(self.dof, prob)[:, None] * width
        absent = self.weights[..., None] == 0
        low, high = np.where(absent, np.inf, ends).min(-2), np.where(absent, -np.inf, ends).max(-2)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            under = self._below(middle) < prob
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return (low + high) / 2

    def _student(self, component: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Factors (..., n, 1 or D) that turn Gaussian rows into Student t."""
        dof = self.dof[component][..., None]
        dof = np.broadcast_to(dof, (*component.shape, self.n_features if self.independent else 1))
        if np.isinf(dof).all():
            return np.ones(dof.shape)
        finite = np.where(np.isinf(dof), 1.0, dof)
        return np.where(np.isinf(dof), 1.0, np.sqrt(finite / (2 * rng.standard_gamma(finite / 2))))


def _probabilities(value: Any) -> np.ndarray | None:
    """Numbers strictly between 0 and 1, or None if these are no such."""
    try:
        found = np.asarray(value, float)
    except (TypeError, ValueError):
        return None
    return found if found.size and ((found > 0) & (found < 1)).all() else None


def level(dof: np.ndarray, p: int) -> np.ndarray:
    """Log of the normalising constant of a standard Gaussian or Student t in ``p`` columns, for each of many degrees of freedom."""
    from scipy.special import gammaln

    finite = np.where(np.isinf(dof), 1.0, dof)
    student = gammaln((finite + p) / 2) - gammaln(finite / 2) - p / 2 * np.log(finite * np.pi)
    return np.where(np.isinf(dof), -p / 2 * np.log(2 * np.pi), student)


def tail(squares: np.ndarray, dof: np.ndarray, p: int) -> np.ndarray:
    """The part of the log density that depends on the row, from squared distances."""
    finite = np.where(np.isinf(dof), 1.0, dof)
    return np.where(np.isinf(dof), -squares / 2, -(finite + p) / 2 * np.log1p(squares / finite))


def log_sum(scores: np.ndarray) -> np.ndarray:
    """Log of the sum of exponentials over the last axis."""
    top = scores.max(-1)
    return top + np.log(np.exp(scores - top[..., None]).sum(-1))


def conditional(joint: Density, given: Sequence[int], values: np.ndarray) -> Density:
    """Densities of the other columns, one for each row (M, c) of values of the columns ``given``."""
    given, rest = list(given), [j for j in range(joint.n_features) if j not in set(given)]
    known, names = joint.take(given), tuple(joint.feature_names[j] for j in rest)
    scores = joint.log_weights + known.log_parts(values)
    weights = np.exp(scores - log_sum(scores)[..., None])
    inner = joint.dispersions[:, rest][:, :, rest]
    if joint.independent:
        means = np.broadcast_to(joint.means[:, rest], (*weights.shape, len(rest)))
        return Density(weights, means, inner, np.ones_like(weights), joint.dof, True, names)
    across = joint.dispersions[:, given][:, :, rest]
    slopes = np.linalg.solve(known.dispersions, across)
    means = np.stack([(values - m[given]) @ slope + m[rest] for m, slope in zip(joint.means, slopes, strict=True)], -2)
    inner = inner - np.swapaxes(across, -1, -2) @ slopes
    inner = (inner + np.swapaxes(inner, -1, -2)) / 2  # symmetric to the last digit
    finite, c = np.where(np.isinf(joint.dof), 1.0, joint.dof), len(given)
    spread = np.where(np.isinf(joint.dof), 1.0, (finite + known.squares(values)[..., 0]) / (finite + c))
    return Density(weights, means, inner, spread, joint.dof + c, False, names)


def predictive(posterior: Mixture, prior: Any, names: Sequence[str]) -> Density:
    """The density of new rows: at the point estimates of known parameters, and averaged over the posterior of unknown ones.

    Parameters
    ----------
    posterior, prior : Mixture
        In the units of the data.
    names : sequence of str, length D
    """
    components, weights = posterior.components, np.asarray(posterior.weights.mean())
    structure, d = components.structure, components.n_features
    dense = lambda a: np.asarray(structure.to_dense(jnp.asarray(a), d))  # noqa: E731
    independent = structure.blocks(d).count > 1 and not isinstance(components, Student)
    if isinstance(components, Gaussian):
        k = len(weights)
        dispersions = np.broadcast_to(dense(components.covariance), (k, d, d))
        return _density(weights / weights.sum(), np.asarray(components.mean), dispersions, np.full(k, np.inf), independent, names)
    parts = [_student(components, dense)]
    rest = float(posterior.weights.unseen())
    if rest > 0:  # what sticks leave to components never seen, as in Mixture.predictive_log_prob
        fresh, dispersion, dof = _student(prior.components.unseen(components), dense)
        parts.append((fresh[:1], dispersion[:1], dof[:1]))
    means, dispersions, dof = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    weights = np.append(weights, rest) if rest > 0 else weights / weights.sum()
    return _density(weights, means, dispersions, dof, independent, names)


def _density(weights, means, dispersions, dof, independent: bool, names: Sequence[str]) -> Density:
    return Density(weights, means, dispersions, np.ones_like(weights), dof, independent, tuple(names))


def _student(components: Any, dense: Any) -> tuple[np.ndarray, ...]:
    """Means (K, D), scale matrices (K, D, D) and degrees of freedom (K,) of the Student t of each component."""
    if isinstance(components, Frozen):
        f, known = components.n_known, components.known
        first = np.asarray(known.mean), dense(known.covariance), np.full(f, np.inf)
        return tuple(np.concatenate(pair) for pair in zip(first, _student(components.law, dense), strict=True))
    if isinstance(components, Student):
        known, k = components.predictive(), len(components.mean)
        scale = np.broadcast_to(dense(known.covariance), (k, *known.mean.shape[1:] * 2))
        return np.asarray(known.mean), scale, np.broadcast_to(components.dof, k)
    mean, kappa = np.asarray(components.mean), np.asarray(components.mean_precision)
    dof = np.asarray(components.dof) - components.structure.blocks(components.n_features).size + 1
    k = len(mean)
    factor = np.broadcast_to((kappa + 1) / kappa / dof, k)
    scale = np.broadcast_to(dense(components.scale), (k, *mean.shape[1:] * 2))
    return mean, factor[:, None, None] * scale, np.broadcast_to(dof, k)
