"""The sections of a study's report, each a function of its findings; None where the study has nothing to say there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from robustbench_zs.analysis.masking import masking_sentences
from robustbench_zs.analysis.network_outcomes import ROBUSTNESS
from robustbench_zs.analysis.transfer import transfer_by_verdict, transfer_matrix, transfer_sentence
from robustbench_zs.analysis.words import summary_sentences, together_sentence
from robustbench_zs.reporting import alternatives, drawing, figures, root_figures, tables
from robustbench_zs.reporting.accuracy_sections import accuracies, paper
from robustbench_zs.reporting.control_section import controls
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.network_sections import Blocks, compared, diverged, every_network, examples, trainable
from robustbench_zs.reporting.page import Section, Table
from robustbench_zs.reporting.plain import bullets
from robustbench_zs.reporting.provenance import made

MAX_MATRIX = 24
"""Networks in the table of transfers; beyond it, `transfer.csv` alone has all pairs."""


def found(study: Findings) -> Section:
    """All findings as sentences."""
    transferred = transfer_sentence(transfer_by_verdict(study.transfers)) if len(study.transfers) else None
    sentences = [*summary_sentences(study.shown), *([transferred] if transferred else [])]
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
            "The intervals are Fisher's z with the variance of Bonett and Wright. For perturbations other than searched "
            "attacks, the outcome is the share lost: of the images classified correctly when clean, the share misclassified "
            "when perturbed.",
            "p-values come from permuting whole schemes, all outcomes together (99,999 permutations; all of them for up "
            "to eight schemes). The adjusted ones hold for all outcomes of a family at once (step-down max-T); clean "
            "accuracy and generalization gap are one family, robustness is the other. A relation is established if its "
            "adjusted p is at most .05, there are at least six schemes, all relations of the report and of the family, "
            "each taken together, have p of at most .05, and, for robustness, ρ keeps its sign on the images that at "
            "least 95% of the networks classify correctly (shared images) and given the clean accuracy. The reliability "
            "is the intraclass correlation of seeds. Below .3 the schemes do not differ in the outcome, and there is "
            "nothing to predict.",
        ],
    )


def predictors(study: Findings) -> Section | None:
    """Which quantity of the scheme predicts each outcome best."""
    if study.conclusions.predictors.empty:
        return None
    return Section(
        "Which quantity predicts it best?",
        "For each outcome, the table names the quantity of the scheme with the largest |ρ|, and says whether it leads.",
        [
            Table("best_predictors", tables.best_predictor_table(study.shown.best)),
            "The best quantity was picked after looking, so its p-value is adjusted for all pairs of outcome and quantity. "
            "Below 40 schemes, quantities are not compared. With more, the lead in |ρ| has Zou's interval, which holds "
            "for all pairs of quantities together.",
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
            "is, in points or as an ε. Its 95% interval inverts the Mann–Whitney test. Cliff's delta is the share of "
            "these pairs in which the non-zero-stable scheme is higher minus the share in which it is lower: ±1 if the "
            "two sides do not overlap, 0 if they are alike. p-values and findings follow the rules above.",
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
            "of the images classified correctly when clean that are misclassified when perturbed. The relative drop, for "
            "noise, is the drop divided by (clean accuracy − chance). A network that classifies more images correctly has "
            "more to lose, so no relation is tested on the drop.",
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


def masking(study: Findings) -> Section | None:
    """Whether attacks failed for the wrong reason."""
    if study.masking.empty:
        return None
    return Section(
        "Can the attacks be trusted?",
        "Six checks look for networks on which attacks fail for the wrong reason, such as vanishing gradients.",
        [
            Table("masking", tables.masking_table(study.named(study.masking))),
            "The checks use test images that the first seed of each network classifies correctly, at the largest ε of the "
            f"study. {tables.FLAG} is a flag, and – a check that was not made. `zsbench masking --help` gives the "
            "thresholds and `masking.csv` all findings.",
        ],
    )


def curves(study: Findings) -> Section | None:
    """Robust accuracy against ε."""
    if study.curves.empty:
        return None
    named = study.named(study.curves)
    return Section(
        "Robustness curves",
        "A minimum-norm attack searched for the smallest ε that fools each image. The robust accuracy at ε is the share of "
        "images that need more.",
        [
            drawing.picture(
                "curves",
                figures.robustness_curves(named),
                f"{figures.LINES} A line that lies higher means a more robust network.",
                alternatives.curves_text(named),
            ),
            Table(
                "smallest_eps",
                tables.smallest_eps_table(named),
                "The values of ε that fool a quarter, half and three quarters of the images classified correctly when "
                "clean, mean ± standard deviation over seeds.",
            ),
            "Each ε found is an upper bound: an adversarial example that the attack missed may lie nearer.",
        ],
    )


def transfer(study: Findings) -> Section | None:
    """Which networks the examples of others fool."""
    if study.transfers.empty:
        return None
    matrix = tables.transfer_matrix_table(transfer_matrix(study.named(study.transfers)))
    blocks: Blocks = [
        Table(
            "transfer_by_verdict",
            tables.transfer_by_verdict_table(transfer_by_verdict(study.transfers)),
            "Means over pairs of networks, with 95% bootstrap intervals over schemes. The difference is non-zero-stable "
            "shown to zero-stable, minus the reverse.",
        )
    ]
    if len(matrix.columns) <= MAX_MATRIX:
        blocks.append(
            Table(
                "transfer_matrix",
                matrix,
                "One row per network that was attacked, one column per network that was shown the examples. A network's own "
                "examples are in bold.",
            )
        )
    return Section(
        "Do adversarial examples transfer?",
        "The first seed of each network was attacked, and its adversarial examples were shown to the others. The tables "
        "give the percentage fooled among the images that a network classifies correctly when clean.",
        blocks,
    )


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
