"""For people who bring their own server: `uvicorn roomcast.asgi:app`. Settings come from the environment."""

import sys

from roomcast.app import start_logs
from roomcast.serving import app_alone
from roomcast.settings import WrongSetting, keep_files_private, load

keep_files_private()
try:
    settings = load()
    start_logs(settings)
    app = app_alone(settings)
except WrongSetting as error:  # a sentence, as `roomcast serve` says it, in place of a traceback
    sys.exit(str(error))
