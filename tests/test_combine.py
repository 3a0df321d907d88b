"""Combining components: mclust's figures, and laws that every way of combining obeys."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import matplotlib as mpl
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

import bayesgmm as bg
from bayesgmm.analysis import combine as ways
from bayesgmm.analysis.ridgeline import ratio, ratios

mpl.use("Agg")
MCLUST = json.loads((Path(__file__).parent / "reference" / "clustcombi.json").read_text())["sets"]
METHODS = ("entropy", "misclassification", "ridgeline")
FAITHFUL = bg.load_dataset("faithful").x
every_method = pytest.mark.parametrize("method", METHODS)


def responsibilities(parameters, x):
    """Text-book E-step (N, K)."""
    parts = zip(parameters["pro"], parameters["mean"], parameters["covariance"], strict=True)
    density = np.stack([w * multivariate_normal.pdf(x, m, c) for w, m, c in parts], 1)
    return density / density.sum(1, keepdims=True)


def drawn(parameters, n, seed):
    """Rows from a mixture, and their components."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(parameters["pro"]), n, p=parameters["pro"])
    return np.array([rng.multivariate_normal(parameters["mean"][k], parameters["covariance"][k]) for k in labels]), labels


@pytest.fixture(scope="module")
def crosses():
    """Baudry et al.'s first example, 600 rows drawn from mclust's fit: two crosses of two components each, and two single ones."""
    fit = MCLUST["ex4_1"]["parameters"]
    start = {"weights_init": fit["pro"], "means_init": fit["mean"], "precisions_init": np.linalg.inv(fit["covariance"])}
    x, _ = drawn(fit, 600, 1)
    return x, bg.GaussianMixture(6, n_init=1, max_iter=0, **start).fit(x)


@pytest.fixture(scope="module")
def faithful():
    return bg.GaussianMixture(3, covariance_type="tied", random_state=0).fit(FAITHFUL)


@pytest.mark.parametrize("name", MCLUST)
def test_the_elbow_of_mclusts_entropies_is_where_mclust_has_it(name):
    assert ways.elbow(np.array(MCLUST[name]["entropy"])) == MCLUST[name]["n_clusters"]


@pytest.mark.parametrize("name", MCLUST)
def test_components_are_combined_in_mclusts_order(name):
    """All the way from single components to one cluster, of rows drawn from mclust's fits to data that are not shipped."""
    theirs = MCLUST[name]
    resp, weight = responsibilities(theirs["parameters"], drawn(theirs["parameters"], 600, 1)[0]), np.ones(600)
    merges = ways.by_entropy(resp, weight)
    for n, groups in enumerate(theirs["combined"], 1):
        assert {tuple(sorted(g)) for g in ways.groups_after(merges, n)} == {tuple(g) for g in groups}
    assert ways.elbow(ways.entropies(resp, weight, merges)) == theirs["n_clusters"]


def test_old_faithful_is_combined_as_by_mclust(faithful):
    """Three tied components, two of them one cluster; mclust's entropies are one pass of EM older than its parameters."""
    theirs = MCLUST["faithful"]
    resp, weight = responsibilities(theirs["parameters"], FAITHFUL), np.ones(272)
    merges = ways.by_entropy(resp, weight)
    np.testing.assert_allclose(ways.entropies(resp, weight, merges), theirs["entropy"], rtol=2e-3, atol=0.05)
    found = bg.combine(faithful, FAITHFUL)
    assert found.n_clusters == theirs["n_clusters"] and np.bincount(found.labels).tolist() == theirs["sizes"]
    np.testing.assert_allclose(found.entropy, theirs["entropy"], rtol=0.02, atol=0.05)


