"""`python -m junlearn.main --version`."""

from junlearn.commands.arguments import Parser

__all__ = ["command"]


def command(arguments: list[str]) -> int:
    """Print the versions of junlearn, JAX and Python; returns the exit status."""
    from junlearn.experiment.provenance import versions

    Parser(prog="--version").parse_args(arguments)
    of = versions()
    print(f"junlearn {of['junlearn']} (jax {of['jax']}, Python {of['python']})")
    return 0
