"""The addresses of the site."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from project import views

urlpatterns = [
    path("", views.HomeView.as_view(), name="home"),
    path("account/", include("project.accounts.urls")),
    # The admin and every page without a head of ours: browsers ask for this name by themselves.
    path("favicon.ico", RedirectView.as_view(url=static("logo.svg"))),
    path("admin/", admin.site.urls),
]
