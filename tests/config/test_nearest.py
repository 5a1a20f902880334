"""The key that was meant: names that other tools have, initials, slips."""

import pytest

from nlpcli.config.loader import resolve
from nlpcli.config.nearest import nearest
from nlpcli.errors import ConfigError

MEANT = {
    "train.learning_rate": "train.lr",
    "train.learningRate": "train.lr",
    "train.learning-rate": "train.lr",
    "train.LR": "train.lr",
    "train.peak_learning_rate": "train.lr",
    "learning_rate": "train.lr",
    "task.learning_rate": "train.lr",
    "train.head_learning_rate": "train.head_lr",
    "train.lr_head": "train.head_lr",
    "train.exponential_moving_average": "train.ema",
    "train.num_train_epochs": "train.epochs",
    "num_train_epochs": "train.epochs",
    "train.epoch": "train.epochs",
    "train.per_device_train_batch_size": "train.batch_size",
    "train.bs": "train.batch_size",
    "train.batchSize": "train.batch_size",
    "train.wd": "train.weight_decay",
    "train.gradient_accumulation_steps": "train.accumulate",
    "train.warmup_ratio": "train.warmup",
    "train.adam_epsilon": "train.epsilon",
    "train.adam_beta2": "train.beta2",
    "train.lr_scheduler_type": "train.schedule",
    "train.early_stopping_patience": "train.patience",
    "train.max_step": "train.max_steps",
    "train.weigth_decay": "train.weight_decay",
    "train.hed_lr": "train.head_lr",
    "backbone.hidden_dropout_prob": "backbone.dropout",
    "backbone.num_layers": "backbone.num_hidden_layers",
    "data.max_seq_length": "data.max_length",
    "train.max_length": "data.max_length",
    "data.train_file": "data.train",
    "data.train_limit": "data.limit",
    "data.dev_limits": "data.dev_limit",
    "train.seed": "seed",
    "runtime.use_xla": "runtime.xla",
}


@pytest.mark.parametrize(("written", "meant"), MEANT.items())
def test_the_key_that_was_meant(written, meant):
    with pytest.raises(ConfigError) as caught:
        resolve("ner", sets=[f"{written}=1"])
    (problem,) = caught.value.problems
    told = f"{written}: unknown key, did you mean {meant}? (from --set)"
    assert problem == told


def test_nothing_like_it_is_no_guess():
    known = [("train", "lr"), ("data", "train")]
    assert nearest(("qqq",), known) is None
    assert nearest(("学习率",), known) is None
    assert nearest(("",), known) is None
