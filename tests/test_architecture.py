"""Shape of the package: imports point downwards, files and functions stay small, and a new structure is one class."""

from __future__ import annotations

import ast
import dataclasses
import graphlib
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from oracles import log_evidence_one_component
from registry import D, K, N, blobs, path_of, responsibilities, solve, start

import bayesgmm
from bayesgmm.core.components import NormalWishart
from bayesgmm.core.mixture import Mixture
from bayesgmm.core.points import FlatGaussian
from bayesgmm.core.structures import STRUCTURES, Blocks, with_constant
from bayesgmm.core.weights import Dirichlet, FlatWeights
from bayesgmm.inference.loop import fit

ROOT = Path(bayesgmm.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LAYERS = (
    ("_version", "core.pytree", "core.linalg"),
    ("core.structures", "core.axes"),
    ("core.statistics", "core.sharing", "core.low_rank"),
    ("core.latent",),
    ("core.weights", "core.points"),
    ("core.components", "core.student"),
    ("core.shared",),
    ("core.mixture",),
    ("core.frozen",),
    ("core.noise",),
    ("core.coordinates",),
    ("inference",),
    ("analysis",),
    (
        "frames",
        "tables",
        "validation",
        "observations",
        "sources",
        "reading",
        "given",
        "progress",
        "terminal",
        "archives",
        "storage",
        "report",
        "plots",
        "datasets",
        "bridges",
    ),
    ("estimators",),
    ("cli", "__main__", ""),
)
"""From low to high; a name stands for the module or everything in the package."""

OPTIONAL = {"arviz", "matplotlib", "sklearn", "pandas", "polars", "dask", "pyarrow", "xarray", "tqdm"}
MOST_LINES, MOST_CODE_LINES = 400, 40


def module_of(path: Path) -> str:
    """Dotted name within the package; "" is the package itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
PACKAGES = {module_of(path) for path in FILES if path.name == "__init__.py"}
every_module = pytest.mark.parametrize("module", MODULES)


def imported(node: ast.AST, module: str) -> list[str]:
    """Absolute names that one import statement names; ``from a import b`` gives a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        parts = ["bayesgmm", *filter(None, module.split("."))]
        up = node.level - (module in PACKAGES)
        base = ".".join([*parts[: len(parts) - up], *filter(None, [base])])
    return [f"{base}.{alias.name}" for alias in node.names]


def inner_imports(module: str) -> set[str]:
    """Modules of the package that one module imports anywhere, functions included."""
    found = set()
    for node in ast.walk(MODULES[module]):
        for name in imported(node, module):
            if name.split(".")[0] == "bayesgmm":
                found.add(nearest_module(name))
    return found


def nearest_module(name: str) -> str:
    """The module that an absolute name is or lives in."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts)


def layer_of(module: str) -> int:
    """Place in `LAYERS`; packages that only gather modules count as the lowest layer they appear in."""
    for place, names in enumerate(LAYERS):
        for name in names:
            if module == name or (name and module.startswith(name + ".")):
                return place
    raise AssertionError(f"bayesgmm.{module} has no place in LAYERS; add it where it belongs")


@every_module
def test_imports_point_downwards(module):
    if module == "core":
        assert not inner_imports(module)
        return
    for name in inner_imports(module):
        if name != "core":
            assert layer_of(name) <= layer_of(module), f"bayesgmm.{module} imports bayesgmm.{name}"


def test_no_circles():
    """Within a layer as well, and inside functions."""
    graph = {module: inner_imports(module) - {module} for module in MODULES}
    assert tuple(graphlib.TopologicalSorter(graph).static_order())


@every_module
def test_optional_libraries_are_imported_where_used(module):
    if module.split(".")[0] in ("plots", "bridges"):
        return
    for node in top_level(MODULES[module]):
        for name in imported(node, module):
            assert name.split(".")[0] not in OPTIONAL, f"bayesgmm.{module} imports {name} at its top"


def top_level(tree: ast.AST):
    """Statements run at import, without bodies of functions and of ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from top_level(node)


@pytest.mark.parametrize("module", [name for name in MODULES if name.split(".")[0] == "core"])
def test_core_needs_jax_and_numpy_only(module):
    allowed = {"jax", "numpy", "bayesgmm"} | sys.stdlib_module_names
    for node in ast.walk(MODULES[module]):
        for name in imported(node, module):
            assert name.split(".")[0] in allowed, f"bayesgmm.{module} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_small(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES
    for node in ast.walk(MODULES[module_of(path)]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            n = code_lines(node, lines)
            assert n <= MOST_CODE_LINES, f"{node.name} has {n} lines of code"


def code_lines(node, lines: list[str]) -> int:
    """Lines of the body of a function without its docstring, blank lines and comments."""
    first = node.body[0]
    text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    skipped = range(first.lineno, first.end_lineno + 1) if text else ()
    used = (i for i in range(first.lineno, node.end_lineno + 1) if i not in skipped)
    return sum(bool(lines[i - 1].strip()) and not lines[i - 1].strip().startswith("#") for i in used)


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_tests_are_small_too(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert code_lines(node, lines) <= MOST_CODE_LINES, node.name


@dataclasses.dataclass(frozen=True)
class Graded:
    """A toy: variances of two features in the fixed ratio 1 : 4 (determinant 1 at size 1); packed shape ()."""

    rank = 0

    @property
    def grade(self):
        return jnp.array([0.5, 2.0])

    def blocks(self, n_features):
        return Blocks(1, 1, n_features)

    def n_parameters(self, n_features):
        return 1

    def identity(self, n_features):
        return jnp.ones(())

    def outer(self, a):
        return (a**2 / self.grade).sum(-1)

    def features(self, columns):
        return jnp.concatenate([with_constant(columns), (columns**2 / self.grade[:, None]).sum(0, keepdims=True)])

    def from_moments(self, moments, n_features):
        return moments[..., 0]

    def coefficients(self, matrix):
        return matrix[..., None]

    def factor(self, matrix):
        return jnp.sqrt(matrix)

    def log_det(self, factor):
        return 2 * jnp.log(factor)

    def inverse(self, factor):
        return 1 / factor**2

    def inner(self, a, b):
        return a * b

    def multiply(self, matrix, a):
        return matrix[..., None] * a / self.grade

    def quadratic(self, factor, a):
        return (a**2 / self.grade / factor**2).sum(-1, keepdims=True)

    def apply(self, factor, a):
        return factor * jnp.sqrt(self.grade) * a

    def floored(self, matrix, floor):
        return jnp.maximum(matrix, floor)

    def smallest(self, matrix):
        return matrix * self.grade.min()

    def to_dense(self, matrix, n_features):
        return matrix[..., None, None] * jnp.diag(self.grade)


@pytest.fixture
def toy(monkeypatch, x64):
    """One class and one line."""
    monkeypatch.setitem(STRUCTURES, "graded", Graded())
    return STRUCTURES["graded"]


def toy_priors(toy, k: int, tied: bool) -> tuple[Mixture, Mixture]:
    """Of VB and of ML."""
    arrays = (jnp.asarray(a) for a in ([[0.3, -0.1]], [0.1], [3.5], [0.8]))
    bayes = Mixture(Dirichlet(jnp.full(k, jnp.float64(0.7))), NormalWishart(*arrays, toy, tied))
    return bayes, Mixture(FlatWeights(k), FlatGaussian(jnp.asarray(1e-3), toy, tied))


def test_a_new_structure_has_the_exact_evidence(toy):
    """K = 1: the spherical evidence of rows in the toy's own axes."""
    x, root = blobs(), np.sqrt([0.5, 2.0])
    bayes, likelihood = toy_priors(toy, 1, False)
    start_at = [start(prior, x, np.ones(N), np.ones((N, 1))) for prior in (bayes, likelihood)]
    bound = fit(bayes, start_at[0], x, max_steps=2).lower_bound
    exact = log_evidence_one_component(x / root, "spherical", np.array([0.3, -0.1]) / root, 0.1, 3.5, 0.8)
    np.testing.assert_allclose(bound, exact, rtol=1e-10)
    variance = ((x - x.mean(0)) ** 2 / root**2).sum() / (N * D)
    best = -N * D / 2 * (np.log(2 * np.pi * variance) + 1)
    np.testing.assert_allclose(fit(likelihood, start_at[1], x, max_steps=2).lower_bound, best, rtol=1e-10)


@pytest.mark.parametrize("tied", [False, True])
def test_a_new_structure_never_lowers_the_bound(toy, tied):
    for prior in toy_priors(toy, K, tied):
        for seed in range(5):
            path = path_of(solve(prior, blobs(seed=seed), np.ones(N), responsibilities(seed=seed), 1e-9, 200))
            assert len(path) > 3
            assert (np.diff(path) >= -1e-10 * (1 + np.abs(path[1:]))).all()


def test_a_new_structure_predicts_and_draws(toy):
    """A normalised density whose draws have its moments."""
    import jax

    prior, _ = toy_priors(toy, K, False)
    q = start(prior, blobs(), np.ones(N), responsibilities())
    u = np.linspace(-12, 12, 501)
    grid = np.stack(np.meshgrid(np.sinh(u), np.sinh(u)), -1).reshape(-1, 2)
    volume = (np.cosh(u)[:, None] * np.cosh(u) * (u[1] - u[0]) ** 2).ravel()
    density = np.exp(np.asarray(q.predictive_log_prob(jnp.asarray(grid))))
    np.testing.assert_allclose(density @ volume, 1, atol=1e-5)
    means = np.asarray(q.components.sample(jax.random.key(0), (20000,)).mean)
    spread = np.asarray(toy.to_dense(q.components.covariance, D))[0] / float(q.components.mean_precision[0])
    np.testing.assert_allclose(np.cov(means[:, 0].T), spread, rtol=0.1, atol=0.05 * np.trace(spread))
