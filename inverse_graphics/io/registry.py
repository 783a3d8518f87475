"""Registries: what can be chosen by name, each registered where it is defined.

    PROBLEMS: Registry[type[Problem]] = Registry("problem", "inverse_graphics.sequences.bits", …)

    @PROBLEMS.register("parity")
    class Parity(Problem): …

The modules of a registry are imported on first use. A new entry is a decorated class or
function, and, if it is in a new file, that module's name in the registry's list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

Entry = TypeVar("Entry")
Registered = TypeVar("Registered")


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Entries by name, in the order of the modules that register them.

    Args:
        what: an entry is called, for messages.
        modules: that register entries, imported on first use.
    """

    def __init__(self, what: str, *modules: str) -> None:
        self.what = what
        self._modules, self._loaded = modules, False
        self._entries: dict[str, Entry] = {}

    def register(self, name: str) -> Callable[[Registered], Registered]:
        """A decorator that registers a class or function under a name.

        Raises:
            ValueError: the name is taken.
        """

        def registered(entry: Registered) -> Registered:
            if name in self._entries:
                raise ValueError(f"there is a {self.what} '{name}' already: choose another name")
            self._entries[name] = entry  # type: ignore[assignment]
            return entry

        return registered

    def __getitem__(self, name: str) -> Entry:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Entry]:
        """The entries, by the order of their modules, whichever was imported first."""
        if not self._loaded:
            for module in self._modules:
                import_module(module)
            place = {module: index for index, module in enumerate(self._modules)}
            ordered = sorted(
                self._entries.items(), key=lambda item: place.get(item[1].__module__, len(place))
            )
            self._entries, self._loaded = dict(ordered), True
        return self._entries

    def _module_of(self, name: str) -> str:
        return str(getattr(self._entries[name], "__module__", ""))
