"""Configurations of another kind, hundreds of them: each a ConfigError of one line, and nothing is made on disk."""

import copy
import datetime
import itertools
import json

import pytest

from junlearn import cli
from junlearn.errors import ConfigError
from junlearn.experiment import schema, sweep
from junlearn.main import main

SMALL = """
methods = ["finetune"]
[dataset]
name = "digits"
[model]
name = "mlp"
hidden = [16]
[scenario]
name = "class"
classes = [3]
[train]
epochs = 1
"""
BASE = {
    "methods": ["finetune"],
    "method": {"finetune": {"epochs": 1}},
    "dataset": {"name": "digits"},
    "model": {"name": "mlp"},
    "scenario": {"name": "class"},
    "surrogate": {"name": "gaussian_noise"},
    "train": {"epochs": 1},
    "seeds": {"order": 1},
    "loop": {"kind": "auto"},
}
PLACES = [
    *itertools.product(
        ["methods", "method", "dataset", "model", "scenario", "surrogate", "train", "seeds", "loop"]
    ),
    *itertools.product(["seed", "held_out", "validation", "precision", "metrics", "sample"]),
    *itertools.product(["dataset", "model", "scenario", "surrogate"], ["name"]),
    *[("dataset", f) for f in ("data_dir", "image_size", "mean", "augmentation", "crop_padding")],
    *[("train", f) for f in ("epochs", "batch_size", "learning_rate", "optimizer", "milestones")],
    *[("loop", f) for f in ("kind", "devices", "save_seconds", "distributed")],
    *[("method", "finetune", f) for f in ("name", "epochs", "learning_rate", "schedule")],
    ("seeds", "order"),
    ("scenario", "classes"),
    ("model", "hidden"),
    ("method", "finetune"),
    ("method", "ssd"),
    ("a.b",),
    ("class",),
    ("",),
]
DEEP: list = []
for _ in range(3000):
    DEEP = [DEEP]
# None of these stands anywhere in a configuration.
VALUES = {
    "list in list": [[[]]],
    "table": {"other": 1},
    "empty key": {"": 1},
    "numbered key": {3: 1},
    "huge": 10**400,
    "hugely negative": -(10**30),
    "not a number": float("nan"),
    "infinite": float("inf"),
    "date": datetime.date(2020, 1, 1),
    "NUL": "a\0b",
    "half a letter": "\ud800",
    "deep": DEEP,
    "bytes": b"x",
    "set": {1},
    "long": "x" * 5000,
}


def refused(work):
    with pytest.raises(ConfigError) as caught:
        work()
    message = str(caught.value)
    assert message and "\n" not in message and len(message) < 600
    return message


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_a_value_of_another_kind(place):
    """15 values at each of 47 places."""
    for value in VALUES.values():
        table = copy.deepcopy(BASE)
        inner = table
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value
        refused(lambda table=table: schema.parse(table))


@pytest.mark.parametrize("value", [3, 1.5, True, None, "x", [1], [], datetime.time(1)], ids=repr)
@pytest.mark.parametrize("section", ["dataset", "model", "scenario", "surrogate", "train", "loop"])
def test_a_section_that_is_none(section, value):
    message = refused(lambda: schema.parse(BASE | {section: value}))
    assert message.startswith(section)


@pytest.mark.parametrize(
    "label",
    [
        *("", " ", "1a", "a-b", "a b", "a.b", "a/b", "../a", "class", "None", "__init__", "_a"),
        *("é", "a\nb", "x" * 65, "original", "lambda", "a_"),
    ],
)
def test_a_label_that_cannot_be_one(label):
    refused(lambda: schema.parse(BASE | {"methods": [label], "method": {label: {"name": "ssd"}}}))


@pytest.mark.parametrize("label", ["self", "type", "object", "name", "method", "x" * 64, "SSD_2"])
def test_labels_that_can_be(label):
    table = BASE | {"methods": [label], "method": {label: {"name": "ssd", "alpha": 2.0}}}
    assert getattr(schema.parse(table).method, label).alpha == 2


