"""Files as other libraries write them, without the libraries."""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import pytest

LIBRARIES = ("cornac", "surprise", "gensim", "recbole", "lightfm")


def named_class(module, name, **attributes):
    """Return an object of a class that a pickle names and no reader can import."""
    made = type(name, (), {"__module__": module})
    value = made()
    vars(value).update(attributes)
    return value


def pickled(value, monkeypatch, protocol=4):
    """Return a pickle whose classes no longer exist."""
    stack, names = [value], []
    while stack:
        each = stack.pop()
        module, name = type(each).__module__, type(each).__name__
        if module.partition(".")[0] in LIBRARIES:
            names.append(module)
            made = sys.modules.get(module) or types.ModuleType(module)
            setattr(made, name, type(each))
            monkeypatch.setitem(sys.modules, module, made)
            monkeypatch.setitem(sys.modules, module.partition(".")[0], types.ModuleType("parent"))
            stack += vars(each).values()
        elif isinstance(each, dict):
            stack += each.values()
    content = pickle.dumps(value, protocol=protocol)
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return content


def key_vectors(**attributes):
    with pytest.MonkeyPatch.context() as patch:
        return pickled(named_class("gensim.models", "KeyedVectors", **attributes), patch)


def fake_torch():
    """Return modules with the names that torch.save refers to, and its function of tensors."""
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in TORCH_TYPES.values():
        setattr(module, name, type(name, (), {"__module__": "torch"}))

    def rebuild(*_):
        raise AssertionError

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    return module, utils, rebuild


def saved_by_torch(path, tensors, **more):
    """Write what torch.save does: a pickle of tensors that refer to storages beside it."""
    storages = []

    class Tensor:
        def __init__(self, values):
            self.values = values

        def __reduce__(self):
            values, strides = self.values, [n // self.values.itemsize for n in self.values.strides]
            arguments = Storage(values), 0, values.shape, tuple(strides), False, OrderedDict()
            return rebuild, arguments

    class Storage:
        def __init__(self, values):
            self.values = values

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            storages.append(value.values)
            kind = getattr(module, TORCH_TYPES[value.values.dtype.name])
            return "storage", kind, str(len(storages) - 1), "cpu", value.values.size

    module, utils, rebuild = fake_torch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", module)
        patch.setitem(sys.modules, "torch._utils", utils)
        content = io.BytesIO()
        state = {name: Tensor(values) for name, values in tensors.items()}
        Pickler(content, protocol=2).dump({**more, "state_dict": state} if more else state)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", content.getvalue())
        for number, values in enumerate(storages):
            archive.writestr(f"model/data/{number}", values.tobytes(order="A"))


TORCH_TYPES = {"float32": "FloatStorage", "float64": "DoubleStorage", "bfloat16": "BFloat16Storage"}
