"""The command line with the plugin, as a process of its own that can be killed."""

from tests.plugins.parallel.conftest import make_router

from turnout_cli.main import build

if __name__ == "__main__":
    build(make_router).main(prog_name="turnout")
