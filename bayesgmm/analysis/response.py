r"""Linear response: how far the labels that mean field holds fixed would move the posterior, and what that adds to the evidence.

The score of a row under component k is linear in random coefficients (a constant, one for each column, one for each second moment)
whose covariance V under the posterior is known. The missing information of the labels about them is
:math:`G = \sum_n w_n \,\mathrm{Cov}_{z_n}(\text{features})`. The eigenvalues of :math:`I - V^{1/2} G V^{1/2}` are those of the linear
response: 1 less the largest contraction of the passes is the smallest of them, and :math:`-\tfrac12\ln\det` is what the bound misses, to
second order, of the evidence around its optimum.

Giordano, Broderick & Jordan (2015), NIPS, sec. 2.2; the closed forms of V below follow from Wishart moments (Muirhead 1982, Aspects of
Multivariate Statistical Theory, sec. 3.2) and are checked against derivatives of the log-normaliser.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import polygamma

from bayesgmm.analysis.coefficients import found_hidden, is_plain, n_all_coefficients
from bayesgmm.analysis.hidden import hidden
from bayesgmm.core.components import NormalWishart
from bayesgmm.core.linalg import cholesky
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.statistics import Stats
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import accumulate, in_part, responsibilities

MOST = 3000
"""Coefficients up to which the evidence is corrected."""

DENSE = 1500
"""Coefficients up to which draws use all eigenvectors."""

BLOCK, STEPS = 100, 8
"""Vectors and passes of `leading`: standard deviations to 0.2 % with 3,500 coefficients and a contraction of 0.93."""

NEW = 1e-8
"""Length, of at most 1, below which an answer of `leading` says nothing new."""

SLOW = 0.97
"""Contraction above which a Gaussian around the fit is a poor description: docs/explanation/uncertainty.md."""

CHUNK = 512


def n_coefficients(posterior: Mixture) -> int:
    """Coefficients of the scores of all components present that the labels inform."""
    if not is_plain(posterior):
        return n_all_coefficients(posterior)
    k, d = int(np.sum(np.asarray(posterior.weights.alive()))), posterior.components.n_features
    if posterior.tied:
        return k * (1 + d)
    return k * len(posterior.structure.features(jnp.zeros((d, 1))))


def _own_features(law: NormalWishart, x):
    """Coefficients' standard features (N, K, P) of rows, components with matrices of their own, the constant left out.

    With y = F^-1 (x - m) for S = F F^T the coefficients of y have variance nu / kappa, those of squares nu / 2 and of products of two
    columns nu; squares covary with the constant. The features are the columns of the inverse Cholesky factor's transpose.
    """
    structure, d = law.structure, law.n_features
    factor = structure.factor(law.scale)

    def one(mean, root, kappa, dof):
        y = structure.solve(root, x - mean)
        spread, middle = _squares(structure, d, dof)
        squares = spread * structure.features(y.T)[1 + d :].T - middle
        return jnp.concatenate([jnp.sqrt(dof / kappa) * y, squares], 1)

    columns = jax.vmap(one)(law.mean, factor, law.mean_precision, law.dof)
    return jnp.moveaxis(columns, 0, 1)


def _squares(structure, d: int, dof):
    """What products of columns (P,) are multiplied with, and what is then taken away, to be standard features."""
    distinct = structure.coefficients(jnp.ones_like(structure.identity(d)))
    spread = jnp.sqrt(dof / 2 * distinct)
    return spread, structure.coefficients(structure.identity(d)) * structure.blocks(d).copies / 2 / spread


def features(posterior: Mixture, x):
    """Features (N, K or 1, Q) of rows: the constant, columns, and products where each component has its own matrix."""
    law = posterior.components
    if posterior.tied:
        root, _ = _inner(posterior)
        columns = law.structure.solve(root, x - law.mean[:1])[:, None]
    else:
        columns = _own_features(law, x)
    return jnp.concatenate([jnp.ones((len(x), columns.shape[1], 1)), columns], 2)


def _own_root(posterior: Mixture):
    """Square root (K, K) of the covariance of the constants, given the coefficients of squares."""
    law = posterior.components
    count, size, copies = law.structure.blocks(law.n_features)
    shifts = jnp.arange(size) / 2
    log_dets = copies**2 * count / 4 * polygamma(1, law.dof[:, None] / 2 - shifts).sum(1)
    explained = copies**2 * count * size / (2 * law.dof)
    rest = log_dets - explained + law.n_features / (2 * law.mean_precision**2)
    return cholesky(posterior.weights.log_covariance() + jnp.diag(rest))


def _shared_root(posterior: Mixture, law: NormalWishart, products: bool = False):
    """Square root of the covariance of constants and linear coefficients, (K (1 + D))^2, of a shared matrix with scale 1.

    By second derivatives of the log-normaliser, in the order (component; constant, columns); those of ``products`` come last.
    """
    k, d = law.mean.shape
    more = law.structure.n_parameters(d) if products else 0

    def log_normaliser(shift):
        moved = shift[: k * (1 + d)].reshape(k, 1 + d)
        scatter = law.structure.from_moments(shift[k * (1 + d) :][None], d) if products else jnp.zeros_like(law.scale)
        stats = Stats(jnp.zeros(()), moved[:, 0], moved[:, 1:], scatter)
        return sum(part.sum() for part in law.posterior(stats).log_normaliser())

    covariance = jax.hessian(log_normaliser)(jnp.zeros(k * (1 + d) + more))
    constants = jnp.arange(k) * (1 + d)
    covariance = covariance.at[constants[:, None], constants].add(posterior.weights.log_covariance())
    ridge = 1e-12 * jnp.diagonal(covariance)
    return cholesky(covariance + jnp.diag(ridge))


def _information(features, resp, weight):
    """Missing information (K Q, K Q) of a chunk: features (N, K, Q) or (N, 1, Q), responsibilities (N, K)."""
    n, k = resp.shape
    features = jnp.broadcast_to(features, (n, k, features.shape[2]))
    weighted = features * resp[:, :, None]
    own = jnp.einsum("nka,nkb,n->kab", weighted, features, weight)
    q = features.shape[2]
    flat = weighted.reshape(n, k * q)
    blocks = jnp.zeros((k, q, k, q)).at[jnp.arange(k), :, jnp.arange(k), :].set(own)
    return blocks.reshape(k * q, k * q) - flat.T @ (flat * weight[:, None])


def eigenvalues(posterior: Mixture, x, weight, chunk_size: int = CHUNK) -> np.ndarray:
    """Eigenvalues of the linear response, ascending, each between 0 and 1 at an optimum.

    Parameters
    ----------
    posterior : Mixture
        Dirichlet or stick-breaking weights and Normal-Wishart components. Components switched off count for nothing.
    x : Array, shape (N, D)
        Rows, in the same coordinates.
    weight : Array, shape (N,)
    chunk_size : int
        Rows a chunk; memory is that times the number of coefficients.

    With noise or heavy tails those that differ from 1 only; see `bayesgmm.analysis.coefficients`.
    """
    if not is_plain(posterior):
        return found_hidden(posterior, x, weight).values
    matrix = np.asarray(response_matrix(posterior, x, weight, chunk_size))
    alive = np.asarray(posterior.weights.alive())
    each = 1 + posterior.components.n_features if posterior.tied else len(matrix) // len(alive)
    kept = np.append(np.repeat(alive, each), np.ones(len(matrix) - each * len(alive), bool))
    return np.linalg.eigvalsh(matrix[np.ix_(kept, kept)])


def eigen(posterior: Mixture, x, weight) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (C,) and eigenvectors (C, C) of `response_matrix`; of a large one those that differ from 1."""
    if n_coefficients(posterior) > DENSE and not in_part(x):
        return leading(posterior, x, weight)
    values, vectors = np.linalg.eigh(np.asarray(response_matrix(posterior, x, weight)))
    return values, vectors


