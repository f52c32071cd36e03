"""Reading pickled data without running it."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from licap.datasets.restricted import load_pickle
from licap.errors import DataError

ARRAYS = {
    "C": np.arange(12, dtype=np.float32).reshape(3, 4),
    "F": np.asfortranarray(np.arange(12, dtype=np.int64).reshape(3, 4)),
    "bool": np.array([True, False]),
    "big-endian": np.arange(3, dtype=">f8"),
    "empty": np.empty((0, 4), np.float32),
    "no dimension": np.array(2.5),
    "slice": np.arange(20.0).reshape(4, 5)[::2, 1:3],
}


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "x.pk"
    path.write_bytes(content)
    return path


def loaded(tmp_path: Path, value: Any, protocol: int = 4) -> Any:
    return load_pickle(written(tmp_path, pickle.dumps(value, protocol)))


def as_numpy_1(content: bytes) -> bytes:
    """The same pickle with the module names that numpy 1 writes."""
    for module in (b"numpy._core.multiarray", b"numpy._core.numeric"):
        old = module.replace(b"_core", b"core")
        content = content.replace(b"\x8c" + bytes([len(module)]) + module, b"\x8c" + bytes([len(old)]) + old)
        content = content.replace(b"c" + module, b"c" + old)
    return without_frames(content)


def without_frames(content: bytes) -> bytes:
    """Frames state a length that other module names change; a pickle may do without."""
    start = content.find(b"\x95")
    return content[:start] + content[start + 9 :] if start == 2 else content


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("numpy_version", [1, 2])
def test_arrays_of_every_protocol_and_numpy_read_equal(
    tmp_path: Path, protocol: int, name: str, numpy_version: int
) -> None:
    content = pickle.dumps(ARRAYS[name], protocol)
    content = as_numpy_1(content) if numpy_version == 1 else content
    assert (b"_core" in content) == (numpy_version == 2)
    array = load_pickle(written(tmp_path, content))
    assert isinstance(array, np.ndarray)
    assert array.dtype == ARRAYS[name].dtype.newbyteorder("=")
    np.testing.assert_array_equal(array, ARRAYS[name])


@pytest.mark.parametrize("protocol", range(2, 6))
def test_tensors_of_every_protocol_read_equal(tmp_path: Path, protocol: int) -> None:
    grid = torch.arange(12.0).reshape(3, 4)
    value = {
        "edges": (torch.tensor([0, 1]), torch.tensor([1, 2])),
        "features": grid,
        "turned": grid.T,
        "part": grid[1:, 2:],
        "stretched": torch.ones(1).expand(5),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "weights": torch.nn.Parameter(torch.ones(2)),
        "empty": torch.empty(0, 3),
        "one": torch.tensor(7),
    }
    read = loaded(tmp_path, value, protocol)
    assert read.keys() == value.keys()
    assert [torch.equal(a, b) for a, b in zip(read["edges"], value["edges"], strict=True)] == [True, True]
    for name in value.keys() - {"edges"}:
        assert torch.equal(read[name], value[name]), name
        assert read[name].dtype == value[name].dtype


@pytest.mark.parametrize("new_format", [True, False])
def test_files_of_torch_save_are_read(tmp_path: Path, new_format: bool) -> None:
    path = tmp_path / "x.pk"
    torch.save({"a": torch.arange(3), "b": [1, None]}, path, _use_new_zipfile_serialization=new_format)
    read: Any = load_pickle(path)
    assert torch.equal(read["a"], torch.arange(3))
    assert read["b"] == [1, None]


@pytest.mark.parametrize("protocol", range(6))
def test_plain_containers_and_scalars_read_equal(tmp_path: Path, protocol: int) -> None:
    value = {
        "list": [1, -(2**70), 2.5, True, None, "text \u2028 ü", b"bytes\x00\xff", b""],
        "tuple": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "ordered": collections.OrderedDict(a=1, b=2),
        "set": {1, 2},
        "frozen": frozenset("ab"),
        (1, "pair"): bytearray(b"ab"),
        "numbers": (np.float32(1.5), np.int64(3), np.bool_(True)),
        "long": list(range(3000)),
    }
    assert loaded(tmp_path, value, protocol) == value


def test_an_array_that_is_mentioned_twice_is_one_array(tmp_path: Path) -> None:
    array = np.arange(3)
    first, second = loaded(tmp_path, [array, array])
    assert first is second


def test_a_list_that_contains_itself_does_not_hang(tmp_path: Path) -> None:
    circle: list[Any] = []
    circle.append(circle)
    read = loaded(tmp_path, circle)
    assert read[0] is read


class Runs:
    """Pickles to a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_code_in_a_pickle_does_not_run(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "ran"
    path = written(tmp_path, pickle.dumps({"a": Runs(os.system, f"touch {trace}")}, protocol))
    with pytest.raises(DataError, match=r"x\.pk: (posix|nt)\.system is not allowed in a data file"):
        load_pickle(path)
    assert not trace.exists()


def nested_storage(content: bytes) -> bytes:
    return pickle.dumps(Runs(torch.storage._load_from_bytes, content))


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_nested_torch_storage_does_not_run(tmp_path: Path, new_format: bool) -> None:
    trace = tmp_path / "ran"
    inner = io.BytesIO()
    torch.save(Runs(os.system, f"touch {trace}"), inner, _use_new_zipfile_serialization=new_format)
    with pytest.raises(DataError, match=r"x\.pk: (posix|nt)\.system is not allowed"):
        load_pickle(written(tmp_path, nested_storage(inner.getvalue())))
    with pytest.raises(DataError, match=r"x\.pk: (posix|nt)\.system is not allowed"):
        load_pickle(written(tmp_path, inner.getvalue()))
    assert not trace.exists()


def test_a_nested_storage_that_is_something_else_is_refused(tmp_path: Path) -> None:
    inner = io.BytesIO()
    torch.save({"a": torch.ones(2)}, inner)
    with pytest.raises(DataError, match="storage that holds something else"):
        load_pickle(written(tmp_path, nested_storage(inner.getvalue())))


class Plain:
    """A class of one's own."""


REFUSED = {
    "object array": (np.array([{}, None], dtype=object), "type O"),
    "text array": (np.array(["a"]), "type U1"),
    "records": (np.zeros(2, dtype=[("a", "f4")]), "type V4"),
    "subtype": (np.dtype(("f4", (2,))), "type V8"),
    "dates": (np.array(["2020-01-01"], dtype="M8[D]"), "type M8"),
    "own class": (Plain(), "Plain"),
    "a function": (len, "builtins.len"),
    "a class": (np.ndarray, "numpy.ndarray"),
    "a masked array": (np.ma.zeros(2), "numpy.ma"),
    "a path": (Path("x"), "pathlib"),
    "a complex key": ({((1, 2), 3): 1}, "key"),
    "eval": (Runs(eval, "1"), "builtins.eval"),
    "getattr": (Runs(getattr, "a", "upper"), "builtins.getattr"),
    "numpy.load": (Runs(np.load, "x"), "numpy.load"),
    "torch.load": (Runs(torch.load, "x"), "torch.serialization.load"),
    "a sparse tensor": (torch.eye(2).to_sparse(), "sparse"),
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_is_refused_by_name(tmp_path: Path, name: str, protocol: int) -> None:
    value, mentioned = REFUSED[name]
    with pytest.raises(DataError, match=r"x\.pk: .*not allowed in a data file") as caught:
        loaded(tmp_path, value, protocol)
    assert mentioned in str(caught.value)
    assert "\n" not in str(caught.value)


RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR"
FROMBUFFER = b"cnumpy._core.numeric\n_frombuffer\n"
F8 = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8I00\nI01\ntR(I3\nX\x01\x00\x00\x00<NNNI-1\nI-1\nI0\ntb"
TRICKS = {
    "state on a plain dict": b"\x80\x02}}X\x01\x00\x00\x00aI1\nsb.",
    "state on a stand-in": b"\x80\x02cnumpy\ndtype\n}X\x04\x00\x00\x00callI1\nsb.",
    "state on a finished type": b"\x80\x02" + F8 + b"}b.",
    "a type without state": b"\x80\x02" + F8[: F8.index(b"(I3")] + b".",
    "a global left uncalled": b"\x80\x02ctorch.storage\n_load_from_bytes\n.",
    "an array without state": b"\x80\x02(" + RECONSTRUCT + b"l.",
    "attribute of an admitted global": b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__call__\x93.",
    "an extension code": b"\x80\x02\x82\x01.",
    "a persistent id": b"\x80\x02X\x01\x00\x00\x00aQ.",
    "a new object": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "an old-style instance": b"(icollections\nOrderedDict\n.",
    "calling a text": b"\x80\x02X\x01\x00\x00\x00a)R.",
    "a call with no tuple": b"\x80\x02ccollections\nOrderedDict\nI1\nR.",
    "too short for its shape": b"\x80\x02" + FROMBUFFER + b"(C\x01a" + F8 + b"(I9\ntX\x01\x00\x00\x00CtR.",
    "a negative shape": b"\x80\x02" + FROMBUFFER + b"(C\x08aaaaaaaa" + F8 + b"(I-1\ntX\x01\x00\x00\x00CtR.",
    "a type with hidden fields": b"\x80\x02" + F8.replace(b"NNN", b"NX\x01\x00\x00\x00aN") + b".",
    "out-of-band buffers": b"\x80\x05\x97.",
    "an item of nothing": b"\x80\x02I1\ns.",
    "an unknown memo": b"\x80\x02h\x05.",
    "no values": b"\x80\x02.",
    "an open group": b"\x80\x02(.",
}


@pytest.mark.parametrize("name", TRICKS)
def test_hand_made_tricks_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"x\.pk: "):
        load_pickle(written(tmp_path, TRICKS[name]))
    np.testing.assert_array_equal(loaded(tmp_path, np.arange(2.0), 2), [0, 1])  # nothing lasting was changed


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(0, (4,), (1,)), (3, (1,), (1,)), (0, (2, 2), (2, 1)), (0, (3,), (2**40,)), (-1, (1,), (1,)), (0, (2,), (-1,))],
)
def test_a_tensor_beyond_its_storage_is_refused(
    tmp_path: Path, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    forged = Runs(torch._utils._rebuild_tensor_v2, torch.zeros(3)._typed_storage(), offset, size, stride, False, {})
    with pytest.raises(DataError, match=r"x\.pk: cannot be read"):
        loaded(tmp_path, forged)


def test_a_tensor_stretched_to_a_huge_claim_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not fit"):
        loaded(tmp_path, torch.zeros(1).expand(10**6, 10**6))


def test_a_tensor_beyond_its_storage_in_a_torch_file_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(torch.zeros(3), buffer)
    path = tmp_path / "x.pk"
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"K\x03\x85", b"K\x64\x85"))
    with pytest.raises(DataError, match=r"x\.pk: "):
        load_pickle(path)


