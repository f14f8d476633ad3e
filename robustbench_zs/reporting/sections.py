"""The sections of a study's report, each a function of its findings; None where the study has nothing to say there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from robustbench_zs.analysis.exceptions import exception_sentences
from robustbench_zs.analysis.leads import MIN_TO_SEPARATE
from robustbench_zs.analysis.masking import masking_sentences
from robustbench_zs.analysis.network_outcomes import ROBUSTNESS
from robustbench_zs.analysis.reliability import MIN_RELIABILITY
from robustbench_zs.analysis.transfer import transfer_by_verdict, transfer_sentence
from robustbench_zs.analysis.words import share, summary_sentences, together_sentence
from robustbench_zs.reporting import alternatives, drawing, figures, root_figures, tables
from robustbench_zs.reporting.accuracy_sections import accuracies, paper
from robustbench_zs.reporting.attack_sections import curves, masking, transfer
from robustbench_zs.reporting.control_section import controls
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.network_sections import Blocks, compared, diverged, every_network, examples, trainable
from robustbench_zs.reporting.page import Section, Table
from robustbench_zs.reporting.plain import bullets
from robustbench_zs.reporting.provenance import made


def found(study: Findings) -> Section:
    """All findings as sentences."""
    transferred = transfer_sentence(transfer_by_verdict(study.transfers)) if len(study.transfers) else None
    exceptions = exception_sentences(study.outcomes.assign(network=study.outcomes["network"].map(study.networks)))
    sentences = [*summary_sentences(study.shown), *exceptions, *([transferred] if transferred else [])]
    blocks: Blocks = [bullets(sentences)]
    if study.attacks:
        blocks += [
            "Robust accuracies are upper bounds, since a stronger attack may find more. Checks of whether gradients misled "
            "these attacks:",
            bullets(masking_sentences(study.named(study.masking))),
        ]
    return Section("What was found", f"{together_sentence(study.shown)}.", blocks)


def modulus(study: Findings) -> Section:
    """The largest modulus with every outcome."""
    searched = "The headline outcome is the mean smallest ε of the images that a network classifies correctly when clean."
    attacked = (
        "The smallest ε of each image was not searched in this study, so the share of correct images lost at the ε of each "
        "attack stands in its place."
    )
    drawn = study.outcomes_shown.loc[study.outcomes_shown["family"] == ROBUSTNESS, "outcome"].nunique()
    figure = figures.robustness_against_modulus(study.outcomes_shown)
    blocks: Blocks = []
    if figure:
        blocks.append(
            drawing.picture(
                "degradation",
                figure,
                "Each point is a network. If the largest modulus predicted robustness, the points of a panel would rise or "
                "fall from left to right. The dotted line is the unit circle: schemes to its right are not zero-stable."
                + (
                    f" The first {figures.MAX_OUTCOMES} of {drawn} outcomes are drawn."
                    if drawn > figures.MAX_OUTCOMES
                    else ""
                ),
                alternatives.robustness_text(study.outcomes_shown),
            )
        )
    if len(study.conclusions.modulus):
        blocks.append(
            Table(
                "correlations",
                tables.correlation_table(study.shown.modulus),
                f"Spearman's ρ between the largest modulus and each outcome, over scheme means. {tables.SECOND_LOOKS} "
                + (
                    "Reliability is 1 if two trainings of one scheme always agree and 0 if they differ as much as those of "
                    "different schemes."
                    if study.conclusions.modulus["reliability"].notna().any()
                    else "With one seed per scheme, nothing is known of their reliability."
                ),
            )
        )
    return Section(
        "Does the largest root modulus predict it?",
        "The table relates the largest root modulus of a scheme to each outcome and says what may be stated. "
        + (searched if len(study.curves) else attacked if study.attacks else ""),
        [
            *blocks,
            "The intervals are Fisher's z with the variance of Bonett and Wright.",
            "p-values come from permuting whole schemes, all outcomes together "
            f"({'99,999' if study.conclusions.schemes > 8 else 'all'} permutations). The adjusted ones hold for "
            "all outcomes of a family at once (step-down max-T); clean accuracy and generalization gap are one family, "
            "robustness is the other. A relation is established if its adjusted p is at most .05, there are at least six "
            "schemes, all relations of the report and of the family, each taken together, have p of at most .05, and, for "
            "robustness, ρ keeps its sign on the images that at least 95% of the networks classify correctly (shared "
            "images) and given the clean accuracy."
            + (
                f" The reliability is the intraclass correlation of seeds. Below {share(MIN_RELIABILITY, 1)}, two trainings "
                "of one scheme differ as much as two schemes do, and there is nothing to predict."
                if study.conclusions.modulus["reliability"].notna().any()
                else ""
            ),
        ],
    )


def predictors(study: Findings) -> Section | None:
    """Which quantity of the scheme predicts each outcome best."""
    if study.conclusions.predictors.empty:
        return None
    compared = study.conclusions.best["lead_low"].notna().any()
    return Section(
        "Which quantity predicts it best?",
        "For each outcome, the table names the quantity of the scheme with the largest |ρ|"
        + (", and says whether it leads." if compared else "."),
        [
            Table("best_predictors", tables.best_predictor_table(study.shown.best)),
            "The best quantity was picked after looking, so its p-value is adjusted for all pairs of outcome and quantity. "
            + (
                "The lead in |ρ| has Zou's interval, which holds for all pairs of quantities together."
                if compared
                else f"With fewer than {MIN_TO_SEPARATE} schemes, whether one quantity predicts better than another is not "
                "tested."
            ),
            Table("predictors", tables.predictor_table(study.shown), "Spearman's ρ of each quantity, the best in bold."),
            "All numbers are in `predictors.csv` and `best_predictors.csv`, and the outcomes of each network are in "
            "`outcomes.csv`.",
        ],
    )


def quantities(study: Findings) -> Section | None:
    """What the quantities of a scheme mean."""
    if study.conclusions.predictors.empty:
        return None
    return Section(
        "What the quantities measure",
        "All of them follow from the coefficients α and β of a scheme and the number of blocks alone; nothing is trained.",
        [
            Table(
                "quantities",
                tables.quantities_table(),
                "The impulse response g says what is left of a residual one, two, three … blocks after it was added.",
            )
        ],
    )


def effects(study: Findings) -> Section | None:
    """Zero-stable against other schemes."""
    if study.conclusions.effects.empty:
        return None
    return Section(
        "How large is the effect of zero-stability?",
        "The table compares schemes that are not zero-stable with those that are; each scheme counts once.",
        [
            Table("effects", tables.effect_table(study.shown.effects)),
            "The shift (Hodges–Lehmann) is the median difference between a scheme that is not zero-stable and one that "
            f"is, in points{' or as an ε' if study.search else ''}. Its 95% interval inverts the Mann–Whitney test. Cliff's "
            "delta is the share of these pairs in which the non-zero-stable scheme is higher minus the share in which it is "
            "lower: ±1 if the two sides do not overlap, 0 if they are alike. p-values and findings follow the rules above.",
        ],
    )


def degradation(study: Findings) -> Section | None:
    """What perturbations cost both sides."""
    if study.losses.empty:
        return None
    return Section(
        "What perturbations cost",
        "The table gives the mean loss of zero-stable and non-zero-stable networks under each perturbation.",
        [
            Table("degradation", tables.degradation_table(study.named(study.losses))),
            "Seeds are averaged first, then networks. The drop is in percentage points of accuracy. Lost is the percentage "
            "of the images classified correctly when clean that are misclassified when perturbed; images that turn right do "
            "not offset it, so it can exceed the drop. The relative drop, for noise, is the drop divided by (clean accuracy "
            "− chance). A network that classifies more images correctly has more to lose, so no relation is tested on the "
            "drop.",
        ],
    )


def roots(study: Findings) -> Section | None:
    """Where the roots are, and clean accuracy over them."""
    if not study.schemes:
        return None
    named = study.named(study.results)
    by_roots = root_figures.accuracy_by_roots(named)
    plane = root_figures.roots_in_the_plane(study.schemes)
    blocks: Blocks = [
        drawing.picture(
            "plane",
            plane,
            "A scheme is zero-stable if none of its roots lies outside the unit circle (grey) and those on it are simple.",
            alternatives.plane_text(study.schemes),
        )
    ]
    if by_roots:
        blocks.append(
            drawing.picture(
                "roots",
                by_roots,
                "Clean accuracy for each pattern of root moduli, sorted by the largest, as in the paper's Figure 4."
                + (" Bars are one standard deviation over seeds." if study.seeds > 1 else ""),
                alternatives.roots_text(named),
            )
        )
    return Section("The roots", "The characteristic roots of each scheme decide whether it is zero-stable.", blocks)


def gaps(study: Findings) -> Section:
    """Training against test accuracy."""
    return Section(
        "Generalization gap",
        "The gap is the accuracy on the clean training images, not augmented, minus the test accuracy (the paper's Table "
        "7).",
        [Table("table7", tables.table_7(study.named(study.gaps)))],
    )


SECTIONS: Sequence[Callable[[Findings], Section | None]] = (
    *(
        compared,
        found,
        modulus,
        predictors,
        effects,
        degradation,
        accuracies,
        controls,
        paper,
        roots,
        masking,
        curves,
        transfer,
    ),
    *(gaps, trainable, diverged, examples, every_network, quantities, made),
)
"""The sections of a study's report, in their order."""
