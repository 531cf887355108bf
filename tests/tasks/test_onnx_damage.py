"""ONNX files that cannot be used: one clear error, and ONNX Runtime does not even see them."""

import hashlib

import numpy as np
import pytest

import elman
from elman import Classifier
from elman.errors import RunDirectoryError
from tests.tasks.exports import session


@pytest.fixture
def file(made, tmp_path):
    """A file of its own."""
    path = tmp_path / "model.onnx"
    path.write_bytes(made("characters").file.read_bytes())
    return path


def refused(path, match):
    for load in (Classifier.load, elman.load):
        with pytest.raises(RunDirectoryError, match=match) as error:
            load(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
        said = str(error.value).count("damaged"), str(error.value).count("not written by elman")
        assert sum(said) <= 1  # one error, not an error within an error
        assert len(str(error.value)) < 1000


def test_no_such_file(tmp_path):
    refused(tmp_path / "no.onnx", r"no such file; `elman export DIR -o .*no\.onnx` makes one")
    refused(tmp_path / f"{'x' * 300}.onnx", "cannot be read: File name too long")
    (tmp_path / "folder.onnx").mkdir()
    refused(tmp_path / "folder.onnx", r"not a run directory, config\.json is missing")


def test_cut_short_anywhere(file):
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    places = {0, 1, 2, 7, len(whole) - 1, *rng.integers(0, len(whole), 200).tolist()}
    for length in sorted(places):
        file.write_bytes(whole[:length])
        refused(file, "damaged: |not written by elman")


def test_bytes_changed_anywhere(file):
    whole = file.read_bytes()
    rng = np.random.default_rng(1)
    for trial in range(300):
        data = bytearray(whole)
        place = rng.integers(0, 400) * (1, -1)[trial % 2] if trial % 3 else rng.integers(len(data))
        data[place] ^= 1 << rng.integers(8)
        file.write_bytes(data)
        refused(file, "damaged: |not written by elman|written by a newer elman")
    file.write_bytes(whole + b"\0")
    refused(file, "damaged: ")


@pytest.mark.parametrize(
    "data", [b"\n" * 50, b"{}", b"PK\x03\x04" * 20, b"\x80\x04\x95" * 20, b"\xff" * 500], ids=repr
)
def test_other_files(file, data):
    file.write_bytes(data)
    refused(file, "damaged: |not written by elman")


def changed(file, change):
    """The file with its message changed, and the right digest of that."""
    import onnx

    proto = onnx.ModelProto.FromString(file.read_bytes())
    change(proto)
    for entry in proto.metadata_props:
        if entry.key == "elman.sha256" and len(entry.value) == 64:
            entry.value = "0" * 64
            entry.value = hashlib.sha256(proto.SerializeToString()).hexdigest()
    file.write_bytes(proto.SerializeToString())


def wire(number, data):
    """A field of a protobuf message, of so many bytes."""
    size, rest = b"", len(data)
    while rest > 127:
        size, rest = size + bytes([rest & 127 | 128]), rest >> 7
    return bytes([number << 3 | 2]) + size + bytes([rest]) + data


def entry(proto, key):
    return next(entry for entry in proto.metadata_props if entry.key == key)


def test_one_of_another_maker(file):
    changed(file, lambda proto: proto.ClearField("metadata_props"))
    refused(file, r"not written by elman: .*; `elman export DIR` writes one that does")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            ("elman.format", "2"),
            r"by a newer elman \(format 2, this one knows 1\); upgrade",
        ),
        (("elman.format", "x"), "damaged: elman.format should be a number, got 'x'"),
        (("elman.sha256", "0" * 63), "damaged: its SHA-256 is not the one"),
        (("elman.sha256", ""), "damaged: its SHA-256 is not the one"),
        (("config.json", "{"), "damaged: config.json: "),
        (("config.json", "{}"), "config.json is not that of an elman run"),
        (("vocab.json", "{}"), "damaged: vocab.json: "),
        (("vocab.json", '{"tokens": ["a"]}'), "damaged: vocab.json: its SHA-256 is not the one"),
    ],
    ids=str,
)
def test_odd_metadata(file, change, match):
    key, value = change

    def put(proto):
        entry(proto, key).value = value

    changed(file, put)
    refused(file, match)


