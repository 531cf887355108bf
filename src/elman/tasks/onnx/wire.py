"""Looking into an ONNX file before anything else does: its metadata, and that it is all there.

An ONNX file is one protobuf message, https://protobuf.dev/programming-guides/encoding. Of it no
more is read than where its parts begin and end; numbers of fields are those of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5  # how a field is written
_METADATA, _KEY, _VALUE = 14, 1, 2
_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14  # of a tensor
# the parts that may hold tensors, by the number of their field
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}


class Field(NamedTuple):
    """A field of a message: its number, where its bytes are, and its value if it is an integer."""

    number: int
    start: int
    end: int
    value: int | None = None


def fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    r"""The fields of the message that lies from `start` to `end`.

    Raises:
        ValueError: it is no message, or not whole.

    >>> [tuple(field) for field in fields(b"\x08\x96\x01\x12\x02hi", 0, 7)]
    [(1, 1, 3, 150), (2, 5, 7, None)]
    """
    while start < end:
        tag, begin = _varint(data, start, end)
        kind, value = tag & 7, None
        if kind == _VARINT:
            value, start = _varint(data, begin, end)
        elif kind == _LEN:
            size, begin = _varint(data, begin, end)
            start = begin + size
        elif kind in (_I64, _I32):
            start = begin + (8 if kind == _I64 else 4)
        else:
            raise ValueError("it is no ONNX file")
        if start > end:
            raise ValueError("it is no ONNX file, or not whole")
        yield Field(tag >> 3, begin, start, value)


def _varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    value = 0
    for k, byte in enumerate(data[start : min(end, start + 10)]):
        value |= (byte & 127) << 7 * k
        if byte < 128:
            return value, start + k + 1
    raise ValueError("it is no ONNX file, or not whole")


def metadata(data: bytes) -> dict[str, Field]:
    """Where the values of an ONNX file's metadata are, by their keys.

    Raises:
        ValueError: it is no ONNX file, or a key is there twice.
    """
    found: dict[str, Field] = {}
    for entry in fields(data, 0, len(data)):
        if entry.number != _METADATA or entry.value is not None:
            continue
        key, value = "", Field(_VALUE, entry.end, entry.end)
        for field in fields(data, entry.start, entry.end):
            if field.number == _KEY:
                key = data[field.start : field.end].decode("utf-8")
            elif field.number == _VALUE:
                value = field
        if key in found:
            raise ValueError(f"its metadata has {key!r:.60} twice")
        found[key] = value
    return found


def kept_elsewhere(data: bytes) -> str | None:
    """The name of a tensor whose numbers are in another file; None if there is none.

    Raises:
        ValueError: it is no ONNX file.
    """
    return _elsewhere(data, "model", 0, len(data))


def _elsewhere(data: bytes, part: str, start: int, end: int) -> str | None:
    name, away = "", False
    for field in fields(data, start, end):
        if part == "tensor":
            if field.number == _NAME:
                name = data[field.start : field.end].decode("utf-8", "replace")
            away |= field.number == _EXTERNAL_DATA
            away |= field.number == _DATA_LOCATION and field.value != 0
        elif field.number in _INSIDE[part] and field.value is None:
            found = _elsewhere(data, _INSIDE[part][field.number], field.start, field.end)
            if found is not None:
                return found
    return name if away else None
