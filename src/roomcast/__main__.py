"""`python -m roomcast`: the command `roomcast`, where the folder of installed commands is not on the PATH."""

from roomcast.cli import main

main()
