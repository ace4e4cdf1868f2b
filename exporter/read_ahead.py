"""Let a part of the pipeline work ahead in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Final, TypeVar

Item = TypeVar("Item")

_LOOK_SECONDS: Final = 0.2
_END: Final = object()


@contextmanager
def read_ahead(
    items: Iterable[Item], *, depth: int = 1, stop: Callable[[], None] = lambda: None
) -> Iterator[Iterator[Item]]:
    """The same items in the same order, `depth` of them made before they are asked for.

    What making them raises is raised where they are asked for. Left early, it calls `stop` until
    the item that is being made is there, or has failed for it: nothing of `items` is in use
    afterwards.
    """
    made: Queue[object] = Queue(depth)
    left = Event()
    failures: list[BaseException] = []

    def put(item: object) -> bool:
        while not left.is_set():
            try:
                made.put(item, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(item):
                    return
                del item  # what was handed over is not held here, too
        except BaseException as exc:
            failures.append(exc)  # raised again where the items are asked for
        put(_END)

    def take() -> Iterator[Item]:
        held = [made.get()]
        while held[0] is not _END:
            yield held.pop()  # type: ignore[misc]  # and not held by the frame of this generator
            held.append(made.get())
        if failures:
            raise failures.pop()  # or it would hold itself, and with it all that was being made

    thread = Thread(target=make, name="read ahead", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        left.set()
        while thread.is_alive():
            stop()
            try:
                made.get_nowait()
            except Empty:
                thread.join(_LOOK_SECONDS)
