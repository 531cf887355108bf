"""report.html of a run: how it learned, how good it is on what it never saw, what it was told."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from elman.report.charts import Chart, Line, Points, draw
from elman.report.frame import (
    Markup,
    Words,
    as_number,
    both,
    document,
    number,
    paragraph,
    section,
    shown,
    table,
    tiles,
)
from elman.tasks.config import RunConfig
from elman.tasks.underway import again, banner, standing, titled
from elman.train import Progress

Records = list[dict[str, Any]]
_MOST = 500  # epochs drawn at most
_EPOCH = Words("epoch", "轮")
_TITLES = {
    "classify": Words("How this classifier learned", "这个分类器是怎样学会的"),
    "generate": Words("How this generator learned", "这个生成器是怎样学会的"),
    "forecast": Words("How this forecaster learned", "这个预测器是怎样学会的"),
}
#: Which rows the answers are of, by `Evidence.on`.
WHICH = {
    "held out": Words(
        "On rows held out before training began, that no part of training ever saw.",
        "基于训练开始前就留出、训练从未接触过的数据。",
    ),
    "stopping": Words(
        "On the rows that told when to stop. The weights were chosen by these rows, so this "
        "flatters them a little.",
        "基于用于早停的数据。权重正是按这些数据挑选的，因此结果略为乐观。",
    ),
}
#: What metrics.jsonl calls a figure, and what it is; the others stand there by their own names.
_FIGURES = {
    "valid_accuracy": Words("accuracy on the rows that stop", "用于早停的数据上的准确率"),
    "valid_bits_per_character": Words(
        "bits per character, on the text that stops", "用于早停的文本上每字符比特数"
    ),
    "valid_error_to_naive": Words(
        "error, in units of the naive forecast's", "误差（以朴素预测的误差为单位）"
    ),
}


def report_page(
    config: RunConfig,
    records: Records,
    network: str,
    answers: Sequence[str] = (),
    at: Progress | None = None,
) -> str:
    """The page; what is not known is left out.

    Args:
        config: of the run.
        records: of its epochs.
        network: in a line.
        answers: sections on what the model says, safe markup.
        at: where the training stands whose page it is. Default: it is over.
    """
    about = config.about
    lead: list[str] = [both(_both_ways(network))]
    if about.data is not None:
        lead.append(f"<code>{shown(about.data.file)}</code>{_seen(about.data.seen)}")
    parts: list[str] = [tiles(_headline(config))]
    title = _TITLES.get(config.task, Words("How this model learned", "这个模型是怎样学会的"))
    if at is not None:
        parts = [banner(at), tiles(standing(at, _FIGURES))]
        title = titled(config.task, at)
    if records:
        parts.append(_learning(records, config.settings))
    parts += answers
    parts.append(_facts(config, _CLOSING if at is None else _UNFINISHED))
    return document(title, lead, parts, None if at is None else again(at))


def _seen(seen: str | None) -> str:
    return f" · {both(_both_ways(seen))}" if seen else ""


#: What the tasks say in English of themselves, and how it is said in Chinese.
_CHINESE = (
    (r"^characters →", "字符 →"),
    (r"^words →", "词 →"),
    (r"^changes →", "变化量 →"),
    (r"embedding (\d+)", r"嵌入 \1"),
    (r"(\d+) layers of ", r"\1 层 "),
    (r"bidirectional ", "双向 "),
    (r"what to add to the naive forecast, (\d+) steps ahead", r"对朴素预测的修正，向前 \1 步"),
    (r"^the first (\d+) characters", r"前 \1 个字符"),
    (r"^rows (\d+) to (\d+)", r"第 \1 至 \2 行"),
    (r" \((.+) to (.+)\)$", r"（\1 至 \2）"),
    (
        r"^(\d+) of (\d+) (rows|sequences), whole groups drawn at random",
        r"\2 中的 \1，按整组随机抽取",
    ),
)


def _both_ways(said: str) -> Words:
    """A line of the tasks' in both languages; of what is not known here, the line itself."""
    chinese = said
    for english, translated in _CHINESE:
        chinese = re.sub(english, translated, chinese)
    return Words(said, chinese)


