"""Characters that act on a terminal or on other text, instead of being shown themselves.

A text that holds them can clear a screen, forge a line of output, or read backwards
(CVE-2021-25743; Unicode Technical Report 36, section 2.10). What people write to each other needs
none of them.
"""

from __future__ import annotations

import re

# Unicode's category Cc, line breaks among them, the separators of lines and paragraphs, and the
# bidirectional embeddings, overrides and isolates.
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
