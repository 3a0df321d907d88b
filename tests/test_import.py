"""The library leaves the rest of the process as it found it: light import, no configuration changed, no 64-bit JAX array let out."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import textwrap
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayesgmm as bg

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
X[:15] += 6
SETTINGS = {"n_init": 1, "random_state": 0}
MODELS = {
    "kmeans": lambda: bg.KMeans(2, **SETTINGS),
    "em": lambda: bg.GaussianMixture(2, **SETTINGS),
    "map": lambda: bg.GaussianMixture(2, prior="default", covariance_type="spherical", **SETTINGS),
    "vb": lambda: bg.BayesianGaussianMixture(n_components=3, moves=False, **SETTINGS),
}


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light():
    heavy = ["arviz", "arviz_base", "matplotlib", "sklearn", "pandas", "xarray", "scipy.stats", "polars", "pyarrow"]
    loaded = json.loads(run("import sys, json, bayesgmm, bayesgmm.cli; print(json.dumps(sorted(sys.modules)))"))
    assert not set(heavy) & set(loaded)


SAME_PROCESS = """
    import warnings
    warnings.simplefilter("error")
    import jax, jax.numpy as jnp, numpy as np
    WIDE = False
    jax.config.update("jax_enable_x64", WIDE)

    @jax.jit
    def program(x):
        y = jnp.sin(x) @ jnp.cos(x).T
        return jax.lax.fori_loop(0, 10, lambda i, z: z * 0.5 + jnp.tanh(z), y), jnp.linalg.cholesky(y @ y.T + 10 * jnp.eye(5))

    def outcome():
        x = jax.random.normal(jax.random.key(3), (5, 4))
        parts = [*program(x), jnp.asarray(np.arange(3.0)), jax.random.uniform(jax.random.key(0), (2,)), jnp.arange(3) / 7]
        return [(str(p.dtype), np.asarray(p).tobytes()) for p in parts]

    values = dict(jax.config.values)
    before = outcome()
    import bayesgmm as bg
    assert dict(jax.config.values) == values, "import changed the configuration"
    assert outcome() == before

    x = np.random.default_rng(0).normal(size=(30, 2))
    x[:15] += 6
    settings = {"n_init": 1, "random_state": 0}
    model = bg.KMeans(2, **settings).fit(x)
    model.score(x)
    if not WIDE:
        model = bg.BayesianGaussianMixture(n_components=2, covariance_type="diag", **settings).fit(x)
        model = bg.GaussianMixture(2, covariance_type="diag", **settings).fit(x)
        model.sample(3), model.summary(x), model.row_table(x), model.score_samples(x)
    for wrong in ([["a"]], [[1.0]]):
        try:
            model.predict(wrong)
        except ValueError:
            pass
    assert dict(jax.config.values) == values, "a fit changed the configuration"
    assert outcome() == before, "a fit changed the user's program"
    program.clear_cache()
    assert outcome() == before
    assert jax.config.jax_enable_x64 == WIDE and jnp.ones(2).dtype == ("float64" if WIDE else "float32")
    print("the same")
"""


@pytest.mark.parametrize("wide", [False, True])
def test_the_users_own_program_is_not_disturbed(wide):
    assert run(SAME_PROCESS.replace("WIDE = False", f"WIDE = {wide}")).strip() == "the same"


@pytest.fixture(scope="module", params=list(MODELS))
def fitted(request):
    return MODELS[request.param]().fit(X)


PLAIN = (np.ndarray, np.generic, str, int, float, bool, type(None))


def walk(value, where="model"):
    """Every leaf of nested attributes with its place."""
    if isinstance(value, (list, tuple, set)):
        for i, item in enumerate(value):
            yield from walk(item, f"{where}[{i}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, f"{where}[{key!r}]")
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from walk(getattr(value, field.name), f"{where}.{field.name}")
    else:
        yield where, value


def test_attributes_are_numpy_and_python(fitted):
    places = list(walk(vars(fitted)))
    assert len(places) > 10
    for where, value in places:
        assert isinstance(value, PLAIN), f"{where} is a {type(value)}"
        if isinstance(value, np.ndarray):
            assert value.dtype in (np.float64, np.int64, bool, object), f"{where}: {value.dtype}"


def test_results_of_methods_are_numpy_and_python(fitted):
    calls = ["predict", "predict_proba", "score_samples", "score", "transform", "bic", "aic", "icl", "row_table", "facts", "summary"]
    for call in calls:
        if hasattr(fitted, call):
            for where, value in walk(getattr(fitted, call)(X), call):
                assert isinstance(value, PLAIN), f"{where} is a {type(value)}"
                assert getattr(value, "dtype", None) in (None, np.float64, np.int64), where
    if hasattr(fitted, "sample"):
        assert all(type(part) is np.ndarray for part in fitted.sample(3))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_fit_in_a_thread_gives_the_same(name):
    here = MODELS[name]().fit(X)
    there = MODELS[name]()
    errors = []

    def work():
        try:
            there.fit(X)
            there.score(X)
            assert not jax.config.jax_enable_x64
        except BaseException as error:
            errors.append(error)

    with jax.enable_x64(False):
        threads = [threading.Thread(target=work) for _ in range(1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    assert there.score(X) == here.score(X)
    centres = "cluster_centers_" if name == "kmeans" else "means_"
    np.testing.assert_array_equal(getattr(there, centres), getattr(here, centres))


def test_several_threads_at_once():
    models = [MODELS["em"]() for _ in range(4)]
    threads = [threading.Thread(target=model.fit, args=(X,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({model.lower_bound_ for model in models}) == 1


def test_a_fit_inside_a_program_in_64_bits():
    with jax.enable_x64(True):
        inside = MODELS["em"]().fit(jnp.asarray(X))
        assert jax.config.jax_enable_x64
        assert jnp.ones(2).dtype == jnp.float64
    assert inside.lower_bound_ == MODELS["em"]().fit(X).lower_bound_


def test_the_global_generator_of_numpy_is_left_alone(fitted):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    MODELS["kmeans"]().fit(X)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
