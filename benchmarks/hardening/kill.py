"""Runs and writers that are really killed, at random moments: is anything lost, doubled or torn?

python benchmarks/hardening/kill.py            # 20 kills of `zsbench run`, 20 of writers; about ten minutes

A killed run is started again, and killed again, until one of them ends by itself; its weights, the rows of its store and the
files it leaves are then compared with those of a run that nobody disturbed. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from runs import Folder, differences, study_text

STUDY = study_text("killed", ["table10-1", "table10-10", "preresnet:alpha=0.7", "lm:k=0.5"], [0, 1], 40, 360, 4)
SHORT_STUDY = study_text("killed", ["table10-1", "table10-10"], [0], 40, 60, 1)

WRITER = """
import sys
from pathlib import Path
import numpy as np
import torch
from robustbench_zs.evaluation import Outcomes, ResultsStore
from robustbench_zs.datasets import LabelledImages
from robustbench_zs.evaluation.questions import Accuracy
from robustbench_zs.perturbations import ConstantNoise
from robustbench_zs.system.files import write_atomically
store = ResultsStore("results.sqlite")
data = LabelledImages(torch.zeros(10_000, 1, 8, 8, dtype=torch.uint8), torch.zeros(10_000).long(), 2)
print("ready", flush=True)
number = int(sys.argv[1])
while True:
    write_atomically(Path("file"), bytes([number % 256]) * 20_000_000)
    for part in range(20):
        outcomes = Outcomes(np.full(10_000, number % 2 == 0), np.full(10_000, part % 2 == 0), data.digest)
        store.put(Accuracy(ConstantNoise((part + 1) / 100)), str(number), data, outcomes, 0.0)
    print(number, flush=True)
    number += 1
"""


@dataclass
class Tally:
    """What was done and what came of it; `where` says what killed runs were about, `wrong` is what was lost or torn."""

    kills: int = 0
    compared: int = 0
    where: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbed, and how many seconds it took."""

    text: str
    folder: Folder
    seconds: float

    @classmethod
    def of(cls, text: str, place: Path) -> Undisturbed:
        folder = Folder(place).begin(text)
        return cls(text, folder, folder.finish())


def kill_runs(whole: Undisturbed, parts: Folder, kills: int, draw: random.Random) -> Tally:
    """Kill `zsbench run` so many times, and compare each run that then ends with an undisturbed one.

    Args:
        parts: where to run; what was begun there goes on.
    """
    tally = Tally()
    while True:
        if tally.kills < kills and parts.kill_after(draw.uniform(0.2, 1) * whole.seconds):
            tally.kills += 1
            tally.where[parts.standing] += 1
            continue
        parts.finish()
        tally.compared += 1
        tally.wrong += differences(whole.folder, parts)
        if tally.kills >= kills:
            return tally
        parts.begin(whole.text, like=whole.folder)


def kill_writers(place: Path, kills: int, draw: random.Random) -> Tally:
    """Kill a process that does nothing but write a file of 20 MB and rows of the store, and look at what is there."""
    place.mkdir(parents=True)
    tally, number = Tally(), 0
    for _ in range(kills):
        command = [sys.executable, "-c", WRITER, str(number)]
        process = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0.05, 1))
        process.kill()
        done = [int(line) for line in process.stdout.read().split()]
        process.wait()
        tally.kills += 1
        tally.where["writing a file" if (place / ".file.part").exists() else "writing to the store"] += 1
        tally.compared += 1
        tally.wrong += look_at_writings(place, done)
        number = max(done, default=number - 1) + 2  # the one that was killed may be half done
    return tally


def look_at_writings(place: Path, done: list[int]) -> list[str]:
    """What is torn, or was said to be done and is not there."""
    wrong = []
    if (place / "file").exists():
        content = (place / "file").read_bytes()
        if len(content) != 20_000_000 or content.count(content[:1]) != len(content):
            wrong.append(f"a torn file of {len(content)} bytes")
    elif done:
        wrong.append("no file")
    with closing(sqlite3.connect(place / "results.sqlite")) as store:
        if store.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            wrong.append("an unsound store")
        rows = Counter(row[0] for row in store.execute("SELECT json_extract(key, '$[0]') FROM network_answers"))
        sizes = set(store.execute("SELECT length(answer) FROM network_answers"))
    wrong += [f"{20 - rows[str(number)]} rows lost" for number in done if rows[str(number)] != 20]
    return wrong + (["a torn row"] if sizes - {(2500,)} else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of runs, and of writers")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        whole = Undisturbed.of(STUDY, Path(place) / "whole")
        parts = Folder(Path(place) / "parts").begin(STUDY, like=whole.folder)
        tallies = {
            "`zsbench run`": kill_runs(whole, parts, given.kills, draw),
            "a process that only writes": kill_writers(Path(place) / "writers", given.kills, draw),
        }
    print("| killed | kills | in the middle of | looked at | lost, doubled or torn |")
    print("|---|--:|---|--:|--:|")
    for what, tally in tallies.items():
        where = ", ".join(f"{name} {count}" for name, count in tally.where.most_common())
        print(f"| {what} | {tally.kills} | {where} | {tally.compared} | {len(tally.wrong)} |")
        for words in tally.wrong:
            print(f"wrong: {words}", file=sys.stderr)
    sys.exit(any(tally.wrong for tally in tallies.values()))


if __name__ == "__main__":
    main()
