"""The launcher: a small process per sandbox that forks, watches and kills programs.

It is exec'd with an empty environment and without inherited descriptors. It imports nothing but the standard library,
the modules here, `sandboxes.wire` and `sandboxes.workspace`.
"""
