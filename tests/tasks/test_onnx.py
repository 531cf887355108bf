"""A model as one ONNX file: it answers as in torch, needs nothing else, and is whole or refused."""

import copy
import hashlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman import Classifier, Forecaster, Generator
from elman.errors import RunDirectoryError, SettingError, TrainingError
from elman.models import LanguageModel, SequenceClassifier, SequenceRegressor
from elman.tasks.onnx import export as export_module
from tests.tasks.exports import MAKERS, NEAR, session
from tests.tasks.test_encoder import new_encoder

KINDS = list(MAKERS)


def take_away_the_layers(monkeypatch):
    """Nothing in torch can run a recurrent network."""

    def never(*_, **__):
        raise AssertionError("a network in torch was called")

    for kind in (elman.RNN, nn.RNN, SequenceClassifier, LanguageModel, SequenceRegressor):
        monkeypatch.setattr(kind, "forward", never)


def answers(model, asked):
    """All that a model says: numbers, and what is exact."""
    if isinstance(model, Classifier):
        near = [model.predict_proba(asked), model.predict_proba(asked[:1])]
        if isinstance(asked[0], str):  # no steps at all
            near.append(model.predict_proba(["", ""]))
        return near, [model.predict(asked).tolist(), model.predict_proba([]).shape]
    if isinstance(model, Generator):
        told = model.judge("我爱你 pain, none.\n")
        exact = [model.generate(text, 30, seed=3) for text in asked]
        return [np.array([told.bits_per_character])], [*exact, model.predict(asked).tolist()]
    live = model.live()
    steps = np.stack([live.step(row) for row in asked])
    found = model.evaluate(asked, first=20)
    near = [model.forecasts(asked), model.predict(asked[:30]), steps, found.mae]
    return [*near, *model.predict_interval(asked)], [found.origins, model.has_learned(asked)]


@pytest.mark.parametrize("name", KINDS)
def test_the_answers_are_the_same(made, name, monkeypatch):
    of = made(name)
    with monkeypatch.context() as patch:
        take_away_the_layers(patch)
        model = of.read()
        got, exact = answers(model, of.asked)
    expected, truly = answers(type(of.task).load(of.run), of.asked)
    assert exact == truly
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=NEAR, atol=NEAR)
    assert model.get_params() == of.task.get_params()
    assert (model.about, model.describe()) == (of.task.about, of.task.describe())
    assert model.history_.records == []


@pytest.mark.parametrize("name", KINDS)
def test_any_program_with_onnx_runtime_can_use_it(made, name):
    """At sizes it was not traced with, from what the file says alone."""
    of = made(name)
    loaded, network = session(of.file), of.task.model_
    ports = of.exported.ports
    names = [t.name for t in loaded.get_inputs()], [t.name for t in loaded.get_outputs()]
    second = "lengths" if isinstance(of.task, Classifier) else "state"
    assert names[0][1:] == [second]
    assert names == ([p.name for p in ports.inputs], [p.name for p in ports.outputs])
    rng = torch.Generator().manual_seed(1)
    for N, L in ((1, 1), (1, 7), (6, 2), (3, 90), (64, 11)):
        inputs = [port.drawn({"N": N, "L": L}, rng) for port in ports.inputs]
        found = loaded.run(None, {n: x.numpy() for n, x in zip(names[0], inputs, strict=True)})
        with torch.no_grad():
            expected = network(*inputs)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for got, true in zip(found, expected, strict=True):
            scale = max(1.0, float(true.abs().max()))
            np.testing.assert_allclose(got, true.numpy(), rtol=0, atol=NEAR * scale)


