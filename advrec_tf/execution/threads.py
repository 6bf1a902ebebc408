"""Blocks of one task in the threads of its process; results do not depend on their number."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_A = TypeVar("_A")
_B = TypeVar("_B")
_threads = 1


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Give this process `count` threads in the block; outside it has one.

    Raises ValueError for less than one.
    """
    global _threads
    if count < 1:
        raise ValueError(f"there must be at least one thread, not {count}")
    before, _threads = _threads, count
    try:
        yield
    finally:
        _threads = before


def thread_count() -> int:
    """Return how many threads this process has for its task."""
    return _threads


def several_threads() -> bool:
    """Return whether it pays to cut a task into blocks."""
    return thread_count() > 1


def side_by_side(function: Callable[[_A], _B], arguments: Iterable[_A]) -> Iterator[_B]:
    """Yield function(argument) of all arguments in their order.

    At most one result more than there are threads is held.
    """
    if several_threads():
        return _in_pool(function, arguments, _threads)
    return map(function, arguments)


def _in_pool(function: Callable[[_A], _B], arguments: Iterable[_A], count: int) -> Iterator[_B]:
    """Yield the results of `function` in order, from `count` threads that work one call ahead."""
    pool, started = ThreadPoolExecutor(count), deque[Future[_B]]()
    try:
        for argument in arguments:
            started.append(pool.submit(function, argument))
            if len(started) > count:
                yield started.popleft().result()
        while started:
            yield started.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # a stop does not wait for what has not begun