@pytest.mark.parametrize(
    ("change", "bound"),
    [
        ({"seed": 10**30}, "<= 4294967295"),
        ({"seed": 2**32}, "<= 4294967295"),
        ({"dataset": {"name": "digits", "image_size": 10**30}}, "<= 16384"),
        ({"train": {"epochs": 10**7}}, "<= 1000000"),
        ({"train": {"batch_size": 2**21}}, "<= 1048576"),
        ({"train": {"learning_rate": 1e200}}, "<= 3e+38"),
        ({"scenario": {"name": "class", "classes": [10**30]}}, "<= 4294967295"),
        ({"methods": ["finetune", "FineTune"], "method": {"FineTune": {"name": "ssd"}}}, "twice"),
        ({"metrics": []}, "at least one metric"),
        ({"train": {"optimizer": "sdg"}}, "known: 'sgd', 'adam', 'adamw'"),
    ],
)
def test_the_message_says_what_is_wanted(change, bound):
    assert bound in refused(lambda: schema.parse(BASE | change))


FILES = {
    "empty.toml": b"",
    "empty.json": b"",
    "list.json": b"[1, 2]",
    "number.json": b"3",
    "null.json": b"null",
    "deep.json": b"[" * 3000 + b"]" * 3000,
    "deep_tables.json": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "deeper.json": b"[" * 100_000,
    "deep.toml": b"a = " + b"[" * 3000 + b"]" * 3000,
    "double.json": b'{"seed": 1, "seed": 2}',
    "nan.json": b'{"seed": NaN}',
    "infinity.json": b'{"train": {"learning_rate": -Infinity}}',
    "digits.json": b'{"seed": 1' + b"0" * 5000 + b"}",
    "digits.toml": b"seed = 1" + b"0" * 5000,
    "binary.toml": bytes(range(256)),
    "latin.toml": "# größe\n".encode("latin-1") + SMALL.encode(),
    "half.toml": b"\xff\xfea",
    "nul.toml": SMALL.encode() + b"\0",
    "date.toml": SMALL.replace("[3]", "[2020-01-01]").encode(),
    "inf.toml": b"validation = inf\n" + SMALL.encode(),
    "large.toml": b"#" * (17 * 2**20),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_kind(name, tmp_path):
    (tmp_path / name).write_bytes(FILES[name])
    refused(lambda: schema.parse(schema.read(tmp_path / name)))


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be", "utf-16-le"]
)
def test_marked_encodings_are_read(encoding, tmp_path):
    mark = "\ufeff" if encoding[-3:] in ("-be", "-le") else ""
    (tmp_path / "a.toml").write_bytes((mark + "# größe\r\n" + SMALL).encode(encoding))
    assert schema.parse(schema.read(tmp_path / "a.toml")).scenario.classes == (3,)
    text = mark + json.dumps(schema.plain(schema.parse(BASE)))
    (tmp_path / "a.json").write_bytes(text.encode(encoding))
    assert schema.parse(schema.read(tmp_path / "a.json")).train.epochs == 1


GRIDS = [
    3, [], None, "x", {"": [1]}, {"a..b": [1]}, {".": [1]}, {"seed": 3}, {"seed": {}}, {"seed": []},
    {"seed": [[]]}, {"seed": [{}]}, {"seed": [0, 0]}, {"seed": [10**30]}, {"seed": [None]},
    {"seed.x": [1]}, {"train": [3]}, {"train": [{"x": 1}]}, {"scenario": ["class"]},
    {"scenario": [{"name": "clas"}]}, {"scenario": [{"name": {}}]}, {"scenario.name": [[]]},
    {"method": 3}, {"method": []}, {"method": {"finetune": 3}}, {"method": {"finetune": []}},
    {"method": {"finetune": {"epochs": 3}}}, {"method": {"finetune": {"epochs": [{}]}}},
    {"method": {"finetune": {"epochs": [1, 1]}}}, {"method": {"finetune": [3]}},
    {"method": {"ssd": {}}}, {"method": {"finetune": {"name": ["ssdd"]}}}, {"methods": [["ssd"]]},
    {"method.ssd.alpha": [1]}, {"method.finetune": [3]}, {"method.finetune.x": [1]},
    {"x": [1]}, {"sweep": [{}]}, {"seed": list(range(400)), "seeds.order": list(range(400))},
]  # fmt: skip


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: repr(grid)[:50])
def test_a_grid_of_another_kind(grid):
    refused(lambda: sweep.expand(BASE | {"sweep": grid}))


