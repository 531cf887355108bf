"""Print the shell commands of a Markdown page, to be run one after another.

`make test` is left out: .ci/run has just run it.
"""

import re
import sys
from pathlib import Path

page = Path(sys.argv[1]).read_text(encoding="utf-8")
blocks = re.findall(r"^```sh\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
commands = [line for block in blocks for line in block.splitlines()]
kept = [command for command in commands if not command.startswith("make test")]
if len(kept) == len(commands) or not any(c.startswith("make run") for c in kept):
    sys.exit(f"{sys.argv[1]}: the shell blocks should hold make run and make test")
print("\n".join(kept))