def _headline(config: RunConfig) -> list[tuple[Words, Markup, Words | None]]:
    """The figures on what was held out, each beside its baseline."""
    held = config.about.held_out
    if held is None:
        return []
    of: Callable[[str], float | None] = lambda name: as_number(getattr(held, name, None))  # noqa: E731

    def beside(en: str, zh: str, name: str, form: str) -> Words | None:
        value = of(name)
        if value is None:
            return None
        return Words(en.format(format(value, form)), zh.format(format(value, form)))

    wanted: list[tuple[str, Words, str, Words | None]] = [
        ("accuracy", Words("accuracy on what it never saw", "在未见过的数据上的准确率"), ".3f",
         beside("{} by always giving the commonest class", "总答最常见的一类：{}",
                "majority", ".3f")),
        ("bits_per_character", Words("bits per character", "每字符比特数"), ".3f",
         beside("{} by how common each token is", "只知各字频率：{}", "unigram_bits", ".3f")),
        ("perplexity", Words("perplexity of each token", "每个词元的困惑度"), ".2f", None),
        ("mae", Words("mean absolute error", "平均绝对误差"), ".4g", None),
        ("skill", Words("skill", "技能分"), "+.3f",
         Words("against the better naive forecast; 0 is no better",
               "相对较好的朴素预测；0 表示不比它好")),
        ("coverage", Words("values inside their interval", "落在区间内的比例"), ".1%",
         beside("{} were asked for", "要求 {}", "nominal", ".0%")),
        ("rows", Words("rows it never saw", "从未见过的行数"), ",.0f", None),
    ]  # fmt: skip
    if config.task == "generate":
        wanted[-1] = ("rows", Words("characters it never saw", "从未见过的字符数"), ",.0f", None)
    found = [(name, of(key), form, hold) for key, name, form, hold in wanted]
    return [(n, number(v, form), hold) for n, v, form, hold in found if v is not None]


def kept_epoch(records: Records) -> int | None:
    """The epoch whose weights were kept."""
    known = [(as_number(r.get("valid_loss")), r.get("epoch")) for r in records]
    losses = [
        (loss, epoch)
        for loss, epoch in known
        if loss is not None and type(epoch) is int and as_number(epoch) is not None
    ]
    return min(losses, key=lambda pair: pair[0])[1] if losses else None


