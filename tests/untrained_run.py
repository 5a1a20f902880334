"""A finished run that nobody trained: its weights are random, and large."""

import keras
import numpy as np

from nlpcli.config.loader import resolve
from nlpcli.engine import build
from nlpcli.engine.run_dir import RunDir
from nlpcli.runtime import weights

SIZES = {"backbone.hidden_size": 64, "backbone.num_hidden_layers": 2}
STATES = {
    "ner": {"labels": ["LOC", "PER"]},
    "classify": {"labels": ["好", "坏"], "several": False, "thresholds": {}},
    "triple-extract": {"predicates": ["作者", "主演"], "schema": None},
    "simbert": {"dev_kinds": []},
}


def untrained(folder, recipe, flags=(), data=64):
    """A finished run of random weights, larger than those that training starts from."""
    keras.utils.set_random_seed(0)
    config = resolve(recipe, flags={**SIZES, "data.max_length": data, **dict(flags)})
    start = build.open_start(config)
    made = build.open_recipe(config, start.tokenizer, start.config)
    made.restore(STATES[recipe])
    model = build.build_model(made, start)
    rng = np.random.default_rng(0)
    scale = 0.3 if recipe == "ner" and not made.pointer else 0.1
    for variable in model.trainable_variables:
        noise = rng.normal(scale=scale, size=variable.shape)
        variable.assign_add(noise.astype(np.float32))
    run = RunDir.create(folder, config)
    values = weights.learnt_variables(model)
    run.save(
        "best",
        lambda best: build.write_model(
            best, made, start.family, start.config, values, []
        ),
    )
    run.mark_finished({})
    return run
