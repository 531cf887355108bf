"""A trace's document as JSON: arrays of numbers become base64 of little-endian float32.

Numbers that are float32 already, as weights and states are, go in exactly.
"""

import base64
import json
from typing import Any

import numpy as np
from torch import Tensor


def packed(document: Any) -> str:
    r"""JSON that may stand inside a script element: no `<`, so that nothing can end it.

    >>> packed({"a": np.array([1.0, 2.0]), "token": "</script>"})
    '{"a":{"shape":[2],"data":"AACAPwAAAEA="},"token":"\\u003c/script>"}'
    """
    text = json.dumps(_plain(document), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value, dtype="<f4").tobytes()
        return {"shape": list(value.shape), "data": base64.b64encode(data).decode()}
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value
