"""The front page."""

from typing import Any

from django.views.generic import TemplateView

from project import baskets


class HomeView(TemplateView):
    """Say what the shop is and what is on offer this week."""

    template_name = "home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(baskets=baskets.THIS_WEEK, **kwargs)
