"""Compiled programs on disk: a fresh process gives the same fit, bit by bit; what cannot be known is not kept; damage is no harm."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.core.points import FlatGaussian
from bayesgmm.core.weights import FlatWeights
from bayesgmm.inference import cache, compiling
from bayesgmm.inference.kernel import hard, soft
from bayesgmm.inference.restarts import split_keys

FIT = """
    import sys
    from bayesgmm.inference import compiling
    made, compile = [], compiling._compile
    compiling._compile = lambda *given: made.append(1) or compile(*given)
    import bayesgmm as bg
    x = bg.load_dataset("faithful").x[:90]
    one = bg.BayesianGaussianMixture(n_components=2, covariance_type="diag", n_init=2, random_state=0).fit(x)
    two = bg.GaussianMixture(2, covariance_type="tied", n_init=1, random_state=0).fit(x)
    three = bg.KMeans(2, n_init=1, random_state=0).fit(x)
    print(len(made), *(a.tobytes().hex() for a in (one.means_, one.covariances_, two.means_, two.weights_, three.cluster_centers_)))
"""


def run(script: str, folder: Path | str, **environment) -> list[str]:
    environment = {**os.environ, cache.VARIABLE: str(folder), **environment}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A folder in use by this process, for one test."""
    for name in ("folder", "decided", "max_size"):
        monkeypatch.setattr(cache._Place, name, getattr(cache._Place, name))
    bg.enable_compilation_cache(tmp_path)
    return tmp_path


def undecided() -> None:
    """As in a process that has not needed a program yet."""
    cache._Place.folder, cache._Place.decided = None, False


def programs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*" + cache.ENDING))


def test_a_fresh_process_compiles_nothing_and_gives_the_same_fits(tmp_path):
    """Nothing is translated there either, so that LAPACK is looked up by nobody else."""
    first, second = run(FIT, tmp_path), run(FIT, tmp_path)
    assert int(first[0]) == len(programs(tmp_path)) > 10
    assert second == ["0", *first[1:]]
    assert run(FIT, "off")[1:] == first[1:]
    assert len(programs(tmp_path)) == int(first[0])
    damaged, cut, *_ = programs(tmp_path)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    cut.write_bytes(cut.read_bytes()[:50])
    assert run(FIT, tmp_path) == ["2", *first[1:]]
    assert run(FIT, tmp_path)[0] == "0"


def test_the_configuration_of_jax_is_left_alone(kept):
    before = dict(jax.config.values)
    bg.enable_compilation_cache(kept)
    bg.GaussianMixture(1, n_init=1).fit(np.random.default_rng(0).normal(size=(20, 1)))
    assert dict(jax.config.values) == before


def name(*arguments, function=compiling.jit):
    leaves, tree = jax.tree.flatten(arguments, is_leaf=lambda a: not isinstance(a, FlatWeights))
    return cache.name_of(function, tree, leaves)


def test_each_program_has_its_name(kept):
    """Values, types and functions in the arguments all tell; equal values that are other objects do not."""
    laws = [bg.Full(), bg.Diagonal(), FlatWeights(2), FlatWeights(3), FlatGaussian(("shape", "float64"), bg.Full(), True)]
    others = [((3, 2), "float64"), ((3, 2), "float32"), ((2, 3), "float64"), 1, True, 1.0, "1", None, soft, hard]
    names = [name(value) for value in (*laws, *others)] + [name(), name(1, function=cache.name_of)]
    assert None not in names and len(set(names)) == len(names)
    word = "".join(["flo", "at64"])
    assert name(word, word) == name("float64", "".join(["float", "64"]))


def test_code_from_elsewhere_is_never_kept(kept):
    """A user may change it, and only its name would be known."""

    class Own(FlatWeights):
        """A law of the user's."""

    def own(scores, axis=1):
        return soft(scores, axis)

    for value in (Own(2), Own, own, lambda a: a, functools.partial(own, axis=0), [{"a": (Own,)}], subprocess.run):
        assert name(value) is None
    assert name(1, function=own) is None and name(1, function=subprocess.run) is None
    assert name(functools.partial(soft, axis=0)) is not None


def test_a_change_of_the_source_or_the_machine_changes_all_names(kept, monkeypatch):
    before = name(1)
    for place, value in (("_abilities", lambda: "another processor"), ("SOURCE", b"other")):
        with monkeypatch.context() as patch:
            patch.setattr(cache, place, value)
            patch.setattr(cache, "_environment", cache._environment.__wrapped__)
            assert name(1) not in (before, None)
    assert cache._source() == cache.SOURCE and name(1) == before
    monkeypatch.setattr(cache, "SOURCE", None)
    assert name(1) is None, "without source all versions of the library would share their programs"