@pytest.mark.parametrize("name", KINDS)
def test_what_the_file_says(made, name):
    of = made(name)
    import onnx

    proto = onnx.load(str(of.file))
    onnx.checker.check_model(proto, full_check=True)
    assert (proto.producer_name, proto.graph.name) == ("elman", f"elman {of.task.task}")
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    assert facts == session(of.file).get_modelmeta().custom_metadata_map
    assert (facts["elman.format"], facts["elman.version"]) == ("1", elman.__version__)
    config = json.loads(facts["config.json"])
    there = json.loads((of.run / "config.json").read_text("utf-8"))
    weights = there["files"].pop("model.safetensors")
    assert weights not in facts["config.json"]
    assert config == there
    for name, sha256 in config["files"].items():
        assert facts[name].encode() == (of.run / name).read_bytes()
        assert hashlib.sha256(facts[name].encode()).hexdigest() == sha256
    assert {k for k in facts if k.endswith(".json")} == {"config.json", *config["files"]}
    for port, there in zip(
        (*of.exported.ports.inputs, *of.exported.ports.outputs),
        (*proto.graph.input, *proto.graph.output),
        strict=True,
    ):
        shape = [d.dim_param or d.dim_value for d in there.type.tensor_type.shape.dim]
        assert (there.name, tuple(shape), there.doc_string) == (port.name, port.shape, port.says)


@pytest.mark.parametrize("name", KINDS)
def test_nothing_of_this_machine_is_in_it(made, name):
    data = made(name).file.read_bytes()
    for word in (b".py", b"site-packages", os.fsencode(Path.home()), os.fsencode(Path.cwd())):
        assert word not in data


def test_it_says_what_it_did(made, tmp_path):
    of = made("generator")
    done = of.exported
    assert (done.path, done.size) == (of.file, of.file.stat().st_size)
    assert done.moved_aside is None
    assert done.opset >= 18
    assert 0 < done.checked.largest < NEAR
    assert done.checked.fits
    assert str(done.ports.inputs[1]) == (
        "state: float32 (2, N, 16), of the chunk before; zeros at the start"
    )


def test_two_exports_are_the_same_bytes(made, tmp_path):
    of = made("generator")
    Generator.load(of.run).to_onnx(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == of.file.read_bytes()


def test_through_a_frozen_encoder(tmp_path, monkeypatch):
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    place = new_encoder(tmp_path / "bert", hidden_size=96)
    texts = ["头痛发热", "咳嗽", "热发痛头", "嗽咳"] * 4
    model = Classifier(encoder=str(place), hidden_size=8, epochs=2).fit(texts, ["a", "b"] * 8)
    done = model.to_onnx(tmp_path / "model.onnx")
    assert str(done.ports.inputs[0]) == (
        "input: float32 (N, L, 96), token vectors of the encoder, times 8/√96"
    )
    asked = ["", "甲乙", "头痛发热咳嗽", *texts]
    loaded = elman.load(tmp_path / "model.onnx")
    expected = model.predict_proba(asked)
    np.testing.assert_allclose(loaded.predict_proba(asked), expected, rtol=0, atol=NEAR)
    place.rename(tmp_path / "moved")
    moved = Classifier.load(tmp_path / "model.onnx").use_encoder(str(tmp_path / "moved"))
    np.testing.assert_allclose(moved.predict_proba(asked), expected, rtol=0, atol=NEAR)


def test_the_task_is_found_out(made):
    for name, kind in (("words", Classifier), ("generator", Generator), ("forecaster", Forecaster)):
        assert type(elman.load(made(name).file)) is kind
    with pytest.raises(RunDirectoryError, match="a run of the task 'classify', 'forecast' is"):
        Forecaster.load(made("words").file)


def test_it_cannot_be_saved_or_exported_again(made, tmp_path, contents):
    model = made("characters").read()
    for ask, what in (
        (lambda: model.save(tmp_path / "run"), "save it"),
        (lambda: model.to_onnx(tmp_path / "again.onnx"), "export it"),
    ):
        with pytest.raises(
            RunDirectoryError, match=f"an ONNX file can only be run; to {what}, load the run dir"
        ):
            ask()
    assert contents(tmp_path) == {}


def test_it_can_be_fitted_anew_like_any(made, data, tmp_path):
    model = made("characters").read().fit(*data)
    assert model.settings_.hidden_size == 8
    Classifier.load(model.save(tmp_path / "run"))


def test_a_file_is_no_checkpoint(made, data, tmp_path):
    with pytest.raises(RunDirectoryError, match=r"model\.onnx"):
        Classifier().fit(
            *data, checkpoint=tmp_path / "new.safetensors", resume=made("characters").file
        )


def test_copies(made):
    of = made("characters")
    model = of.read()
    expected = model.predict_proba(of.asked)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict_proba(of.asked), expected)


