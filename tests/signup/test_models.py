"""Who is heard: the user model, its proxies and its children; nobody else pays for it."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db.models import Model
from django.db.models.deletion import Collector
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from kohort_sync.models import CustomerLink
from project.accounts.models import User
from tests.signup.models import Flyer, Merchant, Neighbour

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.mark.parametrize("model", [User, Neighbour, Merchant])
def test_a_sign_up_through_any_class_of_users_makes_one_row(model: type[User]) -> None:
    user = model.objects.create_user("ada")

    link = CustomerLink.objects.get()

    assert (link.user_pk, link.user_id) == (str(user.pk), user.pk)


@pytest.mark.parametrize("model", [User, Neighbour, Merchant])
def test_a_change_through_any_class_of_users_is_noted(model: type[User]) -> None:
    user = model.objects.create_user("ada")
    before = CustomerLink.objects.get().desired_version

    user.save()

    assert CustomerLink.objects.get().desired_version == before + 1


@pytest.mark.parametrize("model", [User, Neighbour, Merchant])
def test_a_deletion_through_any_class_of_users_frees_the_key(model: type[User]) -> None:
    user = model.objects.create_user("ada")

    user.delete()

    assert CustomerLink.objects.get().user_pk is None
    assert not User.objects.exists()


def test_a_deletion_through_the_parent_of_a_child_frees_the_key() -> None:
    merchant = Merchant.objects.create_user("ada")

    User.objects.get(pk=merchant.pk).delete()

    assert CustomerLink.objects.get().user_pk is None


def test_a_child_that_goes_and_leaves_its_user_forgets_nobody() -> None:
    merchant = Merchant.objects.create_user("ada")
    key = merchant.pk

    merchant.delete(keep_parents=True)

    link = CustomerLink.objects.get()
    assert User.objects.filter(pk=key).exists()
    assert (link.user_pk, link.user_id) == (str(key), key)


def test_a_user_who_becomes_a_merchant_under_a_new_address_is_a_change() -> None:
    user = User.objects.create_user("ada", email="ada@example.com")
    before = CustomerLink.objects.get().desired_version

    merchant = Merchant(user_ptr=user, shop="Plums")
    merchant.__dict__.update(user.__dict__)
    merchant.email = "plums@example.com"
    merchant.save()

    assert CustomerLink.objects.get().desired_version == before + 1


@pytest.mark.parametrize("model", [Flyer, Group, Session])
def test_other_models_keep_their_fast_deletion(model: type[Model]) -> None:
    listened = {
        signal for signal in (pre_save, post_save, pre_delete, post_delete) if signal.has_listeners(model)
    }

    assert listened == set()
    if model is not Group:  # it has a table of members that Django collects
        assert Collector(using="default").can_fast_delete(model._base_manager.all())


def test_each_class_of_users_is_heard_once() -> None:
    names = {
        model.__name__: (post_save.has_listeners(model), post_delete.has_listeners(model))
        for model in apps.get_models()
        if issubclass(model, User)
    }

    assert names == {"User": (True, True), "Neighbour": (True, True), "Merchant": (True, False)}
