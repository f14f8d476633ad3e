from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from torch import Tensor, nn

from robustbench_zs import Model, masking
from robustbench_zs.analysis.masking import (
    ALPHA,
    CHECKS,
    MIN_EFFECT,
    flagged_networks,
    masking_checks,
    masking_rows,
    masking_sentences,
)
from robustbench_zs.cli.main import main
from robustbench_zs.datasets import LabelledImages
from robustbench_zs.errors import RequestError
from robustbench_zs.evaluation import measure
from robustbench_zs.evaluation.questions.masking import MIN_IMAGES, SPREAD, Evidence, MaskingProbe, Rescaled, probe_network
from robustbench_zs.training import Checkpoint

CPU = torch.device("cpu")


class Scaled(nn.Module):
    """A network with its logits times `factor`: the same decisions, a saturated loss."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return self.factor * logits


class Constant(nn.Module):
    """Answers 0 whatever the image."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.eye(10)[:1].expand(len(images), 10) + 0 * images.sum()


def raised(network: nn.Module, digits: LabelledImages, images: int = 100) -> dict[str, bool | None]:
    clean = measure(network, digits, None, device=CPU, batch_size=360)
    probe = MaskingProbe(0.1, images)
    evidence = probe_network(network, digits, clean, probe, device=CPU, batch_size=360)
    assert Evidence.model_validate_json(evidence.model_dump_json()) == evidence
    checks = masking_checks(evidence)
    assert tuple(c.name for c in checks) == CHECKS
    assert all(c.sentence for c in checks)
    return {c.name: c.flagged for c in checks}


def test_an_ordinary_network_raises_no_flag(checkpoint: Checkpoint, digits: LabelledImages) -> None:
    assert raised(checkpoint.network(), digits) == dict.fromkeys(CHECKS, False)


def test_logits_times_1000_raise_the_flags(checkpoint: Checkpoint, digits: LabelledImages) -> None:
    flags = raised(Scaled(checkpoint.network(), 1000), digits)
    assert flags == {**dict.fromkeys(CHECKS, True), "fgsm_beats_pgd": False}


@pytest.mark.parametrize("kind", ["diverged", "constant", "few images"])
def test_without_enough_right_answers_nothing_is_decided(
    kind: str, checkpoint: Checkpoint, diverged: Checkpoint, digits: LabelledImages
) -> None:
    network = {"diverged": diverged.network(), "constant": Constant()}.get(kind, checkpoint.network())
    images = MIN_IMAGES - 1 if kind != "diverged" else 100
    assert raised(network, digits, images) == dict.fromkeys(CHECKS, None)


def test_rescaling_changes_no_decision_and_no_direction_at_its_own_spread(
    checkpoint: Checkpoint, digits: LabelledImages
) -> None:
    network, images = checkpoint.network(), digits.images(slice(0, 20))
    logits, rescaled = network(images), Rescaled(network)(images)
    assert torch.equal(logits.argmax(1), rescaled.argmax(1))
    torch.testing.assert_close(rescaled.amax(1) - rescaled.amin(1), torch.full((20,), SPREAD))
    # By hand for one image: cross-entropy at temperature spread / SPREAD
    x = images[:1].clone().requires_grad_()
    temperature = (logits[0].max() - logits[0].min()).item() / SPREAD
    (expected,) = torch.autograd.grad(F.cross_entropy(network(x) / temperature, digits.labels[:1]), x)
    (found,) = torch.autograd.grad(F.cross_entropy(Rescaled(network)(x), digits.labels[:1]), x)
    torch.testing.assert_close(found, expected)


Bits = tuple[bool, ...]


def evidence_of(standing: dict[str, Bits] | None = None, usable: Bits | None = None, **changes: Any) -> Evidence:
    some: Bits = (True,) * 40 + (False,) * 60
    none: Bits = (False,) * 100
    found = dict.fromkeys(("fgsm", "pgd", "rescaled pgd", "square"), some)
    found |= dict.fromkeys(("unbounded pgd", "longer unbounded pgd"), none)
    return Evidence(
        images=100,
        eps=0.1,
        steps=10,
        queries=100,
        usable_gradients=usable or (True,) * 100,
        standing=found | (standing or {}),
        **changes,
    )