def test_the_model_and_the_random_numbers_stay_as_they_were(fitted, tmp_path):
    before = {k: v.clone() for k, v in fitted.model_.state_dict().items()}
    fitted.model_.train()
    state = torch.get_rng_state()
    fitted.to_onnx(tmp_path / "model.onnx")
    assert torch.equal(torch.get_rng_state(), state)
    assert fitted.model_.training
    assert all(p.requires_grad for p in fitted.model_.parameters())
    fitted.model_.eval()
    assert all(torch.equal(v, before[k]) for k, v in fitted.model_.state_dict().items())


@pytest.fixture
def chaotic(made):
    """A forecaster whose states forget where they came from: roundings grow to their size."""
    model = Forecaster.load(made("forecaster").run)
    with torch.no_grad():
        model.model_.rnn.weight_hh_l0.copy_(3 * torch.linalg.qr(torch.randn(8, 8))[0])
    return model


def test_a_network_that_makes_more_of_every_rounding(chaotic, tmp_path):
    """Torch itself is far from float64 there; that is no fault of the file."""
    done = chaotic.to_onnx(tmp_path / "model.onnx")
    assert done.checked.largest > NEAR
    assert done.checked.share < 0.5


def test_short_inputs_tell_a_wrong_file_of_such_a_network_too(chaotic, tmp_path, monkeypatch):
    traced = export_module._traced
    monkeypatch.setattr(export_module, "_traced", lambda *a: spoiled(traced(*a)))
    with pytest.raises(RunDirectoryError, match="answers otherwise"):
        chaotic.to_onnx(tmp_path / "model.onnx")


def test_a_network_that_grows_beyond_all_bounds(made, tmp_path, contents):
    model = Forecaster.load(made("forecaster of two").run)
    with torch.no_grad():
        model.model_.rnn.weight_hh_l0.copy_(100 * torch.eye(8))
    with pytest.raises(TrainingError, match="grow beyond all bounds within 60 steps"):
        model.to_onnx(tmp_path / "model.onnx")
    assert contents(tmp_path) == {}


# What lies there already


def test_a_file_that_is_there_is_moved_aside(made, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"mine")
    task = made("characters").task
    done = task.to_onnx(tmp_path / "model.onnx")
    assert done.moved_aside == tmp_path / "model.bak-1.onnx"
    assert (tmp_path / "model.bak-1.onnx").read_bytes() == b"mine"
    assert not done.unchanged
    again = task.to_onnx(tmp_path / "model.onnx")
    assert (again.unchanged, again.moved_aside) == (True, None)
    made("words").task.to_onnx(tmp_path / "model.onnx")
    names = ["model.bak-1.onnx", "model.bak-2.onnx", "model.onnx"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert Classifier.load(tmp_path / "model.bak-2.onnx").level == "char"


def test_a_link_stays_a_link(made, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "link.onnx").symlink_to(tmp_path / "deep" / "model.onnx")
    made("characters").task.to_onnx(tmp_path / "link.onnx")
    assert (tmp_path / "link.onnx").is_symlink()
    assert Classifier.load(tmp_path / "deep" / "model.onnx").level == "char"


def test_no_place_for_a_file(made, tmp_path, contents):
    (tmp_path / "folder.onnx").mkdir()
    before = contents(tmp_path)
    task = made("characters").task
    for path, why in (
        (tmp_path / "folder.onnx", "is no file; choose another"),
        (tmp_path / "no" / "model.onnx", "there is no folder .*no; make it"),
        (tmp_path / f"{'x' * 300}.onnx", "cannot be written: File name too long"),
        (tmp_path / "model.bin", r"the name should end with \.onnx"),
        (tmp_path / "model", r"the name should end with \.onnx"),
    ):
        with pytest.raises((RunDirectoryError, SettingError), match=why) as error:
            task.to_onnx(path)
        assert str(path) in str(error.value)
    assert contents(tmp_path) == before


# What goes wrong on the way


def spoiled(proto):
    """The same with one weight a little off."""
    from onnx import numpy_helper

    for tensor in proto.graph.initializer:
        if tensor.name.endswith("linear.bias"):
            weight = numpy_helper.to_array(tensor) + np.float32(1e-3)
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
            return proto
    raise AssertionError([tensor.name for tensor in proto.graph.initializer])


def test_a_file_that_answers_otherwise_is_not_written(made, tmp_path, contents, monkeypatch):
    (tmp_path / "model.onnx").write_bytes(b"mine")
    before = contents(tmp_path)
    traced = export_module._traced
    monkeypatch.setattr(export_module, "_traced", lambda *a: spoiled(traced(*a)))
    with pytest.raises(RunDirectoryError, match=r"not written: ONNX Runtime .* answers otherwise"):
        made("characters").task.to_onnx(tmp_path / "model.onnx")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(28, "No space left")])
