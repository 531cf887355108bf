"""What a stranger may hand over: each is taken, or refused in one line that says why."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from elman import Classifier, Generator
from elman.errors import DataError, RunDirectoryError, SettingError

RISING = [[0, 1, 2], [2, 5, 8, 9], [1, 4]] * 8
X = RISING + [values[::-1] for values in RISING]
Y = ["up"] * 24 + ["down"] * 24
TINY = {"epochs": 1, "hidden_size": 4}


@pytest.mark.parametrize("name", ["lr", "clip", "weight_decay"])
def test_a_rate_beyond_what_torch_takes(data, name):
    with pytest.raises(SettingError, match=f"Classifier: {name}: .*got 1e\\+38"):
        Classifier(**{name: 1e38}).fit(*data)


@pytest.mark.parametrize("device", ["cuda:99999999999", "gpu", "", "cpu:0"])
def test_a_device_of_no_name(data, device):
    with pytest.raises(SettingError, match=r"device: should be cpu, cuda, cuda:0, .* or mps"):
        Classifier(device=device).fit(*data)


def test_labels_that_end_in_nul(data):
    with pytest.raises(DataError, match=r"y\[1\] holds a NUL character"):
        Classifier().fit(data[0], ["a", "a\0", *data[1][2:]])


def test_an_iterator_of_inputs():
    model = Classifier(**TINY).fit(iter(X), Y)
    assert (model.predict_proba(iter(X)) == model.predict_proba(X)).all()


class Frame:
    """What of a pandas data frame counts here: two dimensions, and its numbers."""

    def __init__(self, values):
        self.values, self.ndim = np.array(values), 2

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter("abc")  # the names of its columns

    def to_numpy(self):
        return self.values


def test_a_data_frame_has_a_sequence_in_each_row():
    rows = [[1, 2, 3], [3, 2, 1]] * 12 + [[1, 2, 4], [4, 2, 1]] * 12
    labels = ["up", "down"] * 24
    model, same = (Classifier(**TINY).fit(of(rows), labels) for of in (Frame, np.array))
    assert (model.predict_proba(Frame(rows)) == same.predict_proba(np.array(rows))).all()


def test_a_checkpoint_to_go_on_from_that_is_not_there(data, tmp_path):
    model = Classifier(**TINY)
    with pytest.raises(SettingError, match=r"typo\.st is not there; name a file"):
        model.fit(*data, checkpoint=tmp_path / "c.st", resume=tmp_path / "typo.st")
    model.fit(*data, checkpoint=tmp_path / "c.st", resume=True)  # where there is none: begins


@pytest.mark.parametrize("version", ["2", 0, -1, 99.0, None, True])
def test_a_format_of_no_number(saved, version):
    edit(saved, format_version=version)
    with pytest.raises(RunDirectoryError, match="format_version should be a number"):
        Classifier.load(saved)


@pytest.mark.parametrize(
    "columns", [{"foo": "x", "text": "t"}, {"self": "t"}, {"text": ["t", "y"]}, {"values": "v"}]
)
def test_columns_of_no_use(saved, columns):
    edit(saved, about={"columns": columns})
    with pytest.raises(RunDirectoryError, match=r"config\.json: damaged: about: columns: "):
        Classifier.load(saved)


def edit(run, **changes):
    config = json.loads((run / "config.json").read_text("utf-8"))
    (run / "config.json").write_text(json.dumps(config | changes), "utf-8")


def test_the_page_of_a_run_that_was_stopped(data, small, tmp_path):
    model = Classifier(**(small | {"batch_size": 8}))
    model.fit(*data, report=lambda progress: progress.epoch == 2 and progress.step == 3)
    page = (model.save(tmp_path / "run") / "README.md").read_text("utf-8")
    assert "Trained to epoch 2, stopped after step 3 of it; the weights are those of epoch" in page


def test_knowing_fewer_tokens_is_no_gain():
    """A token that is not known costs its spelling."""
    text = (Path(__file__).parents[2] / "examples/data/sentences_zh.txt").read_text("utf-8")[:8000]
    few, many = (Generator(hidden_size=32, epochs=2, max_vocab=n).fit(text) for n in (40, None))
    assert few.judge(text).unknown > 0.2 > many.judge(text).unknown
    assert few.judge(text).bits_per_character > many.judge(text).bits_per_character
    assert few.judge(text).perplexity < many.judge(text).perplexity  # of these tokens alone


def test_a_moved_encoder_goes_on(tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers")
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "cache"))
    texts, labels = ["头痛", "痛头", "发热", "热发", "咳痰", "痰咳"] * 4, ["a", "b"] * 12
    first = tmp_path / "first"
    first.mkdir()
    vocabulary = first / "vocab.txt"
    vocabulary.write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"头痛发热咳痰"])
    )
    transformers.BertTokenizerFast(str(vocabulary)).save_pretrained(first)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=11, intermediate_size=8, **sizes)
    transformers.BertModel(config).save_pretrained(first)
    settings = {"epochs": 2, "hidden_size": 4, "validation": 0.3}
    model = Classifier(encoder=str(first), **settings)
    model.fit(texts, labels, checkpoint=tmp_path / "c.st")
    second = shutil.copytree(first, tmp_path / "second")
    shutil.rmtree(first)
    again = Classifier(encoder=str(second), **settings)
    again.fit(texts, labels, checkpoint=tmp_path / "c.st", resume=True)
    assert again.history_.steps == 0
    assert again.encoder == str(second)

    few = transformers.BertConfig(vocab_size=6, intermediate_size=8, **sizes)
    transformers.BertModel(few).save_pretrained(second)
    with pytest.raises(SettingError, match="its tokenizer has 11 tokens, its model vectors for 6"):
        Classifier(encoder=str(second), **settings).fit(texts, labels)