@pytest.mark.parametrize(
    ("check", "attack"),
    [("fgsm_beats_pgd", "fgsm"), ("black_box_wins", "square"), ("loss_scale_sensitivity", "rescaled pgd")],
)
@given(it_alone=st.integers(0, 40), pgd_alone=st.integers(0, 60))
def test_an_attack_beats_pgd_only_if_an_exact_mcnemar_test_says_so(
    check: str, attack: str, it_alone: int, pgd_alone: int
) -> None:
    # Of 40 images that withstand PGD the attack fools some; of 60 fooled by PGD some withstand the attack.
    standing = tuple(i >= it_alone for i in range(40)) + tuple(i < pgd_alone for i in range(60))
    checks = {c.name: c.flagged for c in masking_checks(evidence_of(standing={attack: standing}))}
    p = float(binom.sf(it_alone - 1, it_alone + pgd_alone, 0.5))
    assert checks[check] == (p < ALPHA and it_alone - pgd_alone >= 100 * MIN_EFFECT)
    assert not any(flag for name, flag in checks.items() if name != check)


def test_withstanding_an_unbounded_attack_is_flagged_and_more_steps_may_clear_it_up() -> None:
    many: Bits = (True,) * 30 + (False,) * 70
    few: Bits = (True,) * 2 + (False,) * 98

    def flags(unbounded: Bits, longer: Bits) -> tuple[bool | None, bool | None]:
        standing = {"unbounded pgd": unbounded, "longer unbounded pgd": longer}
        checks = {c.name: c.flagged for c in masking_checks(evidence_of(standing=standing))}
        return checks["not_falling"], checks["more_steps_do_not_help"]

    assert flags(many, many) == (True, True)
    assert flags(many, few) == (True, False)
    assert flags(few, few) == (False, False)


def test_a_probe_out_of_range_is_refused() -> None:
    for wrong in ({"eps": 0}, {"eps": 2}, {"images": 0}, {"steps": 0}, {"queries": 0}, {"seed": -1}, {"engine": "x"}):
        with pytest.raises(RequestError):
            MaskingProbe(**{"eps": 0.1, **wrong})  # type: ignore[arg-type]


def test_sentences_name_flags_or_say_that_there_are_none() -> None:
    clear = masking_rows("a", 0, masking_checks(evidence_of()))
    vanishing = masking_rows("b", 0, masking_checks(evidence_of(usable=(False,) * 50 + (True,) * 50)))
    assert masking_sentences(pd.DataFrame(clear)) == ["No flag in 6 checks of 1 networks."]
    both = pd.DataFrame(clear + vanishing)
    assert flagged_networks(both) == {"b": ["zero_gradients"]}
    assert masking_sentences(both) == ["`b`: zero gradients: 50 of 100 images have no usable gradient."]
    few = pd.DataFrame(masking_rows("c", 0, masking_checks(Evidence(images=7, eps=0.1, steps=10, queries=100))))
    assert masking_sentences(few)[0] == "No check was made."
    assert "only 7 images are classified correctly" in masking_sentences(few)[1]


def scaled_network() -> nn.Module:
    """A random linear classifier with huge logits."""
    torch.manual_seed(0)
    return Scaled(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), 1000)


def test_the_command_prints_a_row_a_check_and_reuses_what_is_stored(
    checkpoint: Checkpoint, working_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = masking([checkpoint], images=50, queries=20)
    assert list(first["check"]) == list(CHECKS)
    assert list(first["flagged"]) == [False] * 6
    assert first["images"].unique().tolist() == [50]
    with pytest.raises(SystemExit) as ended:
        main(["masking", str(checkpoint.path), "--images", "50", "--queries", "20", "--format", "json"])
    assert ended.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["finding"] for row in printed] == list(first["finding"])


def test_a_model_of_ones_own_is_probed_too(working_folder: Path) -> None:
    rows = masking([Model(f"{__name__}:scaled_network")], dataset="digits", images=50, queries=5)
    assert rows["flagged"].isna().all()  # a random classifier is right on too few images, which is said
    assert "at least 50 are needed" in rows["finding"][0]
