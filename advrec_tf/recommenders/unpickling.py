"""Read the arrays of a pickle, or of a PyTorch file, without running any code that it names."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.files import check_growth

# The types of PyTorch's storages.
_STORAGES = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
}


class Opaque:
    """An object of a class that is not known: its attributes, and nothing of what it does."""

    def __new__(cls, *_: Any, **__: Any) -> "Opaque":
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any):
        self.entries: list[Any] = []

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            if isinstance(part, dict):
                self.__dict__.update({str(name): value for name, value in part.items()})

    def append(self, value: Any) -> None:
        """Take an element of a list."""
        self.entries.append(value)

    def extend(self, values: Any) -> None:
        """Take elements of a list."""
        self.entries.extend(values)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries.append((key, value))


class _Dtype:
    """The type of an array, as a pickle spells it: little-endian unless its state says more."""

    def __init__(self, name: Any = "", *_: Any):
        self.name, self.order = str(name), "<"

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.order = state[1]

    @property
    def numpy(self) -> np.dtype | None:
        """Return a type of numbers or texts, or None for objects."""
        if self.name[:1] not in "fiubSU" or not self.name[1:].isdigit():
            return None
        return np.dtype(self.order + self.name)


class _Array:
    """An array that a pickle builds in two steps."""

    value: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, by_columns, content = state
        self.value = _array(shape, dtype, content, "F" if by_columns else "C")


def _array(shape: Any, dtype: _Dtype, content: Any, order: Any) -> Any:
    """Return an array, or a list of an array of objects. Raises ValueError where sizes differ."""
    if isinstance(content, list):
        return content
    of_type = dtype.numpy
    if of_type is None:
        return None
    return np.frombuffer(content, of_type).reshape([int(n) for n in shape], order=order)


def _from_buffer(content: bytes, dtype: _Dtype, shape: Any, order: str = "C") -> Any:
    return _array(shape, dtype, content, order)


def _scalar(dtype: _Dtype, content: Any = b"") -> Any:
    return None if dtype.numpy is None else np.frombuffer(content, dtype.numpy)[0].item()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")  # how pickles of old protocols spell bytes


def _reconstructed(*_: Any) -> Opaque:
    return Opaque()


class _Mapping(dict):
    """An OrderedDict, which may have attributes, as PyTorch's state dicts do."""


def _tensor(storage: np.ndarray, offset: int, size: Any, stride: Any, *_: Any) -> np.ndarray:
    """Return PyTorch's view of a storage. Raises ValueError beyond its end."""
    size, stride = [int(n) for n in size], [int(n) for n in stride]
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if min([offset, *size, *stride]) < 0 or last >= len(storage) or np.prod(size) > len(storage):
        raise ValueError("a tensor that is larger than its storage")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


def _parameter(data: Any, *_: Any) -> Any:
    return data


_NAMES: dict[str, Callable] = {
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray._reconstruct": lambda *_: _Array(),
    "numpy._core.multiarray._reconstruct": lambda *_: _Array(),
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy._core.numeric._frombuffer": _from_buffer,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "_codecs.encode": _encode,
    "copy_reg._reconstructor": _reconstructed,
    "copyreg._reconstructor": _reconstructed,
    "collections.OrderedDict": _Mapping,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined]
    """The reader of the standard library in Python, whose memory no index of a pickle can fill."""

    def __init__(self, file: BinaryIO, storages: Callable[[Any], Any] | None = None):
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """Return one of _NAMES, PyTorch's name of a storage, or a class that does nothing."""
        if module == "torch" and name in _STORAGES:
            return name
        return _NAMES.get(f"{module}.{name}") or type(name, (Opaque,), {})

    def persistent_load(self, pid: Any) -> Any:
        """Return the storage of a tensor."""
        if self._storages is None:
            raise ValueError("it refers to data elsewhere")
        return self._storages(pid)


def unpickled(path: Path) -> Any:
    """Return the object of a pickle: dicts, lists, numbers, arrays, and `Opaque` for all else.

    Nothing that the pickle names is imported or called.  Raises UserError for what is no pickle.
    """
    with open(path, "rb") as file:
        return _plain(_loaded(path, _Unpickler(file)))


def torch_tensors(path: Path) -> Any:
    """Return what torch.save has written, with tensors as arrays; nothing that it names is run.

    Raises UserError for another file, such as one of PyTorch before 1.6.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [each for each in archive.namelist() if each.endswith("/data.pkl")]
            folder = name.removesuffix("data.pkl")

            def storage(pid: Any) -> np.ndarray:
                """Return a storage: ("storage", type, key, device, number of elements)."""
                member = archive.getinfo(f"{folder}data/{pid[2]}")
                check_growth(path, member.compress_size, member.file_size)
                return np.frombuffer(archive.read(member), _STORAGES[pid[1]])

            check_growth(path, archive.getinfo(name).compress_size, archive.getinfo(name).file_size)
            with archive.open(name) as file:
                return _plain(_loaded(path, _Unpickler(file, storage)))  # type: ignore[arg-type]
    except (zipfile.BadZipFile, ValueError):
        raise UserError(
            f"{path}: not a file of torch.save since PyTorch 1.6: save the model's state_dict again"
        ) from None


def _loaded(path: Path, unpickler: _Unpickler) -> Any:
    try:
        return unpickler.load()
    except UserError:
        raise
    except Exception as error:  # whatever a damaged or hostile pickle makes its reader raise
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"{path}: a pickle that cannot be read ({reason})") from None


def _plain(value: Any, depth: int = 4) -> Any:
    """Return a value in which arrays stand for what a pickle builds them with."""
    if isinstance(value, _Array):
        return value.value
    if depth and isinstance(value, dict):
        return {key: _plain(each, depth - 1) for key, each in value.items()}
    if depth and isinstance(value, Opaque):
        for key, each in vars(value).items():
            vars(value)[key] = _plain(each, depth - 1)
    return value
