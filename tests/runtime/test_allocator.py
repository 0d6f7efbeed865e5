import ctypes
import sys

from flax_googlenet.runtime import allocator


def test_says_whether_the_allocator_is_glibcs(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.keep_freed_memory()


def test_sets_each_parameter(monkeypatch):
    settings = {}

    class Library:
        @staticmethod
        def mallopt(parameter, value):
            settings[parameter] = value
            return 1

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library)
    assert allocator.keep_freed_memory()
    assert settings == {-1: 2**31 - 1, -4: 0, -8: 1}


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not allocator.keep_freed_memory()
