"""Draw the pool, choose the schemes of the atlas and write `robustbench_zs/schemes/atlas.json`.

    python benchmarks/atlas/choose_schemes.py [--check]

With `--check` nothing is written: it says whether the file is what this code makes. Takes some minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import numpy as np
from exchange import exchange, mean_correlation, nested, ranks_of
from inverse_design import draw_pool

import robustbench_zs.schemes as schemes_room
from robustbench_zs.analysis.predictors import scheme_predictors
from robustbench_zs.schemes import MultistepScheme
from robustbench_zs.schemes.atlas import HALVES
from robustbench_zs.schemes.coefficients import format_coefficient
from robustbench_zs.system.files import canonical_json

VERSION = 1
SEED = 20
POOL = 12_000
HALF = 400
SIZES = (200, 100, 50, 24, 12)
BLOCKS = (27, 9)
"""Of networks of 56 layers, as on digits, and of 20, as on CIFAR-10 and MNIST; a stage of the former has 9 blocks too."""

FILE = Path(schemes_room.__file__).with_name("atlas.json")


def choose() -> dict[str, object]:
    """The content of the file."""
    pool = draw_pool(SEED, POOL)
    ranks = [ranks_of(np.array([candidates(scheme, blocks) for scheme in pool], dtype=np.float64)) for blocks in BLOCKS]
    strata = [stratum(scheme) for scheme in pool]
    random = Random(SEED)
    halves: dict[str, list[tuple[str, str]]] = {}
    print(f"pool: mean |rank correlation| of candidates {mean_correlation(ranks, range(POOL)):.3f}")
    both = exchange(ranks, strata, range(POOL), len(HALVES) * HALF, random)
    both.sort(key=lambda index: (strata[index], random.random()))
    for place, half in enumerate(HALVES):  # dealt at random within each stratum, so that the halves are alike
        order = nested(ranks, strata, both[place :: len(HALVES)], SIZES, random)
        for size in (HALF, *SIZES):
            print(f"{half}, first {size}: {mean_correlation(ranks, order[:size]):.3f}")
        halves[half] = [coefficients(pool[index]) for index in order]
    return {"version": VERSION, "seed": SEED, "pool": POOL, "digest": digest_of(halves), **halves}


def digest_of(halves: Mapping[str, Sequence[Sequence[str]]]) -> str:
    """SHA-256 of the chosen schemes in their order."""
    return hashlib.sha256(canonical_json({half: halves[half] for half in HALVES}).encode()).hexdigest()


def candidates(scheme: MultistepScheme, blocks: int) -> list[float | None]:
    """Every predictor but those over one stage."""
    values = scheme_predictors(scheme, blocks, blocks)
    return [value for name, value in values.items() if not name.startswith("stage_")]


def stratum(scheme: MultistepScheme) -> tuple[int, bool, bool]:
    """Range of the largest modulus, whether there is a root at 1, and consistency: each keeps its share."""
    modulus = round(scheme.largest_modulus, 9)
    return int(modulus >= 1) + int(modulus > 1) + int(modulus > 1.4), sum(scheme.alphas) == 1, bool(scheme.consistent)


def coefficients(scheme: MultistepScheme) -> tuple[str, str]:
    """Alphas and β as text that is read back exactly."""
    assert scheme.beta is not None
    return " ".join(map(format_coefficient, scheme.alphas)), format_coefficient(scheme.beta)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    made = choose()
    lines = [f'"{key}": {json.dumps(value)}' for key, value in made.items() if key not in HALVES]
    lines += [f'"{half}": [\n' + ",\n".join(map(json.dumps, made[half])) + "\n]" for half in HALVES]  # type: ignore[call-overload]
    text = "{" + ",\n".join(lines) + "}\n"
    if not parser.parse_args().check:
        FILE.write_text(text, encoding="utf-8")
    elif FILE.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{FILE} is not what this code makes")


if __name__ == "__main__":
    main()
