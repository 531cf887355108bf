// The network in a line, as it was trained, in the language of the page.

import { spoken } from "./language.js";

// Of the tasks' descriptions; names that are the field's own, RNN and tanh, stay.
const IN_CHINESE = [
  [/^characters$/, "字符"],
  [/^words$/, "词"],
  [/^numbers$/, "数"],
  [/^(\d+) numbers a step$/, "每步 $1 个数"],
  [/^token vectors of (.+), (\d+) wide$/, "$1 的词元向量，宽 $2"],
  [/^changes$/, "变化"],
  [/^embedding (\d+)$/, "嵌入 $1"],
  [/^what to add to the naive forecast, (\d+) steps ahead$/, "对朴素预测的修正，向前 $1 步"],
  [/^(\d+) layers of (.+)$/, "$1 层 $2"],
  [/\bbidirectional RNN\b/, "双向 RNN"],
];

export function network(line) {
  if (spoken() !== "zh") return line;
  const told = (part) => IN_CHINESE.reduce((text, [from, to]) => text.replace(from, to), part);
  return line.split(" → ").map(told).join(" → ");
}
