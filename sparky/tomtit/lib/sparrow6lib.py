"""Helpers of a Sparrow task in Python: from sparrow6lib import *"""
import json
import os as _os

_here = _os.path.dirname(_os.path.abspath(__file__))


def _fields(path):
    with open(path, "rb") as f:
        parts = [_os.fsdecode(p) for p in f.read().split(b"\0")[:-1]]
    return dict(zip(parts[0::2], parts[1::2]))


def _json(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        return json.load(f)


_glue = _fields(_os.path.join(_here, "vars"))


def root_dir():
    return _glue["root_dir"]


def project_root_dir():
    return _glue["root_dir"]


def task_dir():
    return _glue["task_dir"]


def cache_root_dir():
    return _glue["cache_root_dir"]


def test_root_dir():
    return _glue["cache_root_dir"]


def cache_dir():
    return _glue["cache_dir"]


def stdout_file():
    return _glue["stdout_file"]


def os():
    return _glue["os"]


_config = None
_task_vars = None


def config():
    global _config
    if _config is None:
        _config = _json(cache_root_dir() + "/config.json")
    return _config


def task_variables():
    global _task_vars
    if _task_vars is None:
        _task_vars = _json(cache_dir() + "/variables.json") or {}
    return _task_vars


def task_var(name):
    return task_variables()[name]


def set_stdout(line):
    with open(stdout_file(), "a") as f:
        f.write(str(line))


def _call(*fields):
    with open(cache_dir() + "/calls", "ab") as f:
        f.write(b"".join(_os.fsencode(v) + b"\0" for v in fields))


def run_task(path, params=None):
    _call("runjson", path, json.dumps(params or {}))


def ignore_error(val=None):
    _call("ignore")


def ignore_task_error(val=None):
    _call("ignore")


def ignore_task_check_error(val=None):
    _call("soft")


def get_state():
    if not _os.path.exists(cache_root_dir() + "/state.json"):
        return {}
    return _json(cache_root_dir() + "/state.json")


def update_state(state):
    with open(cache_root_dir() + "/state.json", "w") as f:
        json.dump(state, f)
