"""Mixtures of which some components are known: laws, the exact bound, and fits that keep them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import D, normal_wishart, strong
from scipy.special import betaln, logsumexp
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.core.components import NormalWishart
from bayesgmm.core.frozen import Frozen
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import Gaussian
from bayesgmm.core.statistics import Stats
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.weights import Dirichlet, StickBreaking
from bayesgmm.inference.loop import fit
from bayesgmm.inference.moves import compact, drop_empty, merges
from bayesgmm.inference.problem import prepare
from bayesgmm.inference.restarts import Settings, advance

FAITHFUL = bg.load_dataset("faithful").x
LAWS = ("dirichlet_process", "dirichlet_distribution")
slow = pytest.mark.slow
structures = pytest.mark.parametrize("name", ["full", pytest.param("diag", marks=slow), pytest.param("spherical", marks=slow)])


def packed(name: str, dense: np.ndarray) -> np.ndarray:
    """Covariances (F, D, D) in the form of a structure."""
    return np.asarray(STRUCTURES[name].from_dense(jnp.asarray(dense))) / (1 if STRUCTURES[name].rank else dense.shape[-1])


def known_two(name: str) -> Gaussian:
    """Two components in D columns, no two numbers alike."""
    root = np.array([[[1.0, 0.0], [0.3, 0.7]], [[0.5, 0.0], [-0.2, 0.9]]])
    mean = jnp.asarray([[0.4, -1.1], [2.0, 0.6]])
    return Gaussian(mean, jnp.asarray(packed(name, root @ root.transpose(0, 2, 1))), STRUCTURES[name])


def dense(known: Gaussian) -> np.ndarray:
    return np.asarray(known.structure.to_dense(known.covariance, D))


def rows(n: int, seed: int = 0) -> np.ndarray:
    """Rows about the known components and elsewhere."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, D)) * 0.8 + np.array([[0.4, -1.1], [2.0, 0.6], [-2.0, 1.5]])[rng.integers(3, size=n)]


def stats_of(structure, x, resp) -> Stats:
    """Statistics of responsibilities (..., N, K)."""
    outer = np.einsum("...nk,ni,nj->...kij", resp, x, x)
    packs = {2: lambda a: a, 1: lambda a: np.diagonal(a, axis1=-2, axis2=-1), 0: lambda a: np.trace(a, axis1=-2, axis2=-1)}
    arrays = np.zeros(resp.shape[:-2]), resp.sum(-2), np.swapaxes(resp, -1, -2) @ x, packs[structure.rank](outer)
    return Stats(*(jnp.asarray(a) for a in arrays))


def _said(prior: Frozen, law: NormalWishart, stats: Stats):
    """Posterior of all and of the others alone, both penalties, and marginals."""
    others = prior.parts(stats)[1]
    q, own = prior.posterior(stats), law.posterior(others)
    return q, own, (prior.penalty(q), law.penalty(own)), prior.log_marginal(stats), law.log_marginal(others)


@slow
@structures
def test_the_law_is_the_known_densities_beside_the_law_of_the_others(x64, name):
    known, law = known_two(name), normal_wishart(name, False, D)
    prior, x = Frozen(known, law), rows(12)
    resp = np.random.default_rng(1).dirichlet(np.ones(4), 12)
    stats = stats_of(known.structure, x, resp)
    q, own, penalty, marginal, both = jax.jit(_said)(prior, law, stats)
    plain = np.stack([multivariate_normal(m, c).logpdf(x) for m, c in zip(known.mean, dense(known), strict=True)], 1)
    densities = jax.jit(lambda q: q.predictive_log_prob(x))
    np.testing.assert_allclose(densities(q), np.concatenate([plain, densities(own)], 1), rtol=1e-10)
    np.testing.assert_allclose(penalty[0], penalty[1], rtol=1e-12)
    assert float(marginal) == pytest.approx((resp[:, :2] * plain).sum() + float(both))
    again = q.mapped(lambda v: 2 * v, lambda a: 4 * a).mapped(lambda v: v / 2, lambda a: a / 4).take(np.array([0, 1, 3, 2]))
    np.testing.assert_allclose(again.mean, q.mean[jnp.array([0, 1, 3, 2])], rtol=1e-12)
    assert q.mean.shape == (4, D) and q.point().covariance.shape == q.mode().covariance.shape == q.covariance.shape
    drawn = jax.jit(lambda q: q.sample(jax.random.key(0), (5,)))(q)
    np.testing.assert_array_equal(drawn.mean[:, :2], np.broadcast_to(known.mean, (5, 2, D)))
    assert drawn.covariance.shape == (5, *q.covariance.shape) and np.ptp(np.asarray(drawn.mean[:, 2:]), axis=0).all()


