"""The words in the pictures and tables, in both languages."""

LABELS = {
    "en": {
        "unrolled": {
            "told": "Three steps: the state h and the letter read make the next state",
            "letters": "d o g",
            "top": "the same f at every step",
            "x": "input",
            "h": "state",
        },
        "one_step": {
            "told": "One step with its numbers, from two inputs and two states to two new states",
            "from": "inputs and old states",
            "sum": "sum",
            "new": "new states",
            "bias": "biases",
        },
        "shapes": {
            "told": "Five steps of two layers in two directions; the top layer is output, the "
            "last step of each layer and direction is h_n",
            "layer": "layer",
            "forward": "forward →",
            "backward": "backward ←",
            "output": "output: the top layer, (L, N, 2·H)",
            "h_n": "h_n: where each one ends, (4, N, H)",
        },
        "tasks": {
            "told": "Which states answer: the last, every one, or every one with the answer fed "
            "back",
            "one": "many to one: the last state answers",
            "many": "many to many: every state answers",
            "generation": "generation: the answer is the next input",
        },
        "packed": {
            "told": "Three rows of 2, 4 and 1 steps; padded to 4 each, and packed in order of time",
            "padded": "padded: 12 places, 5 of them empty",
            "packed": "packed: 7 steps, in the order of time",
            "row": "row",
            "length": "length",
        },
        "gradients": {
            "told": "Gradient at a state against steps back, logarithmic, for five settings",
            "y": "gradient at the state, 1 at the last",
            "x": "steps back",
        },
        "remedies": {
            "told": "Share of first letters told rightly against length, each seed a dot, for "
            "four settings",
            "x": "length of the sequence, L",
            "chance": "guessing",
            "dots": "a dot a seed, five to a length; share told rightly",
        },
    },
    "zh-CN": {
        "unrolled": {
            "told": "三个时间步：状态 h 和读到的字产生下一个状态",
            "letters": "糖 尿 病",
            "top": "每一步用的都是同一个 f",
            "x": "输入",
            "h": "状态",
        },
        "one_step": {
            "told": "一步的全部数字：从两个输入和两个状态到两个新状态",
            "from": "输入和旧状态",
            "sum": "求和",
            "new": "新状态",
            "bias": "偏置",
        },
        "shapes": {
            "told": "两层、双向、五个时间步；最上层是 output，每层每个方向的最后一步是 h_n",
            "layer": "层",
            "forward": "正向 →",
            "backward": "反向 ←",
            "output": "output：最上层，(L, N, 2·H)",
            "h_n": "h_n：各自结束的地方，(4, N, H)",
        },
        "tasks": {
            "told": "由哪些状态作答：最后一个、每一个，或每一个且把答案送回输入",
            "one": "多对一：最后一个状态作答",
            "many": "多对多：每个状态都作答",
            "generation": "生成：答案就是下一个输入",
        },
        "packed": {
            "told": "三行，长度为 2、4、1；填充后每行 4 格，打包后按时间排列",
            "padded": "填充：12 格，其中 5 格是空的",
            "packed": "打包：7 步，按时间排列",
            "row": "行",
            "length": "长度",
        },
        "gradients": {
            "told": "五种设置下，状态处的梯度随往回步数的变化，对数刻度",
            "y": "状态处的梯度，最后一步为 1",
            "x": "往回的步数",
        },
        "remedies": {
            "told": "四种设置下，答对首字母的比例随长度的变化，每个随机种子一个点",
            "x": "序列长度 L",
            "chance": "随机猜",
            "dots": "每个种子一个点，每种长度五个；纵轴为答对的比例",
        },
    },
}
#: What the settings are called; in English as in the measurements.
SETTINGS = {
    "tanh, uniform": "tanh，均匀分布",
    "relu, uniform": "relu，均匀分布",
    "tanh, orthogonal": "tanh，正交",
    "relu, identity": "relu，单位矩阵",
    "tanh, orthogonal × 1.5": "tanh，正交 × 1.5",
    "uniform, leak 0.3": "均匀分布，泄漏 0.3",
    "uniform, leak 0.1": "均匀分布，泄漏 0.1",
    "uniform, leak 0.03": "均匀分布，泄漏 0.03",
    "orthogonal, leak 0.1": "正交，泄漏 0.1",
    "uniform, carried": "均匀分布，状态接着传",
    "orthogonal, carried": "正交，状态接着传",
    "orthogonal, from zero": "正交，每段从零开始",
    "orthogonal, carried, only the head learns": "正交，状态接着传，只训练输出层",
}


def setting(name: str, language: str) -> str:
    """What a setting is called in a language."""
    return name if language == "en" else SETTINGS[name]
