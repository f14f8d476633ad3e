"""How long `zsbench attack --pgd` takes when everything it asks for is stored, as a whole command.

    python benchmarks/speed/stored_answer.py [--rounds N]

In a temporary folder two small networks are trained on digits and attacked once. Then, in turn: the same command again
(its answer is kept), and the same command after the kept answers were dropped (every outcome is looked up by its digests).
Processor time is that of the command with all its processes, which a busy machine changes little.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

ZSBENCH = [sys.executable, "-m", "robustbench_zs.cli"]
NETWORKS = ("zerosnet20-opt:widths=4-8-16", "table10-1:depth=20,widths=4-8-16")


def seconds(folder: Path, *arguments: str) -> tuple[float, float]:
    """Processor and wall time of a command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*ZSBENCH, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    times: dict[str, list[tuple[float, float]]] = {"answer kept": [], "looked up by digests": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        networks = [part for network in NETWORKS for part in ("--network", network)]
        seconds(folder, "train", *networks, "--epochs", "1")
        time.sleep(3)  # an answer about younger files is not kept
        first = seconds(folder, "attack", "--pgd")
        for _ in range(rounds):
            times["answer kept"].append(seconds(folder, "attack", "--pgd"))
            with closing(sqlite3.connect(folder / "reports" / "results.sqlite")) as connection, connection:
                connection.execute("DELETE FROM answers")
            times["looked up by digests"].append(seconds(folder, "attack", "--pgd"))
    print(f"computed: {first[0]:.2f} s of processor time, {first[1]:.2f} s in all")
    for way, measured in times.items():
        processor, wall = zip(*measured, strict=True)
        print(
            f"{way}: {statistics.median(processor):.2f} s of processor time ({min(processor):.2f} to {max(processor):.2f}), "
            f"{statistics.median(wall):.2f} s in all ({min(wall):.2f} to {max(wall):.2f}), {rounds} rounds"
        )


if __name__ == "__main__":
    main()
