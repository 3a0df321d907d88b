r"""Rows and labels together: the exact integrated completed likelihood.

Under conjugate priors weights, means and covariances integrate out, so that :math:`\ln p(X, z)` of any labels is a closed form: the
collapsed bound without entropy. No large-sample approximation is left, as there is in BIC and in the ICL made from it.
"""

from __future__ import annotations

from bayesgmm.core.mixture import Mixture
from bayesgmm.inference.compiling import jit
from bayesgmm.inference.kernel import from_labels, scores


@jit
def log_joint(prior: Mixture, labels, x, weight):
    r"""Exact :math:`\ln p(X, z)` in nats, parameters integrated out.

    Parameters
    ----------
    prior : Mixture
        Dirichlet weights (K,) and Normal-Wishart components, in the coordinates of the rows.
    labels : Array of int, shape (N,)
    x : Array, shape (N, D)
    weight : Array, shape (N,)
        Number of copies of each row.

    Returns
    -------
    Array, shape ()
    """
    return prior.log_marginal(from_labels(prior.structure, prior.tied, x, labels, prior.n_components, weight))


@jit(brief=True)
def exact_icl(prior: Mixture, posterior: Mixture, x, weight):
    r"""Exact ICL :math:`\ln p(X, \hat z)` of the most probable labels of a fit, in nats; larger is better.

    Bertoletti, Friel & Rastelli (2015), Choosing the number of clusters in a finite mixture model using an exact integrated completed
    likelihood criterion, Metron 73. They search for the best labels of all; here they are those of the fit.

    Parameters
    ----------
    prior, posterior : Mixture
        In the coordinates of the rows; the Jacobian of these is the caller's.
    x : Array, shape (N, D)
    weight : Array, shape (N,)
    """
    structure = posterior.structure
    labels = scores(structure, posterior.natural())(x).argmax(1)
    return log_joint(prior, labels, x, weight)
