"""Write what was measured into the pages: python -m docs.learn.scripts.tables.

A page holds the lines `<!-- measured: NAME -->` and `<!-- /measured -->`; what stands between
them comes from measured.json.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median

from docs.learn.scripts import gradients, remedies, speed, truncation
from docs.learn.scripts.labels import setting
from docs.learn.scripts.measure import FILE

LEARN = FILE.parent
LEARNED = 0.95
MARKED = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- /measured -->)", re.DOTALL)


def number(value: float) -> str:
    """Two digits, and powers of ten as they are printed.

    >>> number(0.36), number(16.2), number(6.5e-6), number(1)
    ('0.36', '16', '6.5·10⁻⁶', '1')
    """
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.2g}"
    mantissa, power = f"{value:.1e}".split("e")
    return f"{mantissa}·10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def gradient_table(found: dict, language: str) -> str:
    """Page 7."""
    zh = language != "en"
    backs = (10, 20, 50)
    head = [f"往回 {k} 步" if zh else f"{k} steps back" for k in backs]
    rows = []
    for name, of in found.items():
        cells = [
            f"{number(of['median'][k])} ({number(of['least'][k])} … {number(of['largest'][k])})"
            for k in backs
        ]
        rows.append([setting(name, language), *cells])
    told = (
        f"状态处梯度的大小，最后一步为 1。中位数，括号里是 {gradients.SEEDS} 个种子中的最小值和"
        "最大值："
        if zh
        else "Size of the gradient at a state, 1 at the last: median, and in brackets the least "
        f"and the largest of {gradients.SEEDS} seeds."
    )
    return f"{told}\n\n{_table(['', *head], rows)}"


def remedy_table(found: dict, language: str) -> str:
    """Page 8, initialisation and leak."""
    zh = language != "en"
    rows = [
        [setting(name, language), *(_learned(shares) for shares in by_length.values())]
        for name, by_length in found.items()
    ]
    told = (
        f"{remedies.SEEDS} 个种子中有几个学会了，即在 1000 个新序列上答对 95% 以上："
        if zh
        else f"How many of {remedies.SEEDS} seeds learned it, telling over 95 % of 1000 new "
        "sequences rightly:"
    )
    return f"{told}\n\n{_table(['', *(f'L = {L}' for L in remedies.LENGTHS)], rows)}"


def clip_table(found: dict, language: str) -> str:
    """Page 8, clipping."""
    zh = language != "en"
    names = {"without": "不裁剪", "at 1": "裁剪到 1"} if zh else {}
    head = ["裁剪", "学会的种子", "遇到的最大梯度范数"] if zh else [
        "clipping", "seeds that learned", "largest gradient norm met"
    ]  # fmt: skip
    rows = []
    for name, of in found.items():
        norms = of["largest"]
        spread = f"{number(median(norms))} ({number(min(norms))} … {number(max(norms))})"
        rows.append([names.get(name, name), _learned(of["right"]), spread])
    return _table(head, rows)


def truncation_table(found: dict, language: str) -> str:
    """Page 8, chunks."""
    zh = language != "en"
    head = [f"每段 {k} 步" if zh else f"chunks of {k}" for k in truncation.CHUNKS]
    rows = [
        [setting(name, language), *(_spread(shares) for shares in by_chunk.values())]
        for name, by_chunk in found.items()
    ]
    told = (
        f"答对的比例：{truncation.SEEDS} 个种子的平均，括号里是最小和最大值；随机猜是 0.5："
        if zh
        else f"Share told rightly: mean of {truncation.SEEDS} seeds, in brackets the least and the "
        "largest; guessing is 0.5:"
    )
    return f"{told}\n\n{_table(['', *head], rows)}"


def speed_line(found: dict, language: str) -> str:
    """Page 4."""
    of = {key: f"{value:.1f}" for key, value in found.items()}
    sizes = f"(L, N, H_in, H) = ({speed.L}, {speed.N}, {speed.H_IN}, {speed.H})"
    if language != "en":
        return (
            f"实测：{sizes}，单线程，前向加反向，层的速度是单步循环的 **{of['median']} 倍**（"
            f"同一次运行中交替测 {speed.ROUNDS} 轮，中间一半落在 {of['lower']} 到 {of['upper']} "
            "倍之间）。换一台机器、换一种规模，结果会不同；脚本是 [speed.py](scripts/speed.py)。"
        )
    return (
        f"Measured, forward and backward on one thread, {sizes}: the layer was "
        f"**{of['median']} times** as fast as the loop over the cell (of {speed.ROUNDS} rounds by "
        f"turns in one run, the middle half lay between {of['lower']} and {of['upper']}). Another "
        "machine or size gives another number; [speed.py](scripts/speed.py) measures it."
    )


PARTS: dict[str, Callable[[dict, str], str]] = {
    "gradients": gradient_table,
    "remedies": remedy_table,
    "leak": remedy_table,
    "clipping": clip_table,
    "truncation": truncation_table,
    "speed": speed_line,
}


def filled(page: Path, found: dict) -> str:
    """The page's text with the numbers in it."""
    language = "zh-CN" if page.name.endswith(".zh-CN.md") else "en"

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n{PARTS[match[2]](found[match[2]], language)}\n\n{match[3]}"

    return MARKED.sub(fill, page.read_text(encoding="utf-8"))


def main() -> None:
    """Fill every page."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    for page in sorted(LEARN.glob("*.md")):
        page.write_text(filled(page, found), encoding="utf-8")


def _learned(shares: list[float]) -> str:
    return f"{sum(share > LEARNED for share in shares)}/{len(shares)}"


def _spread(shares: list[float]) -> str:
    return f"{mean(shares):.2f} ({min(shares):.2f} … {max(shares):.2f})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
