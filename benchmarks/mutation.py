"""Mutation testing of `bayesgmm.core`: are there changes of the code that no test notices?

One expression at a time is changed (operators, comparisons, constants, axes, flags, terms left out, pairs such as minimum and maximum), and
the tests that run that line are run, the quickest and those that found most first, until one fails. JAX runs operations one at a time, so
that nothing is compiled anew: the code of the changed functions is exchanged within the process, and put back. What survives is tried
again, each change in a process of its own. All tests are run unchanged at the start, after every `OFTEN` mutants and at the end, and must
pass.

    python benchmarks/mutation.py --out mutants.jsonl                     # all, going on where a run before was cut off
    python benchmarks/mutation.py --part 0/2 --out half.jsonl             # every second one
    python benchmarks/mutation.py --most 600 --out mutants.jsonl          # a sample, the same each time
    python benchmarks/mutation.py --again mutants.jsonl                   # those that survived, each by itself
    python benchmarks/mutation.py --only weights.py:130 --show            # mutants of a line
    python benchmarks/mutation.py --left mutants.jsonl --out more.jsonl --compiled --longest 20    # by tests that are slow otherwise
"""

from __future__ import annotations

import argparse
import collections
import functools
import gc
import json
import os
import random
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

from mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "bayesgmm" / "core"
FILES = ("core_algebra", "core_weights", "core_components", "core_families", "core_axes", "wide")
"""Tests that run the functions of core one at a time, slow ones too: hundreds of mutants in minutes. Others may be named."""

LONGEST = 3.0
"""Seconds of a test beyond which it is left out, as operations one at a time make it slow."""

ENOUGH = 8.0
"""Seconds of tests that a change has passed, after which it counts as one that survives."""

