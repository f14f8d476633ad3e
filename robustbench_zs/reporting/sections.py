"""The sections of a study's report, each a function of its findings; None where the study has nothing to say there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import pandas as pd
from matplotlib.figure import Figure

from robustbench_zs.analysis.against_paper import accuracy_cells, against_paper
from robustbench_zs.analysis.masking import masking_sentences
from robustbench_zs.analysis.summary import CLEAN
from robustbench_zs.analysis.transfer import transfer_by_verdict, transfer_matrix, transfer_sentence
from robustbench_zs.analysis.words import summary_sentences, together_sentence
from robustbench_zs.reporting import alternatives, figures, tables
from robustbench_zs.reporting.findings import Findings
from robustbench_zs.reporting.page import Picture, Section, Table
from robustbench_zs.reporting.plain import again, beside_paper, bullets, count, made_with
from robustbench_zs.reporting.siblings import shared_networks
from robustbench_zs.schemes import TrainableScheme
from robustbench_zs.schemes.coefficients import LARGEST
from robustbench_zs.training.checkpoint import Header, network_spec

LARGEST_MATRIX = 24
"""Networks in the table of transfers; beyond it, `transfer.csv` alone has all pairs."""

Blocks = list[str | Picture | Table]


def compared(study: Findings) -> Section:
    """Which networks were trained and tested on what."""
    facts, headers = study.facts, study.facts.headers
    schemes = len({network_spec(h.network).scheme for h in headers})
    depths, seeds = sorted({h.network.depth for h in headers}), len({h.seed for h in headers})
    data, stable = headers[0].dataset, sum(s.zero_stable for s in study.schemes.values())
    blocks: Blocks = [facts.note] if facts.note else []
    if facts.scaled:
        blocks.append(f"**Scaled down, {facts.scaled}.** Its numbers are not those of the full study.")
    return Section(
        "What was compared",
        f"The study `{facts.name}` trained {len(headers)} networks: {count(schemes, 'scheme')}, "
        f"{_list(map(str, depths)) if len(depths) < 4 else f'{len(depths)} depths of {depths[0]} to {depths[-1]}'} layers, "
        f"{count(seeds, 'seed')}. {stable} of the {count(len(study.schemes), 'scheme')} with fixed coefficients "
        f"{'is' if stable == 1 else 'are'} zero-stable. All were trained on {data.train_examples:,} images of `{data.name}` "
        f"with the same recipe and tested on the same {int(study.results['examples'].iloc[0]):,}.",
        [*blocks, *shared_networks(study.folder, study.digests)],
    )


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
        "The smallest ε was not searched in this study (`[curve]`), so the share of correct images lost at the ε of each "
        "attack stands in its place."
    )
    figure = figures.robustness_against_modulus(study.outcomes_shown)
    blocks: Blocks = []
    if figure:
        blocks.append(
            _picture(
                "degradation",
                figure,
                "Each point is a network. If the largest modulus predicted robustness, the points of a panel would rise or "
                "fall from left to right. The dotted line is the unit circle: schemes to its right are not zero-stable.",
                alternatives.robustness_text(study.outcomes_shown),
            )
        )
    if len(study.conclusions.modulus):
        blocks.append(
            Table(
                "correlations",
                tables.correlation_table(study.shown.modulus),
                f"Spearman's ρ between the largest modulus and each outcome, over scheme means. {tables.SECOND_LOOKS} "
                "Reliability is 1 if two trainings of one scheme always agree and 0 if they differ as much as those of "
                "different schemes.",
            )
        )
    return Section(
        "Does the largest root modulus predict it?",
        "The table relates the largest root modulus of a scheme to each outcome and says what may be stated. "
        + (searched if len(study.curves) else attacked if study.attacks else ""),
        [
            *blocks,
            "The intervals are Fisher's z with the variance of Bonett and Wright. For perturbations other than searched "
            "attacks, the outcome is the share of the images classified correctly when clean that is lost.",
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
            "Below 40 schemes, quantities are not compared. From there on, the lead in |ρ| has Zou's interval, which holds "
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


def accuracies(study: Findings) -> Section:
    """Accuracy of every network under every perturbation."""
    named = study.named(study.results)
    flag = f" {tables.FLAG}: a check for gradient masking was raised, so this accuracy is likely too high."
    flagged = bool(study.flagged and study.attacks)
    figure = figures.accuracy_against_level(named.assign(perturbation=study.results["perturbation"]))
    blocks: Blocks = [
        Table(
            "table6",
            tables.table_6(named, study.flagged),
            "Accuracy in percent, mean ± standard deviation over seeds; moduli in descending order."
            + (flag if flagged else ""),
            {short: label for label, short in study.perturbations.items()},
        )
    ]
    if figure:
        blocks.append(
            _picture(
                "accuracy",
                figure,
                "Each line is a network, darker for a larger root modulus and dashed if its scheme is not zero-stable. A "
                "steeper fall means a less robust network.",
                alternatives.accuracy_text(named),
            )
        )
    return Section(
        "Accuracy under perturbations",
        "The table gives the accuracy of every network under every perturbation, in the layout of the paper's Table 6."
        + ("" if len(study.perturbations) > 1 else " No perturbation."),
        blocks,
    )


def paper(study: Findings) -> Section | None:
    """The study's numbers beside the paper's."""
    if not study.facts.paper:
        return None
    cells = paper_cells(study)
    _, section = beside_paper(cells, study.facts.paper, study.facts.scaled, PAPER_RUNS)
    return section


PAPER_RUNS = (
    ", mean ± standard deviation over three runs. Within the combined spread means that the two means differ by at most "
    "√(s² + s'²), where s and s' are the two standard deviations"
)


def paper_cells(study: Findings) -> pd.DataFrame:
    """Every number that the paper's table has or could have, see `against_paper`."""
    assert study.facts.paper is not None
    return against_paper(study.facts.paper, accuracy_cells(study.results, study.gaps), study.facts.paper_networks)


