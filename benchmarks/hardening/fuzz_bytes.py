"""One byte format fuzzed by atheris, with the coverage of this package to guide it; `fuzz.py --atheris` starts it.

    python fuzz_bytes.py FORMAT [option of libFuzzer]...

Runs in the working folder, where libFuzzer leaves the case that failed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).parents[2] / "tests" / room) for room in ("datasets", "hardening")]

with atheris.instrument_imports(include=["robustbench_zs"]):
    from fuzz_targets import TARGETS, good_files

SEEDS = {
    "checkpoint bytes": ["checkpoint"],
    "baselines": ["baseline"],
    "Parquet": ["parquet"],
    "images": ["png", "webp", "bmp"],
}
"""Right files by format, to begin with."""


def main() -> None:
    target = TARGETS[sys.argv[1]]
    corpus = Path("corpus")
    corpus.mkdir(exist_ok=True)
    for kind in SEEDS[target.name]:
        (corpus / kind).write_bytes(good_files()[kind])
    atheris.Setup([sys.argv[0], *sys.argv[2:], "-timeout=30", "-max_len=20000", str(corpus)], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
