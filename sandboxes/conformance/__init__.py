"""What every sandbox must do, as checks that any backend can be run through.

Each check takes a fresh sandbox with default limits, and raises `AssertionError` with words if a promise of the
protocol is broken. Its name and docstring say the promise. With pytest:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_backend_conforms(check):
        with contextlib.closing(MyBackend()) as sandbox:
            check(sandbox)
"""

from sandboxes.conformance.checks import Check
from sandboxes.conformance.endings import ENDING_CHECKS
from sandboxes.conformance.files import FILE_CHECKS
from sandboxes.conformance.programs import PROGRAM_CHECKS

CHECKS: tuple[Check, ...] = (*FILE_CHECKS, *PROGRAM_CHECKS, *ENDING_CHECKS)

__all__ = ["CHECKS", "ENDING_CHECKS", "FILE_CHECKS", "PROGRAM_CHECKS", "Check"]
