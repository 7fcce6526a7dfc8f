"""Python files and modules that a person names, as modules; every mistake in them is one line."""

import hashlib
import sys
from importlib import import_module, util
from pathlib import Path
from types import ModuleType

from junlearn.errors import ConfigError

__all__ = ["load_file", "load_module"]


def load_file(path: Path) -> ModuleType:
    """The module in a Python file.

    The same content at the same place gives the same module, so that what was compiled for it is found again; a file
    that was changed gives another. Raises ConfigError for a file that cannot be read, or that fails when it is
    imported.
    """
    path = Path(path).absolute()
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read the plug-in {path}: {reason}") from error
    if path.suffix != ".py":
        raise ConfigError(f"the plug-in {path} is no Python file: its name has to end in .py")
    key = hashlib.blake2b(f"{path}\0".encode() + content, digest_size=8).hexdigest()
    name = f"junlearn_plugin_{key}"
    if name in sys.modules:
        return sys.modules[name]
    spec = util.spec_from_file_location(name, path)
    assert spec is not None
    module = util.module_from_spec(spec)
    # Dataclasses look for their module there.
    sys.modules[name] = module
    try:
        # The loader of Python would take the byte code of a file of the same size and second for that of this one.
        exec(compile(content, path, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(f"the plug-in {path}", error) from error
    return module


def load_module(name: str) -> ModuleType:
    """The module of a dotted name, as `import` finds it. Raises ConfigError where that fails."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(f"{name!r} is no name of a module, such as my_package.my_method")
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        raise _failed(f"the plug-in {name}", error) from error


def _failed(what: str, error: BaseException) -> ConfigError:
    told = " ".join(str(error).split())
    line = error.lineno if isinstance(error, SyntaxError) else None
    place = f" (line {line})" if line and "line" not in told else ""
    return ConfigError(f"{what} cannot be imported: {type(error).__name__}: {told}{place}")