def roots(study: Findings) -> Section | None:
    """Where the roots are, and clean accuracy over them."""
    if not study.schemes:
        return None
    named = study.named(study.results)
    by_roots = figures.accuracy_by_roots(named)
    plane = figures.roots_in_the_plane(study.schemes)
    blocks: Blocks = [
        _picture(
            "plane",
            plane,
            "A scheme is zero-stable if none of its roots lies outside the unit circle (grey) and those on it are simple.",
            alternatives.plane_text(study.schemes),
        )
    ]
    if by_roots:
        blocks.append(
            _picture(
                "roots",
                by_roots,
                "Clean accuracy for each pattern of root moduli, sorted by the largest, as in the paper's Figure 4. Bars "
                "are one standard deviation over seeds.",
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
            _picture(
                "curves",
                figures.robustness_curves(named),
                "Each line is a network, darker for a larger root modulus and dashed if its scheme is not zero-stable. A "
                "line that lies higher means a more robust network.",
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
    if len(matrix.columns) <= LARGEST_MATRIX:
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


def trainable(study: Findings) -> Section | None:
    """Where trainable coefficients ended."""
    lines = [line for header in study.facts.headers if (line := _trained_coefficients(header))]
    if not lines:
        return None
    return Section(
        "Trainable coefficients",
        "Each block after the first ones has a parameter of its own, so these networks as a whole have no roots and no "
        "verdict.",
        [bullets(lines), "The history in the checkpoints has the parameters after every epoch."],
    )


def diverged(study: Findings) -> Section | None:
    """Trainings that failed."""
    lines = [
        f"`{h.network.name}`, seed {h.seed}: the loss was not finite in epoch {h.diverged_at}."
        for h in study.facts.headers
        if h.diverged_at is not None
    ]
    if not lines:
        return None
    return Section(
        "Diverged trainings", "These networks were evaluated as they were when training stopped.", [bullets(lines)]
    )


def examples(study: Findings) -> Section | None:
    """A few images as two networks see them."""
    shown = examples_of(study)
    if shown is None:
        return None
    picture = Picture(
        "examples.png",
        (study.folder / "examples.png").read_bytes(),
        "Below each image is the class that the network predicts; a wrong one is bold and orange.",
        alternatives.examples_text(study.named(shown)),
    )
    return Section(
        "What the networks see",
        "These are the first test images that both networks classify correctly when clean, clean and perturbed.",
        [picture],
    )


def examples_of(study: Findings) -> pd.DataFrame | None:
    """What the picture of example images in the folder shows, if it is there and of these networks."""
    table = study.folder / "examples.csv"
    if not (table.is_file() and (study.folder / "examples.png").is_file()):
        return None
    try:
        shown = pd.read_csv(table, dtype={"predicted": "Int64"})
        return shown if set(shown["digest"]) <= study.digests else None
    except (ValueError, KeyError):
        return None


def every_network(study: Findings) -> Section:
    """Accuracies of single networks, and full names."""
    names = pd.DataFrame({"Name here": study.networks.values(), "Network": [f"`{name}`" for name in study.networks]})
    return Section(
        "Every network",
        "The first table gives the accuracy of every trained network in percent, with its 95% Wilson interval.",
        [
            Table("every_network", tables.every_network(study.named(study.results), study.flagged)),
            Table("names", names, "Full names, which every command of `zsbench` accepts."),
        ],
    )


def made(study: Findings) -> Section:
    """Recipe, versions, hardware, and what to type to get the numbers again."""
    facts, headers = study.facts, study.facts.headers
    recipe = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.recipe.items())
    trained, evaluated = (
        _each([made_with(h.environment) for h in headers], "networks"),
        _each([made_with(e) for e in study.results["environment"]], "results"),
    )
    execution = _most_common(
        [f"{h.execution['device']}, {count(int(h.execution['threads']), 'thread')} per network" for h in headers]
    )
    best = (
        " Weights are those of the epoch with the best test accuracy, as the paper's published code reports it. They are "
        "chosen on the test set, so these accuracies are too high."
    )
    lines = [
        f"Recipe: {recipe}.{best if facts.recipe['weights'] == 'best' else ''}",
        f"Attack engine: {facts.engine}. Noise and random starts belong to the image and do not depend on the batch size.",
        f"Training took {_duration(sum(h.seconds for h in headers))} in all, summed over networks ({execution}).",
        f"Trained with {trained}.",
        f"Evaluated with {'the same' if evaluated == trained else evaluated}.",
        f"Data: training images sha256 `{headers[0].dataset.train_digest}`. Every row of `results.csv` and `gaps.csv` has "
        "the digest of its weights.",
        again(facts.again),
    ]
    requests = Table("commands", _requests_table(study), "Commands for one number; CHECKPOINT is a file in `results.csv`.")
    return Section(
        "How it was made",
        "Everything needed to get the same numbers again.",
        [bullets(lines), *([requests] if any(facts.requests.values()) else [])],
    )


SECTIONS: Sequence[Callable[[Findings], Section | None]] = (
    *(compared, found, modulus, predictors, effects, degradation, accuracies, paper, roots, masking, curves, transfer),
    *(gaps, trainable, diverged, examples, every_network, quantities, made),
)
"""The sections of a study's report, in their order."""


def _picture(name: str, figure: Figure, caption: str, alternative: str) -> Picture:
    return Picture(f"{name}.svg", figures.svg(figure), caption, alternative)


def _list(items: Iterable[str]) -> str:
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def _requests_table(study: Findings) -> pd.DataFrame:
    """What to type for the accuracies under each perturbation."""
    n = int(study.results["examples"].iloc[0])
    commands = {CLEAN: "evaluate", **{label: request for label, request in study.facts.requests.items() if request}}
    return pd.DataFrame(
        {
            "Here": [study.perturbations.get(label, label) for label in commands],
            "Perturbation": list(commands),
            "Command": [f"`zsbench {request} --examples {n} CHECKPOINT`" for request in commands.values()],
        }
    )


def _trained_coefficients(header: Header) -> str | None:
    """Where the trainable parameters of a network ended; None without any."""
    scheme = network_spec(header.network).scheme
    parameters = header.history[-1].block_parameters
    if not isinstance(scheme, TrainableScheme) or not parameters:
        return None
    known = [p for p in parameters if p is not None]
    stable = sum(scheme.at(p).zero_stable for p in known if abs(p) <= LARGEST)
    letter = "λ" if scheme.name == "zerosnet-tra" else "k"
    reach = f"from {min(known):.3f} to {max(known):.3f}" if known else "not finite"
    return (
        f"`{header.network.name}`, seed {header.seed}: {stable} of {len(parameters)} blocks end inside the zero-stable "
        f"region; {letter} {reach}."
    )


def _most_common(texts: Sequence[str]) -> str:
    """The text, with a word where not all networks have the same."""
    (text, count), *rest = Counter(texts).most_common()
    return text if not rest else f"{text} ({count} of {len(texts)} networks; the others differ)"


def _each(texts: Sequence[str], what: str) -> str:
    """Every text that occurs, with how often where there are several."""
    counts = Counter(texts).most_common()
    return "; ".join(text if len(counts) == 1 else f"{text} ({count} {what})" for text, count in counts)


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
    )
