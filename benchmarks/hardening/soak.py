"""An hour of `zsbench run` over generated studies in one folder, killed again and again: does memory grow, is anything lost?

python benchmarks/hardening/soak.py --minutes 60

Each study has 20 networks. A run of it is killed at random moments a few times, then left to end; its rows are counted
against its plan. Every fifth study is run once more in a folder of its own, undisturbed, and compared row by row. Memory is
what the largest process of a run has in RAM, sampled twice a second. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from runs import TABLES, Folder, study_text

from robustbench_zs.studies.load import load_study
from robustbench_zs.studies.plan import make_plan
from robustbench_zs.studies.study import Study

SCHEMES = [f"table10-{i}" for i in range(1, 11)]
MAX_KILLS = 4
MEGABYTE = 2**20


def memory_of(process: int) -> int:
    """Bytes in RAM of the largest process of a process group: how many there are depends on what is still to be done."""
    largest = 0
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                if os.getpgid(int(place.name)) == process:
                    pages = int((place / "statm").read_text().split()[1])
                    largest = max(largest, pages * os.sysconf("SC_PAGE_SIZE"))
            except (ProcessLookupError, FileNotFoundError):
                continue
    return largest


def watch(process: subprocess.Popen[bytes]) -> list[int]:
    """The memory of a run until it ends, twice a second."""
    samples = []
    while process.poll() is None:
        samples.append(memory_of(process.pid))
        time.sleep(0.5)
    return samples


@dataclass
class Soak:
    """What happened in an hour."""

    studies: int = 0
    kills: int = 0
    where: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    compared: int = 0
    wrong: list[str] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    growth: list[float] = field(default_factory=list)


def text_of(number: int, networks: int) -> str:
    seeds = [2 * number, 2 * number + 1] if networks > 10 else [number]
    return study_text(f"soak-{number}", SCHEMES[: min(networks, 10)], seeds, 15, 100, 12)


def planned(path: Path) -> Counter[str]:
    """How many rows the plan of a study makes in each table of the store."""
    study = load_study(path)
    assert isinstance(study, Study)
    plan = make_plan(study)
    answers = sum(len(step.questions) for step in plan.evaluations) + sum(len(step.targets) for step in plan.transfers)
    return Counter({"network_answers": answers, "checkpoints": len(plan.evaluations)})


def soak(place: Path, minutes: float, draw: random.Random, networks: int = 20) -> Soak:
    """Run studies until the time is over; the last one ends by itself."""
    done, folder = Soak(), Folder(place / "soak")
    expected = Counter[str]()
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end or not done.studies:
        text = text_of(done.studies, networks)
        folder.path.mkdir(parents=True, exist_ok=True)
        (folder.path / folder.study).write_text(text, encoding="utf-8")
        here = os.getcwd()
        os.chdir(folder.path)
        expected += planned(Path(folder.study))
        os.chdir(here)
        for _ in range(draw.randint(1, MAX_KILLS)):
            if folder.kill_after(draw.uniform(4, 30)):
                done.kills += 1
                done.where[folder.standing] += 1
        process = folder.start()
        samples = watch(process)
        if process.returncode != 0:
            done.wrong.append(f"exit code {process.returncode}: {(folder.path / 'log.txt').read_text()[-500:]}")
            return done
        note_memory(done, samples)
        rows = folder.rows()
        for table in TABLES:
            if len(rows[table]) != expected[table]:
                done.wrong.append(f"study {done.studies}: {len(rows[table])} rows of {table}, not {expected[table]}")
        leftovers = [name for name in folder.files() if name.endswith((".part", ".lock", ".state.safetensors", "-journal"))]
        done.wrong += [f"study {done.studies}: left behind {name}" for name in leftovers]
        if done.studies % 5 == 0:
            compare(place, folder, text, done)
        done.rows = sum(map(len, rows.values()))
        done.studies += 1
    return done


def note_memory(done: Soak, samples: list[int]) -> None:
    """The peak of a run, and by how much its last quarter is above its second one."""
    if not samples:
        return
    done.peaks.append(max(samples))
    quarter = len(samples) // 4
    if quarter >= 5:
        second, last = samples[quarter : 2 * quarter], samples[-quarter:-1]
        done.growth.append(statistics.median(last) / statistics.median(second))


def compare(place: Path, folder: Folder, text: str, done: Soak) -> None:
    """One study again, undisturbed and elsewhere: each of its rows must be among those of the soak, and its weights too."""
    whole = Folder(place / "whole").begin(text)
    whole.finish()
    rows = folder.rows()
    for table, alone in whole.rows().items():
        lacking = len(set(alone) - set(rows[table]))
        if lacking:
            done.wrong.append(f"study {done.studies}: {lacking} rows of {table} differ from an undisturbed run")
    weights = folder.weights()
    done.wrong += [f"weights of {name}" for name, digest in whole.weights().items() if weights.get(name) != digest]
    done.compared += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        start = time.monotonic()
        done = soak(Path(place), given.minutes, random.Random(given.seed))
        minutes = (time.monotonic() - start) / 60
    where = ", ".join(f"{name} {count}" for name, count in done.where.most_common())
    peaks, quarter = [p / MEGABYTE for p in done.peaks], max(1, len(done.peaks) // 4)
    print("| what | figure |\n|---|---|")
    print(f"| time | {minutes:.0f} minutes |")
    print(f"| studies run to their end | {done.studies}, {done.compared} of them compared with an undisturbed run |")
    print(f"| kills | {done.kills} ({where}) |")
    print(f"| rows in the store | {done.rows} |")
    print(f"| rows lost, doubled or different, files left behind | {len(done.wrong)} |")
    early, late = statistics.median(peaks[:quarter]), statistics.median(peaks[-quarter:])
    print(f"| peak memory of a run | {min(peaks):.0f} to {max(peaks):.0f} MiB; first quarter {early:.0f}, last {late:.0f} |")
    if done.growth:
        low, middle, high = min(done.growth), statistics.median(done.growth), max(done.growth)
        print(f"| memory in a run, last quarter over second | {middle:.2f} (median; {low:.2f} to {high:.2f}) |")
    for words in done.wrong:
        print(f"wrong: {words}", file=sys.stderr)
    sys.exit(bool(done.wrong))


if __name__ == "__main__":
    main()
