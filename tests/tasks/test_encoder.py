"""Encoder: transformers' own vectors, computed once, from an encoder that is still the same."""

import copy
import json
import pickle
import sys

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForMaskedLM, BertModel

from elman.errors import SettingError
from elman.tasks.classify import encoder as module
from elman.tasks.classify import features
from elman.tasks.classify.encoder import Encoder
from elman.tasks.classify.pretrained import quiet

CHARACTERS = "头痛发热咳嗽甲乙丙丁"
TEXTS = ["头痛发热", "咳", "", "发热咳嗽头痛头痛", "咳", "甲乙X丙"]


def new_encoder(path, kind=BertModel, **sizes):
    """A small BERT with random weights and a tokenizer of ten characters, on disk."""
    path.mkdir()
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CHARACTERS]
    (path / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    facts = {"tokenizer_class": "BertTokenizer", "model_max_length": 10**30}
    (path / "tokenizer_config.json").write_text(json.dumps(facts))
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "max_position_embeddings": 24} | sizes
    config = BertConfig(
        vocab_size=len(tokens), num_attention_heads=4, intermediate_size=48, **sizes
    )
    with quiet():
        kind(config).save_pretrained(path)
    return path


@pytest.fixture
def place(tmp_path):
    return new_encoder(tmp_path / "bert")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own; and nothing is asked of the hub."""
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "cache" / "features"


@pytest.fixture
def forwards(monkeypatch):
    """How many rows went through a BERT."""
    seen = []
    forward = BertModel.forward

    def counted(self, *args, **kwargs):
        seen.append(kwargs["input_ids"].shape)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(BertModel, "forward", counted)
    return seen


def theirs(place, text, **how):
    with quiet(), torch.inference_mode():
        model = AutoModel.from_pretrained(place).float().eval()
        tokens = AutoTokenizer.from_pretrained(place)(text, return_tensors="pt", **how)
        return model(**tokens).last_hidden_state[0].numpy()


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("cache_it", [True, False], ids=["cache", "no cache"])
@pytest.mark.parametrize("size", [32, 768])
def test_vectors_are_those_of_transformers(tmp_path, size, cache_it):
    place = new_encoder(tmp_path / "bert", hidden_size=size, num_hidden_layers=32 // size + 1)
    encoder = Encoder.open(str(place))
    assert encoder.width == size
    for found in (encoder.vectors(TEXTS, cache_it), encoder.vectors(TEXTS, cache_it)):
        assert [len(v) for v in found] == [6, 3, 2, 10, 3, 6]
        for text, vectors in zip(TEXTS, found, strict=True):
            assert isinstance(vectors, np.ndarray)
            assert vectors.dtype == np.float32
            np.testing.assert_allclose(vectors, theirs(place, text), rtol=0, atol=1e-5)


def test_many_batches(place, monkeypatch, forwards):
    monkeypatch.setattr(module, "_TOKENS", 30)
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list(CHARACTERS), n)) for n in rng.integers(0, 12, 40)]
    found = Encoder.open(str(place)).vectors(texts)
    assert all(rows * tokens <= 30 for rows, tokens in forwards)
    for text, vectors in zip(texts, found, strict=True):
        np.testing.assert_allclose(vectors, theirs(place, text), rtol=0, atol=1e-5)


def test_no_texts(place, forwards):
    encoder = Encoder.open(str(place))
    assert encoder.vectors([]) == encoder.vectors([], cache=False) == []
    assert forwards == []


def test_equal_texts_are_read_once(place, forwards):
    Encoder.open(str(place)).vectors(["咳"] * 50 + ["头"], cache=False)
    assert forwards == [(2, 3)]


def test_a_long_text_is_cut_where_the_positions_end(place):
    (vectors,) = Encoder.open(str(place)).vectors(["咳头" * 40])
    expected = theirs(place, "咳头" * 40, truncation=True, max_length=24)
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)


def test_roberta_counts_its_positions_from_the_padding_on(tmp_path):
    place = new_encoder(tmp_path / "bert")
    config = transformers.RobertaConfig(
        vocab_size=15, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=20, pad_token_id=0,
    )  # fmt: skip
    with quiet():
        transformers.RobertaModel(config).save_pretrained(place)
    vectors = Encoder.open(str(place)).vectors(["咳头" * 40, "咳"])
    assert [len(v) for v in vectors] == [19, 3]
    np.testing.assert_allclose(vectors[1], theirs(place, "咳"), rtol=0, atol=1e-5)


def test_half_a_character(place):
    found = Encoder.open(str(place)).vectors(["咳\ud800头", "咳?头"])
    np.testing.assert_array_equal(*found)


def test_half_precision_weights_are_read_in_float32(place):
    with quiet():
        AutoModel.from_pretrained(place).half().save_pretrained(place)
    (vectors,) = Encoder.open(str(place)).vectors(["头痛"])
    np.testing.assert_allclose(vectors, theirs(place, "头痛"), rtol=0, atol=1e-5)


def test_a_second_training_does_not_run_the_encoder(place, forwards, monkeypatch):
    first = Encoder.open(str(place)).vectors(TEXTS)
    assert len(forwards) == 1
    monkeypatch.setattr(module, "read_model", None)  # it is not even loaded
    second = Encoder.open(str(place)).vectors([TEXTS[0], *TEXTS])
    assert len(forwards) == 1
    for a, b in zip([first[0], *first], second, strict=True):
        np.testing.assert_array_equal(a, b)
    torch.from_numpy(second[0])  # may be written to as far as torch can see: no warning


def test_the_cache_knows_other_texts_and_other_encoders(place, tmp_path, forwards):
    encoder = Encoder.open(str(place))
    encoder.vectors(["甲乙"])
    encoder.vectors(["甲", "乙"])
    other = Encoder.open(str(new_encoder(tmp_path / "other")))
    assert not np.array_equal(other.vectors(["甲乙"])[0], encoder.vectors(["甲乙"])[0])
    assert len(forwards) == 3


def test_without_cache_nothing_is_written(place, cache):
    Encoder.open(str(place)).vectors(TEXTS, cache=False)
    assert not cache.exists()


def cut(data):
    return data[:-40]


def flipped(data):
    return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]


@pytest.mark.parametrize("harm", [cut, flipped, lambda d: b"", lambda d: b"x" * len(d)])
def test_a_damaged_file_is_made_anew(place, cache, forwards, harm):
    encoder = Encoder.open(str(place))
    expected = [v.copy() for v in encoder.vectors(TEXTS)]
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(harm(whole))
    for found in (encoder.vectors(TEXTS), encoder.vectors(TEXTS)):
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(forwards) == 2
    assert [f.read_bytes() for f in cache.iterdir()] == [whole]


def test_a_file_of_other_texts_is_not_taken(place, cache, forwards):
    encoder = Encoder.open(str(place))
    encoder.vectors(["甲乙"])
    (one,) = cache.iterdir()
    encoder.vectors(["乙甲"])
    (two,) = set(cache.iterdir()) - {one}
    two.write_bytes(one.read_bytes())
    (vectors,) = encoder.vectors(["乙甲"])
    np.testing.assert_allclose(vectors, theirs(place, "乙甲"), rtol=0, atol=1e-5)


def test_a_cache_that_cannot_be_written(place, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "file"))
    assert [len(v) for v in Encoder.open(str(place)).vectors(TEXTS)] == [6, 3, 2, 10, 3, 6]


def test_a_full_disk(place, cache, monkeypatch):
    def full(self, i, vectors):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features.Keeper, "put", full)
    assert [len(v) for v in Encoder.open(str(place)).vectors(TEXTS)] == [6, 3, 2, 10, 3, 6]
    assert list(cache.iterdir()) == []


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.delenv("ELMAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert features.directory() == tmp_path / "x" / "elman" / "features"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert features.directory() == tmp_path / ".cache" / "elman" / "features"


def test_it_is_quiet_and_leaves_random_numbers_and_settings(tmp_path, capfd):
    # a model with a head: some weights are not used, and the pooler's are missing
    place = new_encoder(tmp_path / "bert", BertForMaskedLM)
    logging = transformers.utils.logging
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    state = torch.get_rng_state()
    capfd.readouterr()
    Encoder.open(str(place)).vectors(TEXTS, cache=False)
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), state)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_a_saved_encoder_is_loaded_at_its_first_use(place):
    opened = Encoder.open(str(place))
    encoder = Encoder(opened.name, opened.sha256, opened.width)
    assert encoder == opened
    np.testing.assert_array_equal(
        encoder.vectors(["咳"], cache=False)[0], opened.vectors(["咳"])[0]
    )
    assert len(pickle.dumps(encoder)) < 1000
    assert copy.deepcopy(encoder) == encoder


def test_a_relative_directory_is_made_absolute(place, monkeypatch):
    monkeypatch.chdir(place.parent)
    assert Encoder.open("bert").name == str(place.resolve())


@pytest.mark.parametrize("file", ["config.json", "vocab.txt", "model.safetensors"])
def test_a_changed_encoder_is_refused(place, tmp_path, file):
    encoder = Encoder.open(str(place))
    (place / "README.md").write_text("notes are no part of it")
    assert Encoder.open(str(place)) == encoder
    other = new_encoder(tmp_path / "other", num_hidden_layers=1)
    (other / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n头\n")
    (place / file).write_bytes((other / file).read_bytes())
    assert Encoder.open(str(place)).sha256 != encoder.sha256
    with pytest.raises(SettingError, match="has changed") as error:
        encoder.vectors(["咳"])
    assert str(place) in one_line(error)


def test_another_width_is_refused(place):
    encoder = Encoder.open(str(place))
    with pytest.raises(SettingError, match="are 32 wide, 64 is needed"):
        Encoder(encoder.name, encoder.sha256, 64).vectors(["咳"])


def test_an_encoder_that_is_gone(place):
    encoder = Encoder.open(str(place))
    place.rename(place.with_name("moved"))
    with pytest.raises(SettingError, match="no such directory") as error:
        encoder.vectors(["咳"])
    assert str(place) in one_line(error)
    assert "elman predict ... --encoder DIR" in str(error.value)


def test_an_encoder_that_was_moved(place, tmp_path):
    encoder = Encoder.open(str(place))
    place.rename(place.with_name("moved"))
    moved = encoder.at(str(place.with_name("moved")))
    assert (moved.sha256, moved.width) == (encoder.sha256, encoder.width)
    assert len(moved.vectors(["咳"])[0]) == 3
    with pytest.raises(SettingError, match="not the one the model learned with") as error:
        encoder.at(str(new_encoder(tmp_path / "other")))
    one_line(error)


def test_weights_lost_inside_the_file(place):
    from safetensors.torch import load_file, save_file

    weights = load_file(place / "model.safetensors")
    del weights["encoder.layer.0.attention.self.query.weight"]
    save_file(weights, place / "model.safetensors", {"format": "pt"})
    with pytest.raises(SettingError, match=r"lack encoder.layer.0.attention.self.query.weight"):
        Encoder.open(str(place)).vectors(["咳"])


def test_damaged_weights(place):
    (place / "model.safetensors").write_bytes(b"no weights at all")
    encoder = Encoder.open(str(place))
    with pytest.raises(SettingError, match="cannot be loaded") as error:
        encoder.vectors(["咳"])
    one_line(error)


def test_pickled_weights_are_refused(place):
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    with pytest.raises(SettingError, match="safe_serialization=True") as error:
        Encoder.open(str(place))
    one_line(error)


def test_weights_of_another_name_are_refused(place):
    config = json.loads((place / "config.json").read_text())
    config["transformers_weights"] = "adapter_model.bin"
    (place / "config.json").write_text(json.dumps(config))
    with pytest.raises(SettingError, match="transformers_weights"):
        Encoder.open(str(place))


def test_weights_in_parts(place):
    expected = Encoder.open(str(place)).vectors(["头痛"])
    with quiet():
        model = AutoModel.from_pretrained(place)
        (place / "model.safetensors").unlink()
        model.save_pretrained(place, max_shard_size="10KB")
    assert (place / "model.safetensors.index.json").is_file()
    encoder = Encoder.open(str(place))
    np.testing.assert_allclose(encoder.vectors(["头痛"])[0], expected[0], rtol=0, atol=1e-6)
    next(place.glob("model-*.safetensors")).unlink()
    with pytest.raises(SettingError, match=r"model-.*cannot be read"):
        Encoder.open(str(place))
    (place / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../x"}}')
    with pytest.raises(SettingError, match="does not list"):
        Encoder.open(str(place))


@pytest.mark.parametrize(
    ("name", "why"),
    [("/nowhere/at/all", "no such directory"), ("./bert", "no such directory"),
     ("a/b/c", "no such directory"), ("", "no such directory"), ("x" * 5000, "no such directory"),
     ("someone/some-bert", "not to be had from the hub"), ("bert-base", "from the hub")],
    ids=["absolute", "relative", "deep", "empty", "long", "hub", "hub without owner"],
)  # fmt: skip
def test_no_such_encoder(name, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=why) as error:
        Encoder.open(name)
    one_line(error)


@pytest.mark.parametrize("kind", ["gpt2", "t5", "vit", "no-such-model"])
def test_no_text_encoder(place, kind):
    (place / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(SettingError, match=kind) as error:
        Encoder.open(str(place))
    one_line(error)


def test_an_empty_directory(tmp_path):
    with pytest.raises(SettingError, match=r"config.json is missing"):
        Encoder.open(str(tmp_path))


def test_transformers_is_missing(place, monkeypatch):
    encoder = Encoder.open(str(place))
    monkeypatch.setitem(sys.modules, "transformers", None)
    for ask in (lambda: Encoder.open(str(place)), lambda: encoder.vectors(["咳"])):
        with pytest.raises(SettingError, match=r"pip install 'elman\[encoder\]'") as error:
            ask()
        one_line(error)