@jit
def own_root(posterior: Mixture):
    """Square root (K, K) of the covariance of the constants, for components with matrices of their own."""
    return _own_root(posterior)


@jit(static_argnames=("products",))
def component_root(posterior: Mixture, products: bool = False):
    """Square root of the covariance of constants and linear coefficients of components that share a matrix, and the law it belongs to.

    With ``products`` the coefficients that components share are among them, the last.
    """
    _, inner = _inner(posterior)
    return _shared_root(posterior, inner, products), inner


def _inner(posterior: Mixture):
    """A factor of the shared scale, and the law of the components where that scale is 1 and the first mean 0."""
    law, structure = posterior.components, posterior.structure
    root, centre = structure.factor(law.scale)[0], law.mean[:1]
    return root, law.mapped(lambda m: structure.solve(root, m - centre), lambda s: structure.untransform(root, s))


@jit(static_argnames=("chunk_size",))
def response_matrix(posterior: Mixture, x, weight, chunk_size: int = CHUNK):
    """Symmetric matrix (C, C) of the linear response, C coefficients in the order (component; constant, columns, products).

    Products of columns count where each component has its own matrix; where rows are known in part a shared matrix matters, too, and its
    products come last.
    """
    k, part = posterior.n_components, in_part(x)
    information = _part_information(posterior, x, weight) if part else _label_information(posterior, x, weight, chunk_size)
    scale = _scale(posterior, part)
    half = _scaled(scale, posterior.tied, information, k)
    return jnp.eye(len(half)) - _scaled(scale, posterior.tied, half.T, k)


def _label_information(posterior: Mixture, x, weight, chunk_size: int):
    """What labels of complete rows hide."""
    resp_of = responsibilities(posterior.structure, posterior.natural())

    def one(rows, weights):
        resp = resp_of(rows)
        return _information(features(posterior, rows), resp, weights)

    return jnp.asarray(accumulate(one, x, weight, chunk_size))


