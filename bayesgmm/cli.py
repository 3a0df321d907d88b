"""The command line: ``bayesgmm fit | datasets``. What only one command needs is imported by that command."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from pathlib import Path

from bayesgmm._version import __version__

STRUCTURES = ("full", "tied", "diag", "spherical")


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str):
        self.exit(2, f"bayesgmm: error: {message}; {self.prog} --help lists what there is.\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = Parser(prog="bayesgmm", description="Gaussian mixtures: how many clusters, how sure, which rows are in doubt.")
    parser.add_argument("--version", action="version", version=f"bayesgmm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    fit = commands.add_parser("fit", help="fit a variational mixture and print what it found")
    fit.add_argument("source", metavar="FILE_OR_DATASET", help="CSV, TSV, Parquet, Feather or .npy file, or a data set's name")
    fit.add_argument("--columns", help="columns to use, separated by commas (default: all)")
    fit.add_argument("--max-components", type=int, help="components to start from (default: 20, or the number of rows if that is less)")
    fit.add_argument("--covariance", choices=("auto", *STRUCTURES), default="auto", help="structure; auto takes the best bound (default)")
    fit.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    fit.add_argument("--restarts", type=int, default=10, help="random starts (default: 10)")
    fit.add_argument("--out", metavar="DIR", help="folder for report.html, assignments.csv, model.npz and posterior.json")
    fit.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    fit.add_argument("--no-cache", action="store_true", help="do not keep compiled programs in the user's cache folder")
    fit.set_defaults(run=run_fit)
    datasets = commands.add_parser("datasets", help="list the data sets in the package")
    datasets.set_defaults(run=run_datasets)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0, 2 for a mistake of the user's, 1 for a fit that failed."""
    args = build_parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore
    try:
        code = args.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError) as error:
        return _complain("error", error, 2)
    except (RuntimeError, MemoryError) as error:
        return _complain("failed", error, 1)
    except KeyboardInterrupt:
        print("bayesgmm: interrupted; nothing was written.", file=sys.stderr)
        return 1


def _complain(kind: str, error: BaseException, code: int) -> int:
    _progress("")
    print(f"bayesgmm: {kind}: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
    return code


def run_datasets(args: argparse.Namespace) -> int:
    """Print the data sets with sources and licences."""
    from bayesgmm.datasets import describe_datasets

    print("\n\n".join(str(info) for info in describe_datasets()))
    return 0


def run_fit(args: argparse.Namespace) -> int:
    """Read, fit, print, write."""
    began = time.perf_counter()
    from bayesgmm.tables import read_table

    table = read_table(args.source, _columns(args.columns))
    _check(args, table)
    out = _prepare_folder(args.out)
    if not args.no_cache:
        _cache()
    models = _fit_all(table, args)
    best = max(models, key=lambda model: model.lower_bound_)
    facts = best.facts(table.values, title=table.title, units=table.units)
    seconds = time.perf_counter() - began
    from bayesgmm.report import files, text

    record = files.as_json(facts, {m.covariance_type: (m.n_components_, m.lower_bound_) for m in models}, seconds)
    print(json.dumps(record, allow_nan=False) if args.json else _text(text.summary(facts), models, best, seconds))
    if out:
        files.write_folder(out, best, table.values, facts, record)
        print(f"Wrote report.html, assignments.csv, model.npz and posterior.json to {out}.", file=sys.stderr)
    return 0


def _columns(given: str | None) -> list[str] | None:
    """Names divided by commas; a name that holds a comma goes into quotation marks."""
    if given is None:
        return None
    names = [name.strip() for name in next(csv.reader([given], skipinitialspace=True), [])]
    if not all(names) or not names:
        raise ValueError(f"--columns must be names divided by commas; got {given!r}.")
    return names


def _check(args: argparse.Namespace, table) -> None:
    """Whether options and data go together, in the words of the command line."""
    import numpy as np

    from bayesgmm.validation import check_enough, check_number, check_spread

    check_number("--restarts", args.restarts, 1, integer=True)
    check_number("--seed", args.seed, 0, integer=True)
    weight = np.ones(len(table.values))
    check_spread(table.values, weight, table.columns, data=repr(args.source))
    if args.max_components is not None:
        check_number("--max-components", args.max_components, 1, integer=True)
        check_enough(table.values, weight, args.max_components, "--max-components", repr(args.source))


def _prepare_folder(name: str | None) -> Path | None:
    """The output folder, made before the work so that a mistake shows at once."""
    if name is None:
        return None
    path = Path(name)
    if path.exists() and not path.is_dir():
        raise ValueError(f"--out {name!r} is a file; give a folder.")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _cache() -> None:
    from bayesgmm.inference.cache import enable_compilation_cache

    try:
        enable_compilation_cache()
    except OSError as error:
        print(f"bayesgmm: no compilation cache ({error}); starting will stay slow.", file=sys.stderr)


def _fit_all(table, args) -> list:
    """One fitted model for each structure asked for."""
    import warnings

    from bayesgmm.estimators import BayesianGaussianMixture, FitWarning
    from bayesgmm.validation import count_distinct

    most = args.max_components or count_distinct(table.values, 20)
    models = []
    for i, covariance in enumerate(STRUCTURES if args.covariance == "auto" else (args.covariance,)):
        _progress(f"fitting {covariance} covariances ({i + 1} of {4 if args.covariance == 'auto' else 1}) ...")
        model = BayesianGaussianMixture(n_components=most, covariance_type=covariance, n_init=args.restarts, random_state=args.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            models.append(model.fit(_named(table)))
    _progress("")
    return models


def _named(table):
    import pandas

    return pandas.DataFrame(table.values, columns=list(table.columns))


def _progress(text: str) -> None:
    """One line on a terminal, overwritten by the next."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _text(summary: str, models: list, best, seconds: float) -> str:
    lines = [summary]
    if len(models) > 1:
        others = ", ".join(f"{m.covariance_type} {m.lower_bound_:.2f} ({m.n_components_})" for m in models)
        lines.append(f"Bound (and components) by structure: {others}; {best.covariance_type} is best.")
    return "\n".join([*lines, f"{seconds:.1f} s."])


if __name__ == "__main__":
    sys.exit(main())
