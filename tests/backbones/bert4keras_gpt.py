"""Run as a script: what bert4keras's GPTs compute from a TF checkpoint.

bert4keras_gpt.py FOLDER INPUTS.npz OUTPUT.npz MODEL

MODEL is gpt, gpt2 or gpt2_ml. Inputs are token_ids, and for gpt segment_ids, ids of
tokens. The output has logits.
"""

import os
import sys
from pathlib import Path

os.environ |= {"TF_KERAS": "1", "TF_USE_LEGACY_KERAS": "1"}

import numpy as np
from bert4keras.backend import set_gelu
from bert4keras.models import build_transformer_model

folder, inputs, output = map(Path, sys.argv[1:4])
name = sys.argv[4]
set_gelu("erf" if name == "gpt2_ml" else "tanh")
data = np.load(inputs)
more, given = {}, [data["token_ids"]]
if name == "gpt":
    more = {
        "segment_vocab_size": int(data["vocab_size"]),
        "shared_segment_embeddings": True,
    }
    given.append(data["segment_ids"])
model = build_transformer_model(
    str(folder / "config.json"),
    str(folder / "model.ckpt-100"),
    model=name,
    final_activation="linear",
    **more,
)
np.savez(output, logits=model.predict(given))