def _part_information(posterior: Mixture, rows, weight):
    """What labels and whole rows hide where rows are known in part, for standard features in the order of `response_matrix`."""
    found, law, k = hidden(posterior, rows, weight), posterior.components, posterior.n_components
    if posterior.tied:
        return found
    structure, d = posterior.structure, law.n_features
    spread, middle = jax.vmap(lambda dof: _squares(structure, d, dof))(law.dof)
    scale = jnp.concatenate([jnp.ones((k, 1)), jnp.broadcast_to(jnp.sqrt(law.dof / law.mean_precision)[:, None], (k, d)), spread], 1)
    first, second = np.arange(k * (1 + d)).reshape(k, -1), k * (1 + d) + np.arange(spread.size).reshape(k, -1)
    order = np.concatenate([first, second], 1)
    standard = jax.vmap(jnp.diag)(scale).at[:, 1 + d :, 0].set(-middle)
    whole = jax.scipy.linalg.block_diag(*standard)
    return whole @ found[order.ravel()][:, order.ravel()] @ whole.T


def _scale(posterior: Mixture, products: bool = False):
    """Root of the covariance of all coefficients (tied), or of the constants, the others being standard already."""
    return _shared_root(posterior, _inner(posterior)[1], products) if posterior.tied else _own_root(posterior)


def _scaled(scale, tied: bool, columns, k: int):
    """The transposed root of the covariance of the coefficients times columns (C, R)."""
    if tied:
        return scale.T @ columns
    constants = jnp.arange(k) * (len(columns) // k)
    return columns.at[constants].set(scale.T @ columns[constants])


def _unscaled(scale, tied: bool, columns, k: int):
    """The root of the covariance of the coefficients times columns (C, R)."""
    return _scaled(scale.T, tied, columns, k)


@jit
def _hidden(posterior: Mixture, scale, vectors, x, weight):
    """What the labels hide, I less `response_matrix`, times vectors (C, R), without forming a matrix of C x C."""
    resp_of, k = responsibilities(posterior.structure, posterior.natural()), posterior.n_components
    columns = _unscaled(scale, posterior.tied, vectors, k)
    shaped = columns.reshape(k, -1, columns.shape[1])

    def one(rows, weights):
        resp = resp_of(rows)
        own = jnp.broadcast_to(features(posterior, rows), (len(rows), k, shaped.shape[1]))
        moved = jnp.einsum("nkq,kqr->nkr", own, shaped)
        away = resp[:, :, None] * (moved - jnp.einsum("nk,nkr->nr", resp, moved)[:, None]) * weights[:, None, None]
        return jnp.einsum("nkq,nkr->kqr", own, away)

    found = jnp.asarray(accumulate(one, x, weight, CHUNK))
    return _scaled(scale, posterior.tied, found.reshape(columns.shape), k)


@jit(brief=True)
def _scale_of(posterior: Mixture):
    return _scale(posterior)


def _orthogonal(columns: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Orthonormal columns for what is new in some beside a basis; those that are nothing but rounding are dropped."""
    from scipy.linalg import qr

    fresh = columns - basis @ (basis.T @ columns)
    for _ in range(2):
        found: Any = qr(fresh - basis @ (basis.T @ fresh), mode="economic", pivoting=True)
        fresh = found[0][:, np.abs(np.diag(found[1])) > NEW]
    return fresh


def leading(posterior: Mixture, x, weight) -> tuple[np.ndarray, np.ndarray]:
    """Most of the eigenvalues (R,) of `response_matrix` that differ from 1, the smallest first, and eigenvectors (C, R).

    By a block Lanczos method: the answers of I less that matrix to random vectors, to these answers, and so on, made orthogonal; on what
    they span the matrix is small. Each of `STEPS` steps is one pass over the rows for `BLOCK` vectors, where a library's method would take
    a pass for each vector.

    References
    ----------
    Golub & Underwood (1977), The block Lanczos method for computing eigenvalues, in: Mathematical Software III.
    """
    scale, size = _scale_of(posterior), posterior.n_components * features(posterior, x[:1]).shape[2]
    answer = np.random.default_rng(0).standard_normal((size, BLOCK))
    basis, answers = np.zeros((size, 0)), []
    for _ in range(STEPS):
        fresh = _orthogonal(answer, basis)
        if fresh.shape[1] == 0:  # all that is hidden has been found
            break
        filled = np.pad(fresh, ((0, 0), (0, BLOCK - fresh.shape[1])))
        answer = np.asarray(_hidden(posterior, scale, jnp.asarray(filled), x, weight))[:, : fresh.shape[1]]
        basis, answers = np.concatenate([basis, fresh], 1), [*answers, answer]
    small = basis.T @ np.concatenate(answers, 1)
    values, turned = np.linalg.eigh(np.eye(len(small)) - (small + small.T) / 2)
    return values, basis @ turned
