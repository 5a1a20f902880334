"""Run as a script: logits of bert4keras's UniLM from a TF checkpoint.

bert4keras_unilm.py FOLDER INPUTS.npz OUTPUT.npy
"""

import os
import sys
from pathlib import Path

os.environ |= {"TF_KERAS": "1", "TF_USE_LEGACY_KERAS": "1"}

import numpy as np
from bert4keras.backend import set_gelu
from bert4keras.models import build_transformer_model

folder, inputs, output = map(Path, sys.argv[1:])
set_gelu("tanh")
model = build_transformer_model(
    str(folder / "bert_config.json"),
    str(folder / "bert_model.ckpt"),
    application="unilm",
    with_mlm="linear",
)
data = np.load(inputs)
np.save(output, model.predict([data["token_ids"], data["segment_ids"]]))
