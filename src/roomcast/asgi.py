"""For people who bring their own server: `uvicorn roomcast.asgi:app`. Settings come from the environment."""

from roomcast.app import App
from roomcast.settings import load

app = App(load())
