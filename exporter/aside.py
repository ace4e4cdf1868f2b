"""What the exporter does beside its deliveries, on threads of its own: none waits for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.base import BaseScheduler

from exporter.alerts.mail import Mail
from exporter.alerts.notice import Channel, channels_of
from exporter.alerts.tell import Tell, tell_due, tell_log
from exporter.alerts.watch import Watch
from exporter.alerts.webhook import Webhook
from exporter.settings import ExporterSettings
from exporter.sink_tests import carry_out_tests
from exporter.steps import Exporter

_LOOK_EVERY: Final = timedelta(seconds=1)
_TELL_EVERY: Final = timedelta(seconds=2)
_WATCH_EVERY: Final = timedelta(minutes=1)


def schedule_aside(scheduler: BaseScheduler, exporter: Exporter) -> None:
    """Wiring only, as in `exporter.__main__`."""
    settings, engine, clock = exporter.settings, exporter.engine, exporter.clock
    channels = channels_of(settings)
    scheduler.add_executor(ThreadPoolExecutor(2 + len(channels)), alias="aside")

    def every(interval: timedelta, step: Callable[[], None], name: str) -> None:
        scheduler.add_job(
            step,
            "interval",
            seconds=interval.total_seconds(),
            id=name,
            name=name,
            executor="aside",
        )

    every(
        _LOOK_EVERY,
        partial(carry_out_tests, engine, settings, stopping=exporter.stopping),
        "test sinks",
    )
    watch = Watch(engine=engine, settings=settings, clock=clock, started_at=exporter.started_at)
    every(_WATCH_EVERY, watch.look, "look for alerts")
    for channel in channels:
        tell, at_once = _way_to(channel, exporter)
        every(
            _TELL_EVERY,
            partial(tell_due, engine, channel, tell, clock=clock, at_once=at_once),
            f"tell alerts: {channel}",
        )


def _way_to(channel: Channel, exporter: Exporter) -> tuple[Tell, int]:
    """How a channel is told, and how many notices at once."""
    settings: ExporterSettings = exporter.settings
    match channel:
        case Channel.LOG:
            return tell_log, 50
        case Channel.EMAIL:
            return Mail(settings).tell, 50
        case Channel.WEBHOOK:
            url, secret = settings.alert_webhook_url, settings.alert_webhook_secret
            assert url is not None and secret is not None
            return Webhook(url, secret, clock=exporter.clock).tell, 1
