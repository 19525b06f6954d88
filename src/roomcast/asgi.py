"""For people who bring their own server: `uvicorn roomcast.asgi:app`. Settings come from the environment."""

import sys

from roomcast.app import App, spare_collections, start_logs
from roomcast.settings import WrongSetting, load

try:
    settings = load()
    start_logs(settings)
    app = App(settings)
    spare_collections()
except WrongSetting as error:  # a sentence, as `roomcast serve` says it, in place of a traceback
    sys.exit(str(error))
