"""The ASGI app for `uvicorn roomcast.asgi:app` and other ASGI servers. Settings come from the environment."""

import sys

from roomcast.serving import app_alone
from roomcast.settings import WrongSetting, keep_files_private, load
from roomcast.startup import create_keys_and_folders, start_logs

keep_files_private()
try:
    settings = load()
    start_logs(settings)
    create_keys_and_folders(settings)
    app = app_alone(settings)
except WrongSetting as error:  # print one sentence without a traceback, like `roomcast serve`
    sys.exit(str(error))
