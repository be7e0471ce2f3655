"""The version, used by setup.cfg, by the build cache's keys and by `nap --version`."""

VERSION = "0.1.0"
