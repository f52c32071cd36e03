"""An interpreter for pickles that hold data: it builds plain containers and calls nothing but a fixed table.

The opcodes are those of Python's pickle protocols 0 to 5, decoded by `pickletools` (which checks every length against
the bytes that are there). What is not named here is refused: classes, extension codes, persistent ids, attributes.
Nothing is ever imported by name, and no object's own `__setstate__` or `__reduce__` runs.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import Any

_MARK = object()
_EMPTY: Mapping[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_SKIPPED = frozenset({"PROTO", "FRAME"})
_SCALARS = (str, bytes, int, float, bool, type(None))


class RefusedError(Exception):
    """The pickle asks for something that a data file has no business to hold."""


class Unbuilt:
    """A value that a pickle makes in two steps: a call, then its state. `finish` checks the state, gives the value."""

    def finish(self, state: Any) -> Any:
        """The value. Raises: ValueError, TypeError or RefusedError where the state does not describe one."""
        raise NotImplementedError


class Admitted:
    """A global that data files may name. A pickle gets hold of nothing but these, and cannot change them."""

    __slots__ = ("call", "name")

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name, self.call = name, call


class PickleMachine:
    """Runs one pickle. `table` maps `module.name` to what stands in for that global."""

    def __init__(self, table: Mapping[str, Admitted]) -> None:
        self._table = table
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._noted_unbuilt: dict[int, list[int]] = {}

    def run(self, data: bytes) -> Any:
        """The value that the pickle describes.

        Raises: RefusedError naming what is not allowed; ValueError, TypeError or another error of Python for bytes that
        are no pickle.
        """
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return self._pop()
            self._step(opcode.name, argument)
        raise ValueError("the pickle has no end")

    def _step(self, name: str, argument: Any) -> None:
        if name in _SKIPPED:
            return
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _LITERALS:
            self._stack.append(argument)
        elif name in _HANDLERS:
            _HANDLERS[name](self, argument)
        else:
            raise RefusedError(f"the pickle instruction {name} is not allowed in a data file")

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise ValueError("the pickle takes more values than it made")
        return self._stack.pop()

    def _top(self, kind: type | tuple[type, ...]) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise ValueError("the pickle fills something that is no container")
        return self._stack[-1]

    def _pop_mark(self) -> list[Any]:
        items: list[Any] = []
        while self._stack:
            item = self._stack.pop()
            if item is _MARK:
                return items[::-1]
            items.append(item)
        raise ValueError("the pickle closes a group that it did not open")

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _put(self, index: Any) -> None:
        value = self._pop()
        self._stack.append(value)
        self._memo[int(index)] = value
        if isinstance(value, Unbuilt):
            self._noted_unbuilt.setdefault(id(value), []).append(int(index))

    def _memoize(self, _: Any) -> None:
        self._put(len(self._memo))

    def _get(self, index: Any) -> None:
        self._stack.append(self._memo[int(index)])

    def _dup(self, _: Any) -> None:
        value = self._pop()
        self._stack += [value, value]

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def _short_tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._stack.append(tuple(items[::-1]))

    def _list(self, _: Any) -> None:
        self._stack.append(self._pop_mark())

    def _dict(self, _: Any) -> None:
        items = self._pop_mark()
        self._stack.append({})
        self._fill_dict(items)

    def _append(self, _: Any) -> None:
        value = self._pop()
        self._top(list).append(value)

    def _appends(self, _: Any) -> None:
        items = self._pop_mark()
        self._top(list).extend(items)

    def _setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._fill_dict([key, value])

    def _setitems(self, _: Any) -> None:
        self._fill_dict(self._pop_mark())

    def _fill_dict(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise ValueError("the pickle has a key without a value")
        target = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_hashable(key)] = value

    def _additems(self, _: Any) -> None:
        items = self._pop_mark()
        self._top(set).update(_hashable(item) for item in items)

    def _frozenset(self, _: Any) -> None:
        self._stack.append(frozenset(_hashable(item) for item in self._pop_mark()))

    def _pop_one(self, _: Any) -> None:
        if not self._stack:
            raise ValueError("the pickle takes more values than it made")
        self._stack.pop()

    def _pop_group(self, _: Any) -> None:
        self._pop_mark()

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(self._find(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._stack.append(self._find(module, name))

    def _find(self, module: Any, name: Any) -> Admitted:
        if module == "__builtin__":  # what protocols 0 to 2 call it, after Python 2
            module = "builtins"
        found = self._table.get(f"{module}.{name}") if isinstance(module, str) and isinstance(name, str) else None
        if found is None:
            raise RefusedError(f"{module}.{name} is not allowed in a data file")
        return found

    def _reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, Admitted) or not isinstance(arguments, tuple):
            raise RefusedError(f"calling a {type(function).__name__} is not allowed in a data file")
        self._stack.append(function.call(*arguments))

    def _build(self, _: Any) -> None:
        state, target = self._pop(), self._pop()
        if not isinstance(target, Unbuilt):
            raise RefusedError(f"setting the state of a {_name_of(target)} is not allowed in a data file")
        value = target.finish(state)
        # The pickle may have noted the value before it was complete: later mentions mean the complete one.
        for index in self._noted_unbuilt.pop(id(target), ()):
            if self._memo[index] is target:
                self._memo[index] = value
        self._stack.append(value)


def _name_of(target: Any) -> str:
    return target.name if isinstance(target, Admitted) else type(target).__name__


def _hashable(key: Any) -> Any:
    """A key, if it is a scalar or a flat tuple of scalars: hashing anything deeper can be made to take forever."""
    if isinstance(key, _SCALARS) or (isinstance(key, tuple) and all(isinstance(item, _SCALARS) for item in key)):
        return key
    raise RefusedError(f"a {type(key).__name__} as a key is not allowed in a data file")


_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_LITERALS = _NUMBERS | _TEXTS | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_HANDLERS: Mapping[str, Callable[[PickleMachine, Any], None]] = {
    "MARK": PickleMachine._mark,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), PickleMachine._put),
    "MEMOIZE": PickleMachine._memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), PickleMachine._get),
    "DUP": PickleMachine._dup,
    "POP": PickleMachine._pop_one,
    "POP_MARK": PickleMachine._pop_group,
    "TUPLE": PickleMachine._tuple,
    "TUPLE1": lambda machine, _: machine._short_tuple(1),
    "TUPLE2": lambda machine, _: machine._short_tuple(2),
    "TUPLE3": lambda machine, _: machine._short_tuple(3),
    "LIST": PickleMachine._list,
    "DICT": PickleMachine._dict,
    "APPEND": PickleMachine._append,
    "APPENDS": PickleMachine._appends,
    "SETITEM": PickleMachine._setitem,
    "SETITEMS": PickleMachine._setitems,
    "ADDITEMS": PickleMachine._additems,
    "FROZENSET": PickleMachine._frozenset,
    "GLOBAL": PickleMachine._global,
    "STACK_GLOBAL": PickleMachine._stack_global,
    "REDUCE": PickleMachine._reduce,
    "BUILD": PickleMachine._build,
}
