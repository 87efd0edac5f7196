"""Makes the rules' pages while MkDocs builds: an index, and a page from the docstring of each rule in the catalogue.

They are never files of the checkout, so there is nothing that could differ from the rules.
"""

from collections.abc import Iterator
from itertools import groupby

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from tensorcheck.catalogue import RuleType, all_rules
from tensorcheck.cli.explain import rule_page


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages under the navigation's entry "Rules"."""
    rules = next(entry["Rules"] for entry in config.nav or () if "Rules" in entry)
    rules.extend({f"{rule.code} {rule.name}": _path(rule)} for rule in all_rules())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those that are read from docs/."""
    files.append(File.generated(config, "rules/index.md", content=_index()))
    for rule in all_rules():
        files.append(File.generated(config, _path(rule), content=rule_page(rule)))
    return files


def _path(rule: RuleType) -> str:
    return f"rules/{rule.code}.md"


def _index() -> str:
    return "\n".join(_index_lines())


def _index_lines() -> Iterator[str]:
    yield "# Rules\n"
    yield "Each rule looks for one mistake. Its severity says how sure it is. `error`: certain. `warning`: a competent"
    yield "reviewer would ask for a change. `info`: worth knowing, never counted."
    yield "`tensorcheck explain CODE` prints the same pages.\n"
    for category, rules in groupby(all_rules(), key=lambda rule: rule.category()):
        yield f"\n## {category}\n\n| code | name | severity | what it finds |\n| --- | --- | --- | --- |"
        for rule in rules:
            yield f"| [{rule.code}]({rule.code}.md) | {rule.name} | {rule.severity.value} | {rule.page.summary} |"
