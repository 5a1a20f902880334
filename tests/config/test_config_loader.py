"""The configuration: layers, strictness, every problem at once, back and forth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nlpcli.config import RunConfig, option
from nlpcli.config.loader import (
    build,
    diff,
    load_config,
    merge,
    resolve,
    schema,
    to_dict,
    to_yaml,
)
from nlpcli.config.yaml_file import Layer, parse_set, parse_yaml, read_yaml
from nlpcli.errors import ConfigError, NotFoundError, UsageError
from nlpcli.recipe import find_recipe, list_recipes
from nlpcli.recipes.ner.options import TaskOptions
from tests.config.problems import problems

ROOT = Path(__file__).resolve().parents[2]


def test_every_yaml_of_the_tree_loads() -> None:
    files = [
        path
        for pattern in ("*.yaml", "*.yml")
        for path in ROOT.rglob(pattern)
        if not {".venv", "runs", ".git", "build"} & set(path.relative_to(ROOT).parts)
    ]
    assert files
    for path in files:
        assert read_yaml(path).values, path
    for entry in list_recipes():
        assert resolve(entry.name).recipe == entry.name


def test_later_layers_win(write: Callable[[str], Path]) -> None:
    path = write("train: {epochs: 3, batch_size: 4, lr: 1e-4}\nseed: 1\n")
    flags = {"train.batch_size": 8}
    config = resolve("ner", [path], ["train.lr=2e-4", "train.lr=3e-4"], flags)
    assert config.train.epochs == 3  # the file
    assert config.train.batch_size == 8  # a flag over the file
    assert config.train.lr == 3e-4  # the last --set over all
    assert config.train.head_lr == 1e-3  # the recipe's config.yaml
    assert config.train.beta2 == 0.999  # the dataclass
    assert config.seed == 1


def test_merge_keeps_what_a_layer_does_not_say() -> None:
    first = {"a": {"x": 1, "y": 2}, "b": 1}
    assert merge([first, {"a": {"y": 3}}, {"a": None}, {"b": None}]) == {
        "a": {"x": 1, "y": 3},
        "b": None,
    }
    assert first == {"a": {"x": 1, "y": 2}, "b": 1}


def test_all_problems_at_once_with_place_and_nearest_key(
    write: Callable[[str], Path],
) -> None:
    path = write(
        "train:\n  epoch: 5\n  lr: fast\n  max_length: 64\n"
        "data:\n  dev_ratio: 1.5\nruntime: 3\nepochs: 2\n"
    )
    found = problems(
        ["train.epoch=5", "backbone.dropout=true", "task.head=crv"], [path]
    )
    assert set(found) == {
        "train.epoch: unknown key, did you mean train.epochs? (from --set)",
        f'train.lr: expected number > 0 or null, got "fast" (from {path}:3)',
        f"train.max_length: unknown key, did you mean data.max_length? (from {path}:4)",
        f"data.dev_ratio: expected number > 0 and < 1, got 1.5 (from {path}:6)",
        f"runtime: expected a section (key: value), got 3 (from {path}:7)",
        f"epochs: unknown key, did you mean train.epochs? (from {path}:8)",
        "backbone.dropout: expected number >= 0 and < 1 or null, got true (from --set)",
        'task.head: expected crf | global-pointer | softmax, got "crv" (from --set)',
    }


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("train.lr=1e-5", 1e-5),
        ("train.lr=1", 1.0),
        ("train.lr='1e-5'", 1e-5),
        ("train.warmup=0", 0.0),
        ("train.ema=null", None),
        ("train.max_steps=~", None),
        ("train.epochs=7", 7),
        ("data.skip_bad=true", True),
        ("data.train=2024", "2024"),
        ("data.train=2024-13-45", "2024-13-45"),
        ("data.train=a: b.jsonl", "a: b.jsonl"),
        ("data.train=@x", "@x"),
        ("data.train=a=b", "a=b"),
        ("data.train=语料.jsonl", "语料.jsonl"),
        ("data.train='null'", "null"),
        ("data.train=", None),
        ("runtime.xla=on", "on"),
        ("runtime.xla=off", "off"),
        ("runtime.xla=auto", "auto"),
        ("tokenizer.extra_tokens=[哈, '1']", ("哈", "1")),
        ("tokenizer.extra_tokens=[]", ()),
    ],
)
def test_the_declared_type_decides(assignment: str, value: object) -> None:
    config = to_dict(resolve("ner", sets=[assignment]))
    section, key = assignment.partition("=")[0].split(".")
    found = config[section][key]
    assert found == (list(value) if isinstance(value, tuple) else value)
    assert type(found) is (list if isinstance(value, tuple) else type(value))


@pytest.mark.parametrize(
    "assignment",
    [
        "train.epochs=1.0",
        "train.epochs=true",
        "train.epochs='5'",
        "train.epochs=null",
        "train.epochs=0",
        "train.epochs=1e3",
        "train.epochs=[1",
        "train.epochs={a: 1}",
        "train.epochs=[1]",
        "train.lr=nan",
        "train.lr=.nan",
        "train.lr=.inf",
        "train.lr=inf",
        "train.lr=1e999",
        "train.lr=1_0e-5",
        "train.lr=1" + "0" * 400,
        "train.lr=-1e-5",
        "train.lr=0",
        "train.ema=1",
        "train.warmup=1.1",
        "data.skip_bad=1",
        "data.skip_bad=yess",
        "data.max_length=7",
        "runtime.xla=1",
        "runtime.precision=float64",
        "runtime.precision=null",
        "backbone.model=null",
        "tokenizer.extra_tokens=a",
        "tokenizer.extra_tokens=[a, 1]",
        "seed=-1",
        "seed=4294967296",
        "task.pointer_dim=63",
        "recipe=other",
        "train=5",
        "x.y.z=1",
    ],
)
def test_what_does_not_fit_is_one_problem(assignment: str) -> None:
    (problem,) = problems([assignment])
    assert problem.endswith("(from --set)")
    assert len(problem) < 200


@pytest.mark.parametrize("assignment", ["train.epochs", "=5", "a..b=1", ".a=1", ""])
def test_a_set_that_is_no_assignment(assignment: str) -> None:
    with pytest.raises(UsageError, match=r"--set: expected KEY\.PATH=VALUE"):
        parse_set(assignment)


def test_a_problem_inside_a_list_says_where() -> None:
    (problem,) = problems(["tokenizer.extra_tokens=[a, 1]"])
    assert problem == (
        "tokenizer.extra_tokens: expected list of text, got 1 at [1] (from --set)"
    )


def test_a_number_for_a_file_name_is_refused_in_a_file(
    write: Callable[[str], Path],
) -> None:
    (problem,) = problems(files=[write("data: {train: 2024}")])
    assert "data.train: expected text or null, got 2024" in problem


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="absent"):
        resolve("ner", [tmp_path / "absent.yaml"])
    (tmp_path / "gbk.yaml").write_bytes("备注: 中文".encode("gbk"))
    assert "expected UTF-8" in problems(files=[tmp_path / "gbk.yaml"])[0]
    assert "cannot read" in problems(files=[tmp_path])[0]
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfseed: 7\r\n")
    assert resolve("ner", [tmp_path / "bom.yaml"]).seed == 7
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert resolve("ner", [tmp_path / "empty.yaml"]) == resolve("ner")


def test_values_that_do_not_go_together() -> None:
    found = problems(["train.accumulate=3", "data.stride=256", "task.nested=true"])
    assert len(found) == 3
    assert found[0].startswith("train.accumulate: expected a divisor")
    assert found[1].startswith("data.stride: expected less than data.max_length")
    assert found[2].startswith("task.nested: expected false")
    (problem,) = problems(["data.stride=300"])
    assert problem.startswith(
        "data.stride: expected less than data.max_length (256), got 300"
    )


def test_batches_are_measured_one_way_by_the_later_word(
    write: Callable[[str], Path],
) -> None:
    by_tokens = resolve("ner", sets=["train.batch_tokens=2048"]).train
    assert (by_tokens.batch_size, by_tokens.batch_tokens) == (None, 2048)
    file = write("train: {batch_tokens: 2048}")
    by_rows = resolve("ner", [file], flags={"train.batch_size": 8}).train
    assert (by_rows.batch_size, by_rows.batch_tokens) == (8, None)
    again = resolve("ner", [file], ["train.batch_tokens=null"]).train
    assert (again.batch_size, again.batch_tokens) == (16, None)
    file = write("train: {batch_size: 8}")
    by_tokens = resolve("ner", [file], ["train.batch_tokens=64"]).train
    assert (by_tokens.batch_size, by_tokens.batch_tokens) == (None, 64)
    config = resolve("ner", sets=["train.batch_tokens=2048", "train.accumulate=3"])
    assert load_config(write(to_yaml(config))) == config
    assert resolve("ner", [write(diff(config))]) == config


def test_batches_are_not_measured_both_ways_or_none(
    write: Callable[[str], Path],
) -> None:
    both = ["train.batch_tokens=2048", "train.batch_size=8"]
    expected = "train.batch_tokens: expected this or train.batch_size, got both"
    assert problems(both) == [f"{expected} (from --set)"]
    file = write("train:\n  batch_size: 8\n  batch_tokens: 9")
    assert problems(files=[file]) == [f"{expected} (from {file}:3)"]
    flags = {"train.batch_size": 8}
    with pytest.raises(ConfigError, match="got both"):
        resolve("ner", sets=["train.batch_tokens=9"], flags=flags)
    (problem,) = problems(["train.batch_size=null"])
    assert problem.startswith("train.batch_size: expected this or train.batch_tokens")
    for wrong in ("0", "-5", "many", "1.5"):
        (problem,) = problems([f"train.batch_tokens={wrong}"])
        assert problem.startswith("train.batch_tokens: expected integer >= 1 and <= ")


def test_a_wrong_value_brings_no_second_problem() -> None:
    (problem,) = problems(["train.batch_size=x", "train.accumulate=3"])
    assert problem.startswith("train.batch_size")


def test_a_dotted_key_in_a_file(write: Callable[[str], Path]) -> None:
    (problem,) = problems(files=[write("train.epochs: 3")])
    assert "write it as a section, train: epochs" in problem


def test_missing_keys_are_listed() -> None:
    @dataclass(frozen=True)
    class Options:
        labels: tuple[str, ...] = option(MISSING, "the labels")
        size: int = option(MISSING, "the size", minimum=1)

    with pytest.raises(ConfigError) as caught:
        build("toy", [], Options)
    assert caught.value.problems == [
        "task.labels: missing, expected list of text (the labels)",
        "task.size: missing, expected integer >= 1 (the size)",
    ]
    layer = Layer("here", {"task": {"labels": ["a"], "size": 2}})
    assert build("toy", [layer], Options).task == Options(("a",), 2)


def test_a_saved_configuration_reads_back(tmp_path: Path) -> None:
    config = resolve(
        "ner",
        sets=[
            "train.lr=1e-5",
            "data.train=on",
            "backbone.model='1e5'",
            "tokenizer.extra_tokens=[哈, 'null']",
            "task.head=global-pointer",
        ],
    )
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(path) == config
    assert resolve("ner", [path]) == config  # a run's own file serves as --config
    assert yaml.safe_load(to_yaml(config)) == to_dict(config)


@settings(deadline=None, max_examples=50)
@given(
    st.floats(1e-300, 1e300),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
@example(1.0, "a\x85b\u2028")
def test_any_number_and_text_survive(lr: float, name: str) -> None:
    config = resolve("ner", flags={"train.lr": lr, "data.train": name})
    assert (config.train.lr, config.data.train) == (lr, name)
    for values in (
        yaml.safe_load(to_yaml(config)),
        parse_yaml(to_yaml(config), "file").values,
    ):
        assert build("ner", [Layer("file", values)], TaskOptions) == config


def test_diff_is_a_file_that_gives_the_same(write: Callable[[str], Path]) -> None:
    config = resolve("ner", sets=["train.epochs=3", "task.head=global-pointer"])
    text = diff(config)
    assert yaml.safe_load(text) == {
        "train": {"epochs": 3},
        "task": {"head": "global-pointer"},
    }
    assert resolve("ner", [write(text)]) == config
    assert diff(resolve("ner")) == ""


@pytest.mark.parametrize(
    ("key", "most"),
    [
        *(("runtime.threads", 1024), ("runtime.buckets", 1024)),
        *(("data.limit", 2**30), ("data.dev_limit", 2**30)),
        *(("train.batch_size", 2**30), ("train.batch_tokens", 2**30)),
        ("train.accumulate", 4096),
    ],
)
def test_what_would_take_all_memory_has_a_bound(key: str, most: int) -> None:
    with pytest.raises(ConfigError, match=f"{key}: expected .* <= {most}.*, got 1000"):
        resolve("ner", sets=[f"{key}={10**20}"])


def test_schema_has_type_default_and_doc_of_every_key() -> None:
    rows = {row["key"]: row for row in schema(TaskOptions)}
    flat: dict[str, object] = {}
    for key, value in to_dict(build("ner", [], TaskOptions)).items():
        inner = value if isinstance(value, dict) else {None: value}
        flat |= {key if k is None else f"{key}.{k}": v for k, v in inner.items()}
    flat.pop("recipe")
    assert {key: row["default"] for key, row in rows.items()} == flat
    assert all(row["doc"] for row in rows.values())
    assert rows["train.layer_decay"]["type"] == "number > 0 and <= 1"
    assert rows["runtime.xla"]["type"] == "auto | on | off"
    assert rows["data.dev"]["type"] == "text or null"
    keys = [row["key"] for row in schema(TaskOptions, "task")]
    assert keys == [key for key in rows if key.startswith("task.")]
    assert [row["key"] for row in schema(TaskOptions, "train.lr")] == ["train.lr"]
    own = schema(TaskOptions, "train.epochs", resolve("ner"))
    assert own[0]["default"] == resolve("ner").train.epochs
    for key in ("trian", "train.epoch", "train.epochs.x"):
        with pytest.raises(ConfigError, match="did you mean train"):
            schema(TaskOptions, key)


def test_configuration_is_checked_without_keras() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from nlpcli.config.loader import resolve; resolve('ner');"
        "print(sorted({'keras', 'tensorflow', 'numpy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_configuration_is_frozen() -> None:
    config = resolve("ner")
    assert isinstance(config, RunConfig)
    with pytest.raises(AttributeError):
        config.seed = 1  # type: ignore[misc]
    assert find_recipe("ner").task_type() is TaskOptions
