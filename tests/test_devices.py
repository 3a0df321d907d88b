"""Rows divided among several devices give the fit of one device."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

SCRIPT = """
    import json, sys
    import jax
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    import bayesgmm as bg

    rng = np.random.default_rng(0)
    x = rng.standard_normal((1001, 3))
    x[:400] += 2.5
    x[700:, :2] -= 3  # one group for each component: a bound that is flat nowhere fixes the parameters to many digits
    weight = rng.uniform(0.5, 2, 1001)
    two = jax.devices()[:2]
    assert len(jax.devices()) == 3

    def told(result):
        components = result.posterior.components
        parts = [components.mean, components.covariance, result.posterior.weights.mean()]
        return float(result.lower_bound), np.concatenate([np.asarray(p).ravel() for p in parts]).tolist(), int(result.n_steps)

    found = {}
    structures = {"full": bg.Full(), "tied": bg.Full(), "diag": bg.Diagonal(), "spherical": bg.Spherical()}
    for name in sys.argv[1:]:
        structure, tied = structures[name], name == "tied"
        scale = jnp.asarray(structure.identity(3))[None]
        law = bg.NormalWishart(jnp.zeros((1, 3)), jnp.array([0.01]), jnp.array([5.0]), scale, structure, tied)
        prior = bg.Mixture(bg.Dirichlet(jnp.ones(3)), law)
        start = bg.initialise(jax.random.key(0), prior, x, sample_weight=weight)
        one = told(bg.fit(prior, start, x, weight, depth=5))
        found[name] = [one, told(bg.fit(prior, start, x, weight, depth=5, devices=two))]
        if name == "full":
            spread = jax.device_put(x[:1000], NamedSharding(Mesh(np.array(two), ("any",)), PartitionSpec("any")))
            held = told(bg.fit(prior, start, x[:1000], weight[:1000], depth=5))
            found["held by two"] = [held, told(bg.fit(prior, start, spread, weight[:1000], depth=5))]
            found["three"] = [one, told(bg.fit(prior, start, x, weight, depth=5, devices=jax.devices()))]
            found["one named"] = [one, told(bg.fit(prior, start, x, weight, depth=5, devices=jax.devices()[2:]))]
    print(json.dumps(found))
"""
CASES = ("full", "diag", "held by two", "three", "one named")


@functools.cache
def found(*structures: str) -> dict:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=3"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), *structures]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", [*CASES, *(pytest.param(name, marks=pytest.mark.slow) for name in ("tied", "spherical"))])
def test_the_fit_is_that_of_one_device(case):
    (bound, parameters, n_steps), (theirs, other, steps) = found(*(("full", "diag") if case in CASES else ("tied", "spherical")))[case]
    assert theirs == pytest.approx(bound, rel=1e-11)
    np.testing.assert_allclose(other, parameters, rtol=1e-6, atol=1e-7)
    assert abs(steps - n_steps) <= 3
