"""The pages on which people sign up, log in, change their details and see where they stand."""

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import CreateView, TemplateView, UpdateView

from kohort_sync import queries
from project.accounts import standing
from project.accounts.forms import LogInForm, ProfileForm, SignUpForm
from project.accounts.models import User


@method_decorator([sensitive_post_parameters("password1", "password2"), never_cache], name="dispatch")
class SignUpView(CreateView):  # type: ignore[type-arg]  # generic in the stubs alone
    """Welcome a new neighbour."""

    form_class = SignUpForm
    template_name = "accounts/sign_up.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            return redirect("status")
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        # Hashing the password takes a while, so it is done before: on SQLite a transaction keeps every other
        # writer out, the worker too.
        user: User = form.save(commit=False)
        # One transaction holds the user and kohort_sync's promise to tell KohortPay about the user.
        with transaction.atomic():
            user.save()
        login(self.request, user)
        messages.success(self.request, f"Welcome to Common Basket, {user.first_name}.")
        return redirect("status")


class LogInView(LoginView):
    """Let a neighbour in."""

    authentication_form = LogInForm
    template_name = "accounts/log_in.html"
    redirect_authenticated_user = True


class ProfileView(LoginRequiredMixin, UpdateView):  # type: ignore[type-arg]  # generic in the stubs alone
    """Let a neighbour change their details."""

    form_class = ProfileForm
    template_name = "accounts/profile.html"
    success_url = reverse_lazy("status")

    def get_object(self, queryset: Any = None) -> User:  # noqa: ARG002 - Django names it
        # A copy of its own: a refused form must not change the name in the page's header.
        return User.objects.get_by_natural_key(self.request.user.get_username())

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():
            response = super().form_valid(form)
        messages.success(self.request, "Your details are saved.")
        return response


@method_decorator(never_cache, name="dispatch")
class StatusView(LoginRequiredMixin, TemplateView):
    """Say in plain words what KohortPay knows about the signed-in person."""

    template_name = "accounts/status.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        link = queries.link_of(cast("User", self.request.user))
        configured = bool(settings.KOHORT_SYNC.get("API_KEY"))
        return super().get_context_data(
            link=link, standing=standing.of(link, configured=configured), **kwargs
        )
