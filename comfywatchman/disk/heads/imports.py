"""What it means that a pickle asks for a name of Python.

An import is *known* where saved weights need it, *dangerous* where it runs code, reads, writes or
reaches the network, and *unknown* where nobody vouches for it.
"""

from __future__ import annotations

KNOWN = frozenset(
    {
        ("_codecs", "encode"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("builtins", "bytearray"), ("builtins", "complex"), ("builtins", "dict"),
        ("builtins", "float"), ("builtins", "frozenset"), ("builtins", "int"),
        ("builtins", "list"), ("builtins", "object"), ("builtins", "set"),
        ("builtins", "slice"), ("builtins", "str"), ("builtins", "tuple"),
        ("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor"),
        ("argparse", "Namespace"),
        ("pathlib", "PosixPath"), ("pathlib", "WindowsPath"), ("pathlib", "PurePosixPath"),
        ("numpy", "dtype"), ("numpy", "ndarray"),
        ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
        ("torch", "Size"), ("torch", "device"), ("torch", "Tensor"), ("torch", "dtype"),
        ("torch", "Generator"), ("torch", "layout"), ("torch", "strided"),
        ("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_tensor_v3"), ("torch._utils", "_rebuild_qtensor"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch._utils", "_rebuild_parameter_with_state"),
        ("torch._utils", "_rebuild_meta_tensor_no_storage"),
        ("torch._utils", "_rebuild_wrapper_subclass"),
        ("torch._tensor", "_rebuild_from_type_v2"),
        ("torch.nn.parameter", "Parameter"),
        ("torch.serialization", "_get_layout"),
        ("torch.storage", "UntypedStorage"), ("torch.storage", "TypedStorage"),
    }
)  # fmt: skip
"""What weights are made of; the list of torch's own ``weights_only`` reader and numpy's."""

_TORCH_WORDS = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 uint64 bool "
    "complex64 complex128 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz qint8 quint8 "
    "qint32 per_tensor_affine per_channel_affine"
)
_TORCH_TYPES = frozenset(_TORCH_WORDS.split())

_MODULE_WORDS = """
_frozen_importlib _io _operator _pickle _posixsubprocess _socket _thread aiohttp asyncio bdb
cProfile cloudpickle code codeop commands concurrent ctypes dill distutils ensurepip fileinput
ftplib functools gc http httplib importlib inspect io joblib linecache marshal multiprocessing nt
ntpath operator os pdb pickle pip pkgutil platform popen2 posix posixpath profile psutil pty pydoc
requests runpy select setuptools shlex shutil signal site smtplib socket socketserver sqlite3 ssl
subprocess sys tempfile threading timeit trace types urllib urllib2 urllib3 uuid venv webbrowser
winreg xmlrpc zipimport
"""
_DANGEROUS_MODULES = frozenset(_MODULE_WORDS.split())
"""By the first part of the module's name."""

_BUILTIN_WORDS = """
__import__ apply breakpoint compile delattr dir eval exec execfile exit file getattr globals help
input locals memoryview open quit raw_input reload setattr super type vars
"""
_DANGEROUS_BUILTINS = frozenset(_BUILTIN_WORDS.split())

_DANGEROUS = frozenset(
    {
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch.hub", "load_state_dict_from_url"),
        ("torch.serialization", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.jit", "load"),
        ("torch.utils.cpp_extension", "load"),
        ("torch.utils.cpp_extension", "load_inline"),
        ("torch._dynamo.guards", "GuardBuilder.get"),
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("numpy", "memmap"),
        ("numpy", "save"),
        ("numpy.f2py", "compile"),
        ("numpy.testing._private.utils", "runstring"),
        ("pandas", "read_pickle"),
        ("pandas", "eval"),
        ("transformers", "pipeline"),
    }
)


def verdict_of(module: str, name: str) -> str:
    """Return ``known``, ``unknown`` or ``dangerous``.

    A name may have dots: from protocol 4 on it is walked as attributes, so that ``torch`` and
    ``serialization.os.system`` is `os.system`.
    """
    plain = "builtins" if module in {"__builtin__", "__builtins__"} else module
    if (plain, name) in KNOWN or _is_torch_type(plain, name):
        return "known"
    parts = {*plain.split("."), *name.split(".")[:-1]}
    if plain.partition(".")[0] in _DANGEROUS_MODULES or (plain, name) in _DANGEROUS:
        return "dangerous"
    if plain == "builtins" and name.partition(".")[0] in _DANGEROUS_BUILTINS:
        return "dangerous"
    if "." in name and (parts & _DANGEROUS_MODULES or set(name.split(".")) & _DANGEROUS_BUILTINS):
        return "dangerous"
    return "unknown"


def _is_torch_type(module: str, name: str) -> bool:
    if module == "torch" and (name in _TORCH_TYPES or name.endswith("Storage")):
        return "." not in name
    return module == "torch.storage" and name.endswith("Storage") and "." not in name
