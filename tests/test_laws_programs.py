"""The loop as a JAX program: jit, vmap, derivatives, numbers that are not finite, cancellation, and large samples."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import (
    CAPACITY,
    Case,
    D,
    N,
    blobs,
    cases,
    padded,
    responsibilities,
    solve,
    solve_many,
    stack,
    start,
)

from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import FlatGaussian
from bayesgmm.core.pytree import replace
from bayesgmm.core.statistics import Natural, centred_scores, product_form
from bayesgmm.core.structures import STRUCTURES
from bayesgmm.core.weights import Dirichlet, FlatWeights
from bayesgmm.inference import compiling, kernel
from bayesgmm.inference.initialise import initialise
from bayesgmm.inference.loop import MESSAGES, Outcome, fit, run
from bayesgmm.inference.priors import default_components

pytestmark = pytest.mark.usefixtures("x64")
ONES = np.ones(N)
every_structure = pytest.mark.parametrize("structure", STRUCTURES)
SAMPLES = [
    Case("vb", "full", False, "conjugate", "asymmetric"),
    Case("vb", "full", True, "conjugate", "sticks_gamma"),
    Case("vb", "diag", False, "conjugate", "sticks"),
    Case("map", "spherical", False, "conjugate", "sticks"),
    Case("ml", "full", False, "flat", "flat"),
]
some_cases = pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=pytest.mark.slow if i % 2 or i == 2 else ()) for i, case in enumerate(SAMPLES)]
)


def same(ours, truth, rtol=1e-11, atol=1e-11):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(truth), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@some_cases
def test_compiled_is_eager(case):
    """Operation by operation, as Python."""
    x, resp, weight = blobs(8), responsibilities(8), np.ones(8)
    prior = case.prior()
    compiled = solve(prior, x, weight, resp, 0.0, 2)
    with jax.disable_jit():
        eager = solve(prior, x, weight, resp, 0.0, 2)
    same(eager, compiled)


@some_cases
def test_vmapped_is_looped(case):
    """Fits that stop at different steps, side by side."""
    data = [(case.prior(rng=np.random.default_rng(i)), blobs(seed=i), ONES, responsibilities(seed=i)) for i in range(3)]
    together = solve_many(*(stack(column) for column in zip(*data, strict=True)), 1e-6, 60)
    for i, arguments in enumerate(data):
        alone = solve(*arguments, 1e-6, 60)
        one = jax.tree.map(lambda leaf, i=i: leaf[i], together)
        assert int(one.n_steps) == int(alone.n_steps)
        assert int(one.outcome) == int(alone.outcome)
        np.testing.assert_allclose(one.history, alone.history, rtol=1e-11)
        same(one.posterior, alone.posterior, 1e-8, 1e-8)


def test_restarts_by_vmap_over_keys():
    """Starts themselves can be mapped over."""
    x, prior = jnp.asarray(blobs()), SAMPLES[0].prior()
    keys = jax.random.split(jax.random.key(0), 3)

    def one(key):
        return run(prior, initialise(key, prior, x, method="k-means++"), x, ONES, 1e-8, 30, max_steps=CAPACITY).lower_bound

    np.testing.assert_allclose(jax.vmap(one)(keys), [one(key) for key in keys], rtol=1e-10)


def moved(prior, h):
    """Prior with every hyperparameter moved by an entry of h (5,): concentration, scale, mean, dof, mean precision."""
    c, w = prior.components, prior.weights
    components = replace(
        c,
        scale=c.scale * jnp.exp(h[1]),
        mean=c.mean + h[2],
        dof=c.dof + h[3],
        mean_precision=c.mean_precision * jnp.exp(h[4]),
    )
    if isinstance(w, Dirichlet):
        return Mixture(Dirichlet(w.concentration * jnp.exp(h[0])), components)
    if w.learn:
        return Mixture(replace(w, rate=w.rate * jnp.exp(h[0])), components)
    return Mixture(replace(w, beta=w.beta * jnp.exp(h[0]), shape=w.shape * jnp.exp(h[0])), components)


OTHERS = [pytest.param(law, marks=pytest.mark.slow) for law in ("asymmetric", "sticks")]
every_law = pytest.mark.parametrize("law", ["sticks_gamma", *OTHERS])


@pytest.mark.slow
@every_law
def test_forward_derivative_through_a_fit(law):
    """Of the bound after ten steps in each hyperparameter, against central differences."""
    x, prior = jnp.asarray(blobs()), Case("vb", "full", False, "conjugate", law).prior()
    first = start(prior, x, ONES, responsibilities())

    def bound(h):
        return run(moved(prior, h), first, x, ONES, 0.0, 10, max_steps=CAPACITY).lower_bound

    slopes = jax.jit(jax.jacfwd(bound), compiler_options=compiling.QUICKER)(jnp.zeros(5))
    one_slope = jax.jit(lambda: jax.jvp(bound, (jnp.zeros(5),), (jnp.eye(5)[1],)), compiler_options=compiling.QUICKER)()[1]
    np.testing.assert_allclose(one_slope, slopes[1], rtol=1e-10)
    step = 1e-4 * jnp.eye(5)
    expected = [float(bound(e) - bound(-e)) / 2e-4 for e in step]
    np.testing.assert_allclose(slopes, expected, rtol=1e-5, atol=1e-6)


@every_law
def test_derivative_at_convergence_needs_no_refit(law):
    """There the bound moves as if the posterior stood still."""
    x, prior = blobs(), Case("vb", "full", False, "conjugate", law).prior()
    q = solve(prior, x, ONES, responsibilities(), 1e-14, CAPACITY).posterior
    still = jax.jacfwd(lambda h: -moved(prior, h).penalty(q))(jnp.zeros(5))
    step = 1e-4 * jnp.eye(5)
    pairs = [[solve(moved(prior, h), x, ONES, responsibilities(), 1e-14, CAPACITY) for h in (e, -e)] for e in step]
    expected = [float(up.lower_bound - down.lower_bound) / 2e-4 for up, down in pairs]
    np.testing.assert_allclose(still, expected, rtol=1e-5, atol=1e-5)


def test_every_outcome_is_reached_and_has_words():
    x, prior = blobs(), SAMPLES[0].prior()
    assert set(MESSAGES) == set(Outcome)
    enough = solve(prior, x, ONES, responsibilities(), 1e-6, CAPACITY)
    assert int(enough.outcome) == Outcome.CONVERGED
    assert np.isnan(np.asarray(enough.history)[int(enough.n_steps) + 1 :]).all()
    short = solve(prior, x, ONES, responsibilities(), 0.0, 3)
    assert (int(short.outcome), int(short.n_steps)) == (Outcome.MAX_STEPS, 3)
    none = solve(prior, x, ONES, responsibilities(), 0.0, 0)
    assert (int(none.outcome), int(none.n_steps)) == (Outcome.MAX_STEPS, 0)
    infinite = solve(prior, np.where(np.arange(D) == 0, np.inf, x), ONES, responsibilities())
    assert int(infinite.outcome) == Outcome.NONFINITE


def test_a_fall_is_reported():
    """A prior whose penalty does not belong to its update makes the bound fall; the loop says so."""

    class Wrong(Mixture):
        def penalty(self, q):
            return super().penalty(q) + 10 * q.weights.concentration.max()

    jax.tree_util.register_dataclass(Wrong, data_fields=["weights", "components"], meta_fields=[])
    prior = SAMPLES[0].prior()
    wrong = Wrong(prior.weights, prior.components)
    first = start(prior, blobs(), ONES, responsibilities())
    result = fit(wrong, first, blobs(), max_steps=50)
    assert int(result.outcome) == Outcome.DECREASED
    assert np.diff(np.asarray(result.history)[: int(result.n_steps) + 1]).min() < 0


def test_stopping_means_little_is_left():
    """A fit with tolerance tol ends within a few tol nats a row of where it would end."""
    for case in cases(("vb", "ml"), weights=("asymmetric", "flat")):
        if case.structure == "full":
            x, prior = blobs(seed=5), case.prior()
            near = solve(prior, x, ONES, responsibilities(), 1e-7, CAPACITY)
            far = solve(prior, x, ONES, responsibilities(), 0.0, CAPACITY)
            assert -1e-9 < float(far.lower_bound - near.lower_bound) < 20 * 1e-7 * N


@every_structure
@pytest.mark.parametrize("tied", [False, True])
def test_product_form_is_the_centred_form_where_both_are_exact(structure, tied):
    law = STRUCTURES[structure]
    for case in cases(("vb",), ("conjugate",), ("asymmetric",)):
        if (case.structure, case.tied) == (structure, tied):
            x = jnp.asarray(blobs())
            natural = start(case.prior(), x, ONES, responsibilities()).natural()
            product = product_form(law, natural)(law.features(x.T)).T
            np.testing.assert_allclose(product, centred_scores(law, natural, x), rtol=1e-11, atol=1e-10)
            np.testing.assert_allclose(kernel.scores(law, natural)(x), product, rtol=1e-13, atol=1e-12)


@every_structure
@pytest.mark.parametrize("tied", [False, True])
def test_far_tight_clusters_keep_their_digits(structure, tied):
    """The kernel leaves the product form where that loses digits; truth in extended precision."""
    law, rng, d = STRUCTURES[structure], np.random.default_rng(2), 3
    mean = np.array([[1e4, -2e4, 3e4], [1e4 + 0.02, -2e4, 3e4 - 0.01]])
    x = mean[rng.integers(2, size=40)] + 1e-2 * rng.normal(size=(40, d))
    root = np.eye(d) + 0.3 * np.tril(np.ones((d, d)), -1)
    dense = root @ root.T * 1e4
    packed = {2: dense, 1: np.diagonal(dense), 0: dense[0, 0]}[law.rank]
    precision = np.stack([packed] if tied else [packed, packed * 1.3])
    natural = Natural(jnp.array([0.3, -0.4]), jnp.asarray(mean), jnp.asarray(precision))
    exact = np.longdouble([[0.3, -0.4]]) - extended_squares(law, x, mean, np.broadcast_to(precision, (2, *packed.shape))) / 2
    rows = jnp.asarray(x)
    product = np.asarray(product_form(law, natural)(law.features(rows.T)).T)
    ours = np.asarray(kernel.scores(law, natural)(rows))
    assert np.finfo(np.longdouble).eps < 1e-18
    assert np.abs(product - exact).max() > 1e-6
    assert np.abs(ours - exact).max() < 1e-8


def extended_squares(law, x, mean, precision):
    """Squared distances (N, K) in long doubles."""
    x, mean, precision = (np.asarray(a).astype(np.longdouble) for a in (x, mean, precision))
    delta = x[:, None] - mean
    if law.rank == 2:
        return (delta[..., None] * delta[..., None, :] * precision).sum((-2, -1))
    return (delta**2 * (precision if law.rank == 1 else precision[:, None])).sum(-1)


def test_far_tight_clusters_are_fitted_as_near_ones():
    """A translation by 10^4 widths leaves the path of the bound."""
    x, resp = blobs(), responsibilities()
    for structure in STRUCTURES:
        prior = Case("ml", structure, False, "flat", "flat").prior()
        near = solve(prior, x, ONES, resp, 0.0, 30)
        away = solve(prior, x + np.array([4096.0, -8192.0]), ONES, resp, 0.0, 30)
        np.testing.assert_allclose(away.history, near.history, rtol=1e-6)


def test_variational_means_tend_to_maximum_likelihood():
    """n max |m_VB - m_ML| stays bounded while n grows a hundredfold; so does the distance of the weights."""
    structure, gaps = STRUCTURES["full"], []
    bayes = Mixture(Dirichlet.symmetric(2), default_components(structure, False, 2))
    likelihood = Mixture(FlatWeights(2), FlatGaussian(jnp.asarray(1e-9), structure, False))
    for n in (300, 3000, 30000):
        rng = np.random.default_rng(8)
        labels = rng.uniform(size=n) < 0.4
        x = rng.normal(size=(n, 2)) + np.where(labels, 1.6, -1.6)[:, None]
        means, weights = [], []
        for prior in (bayes, likelihood):
            result = solve(prior, *padded(x, np.eye(2)[labels.astype(int)], n=30000), 1e-13)
            means.append(np.asarray(result.posterior.components.mean))
            weights.append(np.asarray(result.posterior.weights.mean()))
        gaps.append((n * np.abs(means[0] - means[1]).max(), n * np.abs(weights[0] - weights[1]).max()))
    assert np.max(gaps) < 12
    assert gaps[2][0] < 2 * gaps[0][0]


def test_compiled_programs_are_forgotten_before_a_process_can_hold_no_more(monkeypatch):
    """Each holds dozens of memory maps, and a process that runs out of them dies."""
    compiled, ours = jax.jit(lambda a: a + 1), compiling.jit(lambda a: a + 1)
    programs = ours._made
    assert compiled(1.0) == ours(1.0) == 2
    compiling.make_room()
    assert compiled._cache_size() == len(programs) == 1
    monkeypatch.setattr(compiling, "CROWDED", 0)
    compiling.make_room()
    assert len(programs) == 1, "nothing was added since"
    ours(2)
    compiling.make_room()
    assert compiled._cache_size() == len(programs) == 0
    monkeypatch.setattr(compiling, "MAPS", Path("/no/such/file"))
    compiling.make_room()
