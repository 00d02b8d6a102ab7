"""The embedded engine by itself, in a process of its own: statements in, answers out. Used as a module and as the program it starts.

usage: engine_library.py LIBRARY DATA CONFIG < JSON list of statements > JSON list of {"ok": text} or {"error": text}"""
import ctypes
import json
import os
import subprocess
import sys


def run(library, data, statements, config):
    """Every statement in one session; the user is the one that CONFIG's users file has: `default`."""
    r = subprocess.run([sys.executable, __file__, str(library), str(data), str(config)], input=json.dumps(statements), text=True,
                       capture_output=True, timeout=120)
    assert r.returncode == 0, r.stderr[-2000:]
    return json.loads(r.stdout.splitlines()[-1])


def main(library, data, config):
    lib = ctypes.CDLL(library)
    lib.chdb_connect.restype = lib.chdb_query.restype = lib.chdb_result_buffer.restype = ctypes.c_void_p
    lib.chdb_connect.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)]
    lib.chdb_query.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    lib.chdb_result_error.restype = ctypes.c_char_p
    lib.chdb_result_length.restype = ctypes.c_size_t
    for f in (lib.chdb_result_buffer, lib.chdb_result_length, lib.chdb_result_error, lib.chdb_destroy_query_result):
        f.argtypes = [ctypes.c_void_p]
    words = [b"clickhouse", b"--path=" + data.encode(), b"--config-file=" + config.encode()]
    connection = lib.chdb_connect(len(words), (ctypes.c_char_p * len(words))(*words))
    assert connection, "the engine does not start"
    handle = ctypes.cast(connection, ctypes.POINTER(ctypes.c_void_p))[0]
    said = []
    for sql in json.load(sys.stdin):
        r = lib.chdb_query(handle, sql.encode(), b"TSV")
        error = lib.chdb_result_error(r)
        text = "" if error else ctypes.string_at(lib.chdb_result_buffer(r), lib.chdb_result_length(r)).decode(errors="replace")
        said.append({"error": error.decode(errors="replace")} if error else {"ok": text})
        lib.chdb_destroy_query_result(r)
    print(json.dumps(said), flush=True)
    os._exit(0)  # its destructors may hang


if __name__ == "__main__":
    main(*sys.argv[1:])
