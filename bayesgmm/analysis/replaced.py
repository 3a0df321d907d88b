"""Clusters as single Gaussians: what a simpler mixture, one Gaussian for each cluster, would be worth."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from bayesgmm.analysis.combine import Merge, groups_after, probabilities
from bayesgmm.analysis.criteria import n_parameters
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import FlatGaussian
from bayesgmm.core.weights import FlatWeights
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import collect, from_responsibilities, hard
from bayesgmm.inference.priors import flat_components
from bayesgmm.inference.problem import Problem, padded

FLOOR = 1e-6
"""Smallest share of the spread of the data that a Gaussian keeps in any direction."""


def icl_curve(resp: np.ndarray, merges: list[Merge], problem: Problem, tied: bool) -> np.ndarray:
    r"""ICL (K,) of the mixtures in which each of 1, 2, ... K clusters is one Gaussian with the cluster's moments; smaller is better.

    :math:`-2 \sum_n w_n \max_k \ln(\pi_k N(x_n \mid \mu_k, \Sigma_k)) + p \ln n`, the integrated completed likelihood with hard labels
    (Biernacki, Celeux & Govaert 2000), without fitting these mixtures any further.

    Parameters
    ----------
    resp : array, shape (N, K)
    merges : list of Merge
    problem : Problem
        The same N rows, with their weights.
    tied : bool
    """
    k = resp.shape[1]
    law, n, d = flat_components(problem.structure, tied, FLOOR), problem.n_rows, problem.n_features
    found = []
    for m in range(1, k + 1):
        merged = np.zeros_like(resp)
        merged[:, :m] = probabilities(resp, groups_after(merges, m))
        value = float(_completed(law, problem.x, jnp.asarray(padded(merged)[0]), problem.weight)) - problem.log_jacobian
        found.append(-2 * value + n_parameters(problem.structure, tied, m, d) * np.log(n))
    return np.array(found)


@jit
def _completed(law: FlatGaussian, x, resp, weight):
    """Log-likelihood of rows and their best labels under the Gaussians with the moments of each column of ``resp`` (N, K)."""
    stats = from_responsibilities(law.structure, law.tied, x, resp, weight)
    mixture = Mixture(FlatWeights(resp.shape[1]), law).posterior(stats)
    return collect(mixture, x, weight, hard).log_norm
