"""What 1 to 64 workers make of the paper's studies and the atlas: `python benchmarks/cluster/simulate.py`.

Job times are the multiply-adds of each job by the measured rates (rates.json); what the engine adds to a job, and how fast
its driver hands jobs out, are measured with empty jobs (engine.json). Writes table.md and efficiency.png.
"""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from robustbench_zs import Study, load_study, make_plan
from robustbench_zs.studies.cost import training_work, work

HERE = Path(__file__).parent
WORKERS = (1, 2, 4, 8, 16, 32, 64)
PAPER = ("table1", "table2", "table3", "table4", "table6", "table7", "figure4", "fgsm-mnist", "pgd-cifar10")
"""Table 5 is on ImageNet, which no one trains on single cores; Tables 8 to 10 train nothing."""
ATLAS = ("atlas-digits", "atlas-mnist", "atlas-cifar10")
SHAPES = {
    "digits": "zerosnet8-opt on digits",
    "mnist": "zerosnet20-opt on mnist",
    "cifar10": "zerosnet56-opt on cifar10",
    "cifar100": "zerosnet56-opt on cifar10",
}


@dataclass(frozen=True)
class Engine:
    """What was measured of the engine: seconds to start a worker, seconds added to a job, jobs per second."""

    start: float
    job: float
    jobs_per_second: float


@dataclass(frozen=True)
class Set:
    """Parts of studies, one after the other as `zsbench run` does them: seconds of each job on one core."""

    name: str
    parts: list[list[float]]

    @property
    def jobs(self) -> list[float]:
        return [job for part in self.parts for job in part]


def jobs_of(name: str, rates: dict[str, dict[str, float]]) -> list[list[float]]:
    """Seconds of the jobs of each part of a study: one job trains and evaluates a network."""
    parts = []
    for part in load_study(name).parts:
        assert isinstance(part, Study)
        plan = make_plan(part)
        rate = rates[SHAPES[part.dataset.name]]
        parts.append([training_work(s.task) / rate["training"] + work(s) / rate["noise"] for s in plan.evaluations])
    return parts


def elapsed(parts: list[list[float]], workers: int, engine: Engine) -> float:
    """Seconds until all parts are done: jobs in their order, handed out one by one, each to the next free worker."""
    now = 0.0
    free = [engine.start] * workers
    for jobs in parts:
        free = [max(now, at) for at in free]
        heapq.heapify(free)
        handed, ends = now, []
        for job in jobs:
            handed += 1 / engine.jobs_per_second
            ends.append(max(heapq.heappop(free), handed) + engine.job + job)
            heapq.heappush(free, ends[-1])
        now = max(ends)
    return now


def main() -> None:
    """Write the table and the figure."""
    rates = json.loads((HERE / "rates.json").read_text())["rates"]
    engine = Engine(**json.loads((HERE / "engine.json").read_text())["engine"])
    ideal = Engine(0.0, 0.0, float("inf"))
    paper = Set("the paper", [part for name in PAPER for part in jobs_of(name, rates)])
    atlas = Set("the atlas", [part for name in ATLAS for part in jobs_of(name, rates)])
    both = Set("both, as one list of jobs", [[*paper.jobs, *atlas.jobs]])
    lines = [
        "| set | jobs | core hours | longest job | workers | time | efficiency | of it lost to the engine |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(6, 3.6))
    for each in (paper, atlas, both):
        total = sum(each.jobs)
        efficiencies = []
        for workers in WORKERS:
            seconds, without = (elapsed(each.parts, workers, how) for how in (engine, ideal))
            efficiencies.append(100 * total / (workers * seconds))
            first = [each.name, f"{len(each.jobs):,}", f"{total / 3600:,.0f}", f"{max(each.jobs) / 3600:,.1f} h"]
            cells = first if workers == 1 else [""] * 4
            lost = 100 * total / (workers * without) - efficiencies[-1]
            cells += [str(workers), f"{seconds / 3600:,.1f} h", f"{efficiencies[-1]:.1f}%", f"{lost:.3f} points"]
            lines.append("| " + " | ".join(cells) + " |")
        axes.plot(WORKERS, efficiencies, marker="o", label=each.name)
    axes.set(xscale="log", xticks=WORKERS, xticklabels=WORKERS, ylim=(0, 103), xlabel="Workers", ylabel="Efficiency (%)")
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(HERE / "efficiency.png", dpi=110)
    (HERE / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