@pytest.mark.parametrize("before", [True, False])
def test_the_digest_is_there_twice(made, file, before):
    facts = session(made("characters").file).get_modelmeta().custom_metadata_map
    copy, whole = wire(6, facts["elman.sha256"].encode()), file.read_bytes()  # what the model says
    file.write_bytes(copy + whole if before else whole + copy)
    refused(file, "damaged: its SHA-256 is not the one that was written into it")


@pytest.mark.parametrize("name", ["config.json", "vocab.json", "elman.sha256"])
def test_metadata_that_is_missing_or_there_twice(file, name):
    whole = file.read_bytes()
    changed(file, lambda proto: proto.metadata_props.remove(entry(proto, name)))
    refused(file, f"damaged: {name}: it is missing; bring the file back, or export it again")
    file.write_bytes(whole + wire(14, wire(1, name.encode()) + wire(2, b"{}")))
    refused(file, f"damaged: its metadata has '{name}' twice")


@pytest.mark.parametrize("text", [wire(1, b"\xff"), wire(1, b"a") + wire(2, b"\xff")], ids=repr)
def test_metadata_that_is_no_text(file, text):
    file.write_bytes(file.read_bytes() + wire(14, text))
    refused(file, "damaged: its metadata is not in UTF-8; bring the file back, or export it again")


def test_documents_and_a_network_that_do_not_belong_together(made, file):
    import onnx

    other = onnx.ModelProto.FromString(made("words").file.read_bytes())

    def mix(proto):
        for part in ("config.json", "vocab.json"):
            entry(proto, part).value = entry(other, part).value

    other.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3
    changed(file, lambda proto: proto.graph.output[0].CopyFrom(other.graph.output[0]))
    refused(file, "do not belong together: as output there should be scores|cannot load it")
    changed(file, lambda proto: entry(proto, "config.json").MergeFrom(entry(other, "config.json")))
    refused(file, "model.onnx")


def in_a_branch(tensor):
    """A node with a branch that is never taken, and in it the tensor."""
    from onnx import helper

    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [])
    return helper.make_node("If", ["x"], ["y"], then_branch=branch)


# where in an ONNX file a tensor may be, as what is added to it
PLACES = {
    "weight": lambda t: {"graph": {"initializer": [t]}},
    "sparse weight": lambda t: {"graph": {"sparse_initializer": [{"values": t}]}},
    "indices": lambda t: {"graph": {"sparse_initializer": [{"indices": t}]}},
    "branch": lambda t: {"graph": {"node": [in_a_branch(t)]}},
    "function": lambda t: {"functions": [{"node": [in_a_branch(t)]}]},
    "default": lambda t: {"functions": [{"attribute_proto": [{"name": "a", "t": t}]}]},
    "several": lambda t: {"graph": {"node": [{"attribute": [{"name": "a", "tensors": [t]}]}]}},
    "training": lambda t: {"training_info": [{"algorithm": {"initializer": [t]}}]},
}


@pytest.mark.parametrize("place", PLACES)
def test_other_files_are_not_followed(file, place):
    from onnx import ModelProto, TensorProto

    tensor = TensorProto(dims=[1], data_type=1, name="far", data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    changed(file, lambda proto: proto.MergeFrom(ModelProto(**PLACES[place](tensor))))
    refused(file, "keeps 'far' in another file, which elman does not follow; export it again")


def test_a_graph_nested_without_end(file):
    inner = b""
    for _ in range(2000):
        for number in (6, 5, 1):  # a graph in an attribute of a node of a graph
            inner = wire(number, inner)
    file.write_bytes(file.read_bytes() + wire(7, inner))
    refused(file, "damaged: it is no ONNX file")
