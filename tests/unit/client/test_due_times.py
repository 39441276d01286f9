from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from aqueue.client.due_times import in_zone


@pytest.mark.parametrize(
    ("moment", "zone", "shown"),
    [
        (1795939200.0, "UTC", "Sun 2026-11-29 08:00:00 UTC"),
        (1795939200.0, "Europe/Berlin", "Sun 2026-11-29 09:00:00 CET (+01:00)"),
        (1795939200.0, "America/Sao_Paulo", "Sun 2026-11-29 05:00:00 -03"),
        # The two hours of one name when a clock is put back.
        (1792888200.0, "Europe/Berlin", "Sun 2026-10-25 02:30:00 CEST (+02:00)"),
        (1792891800.0, "Europe/Berlin", "Sun 2026-10-25 02:30:00 CET (+01:00)"),
    ],
)
def test_a_time_names_its_zone(moment: float, zone: str, shown: str) -> None:
    assert in_zone(moment, UTC if zone == "UTC" else ZoneInfo(zone)) == shown
