"""Run as a script: token ids that bert4keras gives words cut by jieba.

bert4keras_tokens.py VOCAB.txt TEXTS.json IDS.json
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ |= {"TF_KERAS": "1", "TF_USE_LEGACY_KERAS": "1", "CUDA_VISIBLE_DEVICES": ""}

import jieba
from bert4keras.tokenizers import Tokenizer

vocab, texts, output = map(Path, sys.argv[1:])
with tempfile.TemporaryDirectory() as folder:
    jieba.dt.tmp_dir = folder  # its cache belongs to nobody else
    jieba.initialize()
names = vocab.read_text(encoding="utf-8").split("\n")[:-1]
tokenizer = Tokenizer(
    {name: number for number, name in enumerate(names)},
    do_lower_case=True,
    pre_tokenize=lambda text: jieba.cut(text, HMM=False),
)
ids = [tokenizer.encode(text)[0] for text in json.loads(texts.read_text())]
output.write_text(json.dumps([[int(i) for i in row] for row in ids]))
