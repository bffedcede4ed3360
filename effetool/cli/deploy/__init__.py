"""`effe-tool deploy TARGET`: each target has a module here, with one function of its name."""

from __future__ import annotations

from importlib import import_module

import typer

TARGETS = ("haproxy", "kubernetes", "knative", "compose", "swarm", "systemd")

deploy = typer.Typer(
    help="Print the configuration of what runs effes, from their INFO.",
    suggest_commands=False,
    rich_markup_mode=None,
)
for target in TARGETS:
    deploy.command(target)(getattr(import_module(f".{target}", __name__), target))
