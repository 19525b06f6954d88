"""For people who bring their own server: `uvicorn roomcast.asgi:app`. Settings come from the environment."""

import sys

from roomcast.app import App
from roomcast.settings import WrongSetting, load

try:
    app = App(load())
except WrongSetting as error:  # a sentence, as `roomcast serve` says it, in place of a traceback
    sys.exit(str(error))
