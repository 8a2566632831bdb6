"""YAML as plain data with the line of every value. Stricter than PyYAML: no duplicate keys, no anchors, no tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.rules.grammar import clean

MAX_BYTES = 1024 * 1024 * 4
MAX_DEPTH = 20
MAX_DIGITS = 18

Path = tuple[str | int, ...]


@dataclass
class Document:
    """The data of one file; `lines` maps the path of each value to its line (from 1)."""

    name: str
    data: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def where(self, path: Path) -> str:
        """Return `FILE:LINE` of the value at `path`, or of its nearest parent."""
        while path not in self.lines and path:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"


def load(text: str, name: str) -> Document:
    """Return the document in `text`. Raises InvalidInput with file, line and what was expected.

    Numbers are decimal only, `yes` and `no` are texts: YAML 1.1 reads `010` as eight and `no` as false.
    """
    import yaml

    if len(text.encode()) > MAX_BYTES:
        raise InvalidInput(f"{name} is larger than {MAX_BYTES} bytes")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times as fast, where PyYAML came with libyaml
    opening = (yaml.BlockSequenceStartToken, yaml.BlockMappingStartToken,
               yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken)  # fmt: skip
    closing = (yaml.BlockEndToken, yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)
    try:
        depth = 0
        for token in yaml.scan(text, Loader=loader):
            if isinstance(token, (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)):
                raise InvalidInput(f"{name}:{token.start_mark.line + 1}: anchors and tags are not understood here")
            depth += isinstance(token, opening) - isinstance(token, closing)
            if depth > MAX_DEPTH + 1:
                raise InvalidInput(f"{name}:{token.start_mark.line + 1}: nested too deeply")
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = clean(str(getattr(error, "problem", None) or error))
        raise InvalidInput(f"{name}:{mark.line + 1 if mark else 1}: not valid YAML: {problem}") from None
    except RecursionError:
        raise InvalidInput(f"{name} is nested too deeply") from None
    document = Document(name, None)
    document.data = _value(node, (), document) if node is not None else None
    return document


def _value(node: Any, path: Path, document: Document) -> Any:
    import yaml

    line = node.start_mark.line + 1
    document.lines[path] = line
    if len(path) > MAX_DEPTH:
        raise InvalidInput(f"{document.name}:{line}: nested too deeply")
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            at = f"{document.name}:{key_node.start_mark.line + 1}"
            if not isinstance(key_node, yaml.ScalarNode):
                raise InvalidInput(f"{at}: a key must be a plain word")
            key = key_node.value
            if key in found:
                raise InvalidInput(f"{at}: '{clean(key)}' is given twice", "remove one of them")
            found[key] = _value(value_node, (*path, key), document)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), document) for index, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: Any) -> Any:
    text: str = node.value
    if node.style:  # a plain one has none, or an empty one by libyaml
        return text
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and (digits == "0" or not digits.startswith("0")):
        if len(digits) > MAX_DIGITS:
            raise InvalidInput(f"a number with {len(digits)} digits", f"at most {MAX_DIGITS}")
        return int(text)
    return {"true": True, "false": False, "null": None, "~": None, "": None}.get(text, text)
