"""Settings of the whole test run."""

from hypothesis import settings

# A busy two-core machine is slow now and then; that is no finding.
settings.register_profile("calrelay", deadline=None)
settings.load_profile("calrelay")