def test_the_folder_keeps_its_size(tmp_path):
    for i in range(5):
        path = tmp_path / f"{i}{cache.ENDING}"
        path.write_bytes(bytes(100))
        os.utime(path, (i, i))
    (tmp_path / "notes.txt").write_bytes(bytes(1000))
    cache._trim(tmp_path, 250)
    assert [path.name[0] for path in programs(tmp_path)] == ["3", "4"] and (tmp_path / "notes.txt").exists()


def test_a_program_that_is_used_is_kept_longest(kept):
    keys = split_keys(0, 7)
    (path,) = programs(kept)
    os.utime(path, (0, 0))
    again = cache.read(path.stem, jax.tree.structure(((0,), {})))(0)
    assert all(map(np.array_equal, map(jax.random.key_data, again), map(jax.random.key_data, keys)))
    assert path.stat().st_mtime > 0


def test_a_file_that_another_process_deletes_is_no_matter(tmp_path, monkeypatch):
    for word in ("gone", "kept"):
        (tmp_path / (word + cache.ENDING)).write_bytes(bytes(100))
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **how: stat(self / "no" if self.stem == "gone" else self, **how))
    cache._trim(tmp_path, 100)
    monkeypatch.undo()
    assert (tmp_path / ("kept" + cache.ENDING)).exists()


@pytest.mark.parametrize("told", ["off", "OFF ", "0", "none"])
def test_it_can_be_turned_off(kept, monkeypatch, told):
    monkeypatch.setenv(cache.VARIABLE, told)
    undecided()
    assert cache._folder() is None and name(1) is None
    assert bg.enable_compilation_cache(kept) == kept and name(1) is not None
    bg.disable_compilation_cache()
    assert cache._folder() is None and name(1) is None


