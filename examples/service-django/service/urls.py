"""The addresses. Ours come first, so they win over django-sso's."""

from django.contrib import admin
from django.urls import include, path

from service import sso, views

# django-sso replaces the admin's sign-in by its own view.
admin.site.login = sso.login

urlpatterns = [
    path("", views.home),
    path("reports/<int:report>/", views.report),
    path("admin/", admin.site.urls),
    path("login/", sso.login, name="login"),
    path("logout/", sso.logout, name="logout"),
    path("sso/accept/", sso.accept),
    path("sso/event/", sso.event),
    path("", include("django_sso.sso_service.urls")),
]
