"""A kernel as a GPU runs it: compiled once for each set of constants, loaded, launched.

NVRTC compiles it and the driver loads it, both through cuda-bindings, which torch's builds for CUDA
bring along. What launches it calls the driver itself, since that is done at every call.
"""

import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources, util
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elman.ops.cuda.plans import AT_ONCE

#: Has a kernel run: of what it is given, packed as its struct, and in how many clusters.
Launch = Callable[[bytes, int], None]


class Source(NamedTuple):
    """A kernel's text.

    constants: integers and floats by name, which stand before the rest.
    parts: files of this folder, in order. ptx.cuh, which has what only a GPU has a word for, comes
        first of all.
    name: of the function.
    """

    constants: Mapping[str, float]
    parts: tuple[str, ...]
    name: str

    def text(self, words: str) -> str:
        """All of it, with these in the place of ptx.cuh."""
        lines = [
            f"constexpr int {name} = {int(value)};\n"
            if isinstance(value, int)
            else f"constexpr float {name} = {value.hex()}f;\n"
            for name, value in self.constants.items()
        ]
        return "".join([*lines, words, *map(part, self.parts)])


@cache
def part(name: str) -> str:
    """The text of one file of this folder."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def problem() -> str | None:
    """Why nothing can be compiled here, in words; None where it can."""
    if util.find_spec("cuda") is None or util.find_spec("cuda.bindings") is None:
        return "cuda-bindings is not installed: pip install 'elman[cuda]'"
    from cuda.bindings import nvrtc

    try:
        _done(nvrtc.nvrtcVersion())
    except RuntimeError as error:  # as cuda-bindings says that there is no library
        return f"NVRTC, which compiles its kernel, is not to be found: {str(error).splitlines()[0]}"
    return None


def machine_code(source: Source, capability: tuple[int, int]) -> bytes:
    """The kernel for GPUs of a compute capability.

    Raises:
        RuntimeError: NVRTC refuses it, in its own words.
    """
    try:
        return _compiled(source.text(part("ptx.cuh")).encode(), capability)
    except RuntimeError as error:
        raise RuntimeError(f"{source.name} with {source.constants}: {error}") from None


def _compiled(text: bytes, capability: tuple[int, int]) -> bytes:
    from cuda.bindings import nvrtc

    program = _done(nvrtc.nvrtcCreateProgram(text, b"kernel.cu", 0, [], []))
    options = [f"--gpu-architecture=sm_{capability[0]}{capability[1]}", "--std=c++17"]
    (code,) = nvrtc.nvrtcCompileProgram(program, len(options), [o.encode() for o in options])
    if int(code) != 0:
        log = b" " * _done(nvrtc.nvrtcGetProgramLogSize(program))
        nvrtc.nvrtcGetProgramLog(program, log)
        why = log.rstrip(bytes(1)).decode()
        raise RuntimeError(f"NVRTC does not compile it:\n{why}")
    binary = b" " * _done(nvrtc.nvrtcGetCUBINSize(program))
    _done(nvrtc.nvrtcGetCUBIN(program, binary))
    _done(nvrtc.nvrtcDestroyProgram(program))
    return binary


def loaded(source: Source, blocks: int, threads: int, shared: int, device: torch.device) -> Launch:
    """The kernel on a device: called, it runs after what else was asked of the current stream.

    Args:
        blocks: of a cluster.
        threads: of a block.
        shared: bytes of shared memory that a block has.
    """
    from cuda.bindings import driver

    index = torch.cuda.current_device() if device.index is None else device.index
    binary = machine_code(source, torch.cuda.get_device_capability(index))
    with torch.cuda.device(index):
        function = _function(index, binary, source.name, shared, blocks)
    start, handle = _launcher(), int(function)
    current, stream_of = torch.cuda.current_device, torch._C._cuda_getCurrentRawStream

    def launch(given: bytes, clusters: int) -> None:
        if current() != index:
            with torch.cuda.device(index):
                return launch(given, clusters)
        arguments = (ctypes.c_char_p * 1)(given)  # which holds the address of the bytes
        stream = stream_of(index)
        given_all = handle, clusters * blocks, 1, 1, threads, 1, 1, shared, stream, arguments, None
        code = start(*given_all)
        if code == driver.CUresult.CUDA_ERROR_INVALID_CONTEXT:  # in a thread that has just begun
            _enter(index)
            code = start(*given_all)
        if code != 0:
            _done((driver.CUresult(code),))
        return None

    return launch


def wait_until(flag: Tensor, stream: int) -> None:
    """What is asked of a stream later waits until a number on the device, an int32, is not 0."""
    from cuda.bindings import driver

    until = driver.CUstreamWaitValue_flags.CU_STREAM_WAIT_VALUE_GEQ
    _done(driver.cuStreamWaitValue32(stream, flag.data_ptr(), 1, until))


def _function(index: int, binary: bytes, name: str, shared: int, blocks: int) -> Any:
    """A function of what was compiled, on a device, that may have so much memory and cluster."""
    from cuda.bindings import driver

    _enter(index)
    module = _done(driver.cuModuleLoadData(binary))
    function = _done(driver.cuModuleGetFunction(module, name.encode()))
    of = driver.CUfunction_attribute
    most = of.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    _done(driver.cuFuncSetAttribute(function, most, shared))
    if blocks > 8:
        wider = of.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED
        _done(driver.cuFuncSetAttribute(function, wider, 1))
    return function


def _enter(index: int) -> None:
    """Have this thread call the driver for a device, as torch does once it asks that for memory."""
    from cuda.bindings import driver

    _done(driver.cuCtxSetCurrent(_context(index)))


@cache
def _context(index: int) -> Any:
    """The context that torch has on a device."""
    from cuda.bindings import driver

    torch.cuda.init()
    return _done(driver.cuDevicePrimaryCtxRetain(_done(driver.cuDeviceGet(index))))


def at_once(device: torch.device) -> tuple[int, ...]:
    """How many clusters of 1, 2, 3 ... blocks a device runs at once, each with a multiprocessor."""
    if device.type != "cuda":
        return AT_ONCE
    return _at_once(torch.cuda.current_device() if device.index is None else device.index)


@cache
def _at_once(index: int) -> tuple[int, ...]:
    from cuda.bindings import driver

    shared = 200 * 1024
    with torch.cuda.device(index):
        text = b'extern "C" __global__ void nothing() {}'
        binary = _compiled(text, torch.cuda.get_device_capability(index))
        function = _function(index, binary, "nothing", shared, len(AT_ONCE))
        found = []
        for blocks in range(1, len(AT_ONCE) + 1):
            cluster = driver.CUlaunchAttribute()
            cluster.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
            size = cluster.value.clusterDim
            size.x, size.y, size.z = blocks, 1, 1
            config = driver.CUlaunchConfig()
            config.gridDimX, config.gridDimY, config.gridDimZ = blocks, 1, 1
            config.blockDimX, config.blockDimY, config.blockDimZ = 256, 1, 1
            config.sharedMemBytes, config.attrs, config.numAttrs = shared, [cluster], 1
            code, many = driver.cuOccupancyMaxActiveClusters(function, config)
            none = code == driver.CUresult.CUDA_ERROR_INVALID_CLUSTER_SIZE
            found.append(0 if none else _done((code, many)))
    return tuple(found)


@cache
def _launcher() -> Callable[..., int]:
    """The driver's cuLaunchKernel."""
    function = ctypes.CDLL("libcuda.so.1").cuLaunchKernel
    number, pointer = ctypes.c_uint, ctypes.c_void_p
    function.argtypes = [pointer, *[number] * 7, pointer, pointer, pointer]
    function.restype = ctypes.c_int
    return function


def _done(answer: tuple[Any, ...]) -> Any:
    """What a call of the driver or of NVRTC gave; an error where it failed."""
    code, *results = answer
    if int(code) != 0:
        raise RuntimeError(f"the GPU's driver or compiler says {code.name} ({int(code)})")
    return results[0] if results else None
