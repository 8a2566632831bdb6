"""On the path of a program under test: notes in $IMPORTS_NOTED what is imported while another thread than the first runs."""

from __future__ import annotations

import os
import sys
import threading


class Noting:
    """A finder that finds nothing; it is asked first."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            with open(os.environ["IMPORTS_NOTED"], "a", encoding="utf-8") as notes:
                notes.write(f"{name}\n")


sys.meta_path.insert(0, Noting)