@every_method
def test_crosses_are_clusters(crosses, method):
    """The pairs of components that mclust combines, and no others, by every method."""
    x, model = crosses
    theirs = MCLUST["ex4_1"]
    names = ((model.means_[:, None] - np.array(theirs["parameters"]["mean"])) ** 2).sum(2).argmin(1)
    found = bg.combine(model, x, method)
    assert {tuple(sorted(names[list(group)])) for group in found.groups} == {tuple(g) for g in theirs["groups"]}
    assert bg.combine(model, x, n_clusters="icl").groups == bg.combine(model, x).groups


@every_method
def test_laws(crosses, method):
    x, model = crosses
    resp = model.predict_proba(x)
    every = [bg.combine(model, x, method, n_clusters=n) for n in range(1, 7)]
    np.testing.assert_allclose(every[0].probabilities, 1, atol=1e-12)
    assert every[0].groups == (tuple(range(6)),) and (every[0].labels == 0).all()
    np.testing.assert_array_equal(every[-1].probabilities, resp[:, [g for (g,) in every[-1].groups]])
    for n, found in enumerate(every, 1):
        assert found.n_clusters == n and found.rule == "given" and sorted(sum(found.groups, ())) == list(range(6))
        np.testing.assert_allclose(found.probabilities, np.stack([resp[:, list(g)].sum(1) for g in found.groups], 1), atol=1e-14)
        p = np.maximum(found.probabilities, 1e-300)
        assert found.entropy[n - 1] == pytest.approx(-(p * np.log(p)).sum(), abs=1e-9)
        assert found.weights.sum() == pytest.approx(1) and (np.diff(found.weights) <= 0).all()
    assert (np.diff(every[0].entropy) >= -1e-9).all() and every[0].entropy[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("way", [ways.by_entropy, ways.by_misclassification, lambda resp, weight: ways.by_ratio(resp.T @ resp)])
def test_the_order_of_components_does_not_matter(way):
    rng = np.random.default_rng(0)
    resp, weight, order = rng.dirichlet(np.full(6, 0.3), 200), rng.uniform(size=200), rng.permutation(6)
    a, b = way(resp, weight), way(resp[:, order], weight)
    np.testing.assert_allclose([m.value for m in a], [m.value for m in b], rtol=1e-9)
    for n in range(1, 7):
        back = {frozenset(order[list(g)].tolist()) for g in ways.groups_after(b, n)}
        assert {frozenset(g) for g in ways.groups_after(a, n)} == back


@every_method
def test_weights_are_repeated_rows(crosses, method):
    x, model = crosses
    weight = np.random.default_rng(0).integers(0, 3, len(x))
    a, b = bg.combine(model, x, method, sample_weight=weight), bg.combine(model, np.repeat(x, weight, 0), method)
    assert a.groups == b.groups
    np.testing.assert_allclose(a.entropy, b.entropy, atol=1e-8)
    np.testing.assert_allclose([m.value for m in a.merges], [m.value for m in b.merges], atol=1e-10)


def test_the_merge_that_removes_most_entropy_is_taken():
    rng = np.random.default_rng(0)
    resp, weight = rng.dirichlet(np.ones(4), 50), rng.uniform(size=50)

    def entropy(p):
        return -(weight[:, None] * p * np.log(p)).sum()

    joined = {(i, j): np.column_stack([np.delete(resp, (i, j), 1), resp[:, i] + resp[:, j]]) for j in range(4) for i in range(j)}
    removed = {pair: entropy(resp) - entropy(p) for pair, p in joined.items()}
    first = ways.by_entropy(resp, weight)[0]
    assert first.first + first.second == max(removed, key=removed.get)
    assert first.value == pytest.approx(max(removed.values()), rel=1e-10)


def test_misclassification_is_that_of_draws():
    """Two normals of unequal weight, whose boundary is known, and three in the plane by counting draws."""
    x = np.random.default_rng(0).normal(size=40_000) + np.repeat([0, 2.5], [28_000, 12_000])
    parameters = {"pro": [0.7, 0.3], "mean": [0, 2.5], "covariance": [1, 1]}
    resp = responsibilities(parameters, x)
    cut = 1.25 + np.log(0.7 / 0.3) / 2.5
    found = ways.misclassification(resp, np.ones(len(x)))
    np.testing.assert_allclose([found[1, 0], found[0, 1]], [norm.sf(cut), norm.cdf(cut - 2.5)], atol=4e-3)
    three = {"pro": [0.5, 0.3, 0.2], "mean": [[0, 0], [2, 0], [0, 3]], "covariance": [np.eye(2), np.diag([2, 0.5]), np.eye(2)]}
    x, labels = drawn(three, 20_000, 3)
    put = responsibilities(three, x).argmax(1)
    counted = np.array([[(put[labels == j] == i).mean() for j in range(3)] for i in range(3)])
    np.testing.assert_allclose(ways.misclassification(responsibilities(three, x), np.ones(len(x))), counted, atol=0.015)


def test_ridgeline_of_equal_spheres():
    half, eye = np.full(2, 0.5), np.stack([np.eye(3)] * 2)
    at = lambda apart: ratio(half, np.array([[0, 0, 0], [apart, 0, 0]], float), eye)  # noqa: E731
    assert at(0.0) == at(1.9) == 1 and at(40.0) < 1e-50
    grid = np.linspace(0, 4, 4001)
    density = norm.pdf(grid) + norm.pdf(grid - 4)
    assert at(4.0) == pytest.approx(density.min() / density.max(), rel=1e-4)


def test_ridgeline_finds_the_saddle_of_unlike_components():
    """The lowest point of the best path between the modes, by flooding a fine grid."""
    from scipy.ndimage import label

    weights, means = np.array([0.6, 0.4]), np.array([[0.0, 0.0], [2.5, 1.5]])
    covariances = np.array([[[1.5, 0.6], [0.6, 0.5]], [[0.3, -0.2], [-0.2, 0.8]]])
    grid = np.stack(np.meshgrid(np.linspace(-2, 4, 601), np.linspace(-2, 4, 601)), -1)
    density = sum(w * multivariate_normal.pdf(grid, m, c) for w, m, c in zip(weights, means, covariances, strict=True))
    levels = np.linspace(0.02, 0.3, 561)
    parts = np.array([label(density > level)[1] for level in levels])
    saddle, second = levels[parts == 2][[0, -1]]
    assert ratio(weights, means, covariances) == pytest.approx(saddle / second, abs=0.02)
    turned = covariances[::-1]
    assert ratio(weights[::-1], means[::-1], turned) == pytest.approx(ratio(weights, means, covariances), rel=1e-3)


def test_ridgeline_is_free_of_units_and_keeps_chains():
    rng = np.random.default_rng(0)
    means = np.array([[0, 0], [1.5, 0], [3, 0], [30, 0]], float)
    covariances = np.array([a @ a.T + 0.3 * np.eye(2) for a in 0.5 * rng.normal(size=(4, 2, 2))])
    map_ = np.array([[1e3, 0], [200, 1e-3]])
    found = ratios(np.full(4, 0.25), means, covariances)
    np.testing.assert_allclose(ratios(np.full(4, 0.25), means @ map_.T, map_ @ covariances @ map_.T), found, rtol=1e-3, atol=1e-12)
    chain = np.eye(4) + np.diag([0.9, 0.8, 0.01], 1) + np.diag([0.9, 0.8, 0.01], -1)
    merges = ways.by_ratio(chain)
    assert [m.value for m in merges] == [0.9, 0.8, 0.01] and ways.groups_after(merges, 2) == [(0, 1, 2), (3,)]


@pytest.mark.parametrize(
    "model",
    [
        bg.GaussianMixture(3, covariance_type="spherical"),
        bg.BayesianGaussianMixture(n_components=3, covariance_type="tied_diag", prune=False, moves=False),
    ],
    ids=lambda model: model.covariance_type,
)
def test_other_structures_and_estimators(model):
    """Two groups 1.5 apart and one far away; the start is as good as a fit."""
    x = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[0, 0], [1.5, 0], [20, 0]], 20, 0)
    model.set_params(init_params=np.repeat([0, 1, 2], 20), max_iter=0).fit(x)
    for method in METHODS:
        assert bg.combine(model, x, method).labels.tolist() == [0] * 40 + [1] * 20


