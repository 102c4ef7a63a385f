from pathlib import Path

import pytest

from schemas.identity_rules import IdentityRules, SourceTrust
from streams.agents.rules_file import load_rules
from streams.core.features import is_known
from streams.core.golden_record import merge
from streams.core.rules import NO_RULES
from streams.core.state import Member, Root
from streams.settings import SettingsError

EXAMPLE = Path(__file__).parents[4] / "deploy" / "local" / "rules.yaml"


def test_the_example_is_taken_whole() -> None:
    """What people copy works: every section of it is read."""
    rules = load_rules(EXAMPLE)
    assert rules.fields["interests"] == "all"
    assert rules.trust["crm"] > rules.trust["shop-web"] > 0
    assert rules.weights["name|first_name|last_name"] == 2
    assert {rule.then for rule in rules.signals} == {"quarantine", "flag"}


def test_without_a_file_nothing_is_declared() -> None:
    assert load_rules(None) == NO_RULES


@pytest.mark.parametrize("path", [None, EXAMPLE])
def test_identity_says_which_kinds_tell_a_person(path: Path | None) -> None:
    """Where a loyalty card does and an e-mail does not, the feature and ``record.known`` follow."""
    rules = load_rules(path, IdentityRules(known=frozenset({"loyalty_id"})))
    card, email = (Root(bytes(16), 1, {bytes(16): Member(kind, "x", 1, "s")}) for kind in ("loyalty_id", "email"))
    assert is_known(merge(card, 1, rules))
    assert not is_known(merge(email, 1, rules))


def test_a_worker_is_told_what_is_wrong_and_where(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("version: 1\nfields:\n  city: oldest\n")
    with pytest.raises(SettingsError, match=r"rules\.yaml:3:3: fields\.city: must be one of newest"):
        load_rules(file)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")


def test_without_sources_of_its_own_the_identitys_are_believed(tmp_path: Path) -> None:
    """One list of whom to believe for both files: there the lower rank is believed, and who is not named ranks 100."""
    file = tmp_path / "rules.yaml"
    file.write_text("version: 1\nfields: {city: trusted}\n")
    identity = IdentityRules(sources={"crm": SourceTrust(rank=1), "scraper": SourceTrust(rank=500)})
    trust = load_rules(file, identity).trust
    assert trust["crm"] > 0 > trust["scraper"]
    file.write_text("version: 1\nsources: [scraper]\n")
    assert load_rules(file, identity).trust == {"scraper": 1}