def solved(prior, x, seed: int = 2):
    start = prior.posterior(stats_of(prior.structure, x, np.random.default_rng(seed).dirichlet(np.ones(prior.n_components), len(x))))
    return fit(prior, start, jnp.asarray(x), tol=1e-13, max_steps=3000)


def _shares(weights, posterior, counts: np.ndarray):
    """Log probabilities (P,) of labels with these counts (P, K); under sticks, in the order in which the posterior has them."""
    if not isinstance(weights, StickBreaking):
        return jax.jit(jax.vmap(weights.log_marginal))(counts)
    gamma, counts = float(weights.shape / weights.rate), counts[:, np.asarray(posterior.order)]
    return (np.log(gamma) + betaln(1 + counts, gamma + counts[:, ::-1].cumsum(1)[:, ::-1] - counts)).sum(1)


@pytest.mark.parametrize("weights", [pytest.param("dirichlet", marks=slow), "sticks"])
@structures
def test_the_bound_is_below_the_evidence_by_enumeration(x64, name, weights):
    """Of six rows: a sum over all labels, of which two components are known and one is not."""
    law = {"dirichlet": Dirichlet(jnp.array([0.8, 1.3, 0.6])), "sticks": StickBreaking.prior(3, 1.2)}[weights]
    prior, x = strong(Mixture(law, Frozen(known_two(name), normal_wishart(name, False, D)))), rows(6)
    result = solved(prior, x)
    stats = stats_of(prior.structure, x, np.eye(3)[np.indices((3,) * 6).reshape(6, -1).T])
    exact = logsumexp(
        np.asarray(jax.jit(jax.vmap(prior.components.log_marginal))(stats))
        + np.asarray(_shares(prior.weights, result.posterior.weights, np.asarray(stats.counts)))
    )
    assert exact - 2.5 < float(result.lower_bound) < exact


@slow
@structures
def test_one_known_component_has_its_likelihood_as_bound(name):
    mean, covariance = FAITHFUL.mean(0)[None], packed(name, np.cov(FAITHFUL.T)[None] * 1.3)
    options = {"covariance_type": name, "frozen": (mean, covariance), "weight_concentration_prior_type": "dirichlet_distribution"}
    model = bg.BayesianGaussianMixture(n_components=1, **options).fit(FAITHFUL)
    spread = np.asarray(STRUCTURES[name].to_dense(covariance, D))[0]
    exact = multivariate_normal(mean[0], spread).logpdf(FAITHFUL)
    assert model.lower_bound_ == pytest.approx(exact.sum(), rel=1e-12) == model.log_likelihood_
    np.testing.assert_allclose(model.score_samples(FAITHFUL), exact, rtol=1e-10)
    assert model.n_parameters_ == 0


@structures
def test_it_is_the_limit_of_ever_narrower_laws_around_what_is_known(x64, name):
    known, x = known_two(name), rows(60)
    law, sure = normal_wishart(name, False, D), 1e8
    wide = jax.tree.map(lambda a: jnp.broadcast_to(a, (1, *a.shape[1:])), law)
    mean, scale = jnp.concatenate([known.mean, wide.mean]), jnp.concatenate([known.covariance * sure, wide.scale])
    kappa, dof = (jnp.concatenate([jnp.full(2, sure), a]) for a in (wide.mean_precision, wide.dof))
    weights = Dirichlet(jnp.array([0.8, 1.3, 0.6]))
    narrow = solved(strong(Mixture(weights, NormalWishart(mean, kappa, dof, scale, law.structure, False))), x)
    exact = solved(strong(Mixture(weights, Frozen(known, law))), x)
    assert float(exact.lower_bound) == pytest.approx(float(narrow.lower_bound), abs=1e-4)
    np.testing.assert_allclose(exact.posterior.components.mean, narrow.posterior.components.mean, atol=1e-5)
    np.testing.assert_allclose(exact.stats.counts, narrow.stats.counts, atol=1e-4)


