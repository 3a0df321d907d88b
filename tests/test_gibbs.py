"""Gibbs draws against exact posteriors: all labellings of a few rows counted, and one component in closed form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import enumerate_log_joint
from registry import Case

from bayesgmm.core.structures import STRUCTURES
from bayesgmm.inference.gibbs import chains

pytestmark = pytest.mark.usefixtures("x64")

X = np.array([[0.0, 0.2], [0.3, -0.4], [0.9, 0.8], [2.4, 1.9], [2.9, 2.6], [1.6, 2.2]])
LAWS = {"dirichlet": 3, "sticks": 12, "sticks_gamma": 12}


def stated(prior) -> dict:
    """The prior of the components for the oracle."""
    law = prior.components
    scale = np.asarray(law.scale[0])
    parts = {"m0": np.asarray(law.mean[0]), "kappa0": float(law.mean_precision[0]), "nu0": float(law.dof[0])}
    return parts | {"S0": scale if scale.ndim else float(scale)}


def law_of_weights(prior, name: str) -> tuple:
    weights = prior.weights
    if name == "dirichlet":
        return "dirichlet", np.asarray(weights.concentration)
    if name == "sticks":
        return "sticks", float(weights.shape / weights.rate)
    return "sticks_gamma", float(weights.shape), float(weights.rate)


def exact_similarity(prior, structure: str, tied: bool, name: str) -> np.ndarray:
    labels, log_joint = enumerate_log_joint(X, prior.n_components, structure, tied, stated(prior), law_of_weights(prior, name))
    share = np.exp(log_joint - log_joint.max())
    return np.einsum("p,pij->ij", share / share.sum(), (labels[:, :, None] == labels[:, None, :]).astype(float))


def drawn(prior, x, seed: int = 3, n_burn: int = 50, thin: int = 2):
    """Eight chains of 2,000 draws."""
    start = jnp.asarray(np.random.default_rng(0).integers(prior.n_components, size=(8, len(x))))
    return chains(prior, jnp.asarray(x), start, jax.random.split(jax.random.key(seed), 8), n_burn, thin, n_draws=2000)


def similarity_by_chain(labels: np.ndarray) -> np.ndarray:
    return np.stack([(one[:, :, None] == one[:, None, :]).mean(0) for one in labels])


@pytest.mark.parametrize(
    ("structure", "tied", "law"),
    [
        ("spherical", True, "dirichlet"),
        pytest.param("diag", False, "sticks", marks=pytest.mark.slow),
        ("full", False, "sticks_gamma"),
        pytest.param("full", True, "dirichlet", marks=pytest.mark.slow),
        *(pytest.param(name, False, "dirichlet", marks=pytest.mark.slow) for name in STRUCTURES),
    ],
)
def test_pairs_are_together_as_often_as_counting_all_labellings_says(structure, tied, law):
    prior = Case("vb", structure, tied, "conjugate", law).prior(LAWS[law], 2)
    exact = exact_similarity(prior, structure, tied, law)
    found = similarity_by_chain(np.asarray(drawn(prior, X).labels))
    error = found.std(0, ddof=1) / np.sqrt(len(found))
    assert np.ptp(exact[np.triu_indices(len(X), 1)]) > 0.2, "rows too much alike to tell anything"
    assert (np.abs(found.mean(0) - exact) < 5 * error + 0.004).all()


@pytest.mark.parametrize("structure", ["full", *(pytest.param(name, marks=pytest.mark.slow) for name in STRUCTURES if name != "full")])
def test_one_component_is_drawn_from_its_posterior(structure):
    """Means and covariances of the draws are those of the conjugate posterior; so is the likelihood of the rows."""
    prior = Case("vb", structure, False, "conjugate", "dirichlet").prior(1, 2)
    found = drawn(prior, X)
    assert (np.asarray(found.labels) == 0).all() and np.allclose(found.log_weights, 0)
    mean = np.asarray(found.mean).reshape(-1, 2)
    law = prior.components
    expected = (X.sum(0) + float(law.mean_precision[0]) * np.asarray(law.mean[0])) / (len(X) + float(law.mean_precision[0]))
    np.testing.assert_allclose(mean.mean(0), expected, atol=5 * mean.std(0).max() / np.sqrt(len(mean)))


def test_the_same_keys_give_the_same_draws_and_other_keys_others():
    prior = Case("vb", "spherical", True, "conjugate", "dirichlet").prior(LAWS["dirichlet"], 2)
    first, again, other = (drawn(prior, X, seed, 5, 1) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.mean, again.mean)
    assert not np.allclose(first.mean, other.mean) and not np.allclose(first.mean[0], first.mean[1])