OFTEN = 500


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, default=10**6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="FILE, FILE:LINE or the whole name of a mutant, several by commas")
    parser.add_argument("--part", default="0/1", help="I/N: from the Ith on, every Nth")
    parser.add_argument("--out", default="mutants.jsonl", help="a line for each; those that it has are not tried again")
    parser.add_argument("--again", default="", help="what an earlier run wrote: try its survivors, each in a process of its own")
    parser.add_argument("--left", default="", help="what an earlier run wrote: try what it did not kill, by other tests, say")
    parser.add_argument("--files", default=",".join(FILES), help="test files, without test_ and .py")
    parser.add_argument("--longest", type=float, default=LONGEST)
    parser.add_argument("--compiled", action="store_true", help="let JAX compile loops and draws, which are slow one operation at a time")
    parser.add_argument("--verbose", action="store_true", help="print how long each test takes")
    parser.add_argument("--show", action="store_true", help="only list the mutants")
    args = parser.parse_args()
    if args.again:
        return again(args)
    chosen = sample(args)
    if args.show:
        print(*chosen, sep="\n")
        return 0
    os.environ |= {"JAX_DISABLE_JIT": str(int(not args.compiled)), "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    os.environ["BAYESGMM_COMPILATION_CACHE"] = "off"  # or a change would be hidden by programs without it, or stay on disk
    sys.path.insert(0, str(ROOT))
    import pytest

    import bayesgmm

    assert Path(bayesgmm.__file__).is_relative_to(ROOT)  # not another one that is installed
    os.chdir(ROOT)
    paths = [f"tests/test_{name}.py" for name in args.files.split(",") if Path(f"tests/test_{name}.py").exists()]
    words = ["-q", "-s", "-p", "no:cacheprovider", "-m", "slow or not slow", "-W", "ignore"]
    return pytest.main([*words, *paths], plugins=[Driver(chosen, args)])


def sample(args) -> list[Mutant]:
    """Mutants asked for, in random order."""
    found = [mutant for path in sorted(CORE.glob("*.py")) for mutant in mutants_of(path)]
    if any(str(m) == args.only for m in found):
        return [m for m in found if str(m) == args.only]
    if args.only:
        words = args.only.split(",")
        found = [m for m in found if any(str(m) == word or str(m).startswith((word + ":", word + " ")) for word in words)]
    if args.left:
        last = {row["mutant"]: row["by"] for row in rows_of(args.left)}  # of those tried twice
        found = [m for m in found if last.get(str(m), "not tried") is None]
    random.Random(args.seed).shuffle(found)
    first, step = (int(word) for word in args.part.split("/"))
    tried = {row["mutant"] for row in rows_of(args.out)} if Path(args.out).is_file() else ()
    return [m for m in found[: args.most][first::step] if str(m) not in tried]


def rows_of(path: str) -> list[dict]:
    """What a run wrote of each mutant."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def again(args) -> int:
    """Survivors of an earlier run, each in a process of its own."""
    left = 0
    for row in (row for row in rows_of(args.again) if row["by"] is None):
        command = [sys.executable, __file__, "--only", row["mutant"], "--out", os.devnull, "--files", args.files]
        command += ["--compiled"] * args.compiled
        done = subprocess.run([*command, "--longest", str(args.longest)], capture_output=True, text=True)
        survived = "SURVIVED" in done.stdout
        left += survived
        word = "survived" if survived else "killed" if "KILLED" in done.stdout else "not tried"  # by a name that is no longer one, say
        print(word, row["mutant"], flush=True)
    print(f"{left} survive")
    return 0


class Driver:
    """Runs in place of pytest's loop over tests."""

    def __init__(self, chosen: list[Mutant], args):
        self.chosen, self.args = chosen, args
        self.failed, self.found = False, collections.Counter()

    def pytest_runtest_logreport(self, report):
        self.failed |= report.failed

    def pytest_report_teststatus(self, report):
        return "", "", ""

    def pytest_runtestloop(self, session):
        alone = len(self.chosen) == 1
        seconds, lines = self.look(session.items, 2 * self.args.longest if alone else self.args.longest)
        with open(self.args.out, "a") as out:
            for n, mutant in enumerate(self.chosen):
                self.one(mutant, seconds, lines, out)
                if n % OFTEN == OFTEN - 1 or (n == len(self.chosen) - 1 and not alone):
                    self.control(seconds)
        return True

    def look(self, items, longest: float):
        """Seconds that each test takes, but for those that fail or take too long, and the tests that each line of core has."""
        seconds, lines = {}, collections.defaultdict(list)
        for item in items:
            if not self.run(item, 2 * longest + 4) or self.failed:  # operations are compiled
                continue
            before = time.process_time()
            with Traced() as traced:
                passed = self.run(item, longest) and not self.failed
            if passed:
                seconds[item] = time.process_time() - before
                for place in traced.lines:
                    lines[place].append(item)
            if self.args.verbose:
                print(f"{seconds.get(item, float('inf')):6.2f} {item.nodeid}", flush=True)
        print(f"\n{len(seconds)} of {len(items)} tests, {sum(seconds.values()):.0f} s; {len(lines)} lines of core", flush=True)
        return seconds, lines

    def run(self, item, limit: float) -> bool:
        """Run one test; whether it ended in time, which is that of the processor, or else a much longer one by the clock."""
        from _pytest.runner import runtestprotocol

        self.failed = False
        for sign, timer, seconds in ((signal.SIGPROF, signal.ITIMER_PROF, limit), (signal.SIGALRM, signal.ITIMER_REAL, 8 * limit + 20)):
            signal.signal(sign, late)
            signal.setitimer(timer, seconds)
        before = time.process_time()
        try:
            for report in runtestprotocol(item, nextitem=None, log=False):
                self.failed |= report.failed
        except (Late, SystemError, TypeError):  # the others where the first comes within the compiler, or at no line that pytest could tell
            self.failed = True
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        return time.process_time() - before < limit

    def one(self, mutant: Mutant, seconds: dict, lines: dict, out):
        covering = {item for line in mutant.lines for item in lines[mutant.file, line]}
        tests = covering if covering or mutant.in_function else seconds  # all, for lines that only an import runs
        tests = sorted(tests, key=lambda item: seconds[item] / (1 + self.found[item]))
        before, by = time.process_time(), None
        with Changed(mutant) as changed:
            if changed.error:
                by = changed.error
            elif not changed.undo:  # a constant of a kind that is not exchanged: nothing to try
                tests = []
            for item in () if by else tests:
                if time.process_time() - before > ENOUGH and len(self.chosen) > 1:
                    break
                if not self.run(item, 10 * seconds[item] + 2) or self.failed:
                    by = item.nodeid
                    self.found[item] += 1
                    break
        took = time.process_time() - before
        out.write(json.dumps({"mutant": str(mutant), "tests": len(tests), "by": by, "seconds": round(took, 2)}) + "\n")
        out.flush()
        if by is not None and len(self.chosen) == 1:
            print(f"KILLED by {by}", flush=True)
        if by is None:
            print(f"SURVIVED {len(tests):3d} tests  {mutant}", flush=True)

    def control(self, seconds: dict):
        """Without a change all tests must pass: nothing is left of the changes before."""
        forget()
        for item in seconds:
            if not self.run(item, 10 * seconds[item] + 10) or self.failed:
                raise SystemExit(f"{item.nodeid} fails without a change")


class Late(BaseException):
    pass


def late(*_):
    raise Late


class Traced:
    """Lines of core that are run."""

    def __enter__(self):
        self.lines, self.names = set(), {str(path): path.name for path in CORE.glob("*.py")}
        sys.settrace(self.call)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def call(self, frame, event, argument):
        return self.line if frame.f_code.co_filename in self.names else None

    def line(self, frame, event, argument):
        self.lines.add((self.names[frame.f_code.co_filename], frame.f_lineno))
        return self.line


@functools.cache
def remembering() -> list:
    """Functions of tests and of the library that remember their answers."""
    found = [a for a in gc.get_objects() if isinstance(a, functools._lru_cache_wrapper) and a is not remembering]
    return [a for a in found if (a.__module__ or "").split(".")[0] not in ("jax", "jaxlib", "numpy", "scipy", "functools", __name__)]


@functools.cache
def functions_of(name: str) -> list:
    """Functions of a module, see `functions_in`."""
    return functions_in(sys.modules[name])


def functions_in(module) -> list:
    """Functions of a module, methods and those beneath decorators among them, that are not within others."""
    found = [a for a in gc.get_objects() if isinstance(a, types.FunctionType) and a.__globals__ is module.__dict__]
    return [a for a in found if "<locals>" not in a.__code__.co_qualname]


def forget():
    """What they remember of functions that have changed."""
    for found in remembering():
        found.cache_clear()


def programs_forgotten():
    """Programs that the library compiled, with the code of another change."""
    from bayesgmm.inference import compiling

    for program in compiling._all:
        program.forget()
        program._plain.clear_cache()


class Changed:
    """The library with one change, for as long as this is entered."""

    def __init__(self, mutant: Mutant):
        self.mutant, self.undo, self.error = mutant, [], None

    def __enter__(self):
        forget()
        programs_forgotten()
        name = "bayesgmm.core." + self.mutant.file.removesuffix(".py")
        module = sys.modules[name]
        source = compile(self.mutant.source(), module.__file__, "exec", dont_inherit=True)
        fresh = types.ModuleType(name)
        fresh.__file__ = module.__file__
        sys.modules[name] = fresh
        try:
            exec(source, fresh.__dict__)
        except Exception as error:
            self.error = f"import: {type(error).__name__}"
            return self
        finally:
            sys.modules[name] = module
        self.defaults(module, fresh)
        self.functions(module, fresh, source)
        self.values(module, fresh)
        return self

    def defaults(self, module, fresh):
        """Exchange what functions take where nothing is given."""
        others = {new.__code__.co_qualname: new for new in functions_in(fresh)}
        for old in functions_of(module.__name__):
            new = others.get(old.__code__.co_qualname)
            for name in ("__defaults__", "__kwdefaults__"):
                if new is not None and repr(getattr(new, name)) != repr(getattr(old, name)):
                    self.set(old, name, getattr(new, name))

    def functions(self, module, fresh, source):
        """Exchange the code of functions; those found by their name in the module get a new object, too, by which JAX remembers."""
        codes = dict(outermost(source))
        for old in functions_of(module.__name__):
            code = codes.get(old.__code__.co_qualname)
            if code is None or code == old.__code__:
                continue
            self.undo.append((old, "__code__", old.__code__))
            old.__code__ = code
            named = module.__dict__.get(old.__name__)
            if named is old:
                twin = types.FunctionType(code, module.__dict__, old.__name__, old.__defaults__, old.__closure__)
                twin.__kwdefaults__, twin.__module__ = old.__kwdefaults__, module.__name__
                self.set(module, old.__name__, twin)
            elif not isinstance(named, type) and old.__name__ in module.__dict__:
                self.clear()

    def values(self, module, fresh):
        """Exchange constants of the module, wherever they were imported, and of its classes."""
        for name, new in list(fresh.__dict__.items()):
            old = module.__dict__.get(name)
            if isinstance(new, (int, float, tuple)) and old != new:
                for other in [m for key, m in sys.modules.items() if key.startswith("bayesgmm.") and m.__dict__.get(name) is old]:
                    self.set(other, name, new)
            if isinstance(new, type) and new.__module__ == module.__name__:
                for key, value in list(new.__dict__.items()):
                    if isinstance(value, (bool, int, float)) and old.__dict__.get(key) != value:
                        self.set(old, key, value)

    def set(self, holder, name, value):
        self.undo.append((holder, name, getattr(holder, name)))
        setattr(holder, name, value)

    def clear(self):
        import jax

        jax.clear_caches()
        self.cleared = True

    def __exit__(self, *_):
        for holder, name, value in reversed(self.undo):
            setattr(holder, name, value)
        if hasattr(self, "cleared"):
            self.clear()
        programs_forgotten()


def outermost(code):
    """Code of functions that are not within others, by qualified name."""
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            if inner.co_flags & 2:  # of a function: the rest are classes
                yield inner.co_qualname, inner
            else:
                yield from outermost(inner)


if __name__ == "__main__":
    sys.exit(main())
