"""What holds for every test."""

from hypothesis import HealthCheck, settings

# A busy machine is no fault: properties are judged by what they find, never by how long it took.
settings.register_profile("toolgym", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("toolgym")
