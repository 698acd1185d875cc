"""The pause: off for one context, and for nobody else."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async

import kohort_sync
from kohort_sync.context import is_paused
from kohort_sync.models import CustomerLink
from project.accounts.models import User


@pytest.mark.django_db
def test_users_who_are_saved_in_a_pause_get_no_row() -> None:
    with kohort_sync.paused():
        user = User.objects.create_user("ada")
        user.save()

    assert not CustomerLink.objects.exists()


@pytest.mark.django_db
def test_a_deletion_in_a_pause_frees_the_key_all_the_same() -> None:
    user = User.objects.create_user("ada")

    with kohort_sync.paused():
        user.delete()

    assert CustomerLink.objects.get().user_pk is None


def test_a_pause_inside_a_pause_ends_with_the_outer_one() -> None:
    with kohort_sync.paused():
        with kohort_sync.paused():
            pass
        inside = is_paused()

    assert inside
    assert not is_paused()


def test_a_pause_ends_when_its_block_fails() -> None:
    with pytest.raises(LookupError), kohort_sync.paused():
        raise LookupError

    assert not is_paused()


def test_a_pause_is_not_seen_by_another_thread() -> None:
    with kohort_sync.paused(), ThreadPoolExecutor(1) as pool:
        elsewhere = pool.submit(is_paused).result()

    assert not elsewhere


def test_a_pause_of_another_thread_is_not_seen_here() -> None:
    begun, over = threading.Event(), threading.Event()

    def pause() -> None:
        with kohort_sync.paused():
            begun.set()
            over.wait(5)

    thread = threading.Thread(target=pause)
    thread.start()
    begun.wait(5)
    here = is_paused()
    over.set()
    thread.join()

    assert not here


def test_a_pause_stays_in_its_task() -> None:
    async def main() -> list[bool]:
        paused = asyncio.Event()
        seen = asyncio.Event()

        async def pauses() -> bool:
            with kohort_sync.paused():
                paused.set()
                await seen.wait()
                # What Django runs in a thread for this task is part of it.
                return await sync_to_async(is_paused)()

        async def looks() -> bool:
            await paused.wait()
            result = is_paused()
            seen.set()
            return result

        return list(await asyncio.gather(pauses(), looks()))

    assert asyncio.run(main()) == [True, False]


def test_a_task_that_is_started_in_a_pause_inherits_it() -> None:
    with kohort_sync.paused():
        context = contextvars.copy_context()

    assert context.run(is_paused)
    assert not is_paused()