def test_what_is_printed(faithful):
    said = str(bg.combine(faithful, FAITHFUL, "misclassification"))
    assert said.startswith("2 clusters of 3 components, combined by misclassification (threshold 0.05).")
    assert "1 + 3    0.644    175" in said and "not done" in said and "probability of misclassification" in said
    assert "as asked" in str(bg.combine(faithful, FAITHFUL, n_clusters=1)) and "elbow" in str(bg.combine(faithful, FAITHFUL))


def test_pictures(faithful):
    axes = bg.combine(faithful, FAITHFUL).plot()
    assert axes.get_ylabel() == "entropy of the assignments, nats" and "chosen: 2 clusters" in axes.get_legend_handles_labels()[1]
    axes = bg.combine(faithful, FAITHFUL, "ridgeline").plot()
    assert "threshold 0.2" in axes.get_legend_handles_labels()[1] and len(axes.patches) == 2
    mpl.pyplot.close("all")


def test_threshold_is_a_limit(faithful):
    merges = bg.combine(faithful, FAITHFUL, "misclassification").merges
    for threshold, n in ((merges[0].value, 2), (merges[0].value + 1e-6, 3), (0, 1)):
        found = bg.combine(faithful, FAITHFUL, "misclassification", threshold=threshold)
        assert (found.n_clusters, found.rule, found.threshold) == (n, "threshold", threshold)