def test_a_folder_where_others_may_write_is_not_used_unless_named_in_python(kept, monkeypatch, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv(cache.VARIABLE, str(shared))
    undecided()
    with pytest.warns(RuntimeWarning, match="others may write: compiled programs are not kept"):
        assert cache._folder() is None
    monkeypatch.delenv(cache.VARIABLE)  # the usual one: it is not used, and nothing is said
    monkeypatch.setattr(cache, "_home", lambda: shared)
    undecided()
    assert cache._folder() is None
    cache.remove("none")
    new = tmp_path / "a" / "b"
    monkeypatch.setenv(cache.VARIABLE, str(new))
    undecided()
    assert cache._folder() == new and new.stat().st_mode & 0o077 == 0


def test_what_is_no_program_is_not_one_though_its_checksum_is_right(kept):
    content = b"no program"
    (kept / ("made" + cache.ENDING)).write_bytes(hashlib.sha256(content).digest() + content)
    assert cache.read("made", jax.tree.structure(0)) is None
    (kept / ("made" + cache.ENDING)).write_bytes(content * 9)
    assert cache.read("made", jax.tree.structure(0)) is None


def test_without_a_folder_fits_go_on(kept, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    undecided()
    assert cache._folder() is None
    bg.enable_compilation_cache(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert bg.GaussianMixture(1, n_init=1).fit(np.arange(6.0)[:, None]).n_components_ == 1
    with pytest.raises(OSError, match="file"):
        bg.enable_compilation_cache(tmp_path / "file")
    for wrong in (-1, "1GB", float("nan")):
        with pytest.raises(ValueError, match="max_size must be a whole number of bytes"):
            bg.enable_compilation_cache(tmp_path, wrong)


@compiling.jit(static_argnames=("times",))
def scaled(a, times: int = 2):
    return times * a


def test_programs_that_are_not_optimised_have_names_of_their_own():
    """`jax.config.update` once, and later processes would be slow without a word: settings are part of a name."""
    usual = compiling.settings()
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        other = compiling.settings()
    finally:
        jax.config.update("jax_disable_most_optimizations", False)
    assert usual == compiling.settings() != other


def test_settings_of_jax_and_kinds_of_arguments_make_different_programs():
    assert scaled(1).dtype == "int32" and scaled(1.5) == 3.0 and scaled(jnp.arange(3), 3)[2] == 6 == scaled(2, times=3)
    assert scaled(jnp.float32(1)).weak_type is False and scaled(1.0).weak_type is True
    with jax.enable_x64(True):
        assert scaled(1).dtype == "int64" and scaled(np.float64(1)).dtype == "float64"
    assert scaled(np.float64(1)).dtype == "float32"
    with jax.disable_jit():
        assert scaled(2) == 4
    assert jax.vmap(scaled)(jnp.arange(3))[2] == 4 and jax.grad(scaled)(1.0) == 2 and jax.jit(lambda: scaled(3))() == 6
    device = jax.device_put(jnp.ones(2), jax.devices()[0])
    assert scaled(device).committed
    with jax.default_device(jax.devices()[0]):
        assert scaled(1) == 2


DEVICES = "--xla_force_host_platform_device_count=2"


@pytest.mark.parametrize("flags", [pytest.param(DEVICES, marks=pytest.mark.slow), ""])
def test_several_devices_of_one_process(tmp_path, flags):
    """Programs are for the first of them, and others than those for a single one."""
    setting = "" if flags else "import jax; jax.config.update('jax_num_cpu_devices', 2)\n"
    script = "import bayesgmm as bg\nprint(bg.KMeans(2, n_init=1, random_state=0).fit([[0.0], [1.0], [5.0]]).inertia_.__round__(9))"
    for text in (script, setting + script, setting + script, script):
        assert run(text, tmp_path, XLA_FLAGS=flags) == ["0.5"]


def test_a_program_that_does_not_run_is_compiled_and_replaced(kept, monkeypatch):
    """Such as one that XLA wrote after reading it from another cache."""
    answer = scaled_keys()
    (path,) = programs(kept)
    os.utime(path, (0, 0))
    split_keys.forget()

    def broken(*given):
        raise RuntimeError("NOT_FOUND")

    monkeypatch.setattr(cache, "read", lambda name, tree: broken)
    assert scaled_keys() == answer and scaled_keys() == answer
    assert programs(kept) == [path] and path.stat().st_mtime > 0


def scaled_keys() -> list:
    return [jax.random.key_data(key).tolist() for key in split_keys(3, 5)]


def test_what_jax_has_read_is_not_written(tmp_path):
    """It cannot be: three processes, the library's folder emptied after the first."""
    script = f"import jax; jax.config.update('jax_compilation_cache_dir', {str(tmp_path / 'jax')!r})" + textwrap.dedent("""
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        import bayesgmm as bg
        print(bg.KMeans(2, n_init=1, random_state=0).fit([[0.0], [1.0], [5.0]]).inertia_.__round__(9))
    """)
    for _ in range(3):
        assert run(script, tmp_path / "ours") == ["0.5"]
        assert not programs(tmp_path / "ours")


def test_the_size_holds_while_programs_are_written(tmp_path, kept):
    bg.enable_compilation_cache(tmp_path, 0)
    split_keys.forget()
    scaled_keys()
    assert not programs(tmp_path)
    bg.enable_compilation_cache(tmp_path)
    split_keys.forget()
    for n in range(2, 6):
        split_keys(0, n)
    sizes = [path.stat().st_size for path in programs(tmp_path)]
    assert cache._Place.used == sum(sizes) and len(sizes) >= 4
    bg.enable_compilation_cache(tmp_path, sum(sizes))
    split_keys(0, 9)
    assert 0 < sum(path.stat().st_size for path in programs(tmp_path)) <= sum(sizes)


def test_a_disk_without_room_is_left_as_it_was(kept, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError("no space left")))
    split_keys.forget()
    scaled_keys()
    assert not list(kept.iterdir())


def test_a_folder_is_the_same_after_a_change_of_directory(kept, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = bg.enable_compilation_cache("programs")
    assert folder == tmp_path / "programs" and folder.is_dir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(cache.VARIABLE, "~/mine")
    undecided()
    assert cache._folder() == tmp_path / "mine"


def test_a_class_that_cannot_be_built_of_words_has_no_name(x64, kept):
    """JAX asks no such thing of it, so the library must not."""

    @jax.tree_util.register_pytree_node_class
    class Law:
        def __init__(self, value):
            self.value = jnp.asarray(value)

        def tree_flatten(self):
            return (self.value,), None

        @classmethod
        def tree_unflatten(cls, aux, children):
            return cls(*children)

    double = compiling.jit(lambda law: law.value * 2)
    assert double(Law(jnp.ones((2, 3)))).sum() == 12
    assert not programs(kept)
