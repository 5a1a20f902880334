"""Run as a script: what bert4keras computes from a T5 checkpoint in mT5's names.

bert4keras_t5.py FOLDER INPUTS.npz OUTPUT.npz CROSSED

Gives ``encoder``, its states, and ``logits`` of the decoder.
"""

import os
import sys
from pathlib import Path

os.environ |= {"TF_KERAS": "1", "TF_USE_LEGACY_KERAS": "1"}

import numpy as np
from bert4keras.models import build_transformer_model

folder, inputs, output = map(Path, sys.argv[1:4])
data = np.load(inputs)
t5 = build_transformer_model(
    str(folder / "config.json"),
    str(folder / "model.ckpt"),
    model="mt5.1.1",
    return_keras_model=False,
    name="T5",
    with_lm="linear",
    cross_position_bias=sys.argv[4] == "True",
)
np.savez(
    output,
    encoder=t5.encoder.predict(data["token_ids"]),
    logits=t5.model.predict([data["token_ids"], data["answer_ids"]]),
)
