"""Fuzzing in its long form: thousands of damaged files, texts and command lines; prints a table of cases and failures.

    python benchmarks/hardening/fuzz.py --cases 10000
    python benchmarks/hardening/fuzz.py --atheris 20000     # byte formats with coverage to guide them; pip install atheris

The cases are those of `tests/hardening/fuzz_targets.py`, of which `make test` runs a few hundred. One that fails is printed
and the rest goes on; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the networks are tiny

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / room) for room in ("datasets", "hardening")]

from fuzz_targets import TARGETS, HangError, Target  # noqa: E402
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402

SHARES = {"command line": 3, "study files": 3, "coefficients": 0.5}
"""Of the cases, where a target has not one share as most have."""

DEADLOCK = 120
"""Seconds after which a case that no signal reaches ends everything, with a traceback."""

BYTE_FORMATS = ("checkpoint bytes", "baselines", "Parquet", "images")


def fuzz(target: Target, cases: int, start: int, show: int) -> tuple[int, Counter[str], float]:
    """How many cases ran, what failed how often, and the longest time in seconds."""
    count, slowest = 0, 0.0
    failures: Counter[str] = Counter()

    @seed(start)
    @settings(
        max_examples=cases, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(case=target.cases)
    def run(case: object) -> None:
        nonlocal count, slowest
        count += 1
        began = time.monotonic()
        faulthandler.dump_traceback_later(DEADLOCK, exit=True)
        try:
            target.check(case)
        except (Exception, HangError) as error:
            what = f"{type(error).__name__}: {str(error)[:200]}"
            failures[what] += 1
            if len(failures) <= show and failures[what] == 1:
                print(f"{target.name}: {what}\n  {case!r:.2000}", file=sys.stderr, flush=True)
        finally:
            faulthandler.cancel_dump_traceback_later()
            slowest = max(slowest, time.monotonic() - began)

    run()
    return count, failures, slowest


def fuzz_by_coverage(name: str, runs: int, start: int) -> tuple[int, bool]:
    """Runs of atheris that were done, and whether one failed; each in a process and a folder of its own, where it leaves
    the case that failed."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).resolve().with_name("fuzz_bytes.py")
        command = [
            sys.executable,
            str(script),
            name,
            f"-runs={runs}",
            f"-seed={start + 1}",
        ]  # 0 is a random seed to libFuzzer
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        last = [line for line in done.stderr.splitlines() if line.startswith("Done ")]
        if done.returncode:
            print(f"{name}: {done.stderr[-3000:]}", file=sys.stderr, flush=True)
    return int(last[-1].split()[1]) if last else 0, done.returncode != 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="over all targets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="*", default=list(TARGETS), choices=list(TARGETS), metavar="TARGET")
    parser.add_argument("--show", type=int, default=10, help="different failures of a target that are printed in full")
    parser.add_argument("--atheris", type=int, metavar="RUNS", help="instead: so many runs of each byte format")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of Pillow and NumPy on damaged files
    rows, failed = [], False
    if options.atheris:
        for name in BYTE_FORMATS:
            done, bad = fuzz_by_coverage(name, options.atheris, options.seed)
            rows.append(f"| {name} | {done} | {'1 or more' if bad else 0} |")
            failed |= bad
        print("\n".join(["| Format | Runs | Failures |", "|---|--:|--:|", *rows]))
        return int(failed)
    shares = {name: SHARES.get(name, 1) for name in options.targets}
    cases = {name: max(1, int(options.cases * share / sum(shares.values()))) for name, share in shares.items()}
    cases[options.targets[0]] += max(0, options.cases - sum(cases.values()))
    total = 0
    for name, number in cases.items():
        count, failures, slowest = fuzz(TARGETS[name], number, options.seed, options.show)
        rows.append(f"| {name} | {count} | {failures.total()} | {slowest:.1f} |")
        total, failed = total + count, failed or bool(failures)
        print(rows[-1], file=sys.stderr, flush=True)
    print("\n".join(["| Target | Cases | Failures | Slowest, s |", "|---|--:|--:|--:|", *rows, f"| all | {total} | | |"]))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