def test_one_component_is_one_cluster():
    x = np.random.default_rng(0).normal(size=(60, 2))
    model = bg.GaussianMixture(1, covariance_type="spherical", init_params=np.zeros(60, int), max_iter=0).fit(x)
    for options in ({}, {"n_clusters": "icl"}, {"method": "misclassification"}, {"method": "ridgeline"}):
        found = bg.combine(model, x, **options)
        assert found.groups == ((0,),) and found.merges == () and str(found).startswith("1 cluster of 1 component,")
    found.plot()
    mpl.pyplot.close("all")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "demp"}, "method must be one of 'entropy', 'misclassification', 'ridgeline'"),
        ({"n_clusters": 4}, "n_clusters must be a whole number of at least 1, within 1 to 3; got 4"),
        ({"n_clusters": 0}, "n_clusters must be"),
        ({"n_clusters": 2.0}, "n_clusters must be a whole number"),
        ({"n_clusters": "bic"}, "must be one of 'elbow', 'icl'"),
        ({"n_clusters": "icl", "method": "ridgeline"}, "belongs to method='entropy'"),
        ({"threshold": 0.1}, "threshold belongs to 'misclassification' and 'ridgeline'"),
        ({"threshold": 2, "method": "ridgeline"}, "threshold must be a number of at least 0, within 0 to 1"),
        ({"threshold": 0.1, "n_clusters": 2, "method": "ridgeline"}, "give one of them"),
        ({"sample_weight": [1.0]}, "sample_weight.shape"),
        ({"X": FAITHFUL[:, :1]}, "1 feature"),
        ({"model": bg.KMeans(2)}, "got a KMeans"),
        ({"model": bg.GaussianMixture(2)}, "not fitted"),
    ],
)
def test_misuse(faithful, options, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        bg.combine(**{"model": faithful, "X": FAITHFUL, **options})


def test_numpy_comes_back_and_the_configuration_stays(faithful):
    before = jax.config.jax_enable_x64
    found = bg.combine(faithful, FAITHFUL, n_clusters="icl")
    assert jax.config.jax_enable_x64 == before
    for array in (found.labels, found.probabilities, found.entropy, found.weights):
        assert type(array) is np.ndarray and array.dtype in (np.float64, np.int64)
