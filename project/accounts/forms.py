"""The forms with which people sign up, log in and change their details."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, UserCreationForm

from project.accounts.models import User

HINTS = {
    "username": "You log in with it. Letters, digits and @ . + - _ only.",
    "email": "Group payments need one; the shop itself does not.",
    "password1": "At least 8 characters, not digits alone, and nothing that resembles your name.",
    "phone_number": "With the country code, such as +33 6 12 34 56 78.",
}

LABELS = {"email": "E-mail address"}
WIDGETS = {"phone_number": forms.TelInput}

# What lets browsers and password managers fill in the fields, and phones show the right keyboard.
HABITS: dict[str, dict[str, Any]] = {
    "username": {"autocomplete": "username"},
    "first_name": {"autocomplete": "given-name"},
    "last_name": {"autocomplete": "family-name"},
    "email": {"autocomplete": "email"},
    "phone_number": {"autocomplete": "tel"},
}


def polish(form: forms.BaseForm) -> None:
    """Give the fields their hints and habits; the error summary decides about the focus, not a field."""
    for name, field in form.fields.items():
        field.help_text = HINTS.get(name, field.help_text)
        field.widget.attrs.update(HABITS.get(name, {}))
        field.widget.attrs.pop("autofocus", None)
    for name in ("first_name", "last_name"):
        form.fields[name].required = True


class SignUpForm(UserCreationForm):  # type: ignore[type-arg]  # generic in the stubs alone
    """Ask a new neighbour who they are."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email", "phone_number", "username")
        labels = LABELS
        widgets = WIDGETS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        polish(self)
        self.fields["password2"].label = "Password, once more"
        self.fields["password2"].help_text = ""


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs alone
    """Let a neighbour change their details."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email", "phone_number")
        labels = LABELS
        widgets = WIDGETS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        polish(self)


class LogInForm(AuthenticationForm):
    """Ask a neighbour for the username and the password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget.attrs.pop("autofocus", None)