def _thinned(records: Records) -> Records:
    """Not more than are worth drawing: every k-th, the last, and the one that was kept."""
    if len(records) <= _MOST:
        return records
    every, best = -(-len(records) // _MOST), kept_epoch(records)
    return [
        record
        for k, record in enumerate(records)
        if k % every == 0 or k == len(records) - 1 or record.get("epoch") == best
    ]


def _points(records: Records, read: Callable[[dict[str, Any]], Any]) -> Points:
    """(epoch, figure) where there is a finite one."""
    found = []
    for record in records:
        epoch, value = as_number(record.get("epoch")), as_number(read(record))
        if epoch is not None and value is not None:
            found.append((epoch, value))
    return sorted(dict(found).items())


def _learning(records: Records, settings: dict[str, Any]) -> str:
    drawn = _thinned(records)
    best = kept_epoch(records)
    mark = None
    if best is not None:
        mark = (float(best), Words("weights kept", "保留的权重"))
    charts = [*_losses(drawn, mark), *_steering(drawn, settings), *_radii(drawn, mark)]
    note = []
    if len(drawn) < len(records):
        en = f"{len(drawn)} of {len(records)} epochs are drawn; metrics.jsonl has them all."
        zh = f"共 {len(records)} 轮，图中画出 {len(drawn)} 轮；metrics.jsonl 里有全部。"
        note = [paragraph(Words(en, zh), "hint")]
    title = Words("Learning, epoch by epoch", "逐轮的学习过程")
    drawings = "".join(map(draw, charts))
    return section(title, *note, f'<div class="charts">{drawings}</div>')


def _losses(records: Records, mark: tuple[float, Words] | None) -> list[Chart]:
    learned = _points(records, lambda r: r.get("loss"))
    held = _points(records, lambda r: r.get("valid_loss"))
    lines = [
        Line(Words("on what it learns from", "学习用的数据"), learned, 0),
        Line(Words("on the rows that stop", "用于早停的数据"), held, 1),
    ]
    charts = []
    if learned or held:
        charts.append(
            Chart(
                Words("Loss", "损失"),
                [line for line in lines if line.points],
                _EPOCH,
                Words(
                    "Both should fall. Where the second turns up while the first still falls, the "
                    "network has begun to learn by heart; training stops and the weights of the "
                    "lowest second line are kept. The first may lie above: it is measured with "
                    "dropout and smoothing.",
                    "两条线都应下降。若第一条仍在下降而第二条转而上升，说明网络开始死记硬背：训练停止，"
                    "保留第二条线最低处的权重。第一条可能更高，因为它带着 dropout 和标签平滑计算。",
                ),
                mark=mark,
            )
        )
    names = {name for r in records for name in r if name.startswith("valid_")} - {"valid_loss"}
    for name in sorted(names):
        if points := _points(records, lambda r, name=name: r.get(name)):  # type: ignore[misc]
            title = _FIGURES.get(name, name.removeprefix("valid_").replace("_", " "))
            words = title if isinstance(title, Words) else Words(title, title)
            charts.append(Chart(_capital(words), [Line(words, points, 1)], _EPOCH, mark=mark))
    return charts


def _capital(words: Words) -> Words:
    return Words(words.en[:1].upper() + words.en[1:], words.zh)


def _steering(records: Records, settings: dict[str, Any]) -> list[Chart]:
    charts = []
    if rates := _points(records, lambda r: r.get("lr")):
        name = Words("learning rate of the last step", "最后一步的学习率")
        charts.append(Chart(Words("Learning rate", "学习率"), [Line(name, rates, 2)], _EPOCH))
    if norms := _points(records, lambda r: r.get("grad_norm")):
        clip = as_number(settings.get("clip"))
        values = [value for _, value in norms]
        log = min(values) > 0 and max(values) > 30 * min(values)
        level = None
        # a threshold far above all that came would press the line flat
        if clip is not None and 0 < clip < 4 * max(values):
            level = (clip, Words("clipped above", "超过则裁剪"))
        name = Words("mean over the steps, before clipping", "各步的平均值（裁剪之前）")
        charts.append(
            Chart(
                Words("Norm of the gradient before clipping", "裁剪前的梯度范数"),
                [Line(name, norms, 3)],
                _EPOCH,
                Words(
                    "It should be steady or fall slowly. Jumps by powers of ten are exploding "
                    "gradients: lower the learning rate. Near zero from the start, nothing is "
                    "learned.",
                    "平稳或缓慢下降为好。成十倍百倍地跳动是梯度爆炸：请降低学习率。一开始就接近零则学不到东西。",
                ),
                log=log,
                level=level,
            )
        )
    return charts


def _radii(records: Records, mark: tuple[float, Words] | None) -> list[Chart]:
    """Spectral radius of W_hh, a line a layer and direction."""
    names: dict[str, None] = {}
    for record in records:
        if isinstance(radii := record.get("spectral_radius"), dict):
            names |= dict.fromkeys(radii)

    def read(name: str) -> Callable[[dict[str, Any]], Any]:
        return lambda r: r["spectral_radius"].get(name) if isinstance(
            r.get("spectral_radius"), dict
        ) else None  # fmt: skip

    found = [(name, _points(records, read(name))) for name in names]
    lines = [Line(name, points, k % 4) for k, (name, points) in enumerate(found) if points]
    charts = []
    for k in range(0, len(lines), 4):  # four can be told apart
        charts.append(
            Chart(
                Words("Spectral radius of W_hh", "W_hh 的谱半径"),
                lines[k : k + 4],
                _EPOCH,
                Words(
                    "The largest |eigenvalue| of the recurrent weights. Well below 1 the past "
                    "fades fast; well above 1 a tanh network may become chaotic and gradients "
                    "explode.",
                    "循环权重的最大特征值模。远小于 1，过去很快淡忘；"
                    "远大于 1，tanh 网络可能变得混沌，梯度会爆炸。",
                ),
                level=(1.0, Words("1: neither fades nor grows", "1：不衰减也不增长")),
                mark=mark,
            )
        )
    return charts


def _facts(config: RunConfig, closing: Words) -> str:
    rows: list[tuple[Words | str, str]] = []
    about = config.about
    if about.command:
        rows.append((Words("made by", "生成命令"), shown(about.command)))
    if about.data is not None:
        rows.append((Words("data", "数据"), shown(about.data.file)))
        rows.append(("SHA-256", shown(about.data.sha256)))
    rows += [(shown(name), shown(value)) for name, value in config.settings.items()]
    rows += [(shown(name), shown(version)) for name, version in config.versions.items()]
    told = table([Words("what", "项目"), Words("value", "值")], rows)
    summary = both(Words("Settings, data, versions", "参数、数据与版本"))
    return Markup(
        f'<section class="facts"><h2>{both(Words("How it was made", "如何得到"))}</h2>'
        f'<div class="card"><details><summary>{summary}</summary>{told}</details></div>'
        f"<footer>{both(closing)}</footer></section>"
    )


_CLOSING = Words(
    "Every number on this page is in metrics.jsonl, config.json or report.json beside it. "
    "Nothing on it is fetched from anywhere.",
    "本页的每个数字都在同一目录的 metrics.jsonl、"
    "config.json 或 report.json 里；本页不从任何地方加载内容。",
)
_UNFINISHED = Words(
    "The numbers on this page will be in metrics.jsonl and report.json when the training is over. "
    "Nothing on it is fetched from anywhere.",
    "训练结束后，本页的数字都在 metrics.jsonl 和 report.json 里；本页不从任何地方加载内容。",
)
