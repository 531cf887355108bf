"""`elman generate`: a trained generator writes on."""

from typing import Annotated

import typer

from elman.cli import options


def generate(
    run: options.RunDir,
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="What to go on with.")] = "",
    length: Annotated[
        int, typer.Option(min=0, help="How many characters or words to write.")
    ] = 200,
    temperature: Annotated[
        float, typer.Option(help="Below 1 surer, above 1 bolder; 0 takes the likeliest.")
    ] = 0.8,
    top_k: Annotated[int, typer.Option(help="Choose among so many; 0 for all.")] = 0,
    top_p: Annotated[
        float, typer.Option(help="Choose among the likeliest that have this share together.")
    ] = 1.0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed, the same text. [default: any]")
    ] = None,
    threads: options.Threads = 1,
) -> None:
    """Write on from a prompt, token by token. Ctrl-C ends it."""
    import torch

    from elman.tasks import Generator

    torch.set_num_threads(threads)
    model = Generator.load(run)
    written = model.stream(
        prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
    )
    print(prompt, end="", flush=True)
    try:
        for token in written:
            print(token, end="", flush=True)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        print()