@pytest.mark.parametrize("index", [2**31 - 1, 2**32 - 1])
def test_a_memo_of_huge_index_costs_nothing(tmp_path: Path, index: int) -> None:
    content = b"\x80\x02I1\nr" + struct.pack("<I", index) + b"."
    assert load_pickle(written(tmp_path, content)) == 1


@pytest.mark.parametrize("opcode", [b"\x8e", b"\x8d", b"\x96"])
def test_a_length_beyond_the_file_is_refused(tmp_path: Path, opcode: bytes) -> None:
    with pytest.raises(DataError, match=r"x\.pk: .*truncated"):
        load_pickle(written(tmp_path, b"\x80\x05" + opcode + struct.pack("<Q", 2**50) + b"abc."))


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["tensors", "array", "torch"])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: float, kind: str) -> None:
    path = tmp_path / "x.pk"
    if kind == "torch":
        torch.save(torch.arange(1000.0), path)
    else:
        path.write_bytes(pickle.dumps(torch.arange(1000.0) if kind == "tensors" else np.arange(1000.0)))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(DataError, match=r"x\.pk: .*(Get|write)") as caught:
        load_pickle(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"hello\n", b"\x00" * 100, b"node\timportance\n", b"\x1f\x8b\x08", b"PK\x03\x04", b"\x80\x09.", b"."]
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"x\.pk: cannot be read as a pickle"):
        load_pickle(written(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.pk: no such file"):
        load_pickle(tmp_path / "nowhere.pk")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_pickle(tmp_path)
