"""Run as a script: what bert4keras computes from a TF checkpoint.

bert4keras_states.py FOLDER INPUTS.npz OUTPUT.npz MODEL APPLICATION...

MODEL is bert or nezha. An APPLICATION is encoder, which gives hidden states, or
unilm or lm, which give logits; each becomes an array of that name.
"""

import os
import sys
from pathlib import Path

os.environ |= {"TF_KERAS": "1", "TF_USE_LEGACY_KERAS": "1"}

import numpy as np
from bert4keras.backend import set_gelu
from bert4keras.models import build_transformer_model

folder, inputs, output = map(Path, sys.argv[1:4])
name, *applications = sys.argv[4:]
set_gelu("tanh")
data = np.load(inputs)
found = {}
for application in applications:
    model = build_transformer_model(
        str(folder / "bert_config.json"),
        str(folder / "bert_model.ckpt"),
        model=name,
        application=application,
        with_mlm=False if application == "encoder" else "linear",
    )
    found[application] = model.predict([data["token_ids"], data["segment_ids"]])
np.savez(output, **found)