def elsewhere(name: str = "full"):
    """What is known of faithful's shorter eruptions, and of a component where there are no rows."""
    short = FAITHFUL[FAITHFUL[:, 0] < 3]
    return np.stack([short.mean(0), [9.0, 20.0]]), packed(name, np.stack([np.cov(short.T), np.diag([0.1, 20.0])]))


def bayes(x=FAITHFUL, k=5, **options):
    return bg.BayesianGaussianMixture(n_components=k, random_state=0, **({"frozen": elsewhere()} | options)).fit(x)


@pytest.mark.parametrize("law", [LAWS[0], pytest.param(LAWS[1], marks=slow)])
@structures
def test_what_is_known_stays_first_and_as_it_was_even_without_rows(name, law):
    known = elsewhere(name)
    model = bayes(covariance_type=name, frozen=known, weight_concentration_prior_type=law)
    np.testing.assert_allclose(model.means_[:2], known[0], rtol=1e-12)
    np.testing.assert_allclose(model.covariances_[:2], known[1], rtol=1e-10, atol=1e-12)
    assert model.weights_[1] < 0.01 and (np.diff(model.weights_[2:]) <= 0).all()
    if name == "full":
        assert model.labels_[FAITHFUL[:, 0] < 3].max() == 0
        assert model.n_components_ == 3 and model.n_parameters_ == 2 + 5
        np.testing.assert_allclose(model.means_[2], [4.29, 80.0], rtol=2e-3)  # those of the fit that knows nothing


@slow
def test_neither_pruning_nor_merging_takes_a_known_component(x64):
    known, problem = known_two("full"), prepare(rows(40), np.ones(40), STRUCTURES["full"])
    prior = Mixture(Dirichlet.symmetric(4, 0.5), Frozen(known.mapped(lambda v: v + 50, lambda a: a), normal_wishart("full", False, D)))
    resp = np.zeros((len(problem.x), 4))
    resp[:, 2:] = np.random.default_rng(0).dirichlet(np.ones(2), len(resp))
    start = prior.posterior(stats_of(prior.structure, np.asarray(problem.x), resp * np.asarray(problem.weight)[:, None]))
    found = advance(prior, start, problem, Settings(), 200)
    assert (np.asarray(found.result.stats.counts)[:2] < 1e-6).all()
    kept = compact(drop_empty(found, problem, Settings()))
    np.testing.assert_array_equal(kept.result.posterior.components.known.mean, prior.components.known.mean)
    alive = [np.asarray(smaller.weights.alive()) for smaller, _ in merges(found)]
    assert len(alive) == 5 and all(one[:2].all() for one in alive)  # all pairs but that of the known ones


@slow
def test_gaps_weights_chunks_and_sources_do_as_without_known_components():
    plain = bayes()
    for other in (bayes(bg.Observations(FAITHFUL)), bayes(chunk_size=50), bayes(bg.scan(FAITHFUL))):
        assert other.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-8)
    np.testing.assert_allclose(plain.score_samples(bg.Observations(FAITHFUL)), plain.score_samples(FAITHFUL), atol=1e-10)
    np.testing.assert_allclose(plain.marginal().log_density(FAITHFUL), plain.score_samples(FAITHFUL), atol=1e-10)
    twice = bg.BayesianGaussianMixture(n_components=5, random_state=0, frozen=elsewhere()).fit(FAITHFUL, sample_weight=np.full(272, 2))
    assert twice.lower_bound_ == pytest.approx(bayes(np.repeat(FAITHFUL, 2, 0)).lower_bound_, abs=1e-7)


@slow
def test_a_part_of_the_columns_has_the_known_densities_of_these():
    """Rows that miss a number: the component's own marginal, not that of a Student t."""
    model = bayes(k=2, missing="at_random", weight_concentration_prior_type="dirichlet_distribution")
    gaps = FAITHFUL.copy()
    gaps[:, 1] = np.nan
    (means, spreads), weights = elsewhere(), model.weights_
    each = [multivariate_normal(m[0], s[0, 0]).logpdf(gaps[:, 0]) for m, s in zip(means, spreads, strict=True)]
    np.testing.assert_allclose(model.score_samples(gaps), logsumexp(each, axis=0, b=weights[:, None]), rtol=1e-10)
    assert model.impute(gaps[:3], n_draws=2).shape == (2, 3, 2)


