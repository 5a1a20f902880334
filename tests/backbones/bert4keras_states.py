"""Run as a script: what bert4keras computes from a TF checkpoint.

bert4keras_states.py FOLDER INPUTS.npz OUTPUT.npz MODEL APPLICATION...

MODEL is bert, nezha, albert, electra, roformer or roformer_v2, and may go on with ? and
a JSON object of further arguments (``gelu``: "erf" or "tanh"). An APPLICATION is
encoder, which gives hidden states, pool, which gives the linear pooler's vectors,
discriminator, or mlm, unilm or lm, which give logits; each becomes an array of that
name.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"TF_KERAS": "1", "TF_USE_LEGACY_KERAS": "1"}

import numpy as np
from bert4keras.backend import set_gelu
from bert4keras.models import build_transformer_model

folder, inputs, output = map(Path, sys.argv[1:4])
name, *applications = sys.argv[4:]
name, _, more = name.partition("?")
options = json.loads(more or "{}")
set_gelu(options.pop("gelu", "erf" if name == "electra" else "tanh"))
HEADS = {
    "encoder": {},
    "pool": {"with_pool": "linear"},
    "mlm": {"with_mlm": "linear"},
    "discriminator": {"with_discriminator": "linear"},
    "unilm": {"application": "unilm", "with_mlm": "linear"},
    "lm": {"application": "lm", "with_mlm": "linear"},
}
data = np.load(inputs)
found = {}
for application in applications:
    model = build_transformer_model(
        str(folder / "bert_config.json"),
        str(folder / "bert_model.ckpt"),
        model=name,
        **HEADS[application],
        **options,
    )
    found[application] = model.predict([data["token_ids"], data["segment_ids"]])
np.savez(output, **found)
