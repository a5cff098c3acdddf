"""Discovery: what is found, what is refused, and that nothing is imported by looking."""

from __future__ import annotations

import subprocess
import sys

import pytest

from wellposed.errors import AmbiguousComponent, ComponentNotFound, InputError, PluginError
from wellposed.registry import KINDS, Entry, Registry, component
from wellposed.registry.summary import UnreadableTarget, summary_of


def entry(name: str, distribution: str = "one", **changes: object) -> Entry:
    values = {"name": name, "kind": "gradients", "target": "wellposed.gradient:Unrolled", "version": "1.0"}
    return Entry(**{**values, "distribution": distribution, **changes})  # type: ignore[arg-type]


def test_component_of_the_core_is_found_by_plural_and_singular_kind() -> None:
    from wellposed.gradient import Unrolled

    assert component("gradients", "unrolled") is Unrolled
    assert component("gradient", "unrolled") is Unrolled


def test_listing_imports_neither_torch_nor_plugins() -> None:
    code = (
        "import sys\n"
        "from wellposed.registry import registry\n"
        "for e in registry().entries(): e.summary, e.error\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('torch', 'matplotlib', 'scipy')"
        " or m.startswith('wellposed_')]\n"
        "print(bad)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ComponentNotFound, match="did you mean unrolled"):
        Registry([entry("unrolled")]).find("gradients", "unroled")


def test_unknown_name_names_the_distribution_that_provides_it() -> None:
    with pytest.raises(ComponentNotFound, match="pip install wellposed-classical"):
        Registry([]).find("iterations", "pdhg")


def test_name_of_another_kind_is_said() -> None:
    with pytest.raises(ComponentNotFound, match="one of the gradients"):
        Registry([entry("unrolled")]).find("solvers", "unrolled")


def test_clash_is_refused_and_full_names_work() -> None:
    registry = Registry([entry("twice", "one"), entry("twice", "two")])
    with pytest.raises(AmbiguousComponent, match="twice@one or twice@two"):
        registry.find("gradients", "twice")
    assert registry.find("gradients", "twice@two").distribution == "two"
    assert registry.clashes(registry.entries("gradients")[0])


def test_unknown_kind_lists_the_kinds() -> None:
    with pytest.raises(InputError, match="kinds are: operators"):
        Registry([]).find("operatorz", "x")


def test_too_new_plugin_is_refused_before_it_is_imported() -> None:
    late = entry("late", target="no_such_module:Thing", requires=("wellposed-core>=99",))
    with pytest.raises(PluginError, match="needs wellposed-core>=99"):
        late.load()
    assert late.error is not None
    assert "pip install --upgrade" in late.error


@pytest.mark.parametrize("target", ["no_such_module:X", "wellposed.gradient:NoSuchClass", "wellposed.nothing:X"])
def test_missing_target_is_seen_without_import_and_said_on_load(target: str) -> None:
    broken = entry("broken", target=target)
    assert broken.error
    assert broken.summary == ""
    with pytest.raises(PluginError, match="cannot be loaded"):
        broken.load()


def test_class_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(PluginError, match=r"no subclass of wellposed\.Gradient"):
        entry("wrong", target="wellposed.stopping:RelativeChange").load()


def test_summary_is_the_first_docstring_line() -> None:
    assert summary_of("wellposed.gradient:Unrolled").startswith("Differentiate through every step")
    with pytest.raises(UnreadableTarget, match="defines no Nothing"):
        summary_of("wellposed.gradient:Nothing")


def test_disabled_distributions_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELLPOSED_DISABLE", "wellposed_core")
    assert not [e for e in Registry.installed().entries() if e.distribution == "wellposed-core"]


def test_every_kind_has_an_interface_that_is_exported() -> None:
    import wellposed

    for kind in KINDS.values():
        assert kind.interface.partition(":")[2] in wellposed.__all__


def test_the_function_that_finds_components_is_not_shadowed_by_a_module() -> None:
    code = "import wellposed.recipes, wellposed.interface, wellposed.testing; print(callable(wellposed.component))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_name_alone_is_found_where_it_is_of_one_kind() -> None:
    entries = [Entry(n, k, "m:C", "d", "1", ()) for n, k in (("a", "operators"), ("b", "solvers"), ("b", "iterations"))]
    registry = Registry(entries)
    assert registry.find_alone("a").kind == "operators"
    with pytest.raises(AmbiguousComponent, match="'iteration b' or 'solver b'"):
        registry.find_alone("b")
    with pytest.raises(ComponentNotFound, match="pip install wellposed-classical"):
        registry.find_alone("pdhg")
    with pytest.raises(ComponentNotFound, match="no installed component is called 'zzz'; `wellposed list`"):
        registry.find_alone("zzz")