@slow
def test_a_model_is_saved_goes_on_and_says_what_is_known(tmp_path):
    model = bayes(warm_start=True)
    model.save(tmp_path / "model")
    again = bg.load(tmp_path / "model")
    np.testing.assert_array_equal(again.score_samples(FAITHFUL), model.score_samples(FAITHFUL))
    assert "the first 2 components known" in model.summary(FAITHFUL).replace("\n", " ")
    bound = model.lower_bound_
    assert model.fit(FAITHFUL).lower_bound_ == pytest.approx(bound, abs=1e-8)
    moved = elsewhere()[0] + 0.01, elsewhere()[1]
    np.testing.assert_allclose(model.set_params(frozen=moved).fit(FAITHFUL).means_[:2], moved[0], rtol=1e-12)
    with pytest.raises(ValueError, match="had 2 frozen components, not 0"):
        model.set_params(frozen=None).fit(FAITHFUL)
    part = bayes(FAITHFUL[:150])
    part.partial_fit(FAITHFUL[150:])
    np.testing.assert_allclose(part.means_[:2], elsewhere()[0], rtol=1e-12)
    assert part.n_parameters_ == again.n_parameters_ and abs(part.lower_bound_ - bound) < 2


@slow
def test_draws_rows_and_other_answers_know_what_is_known():
    model = bayes()
    x, labels = model.sample(4000)
    assert set(labels) <= {0, 1, 2} and np.isfinite(x).all()
    np.testing.assert_allclose(x[labels == 0].mean(0), elsewhere()[0][0], rtol=0.02)
    drawn = model.uncertainty(FAITHFUL, method="mean_field", n_draws=50).draws
    assert not np.ptp(drawn["means"][:, :2], axis=0).any() and np.ptp(drawn["means"][:, 2], axis=0).all()
    far = model.tail_probability([[2.0, 55.0], [2.0, 95.0]]).probability
    assert far[0] > 0.5 and far[1] < 1e-3
    assert bg.combine(model, FAITHFUL, n_clusters=2).labels.shape == (272,)


@slow
def test_resampled_fits_keep_what_is_known():
    model = bg.GaussianMixture(2, frozen=tuple(a[:1] for a in elsewhere()), random_state=0).fit(FAITHFUL)
    drawn = model.uncertainty(FAITHFUL, method="bootstrap", n_draws=20).draws["means"]
    assert not np.ptp(drawn[:, 0], axis=0).max() > 1e-9 and np.ptp(drawn[:, 1], axis=0).all()
    stream = bg.GaussianMixture(2, frozen=tuple(a[:1] for a in elsewhere()), random_state=0).fit(bg.scan(FAITHFUL))
    assert stream.log_likelihood_ == pytest.approx(model.log_likelihood_, abs=1e-7)


@slow
def test_the_prior_of_maximum_a_posteriori_is_that_of_the_others():
    known = tuple(a[:1] for a in elsewhere())
    model = bg.GaussianMixture(1, frozen=known, prior="default").fit(FAITHFUL)
    assert model.lower_bound_ == pytest.approx(model.log_likelihood_, rel=1e-12)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: bayes(covariance_type="tied"), "covariances of their own"),
        (lambda: bayes(noise="box"), "leave noise and student_t out"),
        (lambda: bayes(k=1), "2 components, more than"),
        (lambda: bayes(frozen=elsewhere()[0]), "must be a pair"),
        (lambda: bayes(frozen=(elsewhere()[0], -elsewhere()[1])), "positive definite"),
        pytest.param(lambda: bayes().uncertainty(FAITHFUL), 'method="mean_field" is', marks=slow),
        (lambda: bayes().log_evidence(FAITHFUL), "lower_bound_ is"),
        pytest.param(lambda: bayes().importance_evidence(FAITHFUL), "frozen=None", marks=slow),
        pytest.param(lambda: bayes().sensitivity(FAITHFUL), "sensitivity is not there", marks=slow),
    ],
)
def test_what_cannot_be_is_told(ask, words):
    with pytest.raises(ValueError, match=words):
        ask()


@slow
def test_the_diagnosis_does_without_draws():
    page = str(bayes().diagnose(FAITHFUL))
    assert "Some components are known (frozen)" in page
