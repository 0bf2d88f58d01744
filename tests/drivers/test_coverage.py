"""docs/coverage.md says what the dialects say."""

from pathlib import Path

from typer.testing import CliRunner

from controller.domain.fence import FenceKind
from controller.domain.verdict import TrafficClass
from drivers.commands import dialects
from drivers.coverage import TITLES, ends_by_itself, page
from drivers.loading import dialect_of, platforms

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"


def test_page_is_what_the_dialects_make_of_it() -> None:
    made = page([dialect_of(platform) for platform in platforms()])
    assert PAGE.read_text(encoding="utf-8") == made, "run: cordon dialects coverage > docs/coverage.md"


def test_every_kind_of_fence_has_its_title() -> None:
    kinds = {kind.value for kind in FenceKind} - {"filter_class"}
    kinds |= {f"filter_class:{one}" for one in TrafficClass if one is not TrafficClass.ALL}
    assert TITLES.keys() == kinds


def test_what_ends_on_the_device_is_known_from_the_lines() -> None:
    assert ends_by_itself(dialect_of("linux_nftables"), "block_address")
    assert ends_by_itself(dialect_of("checkpoint_gaia"), "isolate_segment")
    assert not ends_by_itself(dialect_of("ovs_linux"), "throttle")
    assert not ends_by_itself(dialect_of("cisco_ios"), "block_address")


def test_commands_list_check_and_print() -> None:
    run = CliRunner()
    assert "ovs_linux" in run.invoke(dialects, []).output
    assert run.invoke(dialects, ["coverage"]).output == PAGE.read_text(encoding="utf-8")


def test_check_names_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("platform = 7\n")
    result = CliRunner().invoke(dialects, ["check", str(file)])
    assert result.exit_code == 1
    assert "mine.toml" in result.output
