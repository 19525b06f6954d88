"""The ASGI app for `uvicorn roomcast.asgi:app` and other ASGI servers. Settings come from the environment."""

import sys

from uvicorn.config import STARTUP_FAILURE

from roomcast.data_folder import set_private_umask
from roomcast.process_limits import without_garbage_collection
from roomcast.settings import WrongSetting, load_settings
from roomcast.single_process import ProcessLock

set_private_umask()
try:
    settings = load_settings()
    lock = ProcessLock(settings)
    lock.check()  # before the imports, which are most of a start
    with without_garbage_collection():
        from roomcast.serving import app_alone
        from roomcast.startup import create_keys_and_folders, start_logs

    start_logs(settings)
    create_keys_and_folders(settings)
    app = app_alone(settings, lock)
except WrongSetting as error:  # print one sentence without a traceback, like `roomcast serve`
    sys.stderr.write(f"{error}\n")
    sys.exit(STARTUP_FAILURE)  # then uvicorn with workers, and gunicorn, end instead of starting the worker again
