"""Exact integrated completed likelihood against text-book formulas and against sums over all labellings."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from oracles import _log_prior_labels, enumerate_log_joint, log_evidence_enumeration, log_marginal_given_labels
from registry import Case, blobs
from scipy.special import logsumexp

import bayesgmm as bg
from bayesgmm.analysis.completed import exact_icl, log_joint
from bayesgmm.inference.kernel import from_responsibilities
from bayesgmm.inference.loop import lower_bound, run

FAITHFUL = bg.load_dataset("faithful").x
KINDS = [("full", False), ("full", True), ("diag", False), ("diag", True), ("spherical", False), ("spherical", True)]


def stated(prior) -> tuple[dict, tuple]:
    """Prior of the package in the oracles' words."""
    law = prior.components
    components = {"m0": np.asarray(law.mean[0]), "kappa0": float(law.mean_precision[0]), "nu0": float(law.dof[0])}
    return {**components, "S0": np.asarray(law.scale[0])}, ("dirichlet", np.asarray(prior.weights.concentration))


@pytest.mark.parametrize(("structure", "tied"), KINDS)
def test_all_labellings_sum_to_the_evidence(structure, tied, x64):
    """One exact joint for each of the 3^6 labellings: each as enumerated, together the evidence of the rows."""
    x = blobs(6)
    prior = Case("vb", structure, tied, "conjugate", "asymmetric").prior()
    labels, expected = enumerate_log_joint(x, 3, structure, tied, *stated(prior))
    found = jax.vmap(lambda z: log_joint(prior, z, x, np.ones(6)))(labels)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-9)
    evidence = log_evidence_enumeration(x, 3, structure, tied, *stated(prior))
    assert logsumexp(np.asarray(found)) == pytest.approx(evidence, abs=1e-9)


@pytest.mark.parametrize(("structure", "tied"), KINDS[1:3])
def test_it_is_below_the_evidence_by_what_the_labels_leave_open(structure, tied, x64):
    """ln p(X) - ln p(X, z) = -ln p(z | X), which for the labels of a fit is positive."""
    x = blobs(7, seed=3)
    prior = Case("vb", structure, tied, "conjugate", "dirichlet").prior(2)
    stats = from_responsibilities(prior.structure, tied, x, np.random.default_rng(0).dirichlet([1, 1], 7), np.ones(7))
    fit = run(prior, prior.posterior(stats), x, np.ones(7), 1e-10, 200, max_steps=200)
    value = float(exact_icl(prior, fit.posterior, x, np.ones(7)))
    _, joint = enumerate_log_joint(x, 2, structure, tied, *stated(prior))
    assert np.abs(joint - value).min() < 1e-9
    assert value < logsumexp(joint) and value <= joint.max() + 1e-9
    assert float(lower_bound(prior, fit.posterior, fit.stats)) < logsumexp(joint)


def test_whole_weights_are_copies(x64):
    x, weight = blobs(8), np.array([1, 2, 0, 3, 1, 1, 2, 1])
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    prior = Case("vb", "full", False, "conjugate", "dirichlet").prior()
    again = log_joint(prior, np.repeat(labels, weight), np.repeat(x, weight, 0), np.ones(weight.sum()))
    np.testing.assert_allclose(log_joint(prior, labels, x, weight), again, rtol=1e-12)


@pytest.mark.parametrize(("covariance_type", "prior"), [("full", "hierarchical"), ("tied", "fixed")])
def test_the_column_is_the_oracles_number_in_the_users_units(covariance_type, prior):
    """Labels and prior of the chosen model, stated in minutes; less the price of the prior, as the evidence."""
    chosen = bg.select(FAITHFUL, [2], covariance_type, criterion="icl_exact", prior=prior, verbose=False)
    best, t = chosen.best, chosen.table
    labels, (components, weights) = best.labels_, stated(best.prior_)
    structure = {"tied": "full"}.get(covariance_type, covariance_type)
    given = log_marginal_given_labels(FAITHFUL, labels, 2, structure, covariance_type == "tied", **components)
    of_labels = _log_prior_labels(np.bincount(labels, minlength=2)[None], weights)[0]
    assert t["icl_exact"][0] == pytest.approx(given + of_labels - t["price"][0], abs=0.02)
    assert t["icl_exact"][0] < t["evidence"][0] and (t["price"][0] > 0) == (prior == "hierarchical")


def test_it_counts_clusters_that_are_apart():
    """Three groups far apart are three; where components overlap it takes fewer than the evidence."""
    apart = np.random.default_rng(0).normal(size=(285, 2)) + np.repeat([[0, 0], [9, 0], [0, 9]], 95, 0)
    chosen = bg.select(apart, range(1, 5), "full", criterion="icl_exact", verbose=False)
    assert chosen.n_components == 3 and "(exact ICL -" in chosen.verdict and "under the hierarchical prior" in chosen.verdict
    t = bg.select(FAITHFUL, range(1, 5), "full", criterion="icl_exact", verbose=False).table
    assert t["n_components"][t.best("icl_exact")] == 2 and t["n_components"][t.best("evidence")] == 3
