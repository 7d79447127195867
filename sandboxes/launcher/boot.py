"""The script that the launcher's interpreter runs: `python -P -s -S boot.py <descriptor of the control socket>`.

It stands in for the package `sandboxes`, whose own `__init__` would import pydantic into every forked program.
"""

import sys
import types

package = types.ModuleType("sandboxes")
package.__path__ = [__file__.rpartition("/launcher/")[0]]
sys.modules["sandboxes"] = package

from sandboxes.launcher.serve import serve  # noqa: E402  # the package must stand first

serve(int(sys.argv[1]))
