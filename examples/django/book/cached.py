"""Pages that a shared cache may keep, each in its own way."""
import os

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_safe

from book.forms import LoginForm
from book.models import Entry


@require_safe
@cache_control(public=True, s_maxage=5)
def board(request):
    """The newest entries, for everybody, for five seconds: nothing here looks at the session, so there is no Vary: Cookie."""
    response = render(request, "book/board.html", {"entries": Entry.objects.all()[:20], "worker": os.getpid()})
    response["Surrogate-Key"] = "entries"
    return response


@require_safe
@cache_control(public=True, s_maxage=3600)
def entry(request, pk):
    """One entry, for an hour, or until it changes: see signals.py."""
    shown = get_object_or_404(Entry, pk=pk)
    response = render(request, "book/one.html", {"entry": shown})
    response["Surrogate-Key"] = f"entry-{shown.pk} pages"
    return response


@require_safe
@cache_control(public=True, s_maxage=60)
def greeting(request):
    """A page for all that greets by name. Who looks at the session gets Vary: Cookie from Django, and the cache heeds it."""
    return HttpResponse(f"Hello, {request.session.get('name', 'stranger')}!\n", content_type="text/plain; charset=utf-8")


@require_safe
@cache_control(private=True, max_age=60)
def mine(request):
    """A visitor's own page. weir keeps it for that visitor alone, by the cookie that its configuration names."""
    return HttpResponse(f"You are {request.session.get('name', 'nobody')}.\n", content_type="text/plain; charset=utf-8")


@require_safe
@cache_control(public=True, s_maxage=60)
def front(request):
    """A page for all with a personal box in it: weir puts mine() where the template includes it."""
    return render(request, "book/front.html", {"made": timezone.now().isoformat()})


@require_http_methods(["GET", "HEAD", "POST"])
def login(request):
    """Gives the session a name. A real site asks for a password too."""
    form = LoginForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        request.session.cycle_key()
        request.session["name"] = form.cleaned_data["name"]
        return redirect("greeting")
    return render(request, "book/login.html", {"form": form}, status=400 if form.errors else 200)
