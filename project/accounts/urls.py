"""The addresses below /account/."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from project.accounts import views

urlpatterns = [
    path("sign-up/", views.SignUpView.as_view(), name="sign-up"),
    path("log-in/", views.LogInView.as_view(), name="log-in"),
    path("log-out/", LogoutView.as_view(), name="log-out"),
    path("profile/", views.ProfileView.as_view(), name="profile"),
    path("status/", views.StatusView.as_view(), name="status"),
]