@pytest.mark.parametrize("change", [{"methods": []}, {"methods": 3}, {"method": 3}, {"train": 3}])
def test_a_grid_over_what_is_no_experiment(change):
    refused(lambda: sweep.expand(BASE | {"sweep": {"seed": [1]}} | change))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("malformed")
    (folder / "small.toml").write_text(SMALL)
    grid = "[sweep]\nseed = [0, 1]\n[sweep.method.finetune]\nepochs = [1, 2]\n"
    (folder / "grid.toml").write_text(SMALL + grid)
    (folder / "wrong.toml").write_text(SMALL + '[sweep]\n"scenario.classes" = [[1], [17]]\n')
    (folder / "list.json").write_text("[1]")
    (folder / "file").write_text("")
    (folder / "folder").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("JUNLEARN_CACHE_DIR", str(folder / "cache"))
        patch.setattr(cli, "keep_compilations", lambda cache_dir: None)
        yield folder


RUN = """
--seed 1e30|--seed nan|--seed -1|--seed=|--seed 1 --seed 2|--seed 99999999999999999999999|--method.
--method|--|-|foo|--seed|--train.batch-size 1 --train.batch_size 2|--workdir ''|--workdir file
--workdir file/a/b|--workdir w --workdir v|--cache-dir ''|--cache-dir file|--table|--table ''
--table t.xlsx|--table no/t.csv|--table folder|--methods|--methods ''|--methods finetune finetune
--methods ft|--metrics acc|--metrics|--scenario.classes 17|--scenario.name rows|--scenario.name ''
--dataset.name cifar|--train.learning-rate nan|--train.learning-rate 1e400|--lr 1|-o x|--gpu
--dataset.image-size 20000|--loop.distributed True|--held-out 1|--help nosuch|--help surrogate
--config small.toml|--plot x
"""
OTHERS = """
--config ''|--config|--config missing.toml|--config folder|--config list.json|--config grid.toml
sweep|sweep --config ''|sweep --config small.toml|sweep x|sweep --config grid.toml --seed 1
sweep --config grid.toml --select|sweep --config grid.toml --select oracle
sweep --config grid.toml --select developer|sweep --config grid.toml --select mia/entropy
sweep --config grid.toml --select mia/entropy:up|sweep --config grid.toml --select asr/laf:min
sweep --config grid.toml --select accuracy/validation|sweep --config grid.toml --over sed
sweep --config grid.toml --workdir file|sweep --config grid.toml --workdir a --workdir b
sweep --config grid.toml --select accuracy/forget_train_clean|sweep --config wrong.toml
statistics|statistics s.npy --config small.toml|statistics no/s.npz --config small.toml
statistics s.npz --config small.toml --delta nan|statistics s.npz --config small.toml --delta -1
statistics s.npz --config small.toml --delta inf|statistics s.npz --config small.toml --delta 0
statistics file/s.npz --config small.toml|statistics s.npz t.npz --config small.toml
statistics s.npz --config small.toml --scenario.classes 17
prepare|prepare mnits|prepare digits --data-dir ''|prepare digits --data-dir file|prepare --x a
list x|list method x|list ssd|list a b c|list --x|help nonsense|--version x|lst|version|''
compat|compat x|compat corrective x|compat corrective --seed nan|compat corrective --lr 1
compat corrective --save_dir ''|compat corrective --factor 0.2 --dataset CelebA
compat corrective --factor 0.2 --save_dir file|compat corrective --pretrain_lr inf
compat corrective --batch_size 0|compat corrective --seed 1 --seed 1|compat corrective --data_dir ''
"""


def commands(text):
    lines = [line for row in text.strip().splitlines() for line in row.split("|")]
    return [["" if word == "''" else word for word in line.split(" ")] for line in lines]


@pytest.mark.parametrize(
    "arguments",
    [*(["--config", "small.toml", *own] for own in commands(RUN)), *commands(OTHERS)],
    ids=" ".join,
)
def test_a_command_that_is_wrong_makes_nothing(arguments, place, capsys):
    before = sorted(place.rglob("*"))
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("junlearn: ") and err.count("\n") == 1 and len(err) < 600
    assert sorted(place.rglob("*")) == before


def test_names_with_what_no_name_can_hold(place, capsys):
    for option in ("--config", "--workdir", "--cache-dir", "--table"):
        for name in ("a\0b.csv", "x" * 300 + ".csv", " "):
            rest = [] if option == "--config" else ["--config", "small.toml"]
            assert main([*rest, option, name]) == 2
            assert capsys.readouterr().err.count("\n") == 1