def test_whatever_stops_it_nothing_is_left(made, tmp_path, contents, monkeypatch, error):
    (tmp_path / "model.onnx").write_bytes(b"mine")
    before = contents(tmp_path)

    def stop(*_):
        raise error

    monkeypatch.setattr(export_module, "difference", stop)
    kind = RunDirectoryError if isinstance(error, OSError) else error
    with pytest.raises(kind):
        made("characters").task.to_onnx(tmp_path / "model.onnx")
    assert contents(tmp_path) == before


KILLED = """
import sys, time
from elman import Classifier
from elman.tasks.onnx import export

def wait(*_):
    print("written", flush=True)
    time.sleep(60)

export.difference = wait
Classifier.load(sys.argv[1]).to_onnx(sys.argv[2])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_it_leaves_the_old_file_and_the_next_one_clears_up(made, tmp_path):
    of, path = made("characters"), tmp_path / "model.onnx"
    path.write_bytes(b"mine")
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(of.run), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "written\n"
    child.kill()
    child.communicate()
    assert path.read_bytes() == b"mine"
    (left,) = set(tmp_path.iterdir()) - {path}
    assert re.fullmatch(rf"\.model\.onnx\.partial-{child.pid}-\w+\.onnx", left.name)
    other = tmp_path / f".model.onnx.partial-{os.getpid()}-0.onnx"  # of a process that lives
    other.touch()
    of.task.to_onnx(path)
    assert set(tmp_path.iterdir()) == {path, other, tmp_path / "model.bak-1.onnx"}


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_package_is_missing(made, tmp_path, contents, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"the package {package} is not installed; pip install 'elman\[onnx\]'"
    with pytest.raises(SettingError, match=message) as error:
        made("characters").task.to_onnx(tmp_path / "model.onnx")
    assert "\n" not in str(error.value)
    assert contents(tmp_path) == {}
    if package == "onnxscript":  # to be used, a file needs the others alone
        made("characters").read()
    else:
        with pytest.raises(SettingError, match=message):
            made("characters").read()


def test_the_page_on_the_file_has_a_program_that_works(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text("utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    texts = ["糖尿病", "病尿糖", "高血压", "压血高"] * 8
    model = Classifier(epochs=2, hidden_size=8).fit(texts, ["real", "fake"] * 16)
    model.to_onnx(tmp_path / "terms.onnx")
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(compile(program, "docs/onnx.md", "exec"), found)
    assert found["answers"] == model.predict(found["texts"]).tolist()
    modules = {line.split()[1] for line in program.splitlines() if line.startswith("import ")}
    assert modules == {"json", "numpy", "onnxruntime"}
