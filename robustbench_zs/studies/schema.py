"""The JSON schema of a study file, which editors and the documentation read."""

from __future__ import annotations

import copy
from typing import Any

from robustbench_zs.studies.load import MAX_PARTS
from robustbench_zs.studies.study import HIDDEN, MEASURED_KEYS, Study

MEANINGS = {
    "alphas": "Coefficients α_0, α_1, … of the states, newest first.",
    "atlas": "Schemes of the atlas, beside those that are listed.",
    "augmentation": "How training images are varied.",
    "batch_size": "Training images per step.",
    "batch_sizes": "Batch sizes at which run times are measured.",
    "beta": "Coefficient β of the residual.",
    "block": "Residual block; basic up to 110 layers and bottleneck from 164 by default.",
    "checkpoints": "Name of another study whose trained networks this one evaluates.",
    "controls": "Studies that train some of the same networks by another recipe, for a section of the report.",
    "curve": "Search the smallest ε that fools each image.",
    "dataset": "The images.",
    "directions": "Number format of an attack's gradients; examples count by float32 in any case.",
    "CurveTable.eps": "Largest ε up to which the smallest one is searched, as a fraction of the pixel range.",
    "CurveTable.steps": "Gradients that refine the nearest example of an image.",
    "depths": "Numbers of layers; every scheme is built at every depth.",
    "engine": "What carries attacks out.",
    "epochs": "Passes over the training images.",
    "eps": 'Budget as a fraction of the pixel range, such as "8/255"; several ε of an iterated attack form a ladder.',
    "form": "Architecture: the 3×3 stem of CIFAR networks or the 7×7 stem of ImageNet networks.",
    "half": "Which half of the atlas; confirmation is trained after discovery.",
    "image_size": "Side in pixels to which images are brought.",
    "images": "Images per run time.",
    "kind": "Which one it is.",
    "learning_rate": "Rate at the start, or after the warm-up.",
    "masking_images": "Images on which the gradients of each network's first seed are checked; 0 for none.",
    "measure": "What is measured.",
    "momentum": "Momentum of SGD.",
    "name": "Name of the study; its report goes to reports/NAME/.",
    "DatasetTable.name": "A dataset by name, or a folder of your own.",
    "RecipeTable.name": "A recipe by name; that of the dataset by default.",
    "networks": "Networks by name, beside those made of schemes and depths.",
    "norm": "Norm of the ball.",
    "note": "Text that the report shows below its title.",
    "paper": "Table of the paper whose numbers the report sets beside the measured ones.",
    "paper_depths": "Depths of the paper that the study's depths stand for, in order.",
    "parts": "The studies of the collection; what a part does not say the file says for all.",
    "perturbations": "Noise and attacks under which every network is evaluated.",
    "precision": "Number format of convolutions and matrix products in training.",
    "recipe": "How networks are trained, where that differs from the dataset's recipe.",
    "repeats": "How many times each network takes its turn.",
    "replicas": "Shares into which a training step is divided, each with batch-norm statistics of its own.",
    "scale": "Scaled-down forms of the study, by name.",
    "schedule": "Course of the learning rate.",
    "schemes": "Schemes by name or by coefficients.",
    "schemes_per_half": "Use the first so many schemes of each half; all by default.",
    "second_seed": "Train a random quarter of each half, always the same one, with one seed more.",
    "seed": "Seed of the random draws.",
    "seeds": "Seeds of training; every network is trained once per seed.",
    "steps": "Steps of the attack.",
    "test_examples": "Use the first so many test images; all by default.",
    "test_images": "Test images to which measured times are scaled up.",
    "title": "Title of the report.",
    "train_examples": "Use the first so many training images; all by default.",
    "train_images": "Training images to which measured times are scaled up.",
    "transfer": "Show each network the adversarial examples of every other one.",
    "warmup_epochs": "Epochs in which the learning rate rises first.",
    "weight_decay": "Weight decay of SGD.",
    "weights": "Which epoch's weights are kept.",
    "widths": "Channels per stage; those of the form by default.",
}
"""What a key of a study file means, wherever it stands; `Table.key` where it means something else there. Classes say it of
their own parameters."""


def study_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a study file: a study, a measurement, or a collection of studies.

    A number may also be given as text, such as `"8/255"`. The schema says less than `load_study` checks: it knows neither
    the names of schemes nor which values go together.

    Examples:
        >>> from robustbench_zs.studies.schema import study_schema
        >>> study_schema()["$defs"]["Study"]["required"]
        ['name', 'dataset']
    """
    tables = Study.model_json_schema()["$defs"]
    study, measurement = tables.pop("Study"), tables.pop("Measurement")
    keys = study["properties"]
    measurement["properties"] = {key: keys[key] for key in MEASURED_KEYS} | measurement["properties"]
    measurement["required"] = ["name", "measure", "schemes"]
    study["properties"] = {key: value for key, value in keys.items() if key not in (*HIDDEN, "parts")}
    study["properties"]["dataset"] = {"$ref": "#/$defs/DatasetTable"}  # only a measurement has none
    study["required"] = ["name", "dataset"]
    tables = {"Study": study, "Collection": _collection(study), "Part": _part(study), "Measurement": measurement, **tables}
    tables = copy.deepcopy(tables)
    for name, table in tables.items():
        table["description"] = table.get("description", "").partition("\n\n")[0]
        for key, value in table["properties"].items():
            value.pop("title", None)
            value["description"] = value.get("description") or MEANINGS.get(f"{name}.{key}") or MEANINGS[key]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Study file of zsbench",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in ("Study", "Collection", "Measurement")],
        "$defs": tables,
    }


def _collection(study: dict[str, Any]) -> dict[str, Any]:
    """The keys of a study, which hold for all parts, and the parts."""
    made = copy.deepcopy(study)
    made["title"], made["description"] = "Collection", "Several studies that make one table of the paper together."
    made["properties"]["parts"] = {"type": "array", "items": {"$ref": "#/$defs/Part"}, "minItems": 1, "maxItems": MAX_PARTS}
    made["required"] = ["name", "parts"]
    return made


def _part(study: dict[str, Any]) -> dict[str, Any]:
    """The keys of a study, of which a part needs its name alone."""
    return {
        **copy.deepcopy(study),
        "title": "Part",
        "description": "A study of a collection: what differs from the keys of the file.",
        "required": ["name"],
    }
